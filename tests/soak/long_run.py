#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The long form of the recorder's tests: each ten times over, those that count their turns with ten times as many in one go.

usage: tests/soak/long_run.py [--rounds N] [--document FILE] [TEST ...]

Prints a line for each test and what it counted; ends with 0 if all went well. With --document, the result takes the place of
what stands between the marks in the file; with tests named, of their rows alone. Needs what `./dev build` with the tests builds.
"""
import argparse
import datetime
import glob
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

BUILD = pathlib.Path(os.environ.get("BUILD_DIR", "build")).resolve()
SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR", ".")).resolve()
MARKS = ("<!-- long run: written by tests/soak/long_run.py -->\n", "<!-- end of the long run -->\n")
COUNTING = ("kill", "threads", "points", "valgrind", "aarch64_inner")  # take TEST_TIMES themselves


def tests():
    for path in sorted(path for kind in ("recorder", "clock", "points") for path in glob.glob(f"{BUILD}/tests/{kind}/test_*")):
        if os.access(path, os.X_OK) and os.path.isfile(path):
            yield os.path.basename(path).removeprefix("test_"), [path]
    for path in sorted(glob.glob(f"{SOURCE}/tests/recorder/test_*.py") + glob.glob(f"{SOURCE}/tests/valgrind/test_*.py") +
                       glob.glob(f"{SOURCE}/tests/platform/test_aarch64_inner.py")):
        yield os.path.basename(path).removeprefix("test_").removesuffix(".py"), [sys.executable, path]


def run_one(name, command, rounds):
    """How often it ran, how often it failed, what it counted in the last round, seconds."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LAPMARK")}
    environment.update(LAPMARK_BIN=str(BUILD / "lapmark"), SOURCE_DIR=str(SOURCE), BUILD_DIR=str(BUILD), PYTHONDONTWRITEBYTECODE="1")
    turns = rounds
    if name in COUNTING:
        environment["TEST_TIMES"] = str(rounds)
        turns = 1
    failed, counted, start = 0, [], time.monotonic()
    for _ in range(turns):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        counted = re.findall(r"^counted: (.*)$", done.stdout, re.M)
        if done.returncode != 0:
            failed += 1
            print(done.stdout[-3000:], done.stderr[-3000:], sep="\n", flush=True)
    return turns, failed, counted, time.monotonic() - start


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        names = re.findall(r"model name\s*: (.*)", file.read())
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def compiler():
    done = subprocess.run([os.environ.get("CC", "cc"), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()[0] if done.stdout else "unknown compiler"


def merged(there, rows):
    """The rows that are there, with those of the same tests in their places and new ones behind."""
    names = [row.split(" | ", maxsplit=1)[0] for row in there]
    for row in rows:
        name = row.split(" | ", maxsplit=1)[0]
        if name in names:
            there[names.index(name)] = row
        else:
            there.append(row)
    return there


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--document", type=pathlib.Path)
    parser.add_argument("tests", nargs="*")
    arguments = parser.parse_args()
    rows, failures = [], 0
    for name, command in tests():
        if arguments.tests and name not in arguments.tests:
            continue
        turns, failed, counted, seconds = run_one(name, command, arguments.rounds)
        failures += failed
        rows.append(f"| {name} | {turns} | {failed} | {'; '.join(counted)} |\n")
        print(f"{name}: {turns} runs, {failed} failed, {seconds:.0f} s" + "".join(f"\n    {line}" for line in counted), flush=True)
    print(f"{len(rows)} tests, {failures} failures")
    if arguments.document:
        text = arguments.document.read_text(encoding="utf-8")
        before, rest = text.split(MARKS[0])
        there, after = rest.split(MARKS[1])
        if arguments.tests:
            rows = merged([line + "\n" for line in there.splitlines() if line.startswith("| ") and not line.startswith("| test ")], rows)
        today = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
        table = (f"{today}, {processor()}, {compiler()}, Linux {platform.release()}:\n\n"
                 "| test | runs | failed | counted |\n|---|---|---|---|\n" + "".join(rows))
        arguments.document.write_text(before + MARKS[0] + table + MARKS[1] + after, encoding="utf-8")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
