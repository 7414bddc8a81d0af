# SPDX-License-Identifier: MIT
"""Lapmark: a checkpoint profiler, a stopwatch with named laps that you leave in the code.

    from lapmark import Profiler

    def sort(numbers):
        profiler = Profiler('sort')
        numbers.sort()
        profiler('sorted', n=len(numbers))

It prints where the time went when the function is left. `implementation` is 'c', the extension module, or 'python', the
fallback for where there is none; LAPMARK_IMPLEMENTATION=python chooses that. Its interface is the same, but it does not
record. Profiler.call() and serve() tell where the round trip to another process went, over any protocol."""
import os as _os

from . import _children, _loops
from ._environment import child_environment, environment_context
from ._lap import Lap
from ._loops import trace_loop
from ._trailers import reply_of
from ._version import __version__

_impl = None
if _os.environ.get("LAPMARK_IMPLEMENTATION") != "python":
    try:
        from . import _lapmark as _impl  # type: ignore[attr-defined,no-redef]
    except ImportError:  # not built, for another Python, or without its library
        pass
if not hasattr(_impl, "Profiler"):
    from . import _fallback as _impl  # type: ignore[assignment]

#: 'c' or 'python'
implementation = "python" if _impl.__name__.endswith("._fallback") else "c"

Profiler = _impl.Profiler
Call = _impl.Call
serve = _impl.serve
now = _impl.now
share = _impl.share
accept = _impl.accept
record = _impl.record
record_stop = _impl.record_stop
set = _impl.set  # pylint: disable=redefined-builtin
flush = _impl.flush
counts = _impl.counts
_loops.register = getattr(_impl, "set_task_clock", None)
_children.at_end = _impl.end_process

__all__ = ["Call", "Lap", "Profiler", "__version__", "accept", "child_environment", "counts", "environment_context", "flush",
           "implementation", "now", "record", "record_stop", "reply_of", "serve", "share", "trace_loop"]
