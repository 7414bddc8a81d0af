# SPDX-License-Identifier: MIT
"""What peers wish of this process: by opt-in, and only so many a second, whatever they send. As include/lapmark/call.h has it."""
from __future__ import annotations

import math
from typing import Any, Optional, Set, Tuple

from . import _engine, _slow_calls, _trailers
from ._settings import count, parse_words, settings

A_SECOND = 10
_WISH_OFF, _WISH_ON = 1, 2

_accepted: Set[str] = set()
_granted_ns = 0


def accept(what: str) -> None:
    """'slow', 'threshold', 'slow,threshold' or 'nothing': what peers may wish for, besides LAPMARK_ACCEPT; all of them together ten
    times a second. slow: where a call was slow for its server, its profiler here prints, too, whatever its own threshold; and one of
    the last 64 that served, whose call was slow for its caller. threshold: what Call.wish() has put into a request goes for the profiler that serves it; terms of LAPMARK and set() go before
    that."""
    words = parse_words(what, "slow", "threshold") if isinstance(what, str) else None
    if words is None:
        raise ValueError(f"cannot accept {what!r}: 'slow', 'threshold', 'slow,threshold' or 'nothing'")
    _accepted.clear()
    _accepted.update(words)


def is_accepted(what: str) -> bool:
    return what in _accepted or what in settings().accepts


def grant() -> bool:
    """Each uses up its part of a second; as much as a second may lie ahead."""
    global _granted_ns  # pylint: disable=global-statement
    now_ns = _engine.clock()
    next_ns = max(_granted_ns, now_ns) + 1_000_000_000 // A_SECOND
    if next_ns > now_ns + 1_000_000_000:
        count("suppressed")
        return False
    _granted_ns = next_ns
    return True


def keep(request: _trailers.Request) -> None:
    """One that is accepted may say that a call which was served here was slow for its caller: then that is printed after all."""
    if not request.level & _trailers.EARLIER:
        return
    held = _slow_calls.take(request.domain)
    if held is None:
        count("suppressed")
    elif grant():
        _engine.print_text(*held)


def pack(request: bytes, ms_threshold: Any, disabled: Optional[bool]) -> bytes:
    """A request with these wishes."""
    threshold = 0
    try:
        us = float(ms_threshold) * 1000
        if us > 0:
            threshold = min(max(int(256 * math.log2(max(us, 1))), 1), 0xFFFF)
    except (TypeError, ValueError, OverflowError):
        count("bad_number")
    wish = 0 if disabled is None else _WISH_OFF if disabled else _WISH_ON
    return request[:5] + bytes((request[5] & _trailers.EARLIER | wish,)) + threshold.to_bytes(2, "little") + request[8:]


def apply(trailer: Any, disabled: Any, ms_threshold: Any) -> Tuple[Any, Any]:
    """The arguments of the profiler that serves a request, as that wishes them."""
    if not is_accepted("threshold"):
        return disabled, ms_threshold
    try:
        request = _trailers.read_request(_trailers.first_bytes(trailer))
        wished_ms, wish = 2 ** (request.threshold / 256) / 1000, request.level & 3
        is_lower = request.threshold != 0 and wished_ms < float(ms_threshold or 0)
        if not any(request.trace_id) or not any(request.span_id):
            return disabled, ms_threshold
    except Exception:  # pylint: disable=broad-except
        return disabled, ms_threshold
    if (is_lower or (wish == _WISH_ON and disabled)) and not grant():  # what makes less work is free
        return disabled, ms_threshold
    return disabled if wish not in (_WISH_OFF, _WISH_ON) else wish == _WISH_OFF, wished_ms if request.threshold else ms_threshold
