# SPDX-License-Identifier: MIT
"""Children that multiprocessing forks: they leave by os._exit(), which runs no atexit hook. So what is open there would not be
reported, and a recording would have it that they were killed."""
import os
import sys
from typing import Callable, Optional

#: Ends what a process has open, and its recording.
at_end: Optional[Callable[[], object]] = None

#: Behind all finalizers that have a place in the order of multiprocessing's.
_LAST = -1_000_000


def _end() -> None:
    if at_end is not None:
        at_end()


def _finalize_last(_: object) -> None:
    util = sys.modules["multiprocessing.util"]
    util.Finalize(None, _end, exitpriority=_LAST)


def _after_fork() -> None:
    """What multiprocessing keeps about the end it forgets once more in its child, and then calls this."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(_end, _finalize_last)


def _imported() -> None:
    """This may be such a child, whose parent or fork server had not imported us."""
    process, server = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.forkserver")
    context = sys.modules.get("multiprocessing.context")
    if process is None or context is None or "multiprocessing.util" not in sys.modules:
        return
    if process.parent_process() is not None:
        if context._default_context.get_start_method(allow_none=True) in ("fork", "forkserver"):
            _finalize_last(None)
        return
    client = getattr(server, "_forkserver", None)
    if getattr(client, "_forkserver_pid", 0) is None and getattr(client, "_forkserver_alive_fd", None) is not None:
        _after_fork()  # it reads what it is to run, and begins then


_imported()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
