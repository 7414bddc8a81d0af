# SPDX-License-Identifier: MIT
"""Who runs: the thread and, on it, the asyncio or trio task; and what a task that waits has on its call stack."""
from __future__ import annotations

import gc
import sys
import threading
import types
from typing import Any, Iterator, Optional, Tuple

_SUSPENDABLE = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


def current_task() -> Optional[Any]:
    """The asyncio or trio task that runs on this thread, if one does. Imports neither."""
    try:
        asyncio = sys.modules.get("asyncio")
        loop = asyncio and asyncio._get_running_loop()  # type: ignore[attr-defined]  # pylint: disable=protected-access
        if loop is not None:
            return asyncio.current_task(loop)  # type: ignore[union-attr]
        trio = sys.modules.get("trio")
        return trio and trio.lowlevel.current_task()
    except (RuntimeError, AttributeError):  # trio outside of a run; modules that are being imported
        return None


def current() -> Tuple[int, Optional[Any]]:
    return threading.get_ident(), current_task()


def _inner(awaitable: Any) -> Any:
    """What a suspended coroutine or generator waits in, None at the end of the chain."""
    for name in ("cr_await", "gi_yieldfrom", "ag_await"):
        if hasattr(awaitable, name):
            return getattr(awaitable, name)
    # An `async for` waits in an object that has its generator, but no name for it.
    return next((part for part in gc.get_referents(awaitable) if isinstance(part, _SUSPENDABLE)), None)


def _frame(awaitable: Any) -> Optional[types.FrameType]:
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        if hasattr(awaitable, name):
            return getattr(awaitable, name)  # type: ignore[no-any-return]
    return None


def waiting_frames(task: Any) -> Iterator[types.FrameType]:
    """The frames of a task that waits, outermost first; none of one that has ended."""
    get = getattr(task, "get_coro", None)
    awaitable = get() if get is not None else getattr(task, "coro", None)
    seen = set()
    while awaitable is not None and id(awaitable) not in seen:
        seen.add(id(awaitable))
        frame = _frame(awaitable)
        if frame is not None:
            yield frame
        awaitable = _inner(awaitable)


def thread_frames(thread: int) -> Iterator[types.FrameType]:
    """The frames of a thread that runs, innermost first."""
    frame = sys._current_frames().get(thread)  # pylint: disable=protected-access
    while frame is not None:
        yield frame
        frame = frame.f_back
