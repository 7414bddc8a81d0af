# SPDX-License-Identifier: MIT
"""`export --format chrome`, read by a few lines of Python, by Perfetto's trace_processor, by speedscope, and by Firefox's
profiler: all must find the same slices, whose counts, durations, nesting and names are those of the recording."""
import collections
import functools
import itertools
import json
import os
import pty
import re
import shutil
import subprocess
import tempfile
import time

import common_export as export
import helper_speedscope
from common_export import Sum, common

HELPER = os.path.join(export.SOURCE, "tests/export/helper_trace_processor.mjs")
READER = os.path.join(os.environ.get("PERFETTO_READER", ""), "assets/trace-processor")
FIREFOX = os.path.join(os.environ.get("FIREFOX_PROFILER", ""), "dist/profiler-cli.js")
NODE = shutil.which("node") or shutil.which("nodejs")

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


def coarse():
    """A clock said to be 32 times as fast as it is: many laps, and profilers, take less than a nanosecond."""
    directory = os.path.join(export.WORK, "coarse")
    if not os.path.exists(directory):
        shutil.copytree(export.threads(), directory)
        process = export.process_of(directory)
        export.control(process, "clock_hz", 32 * export.control(process, "clock_hz"))
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


def flows_of(trace):
    """{phase: {id: (track, ns)}}"""
    flows = {"s": {}, "f": {}}
    for event in trace["traceEvents"]:
        if event["ph"] in flows:
            common.check(event["id"] not in flows[event["ph"]], event)
            flows[event["ph"]][event["id"]] = ((event["pid"], event["tid"]), ns(event))
    return flows


def served_of(slices, flow):
    """The slice of a profiler that serves a call, and the end of a lap in it, from where a flow ends."""
    place, = (number for number, row in enumerate(slices) if (row.track, row.ts, row.category) == (*flow, "profiler"))
    return slices[place], {row.name: row.ts + row.dur for row in slices if row.around == place}


def test_calls_say_where_their_time_went():
    for make in (export.calls, export.at_once):
        trace, slices = of(make)
        start_ns, flows = int(trace["otherData"]["start_time_ns"]), flows_of(trace)
        wanted = export.calls_by_hand(make())
        calls = sorted((row for row in slices if row.category == "call"), key=lambda row: row.ts)
        common.equal([row.name for row in calls], [call.name for call in wanted])
        for row, call in zip(calls, wanted):
            export.check_call(call, start_ns + row.ts, start_ns + row.ts + row.dur, row.args)
            common.equal(row.args.get("refused", False), call.refused)
            common.equal(flows["s"][hex(int(call.id, 16))], (row.track, row.ts))
            if call.served is not None:
                served, ends = served_of(slices, flows["f"][hex(int(call.id, 16))])
                export.check_served((row.ts, row.ts + row.dur), served.ts, ends["parse"], error_ns=100_000)
                common.check(abs(start_ns + served.ts - call.served) < 500_000, (start_ns, served, call))
        common.equal(len(flows["f"]), sum(call.served is not None for call in wanted))


def test_hosts_are_on_one_clock():
    client, server = export.hosts()
    trace, slices = read(export.export(client, "chrome", server, export.elsewhere(), export.killed()))
    labels = sorted(event["args"]["labels"] for event in trace["traceEvents"] if event["name"] == "process_labels")
    common.equal(labels[:2], [f"{export.LOST} events lost, times by its wall clock", "died"])
    error_ns, = (int(re.fullmatch(r"times within (\d+) ns", text)[1]) for text in labels[2:])
    flows = flows_of(trace)
    calls = {(row.track, row.ts): row for row in slices if row.category == "call"}
    common.equal((len(calls), set(flows["s"])), (20, set(flows["f"])))
    for number, flow in flows["s"].items():
        served, ends = served_of(slices, flows["f"][number])
        export.check_served((calls[flow].ts, calls[flow].ts + calls[flow].dur), served.ts, ends["worked"], error_ns + 2)


def test_ids_are_in_no_arguments():
    trace, slices = of(export.calls)
    common.equal({name for row in slices for name in row.args}, {"message", "server_ns", "queue_ns", "between_ns"})
    ids = {phase: [event["id"] for event in trace["traceEvents"] if event["ph"] == phase] for phase in "sf"}
    common.equal(len(set(ids["s"])), 5)
    common.equal(sorted(ids["s"]), sorted(ids["f"]))


def test_awkward_names():
    slices = of(export.awkward)[1]
    names = [collections.Counter(row.name for row in slices if row.category == category) for category in ("profiler", "lap")]
    export.check_awkward(*names, collections.Counter(row.args["message"] for row in slices if row.name == "%s argument"))


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
    trace, slices = of(export.twins)
    common.equal(collections.Counter(row.name for row in slices if row.category == "profiler"), {"one of many": 6, "around all": 2})
    common.equal(len({event["pid"] for event in trace["traceEvents"]}), 2)


def test_to_a_pipe():
    path = export.export(export.threads(), "chrome")
    with open(path, encoding="utf-8") as file:
        common.equal(common.lapmark("export", "--format", "chrome", export.threads()).out, file.read())


def test_progress():
    """On a terminal, from the second second on, as when it waits for a reader; and the line is wiped."""
    directory = export.record("long", export.program("subject", "tests/export"), "many", "80000")  # 2.6 MB: it is told for each 1.3
    terminal, end = pty.openpty()
    with subprocess.Popen([common.LAPMARK, "export", "--format", "chrome", directory], stdout=subprocess.PIPE, stderr=end,
                          stdin=subprocess.DEVNULL, env=common.environment(TERM="xterm")) as process:
        os.close(end)
        process.stdout.read(35_000_000)  # of 56
        time.sleep(1.1)
        process.stdout.read()
    told = b""
    try:
        while piece := os.read(terminal, 65536):
            told += piece
    except OSError:  # the other end is closed
        os.close(terminal)
    common.equal(process.returncode, 0)
    common.check(re.fullmatch(rb"(\rlapmark: exporting: \d+ %\x1b\[K)+\r\x1b\[K", told), told)


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
    path = of_several(export.twins(), *export.hosts())
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
    flows = flows_of(trace)
    common.equal(len(found["flows"]), len(set(flows["s"]) & set(flows["f"])))
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
