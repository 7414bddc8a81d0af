# SPDX-License-Identifier: MIT
"""What the drop-ins share: a profiler that is off unless it is named, by PYQTGRAPHPROFILE or by LAPMARK, and prints on
stdout."""
from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any, List, Optional

import lapmark
from lapmark import _frames, _streams


def names_from_environment() -> List[str]:
    """PYQTGRAPHPROFILE, as it is when this is imported: names with commas between them. Blanks around one are nothing."""
    names = os.environ.get("PYQTGRAPHPROFILE", "").split(",")
    return [name.strip() for name in names if name.strip()]


def name_of(frame: FrameType) -> str:
    """The name by which those profilers know their caller: the class of a local `self`, else the module without its first
    dotted part, and the name of the code. A module without a dot keeps its name."""
    owner = _frames.local(frame, "self", lapmark.Profiler)
    if owner is not None:
        qualifier = type(owner).__name__
    else:
        qualifier = str(frame.f_globals.get("__name__", "")).split(".", 1)[-1]
    return f"{qualifier}.{frame.f_code.co_name}"


def to_stdout(text: str) -> None:
    """Where LAPMARK_PRINT says, else on stdout as it is by now. One function for all, so that children are in their parent's
    report."""
    value = os.environ.get("LAPMARK_PRINT")
    where: Optional[_streams.Where] = "stdout"
    if value not in (None, "", "on"):
        try:
            where = _streams.parse_where(value)
        except ValueError:
            pass  # it was said when the environment was read
    if where is not None:
        _streams.write_to(where, text)


class NamedProfiler(lapmark.Profiler):
    """`disabled`: 'env', on only where it is named; anything else that is true, off; else on, unless LAPMARK says off."""

    #: The names that are on; users of theirs set it.
    _profilers: List[str] = []

    def __init__(self, msg: Any = None, disabled: Any = "env", delayed: bool = True, ms_threshold: Any = 0.0,
                 **options: Any) -> None:
        is_env = isinstance(disabled, str) and disabled == "env"
        has_message = not (msg is None or isinstance(msg, str) and msg == "")
        if (is_env and self._profilers) or not (disabled or has_message):
            name = name_of(_frames.constructing(sys._getframe(1)))  # pylint: disable=protected-access
            if is_env and name in self._profilers:
                disabled = False
            msg = msg if has_message else name
        if not options.get("file"):
            options.setdefault("sink", to_stdout)
        super().__init__(msg, disabled, delayed, ms_threshold, **options)

    def flush(self) -> None:
        """Prints what has ended and waits for a profiler around it."""
        lapmark.flush()

