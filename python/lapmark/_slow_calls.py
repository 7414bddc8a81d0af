# SPDX-License-Identifier: MIT
"""Calls that were slow for their caller alone, whose profiler took its threshold: the next request of that kind names the slowest, and
the server, which holds the last that it has served without a report, prints that one after all."""
from __future__ import annotations

import collections
from typing import Any, Callable, NamedTuple, Optional, Tuple

HELD = 64
_TOLD = 16  # kinds

Sink = Optional[Callable[[str], object]]
#: The profiler's place in the code, and what the call is, as rows are counted.
Kind = Tuple[Any, str]


class Slowest(NamedTuple):
    """A profiler's call that took longest."""

    total_ns: int
    span: int
    kind: Kind


_held: "collections.OrderedDict[int, Tuple[Sink, str]]" = collections.OrderedDict()  # by span
_told: "collections.OrderedDict[Kind, int]" = collections.OrderedDict()


def hold(span: int, sink: Sink, text: str) -> None:
    """The report of one that served this call; instead of the oldest."""
    _held[span] = (sink, text)
    if len(_held) > HELD:
        _held.popitem(last=False)


def take(span: int) -> Optional[Tuple[Sink, str]]:
    return _held.pop(span, None)


def tell(slowest: Slowest) -> None:
    _told[slowest.kind] = slowest.span
    if len(_told) > _TOLD:
        _told.popitem(last=False)


def told(kind: Kind) -> int:
    """What a request of this kind is to say: a span, or 0."""
    return _told.pop(kind, 0)


def forget() -> None:
    """In a forked child, which has no part in these."""
    _held.clear()
    _told.clear()
