#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Real gates: 200 on identical code, 100 on code whose step worth a fifth is 10 % slower, with Clopper and Pearson's 95 % bounds.

usage: tests/soak/gate_runs.py [--same N] [--slowed N] [--loops N] [--at-once N] [--max-time TIME] [--document FILE]

Prints a row for each kind; ends with 0 if identical code failed in at most 1 %, and the slowdown was found in at least 95 % of
those gates that said they would find 10 %. With --document, the result takes the place of what stands between the marks in the
file. Needs what ./dev build with the tests builds. With --loops, so many busy loops turn beside it; with --at-once,
so many gates run at a time, and disturb one another.
"""
import argparse
import concurrent.futures
import datetime
import json
import math
import os
import pathlib
import platform
import subprocess
import sys

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
JOB = BUILD / "tests/programs/gate_job"
MARKS = ("<!-- real gates: written by tests/soak/gate_runs.py -->\n", "<!-- end of the real gates -->\n")
SLOWDOWN = 0.1
MIN_EFFECT = "20us"  # a tenth of the least step takes more, on a fast machine, too


def run_gate(new, max_time):
    """What the gate says of itself."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LAPMARK")}
    done = subprocess.run([BUILD / "lapmark", "gate", "--json", "--max-time", max_time, "--min-effect", MIN_EFFECT, "--base", JOB, "--new", new],
                          capture_output=True, text=True, env=environment, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"a gate ended with {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout)
    if (said["verdict"] == "fails") != (done.returncode == 1):
        sys.exit(f"status {done.returncode}, but it says: {said['sentence']}")
    return said


def run_gates(news, max_time, at_once):
    """In turn, or several at a time. Tells how far it is: they take half an hour."""
    said = []
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(run_gate, new, max_time) for new in news]:
            said.append(future.result())
            if len(said) % 20 == 0:
                print(f"{len(said)} of {len(news)} gates, {sum(gate['verdict'] == 'fails' for gate in said)} failed", flush=True)
    return said


def at_most(count, whole, q):
    """The greatest share of which so few, or fewer, are met with a probability of q (Clopper and Pearson, 1934)."""
    def met(share):
        return sum(math.comb(whole, i) * share ** i * (1 - share) ** (whole - i) for i in range(count + 1))
    low, high = 0.0, 1.0
    while count < whole and high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if met(middle) > q else (low, middle)
    return high


def bounds(count, whole):
    if whole == 0:
        return "-"
    return f"{1 - at_most(whole - count, whole, 0.025):.1%} to {at_most(count, whole, 0.025):.1%}"


def describe(what, gates):
    failed = sum(gate["verdict"] == "fails" for gate in gates)
    seeing = [gate for gate in gates if gate["detectable"] <= SLOWDOWN]
    found = sum(gate["verdict"] == "fails" for gate in seeing)
    pairs = sum(gate["pairs"] + gate["second_pairs"] for gate in gates) / max(1, len(gates))
    cells = [what, len(gates), failed, bounds(failed, len(gates)), len(seeing), found, bounds(found, len(seeing)), f"{pairs:.0f}"]
    return f"| {' | '.join(map(str, cells))} |", failed, len(seeing), found


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def put_into(document, text):
    path = pathlib.Path(document)
    before, rest = path.read_text(encoding="utf-8").split(MARKS[0])
    path.write_text(before + MARKS[0] + text + MARKS[1] + rest.split(MARKS[1])[1], encoding="utf-8")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--same", type=int, default=200)
    parser.add_argument("--slowed", type=int, default=100)
    parser.add_argument("--loops", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--max-time", default="60s")
    parser.add_argument("--document")
    arguments = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.loops)]
    try:
        same = run_gates([JOB] * arguments.same, arguments.max_time, arguments.at_once)
        slowed = run_gates([f"{JOB} {SLOWDOWN * 100:g}"] * arguments.slowed, arguments.max_time, arguments.at_once)
    finally:
        for loop in busy:
            loop.kill()
    same_row, failed, _, _ = describe("identical", same)
    slowed_row, _, seeing, found = describe(f"one step {SLOWDOWN:.0%} slower", slowed)
    text = (f"\n{processor()}, Linux {platform.release()}, {datetime.date.today()}, {arguments.loops} busy loops beside it, "
            f"{arguments.at_once} at a time, load {os.getloadavg()[1]:.1f}, --max-time {arguments.max_time} --min-effect {MIN_EFFECT}:\n\n"
            "| code | gates | failed | 95 % bounds | said that they find 10 % | of those failed | 95 % bounds | pairs |\n"
            f"|---|---|---|---|---|---|---|---|\n{same_row}\n{slowed_row}\n\n")
    print(text)
    if arguments.document:
        put_into(arguments.document, text)
    return 0 if failed <= 0.01 * len(same) and found >= 0.95 * seeing else 1


if __name__ == "__main__":
    sys.exit(main())
