# SPDX-License-Identifier: MIT
"""`export --format sqlite`, read by SQLite: soundness, counts, durations, nesting, names, calls, losses."""
import collections
import itertools
import os
import resource
import signal
import sqlite3
import subprocess
import sys

import common_export as export
from common_export import Sum, common, lapmark_format


class Database:
    """Rows as dicts; the file is sound, and no row refers to one that is not there."""

    def __init__(self, directory, *more):
        self.path = export.export(directory, "sqlite", *more)
        self.connection = sqlite3.connect(self.path)
        self.connection.row_factory = sqlite3.Row
        common.equal(self.column("PRAGMA integrity_check"), ["ok"], self.path)
        for table, column, of in (("thread", "process_id", "process"), ("site", "process_id", "process"), ("span", "process_id", "process"),
                                  ("span", "thread_id", "thread"), ("span", "site_id", "site"), ("span", "parent_id", "span"),
                                  ("call", "span_id", "span"), ("call", "site_id", "site"), ("serve", "span_id", "span"),
                                  ("pause", "span_id", "span"), ("loss", "process_id", "process")):
            common.equal(self.column(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT id FROM {of})"),
                         [], (table, column))
        common.equal(self.column("SELECT s.id FROM span s JOIN span o ON o.id = s.parent_id WHERE o.id >= s.id OR o.kind <> 'profiler'"), [])

    def rows(self, query, *values):
        return [dict(row) for row in self.connection.execute(query, values)]

    def column(self, query, *values):
        return [row[0] for row in self.connection.execute(query, values)]

    def one(self, query, *values):
        value, = self.column(query, *values)
        return value

    def sums(self, by_chain):
        """As the truth has them, from the tables alone."""
        rows = self.rows("SELECT s.*, coalesce(s.label, i.label, '(rest)') AS name FROM span s LEFT JOIN site i ON i.id = s.site_id "
                         "ORDER BY s.id")
        chains, found = {}, collections.defaultdict(lambda: Sum(0, 0))
        calls = self.rows("SELECT s.span_id AS parent_id, s.id, 'profiler' AS kind, 0 AS state, s.duration_ns, i.label AS name "
                          "FROM call s JOIN site i ON i.id = s.site_id")
        for row in rows + calls:
            chain = chains.get(row["parent_id"], ()) + (row["name"],)
            if "site_id" in row.keys():
                chains[row["id"]] = chain
            if row["state"] == 0:
                key = (chain if by_chain else row["name"], row["kind"])
                found[key] = Sum(found[key].count + 1, found[key].total_ns + row["duration_ns"])
        return dict(found)


def test_scopes_nest_and_add_up():
    database = Database(export.threads())
    export.compare_sums(database.sums(True), export.truth(export.threads()), tolerance_ns=0.51)
    common.equal(database.rows("SELECT s.* FROM span s JOIN span o ON o.id = s.parent_id "
                               "WHERE s.begin_ns < o.begin_ns OR s.end_ns > o.end_ns OR s.thread_id <> o.thread_id"), [])
    common.equal(database.rows("SELECT * FROM span WHERE duration_ns > end_ns - begin_ns + 1 OR self_ns > duration_ns OR self_ns < 0"), [])
    pauses = collections.Counter()
    for row in database.rows("SELECT span_id, duration_ns FROM pause WHERE span_id IS NOT NULL"):
        around = row["span_id"]
        while around is not None:
            pauses[around] += row["duration_ns"]
            around = database.one("SELECT parent_id FROM span WHERE id = ?", around)
    for row in database.rows("SELECT * FROM span WHERE kind = 'profiler' AND state = 0"):
        common.check(abs(row["end_ns"] - row["begin_ns"] - pauses[row["id"]] - row["duration_ns"]) <= 4, row)
    common.equal(database.rows("SELECT label, state FROM profilers WHERE state <> 'ended'"),
                 [{"label": "left by longjmp", "state": "abandoned"}])


def test_self_times():
    database = Database(export.threads())
    inside = "(SELECT coalesce(sum(c.duration_ns), 0) FROM span c WHERE c.parent_id = s.id AND c.kind = 'profiler')"
    laps = "(SELECT sum(c.self_ns) FROM span c WHERE c.parent_id = s.id AND c.kind <> 'profiler')"
    rows = database.rows(f"SELECT s.*, {inside} AS inside, {laps} AS laps FROM span s WHERE s.kind = 'profiler' AND s.state = 0")
    common.check(any(row["inside"] for row in rows))
    for row in rows:
        common.check(abs(row["self_ns"] - row["duration_ns"] + row["inside"]) <= 2, row)
        if row["laps"] is not None:
            common.check(abs(row["laps"] - row["self_ns"]) <= 10, row)


