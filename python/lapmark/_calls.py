# SPDX-License-Identifier: MIT
"""Calls to other processes, for the pure-Python implementation: both ends. One tick of its clock is a nanosecond."""
from __future__ import annotations

import os
from typing import Any, Dict, NamedTuple, Optional, Set, Tuple

from . import _engine, _text, _trailers
from ._nodes import Node
from ._settings import count, parse_share, settings

_KHZ = 1_000_000
_RANDOM = 2  # flag of a trace: the last 7 bytes of its id are random
_KNOWN_FLAGS = 3


class Context(NamedTuple):
    """A step of a trace."""

    trace_id: bytes
    span_id: bytes
    flags: int


def _random(size: int) -> bytes:
    data = os.urandom(size)
    return data if any(data) else _random(size)


def _child(parent: Optional[Context]) -> Context:
    if parent is None:
        return Context(_random(16), _random(8), _RANDOM)
    return parent._replace(span_id=_random(8))


def _parent(node: Node) -> Optional[Context]:
    """Whose child a profiler's calls are: the request's that it serves, or that of one around it."""
    at: Optional[Node] = node
    while at is not None:
        if at.serving is not None:
            return at.serving  # type: ignore[no-any-return]
        at = at.outer
    return None


def _split(data: bytes, span_id: bytes, total_ns: int) -> Tuple[int, int]:
    """What the reply says that the server took, and how long the request waited there, if these can be this call's."""
    reply = _trailers.read_reply(data)
    if reply.span_id != span_id:
        raise LookupError
    if reply.received == 0 or reply.khz == 0 or not 0 <= reply.replied - reply.received < 1 << 63:
        raise _trailers.Damaged
    # It can not have worked for longer than the caller has waited: 0.1 % for two rates that are roughly known.
    took_ns, queue_ns = (reply.replied - reply.received) * 1e6 / reply.khz, reply.queue_us * 1000
    if took_ns > total_ns * 1.001 + 1e3 or queue_ns > took_ns + 1e3:
        raise _trailers.Damaged
    server_ns = min(int(took_ns), total_ns)
    return server_ns, min(queue_ns, server_ns)


class Call:
    """A call to another process, of Profiler.call(). Its `request` goes with the request; `end()` takes what came with the reply,
    or a `with` block ends it with `reply`. The next checkpoint of its profiler says how the time divides, and so do its
    attributes in milliseconds, None where that is not known. One that never ends is dropped."""

    __slots__ = ("_node", "_context", "_request", "_sent_ns", "_process", "_reply", "_total_ns", "_parts", "_error")

    _node: Optional[Node]
    _context: Optional[Context]
    _reply: Optional[bytes]
    _total_ns: Optional[int]
    _parts: Optional[Tuple[int, int]]  # what the server took, and what of that the request waited
    _error: Optional[str]

    def __new__(cls, *_args: object, **_kwargs: object) -> Call:
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")

    @staticmethod
    def _make(node: Optional[Node]) -> Call:
        """Of a profiler's node; None: off."""
        self: Call = object.__new__(Call)
        self._node, self._context = node, None
        self._reply = self._total_ns = self._parts = self._error = None
        self._request, self._sent_ns, self._process = b"", 0, 0
        if node is not None:
            context = self._context = _child(_parent(node))
            self._process = os.getpid()
            self._sent_ns = _engine.clock()
            self._request = _trailers.request(context.flags, context.trace_id, context.span_id, self._sent_ns)
        return self

    # ---- the end -----------------------------------------------------------------------------------------------------

    def end(self, reply: Any = None) -> float:
        """The reply is here, with this trailer, if it had one; returns the total in ms. Again: the same total."""
        if reply is not None:
            self.reply = reply
        if self._node is not None and self._total_ns is None and self._process == os.getpid():
            self._end(self._node)
        return (self._total_ns or 0) / 1e6

    def _end(self, node: Node) -> None:
        total_ns = self._total_ns = max(_engine.clock() - self._sent_ns, 0)
        laps: Tuple[_text.PeerLap, ...] = ()
        is_bad = False
        try:
            self._parts = _split(self._reply or b"", bytes.fromhex(self.span_id), total_ns)
        except _trailers.Silent:
            self._error = "silent"
        except _trailers.Damaged:
            self._error = "damaged"
        except LookupError:
            self._error = "another call's"
        if self._parts is not None and self._reply is not None:
            laps, is_bad = _trailers.read_notes(self._reply[_trailers.BYTES:], self._parts[0])
        if is_bad or self._error not in (None, "silent"):
            count("bad_trailer")
        if node.is_open:
            one = _text.Calls.of(total_ns, self._parts, laps)
            node.calls = one if node.calls is None else node.calls.plus(one)

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.end()

    # ---- what it says ------------------------------------------------------------------------------------------------

    @property
    def request(self) -> bytes:
        """48 bytes to go with the request; b'' where the call is off."""
        return self._request

    @property
    def reply(self) -> Optional[bytes]:
        """What came with the reply, for the end of a with block."""
        return self._reply

    @reply.setter
    def reply(self, trailer: Any) -> None:
        if self._node is not None and self._total_ns is None:
            self._reply = None if trailer is None else _trailers.first_bytes(trailer, _trailers.REPLY_BYTES)

    @property
    def span_id(self) -> str:
        """What reply_of() says of its reply."""
        return "" if self._context is None else self._context.span_id.hex()

    @property
    def traceparent(self) -> str:
        """The value of a W3C traceparent header."""
        context = self._context
        if context is None:
            return ""
        return f"00-{context.trace_id.hex()}-{context.span_id.hex()}-{context.flags & _KNOWN_FLAGS:02x}"

    @property
    def error(self) -> Optional[str]:
        """None, 'silent', 'damaged' or "another call's"."""
        return self._error

    @property
    def total_ms(self) -> Optional[float]:
        """From the begin to the end."""
        return None if self._total_ns is None else self._total_ns / 1e6

    @property
    def server_ms(self) -> Optional[float]:
        """From the request's arrival to the reply, on the server's clock."""
        return None if self._parts is None else self._parts[0] / 1e6

    @property
    def handle_ms(self) -> Optional[float]:
        """Of server_ms: since the server took it up."""
        return None if self._parts is None else (self._parts[0] - self._parts[1]) / 1e6

    @property
    def queue_ms(self) -> Optional[float]:
        """Of server_ms: until the server took it up."""
        return None if self._parts is None else self._parts[1] / 1e6

    @property
    def between_ms(self) -> Optional[float]:
        """total_ms without server_ms."""
        return None if self._parts is None else ((self._total_ns or 0) - self._parts[0]) / 1e6

    @property
    def there_ms(self) -> Optional[float]:
        """Of between_ms: before the server. This implementation has no number for its clock, and so does not know."""
        return None

    @property
    def back_ms(self) -> Optional[float]:
        """Of between_ms: behind the server."""
        return None

    def __repr__(self) -> str:
        if self._node is None:
            return "<lapmark.Call, off>"
        return f"<lapmark.Call {self.span_id}, {'open' if self._total_ns is None else 'ended'}>"


