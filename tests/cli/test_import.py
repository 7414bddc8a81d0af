# SPDX-License-Identifier: MIT
# ctest: long
"""Traces in Chrome's JSON, of Chromium itself and made here: counts, times and nesting against Python's own reading of the same
file; what is left out is told; damage of every kind; and the commands on what was read."""
import collections
import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import common
import helper_traces

WORK = tempfile.mkdtemp(prefix="lapmark-import-test-")
# Where recordings are made: some have thousands of files.
PLACES = tempfile.mkdtemp(prefix="lapmark-import-test-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def lapmark(*arguments, **options):
    result = common.lapmark(*arguments, TMPDIR=PLACES, timeout=280, **options)
    common.equal(os.listdir(PLACES), [], f"{arguments} left something: {result}")
    return result


def written(name, events, **members):
    path = os.path.join(WORK, name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"traceEvents": events, **members} if members is not None else events, file)
    return path


def trace(*events, name="trace.json", **members):
    """Events as (ph, ts, name) and what else there is."""
    made = []
    for ph, ts, label, *more in events:
        event = {"ph": ph, "ts": ts, "pid": 7, "tid": 8}
        if label is not None:
            event["name"] = label
        event.update(more[0] if more else {})
        made.append(event)
    return written(name, made, **members)


def whole(begin, duration, label, **more):
    return ("X", begin, label, {"dur": duration, **more})


def asynchronous(kind, ts, label, number=1, **more):
    return (kind, ts, label, {"cat": "net", "id": number, **more})


def report(path, *options):
    result = lapmark("report", path, "--json", *options)
    common.equal(result.status, 0, result)
    return json.loads(result.out), result.err


def sites(path):
    """By path: count and total in ns."""
    return {"/".join(site["path"]): (site["count"], site["total_ns"]) for site in report(path)[0]["sites"]}


def by_name(value):
    found = collections.defaultdict(lambda: [0, 0])
    for site in value["sites"]:
        if site["kind"] == "profiler" and site["count"] > 0:
            found[site["path"][-1]][0] += site["count"]
            found[site["path"][-1]][1] += site["total_ns"]
    return {name: tuple(counted) for name, counted in found.items()}


# ---- what Chromium writes ----

def chromium_trace():
    path = os.path.join(WORK, "chromium.json")
    page = "data:text/html,<script>for(let i=0,s=0;i<1e6;i++)s+=i</script><p>text"
    subprocess.run(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={WORK}/profile",
                    "--trace-startup=*", f"--trace-startup-file={path}", "--trace-startup-duration=0",
                    "--trace-startup-format=json", "--dump-dom", page],
                   env=dict(os.environ, HOME=WORK), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=250, check=True)
    return path


def compare_with(path, events):
    tracks = helper_traces.chrome_slices(events)
    every = [one for slices in tracks.values() for one in slices]
    value, err = report(path)
    common.equal(by_name(value), helper_traces.totals(every))
    common.equal(sum(len(process["open"]) for process in value["processes"]), sum(one.end is None for one in every))
    # Nesting: the paths of threads whose slices all nest.
    wanted, uncertain = collections.Counter(), set()
    for track, slices in tracks.items():
        for where, one in helper_traces.nested(slices):
            if track[0] == "thread" and where and one.end is not None:
                wanted[where] += 1
            else:
                uncertain.add(one.name)
    got = {tuple(site["path"]): site["count"] for site in value["sites"] if site["kind"] == "profiler"}
    for where, count in wanted.items():
        if not uncertain.intersection(where):
            common.equal(got.get(where), count, where)
    return every, wanted, err


def test_chromium():
    if not shutil.which("chromium"):
        print("not tested here: traces of Chromium, which is not installed")
        return
    path = chromium_trace()
    events = helper_traces.load(path)
    every, wanted, err = compare_with(path, events)
    common.check(len(every) > 10000 and max(map(len, wanted)) > 4, f"{len(every)} slices")
    counted = collections.Counter(event["ph"] for event in events)
    common.check(f"{counted['I'] + counted['i'] + counted['R']} instants" in err or counted["n"], err)
    common.check(f"{counted['s'] + counted['t'] + counted['f']} flow events" in err, err)
    common.equal(report(path, "--events")[0]["comparison"]["equal"], True)
    common.equal(lapmark("check", path).status, 0)
    helper_traces.check_exported(path, helper_traces.totals(every))
    # As Chrome leaves an array that it was killed in: at the end of any event.
    text = "[" + ",\n".join(json.dumps(event) for event in events[:3000] if "." not in str(event.get("ts")))
    pathlib.Path(WORK, "array.json").write_text(text, encoding="utf-8")
    compare_with(os.path.join(WORK, "array.json"), json.loads(text + "]"))


