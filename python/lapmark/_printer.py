# SPDX-License-Identifier: MIT
"""Hands reports to where they belong: one write each, never from inside another, and what fails is counted."""
from __future__ import annotations

import threading
import time
from typing import Callable, List, Optional, Tuple

from . import _streams
from ._settings import count, counts, settings

REPORTS_A_SECOND = 1000
Sink = Optional[Callable[[str], object]]

local = threading.local()
_second = 0
_in_second = 0
_suppressed = 0


def is_writing() -> bool:
    return getattr(local, "is_writing", False)


def forget() -> None:
    """In a forked child, whose fork may have come from inside a sink."""
    local.is_writing = False


def _write_one(sink: Sink, text: str) -> None:
    try:
        if sink is not None:
            sink(text)
        else:
            where = settings().where
            if where is not None:
                _streams.write_to(where, text)
    except KeyboardInterrupt:
        raise  # it is meant for the program, not caused by the stream
    except BaseException:  # pylint: disable=broad-except
        count("sink_failed")


def _is_too_much(sink: Sink) -> bool:
    global _second, _in_second, _suppressed  # pylint: disable=global-statement
    second = int(time.monotonic())
    if second != _second:
        _second, _in_second = second, 0
        suppressed, _suppressed = _suppressed, 0
        if suppressed:
            _write_one(sink, f"({suppressed} reports not printed: more than {REPORTS_A_SECOND} a second)\n")
    _in_second += 1
    if _in_second <= REPORTS_A_SECOND:
        return False
    _suppressed += 1
    counts["suppressed"] += 1
    return True


def write(reports: List[Tuple[Sink, str]]) -> None:
    if settings().where is None:
        return
    local.is_writing = True
    try:
        for sink, text in reports:
            if not _is_too_much(sink):
                _write_one(sink, text)
    finally:
        local.is_writing = False
