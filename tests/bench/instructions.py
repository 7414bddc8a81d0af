#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the hot path's instructions with valgrind and compares them with instructions.json, so that a slower hot path
fails without a clock. `instructions.py --update` writes them anew: for a change that is meant.

The counts are differences between runs of N and 2N iterations: instructions of one iteration, its loop included. They
belong to a compiler; with another one than those that the file knows, the test is skipped.
"""
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR", HERE.parent.parent))
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", SOURCE / "build"))
COMPILER = os.environ.get("CC", "gcc")
STORED = HERE / "instructions.json"
SKIPPED = 77

ITERATIONS = 20  # three kinds of event, twice as many of each: less than a block of the ring
BLOCKS = 10
BLOCK_EVENTS = 480
BATCH_TOLERANCE = 1.0  # instructions an event
CALLS = 1000
CALLS_TOLERANCE = 10.0  # their share of full blocks, and of counters that are new, depends on the times


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"'{command[0]}' ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def compiler_key():
    """As "x86_64 gcc 12.2.0": `cc` may be either, and says so in its first line."""
    line = run(COMPILER, "--version").splitlines()[0]
    return f"{platform.machine()} {'clang' if 'clang' in line else 'gcc'} {re.findall(r'[0-9]+[.][0-9]+[.][0-9]+', line)[-1]}"


def environment(directory):
    result = {name: value for name, value in os.environ.items() if not name.startswith("LAPMARK")}
    result.update(LAPMARK_PRINT="off", LAPMARK_RECORD=str(directory / "recording"), LD_LIBRARY_PATH=str(BUILD))
    return result


def costs_of(path, is_inclusive):
    """Instructions of each function in a callgrind file: its own, or with all that it calls."""
    names, costs = {}, {}
    function, is_call = None, False
    for line in path.read_text().splitlines():
        named = re.match(r"fn=\((\d+)\)(?: (.*))?", line)
        if named:
            if named[2]:
                names[named[1]] = named[2]
            function = names[named[1]]
        elif re.match(r"cfn=\((\d+)\) (.*)", line):
            called = re.match(r"cfn=\((\d+)\) (.*)", line)
            names[called[1]] = called[2]
        elif line.startswith("calls="):
            is_call = True
        elif function and re.match(r"[+\-*\d]", line):
            if not is_call or is_inclusive:
                name = re.sub(r"(\.\w+)+(\.\d+)*('\d+)?$", "", function)  # a function's cold part is part of it
                costs[name] = costs.get(name, 0) + int(line.split()[1])
            is_call = False
    return costs


def count(program, argument, directory, is_inclusive):
    output = directory / f"callgrind.{program.name}.{argument}"
    run("valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", program, argument, env=environment(directory))
    for link in (directory / "recording").glob("*"):  # its rings are in memory
        if link.is_symlink():
            shutil.rmtree(os.readlink(link), ignore_errors=True)
    return {name: cost for name, cost in costs_of(output, is_inclusive).items() if name.startswith("count_")}


def differences(program, argument, divisor, directory, is_inclusive=False):
    once = count(program, argument, directory, is_inclusive)
    twice = count(program, 2 * argument, directory, is_inclusive)
    if not once or once.keys() != twice.keys():
        sys.exit(f"'{program.name}': the functions to count are not there")
    return {name[len("count_"):]: round((twice[name] - once[name]) / divisor, 3) for name in sorted(once)}


def measure(directory):
    flags = ["-std=c17", "-O2", f"-I{SOURCE / 'include'}"]
    hot, batch = directory / "instructions", directory / "instructions_batch"
    probes = directory / "instructions_probes"
    calls = directory / "instructions_calls"
    run(COMPILER, *flags, HERE / "instructions.c", "-o", hot, f"-L{BUILD}", "-llapmark")
    run(COMPILER, *flags, "-DLAPMARK_USDT", HERE / "instructions.c", "-o", probes, f"-L{BUILD}", "-llapmark")
    run(COMPILER, *flags, HERE / "instructions_calls.c", "-o", calls, f"-L{BUILD}", "-llapmark")
    decoder = sorted((SOURCE / "src" / "decoder").glob("*.c"))
    run(COMPILER, *flags, "-DNDEBUG", f"-I{SOURCE / 'src' / 'decoder'}", HERE / "instructions_batch.c", *decoder, "-o", batch, "-lpthread")
    return {"hot": differences(hot, ITERATIONS, ITERATIONS, directory),
            "probes": differences(probes, ITERATIONS, ITERATIONS, directory),
            "calls": differences(calls, CALLS, CALLS, directory, is_inclusive=True),
            "batch": differences(batch, BLOCKS, BLOCKS * BLOCK_EVENTS, directory, is_inclusive=True)}


def compare(measured, stored):
    """Prints each count; how many differ."""
    wrong = 0
    for group, tolerance in (("hot", 0.0), ("probes", 0.0), ("calls", CALLS_TOLERANCE), ("batch", BATCH_TOLERANCE)):
        if group not in stored:  # of calls it is the library's compiler that counts, too
            print(f"{group}: nothing is stored for this compiler")
            continue
        for name in sorted(measured[group].keys() | stored[group].keys()):
            now, then = measured[group].get(name), stored[group].get(name)
            is_same = now is not None and then is not None and abs(now - then) <= tolerance
            wrong += not is_same
            print(f"{'' if is_same else 'DIFFERENT: '}{group}: {name}: {now} instructions, {then} stored" + (f" (±{tolerance:g})" if tolerance else ""))
    return wrong


def main():
    if os.environ.get("SANITIZE"):
        print("not with a sanitizer")
        return SKIPPED
    if not shutil.which("valgrind") or not shutil.which(COMPILER):
        print("there is no valgrind, or no compiler")
        return SKIPPED
    key = compiler_key()
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    with tempfile.TemporaryDirectory(prefix="lapmark-instructions-") as directory:
        if "--update" in sys.argv[1:]:
            stored[key] = measure(pathlib.Path(directory))
            STORED.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
            return 0
        if key not in stored:
            print(f"'{STORED.name}' has no counts of '{key}'")
            return SKIPPED
        wrong = compare(measure(pathlib.Path(directory)), stored[key])
    if wrong:
        print("if that is meant: tests/bench/instructions.py --update")
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
