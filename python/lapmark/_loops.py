# SPDX-License-Identifier: MIT
"""Running against waiting: how much of a lap over an `await` its own task ran, and what the event loop did meanwhile.

`lapmark.trace_loop()` turns it on. Then a lap in which its task waited prints

    got response: 98.3000 ms, tot: 98.3000 ms (running 2.1, waiting 96.2, loop busy with others 35.0)

in milliseconds: running and waiting are the lap; `loop busy with others` is that part of waiting in which the loop ran other
tasks and callbacks, so that this one might have had to wait for its turn.

The steps of tasks are timed: in asyncio around what the loop calls (its handles), in trio by an instrument. `current()` has
the times of the task that runs; whatever implements profilers asks it when one is made and at each checkpoint. It costs
about a microsecond a step, and nothing until trace_loop() was called."""
from __future__ import annotations

import gc
import sys
import threading
import time
import warnings
import weakref
from typing import Any, Callable, Optional

from . import _tasks

clock = time.perf_counter_ns

#: What an implementation gives to be told of `current`, once it is needed.
register: Optional[Callable[[Callable[[], Any]], None]] = None


class TaskClock:
    """A task's times in ns since it was first asked for, as they were at the last call of `current()`."""

    __slots__ = ("running_ns", "waiting_ns", "busy_ns", "start_ns", "busy_at_start_ns", "ran_ns")

    def __init__(self, start_ns: int, busy_at_start_ns: int, ran_ns: int) -> None:
        self.running_ns = self.waiting_ns = self.busy_ns = 0
        self.start_ns = start_ns
        self.busy_at_start_ns = busy_at_start_ns
        self.ran_ns = ran_ns  # without the step that runs


class LoopClock(threading.local):
    """What this thread's loop does: the step that runs, and the sum of all before it."""

    step_ns: Optional[int] = None  # its begin
    step_task: Any = None          # a weak reference, None for a callback
    owner: Optional[TaskClock] = None
    busy_ns = 0

    def enter(self, task: Any) -> None:
        if self.step_ns is not None:  # the one in which trace_loop() was called: nobody saw its end
            self.leave()
        self.step_task = None if task is None else weakref.ref(task)
        self.owner = None if task is None else _clocks.get(task)
        self.step_ns = clock()

    def leave(self) -> None:
        if self.step_ns is None:
            return
        spent_ns = clock() - self.step_ns
        self.busy_ns += spent_ns
        if self.owner is not None:
            self.owner.ran_ns += spent_ns
        self.step_ns = self.step_task = self.owner = None


_loop = LoopClock()
_clocks: "weakref.WeakKeyDictionary[Any, TaskClock]" = weakref.WeakKeyDictionary()
_is_on = False


def current() -> Optional[TaskClock]:
    """The times of the task that runs on this thread, up to now; None where there is none or its loop is not traced. The same
    object each time, so differences are what counts."""
    task = _tasks.current_task() if _is_on else None
    if task is None or _loop.step_ns is None:
        return None
    now_ns = clock()
    step_ns = now_ns - _loop.step_ns
    times = _clocks.get(task)
    if times is None:
        # Of the step that runs only what comes from now on is its own.
        is_its_step = _loop.step_task is not None and _loop.step_task() is task
        times = _clocks[task] = TaskClock(now_ns, _loop.busy_ns + step_ns, -step_ns if is_its_step else 0)
        if is_its_step:
            _loop.owner = times
    times.running_ns = times.ran_ns + (step_ns if _loop.owner is times else 0)
    times.waiting_ns = now_ns - times.start_ns - times.running_ns
    times.busy_ns = max(_loop.busy_ns + step_ns - times.busy_at_start_ns - times.running_ns, 0)
    return times


# ---- asyncio ---------------------------------------------------------------------------------------------------------


def _task_of(callback: Any, kind: type) -> Any:
    """The task whose step a handle's callback is."""
    owner = getattr(callback, "__self__", None)
    if owner is None and type(callback).__name__ == "TaskWakeupMethWrapper":  # Python 3.9 and 3.10
        owner = next((part for part in gc.get_referents(callback) if isinstance(part, kind)), None)
    return owner if isinstance(owner, kind) and hasattr(owner, "get_coro") else None


def _trace_asyncio() -> None:
    from asyncio import Future, events  # pylint: disable=import-outside-toplevel
    run = events.Handle._run  # type: ignore[attr-defined]  # pylint: disable=protected-access
    if getattr(run, "is_lapmarks", False):
        return

    def timed_run(self: Any) -> Any:
        _loop.enter(_task_of(self._callback, Future))  # pylint: disable=protected-access
        try:
            return run(self)
        finally:
            _loop.leave()

    timed_run.is_lapmarks = True  # type: ignore[attr-defined]
    events.Handle._run = timed_run  # type: ignore[attr-defined]  # pylint: disable=protected-access


# ---- trio ------------------------------------------------------------------------------------------------------------


def _trio_instrument(trio: Any) -> Any:
    class LapmarkInstrument(trio.abc.Instrument):  # type: ignore[misc,name-defined]
        """Times the steps of tasks."""

        def before_task_step(self, task: Any) -> None:
            _loop.enter(task)

        def after_task_step(self, task: Any) -> None:
            _loop.leave()

        def after_run(self) -> None:
            _loop.leave()

    return LapmarkInstrument()


# ---- both ------------------------------------------------------------------------------------------------------------


def trace_loop() -> Any:
    """From now on laps say how much of them their task ran, waited, and waited while the loop was busy with others.

    Called in a task, it traces the loop that runs: asyncio's, or trio's by an instrument. For asyncio it holds for every loop
    of the process from then on; so it may be called before there is one. For trio called outside of a run, it returns the
    instrument: `trio.run(main, instruments=[lapmark.trace_loop()])`. Loops that are not asyncio's own, such as uvloop, have
    no steps that it could see: it warns."""
    global _is_on  # pylint: disable=global-statement
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    loop = asyncio and asyncio._get_running_loop()  # type: ignore[attr-defined]  # pylint: disable=protected-access
    task = _tasks.current_task()
    if loop is not None and not isinstance(loop, asyncio.BaseEventLoop):  # type: ignore[union-attr]
        warnings.warn(f"lapmark: the steps of a {type(loop).__name__} cannot be timed", RuntimeWarning, stacklevel=2)
        return None
    if not _is_on and register is not None:
        register(current)
    _is_on = True
    if trio is not None and loop is None:
        instrument = _trio_instrument(trio)
        if task is None:
            _trace_asyncio()
            return instrument
        if _loop.step_ns is None:  # else it is traced already
            trio.lowlevel.add_instrument(instrument)
            _loop.enter(task)
        return instrument
    _trace_asyncio()
    if loop is not None and _loop.step_ns is None:
        # The rest of this step. Its end is not seen: what the loop does first after it closes it.
        _loop.enter(task)
        loop.call_soon(_nothing)
    return None


def _nothing() -> None:
    pass
