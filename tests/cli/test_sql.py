# SPDX-License-Identifier: MIT
"""`lapmark sql`: questions over recordings and exported files, percentiles, what is refused, what is printed."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import common

WORK = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
RECORDING = os.path.join(WORK, "rec")
OTHER = os.path.join(WORK, "other")
EXPORTED = os.path.join(WORK, "rec.db")


def make():
    for directory, count in ((RECORDING, "50"), (OTHER, "7")):
        common.equal(common.lapmark("record", "--full", "-o", directory, "--", common.workload(WORK, "subject", "tests/export"),
                                    "threads", count).status, 0)
    common.equal(common.lapmark("export", "--format", "sqlite", "-o", EXPORTED, RECORDING).status, 0)


def ask(question, *recordings, **options):
    return common.lapmark_json("sql", *(recordings or (RECORDING,)), question, **options)


def percentile(values, percent):
    values = sorted(values)
    place = percent / 100 * (len(values) - 1)
    low = int(place)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low)


def test_as_the_exported_file():
    for question in ("SELECT * FROM span ORDER BY id", "SELECT * FROM laps ORDER BY id", "SELECT * FROM profilers ORDER BY id",
                     "SELECT * FROM totals ORDER BY kind, label", "SELECT * FROM thread", "SELECT * FROM process", "SELECT * FROM clock",
                     "SELECT kind, label, function, line FROM site ORDER BY 2", "SELECT count(*), sum(duration_ns) FROM pause",
                     "SELECT message, count(*) FROM laps NATURAL JOIN (SELECT 'formatted 3 as odd' AS message) GROUP BY 1",
                     "SELECT o.id, count(*) FROM span o JOIN span s ON s.parent_id = o.id GROUP BY 1 ORDER BY 1",
                     "SELECT (SELECT count(*) FROM span s WHERE s.parent_id = o.id) FROM span o ORDER BY o.id",
                     "WITH RECURSIVE tree(id, depth) AS (SELECT id, 0 FROM span WHERE parent_id IS NULL UNION ALL SELECT s.id, depth + 1 "
                     "FROM tree JOIN span s ON s.parent_id = tree.id) SELECT depth, count(*) FROM tree GROUP BY 1"):
        rows = ask(question)
        common.check(rows, question)
        common.equal(rows, ask(question, EXPORTED), question)
    common.equal(ask("SELECT count(*) AS count FROM laps WHERE message = 'formatted 3 as odd'"), [{"count": 6}])


def test_indexes_as_needed():
    count = "(SELECT count(*) FROM sqlite_schema WHERE type = 'index') AS indexes"
    common.equal(ask(f"SELECT {count}, max(duration_ns) > 0 AS more FROM span"), [{"indexes": 0, "more": 1}])
    common.equal(ask(f"SELECT {count}, count(*) AS more FROM profilers o JOIN span s ON s.parent_id = o.id WHERE o.label = 'outer'"),
                 [{"indexes": 1, "more": 5 * 3 * 50}])
    common.equal(ask(f"SELECT {count}", EXPORTED), [{"indexes": 4}])


def test_percentiles():
    values = [row["duration_ns"] for row in ask("SELECT duration_ns FROM laps WHERE label = 'array lookup'")]
    row, = ask("SELECT percentile(duration_ns, 12.5) AS a, p50(duration_ns) AS b, median(duration_ns) AS c, p90(duration_ns) AS d, "
               "p95(duration_ns) AS e, p99(duration_ns) AS f, p999(duration_ns) AS g, percentile(duration_ns, 0) AS h, "
               "percentile(duration_ns, 100) AS i FROM laps WHERE label = 'array lookup'")
    common.equal(len(values), 900)
    for key, percent in zip("abcdefghi", (12.5, 50, 50, 90, 95, 99, 99.9, 0, 100)):
        common.check(abs(row[key] - percentile(values, percent)) <= 1e-6 * row[key], (key, row[key], percentile(values, percent)))
    numbers = [random.Random(1).randrange(-1000, 1000) / 8 for _ in range(1000)]
    listed = json.dumps(numbers)
    for percent in (0, 1, 33.3, 50, 99.95, 100):
        row, = ask(f"SELECT percentile(value, {percent}) AS p FROM json_each('{listed}')")
        common.check(abs(row["p"] - percentile(numbers, percent)) < 1e-9 * abs(row["p"]) + 1e-12, (percent, row))
    for count in (1, 2, 3):
        common.equal(ask(f"SELECT median(value) AS m FROM json_each('{list(range(count))}')"), [{"m": (count - 1) / 2}])
    common.equal(ask("SELECT p99(n) AS p, median(NULL) AS none FROM laps WHERE label = 'first'"), [{"p": None, "none": None}])
    common.equal([row["label"] for row in ask("SELECT label, p99(duration_ns) FROM laps GROUP BY 1 HAVING count(*) = 900")], ["array lookup"])
    for wrong, text in (("percentile(duration_ns, 101)", "from 0 to 100"), ("percentile(duration_ns, id)", "the same for all rows"),
                        ("percentile(duration_ns, 'x')", "needs a number"), ("median(kind)", "a percentile is of numbers"),
                        ("percentile(duration_ns)", "wrong number of arguments")):
        result = common.lapmark("sql", RECORDING, f"SELECT {wrong} FROM span")
        common.check(result.status == 2 and text in result.err and not result.out, result)


def test_what_is_refused():
    files = sorted(os.listdir(WORK))
    for sql in ("INSERT INTO span(id) VALUES (1)", "DELETE FROM span", "DROP TABLE span", "UPDATE span SET n = 1", "CREATE TABLE x(a)",
                "CREATE TEMP TABLE x(a)", f"ATTACH '{WORK}/x.db' AS x", f"VACUUM INTO '{WORK}/x.db'", "PRAGMA journal_mode = WAL", "REINDEX",
                "PRAGMA query_only = 0", "ANALYZE", "BEGIN", "SELECT load_extension('x')", "PRAGMA writable_schema = 1",
                "UPDATE sqlite_master SET name = 1", "DELETE FROM sqlite_schema"):
        for recording in (RECORDING, EXPORTED):
            result = common.lapmark("sql", recording, sql)
            common.check(result.status == 2 and not result.out and result.err.startswith("lapmark: cannot run the SQL: "), (sql, result))
    common.equal(sorted(os.listdir(WORK)), files)


def test_errors():
    for operands, text in (
            (["SELECT * FORM laps"], "cannot run the SQL: near \"FORM\": syntax error, at character 10\n"),
            (["SELECT 'é', nought FROM laps"], "cannot run the SQL: no such column: nought, at character 13; see 'lapmark sql --schema'\n"),
            (["SELECT * FROM spans"], "cannot run the SQL: no such table: spans"),
            (["SELECT 1; SELECT 2"], "cannot run the SQL: there is more than one statement in it\n"),
            ([" -- nothing"], "cannot run the SQL: there is no statement in it\n"),
            ([RECORDING, "SELECT length(randomblob(900000000))"], "cannot run the SQL: a value, or a row, of more than 4 MiB; ask for less at once"),
            ([RECORDING, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT group_concat(printf('%050d', i)) FROM n"],
             "cannot run the SQL: a value, or a row, of more than 4 MiB; ask for less at once"),
            (["SELECT '"], "cannot run the SQL: unrecognized token"),
            ([RECORDING], f"'sql' needs a question behind '{RECORDING}'"),
            ([], "'sql' needs a question; see"),
            ([os.path.join(WORK, "none"), "SELECT 1"], "cannot open"),
            ([__file__, "SELECT 1"], f"cannot open '{__file__}': it is neither a recording nor what 'lapmark export --format sqlite' writes\n")):
        result = common.lapmark("sql", *operands)
        common.check(result.status == 2 and text in result.err and result.out == "", (operands, result))
    common.equal(common.lapmark("sql", RECORDING, "SELECT 1 AS one;  -- that is all").out, "one\n  1\n")
    common.equal(common.lapmark("sql", "SELECT count(*) FROM process", cwd=WORK).status, 2)
    os.symlink(RECORDING, os.path.join(WORK, "lapmark-recording"))
    common.equal(common.lapmark("sql", "SELECT count(*) AS n FROM process", cwd=WORK).out, "n\n1\n")


def test_several_recordings():
    common.equal(ask("SELECT p.command, count(*) AS count FROM span s JOIN process p ON p.id = s.process_id WHERE s.kind = 'profiler' "
                     "GROUP BY p.id ORDER BY count", OTHER, RECORDING),
                 [{"command": f"{WORK}/subject threads {count}", "count": 5 * 3 * count + 2} for count in (7, 50)])


CLOCK = "SELECT domain, how, root_id FROM clock ORDER BY process_id"


def test_whose_clock_it_is():
    """Where one clock is read, it is that of the first process that reads it; one that is not known is nobody else's."""
    domains, ways, roots = zip(*(row.values() for row in ask(CLOCK, OTHER, RECORDING)))
    common.equal((domains[0], ways, roots), (domains[1], ("own", "own"), (1, 1)))
    unknown = [os.path.join(WORK, f"unknown{i}") for i in range(2)]
    for path, recording in zip(unknown, (OTHER, RECORDING)):
        shutil.copytree(recording, path)
        for control in pathlib.Path(path).rglob("control"):
            data = bytearray(control.read_bytes())
            data[2904:2912] = bytes(8)  # doc/format.md: clock_domain
            control.write_bytes(data)
    result = common.lapmark("sql", "--json", *unknown, CLOCK)
    common.equal([tuple(row.values()) for row in json.loads(result.out)], [("0" * 16, "own", 1), ("0" * 16, "wall", 2)])
    common.check("is shown by its wall clock: no call between it and" in result.err and "is not known" not in result.err, result.err)


