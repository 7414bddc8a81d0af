# SPDX-License-Identifier: MIT
"""What the extension executes for a call, counted by valgrind and compared with instructions_python.json, so that a slower one
fails without a clock. `test_instructions.py --update` writes the file anew: for a change that is meant. With Debian's interpreter;
counts belong to it and to a compiler, and for others than those that the file knows this is skipped."""
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import common_python as common

STORED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions_python.json")
TOLERANCE = 0.03  # of a count: memory lies elsewhere, and so do what is met in caches
CALLS = 3000
#: What is counted, with all that it calls.
FUNCTIONS = {"lap_call_fast": "enabled checkpoint", "lap_call_off": "disabled checkpoint", "profiler_mark": "checkpoint with an f-string, mark()",
             "lap_type_call": "construct", "profiler_finish": "finish", "profiler_dealloc": "going"}

PROGRAM = f"""
from lapmark import Profiler
def made():
    profiler = Profiler('made', ms_threshold=1e9)
    profiler.finish()
def deeper(n):
    if n:
        return deeper(n - 1)
    for i in range({CALLS}):
        made()
around, off = Profiler('around', ms_threshold=1e9), Profiler('off', disabled=True)
for i in range({CALLS}):
    around('step')
    around('step')
    off('step')
    around.mark(f'item {{i}}')
deeper(5)
"""


def key():
    """As "x86_64 gcc 12.2.0, Python 3.11.2"."""
    line = subprocess.run([os.environ.get("CC", "cc"), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
    return (f"{platform.machine()} {'clang' if 'clang' in line else 'gcc'} {re.findall(r'[0-9]+[.][0-9]+[.][0-9]+', line)[-1]}, "
            f"Python {platform.python_version()}")


def calls_and_costs(path):
    """Of each function in a callgrind file: how often it was called, and instructions with all that it calls."""
    names, calls, costs = {}, {}, {}
    function = called = None

    def named(match):
        if match[2]:
            names[match[1]] = re.sub(r"(\.\w+)+(\.\d+)*('\d+)?$", "", match[2])
        return names[match[1]]
    with open(path, encoding="utf-8") as file:
        for line in file:
            match = re.match(r"(c?fn)=\((\d+)\)(?: (.*))?", line)
            if match and match[1] == "fn":
                function = named((None, match[2], match[3]))
            elif match:
                called = named((None, match[2], match[3]))
            elif line.startswith("calls="):
                calls[called] = calls.get(called, 0) + int(line[6:].split()[0])
            elif function and re.match(r"[+\-*\d]", line):
                costs[function] = costs.get(function, 0) + int(line.split()[1])
    return calls, costs


def measure():
    """Instructions of a call, by what it is."""
    with tempfile.TemporaryDirectory() as directory:
        output = os.path.join(directory, "callgrind")
        variables = common.environment(LAPMARK_PRINT="off", LAPMARK_RECORD=os.path.join(directory, "recording"), PYTHONHASHSEED="0")
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", sys.executable, "-S", "-c", PROGRAM],
                              env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=200, check=False)
        recorded = os.path.join(directory, "recording")
        for entry in os.listdir(recorded):  # its rings are in memory
            link = os.path.join(recorded, entry)
            if os.path.islink(link):
                shutil.rmtree(os.readlink(link), ignore_errors=True)
        assert done.returncode == 0, done
        calls, costs = calls_and_costs(output)
    assert all(calls.get(function, 0) >= CALLS for function in FUNCTIONS), calls
    return {what: round(costs[function] / calls[function]) for function, what in FUNCTIONS.items()}


def stored():
    if not os.path.exists(STORED):
        return {}
    with open(STORED, encoding="utf-8") as file:
        return json.load(file)


def test_instructions():
    if common.EXPECTED == "python" or os.environ.get("LAPMARK_IMPLEMENTATION") == "python":
        common.skip("the extension's")
    if not os.path.realpath(sys.executable).startswith("/usr/bin/") or not shutil.which("valgrind"):
        common.skip("not Debian's interpreter, or no valgrind")
    then = stored().get(key())
    if then is None:
        common.skip(f"no counts are stored of {key()}")
    now = measure()
    print(now)
    wrong = [f"{what}: {now[what]} instructions, {then.get(what)} stored" for what in now
             if abs(now[what] - then.get(what, 0)) > 2 + TOLERANCE * then.get(what, 0)]
    assert not wrong and now.keys() == then.keys(), f"{wrong}; if that is meant: tests/python/test_instructions.py --update"


def update():
    counts = stored()
    counts[key()] = measure()
    with open(STORED, "w", encoding="utf-8") as file:
        file.write(json.dumps(counts, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--update"]:
        update()
    else:
        common.main(globals())