# ---- slices ----

def test_nesting():
    cases = {
        "whole ones, written at their ends": (
            [whole(20, 10, "in"), whole(10, 30, "around"), whole(50, 5, "behind")],
            {"around": (1, 30000), "around/in": (1, 10000), "behind": (1, 5000)}),
        "begins and ends": (
            [("B", 10, "a"), ("B", 11, "b"), ("E", 12, None), ("E", 13.5, None), ("B", 14, "a"), ("E", 15, "a")],
            {"a": (2, 4500), "a/b": (1, 1000)}),
        "times out of order": (
            [("E", 30, "a"), ("B", 10, "a"), whole(15, 5, "b")], {"a": (1, 20000), "a/b": (1, 5000)}),
        "all at one time": (
            [("B", 5, "a"), ("B", 5, "b"), ("E", 5, "b"), ("B", 5, "c"), ("E", 5, "c"), ("E", 5, "a"), ("B", 5, "d"),
             ("E", 9, "d")],
            {"a": (1, 0), "a/b": (1, 0), "a/c": (1, 0), "d": (1, 4000)}),
        "the longer one is around": (
            [whole(5, 3, "a"), whole(5, 9, "b"), whole(14, 0, "c"), whole(14, 2, "d")],
            {"b": (1, 9000), "b/a": (1, 3000), "d": (1, 2000), "d/c": (1, 0)}),
        "a begin at an end": (
            [whole(0, 5, "a"), whole(5, 5, "b"), whole(5, 5, "b")], {"a": (1, 5000), "b": (1, 5000), "b/b": (1, 5000)}),
        "crossing": (
            [whole(0, 100, "out"), whole(10, 50, "a"), whole(40, 50, "b"), whole(95, 20, "c"), whole(45, 5, "d")],
            {"out": (1, 100000), "out/a": (1, 50000), "out/a/d": (1, 5000), "out/b": (1, 50000), "c": (1, 20000)}),
        "crossing begins and ends": (
            [("B", 0, "a"), ("B", 10, "b"), ("E", 20, "a"), ("E", 30, "b")], {"a": (1, 20000), "b": (1, 20000)}),
        "an end that is missing": (
            [("B", 0, "a"), ("B", 10, "lost"), ("B", 12, "b"), ("E", 14, "b"), ("E", 20, "a")],
            {"a": (1, 20000), "a/b": (1, 2000)}),
        "still open": (
            [("B", 0, "a"), ("X", 10, "b"), ("B", 12, "c"), ("E", 14, None)],
            {"a": (0, 0), "a/b": (0, 0), "a/b/c": (1, 2000)}),
        "ends and begins of names that do not fit": (
            [("E", 1, "x"), ("B", 2, "a"), ("E", 3, "x"), ("E", 4, "a"), ("E", 5, None)], {"a": (1, 2000)}),
        "asynchronous": (
            [asynchronous("b", 0, "r"), asynchronous("b", 5, "r", 2), asynchronous("b", 6, "dns"), asynchronous("n", 7, "found"),
             asynchronous("e", 8, "dns"), asynchronous("e", 10, "r"), asynchronous("e", 20, "r", 2),
             asynchronous("b", 30, "r", 1, cat="other"), asynchronous("e", 31, "r"), whole(0, 100, "scope")],
            {"r": (2, 25000), "r/dns": (1, 2000), "r/dns/found": (1, 1000), "r/dns/(rest)": (1, 1000), "scope": (1, 100000)}),
        "asynchronous of one process each": (
            [("b", 0, "r", {"id2": {"local": "1"}}), ("b", 1, "r", {"id2": {"local": "1"}, "pid": 9}),
             ("e", 5, "r", {"id2": {"local": "1"}}), ("e", 11, "r", {"id2": {"local": "1"}, "pid": 9})],
            {"r": (2, 15000)}),
        "asynchronous from one process to another": (
            [("b", 0, "r", {"id2": {"global": "1"}}), ("e", 5, "r", {"id2": {"global": "1"}, "pid": 9})], {"r": (1, 5000)}),
        "asynchronous of old": (
            [("S", 0, "r", {"id": "0x1"}), ("F", 5, "r", {"id": "0x1"})], {"r": (1, 5000)}),
    }
    for what, (events, wanted) in cases.items():
        got = sites(trace(*events))
        for where in list(got):
            if got[where] == (0, 0) and where not in wanted:
                del got[where]
        common.equal(got, wanted, what)