def traces_of_two(name, at):
    """A trace of two processes, from a time in microseconds."""
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump([{"ph": "X", "ts": at + pid, "dur": 2.5, "pid": pid, "tid": 1, "name": "layout"} for pid in (1, 2)], file)
    return path


def test_clocks_of_traces():
    """Each trace has its own; its processes read one."""
    boot, wall = traces_of_two("boot.json", 5000000), traces_of_two("wall.json", 1764403200123456)
    for alone in (boot, wall):
        result = common.lapmark("sql", "--json", alone, CLOCK)
        common.equal((result.err, [list(row.values())[1:] for row in json.loads(result.out)]), ("", [["own", 1], ["own", 1]]))
    result = common.lapmark("sql", "--json", boot, wall, CLOCK)
    rows = [list(row.values()) for row in json.loads(result.out)]
    common.equal([row[1:] for row in rows], [["own", 1], ["own", 1], ["wall", 3], ["wall", 3]])
    common.check(rows[0][0] == rows[1][0] != rows[2][0] == rows[3][0] and "0" * 16 not in (rows[0][0], rows[2][0]), rows)
    for command in (["sql", boot, wall, CLOCK], ["show", "--merge", boot, wall], ["export", "--format", "chrome", "-o", os.devnull, boot, wall]):
        err = common.lapmark(*command).err.splitlines()[:3]
        common.check(re.fullmatch("lapmark: process-1-.* is shown by its wall clock: no call between it and process-1-.* says how far the two "
                                  "are apart", err[0]), err)
        common.check(re.fullmatch("lapmark: process-2-.* is shown by the clock of process-1-.*, which is its own", err[1]), err)
        common.check(re.fullmatch("lapmark: the wall clock of process-1-.* is not known: its times stand as if its clock had begun in 1970",
                                  err[2]), err)
    begins = ask("SELECT begin_ns FROM profilers ORDER BY begin_ns", boot, wall)
    common.equal([row["begin_ns"] for row in begins],
                 [5000001000, 5000002000, 1764403200123457000, 1764403200123458000])
    common.equal(common.lapmark("show", "--merge", boot).err, "")


