#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times the Python profiler beside what it is compared with, in one process; bench/python_rows.py runs it in each interpreter.

usage: python_speed.py CASES ROUNDS           with CASES one of checkpoint, construct, peer
       python_speed.py memory KIND FEW MANY   peak resident bytes after so many; KIND is checkpoints or profilers

Prints a JSON object: of each case the least nanoseconds of a turn in all rounds, and under "median" that of its rounds. All
cases of a run take turns, some tens of microseconds each. What is timed is written out 20 times in a row, so that the loop
around it is next to nothing.
"""
import json
import os
import resource
import sys
import time

import lapmark
from lapmark import Profiler

UNROLLED = 20
TURN_NS = 60_000  # of one case in a round: short, so that some rounds are undisturbed
BELOW_MS = 1e9    # a threshold that nothing takes


def written_out(statement, names):
    """A function of a count and these names, which runs a statement UNROLLED times each count, and returns the time."""
    lines = [f"def run({', '.join(['count', *names])}):", "    start = clock()", "    for i in range(count):"]
    lines += [f"        {statement}"] * UNROLLED + ["    return clock() - start"]
    scope = {"clock": time.perf_counter_ns, "time": time, "Profiler": Profiler, "BELOW_MS": BELOW_MS}
    exec("\n".join(lines), scope)  # pylint: disable=exec-used
    return scope["run"]


def timed(statement, **names):
    run = written_out(statement, names)
    return lambda count: run(count, *names.values())


def at_depth(run, depth):
    """The same, so many frames below this one."""
    def deeper(count, frames):
        return run(count) if frames == 0 else deeper(count, frames - 1)
    return lambda count: deeper(count, depth - 2)


def measure(cases, rounds):
    counts, times = {}, {name: [] for name in cases}
    for name, run in cases.items():
        run(20)  # meets its labels, and warms up the interpreter
        counts[name] = max(1, int(20 * TURN_NS / max(1, run(20))))
    for _ in range(rounds):
        for name, run in cases.items():
            times[name].append(run(counts[name]) / (counts[name] * UNROLLED))
    result = {name: min(values) for name, values in times.items()}
    result["median"] = {name: sorted(values)[rounds // 2] for name, values in times.items()}
    return result


def empty(_):
    pass


def no_arguments():
    pass


def construct_and_finish():
    profiler = Profiler("work", ms_threshold=BELOW_MS)
    profiler.finish()


def construct_and_mark():
    profiler = Profiler("work", ms_threshold=BELOW_MS)
    profiler("first")
    profiler("second")
    profiler("third")
    profiler("fourth")
    profiler("fifth")


def checkpoint_cases():
    profiler, off = Profiler("bench", ms_threshold=BELOW_MS), Profiler("off", disabled=True)
    return {"checkpoint": timed("profiler('step')", profiler=profiler),
            "perf_counter": timed("time.perf_counter()"),
            "pc": timed("pc()", pc=time.perf_counter),
            "off": timed("off('step')", off=off),
            "empty": timed("empty('step')", empty=empty),
            "fstring_checkpoint": timed("profiler(f'item {i}')", profiler=profiler),
            "fstring": timed("f'item {i}'")}


def construct_cases():
    """In a function of its own, as in use. With a profiler around in the outermost frame, so that the way there is looked through."""
    cases = {"call": timed("function()", function=no_arguments)}
    for depth in (5, 25):
        run = at_depth(timed("function()", function=construct_and_finish), depth - 1)
        cases[f"alone_{depth}"] = run
        cases[f"inside_{depth}"] = around_of(run)
    return cases


def around_of(run):
    def outermost(count):
        profiler = Profiler("around", ms_threshold=BELOW_MS)
        took = run(count)
        profiler.finish()
        return took
    return outermost


def peer_cases():
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        import pyqtgraph  # pylint: disable=import-outside-toplevel
        from pyqtgraph.debug import Profiler as Peer  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise SystemExit(f"there is no pyqtgraph ({error})") from error

    def peer_construct_and_mark():
        profiler = Peer("work", disabled=False)
        profiler("first")
        profiler("second")
        profiler("third")
        profiler("fourth")
        profiler("fifth")

    run = written_out("profiler('step')", ["profiler"])

    def peer_checkpoint(count):
        return run(count, Peer("bench", disabled=False))  # a new one each turn: it keeps all that it was told
    print(pyqtgraph.__version__, file=sys.stderr)
    return {"checkpoint": timed("profiler('step')", profiler=Profiler("bench", ms_threshold=BELOW_MS)),
            "peer_checkpoint": peer_checkpoint,
            "whole": timed("function()", function=construct_and_mark),
            "peer_whole": timed("function()", function=peer_construct_and_mark)}


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory(kind, few, many):
    peaks, done = [], 0
    profiler = Profiler("marked", ms_threshold=BELOW_MS) if kind == "checkpoints" else None
    for goal in (few, many):
        for i in range(done, goal):
            if profiler:
                profiler("step")
            else:
                one_of_many(i)
        done = goal
        peaks.append(peak_bytes())
    return peaks


def one_of_many(i):
    profiler = Profiler(f"message m{i:x}", ms_threshold=BELOW_MS)
    profiler("step")


def main():
    if lapmark.implementation != "c":
        raise SystemExit("the extension module is not here")
    kind, *rest = sys.argv[1:]
    if kind == "memory":
        result = memory(rest[0], int(rest[1]), int(rest[2]))
    else:
        cases = {"checkpoint": checkpoint_cases, "construct": construct_cases, "peer": peer_cases}[kind]()
        result = measure(cases, int(rest[0]))
    with os.fdopen(int(os.environ.get("BENCH_FD", "1")), "w", encoding="utf-8") as output:
        json.dump(result, output)


if __name__ == "__main__":
    main()
