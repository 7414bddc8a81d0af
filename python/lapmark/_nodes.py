# SPDX-License-Identifier: MIT
"""What is known of a profiler apart from the object itself: where it belongs, its times, the lines of its report.

A node never refers to its profiler, so whoever holds nodes (a parent, a context, a frame's mark) keeps no profiler alive."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from . import _sites, _text

FOLD_ABOVE = 3  # so many of one label are lines of their own; from the next on they are one
LINES_MAX = 1000  # of a node and all that is inside


class Item:
    """A line, or several of one label as one; of a nested profiler with its node, whose lines follow."""

    __slots__ = ("key", "label", "count", "sum_ns", "max_ns", "tot_ns", "sizes", "wait", "calls", "node", "is_nested")

    def __init__(self, key: object, label: str, ns: int, tot_ns: int, n: Optional[int], wait: Optional[_text.Wait],
                 node: Optional["Node"]) -> None:
        self.key = key
        self.label = label
        self.count = 1
        self.sum_ns = self.max_ns = ns
        self.tot_ns = tot_ns
        self.sizes = None if n is None else _text.Sizes(n, n)
        self.wait = wait
        self.calls: Optional[_text.Calls] = None
        self.node = node
        self.is_nested = node is not None

    def add(self, other: "Item") -> None:
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.max_ns = max(self.max_ns, other.max_ns)
        self.tot_ns = other.tot_ns
        if other.sizes and self.sizes:
            self.sizes = _text.Sizes(min(self.sizes.least, other.sizes.least), max(self.sizes.greatest, other.sizes.greatest))
        else:
            self.sizes = self.sizes or other.sizes
        if other.wait and self.wait:
            self.wait = _text.Wait(*(mine + its for mine, its in zip(self.wait, other.wait)))
        else:
            self.wait = self.wait or other.wait
        if other.calls and self.calls:
            self.calls = self.calls.plus(other.calls)
        else:
            self.calls = self.calls or other.calls


class Node:
    """See above. Times are in ns of time.perf_counter_ns()."""

    __slots__ = (
        # what it is
        "site", "label", "row", "names", "n", "threshold_ns", "sink", "is_env", "is_named", "is_immediate", "is_mute", "generation",
        # where it was made
        "frame_id", "code_id", "lasti", "is_plain", "caller", "is_frame_gone", "thread", "task",
        # where it belongs; `parent` is open or about to end, `outer` the one to look in for later ones' parents
        "parent", "outer", "inherited", "children", "had_child",
        # how far it is
        "is_open", "begin_ns", "last_ns", "marks", "task_clock", "task_times",
        # calls to other processes: those that came back since the last checkpoint, its own step of a trace, and that of the
        # request that it serves, whose caller may ask for the report by the span; the slowest, and was one slow for its server
        "calls", "own", "serving", "served_span", "slowest", "is_kept",
        # how it ended; `waits` for others of its frame that end with it
        "total_ns", "rest_ns", "held_ns", "is_rebound", "waits", "open_note", "qualifies", "is_printed",
        # its report
        "items", "groups", "lines", "more", "__weakref__")

    def __init__(self) -> None:
        self.parent: Optional[Node] = None
        self.outer: Optional[Node] = None
        self.inherited: Optional[Node] = None
        self.children: Set[Node] = set()
        self.had_child = self.is_frame_gone = self.is_rebound = self.waits = self.qualifies = self.is_printed = False
        self.is_open = True
        self.marks = 0
        self.total_ns = self.rest_ns = self.held_ns = 0
        self.open_note: Optional[str] = None
        self.task_clock: Any = None
        self.task_times: Tuple[int, int, int] = (0, 0, 0)
        self.calls: Optional[_text.Calls] = None
        self.own: Any = None
        self.serving: Any = None
        self.served_span = 0
        self.slowest: Any = None
        self.is_kept = False
        self.items: List[Item] = []
        self.groups: Dict[object, List[Item]] = {}
        self.lines = 3
        self.more = 0
        self.site: _sites.Site
        self.label: str
        self.sink: Optional[Callable[[str], object]]

    def is_mine(self, thread: int, task: object) -> bool:
        return self.thread == thread and (self.task is None if task is None else self.task is not None and self.task() is task)

    def took_threshold(self, ns: int) -> bool:
        """Would it print, had it ended after so long?"""
        return self.is_kept or ns >= self.threshold_ns

    def sizes(self) -> Optional[_text.Sizes]:
        return None if self.n is None else _text.Sizes(self.n, self.n)

    def has_ancestor(self, other: "Node") -> bool:
        node: Optional[Node] = self
        while node is not None and node is not other:
            node = node.outer
        return node is other

    # ---- lines ------------------------------------------------------------------------------------------------------

    def add(self, item: Item, row: str, spill: Callable[[Node], None]) -> None:
        """Adds a line. `spill` is called with a nested node whose lines get lost in a fold."""
        group = self.groups.get(item.key)
        if group is None:
            if self.lines >= LINES_MAX:
                self.more += 1
                self.drop(item, spill)
                return
            group = self.groups[item.key] = []
        if len(group) == 1 and group[0].count > 1:
            self.fold(group[0], item, spill)
            return
        if len(group) < FOLD_ABOVE:
            self.items.append(item)  # first: another thread's checkpoint may fold the group, and take its lines out of here
            group.append(item)
            self.lines += 1 + self.room(item, spill)
            return
        first = group[0]
        first.label = _text.escape(row)
        for other in group[1:]:
            self.items.remove(other)
            self.lines -= 1 + (other.node.lines if other.node else 0)
            self.fold(first, other, spill)
        del group[1:]
        self.fold(first, item, spill)

    def room(self, item: Item, spill: Callable[[Node], None]) -> int:
        """The lines that are inside; where they are too many the item is left with its own."""
        if item.node is None:
            return 0
        if self.lines + item.node.lines <= LINES_MAX:
            return item.node.lines
        self.more += item.node.lines
        self.drop(item, spill)
        return 0

    def fold(self, first: Item, item: Item, spill: Callable[[Node], None]) -> None:
        first_ns, was = first.max_ns, first.node
        first.add(item)
        if item.node is None:
            return
        if was is None or item.max_ns > first_ns:
            self.lines -= was.lines if was else 0
            lost, first.node = was, item.node
            self.lines += self.room(first, spill)
        else:
            lost = item.node
        if lost is not None:
            spill(lost)

    @staticmethod
    def drop(item: Item, spill: Callable[[Node], None]) -> None:
        if item.node is not None:
            spill(item.node)
            item.node = None

    def release(self) -> None:
        """Once it is printed, or cannot be any more: a context may hold it for long."""
        self.items = []
        self.groups = {}
        self.lines = 1

    def snapshot(self, now_ns: int) -> "Node":
        """As it is at this moment, for the report of a parent that ends before it."""
        copy = Node()
        copy.site, copy.label, copy.row, copy.n, copy.marks = self.site, self.label, self.row, self.n, self.marks
        copy.begin_ns, copy.last_ns, copy.sink = self.begin_ns, self.last_ns, self.sink
        copy.total_ns = max(now_ns - self.begin_ns, 0)
        copy.rest_ns = max(now_ns - self.last_ns, 0) if self.marks else 0
        copy.open_note = "still open"
        copy.calls = self.calls
        for item in self.items:
            twin = Item(item.key, item.label, item.sum_ns, item.tot_ns, None, item.wait, item.node)
            twin.count, twin.max_ns, twin.sizes, twin.calls = item.count, item.max_ns, item.sizes, item.calls
            copy.items.append(twin)
        copy.lines, copy.more = self.lines, self.more
        return copy