def test_another_tools_trace():
    path = os.path.join(WORK, "trace.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump([{"ph": "X", "ts": 1, "dur": 2.5, "pid": 1, "tid": 1, "name": "layout"}], file)
    common.equal(common.lapmark_json("sql", path, "SELECT label, duration_ns FROM profilers"), [{"label": "layout", "duration_ns": 2500}])


def test_what_is_printed():
    text = common.lapmark("sql", RECORDING, "SELECT 1 AS a, 'text' AS words, 2.5 AS half, NULL AS none, 10000000000.0 AS big, x'00ff' AS bytes "
                          "UNION ALL SELECT 200, char(27) || '[31m', -1.0 / 3, NULL, 1e300, NULL").out
    common.equal(text.splitlines(), ["  a  words       half  none          big  bytes",
                                     "  1  text       2.500        10000000000  x'00ff'",
                                     "200  \\x1b[31m  -0.333             1e+300"])
    common.equal(common.lapmark("sql", RECORDING, "SELECT id FROM span WHERE id < 0").out, "id\n")
    common.equal(ask("SELECT id FROM span WHERE id < 0"), [])
    common.equal(ask("SELECT 1 AS a, 'q\"\\' AS \"b\"\"c\", 2.5 AS d, NULL AS e, x'00ff' AS f, 9223372036854775807 AS g"),
                 [{"a": 1, "b\"c": "q\"\\", "d": 2.5, "e": None, "f": "x'00ff'", "g": 9223372036854775807}])
    rows = common.lapmark("sql", RECORDING, "WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM c WHERE i < 3000) SELECT i FROM c").out
    common.equal([int(line) for line in rows.splitlines()[1:]], list(range(1, 3001)))
    narrow = common.lapmark("sql", RECORDING, "SELECT 12345 AS number, printf('%.*c', 300, 'w') AS text, file FROM site", COLUMNS="60").out
    common.check(all(len(line) <= 60 for line in narrow.splitlines()) and "12345" in narrow and "…" in narrow, narrow)


def test_schema():
    text = common.lapmark("sql", "--schema").out
    for table in [row["name"] for row in ask("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')")]:
        common.check(f" {table}(" in text or f" {table} AS" in text, table)
    with open(os.path.join(common.SOURCE, "doc/man/lapmark-export.1.scd"), encoding="utf-8") as file:
        page = file.read()
    for row in ask("SELECT m.name AS source, c.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type IN ('table', 'view')"):
        common.check(row["name"].rstrip("_ns") in page and row["source"] in page, row)


def test_nothing_stays_behind():
    """Killed while it reads, and while it answers."""
    place = os.path.join(WORK, "tmp")
    os.mkdir(place)
    for sql in ("WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM c) SELECT max(i) FROM c",
                "WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM c) SELECT i FROM c"):
        process = subprocess.Popen([common.LAPMARK, "sql", RECORDING, sql], env=common.environment(TMPDIR=place), stdout=subprocess.DEVNULL)
        while process.poll() is None and not any("lapmark-sql" in link for link in links(process.pid)):
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        common.equal(process.wait(), -signal.SIGINT)
        common.equal(os.listdir(place), [])
    result = common.lapmark("sql", RECORDING, "SELECT 1", TMPDIR=os.path.join(WORK, "none"))
    common.check(result.status == 2 and "lapmark: cannot make '" in result.err, result)


def links(pid):
    try:
        return [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


if __name__ == "__main__":
    if "without SQLite" in common.lapmark("sql", "SELECT 1").err:
        print("not tested here: a build without SQLite")
        sys.exit(common.SKIPPED)
    make()
    try:
        common.main(globals())
    finally:
        shutil.rmtree(WORK)
