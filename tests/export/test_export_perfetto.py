# SPDX-License-Identifier: MIT
"""`export --format perfetto`, read by Perfetto's own trace_processor: counts, durations, nesting, names, flows, counters, processes; and by
protoc with Perfetto's definitions."""
import collections
import functools
import json
import os
import shutil
import subprocess
import sys

import common_export as export
import common_protobuf as protobuf
from common_export import Sum, common

HELPER = os.path.join(export.SOURCE, "tests/export/helper_trace_processor.mjs")
READER = os.path.join(os.environ.get("PERFETTO_READER", ""), "assets/trace-processor")
NODE = shutil.which("node") or shutil.which("nodejs")

QUERIES = {
    "stats": "select name, value from stats where severity != 'info' and value > 0",
    "slices": "select s.id, s.parent_id as parent, s.ts, s.dur, s.name, s.category, s.track_id as track, "
              "coalesce(p.upid, t.upid) as upid, extract_arg(s.arg_set_id, 'debug.n') as n, "
              "extract_arg(s.arg_set_id, 'debug.message') as message, extract_arg(s.arg_set_id, 'debug.cut') as cut, "
              "extract_arg(s.arg_set_id, 'debug.unfinished') as unfinished, extract_arg(s.arg_set_id, 'debug.abandoned') as abandoned "
              "from slice s left join process_track p on s.track_id = p.id left join thread_track k on s.track_id = k.id "
              "left join thread t using (utid)",
    "processes": "select upid, pid, name from process",
    "threads": "select name, tid, upid from thread",
    "counters": "select t.upid, t.name, count(*) as count, sum(c.value) as sum from counter c join process_counter_track t "
                "on c.track_id = t.id group by 1, 2 order by 1, 2",
    "flows": "select o.id as out, i.id as inside from flow f join slice o on f.slice_out = o.id join slice i on f.slice_in = i.id",
}
NUMBERS = {"id", "parent", "ts", "dur", "track", "upid", "pid", "tid", "n", "count", "sum", "out", "inside"}


@functools.cache
def trace():
    """All recordings in one file, for which trace_processor is started once: {name of a query: rows}."""
    first, *others = (make() for make in export.ALL)
    path = export.export(first, "perfetto", *others, *export.hosts())
    process = subprocess.run([NODE, HELPER, READER, path, *QUERIES.values()], stdin=subprocess.DEVNULL, capture_output=True,
                             check=False)
    common.check(process.returncode == 0, process.stderr.decode(errors="replace"))
    lines = [json.loads(line) for line in process.stdout.decode().splitlines() if line.startswith("[")]
    return {name: [{key: int(value) if key in NUMBERS and value is not None else value for key, value in row.items()} for row in rows]
            for name, rows in zip(QUERIES, lines)}


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


def test_calls_flow():
    directory = export.calls()
    slices = of(directory)
    flows = [(slices[row["out"]], slices[row["inside"]]) for row in trace()["flows"] if row["out"] in slices]
    common.equal([(out["name"], inside["name"]) for out, inside in flows], 5 * [("get items", "serve")])
    for out, inside in flows:
        common.check(out["ts"] <= inside["ts"] and inside["upid"] != out["upid"], (out, inside))
    export.compare_sums(sums(slices, False), export.truth(directory, by_chain=False))


def test_hosts_are_on_one_clock():
    client, server = map(of, export.hosts())
    flows = [(client[row["out"]], server[row["inside"]]) for row in trace()["flows"] if row["out"] in client]
    common.equal(len(flows), 20)
    for out, inside in flows:  # the server's profiler goes on after its reply
        common.check(out["ts"] - 2 * 10 ** 5 < inside["ts"] < out["ts"] + out["dur"] + 2 * 10 ** 5, (out, inside))


def test_awkward_names():
    slices = of(export.awkward())
    names = collections.Counter(row["name"] for row in slices.values() if row["category"] == "profiler")
    common.equal(sum(names.values()), 3 * 12 + 100)
    for part in ("</script><script>document.title = 'owned'</script>", "\"double\", 'single', `back`, \\ and ${code}; 'DROP TABLE span;--",
                 "100 % of %d %s %n", "a;b;c stack", "two\\nlines\\r\\nand a\\ttab", "🐌 slow, \\xe2\\x80\\xa8line\\xe2\\x80\\xa9 separators",
                 "invalid \\xff\\xfe\\xc3 UTF-8", " "):
        common.equal(names[part], 3, (part, names))
    common.equal(max(map(len, names)), 255)
    common.equal(sum(1 for name in names if name.startswith("run-time label ")), 100)


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
        names, totals = {}, collections.Counter()
        for packet in protobuf.messages(text)["packet"]:
            sequence = packet["trusted_packet_sequence_id"][0]
            for interned in packet["interned_data"]:
                names.update({(sequence, name["iid"][0]): name["name"][0].decode() for name in interned["event_names"]})
            for event in packet["track_event"]:
                kind, = event["type"]
                totals[kind] += 1
                totals["ns"] += int(packet["timestamp"][0]) * {"TYPE_SLICE_BEGIN": -1, "TYPE_SLICE_END": 1}.get(kind, 0)
                if kind == "TYPE_SLICE_BEGIN":
                    name = event["name"][0].decode() if event["name"] else names[sequence, event["name_iid"][0]]
                    totals["name", name] += 1
        slices = of(directory).values()
        common.equal((totals["TYPE_SLICE_BEGIN"], totals["TYPE_SLICE_END"]), 2 * (len(slices),))
        common.equal(totals["TYPE_COUNTER"], sum(row["count"] for row in of(directory, "counters")))
        took_ns = sum(row["dur"] for row in slices)  # beside others, by the clock of one of them
        common.check(abs(totals["ns"] - took_ns) <= len(slices), (totals["ns"], took_ns))
        common.equal({key[1]: count for key, count in totals.items() if key[0] == "name"}, collections.Counter(row["name"] for row in slices))


def test_empty_and_torn():
    common.equal(of(export.empty()), {})
    names = collections.Counter(row["name"] for row in of(export.torn()).values())
    common.check(20 < names["one of many"] < 80 and names["around all"] == 1, names)


if __name__ == "__main__":
    if not NODE or not protobuf.PROTOC or not os.path.exists(READER):
        print("not tested here: no node, no protoc, or no trace_processor from the npm registry")
        sys.exit(common.SKIPPED)
    export.main(globals())
