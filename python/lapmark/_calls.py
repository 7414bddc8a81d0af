# SPDX-License-Identifier: MIT
"""Calls to other processes, for the pure-Python implementation: both ends. One tick of its clock is a nanosecond."""
from __future__ import annotations

import os
from typing import Any, Dict, Optional, Set, Tuple

from . import _contexts, _engine, _slow_calls, _text, _trailers, _wishes
from ._contexts import Context
from ._nodes import Node
from ._settings import count, parse_words, settings

_KHZ = 1_000_000
_SAMPLED, _RANDOM = 1, 2  # flags of a trace: who sent it records it; the last 7 bytes of its id are random


def _random(size: int) -> bytes:
    data = os.urandom(size)
    return data if any(data) else _random(size)


def _child(parent: Optional[Context]) -> Context:
    if parent is None:
        return Context(_random(16), _random(8), _SAMPLED | _RANDOM)
    return parent._replace(span_id=_random(8), flags=parent.flags | _SAMPLED)


def _parent(node: Node) -> Optional[Context]:
    """Whose child a profiler's calls are: its own, where it has a name, else its request's, or those of one around it."""
    at: Optional[Node] = node
    while at is not None:
        found: Optional[Context] = at.own or at.serving
        if found is not None:
            return found
        at = at.outer
    return None


def _split(data: bytes, span_id: bytes, total_ns: int) -> Tuple[Tuple[int, int], bool]:
    """What the reply says that the server took, and how long the request waited there, if these can be this call's; and whether that
    was slow."""
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
    return (server_ns, min(queue_ns, server_ns)), reply.flags & _trailers.SLOW != 0


class Call:
    """A call to another process, of Profiler.call(). Its `request` goes with the request; `end()` takes what came with the reply,
    or a `with` block ends it with `reply`. The next checkpoint of its profiler says how the time divides, and so do its
    attributes in milliseconds, None where that is not known. One that never ends is dropped."""

    __slots__ = ("_node", "_kind", "_context", "_request", "_sent_ns", "_process", "_reply", "_total_ns", "_parts", "_slow", "_error")

    _node: Optional[Node]
    _kind: _slow_calls.Kind
    _context: Optional[Context]
    _reply: Optional[bytes]
    _total_ns: Optional[int]
    _parts: Optional[Tuple[int, int]]  # what the server took, and what of that the request waited
    _slow: bool  # the server says so
    _error: Optional[str]

    def __new__(cls, *_args: object, **_kwargs: object) -> Call:
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__name__}' instances")

    @staticmethod
    def _make(node: Optional[Node], label: str = "") -> Call:
        """Of a profiler's node; None: off."""
        self: Call = object.__new__(Call)
        self._node, self._context = node, None
        self._reply = self._total_ns = self._parts = self._error = None
        self._slow = False
        self._request, self._sent_ns, self._process = b"", 0, 0
        if node is not None:
            context = self._context = _child(_parent(node))
            self._process = os.getpid()
            self._kind = (node.site.number, _text.pattern(label[:_text.LABEL_BYTES]))
            earlier = _slow_calls.told(self._kind)
            self._sent_ns = _engine.clock()
            self._request = _trailers.request(context.flags, context.trace_id, context.span_id, earlier, self._sent_ns)
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
            self._parts, self._slow = _split(self._reply or b"", bytes.fromhex(self.span_id), total_ns)
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
            self._see_slow(node, total_ns)

    def _see_slow(self, node: Node, total_ns: int) -> None:
        """Either its server was slow, which goes for the profiler here, too; or it may be the one that makes the profiler slow."""
        if self._slow:
            if _wishes.is_accepted("slow") and _wishes.grant():
                node.is_kept = True
        elif node.threshold_ns > 0 and self._parts is not None and self._context is not None:
            if node.slowest is None or total_ns >= node.slowest.total_ns:
                span = _trailers.span_number(self._context.span_id)
                node.slowest = _slow_calls.Slowest(total_ns, span, self._kind)

    def part(self, reply: Any) -> None:
        """One of several replies to the call, but the last, which end() takes, came with this trailer. It is only looked at here: what
        it says of two clocks is for recordings."""
        if self._node is None or self._total_ns is not None or self._process != os.getpid():
            return
        try:
            _split(_trailers.first_bytes(reply, _trailers.BYTES), bytes.fromhex(self.span_id), max(_engine.clock() - self._sent_ns, 0))
        except _trailers.Silent:
            pass
        except (_trailers.Damaged, LookupError):
            count("bad_trailer")

    def sent(self) -> float:
        """It is sent, and no reply will come; returns the total in ms."""
        if self._node is not None and self._total_ns is None and self._process == os.getpid():
            self._total_ns = max(_engine.clock() - self._sent_ns, 0)
        return (self._total_ns or 0) / 1e6

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    async def __aenter__(self) -> Call:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.end()

    def wish(self, ms_threshold: float = 0.0, disabled: Optional[bool] = None) -> None:
        """What the server's profiler should have, if the server accepts that: before the request is sent. 0.0 and None: its own."""
        if self._node is not None:
            self._request = _wishes.pack(self._request, ms_threshold, disabled)

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
        return _contexts.write(self._context)

    @property
    def error(self) -> Optional[str]:
        """None, 'silent', 'damaged' or "another call's"."""
        return self._error

    @property
    def slow(self) -> bool:
        """Did the server's profiler take its threshold?"""
        return self._slow

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