def test_names():
    names = ["", " ", "a\"b\\c", "%d %s %n %", "caf\u00e9", "\u6f22\U0001F600", "new\nline\ttab", "nul\0byte", "\u202eright", "/",
             "(rest)", "x" * 3000, "\u00e9" * 700, "}; event { name =", "# 12", "1", "-0", "007"]
    path = trace(*(whole(10 * i, 1, name, tid=i) for i, name in enumerate(names)), name="na me's.json")
    value, _ = report(path)
    got = [site["path"][0] for site in value["sites"]]
    common.equal(len(got), len(names))
    for name, label in zip(names, got):
        if name and len(name) < 500 and "\0" not in name:
            common.equal(label, name)
    common.equal(got[0], "(unnamed)")
    common.check("x" * 300 in got[11] and "\u00e9" * 200 in got[12] and "\ufffd" not in got[12], got[11:13])
    common.equal(lapmark("show", path).status, 0)
    common.equal(lapmark("check", path).out.splitlines()[-1].split(":")[0], "sound")


def test_numbers_in_names():
    """64 names that differ by nothing but numbers are as they are; of more one row is made, and its numbers are sizes."""
    few = sites(trace(*(whole(10 * i, 1, f"task {i} of 3") for i in range(64))))
    common.equal(len(few), 64)
    path = trace(*(whole(10000 * i, i * 10, f"task {i} of 3, x{i}") for i in range(1, 30)),
                 *(whole(10000 * i + 5000, i, f"step {i}") for i in range(1, 100)))
    many = sites(path)
    common.equal(many["step #"], (99, 1000 * sum(range(1, 100))))
    common.equal(len(many), 30)
    common.check("step 57" in lapmark("show", path).out)


def test_times():
    """Times since 1970 in microseconds have more digits than a double."""
    at = 1764403200123456
    path = os.path.join(WORK, "times.json")
    pathlib.Path(path).write_text(
        f'[{{"ph":"X","pid":1,"tid":1,"name":"a","ts":{at}.789,"dur":0.001}},'
        f'{{"ph":"X","pid":1,"tid":1,"name":"b","ts":{at + 1}.0014,"dur":1.0006}},'
        f'{{"ph":"X","pid":1,"tid":1,"name":"c","ts":"{at + 5}","dur":"2"}},'
        f'{{"ph":"X","pid":1,"tid":1,"name":"d","ts":{at + 9},"dur":1e1}}]', encoding="utf-8")
    value, _ = report(path)
    common.equal(value["processes"][0]["start_time_ns"], at * 1000 + 789)
    common.equal({site["path"][0]: site["total_ns"] for site in value["sites"]}, {"a": 1, "b": 1001, "c": 2000, "d": 10000})
    common.equal(value["processes"][0]["clock"]["resolution_ns"], 1)
    path = trace(whole(-5, 10, "negative"), whole(8, 1, "positive"), beginningOfTime=at)
    value, _ = report(path)
    common.equal(value["processes"][0]["start_time_ns"], at * 1000 - 5000)
    common.equal((value["span_ns"], value["processes"][0]["clock"]["resolution_ns"]), (14000, 1000))
    # More than 4.8 hours between two events.
    path = trace(("B", 0, "long"), *(whole(i * 3600e6, 1, "hour") for i in range(1, 20)), ("E", 20 * 3600e6, None))
    common.equal(sites(path), {"long": (1, 72000 * 10**9), "long/hour": (19, 19000)})
    for bad in ({"ts": 1e300}, {"ts": -1e300}, {"ts": None}, {"ts": "soon"}, {"dur": 1e300}, {"dur": "long"}, {"dur": []}):
        _, err = report(trace(whole(0, 1, "a"), whole(5, 1, "b", **bad)))
        common.check("1 event without a sound time" in err, f"{bad}: {err}")
    _, err = report(trace(whole(0, 1, "a"), whole(5, -1, "b")))
    common.check("1 slice that ends before it begins" in err, err)


