# SPDX-License-Identifier: MIT
"""`export --format perfetto`, read by Perfetto's own trace_processor: counts, durations, nesting, names, flows, counters, processes; and by
protoc with Perfetto's definitions."""
import collections
import functools
import json
import os
import re
import shutil
import subprocess
import sys

import common_export as export
import common_protobuf as protobuf
import helper_traces
from common_export import Sum, common

HELPER = os.path.join(export.SOURCE, "tests/export/helper_trace_processor.mjs")
READER = os.path.join(os.environ.get("PERFETTO_READER", ""), "assets/trace-processor")
NODE = shutil.which("node") or shutil.which("nodejs")

QUERIES = {
    "stats": "select name, value from stats where severity != 'info' and value > 0",
    "slices": "select s.id, s.parent_id as parent, s.ts, s.dur, s.name, s.category, s.track_id as track, "
              "coalesce(p.upid, t.upid) as upid, extract_arg(s.arg_set_id, 'debug.n') as n, "
              "extract_arg(s.arg_set_id, 'debug.message') as message, extract_arg(s.arg_set_id, 'debug.cut') as cut, "
              "extract_arg(s.arg_set_id, 'debug.unfinished') as unfinished, extract_arg(s.arg_set_id, 'debug.abandoned') as abandoned, "
              "extract_arg(s.arg_set_id, 'debug.trace_id') as trace_id, extract_arg(s.arg_set_id, 'debug.span_id') as span_id, "
              "extract_arg(s.arg_set_id, 'debug.server_ns') as server_ns, extract_arg(s.arg_set_id, 'debug.queue_ns') as queue_ns, "
              "extract_arg(s.arg_set_id, 'debug.between_ns') as between_ns, extract_arg(s.arg_set_id, 'debug.refused') as refused "
              "from slice s left join process_track p on s.track_id = p.id left join thread_track k on s.track_id = k.id "
              "left join thread t using (utid)",
    "processes": "select upid, pid, name, start_ts, extract_arg(arg_set_id, 'chrome.process_label[0]') as label from process",
    "snapshots": "select snapshot_id as id, clock_id, clock_value from clock_snapshot",
    "threads": "select name, tid, upid from thread",
    "counters": "select t.upid, t.name, count(*) as count, sum(c.value) as sum from counter c join process_counter_track t "
                "on c.track_id = t.id group by 1, 2 order by 1, 2",
    "flows": "select o.id as out, i.id as inside from flow f join slice o on f.slice_out = o.id join slice i on f.slice_in = i.id",
}
NUMBERS = {"id", "parent", "ts", "dur", "track", "upid", "pid", "tid", "n", "count", "sum", "out", "inside", "start_ts", "clock_id",
           "clock_value", *export.PARTS}


