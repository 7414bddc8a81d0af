# SPDX-License-Identifier: MIT
"""`export --format folded`, by a parser of a few lines: own times, sums, names, what is unfinished or gone, bounds."""
import collections
import re

import common_export as export
import common_stacks as stacks
import helper_speedscope
from common_export import common

VALUE = re.compile(r"^(.*)\s+?(\d+(?:\.\d*)?)$", re.ASCII)  # a line as flamegraph.pl takes it apart


def read(text):
    """{frames: nanoseconds}"""
    found = collections.defaultdict(int)
    for line in text.splitlines():
        stack, value = VALUE.match(line).groups()
        common.check(not VALUE.match(stack), f"it has a second value: {line!r}")
        frames = tuple(stack.split(";"))
        found[frames] += int(value)
    common.check(len(set(text.splitlines())) == text.count("\n"), "a line is not whole, or there twice")
    return dict(found)


def folded_frames(labels):
    return tuple(re.sub(r" ([0-9.]+)$", "\u00a0\\1", label).replace(";", ":") for label in labels)


def folded(directory, *more):
    with open(export.export(directory, "folded", *more), encoding="utf-8", newline="\n") as file:
        return read(file.read())


def test_own_times_and_totals():
    directory = export.threads()
    found = folded(directory)
    stacks.check_own_times(found, directory)
    stacks.check_totals(found, directory)
    common.equal(list(found), sorted(found))
    common.check(("subject", "main", "left by longjmp", "(abandoned)") in found, found)
    # The same to a pipe as to a file.
    common.equal(read(common.lapmark("export", "--format", "folded", directory).out), found)


def test_calls_are_no_laps():
    directory = export.calls()
    found = folded(directory)
    stacks.check_own_times(found, directory, but=[("call_pair", "serve")], tolerance_ns=10)
    common.check(("call_pair", "client", "get items") in found, found)


def test_handles():
    directory = export.handles()
    found = folded(directory)
    stacks.check_own_times(found, directory, but=stacks.HAVE_OTHERS_INSIDE)
    stacks.check_totals(found, directory, [("around the handles", "request %d", "query"), ("around the handles", "without checkpoints")])


def test_awkward_names():
    found = folded(export.awkward())
    labels = {stack[1] for stack in found}
    common.equal(len(labels), 12 + 100, labels)
    common.check(all(len(stack) == 3 for stack in found), found)
    for label in ("</script><script>document.title = 'owned'</script>", "a:b:c stack", "two\\nlines\\r\\nand a\\ttab", " ",
                  "🐌 slow, \\xe2\\x80\\xa8line\\xe2\\x80\\xa9 separators", "invalid \\xff\\xfe\\xc3 UTF-8", "run-time label\u00a099"):
        common.check(("subject", label, "(rest)") in found and ("subject", label, label) in found, (label, labels))
    common.equal(max(map(len, labels)), 255)


def test_alike_names():
    directory = stacks.stacks("alike", 50)
    found = folded(directory)
    wanted = {}
    for stack, value in stacks.own_times(directory).items():
        stack = folded_frames(stack)
        wanted[stack] = wanted.get(stack, 0) + value.total_ns
    around = ("stacks", "phase\u00a02")
    common.equal(set(found),
                 {(*around, "step\u00a01.5"), (*around, "(rest)"), *((*around, "a:b", name) for name in ("a:b", "(rest)"))})
    common.check(abs(found[(*around, "step\u00a01.5")] - wanted[(*around, "step\u00a01.5")]) <= 2, (found, wanted))


def test_what_has_no_end():
    found = folded(export.killed())
    common.equal(list(found), [("subject", "open for ever", "(unfinished)")])
    common.equal(folded(export.empty()), {})


def test_what_is_gone():
    directory = export.lossy()
    found = folded(directory)
    common.check(found["subject", "around all", "(cut)"] > 0, found)
    stacks.check_totals(found, directory, [("around all",)])
    whole, torn = folded(export.threads()), folded(export.torn())
    common.check(0 < sum(torn.values()), (torn, whole))


def test_several_recordings():
    directories = export.threads(), export.awkward(), export.calls()
    wanted = {}
    for directory in directories:
        for stack, ns in folded(directory).items():
            wanted[stack] = wanted.get(stack, 0) + ns
    found = folded(*directories)
    common.equal(set(found), set(wanted))
    common.check(all(abs(found[stack] - ns) <= len(directories) for stack, ns in wanted.items()), (found, wanted))


def test_several_hosts():
    stacks.check_hosts(folded(*export.hosts()))


def test_too_many_stacks():
    directory = stacks.stacks("wide", 30000)
    found = folded(directory)
    common.check(40000 < len(found) < 50000, len(found))
    common.check(found["stacks", "around all", stacks.OTHERS] > 0, len(found))
    common.check(all(stacks.OTHERS not in stack[:-1] for stack in found), "what is below the others is among them")
    report = common.lapmark_json("report", directory)
    total_ns, = (site["total_ns"] for site in report["sites"] if site["path"] == ["around all"])
    common.check(abs(stacks.subtree_ns(found, ("stacks", "around all")) - total_ns) <= len(found), total_ns)


def test_too_deep_stacks():
    found = folded(stacks.stacks("deep", 2000))
    deepest = max(found, key=len)
    common.equal((len(deepest), deepest[-1], set(deepest[1:-1])), (1025, stacks.OTHERS, {"level"}))


def test_speedscope_itself():
    if not helper_speedscope.PACKAGE:
        print("without speedscope: not from the npm registry")
        return
    with helper_speedscope.Speedscope() as speedscope:
        for form in "folded", "pprof":  # it reads both
            file, warnings = speedscope.load(export.export(export.awkward(), form))
            profile, = file["profiles"]
            found, frames, last = collections.Counter(), [], 0
            for event in profile["events"]:
                found[tuple(frames)] += event["at"] - last
                last = event["at"]
                if event["type"] == "O":
                    frames.append(folded_frames([file["shared"]["frames"][event["frame"]]["name"]])[0])
                else:
                    frames.pop()
            common.equal((warnings, +found), ([], +collections.Counter(folded(export.awkward()))))


if __name__ == "__main__":
    export.main(globals())