def test_who():
    path = written("who.json", [
        {"ph": "M", "name": "process_name", "pid": 7, "args": {"name": "the program"}},
        {"ph": "M", "name": "thread_name", "pid": 7, "tid": 8, "args": {"name": "a thread with a name that is too long"}},
        {"ph": "X", "name": "a", "pid": 7, "tid": 8, "ts": 0, "dur": 1},
        {"ph": "X", "name": "a", "pid": "7", "tid": "8", "ts": 5, "dur": 1},
        {"ph": "X", "name": "a", "pid": "host 1", "tid": "main", "ts": 5, "dur": 1},
        {"ph": "X", "name": "a", "pid": -1, "tid": 18446744073709551615, "ts": 5, "dur": 1},
        {"ph": "X", "name": "a", "ts": 5, "dur": 1},
    ])
    value, err = report(path, "--by=thread")
    common.equal(err, "")
    threads = sorted((process["program"], process["pid"], process["threads"]) for process in value["processes"])
    common.equal([(program, count) for program, _, count in threads],
                 [("host 1", 1), ("process", 1), ("process", 1), ("the program", 1)])
    common.check(("the program", 7, 1) in threads, threads)
    common.equal(sum(site["count"] for site in report(path)[0]["sites"]), 5)


def test_long_names():
    """Names that differ behind the cut are each a row, and are counted."""
    long = "SELECT " + "x" * 2000
    path = trace(whole(0, 1, long + " 1"), whole(10, 2, long + " 2"), whole(20, 4, long + " 1"), whole(30, 1, "y" * 1000))
    value, err = report(path)
    common.check(err.endswith(": 2 ends of long names\n"), err)
    found = sorted((site["count"], site["total_ns"], len(site["path"][0].encode())) for site in value["sites"])
    common.equal(found, [(1, 1000, 1000), (1, 2000, 1000), (2, 5000, 1000)])
    common.check(all(re.fullmatch("SELECT x+…[0-9a-f]{16}|y+", site["path"][0]) for site in value["sites"]), value)
    # In the middle of a character; and of more than 64 the digits are not taken for numbers by which they differ.
    path = trace(*(whole(10 * i, 1, "é" * 600 + str(i)) for i in range(200)))
    value, err = report(path)
    common.equal((len(value["sites"]), "200 ends of long names" in err), (200, True))
    common.check(all(re.fullmatch("é+…[0-9a-f]{16}", site["path"][0]) for site in value["sites"]), value["sites"][0])


def test_many_threads():
    """In a long run: files for so many threads take a minute."""
    if int(os.environ.get("TEST_TIMES") or 1) == 1:
        print("left to ./dev soak: 65,540 threads")
        return
    place = os.path.join(WORK, "many threads")  # too many files for a small /dev/shm
    os.mkdir(place)
    path = trace(*(whole(i, 0.5, "a", tid=i) for i in range(65540)), whole(70000, 1, "a", tid=65539), asynchronous("b", 70000, "r"),
                 asynchronous("e", 70001, "r"))
    result = common.lapmark("report", path, "--json", TMPDIR=place, timeout=280)
    common.check(": 6 slices beyond what a recording holds" in result.err, result.err)
    value = json.loads(result.out)
    common.equal([(site["path"], site["count"]) for site in value["sites"] if site["count"]], [(["a"], 65536)])
    common.equal((value["processes"][0]["threads"], os.listdir(place)), (65536, []))


def test_bounds():
    """What a recording cannot hold is left out, and counted."""
    deep = [("B", i, f"d{i % 10}") for i in range(600)] + [("E", 1000 + i, None) for i in range(600)]
    value, err = report(trace(*deep))
    common.check("93 slices that are nested too deep" in err, err)
    common.equal(sum(site["count"] for site in value["sites"]), 507)
    wide = [asynchronous("b", i / 1000, "r", i) for i in range(16400)] + [asynchronous("e", 1000, "r", i) for i in range(16400)]
    value, err = report(trace(*wide))
    common.check("16 slices beyond what a recording holds" in err, err)
    common.equal(value["sites"][0]["count"], 16384)
    names = [whole(i * 10, 1, f"n{i}") for i in range(20000)]
    value, err = report(trace(*names))
    common.equal((err, sum(site["count"] for site in value["sites"])), ("", 20000))
    processes = [whole(i * 10, 1, "a", pid=i) for i in range(4100)]
    value, err = report(trace(*processes))
    common.check("4 slices beyond what a recording holds" in err, err)
    common.equal((len(value["processes"]), value["sites"][0]["count"]), (4096, 4096))
    many = [whole(i, 0.5, "a") for i in range(200000)]  # several segments, each of which says what is open
    path = trace(("B", 0, "around"), *many, ("E", 200000, None))
    shown = lapmark("show", "--events", path).out.splitlines()
    common.equal(sum(line.split()[2] == "open" and 'message="around"' in line for line in shown), 3)
    value, _ = report(path, "--events")
    common.equal([(site["path"], site["count"]) for site in value["sites"]], [(["around"], 1), (["around", "a"], 200000)])
    common.equal(value["comparison"]["equal"], True)


