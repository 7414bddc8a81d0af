#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records the runs that tests/gate/test_gate_rates.c replays: one and the same job, over and over, beside busy loops.

usage: tests/gate/record_runs.py LOOPS RUNS FILE [--alone]

Writes one row a run, in the order of time: what each step takes that is taken once, in microseconds, with four digits. Takes what
is built with the tests. With --alone the job and its loops go before all else that the machine does (needs root), and the loops
turn only while a run does: so a machine that has other work tells what a quiet one would.
"""
import argparse
import csv
import datetime
import json
import math
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
PROGRAM = BUILD / "tests/programs/gate_job"


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def go_first():
    """The scheduler weighs sessions before it weighs processes (sched(7), autogroups)."""
    if os.getsid(0) != os.getpid():
        os.setsid()
    pathlib.Path("/proc/self/autogroup").write_text("-19", encoding="ascii")


def four_digits(us):
    return f"{round(us, 3 - math.floor(math.log10(us))):.0f}"


def run_once(directory, loops):
    """{path: ns}"""
    recording = directory / "recording"
    for loop in loops:
        loop.send_signal(signal.SIGCONT)
    subprocess.run([BUILD / "lapmark", "record", "--ring", "512K", "-o", recording, "--", PROGRAM], check=True,
                   capture_output=True)
    for loop in loops:
        loop.send_signal(signal.SIGSTOP)
    report = subprocess.run([BUILD / "lapmark", "report", "--json", recording], check=True, capture_output=True)
    shutil.rmtree(recording)
    return {"/".join(site["path"]): site["total_ns"] for site in json.loads(report.stdout)["sites"]
            if site["kind"] != "rest" and site["count"] == 1}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("loops", type=int)
    parser.add_argument("runs", type=int)
    parser.add_argument("file")
    parser.add_argument("--alone", action="store_true")
    arguments = parser.parse_args()
    if arguments.alone:
        go_first()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.loops)]
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            before = os.getloadavg()[0]
            runs = [run_once(pathlib.Path(place), busy if arguments.alone else []) for _ in range(arguments.runs)]
    finally:
        for loop in busy:
            loop.kill()
    before_all = ", before all else that ran" if arguments.alone else ""
    with open(arguments.file, "w", encoding="utf-8", newline="") as file:
        load = f"load {before:.1f} before, {os.getloadavg()[0]:.1f} at the end"
        file.write(f"# {processor()}, Linux {platform.release()}, {datetime.date.today()}; "
                   f"{arguments.loops} busy loops beside it{before_all}; {load}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(runs[0])
        for run in runs:
            writer.writerow(four_digits(ns / 1e3) for ns in run.values())


main()
