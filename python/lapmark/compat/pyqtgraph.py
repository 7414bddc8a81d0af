# SPDX-License-Identifier: MIT
"""For code written for pyqtgraph's profiler: `from lapmark.compat.pyqtgraph import Profiler`, or
`from lapmark.compat import pyqtgraph as debug` for `debug.Profiler()`.

Off unless PYQTGRAPHPROFILE has its name, such as `PlotItem.updatePlot,graphicsItems.ViewBox.paint`, or LAPMARK does; prints on
stdout. What is better here: reports are in order whatever threads, tasks and generators do, nothing in a label can break
them, an object that is off takes the same calls as one that is on, and `disabled=1` is off."""
from __future__ import annotations

from typing import Any

from ._named import NamedProfiler, names_from_environment

__all__ = ["Profiler"]


class Profiler(NamedProfiler):
    """See above; all else is lapmark.Profiler's."""

    _profilers = names_from_environment()

    def __init__(self, msg: Any = None, disabled: Any = "env", delayed: bool = True, **options: Any) -> None:
        super().__init__(msg, disabled, delayed, **options)