OFF = Call._make(None)  # pylint: disable=protected-access


def begin(node: Optional[Node], msg: Any) -> Call:
    """A call of a profiler; on or off as that is, like a checkpoint."""
    if node is None or node.is_mute:
        return OFF
    if not node.is_open:
        count("after_end")
        return OFF
    del msg  # is for recordings
    return Call._make(node)  # pylint: disable=protected-access


# ---- the server ------------------------------------------------------------------------------------------------------


class Serve:
    """A request that a profiler serves."""

    __slots__ = ("context", "received_ns", "begin_ns")

    def __init__(self, trailer: Any, arrived: Any) -> None:
        data = _trailers.first_bytes(trailer)
        self.begin_ns = _engine.clock()
        self.received_ns = self.begin_ns
        if arrived is not None:
            arrived_ns = _whole(arrived)
            if 0 < arrived_ns < self.begin_ns:
                self.received_ns = arrived_ns
        self.context: Optional[Context] = None
        try:
            request = _trailers.read_request(data)
            self.context = Context(request.trace_id, request.span_id, request.flags)
        except _trailers.Silent:
            pass
        except _trailers.Damaged:
            count("bad_trailer")

    def trace(self) -> Optional[Context]:
        """For calls on the request's behalf."""
        context = self.context
        return context if context is not None and any(context.trace_id) and any(context.span_id) else None

    def reply(self, node: Optional[Node]) -> bytes:
        """`node`: of the profiler, whose laps are told where that is shared."""
        if self.context is None:
            return b""
        laps = _laps(node) if node is not None and node.is_open and "laps" in _shared | settings().shares else ()
        queue_us = min((self.begin_ns - self.received_ns) // 1000, (1 << 32) - 1)
        replied_ns = _engine.clock()
        return (_trailers.reply(self.context.span_id, self.received_ns, queue_us, _KHZ, replied_ns)
                + _trailers.notes(laps, replied_ns - self.received_ns))


def _laps(node: Node) -> Tuple[_text.PeerLap, ...]:
    """Of an open profiler, those of a label as one."""
    sums: Dict[object, _text.PeerLap] = {}
    for item in list(node.items):
        if not item.is_nested:
            there = sums.get(item.key, _text.PeerLap(str(item.key), 0, 0))
            sums[item.key] = there._replace(sum_ns=there.sum_ns + item.sum_ns, count=there.count + item.count)
    return tuple(sums.values())


def _whole(arrived: Any) -> int:
    if isinstance(arrived, int) and 0 <= arrived < 1 << 64:
        return arrived
    count("bad_number")
    return 0


_shared: Set[str] = set()


def share(what: str) -> None:
    """'domain', 'laps', 'domain,laps' or 'nothing': what peers are told. This implementation has no number for its clock."""
    words = parse_share(what) if isinstance(what, str) else None
    if words is None:
        raise ValueError(f"cannot share {what!r}: 'domain', 'laps', 'domain,laps' or 'nothing'")
    _shared.clear()
    _shared.update(words)