def begin(node: Optional[Node], msg: Any, follows: Any) -> Call:
    """A call of a profiler; on or off as that is, like a checkpoint."""
    if not _is_open(node):
        return OFF
    _other(follows)
    label = _engine.label_text(msg)
    if node is None or not node.is_open:  # ended by the label's own code
        return OFF
    return Call._make(node, label)  # pylint: disable=protected-access


def _is_open(node: Optional[Node]) -> bool:
    if node is None or node.is_mute:
        return False
    if not node.is_open:
        count("after_end")
    return node.is_open


# ---- steps of traces -------------------------------------------------------------------------------------------------


def _other(other: Any) -> Optional[Context]:
    """What a link leads to: a traceparent, or a call. None: nothing, or none of these, which is counted."""
    if isinstance(other, Call):
        return other._context  # pylint: disable=protected-access
    if other is None or (isinstance(other, str) and not other):
        return None
    context = _contexts.read(other) if isinstance(other, str) else None
    if context is None:
        count("bad_trailer")
    return context


def context_of(node: Optional[Node]) -> str:
    """By which name others know a profiler."""
    if node is None or node.is_mute:
        return ""
    if node.own is None and node.is_open:
        node.own = _child(_parent(node))
    return _contexts.write(node.own)


def link(node: Optional[Node], other: Any) -> None:
    """Is for recordings."""
    if _is_open(node):
        _other(other)


# ---- the server ------------------------------------------------------------------------------------------------------


class Serve:
    """A request that a profiler serves."""

    __slots__ = ("request", "context", "parent", "received_ns", "begin_ns")

    def __init__(self, trailer: Any, arrived: Any) -> None:
        self.parent = _other(trailer) if isinstance(trailer, str) else None
        data = b"" if isinstance(trailer, str) else _trailers.first_bytes(trailer)
        self.begin_ns = _engine.clock()
        self.received_ns = self.begin_ns
        if arrived is not None:
            arrived_ns = _whole(arrived)
            if 0 < arrived_ns < self.begin_ns:
                self.received_ns = arrived_ns
        self.context: Optional[Context] = None
        self.request: Optional[_trailers.Request] = None
        try:
            request = _trailers.read_request(data)
            if not any(request.trace_id) or not any(request.span_id):
                raise _trailers.Damaged
            self.request, self.context = request, Context(request.trace_id, request.span_id, request.flags)
        except _trailers.Silent:
            pass
        except _trailers.Damaged:
            count("bad_trailer")

    def trace(self) -> Optional[Context]:
        """For calls on the request's behalf."""
        return self.context or self.parent

    def hold(self, node: Optional[Node]) -> None:
        """Its caller may ask for the report later; and the request may ask for an earlier one."""
        if self.request is None or not _wishes.is_accepted("slow"):
            return
        if node is not None:
            node.served_span = _trailers.span_number(self.request.span_id)
        _wishes.keep(self.request)

    def reply(self, node: Optional[Node]) -> bytes:
        """`node`: of the profiler, whose laps are told where that is shared."""
        if self.context is None:
            return b""
        laps = _laps(node) if node is not None and node.is_open and "laps" in _shared | settings().shares else ()
        queue_us = min((self.begin_ns - self.received_ns) // 1000, (1 << 32) - 1)
        is_slow = node is not None and node.is_open and 0 < node.threshold_ns <= _engine.clock() - node.begin_ns
        replied_ns = _engine.clock()
        return (_trailers.reply(is_slow, self.context.span_id, self.received_ns, queue_us, _KHZ, replied_ns)
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
    words = parse_words(what, "domain", "laps") if isinstance(what, str) else None
    if words is None:
        raise ValueError(f"cannot share {what!r}: 'domain', 'laps', 'domain,laps' or 'nothing'")
    _shared.clear()
    _shared.update(words)