# ---- what is left out ----

def test_left_out():
    path = trace(whole(0, 100, "a", args={"url": "x"}), whole(10, 5, "b", args={"n": 5}), ("i", 1, "i"), ("I", 2, "i"),
                 ("R", 2, "i"), ("C", 3, "c"), ("s", 4, "f"), ("t", 5, "f"), ("f", 6, "f"), ("N", 7, "o"), ("O", 8, "o"),
                 ("D", 9, "o"), ("P", 9, "p"), ("v", 9, "v"), ("V", 9, "v"), ("T", 9, "t"), ("p", 9, "t"), ("c", 9, "c"),
                 ("?", 9, "c"), ("", 9, "c"), ("long", 9, "c"), ("E", 1, "a"), asynchronous("e", 1, "a"), asynchronous("n", 1, "a"),
                 ("M", 0, "process_labels", {"args": {"labels": "x"}}), name="left out.json")
    value, err = report(path)
    common.equal(err.replace(path, "PATH"),
                 "lapmark: 'PATH': left out, since nothing here stands for it: 4 instants, 1 value of a counter, "
                 "3 flow events, 3 events of objects, 1 sample of a stack, 2 dumps of memory, 2 steps of asynchronous slices, "
                 "1 slice's arguments, 4 events of other kinds, 2 ends without a begin\n")
    common.equal(len(value["sites"]), 2)
    _, err = report(written("odd.json", [1, None, "x", [], {}, {"ph": 5}, {"ph": "X", "ts": 0, "dur": 1, "name": 5}]))
    common.check("6 events of other kinds" in err, err)


def test_odd_values():
    """What other tools write and is no JSON, or more than is read of it, costs an argument and not the trace."""
    path = os.path.join(WORK, "odd values.json")
    deep = "[" * 5000 + '{"x": "]}"}' + "]" * 5000
    values = ["NaN", "Infinity", "-Infinity", "nan", "-inf", "1e999", "9" * 400, r'"\ud83d"', r'"\uDE00\uD83D"', deep, r'{"a\u0000": 1}',
              f'{{"a": {deep}}}', f'[NaN, {deep}, "NaN", "\\\\ud83d"]']
    for odd in values:
        events = [f'{{"ph":"X","pid":1,"tid":1,"name":"a","args":{{"loss":{odd if i == 50 else 1},"n":{i + 1}}},"ts":{10 * i},"dur":5}}'
                  for i in range(100)]
        pathlib.Path(path).write_text(f'{{"traceEvents":[{",".join(events)}]}}', encoding="utf-8")
        value, err = report(path)
        common.equal((value["sites"][0]["count"], value["sites"][0]["total_ns"]), (100, 500000), odd)
        common.equal(err.partition("stands for it: ")[2], "100 slices' arguments\n", odd)
        shown = [line for line in lapmark("show", path).out.splitlines() if line.startswith("<")]
        common.check(shown[50].endswith("n=51"), shown[50])
    for odd in ("NaN", "1e999", "-Infinity", "[" * 3000 + "]" * 3000):
        pathlib.Path(path).write_text(f'[{{"ph":"X","name":"a","ts":0,"dur":5}},{{"ph":"X","name":"a","ts":{odd},"dur":5}}]', encoding="utf-8")
        value, err = report(path)
        common.check(value["sites"][0]["count"] == 1 and "1 event without a sound time" in err, f"{odd}: {err}")
    names = [r"b\ud83d", r"\ude00\ud83d\ude00c", r"\\ud83d", "d NaN", r"e\u0000\ud83d"]
    pathlib.Path(path).write_text("[" + ",".join(f'{{"ph":"X","name":"{name}","ts":0,"dur":5,"x":NaN}}' for name in names) + "]", encoding="utf-8")
    found = json.loads(lapmark("report", path, "--json").out)
    common.equal({part for site in found["sites"] for part in site["path"]},
                 {"b\ufffd", "\ufffd\U0001f600c", r"\ud83d", "d NaN", "e\ufffd\ufffd"})