def test_arguments_sizes_and_places():
    database = Database(export.threads())
    common.equal(set(database.column("SELECT message FROM profilers WHERE label = 'inner of %d'")), {f"inner of {turn}" for turn in range(20)})
    common.equal(set(database.column("SELECT message FROM laps WHERE label = 'formatted %d as %s'")),
                 {f"formatted {turn} as {'odd' if turn % 2 else 'even'}" for turn in range(20)})
    common.equal(database.one("SELECT sum(n) FROM profilers WHERE label = 'inner of %d'"), 2 * 3 * sum(range(1, 21)))
    common.equal(database.rows("SELECT count(*) AS count, sum(n) AS sum, min(number) AS first, max(number) AS last FROM laps "
                               "WHERE label = 'array lookup'"),
                 [{"count": 360, "sum": 2 * 3 * sum(3 * 10 * turn + 3 for turn in range(20)), "first": 0, "last": 2}])
    common.equal(database.rows("SELECT DISTINCT function, file LIKE '%/subject.c' AS file, line > 0 AS line FROM laps WHERE label = 'first'"),
                 [{"function": "work", "file": 1, "line": 1}])
    common.equal(sorted(database.column("SELECT name FROM thread")), ["subject", "worker-0", "worker-1", "worker-2"])
    common.equal(set(database.column("SELECT DISTINCT thread FROM laps WHERE profiler = 'outer'")), {"worker-0", "worker-1", "worker-2"})
    process, = common.lapmark_json("report", export.threads())["processes"]
    common.equal(database.rows("SELECT name, pid, host, command, state, start_ns FROM process"),
                 [{"start_ns": process["start_time_ns"], **{key: process[key] for key in ("name", "pid", "host", "command", "state")}}])
    common.equal(database.column("SELECT count FROM totals WHERE label = 'outer' AND kind = 'profiler'"), [60])
    slowest = common.lapmark_json("slowest", "-n", "1", export.threads())["instances"][0]
    common.check(abs(database.column("SELECT duration_ns FROM slowest WHERE state = 'ended' LIMIT 1")[0] - slowest["total_ns"]) <= 2, slowest)


def test_handles():
    database = Database(export.handles())
    export.compare_sums(database.sums(False), export.truth(export.handles(), by_chain=False))
    common.equal(database.rows("SELECT o.label, count(*) AS count FROM profilers s JOIN profilers o ON o.id = s.parent_id "
                               "WHERE s.label = 'query' GROUP BY 1"), [{"label": "request %d", "count": 20}])
    common.equal(database.rows("SELECT DISTINCT s.kind, s.handle FROM span s JOIN site i ON i.id = s.site_id "
                               "WHERE i.label IN ('request %d', 'on the other thread') ORDER BY 1"),
                 [{"kind": "lap", "handle": 1}, {"kind": "profiler", "handle": 1}])
    common.equal(database.one("SELECT count(*) FROM span l JOIN span s ON s.id = l.parent_id JOIN site i ON i.id = l.site_id "
                              "WHERE i.label = 'on the other thread' AND l.thread_id <> s.thread_id"), 20)


def test_calls():
    database = Database(export.calls())
    export.compare_sums(database.sums(False), export.truth(export.calls(), by_chain=False))
    calls = database.rows("SELECT c.*, s.label AS server FROM calls c JOIN profilers s ON s.id = c.served_by")
    common.equal([(row["label"], row["server"]) for row in calls], 5 * [("get items", "serve")])
    for row in calls:
        common.check(abs(row["server_ns"] + row["between_ns"] - row["duration_ns"]) <= 1, row)
        if row["there_ns"] is not None:
            common.check(abs(row["there_ns"] + row["back_ns"] - row["between_ns"]) <= 2, row)
        common.check(row["queue_ns"] <= row["server_ns"], row)
    kind, = common.lapmark_json("calls", export.calls())["calls"]
    common.check(abs(sum(row["duration_ns"] for row in calls) - kind["sum_ns"]) <= 5, kind)
    common.equal(len(set(database.column("SELECT domain FROM clock"))), 1)


