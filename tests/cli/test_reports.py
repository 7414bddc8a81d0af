# SPDX-License-Identifier: MIT
"""`report`, `show`, `slowest` and `check` on recordings of a program whose events are known."""
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import tempfile

import common

RECORDED = {}
WORK = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)


def recorded(name, *arguments, options=()):
    """The directory of a recording of `workload ARGUMENTS`, made once; what it printed is in RECORDED."""
    directory = f"{WORK}/{name}"
    if name not in RECORDED:
        if not RECORDED:
            common.workload(WORK)
        RECORDED[name] = common.lapmark("record", "--print", "-o", directory, *options, "--", f"{WORK}/workload", *arguments)
    return directory


def jobs():
    return recorded("jobs", "jobs")


def sites(value):
    return {tuple(site["path"]): site for site in value["sites"]}


def without_numbers(text):
    """Times and what depends on them."""
    return re.sub(r"\d+\.\d+ ms", "T ms", text)


# ---- report


def test_report_json():
    value = common.lapmark_json("report", jobs())
    common.equal((value["version"], value["source"], value["events"], value["lost"], value["overwritten"]),
                 (1, "statistics", 110, 0, 0))
    (process,) = value["processes"]
    common.equal((process["program"], process["state"], process["mode"], process["threads"], process["lost"], process["losses"],
                  process["open"], process["events"]), ("workload", "ended", "flight", 1, 0, {}, [], 110))
    common.equal(process["host"], os.uname().nodename)
    common.check(process["command"].endswith("/workload jobs"), process)
    common.check(process["name"].startswith(f"workload-{process['pid']}-"), process)
    common.check(process["clock"]["hz"] > 1e6 and process["clock"]["resolution_ns"] > 0, process)
    common.check(abs(process["start_time_ns"] / 1e9 - os.stat(jobs()).st_mtime) < 60, process)
    found = sites(value)
    wanted = {("jobs",): ("profiler", 1), ("jobs", "job %d"): ("profiler", 12), ("jobs", "job %d", "load"): ("lap", 12),
              ("jobs", "job %d", "step"): ("lap", 36), ("jobs", "job %d", "inner"): ("profiler", 12),
              ("jobs", "job %d", "sized"): ("lap", 12), ("jobs", "job %d", "(rest)"): ("rest", 12)}
    common.equal({path: (site["kind"], site["count"]) for path, site in found.items()}, wanted)
    job = found["jobs", "job %d"]
    common.check(job["file"].endswith("workload.c") and job["line"] > 0 and job["function"] == "jobs", job)
    laps = sum(site["total_ns"] for path, site in found.items() if len(path) == 3 and site["kind"] != "profiler")
    common.check(abs(laps - job["total_ns"]) < 100, (laps, job))
    common.check(20e6 < job["max_ns"] <= job["total_ns"], job)
    common.check(abs(job["self_ns"] - (job["total_ns"] - found["jobs", "job %d", "inner"]["total_ns"])) < 10, job)
    for site in value["sites"]:
        order = [site[name] for name in ("min_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")]
        common.check(order == sorted(order), site)
        curve = dict(site["percentiles"])
        common.equal(list(curve), sorted(curve), site)
        common.equal(list(curve.values()), sorted(curve.values()), site)
        common.equal((curve[0], curve[100]), (site["min_ns"], site["max_ns"]), site)
        for percentile in (50, 90):
            if site["count"] >= 100 / (100 - percentile):
                common.equal(curve[percentile], site[f"p{percentile}_ns"], site)
        common.check(abs(site["mean_ns"] * site["count"] - site["total_ns"]) <= 0.002 * site["count"] + 1, site)


def test_report_text():
    result = common.lapmark("report", jobs())
    common.equal((result.status, result.err), (0, ""))
    head, tree = result.out.split("\n\n", 1)
    common.equal([line[:12].strip() for line in head.splitlines()], ["recorded", "process", "clock", "lost", "cost"])
    common.check(re.match(r"recorded    1 process, 1 thread, 110 events in [\d.]+ \S+\n", head), head)
    rows = [(line[:13].rstrip().removesuffix("~").rstrip(), int(re.search(r"  (\d+)  ", line).group(1)))
            for line in tree.splitlines()[1:8]]
    common.equal(rows, [("jobs", 1), ("  job %d", 12), ("    \u00b7 load", 12), ("    \u00b7 step", 36), ("    inner", 12),
                        ("    \u00b7 sized", 12), ("    \u00b7 (rest)", 12)])
    title = tree.splitlines()[0].split()
    common.equal(title, ["count", "total", "of", "all", "of", "parent", "self", "mean", "p50", "p90", "p99", "max"])