# ---- files ----

def refused(path, *words):
    for command in (["report"], ["diff", path], ["gate", path, "--"], ["check"]):
        result = lapmark(*command, path)
        common.equal((result.status, result.out), (2, ""), result)
        common.check(all(word in result.err for word in words), result)
        common.check(all(line.startswith("lapmark: ") for line in result.err.splitlines()), result)


def test_refused():
    good = '{"ph":"X","pid":1,"tid":1,"name":"a","ts":1,"dur":1}'
    cases = {
        "": "neither a recording", "hello": "neither a recording", "  ": "neither a recording",
        "{}": "JSON without 'traceEvents'", '{"a": [1, {"traceEvents": []}], "b": 2}': "JSON without 'traceEvents'",
        "[]": "a trace without a slice", '{"traceEvents": []}': "a trace without a slice",
        '[{"ph":"C","ts":1}]': "a trace without a slice",
        f"[{good}, {{\"ph\": }}]": "not JSON, at byte 62", f"[{good}, nonsense]": "not JSON, at byte 62",
        f"[{good}}}": "not JSON", f'{{"traceEvents" [{good}]}}': "not JSON, at byte 15",
        f"{{{good}}}": "not JSON", "[" * 100000 + "]" * 100000: "a trace without a slice",
        f'[{good}, {{"ph":"X","x":NaNs}}]': "not JSON, at byte",
    }
    for text, words in cases.items():
        path = os.path.join(WORK, "refused.json")
        pathlib.Path(path).write_text(text, encoding="utf-8")
        refused(path, words)
    for data, words in ((b"\x7fELF\2\1\1", "neither a recording"), (b"[" + good.encode().replace(b'"a"', b'"\xff"') + b"]", "not JSON")):
        pathlib.Path(WORK, "refused.json").write_bytes(data)
        refused(os.path.join(WORK, "refused.json"), words)
    common.equal(lapmark("report", WORK + "/missing.json").err, f"lapmark: cannot open '{WORK}/missing.json': no such file or directory\n")


def test_cut():
    """Cut at each length: what stands in front of the cut is read, and the cut is told, but where Chrome itself cuts."""
    events = [whole(10 * i, 5, f"n\u00e9{i}", args={"t": "a]}\\\"", "n": 2}) for i in range(3)] + [("B", 50, "o"), ("E", 60, "o")]
    made = json.loads(pathlib.Path(trace(*events)).read_text(encoding="utf-8"))["traceEvents"]
    texts = {"array": json.dumps(made, ensure_ascii=False), "object": json.dumps({"x": [1], "traceEvents": made, "y": {}}, ensure_ascii=False)}
    for form, text in texts.items():
        data, last = text.encode(), 0
        for length in range(1, len(data) + 1, 5 if form == "array" else 7):
            path = os.path.join(WORK, f"cut-{form}.json")
            pathlib.Path(path).write_bytes(data[:length])
            result = lapmark("report", "--json", path)
            if result.status == 2:
                common.check(last == 0 and result.err.startswith("lapmark: cannot open '"), result)
                continue
            common.equal(result.status, 0, result)
            found = sum(site["count"] for site in json.loads(result.out)["sites"])
            common.check(found >= last, f"{found} after {last}")
            last = found
            whole_events = data[:length].endswith((b"}", b"}, ", b"},")) if form == "array" else length == len(data)
            if whole_events and form == "array":
                whole_events = data[:length].rstrip(b", ").endswith(b"}") and b'"args"' not in data[:length].rsplit(b'"ph"', 1)[-1] or \
                    data[:length].rstrip(b", ").endswith(b"}}")
            common.equal(f"cut off, at byte" in result.err, not (whole_events or length == len(data)), f"{length}: {data[:length][-40:]}\n{result}")
        common.check(last >= 3, last)
    for end in ("}", "},", "}]"):
        path = os.path.join(WORK, "cut.json")
        pathlib.Path(path).write_text('{"traceEvents":[' + json.dumps(made[0])[:-1] + end, encoding="utf-8")
        value, err = report(path)
        common.check(len(value["sites"]) == 1 and "cut off, at byte" in err, f"{end}: {err}")


