# SPDX-License-Identifier: MIT
"""`export --format chrome`, read by a few lines of Python, by Perfetto's trace_processor, by speedscope, and by Firefox's
profiler: all must find the same slices, whose counts, durations, nesting and names are those of the recording."""
import collections
import functools
import itertools
import json
import os
import shutil
import struct
import subprocess
import tempfile

import common_export as export
import helper_speedscope
from common_export import Sum, common

HELPER = os.path.join(export.SOURCE, "tests/export/helper_trace_processor.mjs")
READER = os.path.join(os.environ.get("PERFETTO_READER", ""), "assets/trace-processor")
FIREFOX = os.path.join(os.environ.get("FIREFOX_PROFILER", ""), "dist/profiler-cli.js")
NODE = shutil.which("node") or shutil.which("nodejs")

CLOCK_HZ_OFFSET = 96  # doc/format.md, "Control"

Slice = collections.namedtuple("Slice", "track name category ts dur depth around args")


def ns(event):
    return int(event["ts"] * 1000 + 0.005)


def read(path):
    """The events, and the slices in the order of their begins; `around` is the slice around it, by its place. An unfinished one has no
    duration."""
    with open(path, encoding="utf-8") as file:
        trace = json.load(file)
    common.equal(trace["displayTimeUnit"], "ns")
    slices, stacks = [], collections.defaultdict(list)
    for event in sorted((event for event in trace["traceEvents"] if event["ph"] in "BE"), key=lambda event: event["ts"]):
        track = event["pid"], event["tid"]
        stack = stacks[track]
        if event["ph"] == "B":
            slices.append(Slice(track, event["name"], event["cat"], ns(event), None, len(stack), stack[-1] if stack else None,
                                event.get("args", {})))
            stack.append(len(slices) - 1)
        else:
            number = stack.pop()
            begun = slices[number]
            common.equal((event["name"], event["cat"]), (begun.name, begun.category))
            slices[number] = begun._replace(dur=ns(event) - begun.ts, args=begun.args | event.get("args", {}))
    return trace, slices


@functools.cache
def of(make):
    return read(export.export(make(), "chrome"))


def of_several(*more):
    """All in one file, but what is large, and with a coarse clock."""
    first, *others = (make() for make in export.ALL if make not in (export.lossy, export.threads))
    return export.export(coarse(), "chrome", first, *others, *more)


def kind_of(found):
    return "rest" if found.name == "(rest)" else "profiler" if found.category == "call" else found.category


def sums(slices, by_chain):
    """As export.truth(): without the recorder's pauses, and what has no proper end."""
    took, found = [row.dur for row in slices], collections.defaultdict(lambda: Sum(0, 0))
    for row in slices:
        around = row.around if row.category == "recorder" else None
        while around is not None:
            if took[around] is not None:
                took[around] -= row.dur
            around = slices[around].around
    for row, took_ns in zip(slices, took):
        if row.category == "recorder" or {"unfinished", "abandoned"} & set(row.args):
            continue
        labels, around = [row.name], row.around
        while by_chain and around is not None:
            if slices[around].category == "profiler":
                labels.insert(0, slices[around].name)
            around = slices[around].around
        key = (tuple(labels) if by_chain else row.name, kind_of(row))
        found[key] = Sum(found[key].count + 1, found[key].total_ns + took_ns)
    return dict(found)


def counters_of(trace):
    """{(pid, name): values}"""
    counters = collections.defaultdict(list)
    for event in trace["traceEvents"]:
        if event["ph"] == "C":
            counters[event["pid"], event["name"]].append(event["args"]["n"])
    return counters


def twins():
    """Two processes with one number, as of two hosts."""
    directory = os.path.join(export.WORK, "twins")
    os.makedirs(directory, exist_ok=True)
    while len(os.listdir(directory)) < 2:
        name = f"twin-{len(os.listdir(export.WORK))}"
        process = export.process_of(export.record(name, export.program("subject", "tests/export"), "many", "3"))
        others = [os.path.join(directory, other) for other in os.listdir(directory)]
        pid, *other_pids = (common.lapmark_json("report", path)["processes"][0]["pid"] for path in [process, *others])
        if other_pids and len(str(pid)) == len(str(other_pids[0])):
            with open(os.path.join(process, "metadata"), "r+b") as file:
                data = file.read().replace(f"pid = {pid};".encode(), f"pid = {other_pids[0]};".encode())
                file.seek(0)
                file.write(data)
        elif other_pids:
            shutil.rmtree(others[0])
        shutil.move(process, directory)
    return directory


def coarse():
    """A clock said to be 32 times as fast as it is: many laps, and profilers, take less than a nanosecond."""
    directory = os.path.join(export.WORK, "coarse")
    if not os.path.exists(directory):
        shutil.copytree(export.threads(), directory)
        with open(os.path.join(export.process_of(directory), ".lapmark/control"), "r+b") as file:
            hz, = struct.unpack_from("<Q", file.read(), CLOCK_HZ_OFFSET)
            file.seek(CLOCK_HZ_OFFSET)
            file.write(struct.pack("<Q", 32 * hz))
    return directory