def test_report_of_events():
    stored = common.lapmark_json("report", jobs())
    events = common.lapmark_json("report", "--events", jobs())
    common.equal((events["source"], events["comparison"]["equal"]), ("events", True))
    common.equal(events["sites"], stored["sites"])
    result = common.lapmark("report", "--events", jobs())
    common.equal(result.status, 0)
    common.check("compared    events and stored statistics are equal\n" in result.out, result)


def test_report_finds_a_difference():
    directory = f"{WORK}/different"
    shutil.copytree(jobs(), directory)
    (name,) = os.listdir(directory)
    path = f"{directory}/{name}/.lapmark/statistics-0000"
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        cell = data.find(struct.pack("<I", 0x4C454343)) - 36
        struct.pack_into("<Q", data, cell, struct.unpack_from("<Q", data, cell)[0] + 1)
        file.seek(0)
        file.write(data)
    result = common.lapmark("report", "--events", directory)
    common.equal(result.status, 1, result)
    common.check("DIFFERENT" in result.out, result)
    common.equal(common.lapmark("check", directory).status, 1)


def test_report_by():
    directory = recorded("threads", "threads")
    value = common.lapmark_json("report", "--by", "thread", directory)
    common.equal(sum(site["count"] for site in value["sites"] if site["path"] == ["work", "item"]), 15)
    common.check(all(site["process"] and "thread" in site for site in value["sites"]), value)
    both = [directory, jobs()]
    value = common.lapmark_json("report", "--by", "process", *both)
    common.equal(len(value["processes"]), 2)
    common.equal({site["process"] for site in value["sites"]}, {process["name"] for process in value["processes"]})
    merged = common.lapmark_json("report", *both)
    common.equal((merged["events"], len(merged["sites"])), (131, 10))
    common.check("process" not in merged["sites"][0], merged)
    text = common.lapmark("report", "--by", "process", *both).out
    for process in value["processes"]:
        common.check(f"\n\nworkload {process['pid']}\n" in text, text)


def test_report_of_the_newest():
    directory = f"{WORK}/newest"
    os.mkdir(directory)
    jobs()
    for case in ("threads", "handles"):
        common.lapmark("record", "--", f"{WORK}/workload", case, cwd=directory)
        common.check({"threads": "work", "handles": "request %d"}[case] in common.lapmark("report", cwd=directory).out)
    common.check("request 1" in common.lapmark("slowest", "request*", cwd=directory).out)
    common.equal(common.lapmark("check", cwd=directory).status, 0)


def test_order_over_threads():
    """Laps stand in the order of their first meeting, whichever threads' rings they are in."""
    value = common.lapmark_json("report", recorded("handles", "handles"))
    laps = [site["path"][1] for site in value["sites"] if len(site["path"]) == 2]
    common.equal(laps, ["queued", "parsed", "answered", "(rest)"])


def test_run_reports():
    result = common.lapmark("run", "-o", f"{WORK}/run", "--", f"{WORK}/workload", "jobs")
    report = common.lapmark("report", f"{WORK}/run")
    common.equal((result.status, result.out, result.err), (0, report.out, ""))
    result = common.lapmark("run", "--json", "-o", f"{WORK}/run-json", "--", f"{WORK}/workload", "jobs")
    common.equal(json.loads(result.out)["events"], 110)


def test_overwritten():
    directory = recorded("wrap", "wrap", "400000", options=("--ring", "1M"))
    value = common.lapmark_json("report", directory)
    common.equal(value["events"], 400002)
    common.check(value["overwritten"] > 200000, value["overwritten"])
    common.equal(sites(value)["wrap", "turn"]["count"], 400000)
    comparison = common.lapmark_json("report", "--events", directory)["comparison"]
    common.equal((comparison["equal"], comparison["rings_skipped"]), (None, 1))
    check = common.lapmark_json("check", directory)
    common.equal((check["sound"], check["overwritten"], check["lost"]), (True, value["overwritten"], 0))
    (instance,) = common.lapmark_json("slowest", directory)["instances"]
    common.equal((instance["incomplete"], instance["message"]), (True, "wrap"))


def test_full():
    directory = recorded("full", "wrap", "400000", options=("--full", "--ring", "1M"))
    value = common.lapmark_json("report", "--events", directory)
    common.equal((value["events"], value["overwritten"], value["comparison"]["equal"]), (400002, 0, True))
    common.equal(value["processes"][0]["mode"], "full")