def test_rest():
    """What stands behind the trace is left out, and told."""
    good = '{"ph":"X","pid":1,"tid":1,"name":"a","ts":1,"dur":1}'
    path = os.path.join(WORK, "rest.json")
    for text in (f"[{good}]", f'{{"traceEvents":[{good}],"x":1}}'):
        for rest, is_told in (("", False), (" \n\r\t", False), (text, True), ("\n" + text, True), (" rubbish", True), ("]", True), ("\0", True)):
            data = (text + rest).encode()
            at = len(data) - len(rest.lstrip())
            for made, of in ((data, ""), (gzip.compress(text.encode()) + gzip.compress(rest.encode()), " of what is unpacked")):
                pathlib.Path(path).write_bytes(made)
                value, err = report(path)
                common.equal(err, f"lapmark: warning: '{path}': the trace ends at byte {at}{of}: what stands behind it is left out\n"
                             if is_told else "")
                common.equal(value["sites"][0]["count"], 1)
    packed = gzip.compress(f"[{good}]\n".encode())
    pathlib.Path(path).write_bytes(packed[:-4])
    common.check("cut off, at byte" in report(path)[1])
    pathlib.Path(path).write_bytes(packed[:-8] + bytes(8))  # its checksum
    refused(path, "damaged gzip data")