def test_each_call():
    """By hand: its ids, times and parts, and who served it."""
    columns = ("begin_ns", "end_ns", "duration_ns", *export.PARTS)
    for make in (export.calls, export.at_once):
        database, wanted = Database(make()), export.calls_by_hand(make())
        rows = database.rows("SELECT c.*, v.label AS name, v.served_by, v.thread, p.program FROM call c JOIN calls v ON v.id = c.id "
                             "JOIN process p ON p.id = c.process_id ORDER BY c.begin_ns")
        common.equal([(row["name"], row["trace_id"], row["context_id"], row["one_way"], row["refused"], row["thread"], row["program"]) for row in rows],
                     [(call.name, call.trace, call.id, int(call.one_way), int(call.refused), "call_pair", "call_pair") for call in wanted])
        client = database.one("SELECT id FROM profilers WHERE label = 'client'")
        for row, call in zip(rows, wanted):
            parts = [call.parts and call.parts[part] for part in export.PARTS]
            for column, value in zip(columns, (call.begin, call.end, call.end - call.begin, *parts)):
                common.check(row[column] is None if value is None else abs(row[column] - value) <= 2, (column, value, row))
            common.equal(row["span_id"], client)
            served = database.rows("SELECT s.*, v.trace_id, v.context_id FROM profilers s JOIN serve v ON v.span_id = s.id WHERE s.id = ?", row["served_by"])
            common.equal([(span["label"], span["trace_id"], span["context_id"]) for span in served],
                         [("serve", call.trace, call.id)] if call.served else [])
            common.check(all(abs(span["begin_ns"] - call.served) < 500_000 for span in served), (served, call))


