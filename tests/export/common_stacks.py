# SPDX-License-Identifier: MIT
"""What the tests of sums by stack share: own times by a reader that shares no code with the command."""
import collections

import common_export as export
from common_export import Sum, common, lapmark_format

MARKS = ("(unfinished)", "(abandoned)", "(cut)")  # below a profiler, and in no total of a report
OTHERS = "(others)"


def stacks(case, count):
    return export.record(f"{case}-{count}", export.program("stacks", "tests/export"), case, str(count))


class Own:
    """Own times of one ring: a scope's laps without what is in them; of handles, into which others cannot be seen from here, whole."""

    def __init__(self, process):
        self.process = process
        self.walker = lapmark_format.Walker(process.metadata, process.paths)
        self.inner, self.has_laps = [], []  # of each open scope, since its last checkpoint
        self.found = collections.defaultdict(lambda: Sum(0, 0))

    def add(self, path, ticks):
        key = (self.process.metadata.env["program"], *self.process.labels(path))
        before = self.found[key]
        self.found[key] = Sum(before.count + 1, before.total_ns + float(ticks * 10 ** 9 / self.process.ticks_a_second))

    def lap(self, path, ticks, depth):
        inner, self.inner[depth], self.has_laps[depth] = self.inner[depth], 0, True
        self.add(path, max(0, ticks - inner))

    def total(self, path, ticks, depth):
        self.add(path, 0 if self.has_laps[depth] else ticks - self.inner[depth])
        if depth > 0:
            self.inner[depth - 1] += ticks

    def see(self, event):
        scopes = list(self.walker.scopes)
        kind, depth = event.event_class.kind, len(scopes) - 1
        for what, path, ticks in self.walker.walk(event):
            if kind == "call" or kind.startswith("handle_"):
                self.add(path, ticks)
                if kind == "call" and depth >= 0 and not event.fields["handle"]:
                    self.inner[depth] += ticks
            elif what == "total":
                self.total(path, ticks, depth)
            else:
                self.lap(path, ticks, depth)
        if kind == "abandoned":
            for scope in reversed(scopes[len(self.walker.scopes):]):
                depth -= 1
                if depth >= 0:
                    self.inner[depth] += event.ticks - self.walker.paused - scope.begin
        while len(self.inner) < len(self.walker.scopes):
            self.inner.append(0)
            self.has_laps.append(False)
        del self.inner[len(self.walker.scopes):], self.has_laps[len(self.walker.scopes):]


def own_times(directory):
    """{labels from the program on: Sum}, without what a report has no total of."""
    found = collections.defaultdict(lambda: Sum(0, 0))
    for process in lapmark_format.read_recording(directory).values():
        for ring in process.rings.values():
            own = Own(process)
            for segment in ring.segments:
                own.walker.enter(segment, True)
                for event in segment.events(process.metadata.classes):
                    own.see(event)
            for key, value in own.found.items():
                found[key] = Sum(found[key].count + value.count, found[key].total_ns + value.total_ns)
    return dict(found)


def is_measured(stack):
    return stack[-1] not in MARKS


AROUND_HANDLES = ("subject", "around the handles")
HAVE_OTHERS_INSIDE = [AROUND_HANDLES, (*AROUND_HANDLES, "request %d"), (*AROUND_HANDLES, "request %d", "query")]  # of export.handles()


def check_own_times(found, directory, *more, but=(), tolerance_ns=3):
    """`found` is {frames: nanoseconds}. These are exact: added up, and then cut to whole nanoseconds. `but`: has others inside."""
    wanted = {stack: value.total_ns for each in (directory, *more) for stack, value in own_times(each).items()}
    common.equal(sorted(set(filter(is_measured, found)) - set(wanted)), [], "stacks that nobody made")
    for stack, ns in wanted.items():
        common.check(stack in but or abs(found.get(stack, 0) - ns) <= tolerance_ns, (stack, found.get(stack), ns))


def subtree_ns(found, stack):
    """What a profiler took, all in all."""
    return sum(ns for other, ns in found.items() if other[:len(stack)] == stack and other[len(stack):len(stack) + 1] != ("(abandoned)",))


HOSTS = [("host_call_client", "fetch %u items, %u at a time"), ("host_call_server", "serve an item")]


def check_hosts(found):
    """Of export.hosts(): times are by each one's own clock."""
    check_own_times(found, *export.hosts(), but=HOSTS, tolerance_ns=100)
    common.equal({stack[:2] for stack in found}, set(HOSTS))


def check_totals(found, directory, paths=None):
    """The sum below each profiler is the report's total."""
    report = common.lapmark_json("report", directory)
    program = report["processes"][0]["program"]
    checked = 0
    for site in report["sites"]:
        if site["kind"] == "profiler" and site["count"] > 0 and (paths is None or tuple(site["path"]) in paths):
            stack = (program, *site["path"])
            below = sum(1 for other in found if other[:len(stack)] == stack)
            got = subtree_ns(found, stack)
            common.check(abs(got - site["total_ns"]) <= 1 + below, (stack, got, site["total_ns"]))
            checked += 1
    common.check(checked > 0, report)