def test_packed():
    path = trace(*(whole(10 * i, 5, f"n{i % 7}") for i in range(5000)))
    packed = path + ".gz"
    data = gzip.compress(pathlib.Path(path).read_bytes())
    pathlib.Path(packed).write_bytes(data)
    common.equal(sites(packed), sites(path))
    pathlib.Path(packed).write_bytes(data[:len(data) // 2])
    value, err = report(packed)
    common.check("cut off, at byte" in err and "of what is unpacked" in err and 100 < value["events"] < 10000, err)
    pathlib.Path(packed).write_bytes(data[:len(data) // 2] + bytes(200) + data[len(data) // 2 + 200:])
    refused(packed, "damaged gzip data")


def test_pipe():
    path = trace(whole(0, 5, "a"))
    fifo = os.path.join(WORK, "fifo")
    os.mkfifo(fifo)
    with subprocess.Popen(["sh", "-c", f"cat '{path}' >'{fifo}'"]) as writer:
        value, _ = report(fifo)
    common.equal((writer.returncode, value["sites"][0]["count"]), (0, 1))


class Blocked:
    """A command that stands in the middle of its output, which nobody takes: what it has read is a recording now."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([common.LAPMARK, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        env=common.environment(TMPDIR=PLACES))

    def __enter__(self):
        common.check(self.process.stdout.read(1))
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def test_ended_by_signal():
    path = trace(*(whole(10 * i, 5, "a") for i in range(50000)))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Blocked("show", path) as process:
            common.equal(len(os.listdir(PLACES)), 1)
            process.send_signal(number)
            common.equal(process.wait(), -number)
        common.equal(os.listdir(PLACES), [])


def test_ended_by_two_signals():
    """The second one does not end what the first one began: the files are removed."""
    path = trace(*(whole(10 * i, 5, "a") for i in range(20000)))
    for turn in range(100):
        with Blocked("show", path) as process:
            for number in (signal.SIGINT, signal.SIGTERM if turn % 2 else signal.SIGINT):
                process.send_signal(number)
            common.check(process.wait() in (-signal.SIGINT, -signal.SIGTERM))
        common.equal(os.listdir(PLACES), [], turn)


def test_other_reader():
    """The recording is one: babeltrace2 finds the events that `show --events` does."""
    path = trace(*(whole(10 * i, 5, f"a{i % 3}", args={"n": i}) for i in range(30000)),
                 *(asynchronous("be"[i % 2], 10 * i, "r", i // 2) for i in range(1000)),
                 *(whole(10 * i + 6, 1, f"x {i}") for i in range(200)))
    copy = os.path.join(WORK, "copy")
    with Blocked("show", path):
        shutil.copytree(os.path.join(PLACES, os.listdir(PLACES)[0]), copy)
    shutil.rmtree(os.path.join(PLACES, os.listdir(PLACES)[0]))
    events = lapmark("show", "--events", copy).out.splitlines()
    if not shutil.which("babeltrace2"):
        print("not tested here: babeltrace2 on what was read, which is not installed")
        return
    result = common.run("babeltrace2", copy)
    common.equal((result.status, result.err), (0, ""), result.err[-1000:])
    common.equal(len(result.out.splitlines()), len(events))
    common.equal(len(events), 2 * 30000 + 1000 + 400)


# ---- commands ----

def job(name, slow_us):
    events = []
    for i in range(40):
        at = 10000 * i
        events += [("B", at, "job"), whole(at + 10, 100 + i % 3, "parse"), whole(at + 200, slow_us + i % 5, "sort"),
                   whole(at + 5000, 50 + i % 2, "write"), ("E", at + 6000, "job")]
    return trace(*events, name=name)


def test_diff():
    base, new = job("base.json", 300), job("new.json", 900)
    result = lapmark("diff", base, new)
    common.equal(result.status, 0, result)
    common.check("job/sort" in result.out or "sort" in result.out.split("count")[0], result)
    value = json.loads(lapmark("diff", "--json", *[job(f"base{i}.json", 300 + i) for i in range(6)], "--",
                               *[job(f"new{i}.json", 900 + i) for i in range(6)]).out)
    common.equal(value["cause"], ["job", "sort"])


def test_gate():
    base = [job(f"base{i}.json", 3000 + 3 * (i % 7)) for i in range(20)]
    new = [job(f"new{i}.json", 4400 + 3 * (i % 5)) for i in range(20)]
    same = [job(f"same{i}.json", 3000 + 3 * (i % 6)) for i in range(20)]
    result = lapmark("gate", *base, "--", *new)
    common.equal(result.status, 1, result)
    common.check("sort" in result.out, result)
    common.equal(lapmark("gate", *base, "--", *same).status, 0)


def test_scaling():
    events, at = [], 0
    for i in range(1, 60):
        n = 50 * i
        events += [whole(at, n * n / 100, "square", args={"n": n, "x": "y"}), whole(at + 2e6, n * 2, "line", args={"items": n})]
        at += 4000000
    result = lapmark("scaling", "--json", trace(*events))
    common.equal(result.status, 0, result)
    found = {node["path"][-1]: (node["class"], node["size_from"]) for node in json.loads(result.out)["nodes"]}
    common.equal(found, {"square": ("n^2", "n"), "line": ("n", "n")})
    text = lapmark("scaling", trace(*events)).out
    common.check(any("square" in line and "O(n²)" in line for line in text.splitlines()), text)


def test_sizes():
    """The n of a slice: the argument n, else the only one, if that is a whole number."""
    cases = [({"n": 5, "m": 6}, "5"), ({"m": 6}, "6"), ({"m": 6, "l": "x"}, None), ({"l": 6, "m": 7}, None), ({"n": 7.9}, "7"),
             ({"m": 7.9}, None), ({"n": 0}, None), ({"n": -5}, None), ({"n": "5"}, None), ({"n": 2**63}, None), ({"n": 2**40}, str(2**40)),
             ({"n": None, "m": 1}, None), ([], None), (5, None)]
    path = trace(*(whole(10 * i, 1, f"case{i}x", args=args) for i, (args, _) in enumerate(cases)),
                 ("B", 1000, "begin"), ("E", 1001, "begin", {"args": {"n": 3}}))
    found = {line.split()[2].rstrip(","): line.partition("n=")[2] for line in lapmark("show", path).out.splitlines() if line[0] == "<"}
    for i, (args, n) in enumerate(cases):
        common.equal(found[f"case{i}x"] or None, n, args)
    common.equal(found["begin"], "3")


def test_slowest():
    path = trace(*(whole(1000 * i, 10 * i, "a") for i in range(1, 50)), whole(90000, 1, "b"))
    common.check("490 µs" in lapmark("slowest", path).out)
    common.check("490 µs" in lapmark("slowest", "a", path).out)
    common.equal("490 µs" in lapmark("slowest", "b", path).out, False)
    os.makedirs(f"{WORK}/here", exist_ok=True)
    shutil.copy(path, f"{WORK}/here/b")
    common.check("490 µs" in lapmark("slowest", "b", cwd=f"{WORK}/here").out)


def test_several():
    one, two = trace(whole(0, 5, "a"), name="one.json"), trace(whole(0, 7, "a"), name="two.json")
    result = lapmark("report", "--json", one, two)
    common.equal(json.loads(result.out)["sites"][0]["count"], 2)
    result = lapmark("report", one, one)
    common.check("second copy of a process, left out" in result.err, result)


try:
    common.main(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.rmtree(PLACES, ignore_errors=True)
