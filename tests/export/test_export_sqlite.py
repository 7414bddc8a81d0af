# SPDX-License-Identifier: MIT
"""`export --format sqlite`, read by SQLite: soundness, counts, durations, nesting, names, calls, losses."""
import collections
import os
import resource
import signal
import sqlite3
import subprocess
import sys

import common_export as export
from common_export import Sum, common


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


def test_awkward_names():
    database = Database(export.awkward())
    names = collections.Counter(database.column("SELECT label FROM profilers"))
    common.equal(sum(names.values()), 3 * 12 + 100)
    for part in ("</script><script>document.title = 'owned'</script>", "\"double\", 'single', `back`, \\ and ${code}; 'DROP TABLE span;--",
                 "100 % of %d %s %n", "a;b;c stack", "two\\nlines\\r\\nand a\\ttab", "🐌 slow, \\xe2\\x80\\xa8line\\xe2\\x80\\xa9 separators",
                 "invalid \\xff\\xfe\\xc3 UTF-8", " "):
        common.equal(names[part], 3, (part, names))
        common.equal(database.one("SELECT count(*) FROM laps WHERE message = ?", "argument " + part), 3)
    common.equal(max(map(len, names)), 255)
    common.equal(database.one("SELECT count(*) FROM profilers WHERE label LIKE 'run-time label %'"), 100)
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
    """The server's times are on the client's clock."""
    database = Database(*export.hosts())
    common.equal(sorted(database.column("SELECT how FROM clock")), ["calls", "own"])
    error, = database.column("SELECT error_ns FROM clock WHERE how = 'calls'")
    calls = database.rows("SELECT c.begin_ns, c.end_ns, s.begin_ns AS there_ns, s.end_ns AS back_ns FROM calls c JOIN span s ON s.id = c.served_by")
    common.equal(len(calls), 20)
    for row in calls:
        common.check(row["begin_ns"] - error <= row["there_ns"] and row["back_ns"] <= row["end_ns"] + 10 ** 7 + error, row)


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
