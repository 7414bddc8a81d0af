# SPDX-License-Identifier: MIT
"""Which profilers a frame has made, without holding the frame: a reference would keep its variables, and with them the
profilers, alive.

A small object is put into `f_trace`, which Python reads only while the frame is traced. It dies with the frame, so what it
lists is never taken for another frame's. Where a tracer has that place, and in Python 3.9, where a frame with an `f_trace`
shows wrong line numbers in tracebacks, frames are compared by address and code instead."""
from __future__ import annotations

import inspect
import sys
from types import CodeType, FrameType
from typing import Any, Dict, Iterable, Iterator, List, Optional, Set, Tuple

HAS_MARKS = sys.version_info >= (3, 10)
_SUSPENDS = (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE)

#: Frames of these are part of a profiler's construction: __init__ and __new__ of subclasses.
CONSTRUCTORS: Set[CodeType] = set()

#: Nodes by the address of a frame that has no mark.
_unmarked: Dict[int, List[Any]] = {}


def note_subclass(cls: Any) -> None:
    """For __init_subclass__ of Profiler: the constructors of a subclass are not who makes a profiler."""
    for name in ("__init__", "__new__"):
        function = cls.__dict__.get(name)
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if code is not None:
            CONSTRUCTORS.add(code)
    if "__init__" in cls.__dict__:
        cls.__signature__ = constructor_signature(cls)


def constructor_signature(cls: Any) -> inspect.Signature:
    """By __init__; inspect would show that of __new__."""
    signature = inspect.signature(cls.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def local(frame: FrameType, name: str, profiler_class: type) -> Any:
    """A local variable's value, None without one. Up to Python 3.12 a frame that was asked keeps its variables in a dictionary
    as well: a profiler is taken out of that, or it would not die when its name is bound anew."""
    code = frame.f_code
    if name not in code.co_varnames and name not in code.co_cellvars and name not in code.co_freevars:
        return None
    variables = frame.f_locals
    value = variables.get(name)
    if isinstance(variables, dict):
        for key in [key for key, value in variables.items() if isinstance(value, profiler_class)]:
            del variables[key]
    return value


class FrameMark:
    """Lists the nodes of one frame."""

    __slots__ = ("nodes", "frame_id")

    def __init__(self, frame_id: int) -> None:
        self.nodes: List[Any] = []
        self.frame_id = frame_id

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """Called where the frame is traced from now on: changes nothing."""

    def __del__(self) -> None:
        nodes = [node for node in self.nodes if node.is_open]
        if not nodes:
            return
        # A debugger that starts takes the place of a frame that goes on.
        is_replaced = any(id(frame) == self.frame_id for frame in stack(sys._getframe(0)))  # pylint: disable=protected-access
        for node in nodes:
            if is_replaced:
                _unmarked.setdefault(self.frame_id, []).append(node)
            else:
                node.is_frame_gone = True


def stack(frame: Optional[FrameType]) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def constructing(frame: FrameType) -> FrameType:
    """The frame that makes a profiler, behind those of its class."""
    while frame.f_code in CONSTRUCTORS and frame.f_back is not None:
        frame = frame.f_back
    return frame


def place(frame: Optional[FrameType]) -> Optional[Tuple[int, int]]:
    """Where a frame stands: the same again only while it has not gone on."""
    return None if frame is None else (id(frame), frame.f_lasti)


def suspends(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & _SUSPENDS)


def register(frame: FrameType, node: Any) -> None:
    mark = frame.f_trace
    if mark is None and HAS_MARKS:
        mark = FrameMark(id(frame))
        frame.f_trace = mark
    if type(mark) is FrameMark:
        mark.nodes[:] = [other for other in mark.nodes if other.is_open]
        mark.nodes.append(node)
    else:
        _unmarked.setdefault(id(frame), []).append(node)


def forget(node: Any) -> None:
    """A node that has ended. A mark drops it when it gets the next."""
    nodes = _unmarked.get(node.frame_id)
    if nodes and node in nodes:
        nodes.remove(node)
        if not nodes:
            del _unmarked[node.frame_id]


def forget_all() -> None:
    _unmarked.clear()


def nodes_of(frame: FrameType) -> Iterable[Any]:
    """The frame's nodes that are open, newest first."""
    nodes: List[Any] = []
    mark = frame.f_trace
    if type(mark) is FrameMark:
        nodes = mark.nodes
    for node in reversed(nodes + _unmarked.get(id(frame), [])):
        if node.is_open and node.code_id == id(frame.f_code):
            yield node


def innermost(frame: FrameType) -> Optional[Any]:
    """The innermost open node of this frame and those that called it."""
    for outer in stack(frame):
        for node in nodes_of(outer):
            # Without marks: one made here, at this place or behind it, is of the turn before or of a frame that was.
            if HAS_MARKS or outer is not frame or node.lasti < frame.f_lasti:
                return node
    return None


def is_among(node: Any, frames: Iterable[FrameType]) -> bool:
    return not node.is_frame_gone and any(id(frame) == node.frame_id and node in nodes_of(frame) for frame in frames)