def test_scopes_nest_and_add_up():
    directory = export.threads()
    trace, slices = of(export.threads)
    export.compare_sums(sums(slices, True), export.truth(directory))
    common.equal({row.args["message"] for row in slices if row.name == "inner of %d"}, {f"inner of {turn}" for turn in range(20)})
    common.equal(sum(row.args.get("n", 0) for row in slices if row.name == "inner of %d"), 2 * 3 * sum(range(1, 21)))
    common.equal([row.name for row in slices if "abandoned" in row.args], ["left by longjmp"])
    common.equal({name: sum(values) for (_, name), values in counters_of(trace).items()}, {"array lookup": 2 * 3 * sum(3 * 10 * turn + 3 for turn in range(20)),
                            "inner of %d": 2 * 3 * sum(range(1, 21))})
    begins = [json.loads(line)["time_ns"] for line in common.lapmark("show", "--events", "--json", directory).out.splitlines()
              if json.loads(line)["kind"] == "begin"]
    common.equal(min(row.ts for row in slices) + int(trace["otherData"]["start_time_ns"]), min(begins))


def test_handles_and_calls_have_tracks():
    for make in (export.handles, export.calls):
        _, slices = of(make)
        export.compare_sums(sums(slices, False), export.truth(make(), by_chain=False))
    tracks = collections.defaultdict(set)
    for row in of(export.handles)[1]:
        tracks[row.name].add(row.track)
    common.check(not tracks["request %d"] & tracks["around the handles"], tracks)


def test_ids_are_in_no_arguments():
    trace, slices = of(export.calls)
    common.equal({name for row in slices for name in row.args}, {"message", "server_ns", "queue_ns", "between_ns"})
    ids = {phase: [event["id"] for event in trace["traceEvents"] if event["ph"] == phase] for phase in "sf"}
    common.equal(len(set(ids["s"])), 5)
    common.equal(sorted(ids["s"]), sorted(ids["f"]))


def test_awkward_names():
    names = collections.Counter(row.name for row in of(export.awkward)[1] if row.category == "profiler")
    common.equal(sum(names.values()), 3 * 12 + 100)
    for part in ("</script><script>document.title = 'owned'</script>", "\"double\", 'single', `back`, \\ and ${code}; 'DROP TABLE span;--",
                 "two\\nlines\\r\\nand a\\ttab", "🐌 slow, \\xe2\\x80\\xa8line\\xe2\\x80\\xa9 separators", "invalid \\xff\\xfe\\xc3 UTF-8", " "):
        common.equal(names[part], 3, (part, names))


def test_what_is_not_whole():
    common.equal([(row.name, row.args) for row in of(export.killed)[1]], [("open for ever", {"unfinished": True})])
    with open(export.export(export.lossy(), "chrome"), encoding="utf-8") as file:
        begin, end = (json.loads(line.rstrip(",\n")) for line in file if '"name":"around all"' in line)
    common.equal((begin["ph"], begin["args"], end["ph"]), ("B", {"cut": True}, "E"))
    common.equal(of(export.empty)[1], [])
    names = collections.Counter(row.name for row in of(export.torn)[1])
    common.check(20 < names["one of many"] < 80 and names["around all"] == 1, names)
    labels, = (event["args"]["labels"] for event in of(export.killed)[0]["traceEvents"] if event["name"] == "process_labels")
    common.equal(labels, "died")


def test_processes_of_one_number():
    trace, slices = of(twins)
    common.equal(collections.Counter(row.name for row in slices if row.category == "profiler"), {"one of many": 6, "around all": 2})
    common.equal(len({event["pid"] for event in trace["traceEvents"]}), 2)


def test_to_a_pipe():
    path = export.export(export.threads(), "chrome")
    with open(path, encoding="utf-8") as file:
        common.equal(common.lapmark("export", "--format", "chrome", export.threads()).out, file.read())


QUERIES = {
    "stats": "select name, value from stats where severity != 'info' and value > 0",
    "slices": "select s.id, s.ts, s.dur, s.name, s.category, s.depth, p.pid, t.tid, extract_arg(s.arg_set_id, 'args.n') as n, "
              "extract_arg(s.arg_set_id, 'args.message') as message from slice s join thread_track k on s.track_id = k.id "
              "join thread t using (utid) join process p using (upid) order by s.id",
    "threads": "select p.pid, p.name as process, t.tid, t.name from thread t join process p using (upid) where p.pid != 0",
    "counters": "select p.pid, t.name, count(*) as count, sum(c.value) as sum from counter c join process_counter_track t "
                "on c.track_id = t.id join process p using (upid) group by 1, 2",
    "flows": "select o.name as out, i.name as inside, o.ts <= i.ts as forward from flow f join slice o on f.slice_out = o.id "
             "join slice i on f.slice_in = i.id",
}