def test_killed():
    directory = recorded("killed", "killed", "9")
    common.equal(RECORDED["killed"].status, 137)
    value = common.lapmark_json("report", directory)
    (process,) = value["processes"]
    common.equal((process["state"], value["events"]), ("died", 4))
    (profiler,) = process["open"]
    common.equal((profiler["message"], profiler["kind"], profiler["depth"], profiler["checkpoints"]), ("doomed", "scope", 0, 3))
    common.check(profiler["begin_time_ns"] <= profiler["last_time_ns"] <= profiler["begin_time_ns"] + profiler["open_ns"], profiler)
    text = common.lapmark("report", directory).out
    common.check(re.search(r"^still open  doomed, for [\d.]+ \S+, in workload \d+$", text, re.MULTILINE), text)
    common.check("(open when it died)" in common.lapmark("show", directory).out)
    check = common.lapmark_json("check", directory)
    common.equal((check["sound"], [finding["message"] for finding in check["findings"] if finding["what"] == "open"]),
                 (True, ["doomed"]))


# ---- show


def test_show_is_what_was_printed():
    for case in ("jobs", "labels", "handles", "thresholds"):
        directory = recorded(case, case)
        shown = common.lapmark("show", directory)
        printed = RECORDED[case].err.rsplit("lapmark: recorded", 1)[0]
        common.check(printed.count("> Entering") > 0, RECORDED[case])
        common.equal(without_numbers(re.sub(r"(?m)^# .*\n", "", shown.out)), without_numbers(printed), case)
        common.equal((shown.status, shown.err), (0, ""))


def test_show_filters():
    def entered(*options):
        return re.findall(r"^ *> Entering ([^(\n]*?)(?: \(.*)?$", common.lapmark("show", *options).out, re.MULTILINE)

    common.equal(entered("--name", "job ?d", jobs()), [name for i in range(12) for name in (f"job {i}", "inner")])
    common.equal(entered("--name", "nothing", jobs()), [])
    common.equal(len(entered("--name", "jobs", jobs())), 3)
    common.equal(entered("--name", "inner", jobs()), ["inner"] * 12)
    thresholds = recorded("thresholds", "thresholds")
    common.equal(entered(thresholds), ["round 1"])
    common.equal(entered("--min-duration", "0", thresholds), ["patient", "round 0", "round 1", "round 2"])
    common.equal(entered("--min-duration", "5ms", "--name", "round*", thresholds), ["round 1"])
    common.equal(entered("--min-duration", "1h", thresholds), [])
    common.equal(entered("--since", "1h", jobs()), [])
    common.equal(len(entered("--since", "0", "--until", "1h", jobs())), 3)
    common.equal(entered("--until", "-1h", jobs()), [])
    common.equal(len(entered("--since", "2001-01-01 00:00", "--until", "2100-01-01 00:00:00.5", jobs())), 3)
    common.equal(entered("--until", "2001-01-01 00:00", jobs()), [])


def test_show_threads():
    directory = recorded("threads", "threads")
    text = common.lapmark("show", directory).out
    common.equal(sorted(re.findall(r"^# workload \d+, thread (worker-\d) \(\d+\), at \d\d:\d\d:\d\d\.\d{6}$", text, re.MULTILINE)),
                 ["worker-0", "worker-1", "worker-2"])
    one = common.lapmark("show", "--thread", "worker-1", directory).out
    common.equal(one.count("> Entering work"), 1)
    number = re.search(r"\((\d+)\)", one).group(1)
    common.equal(common.lapmark("show", "--thread", number, directory).out, one)
    common.equal(common.lapmark("show", "--thread", "worker-*", directory).out, text)
    for option in ([], ["--events"]):
        nobody = common.lapmark("show", "--thread", "nobody", *option, directory)
        common.equal((nobody.out, nobody.status), ("", 0))
        common.check(nobody.err.startswith("lapmark: nothing to show"), nobody.err)
    reports = [json.loads(line) for line in common.lapmark("show", "--json", directory).out.splitlines()]
    common.equal(sorted(report["thread_name"] for report in reports), ["worker-0", "worker-1", "worker-2"])
    common.check(all(report["lines"][0] == "> Entering work" and len(report["lines"]) == 4 for report in reports), reports)


def events_of(directory, *options):
    return [json.loads(line) for line in common.lapmark("show", "--events", "--json", *options, directory).out.splitlines()]


def test_show_events():
    events = events_of(jobs())
    sited = [event for event in events if event["class"] >= 16 or event["kind"] == "end"]
    common.equal(len(sited), 110)
    common.equal([event["kind"] for event in sited[:9]], ["begin", "begin", "mark", "mark", "mark", "mark", "begin", "end", "mark"])
    common.equal(sited[1]["fields"], {"a0": 0})
    common.equal(sited[8]["fields"], {"n": 0})
    common.equal([event["time_ns"] for event in events], sorted(event["time_ns"] for event in events))
    text = common.lapmark("show", "--events", jobs()).out.splitlines()
    common.equal(len(text), len(events))
    common.equal({event["name"] for event in events_of(jobs(), "--name", "s*")}, {"step", "sized"})


