# SPDX-License-Identifier: MIT
"""Begin and end of profilers of the pure-Python implementation: parents, reports, fork and exit."""
from __future__ import annotations

import atexit
import collections
import contextvars
import os
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any, Callable, Deque, List, Optional, Set, Tuple

from . import _frames, _printer, _report, _sites, _slow_calls, _switches, _tasks, _text
from ._nodes import Item, Node
from ._settings import count, settings

clock = time.perf_counter_ns

#: The newest node of this context: what a task or thread that is started from here inherits.
_newest: contextvars.ContextVar[Optional[Node]] = contextvars.ContextVar("lapmark_newest", default=None)
_open: Set[Node] = set()
_lock = threading.RLock()
_is_marking = False  # by who has the lock: what ends meanwhile is written behind that
_later: Deque[Callable[[], None]] = collections.deque()
_reports: List[Tuple[_printer.Sink, str]] = []


class _Work:
    """Around what changes nodes. A finalizer may come at any instruction, and so in the middle of this: what it would do is
    done behind it. Reports are written when the lock is free again."""

    def __enter__(self) -> None:
        _lock.acquire()
        _printer.local.depth = getattr(_printer.local, "depth", 0) + 1

    def __exit__(self, *error: object) -> None:
        reports: List[Tuple[_printer.Sink, str]] = []
        try:
            if _printer.local.depth == 1 and not _is_marking and not _printer.is_writing():
                while _later:
                    _later.popleft()()
                reports, _reports[:] = _reports[:], []
        finally:
            _printer.local.depth -= 1
            _lock.release()
        if reports:
            _printer.write(reports)
            if _later or _reports:  # of what the sink itself did
                with _work:
                    pass


_work = _Work()


def _is_busy() -> bool:
    return getattr(_printer.local, "depth", 0) > 0 or _printer.is_writing()


# ---- begin -----------------------------------------------------------------------------------------------------------


def qualified_name(frame: FrameType, profiler_class: type) -> str:
    """`Class.function` as Python 3.11 knows it; before that the class is told from `self` or `cls`."""
    code = frame.f_code
    name = getattr(code, "co_qualname", None)
    if name is not None:
        return str(name)
    first = None
    if code.co_argcount and code.co_varnames[0] in ("self", "cls"):
        first = _frames.local(frame, code.co_varnames[0], profiler_class)
    if first is not None:
        kind = first if isinstance(first, type) else type(first)
        # The class that defines it, not one derived from it, as the code's own name would have it.
        for parent in kind.__mro__:
            method = parent.__dict__.get(code.co_name)
            method = getattr(method, "__func__", getattr(method, "fget", method))
            if getattr(method, "__code__", None) is code:
                return f"{parent.__qualname__}.{code.co_name}"
        return f"{kind.__qualname__}.{code.co_name}"
    return code.co_name


def _inherited(node: Node) -> Optional[Node]:
    """The innermost that another task or thread made before it started this one, and that still runs."""
    at = node.inherited
    while at is not None:
        if at.is_open and not at.is_mine(node.thread, node.task and node.task()) and _is_running(at):
            return at
        at = at.outer
    return None


def _is_running(node: Node) -> bool:
    """Is its frame on the call stack of who made it, and not just held, by a traceback or a generator that nobody asks?"""
    task = node.task and node.task()
    if node.task is not None and task is None:
        return False
    return (_frames.is_among(node, _tasks.thread_frames(node.thread)) or
            (task is not None and _frames.is_among(node, _tasks.waiting_frames(task))))


def _find_parent(node: Node, frame: FrameType) -> Optional[Node]:
    on_stack, inherited = _frames.innermost(frame), _inherited(node)
    if on_stack is None or inherited is None:
        return on_stack or inherited
    if inherited.has_ancestor(on_stack):
        return inherited
    if on_stack.has_ancestor(inherited) or on_stack.is_mine(node.thread, node.task and node.task()):
        return on_stack
    return inherited


def _remember_origin(node: Node) -> None:
    thread, task = _tasks.current()
    node.thread = thread
    node.task = weakref.ref(task) if task is not None else None
    newest = _newest.get()
    if newest is not None:
        node.inherited = newest.inherited if newest.is_mine(thread, task) else newest


