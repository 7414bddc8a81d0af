# SPDX-License-Identifier: MIT
"""Recordings of Python programs compared: `lapmark diff` finds the step that scans, in one run a side and in several. The extension
alone records."""
import json
import os
import subprocess
import tempfile

from common_python import environment, main, python, skip

import lapmark

CAN_RUN = lapmark.implementation == "c" and "LAPMARK_BIN" in os.environ

PROGRAM = """
import sys, time
from lapmark import Profiler

SCANNED = int(sys.argv[1])

def busy(microseconds):
    end = time.perf_counter_ns() + 1000 * microseconds
    while time.perf_counter_ns() < end:
        pass

def markup_gaps(turn):
    profiler = Profiler(f'markup_gaps() of {turn}')
    busy(100)
    profiler('array loaded')
    for gap in range(3):
        busy(SCANNED)
        profiler(f'array lookup {gap}')
    busy(50)
    profiler('marked')

for turn in range(60):
    markup_gaps(turn)
"""


def diff(*names):
    command = [os.environ["LAPMARK_BIN"], "diff", "--json", *names]
    completed = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(LC_ALL="C.UTF-8"))
    assert completed.returncode == 0, completed
    return json.loads(completed.stdout)


def lookup_of(value):
    return next(node for node in value["nodes"] if node["path"][-1].startswith("array lookup"))


def recorded(directory, attempt):
    """Three runs a side, in turn."""
    names = {side: [f"{directory}/{attempt}-{side}-{run}" for run in range(3)] for side in ("base", "new")}
    for run in range(3):
        for side, scanned in (("base", 40), ("new", 200)):
            python(PROGRAM, str(scanned), LAPMARK_RECORD=names[side][run], LAPMARK_PRINT="off")
    return names


def test_slower_step():
    if not CAN_RUN:
        skip("needs the extension and the command")
    with tempfile.TemporaryDirectory() as directory:
        for attempt in range(3):  # a machine that is busy may have something larger to tell now and then
            names = recorded(directory, attempt)
            values = [diff(*names["base"][:runs], "--", *names["new"][:runs]) for runs in (1, 3)]
            if all(value["cause"] == lookup_of(value)["path"] for value in values):
                break
        for value in values:
            lookup = lookup_of(value)
            assert value["cause"] == lookup["path"], value["sentence"]
            assert value["changed"][-1].startswith("markup_gaps() of"), value["sentence"]
            assert lookup["p50_changed"] and not lookup["count_changed"], lookup
            assert lookup["base"]["count"] == lookup["new"]["count"] == 180, lookup
            assert 4 < lookup["p50_ratio"] < 6 and lookup["p50_ratio_ci"][0] > 2, lookup
            assert "slower" in value["sentence"] and "whose count did not change" in value["sentence"], value["sentence"]


if __name__ == "__main__":
    main(globals())
