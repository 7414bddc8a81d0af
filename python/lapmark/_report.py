# SPDX-License-Identifier: MIT
"""The lines of a report, from a node that has ended."""
from __future__ import annotations

import os
import sys
import threading
from typing import List, Optional

from . import _tasks, _text
from ._nodes import Item, Node

LINES_MAX = 1000
BYTES_MAX = 64 << 10


def prefix() -> str:
    """What LAPMARK_PREFIX=on puts before each line: `python3[1234/1240] worker-1 Task-3: `, with the names of a thread that is
    not the main one and of a task, where there is one."""
    program = os.path.basename((getattr(sys, "orig_argv", None) or [sys.executable or "python"])[0])[:40]
    thread = threading.current_thread()
    names = [] if thread is threading.main_thread() else [thread.name]
    task = _tasks.current_task()
    if task is not None:
        names.append(task.get_name() if hasattr(task, "get_name") else str(getattr(task, "name", "task")))
    shown = " ".join(_text.escape(name)[:60] for name in names)
    return f"{program}[{os.getpid()}/{threading.get_native_id()}] " + (f"{shown}: " if shown else "")


def _put_item(lines: List[str], item: Item, indent: int) -> None:
    space = " " * indent
    if not item.is_nested:
        lines.append(space + (_text.lap_line(item.label, item.sum_ns, item.tot_ns, item.sizes, item.wait,
                                             item.calls) if item.count == 1 else
                              _text.laps_line(item.label, item.count, item.sum_ns, item.tot_ns, item.max_ns, item.sizes,
                                              item.wait, item.calls)))
        return
    node = item.node
    is_printed = node is not None and node.is_printed
    if item.count > 1 or is_printed or node is None:
        note = None if not is_printed else "slowest printed before" if item.count > 1 else "printed before"
        lines.append(space + _text.nested_line(item.label, item.count, item.sum_ns, item.max_ns, item.sizes, note))
    if node is not None and not is_printed:
        put(lines, node, indent + (_text.INDENT if item.count > 1 else 0), "slowest" if item.count > 1 else None)


def exit_line(node: Node) -> str:
    return _text.exit_line(_text.escape(node.label), node.total_ns, node.sizes(), node.open_note, node.held_ns)


def put(lines: List[str], node: Node, indent: int, note: Optional[str]) -> None:
    space, inside = " " * indent, " " * (indent + _text.INDENT)
    lines.append(space + _text.enter_line(_text.escape(node.label), note))
    for item in node.items:
        _put_item(lines, item, indent + _text.INDENT)
    if node.more:
        lines.append(inside + _text.more_line(node.more))
    if node.rest_ns:
        lines.append(inside + _text.rest_line(node.rest_ns, node.calls))
    lines.append(space + exit_line(node))


def _cut(lines: List[str]) -> List[str]:
    """At most so many lines and bytes; the last one is the outermost exit and stays."""
    kept, size = 0, len(lines[-1]) + 64
    for line in lines[:-1]:
        size += len(line.encode("utf-8", "replace")) + 1
        if kept >= LINES_MAX - 2 or size > BYTES_MAX:
            break
        kept += 1
    if kept >= len(lines) - 1:
        return lines
    return lines[:kept] + [" " * _text.INDENT + _text.more_line(len(lines) - 1 - kept), lines[-1]]


def text(node: Node, note: Optional[str], line_prefix: str) -> str:
    lines: List[str] = []
    put(lines, node, 0, note)
    return "".join(line_prefix + line + "\n" for line in _cut(lines))