def begin(node: Node, frame: FrameType, message: Optional[str], profiler_class: type, *, function: Any = None) -> bool:
    """Fills in a node that has its options; False: it is off, and nothing is to become of it. `function`: a decorated one."""
    if _printer.is_writing():
        count("reentered")
        return False
    code = function.__code__ if function is not None else frame.f_code
    name = function.__qualname__ if function is not None else qualified_name(frame, profiler_class)
    node.site = _sites.find(code.co_filename, name, code.co_firstlineno if function is not None else frame.f_lineno)
    node.label = message or name
    node.row = node.site.messages.row(node.label)
    node.names = (_text.pattern(node.label), name, code.co_name)
    node.frame_id, node.code_id, node.lasti = id(frame), id(frame.f_code), frame.f_lasti
    node.is_plain = not _frames.suspends(frame)
    node.caller = _frames.place(frame.f_back)
    if not _switch(node):
        return False
    _remember_origin(node)
    with _work:
        parent = _find_parent(node, frame)
        if parent is not None and parent.is_mute and not node.is_named:
            node.is_mute = True
        node.outer = parent
        while parent is not None and parent.is_mute:
            parent = parent.outer
        if parent is not None and not node.is_mute:
            node.parent = parent
            parent.children.add(node)
            parent.had_child = True
            node.is_immediate = node.is_immediate or parent.is_immediate
            _settle(parent)
        _frames.register(frame, node)
        _newest.set(node)
        _open.add(node)
        if task_clock is not None:
            node.task_clock = task_clock()
            node.task_times = _times(node.task_clock)
        if node.is_immediate and not node.is_mute:
            _put_line(node, _text.enter_line(_text.escape(node.label)), 0)
        node.begin_ns = node.last_ns = clock()
    return True


def _switch(node: Node) -> bool:
    """What the terms say: on, off, or off with all that is inside."""
    switches = settings().switches
    term = switches.find(node.names)
    node.generation = settings().generation
    node.is_named = term is not None and not term.is_negative
    node.is_mute = term is not None and term.is_negative
    if term is not None and term.threshold_ns is not None:
        node.threshold_ns = term.threshold_ns
    if node.is_env:
        return node.is_named
    return term is not None or not switches.is_off_by_default


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def label_text(label: object) -> str:
    try:
        return label if type(label) is str else str(label)
    except Exception:  # pylint: disable=broad-except
        count("bad_label")
        return f"(a {type(label).__name__} without text)"


def number(value: Any) -> Optional[int]:
    if value is None:
        return None
    try:
        return max(-(1 << 63), min(int(value), (1 << 63) - 1))
    except Exception:  # pylint: disable=broad-except
        count("bad_number")
        return None


#: _loops.current, once lapmark.trace_loop() was called.
task_clock: Optional[Callable[[], Any]] = None


def _times(clock_of_task: Any) -> Tuple[int, int, int]:
    if clock_of_task is None:
        return 0, 0, 0
    return clock_of_task.running_ns, clock_of_task.waiting_ns, clock_of_task.busy_ns


def _wait(node: Node, lap_ns: int) -> Optional[_text.Wait]:
    """How the lap was spent, if its task waited in it. No await is between two readings of the clock for one checkpoint, so
    what is not waiting is running, and the two make the lap."""
    if task_clock is None:
        return None
    now = task_clock()
    before, node.task_times = node.task_times, _times(now)
    if now is None or now is not node.task_clock:  # a checkpoint of another task, or the first that is traced
        node.task_clock = now
        return None
    waiting_ns = min(node.task_times[1] - before[1], lap_ns)
    if waiting_ns <= 0:
        return None
    return _text.Wait(lap_ns - waiting_ns, waiting_ns, min(node.task_times[2] - before[2], waiting_ns))


_Kept = Callable[[Tuple[str, int, int, Optional[int]]], None]


def mark(node: Node, now_ns: int, label: str, n: Optional[int], keep: _Kept) -> Optional[int]:
    """Returns the lap in ns; None if it has ended. `keep` gets label, lap, tot, n. One checkpoint at a time, whatever the thread."""
    global _is_marking  # pylint: disable=global-statement
    if node.had_child or node.parent is not None or node.is_immediate:
        with _work:
            return _mark(node, now_ns, label, n, keep)
    with _lock:  # less than _work, and enough for one that is alone
        was, _is_marking = _is_marking, True
        try:
            lap_ns = _mark(node, now_ns, label, n, keep)
        finally:
            _is_marking = was
    if _reports or _later:  # a finalizer's
        with _work:
            pass
    return lap_ns