def test_show_events_of_labels():
    events = events_of(recorded("labels", "labels"))
    names = [event["name"] for event in events]
    common.check('caf\u00e9 "quoted" back\\slash' in names and "tab\tnew\nline escape \033[31m red" in names, names)
    (typed,) = [event for event in events if event["name"].startswith("%s and")]
    fields = list(typed["fields"].values())
    for value in ("text \u00e4", -5, 4000000000, 0.1, 0xDEADBEEF):
        common.check(value in fields, typed)
    (wide,) = [event for event in events if event["name"] == "%llu"]
    common.equal(wide["fields"], {"a0": 2**64 - 1})
    text = common.lapmark("show", "--events", recorded("labels", "labels")).out
    common.check("\033" not in text and len(text.splitlines()) == len(events), text)


BABELTRACE = """
import json, sys
import bt2
for message in bt2.TraceCollectionMessageIterator(sys.argv[1]):
    if type(message) is bt2._EventMessageConst:
        event = message.event
        fields = {}
        for name, field in (event.payload_field or {}).items():
            kind = type(field)
            if issubclass(kind, bt2._StringFieldConst):
                fields[name] = str(field)
            elif issubclass(kind, bt2._RealFieldConst):
                fields[name] = float(field)
            else:
                fields[name] = int(field)
        print(json.dumps([event.name, message.default_clock_snapshot.value, fields]))
"""


def test_events_are_those_of_babeltrace():
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import bt2"], capture_output=True, check=False).returncode != 0:
        print("no Python bindings of babeltrace2 here")
        return
    for name, *arguments in (("jobs", "jobs"), ("labels", "labels"), ("handles", "handles"), ("threads", "threads"),
                             ("killed", "killed", "9"), ("thresholds", "thresholds")):
        directory = recorded(name, *arguments)
        (process,) = os.listdir(directory)
        output = subprocess.run([python, "-c", BABELTRACE, f"{directory}/{process}"], capture_output=True, check=False)
        common.equal(output.returncode, 0, output.stderr.decode())
        theirs = [json.loads(line) for line in output.stdout.decode().splitlines()]
        ours = [[event["name"], event["ticks"], event["fields"]] for event in events_of(directory)]
        common.equal(len(ours), len(theirs), name)
        for mine, other in zip(ours, theirs):
            common.equal(mine, other, name)


# ---- slowest


def test_slowest():
    value = common.lapmark_json("slowest", "-n", "3", "job ?d", jobs())
    common.equal((value["matched"], len(value["instances"])), (12, 3))
    slowest = value["instances"][0]
    common.equal((slowest["message"], slowest["kind"], slowest["depth"], slowest["checkpoints"], slowest["incomplete"]),
                 ("job 11", "scope", 1, 5, False))
    common.equal([(lap["label"], lap["kind"], lap["count"]) for lap in slowest["laps"]],
                 [("load", "lap", 1), ("step", "lap", 3), ("inner", "profiler", 1), ("sized", "lap", 1), ("(rest)", "rest", 1)])
    common.equal([lap.get("n") for lap in slowest["laps"]], [None, None, None, 11, None])
    totals = [instance["total_ns"] for instance in value["instances"]]
    common.check(totals == sorted(totals, reverse=True) and totals[0] > 20e6, totals)
    laps = sum(lap["total_ns"] for lap in slowest["laps"] if lap["kind"] != "profiler")
    common.check(abs(laps - slowest["total_ns"]) < 10, slowest)
    result = common.lapmark("slowest", "-n1", "job ?d", jobs())
    common.check(re.match(r"1\. job 11: [\d.]+ ms, at \d\d:\d\d:\d\d\.\d{6} in workload \d+", result.out), result)
    common.check("(the slowest 1 of 12 instances)" in result.out, result)
    common.equal(len(common.lapmark_json("slowest", jobs())["instances"]), 1)
    common.equal(common.lapmark("slowest", "nothing*", jobs()).out,
                 "no profiler that matches 'nothing*' is in the recording's events\n")


def test_slowest_of_handles():
    value = common.lapmark_json("slowest", recorded("handles", "handles"))
    common.equal(sorted(instance["message"] for instance in value["instances"]), ["request 1", "request 2"])
    common.equal({instance["kind"] for instance in value["instances"]}, {"handle"})


# ---- check