def test_trace_processor_finds_the_same():
    if not NODE or not os.path.exists(READER):
        print("without trace_processor: no node, or not from the npm registry")
        return
    path = of_several(twins(), *export.hosts())
    process = subprocess.run([NODE, HELPER, READER, path, *QUERIES.values()], stdin=subprocess.DEVNULL, capture_output=True,
                             check=False)
    common.check(process.returncode == 0, process.stderr.decode(errors="replace"))
    lines = [json.loads(line) for line in process.stdout.decode().splitlines() if line.startswith("[")]
    found = dict(zip(QUERIES, lines))
    trace, slices = read(path)
    common.equal(found["stats"], [])
    theirs = [((int(row["pid"]), int(row["tid"])), row["name"], row["category"], int(row["ts"]), int(row["dur"]), int(row["depth"]),
               row["n"] and int(row["n"]), row["message"]) for row in found["slices"]]
    ours = [(row.track, row.name, row.category, row.ts, row.dur, row.depth, row.args.get("n"), row.args.get("message")) for row in slices]
    for got, wanted in itertools.zip_longest(sorted(theirs, key=str), sorted(ours, key=str)):
        common.equal(got, wanted)
    common.equal({row["forward"] for row in found["flows"]}, {"1"})
    common.equal(len(found["flows"]), sum(event["ph"] == "s" for event in trace["traceEvents"]))
    common.check(len(found["flows"]) > 5 and found["flows"][0].items() >= {"out": "get items", "inside": "serve"}.items(), found["flows"])
    metadata = {(event["pid"], event["tid"]): event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    common.equal({(int(row["pid"]), int(row["tid"])): row["name"] for row in found["threads"]
                  if (int(row["pid"]), int(row["tid"])) in metadata}, metadata)
    common.equal({(int(row["pid"]), row["name"]): (int(row["count"]), float(row["sum"])) for row in found["counters"]},
                 {(pid, f"{name} n"): (len(values), sum(values)) for (pid, name), values in counters_of(trace).items()})


def test_speedscope_finds_the_same():
    if not os.path.exists(helper_speedscope.PACKAGE):
        print("without speedscope: not from the npm registry")
        return
    path = of_several()
    _, slices = read(path)
    with helper_speedscope.Speedscope() as speedscope:
        file, warnings = speedscope.load(path)
    common.equal([text for text in warnings if "Doing nothing" in text or "still open" in text], [])
    common.check(sum(row.dur == 0 for row in slices) > 100, "nothing takes no time")
    tracks = collections.defaultdict(list)
    for row in slices:
        tracks[row.track].append(row)
    common.equal(len(file["profiles"]), len(tracks))
    for track, profile in zip(sorted(tracks), file["profiles"]):
        common.check(f"pid {track[0]}" in profile["name"] and f"tid {track[1]}" in profile["name"], (track, profile["name"]))
        found = helper_speedscope.calls(file, profile)
        start = min(row.ts for row in tracks[track])
        for call, row in itertools.zip_longest(found, tracks[track]):
            common.check(call and row and call.name.startswith(row.name), (call, row))
            common.equal((int(call.begin * 1000 + 0.005), int(call.end * 1000 + 0.005), call.depth), (row.ts - start, row.ts - start + row.dur, row.depth),
                         (call, row))


def firefox_markers(path):
    """{(pid, name of the thread, name): Sum}"""
    with tempfile.TemporaryDirectory(dir=export.WORK) as home:
        def ask(*words):
            result = subprocess.run([NODE, FIREFOX, *words], env={**os.environ, "HOME": home, "PROFILER_CLI_SESSION_DIR": home},
                                    stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=100)
            common.check(result.returncode == 0, result)
            return result.stdout
        ask("load", path)
        try:
            found = collections.defaultdict(lambda: Sum(0, 0))
            for thread in json.loads(ask("thread", "list", "--json"))["threads"]:
                markers = json.loads(ask("thread", "markers", "--thread", thread["threadHandle"], "--json"))
                for kind in markers["byType"]:
                    if kind["isInterval"]:
                        key = int(thread["pid"]), thread["name"], kind["markerName"]
                        total_ns = kind["count"] * kind["durationStats"]["avg"] * 10 ** 6
                        found[key] = Sum(found[key].count + kind["count"], found[key].total_ns + total_ns)
            return found
        finally:
            ask("stop")


def test_firefox_finds_the_same():
    if not NODE or not os.path.exists(FIREFOX):
        print("without Firefox's profiler: no node, or not from the npm registry")
        return
    path = export.export(export.threads(), "chrome", export.handles(), export.calls(), export.awkward())
    trace, slices = read(path)
    threads = {(event["pid"], event["tid"]): event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    wanted = collections.defaultdict(lambda: Sum(0, 0))
    for row in slices:
        key = row.track[0], threads[row.track], row.name
        wanted[key] = Sum(wanted[key].count + 1, wanted[key].total_ns + row.dur)
    export.compare_sums(firefox_markers(path), wanted)


if __name__ == "__main__":
    export.main(globals())