def asked(path, *queries):
    """Rows for each."""
    process = subprocess.run([NODE, HELPER, READER, path, *queries], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    common.check(process.returncode == 0, process.stderr.decode(errors="replace"))
    return [json.loads(line) for line in process.stdout.decode().splitlines() if line.startswith("[")]


@functools.cache
def trace():
    """All recordings in one file, for which trace_processor is started once: {name of a query: rows}."""
    first, *others = (make() for make in export.ALL)
    path = export.export(first, "perfetto", *others, *export.hosts(), export.elsewhere(), export.twins())
    return {name: [{key: int(value) if key in NUMBERS and value is not None else value for key, value in row.items()} for row in rows]
            for name, rows in zip(QUERIES, asked(path, *QUERIES.values()))}


@functools.cache
def of(directory, name="slices"):
    """The rows of the processes of one of the recordings; slices by their id."""
    pids = {process["pid"] for process in common.lapmark_json("report", directory)["processes"]}
    upids = {row["upid"] for row in trace()["processes"] if row["pid"] in pids}
    common.equal(len(upids), len(pids))
    rows = [row for row in trace()[name] if row["upid"] in upids]
    return {row["id"]: row for row in rows} if name == "slices" else rows


def own_ns(slices):
    """Durations without the recorder's pauses inside, by id."""
    took = {number: row["dur"] for number, row in slices.items()}
    for row in slices.values():
        around = row["parent"] if row["category"] == "recorder" else None
        while around is not None:
            took[around] -= row["dur"]
            around = slices[around]["parent"]
    return took


def kind_of(row):
    return "rest" if row["name"] == "(rest)" else "profiler" if row["category"] == "call" else row["category"]


def chain(slices, row):
    """Labels from the root: a profiler is in a lap in time, and in the lap's profiler as reports have it."""
    labels = [row["name"]]
    while row["parent"] is not None:
        row = slices[row["parent"]]
        if row["category"] == "profiler":
            labels.insert(0, row["name"])
    return tuple(labels)


def sums(slices, by_chain):
    took, found = own_ns(slices), collections.defaultdict(lambda: Sum(0, 0))
    for number, row in slices.items():
        if row["category"] == "recorder" or row["unfinished"] or row["abandoned"]:
            continue
        key = (chain(slices, row) if by_chain else row["name"], kind_of(row))
        found[key] = Sum(found[key].count + 1, found[key].total_ns + took[number])
    return dict(found)


def test_nothing_is_refused():
    common.equal(trace()["stats"], [])


def test_scopes_nest_and_add_up():
    directory = export.threads()
    slices = of(directory)
    wanted = export.truth(directory)
    # What came behind the jump is in the scope that it left: nothing is stored of that until the next begin or end.
    export.compare_sums(sums(slices, True), wanted)
    for row in slices.values():
        if row["parent"] is not None:
            around = slices[row["parent"]]
            common.check(around["ts"] <= row["ts"] and row["ts"] + row["dur"] <= around["ts"] + around["dur"], (row, around))
            common.equal(around["track"], row["track"])
    messages = {row["message"] for row in slices.values() if row["name"] == "inner of %d"}
    common.equal(messages, {f"inner of {turn}" for turn in range(20)})
    common.equal({row["message"] for row in slices.values() if row["name"] == "formatted %d as %s"},
                 {f"formatted {turn} as {'odd' if turn % 2 else 'even'}" for turn in range(20)})
    common.equal(sum(row["n"] or 0 for row in slices.values() if row["name"] == "inner of %d"), 2 * 3 * sum(range(1, 21)))
    common.equal([row["name"] for row in slices.values() if row["abandoned"]], ["left by longjmp"])


def test_processes_threads_and_counters():
    directory = export.threads()
    process, = common.lapmark_json("report", directory)["processes"]
    common.equal([(row["pid"], row["name"]) for row in of(directory, "processes")], [(process["pid"], "subject")])
    common.equal(sorted(row["name"] for row in of(directory, "threads")), ["subject", "worker-0", "worker-1", "worker-2"])
    common.equal([(row["name"], row["count"], row["sum"]) for row in of(directory, "counters")],
                 [("n of array lookup", 360, 2 * 3 * sum(3 * 10 * turn + 3 for turn in range(20))),
                  ("n of inner of %d", 120, 2 * 3 * sum(range(1, 21)))])
    events = [json.loads(line) for line in common.lapmark("show", "--events", "--json", directory).out.splitlines()]
    first_ns = min(event["time_ns"] for event in events if event["kind"] == "begin")
    found_ns = min(row["ts"] for row in of(directory).values())
    common.check(abs(found_ns - first_ns) <= 10 ** 5, (found_ns, first_ns, "by the clock of another process"))


def test_handles_have_tracks():
    directory = export.handles()
    slices = of(directory)
    export.compare_sums(sums(slices, False), export.truth(directory, by_chain=False))
    tracks = collections.defaultdict(set)
    for row in slices.values():
        tracks[row["name"]].add(row["track"])
    for row in slices.values():  # what is open at the same time and does not nest is not on one track
        if row["category"] == "profiler":
            common.equal(row["parent"], None, row)
    common.check(not tracks["request %d"] & tracks["around the handles"], tracks)
    for row in slices.values():
        if row["name"] in ("parsed", "on the other thread"):
            common.equal(slices[row["parent"]]["name"], "request %d")


def process_of(directory):
    """The row of the only process there."""
    process, = of(directory, "processes")
    return process


def test_calls():
    for make in (export.calls, export.at_once):
        slices = of(make())
        export.compare_sums(sums(slices, False), export.truth(make(), by_chain=False), tolerance_ns=100)
        wanted = export.calls_by_hand(make())
        calls = sorted((row for row in slices.values() if row["category"] == "call"), key=lambda row: row["ts"])
        common.equal([row["name"] for row in calls], [call.name for call in wanted])
        shift_ns = calls[0]["ts"] - wanted[0].begin  # beside others, by the clock of one of them
        common.check(abs(shift_ns) <= 10 ** 5, shift_ns)
        flows = {row["out"]: slices[row["inside"]] for row in trace()["flows"] if row["out"] in slices}
        for row, call in zip(calls, wanted):
            begin, end = row["ts"], row["ts"] + row["dur"]
            export.check_call(call, begin - shift_ns, end - shift_ns, row, tolerance_ns=100)
            common.equal((row["trace_id"], row["span_id"], row["refused"] is not None, row["parent"]), (call.trace, call.id, call.refused, None))
            common.check(not any(other["track"] == row["track"] and begin < other["ts"] + other["dur"] and other["ts"] < end
                                 for other in calls if other is not row), (row, calls))
            served = flows.get(row["id"])
            common.equal(served and served["name"], call.served and "serve")
            if served:
                replied, = (lap["ts"] + lap["dur"] for lap in slices.values() if lap["parent"] == served["id"] and lap["name"] == "parse")
                export.check_served((begin, end), served["ts"], replied, error_ns=100_000)
                common.check(served["upid"] != row["upid"] and abs(served["ts"] - shift_ns - call.served) < 500_000, (served, call))


def test_hosts_are_on_one_clock():
    client, server = map(of, export.hosts())
    flows = [(client[row["out"]], server[row["inside"]]) for row in trace()["flows"] if row["out"] in client]
    common.equal(len(flows), 20)
    label = process_of(export.hosts()[1])["label"]
    error_ns = int(re.fullmatch(r"times within (\d+) ns", label)[1])
    for out, inside in flows:  # the server's profiler goes on after its reply
        worked, = (lap["ts"] + lap["dur"] for lap in server.values() if lap["parent"] == inside["id"] and lap["name"] == "worked")
        export.check_served((out["ts"], out["ts"] + out["dur"]), inside["ts"], worked, error_ns + 2)
    labels = {directory: process_of(directory)["label"] for directory in (export.threads(), export.killed(), export.elsewhere())}
    common.equal(list(labels.values()), [None, "died", f"{export.LOST} events lost, times by its wall clock"])


def test_clocks():
    """A snapshot for each clock, with both readings at the start of the first process that has it."""
    snapshots = collections.defaultdict(dict)
    for row in trace()["snapshots"]:
        snapshots[row["id"]]["real" if row["clock_id"] == 1 else "monotonic"] = row["clock_value"]
    directories = [make() for make in export.ALL] + [*export.hosts(), export.elsewhere(), export.twins()]
    processes = [os.path.join(directory, name) for directory in directories for name in os.listdir(directory)]
    own = {domain: {export.control(process, "start_monotonic_ns"): process for process in processes
                    if export.control(process, "clock_domain") == domain}
           for domain in {export.control(process, "clock_domain") for process in processes}}
    common.equal((len(own), len(snapshots)), (3, 3))
    starts = {row["start_ts"] for row in trace()["processes"] if row["pid"]}
    common.equal(len(starts), len(processes))
    for snapshot in snapshots.values():
        domain, = (domain for domain, found in own.items() if snapshot["monotonic"] in found)
        common.check(snapshot["real"] in starts, (snapshot, starts))
        start_ns = common.lapmark_json("report", own.pop(domain)[snapshot["monotonic"]])["processes"][0]["start_time_ns"]
        ahead_ns = export.ahead_ns() if domain == export.control(export.process_of(export.hosts()[1]), "clock_domain") else 0
        common.check(abs(snapshot["real"] + ahead_ns - start_ns) <= 10 ** 6, (snapshot, start_ns, ahead_ns))


def test_processes_of_one_number():
    reported = common.lapmark_json("report", export.twins())["processes"]
    rows = [row for row in trace()["processes"] if row["pid"] == reported[0]["pid"]]
    common.equal(sorted(abs(row["start_ts"] - process["start_time_ns"]) < 10 ** 5 for row in rows for process in reported),
                 [False, False, True, True])
    for upid in {row["upid"] for row in rows}:
        names = collections.Counter(row["name"] for row in trace()["slices"] if row["upid"] == upid and row["category"] == "profiler")
        common.equal(names, {"one of many": 3, "around all": 1})


def test_awkward_names():
    rows = of(export.awkward()).values()
    names = [collections.Counter(row["name"] for row in rows if row["category"] == category) for category in ("profiler", "lap")]
    export.check_awkward(*names, collections.Counter(row["message"] for row in rows if row["name"] == "%s argument"))


def test_what_has_no_end():
    common.equal([(row["name"], row["unfinished"]) for row in of(export.killed()).values()], [("open for ever", "1")])


def test_what_is_gone():
    directory = export.lossy()
    slices = of(directory)
    outer, = (row for row in slices.values() if row["name"] == "around all")
    common.check(outer["cut"] and outer["parent"] is None, outer)
    common.check(outer["ts"] < min(row["ts"] for row in slices.values() if row is not outer), "its begin is known")
    found, wanted = sums(slices, True), export.truth(directory)
    pauses = found.pop((("around all",), "profiler")).total_ns - wanted.pop((("around all",), "profiler")).total_ns
    common.check(pauses > 0, "those that came before what is there are gone, too")
    export.compare_sums(found, wanted)


def test_definitions():
    """Every field is one of the definitions', and what protoc finds adds up to what trace_processor does."""
    for directory in (export.threads(), export.calls(), export.awkward()):
        text = protobuf.decoded(export.export(directory, "perfetto"), "perfetto.protos.Trace", os.path.join(export.SOURCE, "tests/export"),
                                "perfetto.proto")
        names, totals, commands = {}, collections.Counter(), []
        for packet in protobuf.messages(text)["packet"]:
            sequence = packet["trusted_packet_sequence_id"][0]
            commands += [process["cmdline"][0].decode() for track in packet["track_descriptor"] for process in track["process"]]
            for interned in packet["interned_data"]:
                names.update({(sequence, name["iid"][0]): name["name"][0].decode() for name in interned["event_names"]})
            for event in packet["track_event"]:
                kind, = event["type"]
                totals[kind] += 1
                totals["ns"] += int(packet["timestamp"][0]) * {"TYPE_SLICE_BEGIN": -1, "TYPE_SLICE_END": 1}.get(kind, 0)
                if kind == "TYPE_SLICE_BEGIN":
                    name = event["name"][0].decode() if event["name"] else names[sequence, event["name_iid"][0]]
                    totals["name", name] += 1
        common.equal(commands, [process["command"] for process in common.lapmark_json("report", directory)["processes"]])
        slices = of(directory).values()
        common.equal((totals["TYPE_SLICE_BEGIN"], totals["TYPE_SLICE_END"]), 2 * (len(slices),))
        common.equal(totals["TYPE_COUNTER"], sum(row["count"] for row in of(directory, "counters")))
        took_ns = sum(row["dur"] for row in slices)  # beside others, by the clock of one of them
        common.check(abs(totals["ns"] - took_ns) <= len(slices) + took_ns * 1e-6, (totals["ns"], took_ns))
        common.equal({key[1]: count for key, count in totals.items() if key[0] == "name"}, collections.Counter(row["name"] for row in slices))


def foreign():
    """Another tool's trace, with slices of all kinds."""
    events = [{"ph": "M", "name": "process_name", "pid": 70, "args": {"name": "the first"}}]
    for pid, tid in (70, 71), (70, 72), (80, 81):
        for turn in range(20):
            whole = {"ph": "X", "pid": pid, "tid": tid}
            events += [{**whole, "ts": 1000 * turn + tid + 10, "dur": 200.5, "name": "inside"},
                       {**whole, "ts": 1000 * turn + tid, "dur": 700, "name": "around", "cat": "x", "args": {"size": turn}},
                       {**whole, "ph": "B", "ts": 1000 * turn + 900, "name": "begun \"é\""}, {**whole, "ph": "E", "ts": 1000 * turn + 901.125}]
    events += [{"ph": phase, "ts": at, "pid": 80, "tid": 81, "cat": "net", "id": number, "name": "request"}
               for number in range(10) for phase, at in (("b", 500 * number), ("e", 500 * number + 900))]
    path = os.path.join(export.WORK, "foreign.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"traceEvents": events}, file)
    return path


def test_another_tools_trace():
    """What trace_processor finds in the trace itself is in what it is exported as."""
    path = foreign()
    rows, = asked(path, "select name, count(*) as count, sum(dur) as sum from slice group by 1")
    wanted = {row["name"]: (int(row["count"]), int(row["sum"])) for row in rows}
    common.equal(wanted["request"], (10, 9_000_000))
    helper_traces.check_exported(path, wanted)


def test_empty_and_torn():
    common.equal(of(export.empty()), {})
    names = collections.Counter(row["name"] for row in of(export.torn()).values())
    common.check(20 < names["one of many"] < 80 and names["around all"] == 1, names)


if __name__ == "__main__":
    if not NODE or not protobuf.PROTOC or not os.path.exists(READER):
        print("not tested here: no node, no protoc, or no trace_processor from the npm registry")
        sys.exit(common.SKIPPED)
    export.main(globals())