def _mark(node: Node, now_ns: int, label: str, n: Optional[int], keep: _Kept) -> Optional[int]:
    if not node.is_open:
        return None
    last_ns = node.last_ns
    now_ns = max(now_ns, last_ns)  # another thread's checkpoint may have come between
    lap_ns = now_ns - last_ns
    node.last_ns = now_ns
    node.marks += 1
    row = node.site.labels.row(label)
    item = Item(row, _text.escape(label), lap_ns, now_ns - node.begin_ns, n, _wait(node, lap_ns), None)
    item.calls, node.calls = node.calls, None
    if node.parent is not None:
        _settle(node.parent)
    if node.is_immediate:
        _put_line(node, _text.lap_line(item.label, lap_ns, item.tot_ns, item.sizes, item.wait, item.calls), 1)
    node.add(item, row, _spill)
    keep((label, lap_ns, now_ns - node.begin_ns, n))
    return lap_ns


# ---- end -------------------------------------------------------------------------------------------------------------


def finish(node: Node, now_ns: int, is_disabled: bool) -> None:
    node.total_ns = now_ns - node.begin_ns
    node.rest_ns = now_ns - node.last_ns if node.marks else 0
    _end(node, is_disabled)


def die(node: Node, now_ns: int, here: Optional[FrameType], is_disabled: bool) -> None:
    """An end that nobody asked for. `here` runs, and has let go. Only where that is the return of the function that made it,
    now is its end; else its end was some time ago, and what is known to be its own is up to the last checkpoint."""
    if node.is_plain and _frames.place(here) == node.caller:
        outer = node.parent
        if outer is not None and outer.waits and not outer.is_open and outer.frame_id == node.frame_id:
            now_ns = min(now_ns, outer.begin_ns + outer.total_ns)  # the same end
        node.total_ns = now_ns - node.begin_ns
        node.rest_ns = now_ns - node.last_ns if node.marks else 0
        is_frame_left = True
    else:
        _hold(node, now_ns)
        is_frame_left = not _frames.is_among(node, _frames.stack(here))
    node.is_rebound = not is_frame_left
    # Its frame goes, and takes the variables one by one: others of them are inside it, and end with it.
    node.waits = is_frame_left
    _end(node, is_disabled)


def withdraw(node: Node) -> None:
    """One that was only made to decorate a function."""
    with _work:
        node.is_open = False
        _open.discard(node)
        _frames.forget(node)
        if node.parent is not None:
            node.parent.children.discard(node)


def _hold(node: Node, now_ns: int) -> None:
    node.total_ns = node.last_ns - node.begin_ns
    node.held_ns = now_ns - node.last_ns


def _end(node: Node, is_disabled: bool) -> None:
    node.is_open = False
    if _is_busy():
        _later.append(lambda: _end_now(node, is_disabled))
        return
    with _work:
        _end_now(node, is_disabled)


def _end_now(node: Node, is_disabled: bool) -> None:
    _open.discard(node)
    _frames.forget(node)
    if node.generation != settings().generation:
        node.is_mute = not _switch(node) or node.is_mute
    prints = not is_disabled and not node.is_mute and not node.is_immediate
    node.qualifies = prints and node.took_threshold(node.total_ns)
    if not prints or node.qualifies:
        node.served_span = 0  # nobody need ask for it
    if node.slowest is not None and node.total_ns >= node.threshold_ns:
        _slow_calls.tell(node.slowest)
    if node.waits and any(child.frame_id == node.frame_id and child.code_id == node.code_id for child in node.children):
        return
    _finalize(node)


def _settle(node: Node) -> None:
    """One that waits for others of its frame, of which one goes on: they do not end with it."""
    if node.waits and not node.is_open:
        _finalize(node)


