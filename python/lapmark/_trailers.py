# SPDX-License-Identifier: MIT
"""What goes with a request and with its reply: 48 bytes each, little-endian, as include/lapmark/call.h has them, and the notes
that may stand behind a reply's."""
from __future__ import annotations

import struct
from typing import Any, Iterable, List, NamedTuple, Optional, Tuple, Type, TypeVar

from ._text import PEER_LAPS, PeerLap, escape, greatest, joined

BYTES = 48
SLOW = 1  # flag of a reply: the server's profiler took its threshold
EARLIER = 0x80  # of a request's level: in the domain's place is the span of an earlier call that was slow for its caller
NOTES_BYTES = 200
REPLY_BYTES = BYTES + NOTES_BYTES
REQUEST = struct.Struct("<HBBBBH16s8sQQ")
REPLY = struct.Struct("<HBBB3x8sQQQII")
_LAP = struct.Struct("<BBQI")
_NOTE_END, _NOTE_LAP = 0, 2
_LABEL_BYTES, _SHOWN_BYTES = 40, 55  # as it is sent, and escaped
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


def request(flags: int, trace_id: bytes, span_id: bytes, earlier: int, sent: int) -> bytes:
    """`earlier`: the span of a call that was slow for its caller, or 0."""
    return REQUEST.pack(_REQUEST_MAGIC, _VERSION, BYTES, flags, EARLIER if earlier else 0, 0, trace_id, span_id, earlier, sent)


def span_number(span_id: bytes) -> int:
    """As a request names it."""
    return int.from_bytes(span_id, "big")


def reply(is_slow: bool, span_id: bytes, received: int, queue_us: int, khz: int, replied: int) -> bytes:
    return REPLY.pack(_REPLY_MAGIC, _VERSION, BYTES, SLOW if is_slow else 0, span_id, received, replied, 0, queue_us, khz)


def notes(laps: Iterable[PeerLap], server_ns: int) -> bytes:
    """What a reply says of its server's laps, no more than that took together."""
    data = b""
    for lap in greatest(laps):
        label = escape(lap.label, _LABEL_BYTES).encode("utf-8")
        if label and len(data) + _LAP.size + len(label) <= NOTES_BYTES:
            sum_ns = min(lap.sum_ns, server_ns)
            server_ns -= sum_ns
            data += _LAP.pack(_NOTE_LAP, _LAP.size - 2 + len(label), sum_ns, lap.count) + label
    return data + bytes(0 < len(data) < NOTES_BYTES)


def _read_lap(note: bytes, left_ns: float) -> Optional[PeerLap]:
    label_bytes = len(note) - _LAP.size
    if not 0 < label_bytes <= _LABEL_BYTES:
        return None
    _, _, sum_ns, number = _LAP.unpack_from(note)
    if number == 0 or sum_ns > left_ns:
        return None
    label = note[_LAP.size:].decode("utf-8", "backslashreplace")
    return PeerLap(escape(label, _SHOWN_BYTES), sum_ns, number)


def read_notes(data: bytes, server_ns: int) -> Tuple[Tuple[PeerLap, ...], bool]:
    """The laps that they tell, which together cannot have taken longer than the server, and whether something is left out that
    no server would send."""
    laps: List[PeerLap] = []
    at, seen, is_bad, left_ns = 0, 0, False, server_ns * 1.001 + 1e3
    data = data[:NOTES_BYTES]
    while at < len(data) and data[at] != _NOTE_END:
        end = at + 2 + data[at + 1] if at + 1 < len(data) else len(data) + 1
        if end > len(data):
            is_bad = True
            break
        if data[at] == _NOTE_LAP:
            seen += 1
            lap = _read_lap(data[at:end], left_ns) if seen <= PEER_LAPS else None
            if lap is None:
                is_bad = True
            else:
                left_ns -= lap.sum_ns
                laps.append(lap)
        at = end
    return joined(laps), is_bad


def first_bytes(trailer: Any, most: int = BYTES) -> bytes:
    """Of what should be one, as many as matter; b'' for None. What has no bytes is none: a byte that begins none."""
    if trailer is None:
        return b""
    try:
        with memoryview(trailer) as view:
            return view.cast("B")[:most].tobytes()
    except Exception:  # pylint: disable=broad-except
        return b"\xff"


def _read(data: bytes, kind: Type[_Trailer], layout: struct.Struct, magic: int) -> _Trailer:
    if not data:
        raise Silent
    if len(data) < BYTES:
        raise Damaged
    if data[:4] == bytes(4):
        raise Silent
    trailer = kind(*layout.unpack_from(data))
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
