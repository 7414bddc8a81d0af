# SPDX-License-Identifier: MIT
"""lapmark snapshot, against programs that run, are stopped, or are not there; what reads it says what it is, and a process counts
once."""
import os
import shutil
import signal
import subprocess

import common
from common import check, equal, lapmark, lapmark_json

THREADS = 3


def fails(wanted, *arguments, **options):
    result = lapmark("snapshot", *arguments, **options)
    equal((result.status, result.out), (2, ""), result)
    check(wanted in result.err and result.err.count("\n") == 1, result)


def babeltrace(directory):
    result = subprocess.run(["babeltrace2", directory], capture_output=True, text=True, check=False)
    equal((result.returncode, result.stderr), (0, ""))
    return [line for line in result.stdout.splitlines() if "lapmark:" not in line]  # ends are such


def test_what_it_holds():
    with common.Directory() as directory:
        common.workload(directory, "puppet")
        with common.Puppet(directory) as running:
            running.tell("turns 5")
            os.kill(running.process.pid, signal.SIGSTOP)  # a process that does not run will do
            first = lapmark("snapshot", running.pid, cwd=directory)
            equal((first.status, first.err), (0, ""), first)
            check(first.out.startswith(f"puppet {running.pid}: 'lapmark-snapshot/puppet-{running.pid}-"), first)
            os.kill(running.process.pid, signal.SIGCONT)
            running.tell("turns 5")
            value = lapmark_json("snapshot", "rec", "-o", "lapmark-snapshot", "--last", "1s", cwd=directory)
            second = value["snapshots"][0]
            equal((str(second["pid"]), second["program"]), (running.pid, "puppet"))
            check(second["rings"] >= 1 and second["whole_since_ns"] < second["time_ns"], second)
            # Beside the process it is left out.
            shutil.copytree(f"{directory}/{second['directory']}", f"{directory}/rec/copy")
            both = lapmark("report", "--json", "rec", cwd=directory)
            check("left out, for the process itself is here" in both.err, both)
            shutil.rmtree(f"{directory}/rec/copy")
            running.end()
        # So it stays after the end, and on another machine: nothing of this one is looked at.
        path = f"{directory}/{second['directory']}"
        report = lapmark_json("report", path)
        equal(report["events"], 2 * 5 * 3 * THREADS)
        process = report["processes"][0]
        equal((process["state"], process["snapshot"]["last_ns"], process["snapshot"]["profiler"]), ("snapshot", 1000000000, None))
        check(abs(process["snapshot"]["time_ns"] - second["time_ns"]) < 1000000, process)  # the clock's rate is known better now
        equal(len(babeltrace(path)), 2 * 5 * 2 * THREADS)
        early = f"{directory}/" + first.out.split("'")[1]
        equal(len(babeltrace(early)), 5 * 2 * THREADS)
        check(": snapshot, taken at " in lapmark("check", path).out)
        check(", snapshot, taken at " in lapmark("report", path).out)
        equal(lapmark("show", path).out.count("> Entering turn\n"), 2 * 5 * THREADS)
        equal(len(lapmark_json("slowest", "-n", "100", path)["instances"]), 2 * 5 * THREADS)
        # Two of one process: the later one counts.
        both = lapmark("report", "--json", "lapmark-snapshot", cwd=directory)
        check("left out, for a later snapshot of the process is here" in both.err and both.err.count("\n") == 1, both)
        check(f'"events": {2 * 5 * 3 * THREADS},' in both.out, both)
        fails("is a snapshot of process", path)


def test_breach():
    with common.Directory() as directory:
        program = common.workload(directory)
        result = lapmark("record", "-o", "rec", "--snapshot", "100ms", "-f", "*:1ns", "--", program, "jobs", cwd=directory)
        equal(result.status, 0, result)
        check("lapmark: 1 snapshot in 'rec/snapshots'; " in result.err and "more breaches left none\n" in result.err, result)
        report = lapmark_json("report", "rec/snapshots", cwd=directory)
        equal(len(report["processes"]), 1)
        check(report["processes"][0]["snapshot"]["total_ns"] > 0, report["processes"][0])
        check("took" in lapmark("check", "rec/snapshots", cwd=directory).out)
        found = lapmark_json("check", "rec", cwd=directory)["findings"]
        equal([each["count"] for each in found if each["text"].startswith("snapshots that it left")], [1])
        equal(len(lapmark_json("report", "rec", cwd=directory)["processes"]), 1)  # not once more


def test_trouble():
    with common.Directory() as directory:
        common.workload(directory, "puppet")
        with common.Puppet(directory) as running:
            running.tell("turns 5")
            fails("--last: give a time that is more than nothing", running.pid, "--last", "0ms")
            os.mkdir(f"{directory}/other")
            with open(f"{directory}/other/file", "w", encoding="utf-8"):
                pass
            fails("it holds something else than recordings", running.pid, "-o", f"{directory}/other")
            fails("cannot make '/proc/x'", running.pid, "-o", "/proc/x")
            # A full disk.
            result = subprocess.run(["sh", "-c", f"ulimit -f 8; trap '' XFSZ; exec {common.LAPMARK} snapshot {running.pid} -o full"],
                                    cwd=directory, env=common.environment(), capture_output=True, text=True, check=False)
            equal(result.returncode, 2, result)
            check("cannot write a snapshot into 'full': file too large" in result.stderr, result)
            check(not os.path.exists(f"{directory}/full"), os.listdir(directory))
            if os.geteuid() == 0 and shutil.which("setpriv"):
                other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", common.LAPMARK]
                if subprocess.run([*other, "version"], stdout=subprocess.DEVNULL, check=False).returncode == 0:
                    result = common.run(*other, "snapshot", running.pid, "-o", "/tmp/lapmark-never", cwd="/")
                    equal((result.status, result.out), (2, ""), result)
                    check("only its user and root may" in result.err, result)
                    check(not os.path.exists("/tmp/lapmark-never"))
            running.end()
        fails("has ended", "rec", cwd=directory)
        fails(f"there is no process {running.pid}", running.pid)
        with subprocess.Popen(["sleep", "1000"]) as other:
            fails("and has no liblapmark in it", str(other.pid))
            other.kill()


common.main(globals())