def test_check_is_sound():
    for name in ("jobs", "threads", "labels", "handles"):
        directory = recorded(name, name)
        result = common.lapmark("check", directory)
        common.equal((result.status, result.err), (0, ""), result)
        common.check(result.out.splitlines()[-1].startswith("sound: "), result)
        value = common.lapmark_json("check", directory)
        common.equal((value["sound"], value["worst"], value["lost"]), (True, "note", 0), value)


def damaged(name, file, change):
    directory = f"{WORK}/damaged-{name}"
    shutil.copytree(jobs(), directory)
    (process,) = os.listdir(directory)
    path = f"{directory}/{process}/{file}"
    with open(path, "rb") as opened:
        data = bytearray(opened.read())
    data = change(data)
    with open(path, "wb") as opened:
        opened.write(data)
    return directory


def test_check_finds_damage():
    def unknown_class(data):
        struct.pack_into("<Q", data, 400, 0xABCDE)
        return data

    cases = (("class", "stream-0000-00", unknown_class), ("torn", "stream-0000-00", lambda data: data[:600]),
             ("magic", "stream-0000-00", lambda data: b"\0\0\0\0" + data[4:]),
             ("control", ".lapmark/control", lambda data: b"\0" * 8 + data[8:]),
             ("statistics", ".lapmark/statistics-0000", lambda data: data[:100]))
    for name, file, change in cases:
        directory = damaged(name, file, change)
        result = common.lapmark("check", directory)
        common.equal(result.status, 1, f"{name}: {result}")
        common.check("not sound: " in result.out and "damage" in result.out, result)
        value = json.loads(common.lapmark("check", "--json", directory).out)
        common.equal((value["sound"], value["worst"]), (False, "damage"))
        for command in (("report",), ("show",), ("show", "--events"), ("slowest",), ("report", "--json")):
            common.check(common.lapmark(*command, directory).status in (0, 2), (name, command))


def test_check_tells_a_missing_file():
    for name in ("jobs", "threads"):
        directory = f"{WORK}/missing-{name}"
        shutil.copytree(recorded(name, name), directory)
        (process,) = os.listdir(directory)
        file = max(file for file in os.listdir(f"{directory}/{process}") if file.startswith("stream-"))
        os.unlink(f"{directory}/{process}/{file}")
        result = common.lapmark("check", directory)
        common.check(f"{process}/{file}': no such file" in result.out and "with something missing" in result.out, result)


def test_metadata_is_gone():
    directory = damaged("metadata", "metadata", lambda data: b"nothing")
    for command in ("report", "show", "slowest", "check"):
        result = common.lapmark(command, directory)
        common.equal((result.status, result.out), (2, ""), result)
        common.check(re.match(r"lapmark: cannot open '.*metadata': [a-z]", result.err), result)


# ---- how it looks


def test_fits_the_width():
    for columns in (40, 60, 80, 100, 120, 200):
        for command in (("report",), ("slowest", "job*")):
            text = common.lapmark(*command, jobs(), COLUMNS=str(columns)).out
            for line in text.splitlines():
                if not line.startswith(("~", "1.", "2.", "(")) and not re.match(r"\d+\.", line):
                    common.check(len(line) <= columns, f"{columns}: {line!r}")
    narrow = common.lapmark("report", jobs(), COLUMNS="80").out
    for title in ("count", "total", "mean", "self", "of all"):
        common.check(title in narrow, narrow)


def test_colours():
    def has(**variables):
        return "\033[" in common.lapmark("report", jobs(), TERM="xterm", **variables).out

    common.equal((has(), has(CLICOLOR_FORCE="1"), has(CLICOLOR_FORCE="0"), has(CLICOLOR_FORCE="1", NO_COLOR="1")),
                 (False, True, False, False))

    def at_terminal(**variables):
        directory = jobs()
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(common.LAPMARK, [common.LAPMARK, "report", directory], common.environment(TERM="xterm", **variables))
        text = b""
        try:
            while piece := os.read(terminal, 65536):
                text += piece
        except OSError:
            pass
        os.waitpid(pid, 0)
        return b"\033[" in text

    common.equal((at_terminal(), at_terminal(NO_COLOR="1")), (True, False))


def test_ascii():
    out = common.lapmark("report", jobs(), LC_ALL="C").out
    common.check(out.isascii() and "- load" in out and "##########" in out and " us" in out, out)
    labels = recorded("labels", "labels")
    common.check("caf\u00e9" in common.lapmark("report", labels, LC_ALL="C").out)
    for command in ("report", "slowest"):
        common.check("\033" not in common.lapmark(command, labels).out)


try:
    common.main(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
