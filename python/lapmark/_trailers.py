# SPDX-License-Identifier: MIT
"""What goes with a request and with its reply: 48 bytes each, little-endian, as include/lapmark/call.h has them."""
from __future__ import annotations

import struct
from typing import Any, NamedTuple, Optional, Type, TypeVar

BYTES = 48
SLOW = 1  # flag of a reply: the server's profiler took its threshold
REQUEST = struct.Struct("<HBBBBH16s8sQQ")
REPLY = struct.Struct("<HBBB3x8sQQQII")
_REQUEST_MAGIC, _REPLY_MAGIC, _VERSION = 0x514C, 0x524C, 1


class Silent(Exception):
    """There is none."""


class Damaged(Exception):
    """It is none of these."""


class Request(NamedTuple):
    """What a server is told."""

    magic: int
    version: int
    length: int
    flags: int
    level: int
    threshold: int
    trace_id: bytes
    span_id: bytes
    domain: int
    sent: int


class Reply(NamedTuple):
    """What a caller is told."""

    magic: int
    version: int
    length: int
    flags: int
    span_id: bytes
    received: int
    replied: int
    domain: int
    queue_us: int
    khz: int


_Trailer = TypeVar("_Trailer", Request, Reply)


def request(flags: int, trace_id: bytes, span_id: bytes, sent: int) -> bytes:
    return REQUEST.pack(_REQUEST_MAGIC, _VERSION, BYTES, flags, 0, 0, trace_id, span_id, 0, sent)


def reply(is_slow: bool, span_id: bytes, received: int, queue_us: int, khz: int, replied: int) -> bytes:
    return REPLY.pack(_REPLY_MAGIC, _VERSION, BYTES, SLOW if is_slow else 0, span_id, received, replied, 0, queue_us, khz)


def first_bytes(trailer: Any) -> bytes:
    """Of what should be one, as many as matter; b'' for None. What has no bytes is none: a byte that begins none."""
    if trailer is None:
        return b""
    try:
        with memoryview(trailer) as view:
            return view.cast("B")[:BYTES].tobytes()
    except Exception:  # pylint: disable=broad-except
        return b"\xff"


def _read(data: bytes, kind: Type[_Trailer], layout: struct.Struct, magic: int) -> _Trailer:
    if not data:
        raise Silent
    if len(data) < BYTES:
        raise Damaged
    if data[:4] == bytes(4):
        raise Silent
    trailer = kind(*layout.unpack(data))
    if trailer.magic != magic or trailer.version != _VERSION or trailer.length != BYTES:
        raise Damaged
    return trailer


def read_request(data: bytes) -> Request:
    return _read(data, Request, REQUEST, _REQUEST_MAGIC)


def read_reply(data: bytes) -> Reply:
    return _read(data, Reply, REPLY, _REPLY_MAGIC)


def reply_of(trailer: Any) -> Optional[str]:
    """The `span_id` of the call that a reply with this trailer is for, None if it is no such trailer. So a dictionary finds the
    call, where replies come in any order."""
    try:
        return read_reply(first_bytes(trailer)).span_id.hex()
    except (Silent, Damaged):
        return None