def test_links():
    """Those that the program made."""
    names, directory = export.named_steps()
    rows = Database(directory).rows("SELECT s.label, l.call_context_id, l.relation, l.trace_id, l.context_id FROM link l "
                                    "JOIN profilers s ON s.id = l.span_id ORDER BY l.id")
    common.equal([tuple(row.values()) for row in rows],
                 [("named late", None, "is", *names["named"]),
                  ("serve a traceparent", None, "child of", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"),
                  ("serve a traceparent", None, "is", *names["served"]),
                  ("client of both", names["second"][1], "follows", *names["first"]),
                  ("batch", None, "follows", *names["first"]), ("batch", None, "follows", *names["second"])])


def test_pauses_and_ends():
    for make in (export.threads, export.handles):
        database = Database(make())
        process, = common.lapmark_json("report", make())["processes"]
        wanted = sorted((event["time_ns"] - process["start_time_ns"] - event["fields"]["ticks"] * 1e9 / process["clock"]["hz"],
                         event["fields"]["ticks"] * 1e9 / process["clock"]["hz"], event["thread"])
                        for event in export.shown(make()) if event["kind"] == "pause")
        rows = database.rows("SELECT p.begin_ns - ? AS begin_ns, p.duration_ns, t.tid FROM pause p JOIN thread t ON t.id = p.thread_id "
                             "ORDER BY p.begin_ns", process["start_time_ns"])
        common.equal((len(rows) > 0, [row["tid"] for row in rows]), (True, [tid for _, _, tid in wanted]))
        for row, (begin_ns, took_ns, _) in zip(rows, wanted):  # which is cut where it would begin before what is around it
            end_ns = row["begin_ns"] + row["duration_ns"]
            common.check(abs(end_ns - begin_ns - took_ns) <= 3 and row["begin_ns"] - begin_ns >= -3, (row, begin_ns, took_ns))
        end_ns = export.control(export.process_of(make()), "end_realtime_ns")
        common.check(abs(database.one("SELECT end_ns FROM process") - end_ns) < 10 ** 5, (end_ns, process))
    last_ns = max(event["time_ns"] for event in export.shown(export.killed()))
    common.equal(Database(export.killed()).column("SELECT end_ns FROM process"), [last_ns])


def test_thresholds():
    rows = Database(export.threads(), export.handles()).rows(
        "SELECT DISTINCT label, threshold_ns FROM profilers WHERE label IN ('outer', 'innermost', 'query', 'without checkpoints') ORDER BY label")
    common.equal([tuple(row.values()) for row in rows], [("innermost", 250_000), ("outer", None), ("query", None), ("without checkpoints", 2_000_000)])


def test_threads_and_totals():
    database, events = Database(export.threads()), export.shown(export.threads())
    process, = common.lapmark_json("report", export.threads())["processes"]
    rows = database.rows("SELECT tid, number, process_id FROM thread ORDER BY number")
    common.equal({row["tid"] for row in rows}, {event["thread"] for event in events})
    common.equal(([row["number"] for row in rows], {row["process_id"] for row in rows}), ([0, 1, 2, 3], {1}))
    common.equal(database.column("SELECT program FROM process"), [process["program"]])
    took = collections.defaultdict(list)
    for row in database.rows("SELECT 'profiler' AS kind, label, duration_ns, self_ns FROM profilers "
                             "UNION ALL SELECT kind, label, duration_ns, self_ns FROM laps"):
        took[row["kind"], row["label"]].append((row["duration_ns"], row["self_ns"]))
    rows = database.rows("SELECT * FROM totals")
    common.equal([row["total_ns"] for row in rows], sorted((row["total_ns"] for row in rows), reverse=True))
    found = {(row["kind"], row["label"]): tuple(row[name] for name in ("count", "total_ns", "self_ns", "mean_ns", "min_ns", "max_ns")) for row in rows}
    common.equal(found, {key: (len(values), sum(all_ns), sum(self_ns), sum(all_ns) / len(values), min(all_ns), max(all_ns))
                         for key, values in took.items() for all_ns, self_ns in [list(zip(*values))]})


def test_kinds_of_sites():
    rows = Database(export.at_once()).rows("SELECT kind, label, function FROM site ORDER BY 1, 2")
    common.equal([tuple(row.values()) for row in rows],
                 [("call", "get items", "call_at_once"), ("call", "put item", "call_at_once"), ("call", 'tell "café"', "call_at_once"),
                  ("checkpoint", "got the reply", "call_at_once"), ("checkpoint", "look up %d", "serve"), ("checkpoint", "parse", "serve"),
                  ("profiler", "client", "main"), ("profiler", "serve", "serve")])
    rows = Database(export.threads()).rows("SELECT kind, count(*) AS count FROM site GROUP BY 1 ORDER BY 1")
    common.equal([tuple(row.values()) for row in rows], [("checkpoint", 7), ("profiler", 5)])


def test_losses():
    database = Database(export.at_once(), export.elsewhere(), export.lossy())
    rows = database.rows("SELECT p.command, l.kind, l.count, p.lost FROM loss l JOIN process p ON p.id = l.process_id ORDER BY l.kind")
    process, = lapmark_format.read_recording(export.lossy()).values()
    segments = sum(ring.segments[-1].sequence + 1 - len(ring.segments) for ring in process.rings.values())
    common.equal([(row["command"].split("/")[-1], row["kind"], row["count"], row["lost"]) for row in rows],
                 [("subject many 3", "memory", export.LOST, export.LOST), ("subject many 100000", "segment", segments, 0),
                  ("call_pair at_once 5", "trailer", 1, 0)])


def test_awkward_names():
    database = Database(export.awkward())
    export.check_awkward(collections.Counter(database.column("SELECT label FROM profilers")), collections.Counter(database.column("SELECT label FROM laps")),
                         collections.Counter(database.column("SELECT message FROM laps WHERE label = '%s argument'")))
    common.equal(database.column("SELECT count(*) FROM span GROUP BY kind ORDER BY kind"), [3 * 12 * 2 + 100, 136, 136])


def test_what_has_no_end():
    database = Database(export.killed())
    common.equal(database.rows("SELECT label, state, cut FROM profilers"), [{"label": "open for ever", "state": "unfinished", "cut": 0}])
    common.equal(database.column("SELECT state FROM process"), ["died"])
    database = Database(export.empty())
    common.equal((database.one("SELECT count(*) FROM span"), database.one("SELECT count(*) FROM process")), (0, 1))


def test_what_is_gone():
    database = Database(export.lossy())
    common.equal(database.rows("SELECT label, state, cut FROM profilers WHERE cut"), [{"label": "around all", "state": "ended", "cut": 1}])
    export.compare_sums(database.sums(True), export.truth(export.lossy()), tolerance_ns=0.51)
    common.check(database.one("SELECT count FROM loss WHERE kind = 'segment'") > 0)
    torn = Database(export.torn())
    common.check(0 < torn.one("SELECT count(*) FROM profilers WHERE state = 'ended'") < 100)
    common.equal(torn.column("SELECT state FROM profilers WHERE label = 'around all'"), ["unfinished"])


def test_several_recordings():
    database = Database(export.threads(), export.handles(), export.calls())
    wanted = collections.Counter()
    for directory in (export.threads(), export.handles(), export.calls()):
        wanted.update({key: value.count for key, value in export.truth(directory, by_chain=False).items()})
    common.equal({key: value.count for key, value in database.sums(False).items()}, dict(wanted))
    common.equal(database.one("SELECT count(*) FROM process"), 4)


def test_several_clocks():
    """The server's times are on the client's clock; one that no call leads to has its own."""
    client, server = export.hosts()
    directories = client, server, export.elsewhere()
    database = Database(*directories, export.at_once())
    rows = {row["name"]: row for row in database.rows("SELECT p.program AS name, c.* FROM clock c JOIN process p ON p.id = c.process_id "
                                                      "WHERE p.program <> 'call_pair'")}
    ids = {name: row["process_id"] for name, row in rows.items()}
    root, = set(database.column("SELECT root_id FROM clock c JOIN process p ON p.id = c.process_id WHERE p.program = 'call_pair'"))
    common.equal({name: (row["how"], row["root_id"]) for name, row in rows.items()},
                 {"host_call_client": ("own", root), "host_call_server": ("calls", root), "subject": ("wall", ids["subject"])})
    for directory in directories:
        process, = common.lapmark_json("report", directory)["processes"]
        row = rows[process["program"]]
        common.equal((row["source"], row["domain"]),
                     (process["clock"]["source"], f"{export.control(export.process_of(directory), 'clock_domain'):016x}"))
        common.check(abs(row["ticks_per_second"] - process["clock"]["hz"]) < 0.001, (row, process))
    error = rows["host_call_server"]["error_ns"]
    common.check(abs(rows["host_call_client"]["shift_ns"]) < 10 ** 5, rows)
    common.equal([(row["error_ns"], row["shift_ns"]) for name, row in rows.items() if name == "subject"], [(0, 0)])
    common.check(0 < error < 10 ** 6 and abs(rows["host_call_server"]["shift_ns"] - export.ahead_ns()) < 10 ** 6, rows)
    calls = database.rows("SELECT c.begin_ns, c.end_ns, s.begin_ns AS there_ns, l.end_ns AS back_ns FROM calls c JOIN span s ON s.id = c.served_by "
                          "JOIN laps l ON l.parent_id = s.id WHERE l.label = 'worked'")
    common.equal(len(calls), 20)
    for row in calls:
        export.check_served((row["begin_ns"], row["end_ns"]), row["there_ns"], row["back_ns"], error + 2)


def test_sql_finds_the_same():
    """`lapmark sql` over all recordings, and the file that they make."""
    first, *others = [make() for make in export.ALL] + [*export.hosts(), export.elsewhere(), export.steps()]
    database = Database(first, *others)
    names = database.column("SELECT name FROM sqlite_schema WHERE type = 'table'")
    common.equal(set(names), {"span", "site", "process", "thread", "call", "serve", "link", "pause", "loss", "clock"})
    parts = []
    for name in names:
        columns = database.column("SELECT name FROM pragma_table_info(?)", name)
        common.check(name == "link" or database.one(f"SELECT count(*) FROM {name}") > 1, name)
        parts.append(f"SELECT '{name}' AS name, json_array({', '.join(columns)}) AS row FROM {name}")
    question = " UNION ALL ".join(parts)
    for got, wanted in itertools.zip_longest(common.lapmark_json("sql", first, *others, question), database.rows(question)):
        common.equal(got, wanted)


def test_nothing_half_written():
    directory = os.path.join(export.WORK, "room")
    os.mkdir(directory)
    path = os.path.join(directory, "x.db")
    process = subprocess.run([common.LAPMARK, "export", "--format", "sqlite", "-o", path, export.lossy()], capture_output=True, check=False,
                             env=common.environment(), preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
                                                                           signal.signal(signal.SIGXFSZ, signal.SIG_IGN)))
    common.equal((process.returncode, process.stderr.decode(), os.listdir(directory)),
                 (2, f"lapmark: cannot write '{path}': file too large\n", []))
    for target, where in (("/dev/stdout", "into a pipe"), (None, "into a pipe")):
        result = common.lapmark("export", "--format", "sqlite", *(["-o", target] if target else []), export.killed())
        common.check(result.status == 2 and where in result.err and not result.out, result)
    with open(path, "w", encoding="utf-8") as file:
        file.write("something else")
    common.equal(common.lapmark("export", "--format", "sqlite", "-o", path, export.killed()).status, 0)
    common.equal(sqlite3.connect(path).execute("SELECT count(*) FROM span").fetchone(), (1,))
    common.equal(os.listdir(directory), ["x.db"])


if __name__ == "__main__":
    if "without SQLite" in common.lapmark("sql", "SELECT 1").err:
        print("not tested here: a build without SQLite")
        sys.exit(common.SKIPPED)
    export.main(globals())