def _finalize(node: Node) -> None:
    node.waits = False
    now_ns = node.begin_ns + node.total_ns + node.held_ns
    for child in sorted(node.children, key=lambda child: child.begin_ns):
        if node.is_rebound and not child.marks and not child.had_child:
            child.parent = node.parent
            if node.parent is not None:
                node.parent.children.add(child)
        else:
            _attach(node, child.snapshot(now_ns))
            child.parent = None
        child.outer = node.outer
    node.children = set()
    if node.served_span:
        _slow_calls.hold(node.served_span, _sink_of(node), _whole_text(node))
    if node.is_immediate and not node.is_mute:
        if node.rest_ns:
            _put_line(node, _text.rest_line(node.rest_ns, node.calls), 1)
        _put_line(node, _report.exit_line(node), 0)
        node.is_printed = True
    parent = node.parent
    if parent is None:
        _emit(node)
        return
    parent.children.discard(node)
    if node.sink is not None and node.sink != parent.sink:
        _emit(node)
    _attach(parent, node)
    node.parent = None
    if parent.waits and not parent.is_open and not any(child.frame_id == parent.frame_id for child in parent.children):
        _finalize(parent)


def _attach(parent: Node, node: Node) -> None:
    """Puts one that has ended among its parent's lines."""
    end_ns = max(node.begin_ns + node.total_ns - parent.begin_ns, 0)
    item = Item((node.site.number, node.row), _text.escape(node.label), node.total_ns, end_ns, node.n, None, node)
    if node.sink is None:
        node.sink = parent.sink
    parent.add(item, node.row, lambda lost: _spill(lost, parent))


# ---- reports ---------------------------------------------------------------------------------------------------------


def _whole_text(node: Node, note: Optional[str] = None) -> str:
    return _report.text(node, note, _report.prefix() if settings().has_prefix else "")


def _emit(node: Node, note: Optional[str] = None) -> None:
    if node.qualifies and not node.is_printed:
        _reports.append((node.sink, _whole_text(node, note)))
        node.is_printed = True
    else:
        _emit_inside(node, note)
    node.release()


def _emit_inside(node: Node, note: Optional[str] = None) -> None:
    for item in node.items:
        if item.node is not None and not item.node.is_printed:
            _emit(item.node, note)


def _is_certain(node: Optional[Node]) -> bool:
    """Is it sure to be in a report, with what is inside it?"""
    while node is not None:
        if not node.is_mute and not node.is_immediate and node.took_threshold(node.last_ns - node.begin_ns):
            return True
        node = node.parent
    return False


def _spill(node: Node, parent: Optional[Node] = None) -> None:
    """A nested one that will be a part of a line only: it is printed now if that line might not be."""
    if not _is_certain(parent):
        _emit(node, "parent still open")
    else:
        node.release()


def _put_line(node: Node, line: str, indent: int) -> None:
    outer = node.parent
    while outer is not None:
        indent += outer.is_immediate
        outer = outer.parent
    line_prefix = _report.prefix() if settings().has_prefix else ""
    _reports.append((node.sink, line_prefix + " " * (_text.INDENT * indent) + line + "\n"))


def _sink_of(node: Node) -> _printer.Sink:
    """Its own, or that of the nearest around it that has one."""
    at: Optional[Node] = node
    while at is not None and at.sink is None:
        at = at.parent
    return None if at is None else at.sink


def print_text(sink: _printer.Sink, text: str) -> None:
    """A report that was held."""
    with _work:
        _reports.append((sink, text))


def flush() -> None:
    """Prints what has ended and waits for one around it."""
    with _work:
        for node in sorted(_open, key=lambda node: node.begin_ns):
            _emit_inside(node, "parent still open")


# ---- the process -----------------------------------------------------------------------------------------------------


def end_all() -> None:
    """At exit: the inner ones first, so that each is in its parent's report. They come late, as all that nobody ended."""
    with _work:
        now_ns = clock()
        waiting = list(_open)
        for node in waiting:
            node.is_open = False
            node.open_note = "still open at exit"
            _hold(node, now_ns)
        inner = sorted((node for node in waiting if node.parent is not None), key=lambda node: -node.begin_ns)
        for node in inner + sorted((node for node in waiting if node.parent is None), key=lambda node: node.begin_ns):
            node.children = {child for child in node.children if child.waits}
            _end_now(node, False)


def forget_all() -> None:
    """In a forked child: what was open is the parent's, which reports it."""
    global _lock, _is_marking  # pylint: disable=global-statement
    _lock, _is_marking = threading.RLock(), False
    for node in _open:
        node.is_open = False
        node.children = set()
        node.release()
    _open.clear()
    _later.clear()
    _reports.clear()
    _frames.forget_all()
    _slow_calls.forget()
    _printer.forget()
    _printer.local.depth = 0


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_all)
