# SPDX-License-Identifier: MIT
"""`export --format pprof`, read by the npm package pprof-format: counts, own times, sites, names, what is lost, bounds; and by
protoc with pprof's definitions, of Debian's golang-github-google-pprof-dev."""
import collections
import json
import os
import shutil
import subprocess
import sys

import common_export as export
import common_protobuf as protobuf
import common_stacks as stacks
from common_export import common

HELPER = os.path.join(export.SOURCE, "tests/export/helper_pprof.mjs")
READER = os.environ.get("PPROF_FORMAT", "")
Sample = collections.namedtuple("Sample", "frames values")
PROTO = "/usr/share/gocode/src/github.com/google/pprof/proto"
NODE = shutil.which("node") or shutil.which("nodejs")


def read(path):
    process = subprocess.run([NODE, HELPER, READER, path], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    common.check(process.returncode == 0, process.stderr.decode(errors="replace"))
    profile = json.loads(process.stdout)
    common.equal((profile["types"], profile["default_type"]), ([["samples", "count"], ["time", "nanoseconds"]], "time"))
    profile["samples"] = [Sample([profile["frames"][number] for number in frames], values) for frames, values in profile["samples"]]
    return profile


def pprof(directory, *more):
    return read(export.export(directory, "pprof", *more))


def labels(sample):
    return tuple(frame["label"] for frame in sample.frames)


def added_up(profile, value):
    """{labels: sum}: a lap and a profiler may have one name."""
    found = {}
    for sample in profile["samples"]:
        found[labels(sample)] = found.get(labels(sample), 0) + sample.values[value]
    return found


def test_counts_and_times():
    for directory, but in (export.threads(), ()), (export.calls(), [("call_pair", "serve")]), (export.handles(), stacks.HAVE_OTHERS_INSIDE):
        profile = pprof(directory)
        stacks.check_own_times(added_up(profile, 1), directory, but=but, tolerance_ns=10)
        counts = {stack: count for stack, count in added_up(profile, 0).items() if stacks.is_measured(stack)}
        common.equal(counts, {stack: value.count for stack, value in stacks.own_times(directory).items()})
    stacks.check_totals(added_up(pprof(export.threads()), 1), export.threads())


def test_sites():
    profile = pprof(export.threads())
    report = common.lapmark_json("report", export.threads())
    wanted = {tuple(site["path"]): (site["file"], site["line"], site["function"]) for site in report["sites"] if site["kind"] != "rest"}
    found = {}
    for sample in profile["samples"]:
        common.equal({frame["mapping"] for frame in sample.frames}, {"subject"})
        common.equal(sample.frames[0], {"label": "subject", "function": "", "file": "", "line": 0, "mapping": "subject"})
        leaf = sample.frames[-1]
        if leaf["file"]:
            found[labels(sample)[1:]] = (leaf["file"], leaf["line"], leaf["function"])
    del wanted["main", "left by longjmp"]  # it has no total
    common.equal(found, wanted)


def test_head():
    profile = pprof(export.threads())
    process, = common.lapmark_json("report", export.threads())["processes"]
    common.check(abs(int(profile["time_ns"]) - process["start_time_ns"]) <= 1, (profile["time_ns"], process))
    common.check(abs(profile["duration_ns"] - process["duration_ns"]) <= 1, (profile["duration_ns"], process))
    common.equal(profile["comments"], [process["name"]])
    common.check(pprof(export.lossy())["comments"][0].endswith(": older events overwritten"), "what is gone is told")
    common.check(pprof(export.killed())["comments"][0].endswith(": died"), "the end is told")


def test_awkward_names():
    profile = pprof(export.awkward())
    names = {labels(sample)[1] for sample in profile["samples"]}
    common.equal((len(names), max(map(len, names))), (12 + 100, 255), names)
    for label in ("</script><script>document.title = 'owned'</script>", "a;b;c stack", "two\\nlines\\r\\nand a\\ttab", " ",
                  "🐌 slow, \\xe2\\x80\\xa8line\\xe2\\x80\\xa9 separators", "invalid \\xff\\xfe\\xc3 UTF-8", "run-time label 99"):
        common.check(label in names, (label, names))


def test_what_has_no_end():
    sample, = pprof(export.killed())["samples"]
    common.equal((labels(sample), sample.values[0]), (("subject", "open for ever", "(unfinished)"), 1))
    common.equal(pprof(export.empty())["samples"], [])
    sample, = (sample for sample in pprof(export.threads())["samples"] if labels(sample)[-1] == "(abandoned)")
    common.equal((labels(sample)[1:], sample.values[0]), (("main", "left by longjmp", "(abandoned)"), 1))


def test_what_is_gone():
    found = added_up(pprof(export.lossy()), 1)
    common.check(found["subject", "around all", "(cut)"] > 0, found)
    stacks.check_totals(found, export.lossy(), [("around all",)])


def test_definitions():
    """Every field is one of the definitions', and protoc finds the same in them."""
    for directory in (export.threads(), export.calls(), export.awkward(), export.killed(), export.empty()):
        path = export.export(directory, "pprof")
        profile = protobuf.messages(protobuf.decoded(path, "perftools.profiles.Profile", PROTO, "profile.proto"))
        values = [tuple(map(int, sample["value"])) for sample in profile["sample"]]
        common.equal(values, [tuple(sample.values) for sample in read(path)["samples"]])
        texts = [text.decode() for text in profile["string_table"]]
        common.equal((texts[0], len(set(texts))), ("", len(texts)))
        functions = {function["id"][0]: texts[int(function["name"][0])] for function in profile["function"]}
        locations = {location["id"][0]: functions[location["line"][0]["function_id"][0]] for location in profile["location"]}
        common.equal([tuple(locations[number] for number in reversed(sample["location_id"])) for sample in profile["sample"]],
                     [labels(sample) for sample in read(path)["samples"]])


def test_several_recordings():
    profile = pprof(export.threads(), export.calls())
    common.equal(len(profile["comments"]), 3)
    common.equal({frame["mapping"] for sample in profile["samples"] for frame in sample.frames}, {None})
    wanted = {**added_up(pprof(export.threads()), 0), **added_up(pprof(export.calls()), 0)}
    common.equal(added_up(profile, 0), wanted)


def test_several_hosts():
    profile = pprof(*export.hosts())
    stacks.check_hosts(added_up(profile, 1))
    counts = added_up(profile, 0)
    common.equal({stack[1:]: count for stack, count in counts.items()},
                 {**{("fetch %u items, %u at a time", *lap): count for lap, count in (((), 1), (("get item",), 20), (("got item",), 20), (("(rest)",), 1))},
                  **{("serve an item", *lap): 20 for lap in ((), ("worked",), ("result sent",), ("(rest)",))}})
    common.check(sorted(comment.split(":")[0] for comment in profile["comments"]) ==
                 sorted(name for directory in export.hosts() for name in os.listdir(directory)), profile["comments"])


def test_torn():
    """As far as it goes."""
    profile = pprof(export.torn())
    counts = added_up(profile, 0)
    common.check(20 < counts["subject", "around all", "one of many"] < 80, counts)
    common.equal(counts["subject", "around all", "(unfinished)"], 1)
    common.check(profile["comments"][0].startswith(os.listdir(export.torn())[0]), profile["comments"])


def test_bounds():
    found = added_up(pprof(stacks.stacks("wide", 30000)), 0)
    # Each item has a profiler, a lap and a rest; what is left over is one "(others)", or one below the last item that has a stack.
    common.equal(sum(found.values()), 3 * 30000 + 3)
    common.check(stacks.OTHERS in {stack[-1] for stack in found}, len(found))
    found = added_up(pprof(stacks.stacks("deep", 2000)), 0)
    deepest = max(map(len, found))
    common.equal({stack[-1]: count for stack, count in found.items() if len(stack) == deepest}, {"level": 1, stacks.OTHERS: 2000 - 1024})
    common.equal(deepest, 1025)


if __name__ == "__main__":
    if not NODE or not protobuf.PROTOC or not os.path.exists(PROTO) or not os.path.exists(os.path.join(READER, "dist/esm/index.js")):
        print("not tested here: no node, no protoc, no definitions of pprof's, or no pprof-format from the npm registry")
        sys.exit(common.SKIPPED)
    export.main(globals())
