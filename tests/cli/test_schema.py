# SPDX-License-Identifier: MIT
"""Every JSON that the command writes has the members that its manual page lists, and no others."""
import json
import re

import common


def tables(page):
    """The tables of a page's JSON section, as sets of members."""
    with open(f"{common.SOURCE}/doc/man/{page}.1.scd", encoding="utf-8") as file:
        section = re.search(r"^# JSON\n(.*?)^# ", file.read(), re.MULTILINE | re.DOTALL).group(1)
    found = []
    for table in re.findall(r"^\|\[ \*Member\*\n.*?(?:\n\n|\Z)", section, re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^\|  (.*)$", table, re.MULTILINE)
        found.append({name for row in rows for name in row.split(", ")})
    return found


def same(value, members, optional=()):
    common.equal(set(value) - set(optional), members - set(optional))
    common.check(set(value) <= members, set(value) - members)


def test_schemas():
    with common.Directory() as directory:
        program = common.workload(directory)
        result = common.lapmark("record", "--json", "-o", "rec", "--", program, "jobs", cwd=directory)
        value = json.loads(result.out)
        top, process = tables("lapmark-run")
        same(value, top)
        same(value["processes"][0], process)
        common.lapmark("record", "-o", "rec", "--", program, "killed", "9", cwd=directory)

        top, process, site = tables("lapmark-report")
        value = common.lapmark_json("report", "rec", cwd=directory)
        same(value, top, ["comparison"])
        for each in value["processes"]:
            same(each, process, ["snapshot"])
        for each in value["sites"]:
            same(each, site, ["process", "thread", "callers", "callers_left_out"])
        value = common.lapmark_json("report", "--events", "--by", "thread", "rec", cwd=directory)
        same(value, top)
        for each in value["sites"]:
            same(each, site, ["callers", "callers_left_out"])

        report, event = tables("lapmark-show")
        lines = common.lapmark("show", "--json", "rec", cwd=directory).out.splitlines()
        common.check(lines)
        for line in lines:
            same(json.loads(line), report)
        for line in common.lapmark("show", "--events", "--json", "rec", cwd=directory).out.splitlines():
            same(json.loads(line), event, ["time_error_ns", "relation"])
        for line in common.lapmark("show", "--merge", "--events", "--json", "rec", cwd=directory).out.splitlines():
            same(json.loads(line), event, ["relation"])

        top, instance, lap = tables("lapmark-slowest")
        value = common.lapmark_json("slowest", "*", "rec", cwd=directory)
        same(value, top)
        common.check(value["instances"])
        for each in value["instances"]:
            same(each, instance)
            for inner in each["laps"]:
                same(inner, lap, ["n"])

        top, kind, lap, times, instance, clock, step = tables("lapmark-calls")
        program = common.workload(directory, "call_pair")
        for arguments in (["silent", "8"], ["step", "12"]):
            common.run(program, *arguments, cwd=directory, LAPMARK_RECORD="calls", LAPMARK_PRINT="off",
                       LAPMARK_SHARE="domain,laps")
        for options, optional in (([], ["process", "thread"]), (["--by", "thread"], [])):
            value = common.lapmark_json("calls", *options, "calls", cwd=directory)
            same(value, top)
            for each in value["calls"]:
                same(each, kind, optional)
                same(each["laps"][0], lap)
                for numbers in (each[name] for name in each if isinstance(each[name], dict) and name != "thread"):
                    same(numbers, times)
            for each in value["slowest"]:
                same(each, instance)
            for each in value["clocks"]:
                same(each, clock)
            same(next(each for each in value["clocks"] if each["steps"])["steps"][0], step)

        top, node = tables("lapmark-scaling")
        curve = {"class", "candidates", "doubt", "exponent", "exponent_ci", "range", "range_needed", "sizes", "noise", "size_from", "offset",
                 "factor", "lines", "points"}
        common.workload(directory, "scaling_work")
        common.run(f"{directory}/scaling_work", "gaps", cwd=directory, LAPMARK_RECORD="sizes", LAPMARK_PRINT="off")
        value = common.lapmark_json("scaling", "sizes", cwd=directory)
        same(value, top)
        for each in value["nodes"]:
            same(each, node)
        same(next(each["calls"] for each in value["nodes"] if each["calls"]), curve)
        top, node, side = tables("lapmark-diff")
        value = common.lapmark_json("diff", "rec", "calls", cwd=directory)
        same(value, top)
        for each in value["nodes"]:
            same(each, node)
            for numbers in (each[name] for name in ("base", "new") if each[name]):
                same(numbers, side)

        reported = tables("lapmark-report")[1] - {"events", "overwritten", "taken_back", "cost_ns", "open"}
        top, process, site = tables("lapmark-ctl")
        common.workload(directory, "puppet")
        with common.Puppet(directory) as running:
            running.tell("late 0")
            value = common.lapmark_json("ctl", running.pid)
            taken = common.lapmark_json("snapshot", running.pid, "-o", "snaps", cwd=directory)
        same(value, top)
        same(value["processes"][0], process | reported, ["snapshot"])
        same(value["processes"][0]["sites"][0], site)
        top, snapshot = tables("lapmark-snapshot")
        same(taken, top)
        same(taken["snapshots"][0], snapshot)
        same(common.lapmark_json("report", "snaps", cwd=directory)["processes"][0], tables("lapmark-report")[1])
        top, process, site, numbers = tables("lapmark-top")
        for options in (["--once"], ["-n", "1", "--interval", "10ms"]):
            value = common.lapmark_json("top", *options, "rec", cwd=directory)
            same(value, top)
            for each in value["processes"]:
                same(each, process)
            for each in value["sites"]:
                same(each, site)
                same(each["since_start"], numbers)
                if each["interval"] is not None:
                    same(each["interval"], numbers)

        top, step, side = tables("lapmark-gate")
        job = f"{common.BUILD}/tests/programs/gate_job"
        names = [f"run-{number}" for number in range(24)]
        for name in names:
            common.lapmark("record", "-o", name, "--", job, cwd=directory)
        value = json.loads(common.lapmark("gate", "--json", *names[:12], "--", *names[12:], cwd=directory).out)
        same(value, top)
        for each in value["nodes"]:
            same(each, step)
            same(each["base"], side)
            same(each["new"], side)

        top, finding = tables("lapmark-check")
        value = common.lapmark_json("check", "rec", cwd=directory)
        same(value, top)
        open_only = ["message", "thread_id", "begin_time_ns", "open_ns"]
        common.check(any(each["what"] == "open" for each in value["findings"]), value)
        for each in value["findings"]:
            same(each, finding, [] if each["what"] == "open" else open_only)


common.main(globals())
