# SPDX-License-Identifier: MIT
"""The patterns recorded, by programs that know nothing of it: three readers find the same, and what they find is right. See
tests/oracle for the readers. The extension alone records."""
import json
import os
import subprocess
import sys

from common_python import PACKAGE, SOURCE, environment, main, skip
from test_patterns_actors import run_both

import lapmark

CAN_RUN = lapmark.implementation == "c" and "LAPMARK_BIN" in os.environ
if CAN_RUN:
    sys.path.insert(0, os.path.join(SOURCE, "tests", "oracle"))
    import common_oracle as oracle

PROGRAM = """
import asyncio, concurrent.futures, multiprocessing, sys, threading, time
from lapmark import Profiler

def busy(milliseconds):
    end = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < end:
        pass

def loop():
    profiler = Profiler('loop')
    for i in range(1000):
        profiler(f'iteration {i}')
        if i % 2:
            profiler('odd')

def helper(profiler):
    profiler('helped', n=7)

def batch(n):
    profiler = Profiler(f'Batch annotate {n} gaps')
    busy(2)
    profiler('request handled')
    helper(profiler)

def recursive(depth):
    with Profiler('level') as profiler:
        if depth > 1:
            recursive(depth - 1)
        profiler('back')

async def task(number, turn):
    profiler = Profiler(f'task {number}')
    for _ in range(2):
        await asyncio.sleep(0)
        with Profiler('step of a task'):
            await asyncio.sleep(0.001)
        profiler('stepped')

async def spawner():
    profiler = Profiler('spawner')
    await asyncio.gather(*(task(number, None) for number in range(3)))
    profiler('gathered')
    await asyncio.sleep(0.03)

async def alone(name):
    profiler = Profiler(name)
    await asyncio.sleep(0.001)
    with Profiler(f'inside {name}'):
        await asyncio.sleep(0.001)
    profiler('done')

async def strangers():
    await asyncio.gather(alone('alice'), alone('bob'))

def in_thread():
    with Profiler('in a thread') as profiler:
        profiler('x')

def in_child(number):
    with Profiler(f'in child {number}') as profiler:
        profiler('x')
    return number

def held():
    profiler = Profiler('held')
    busy(1)
    profiler('done')
    kept.append(profiler)

kept = []

if __name__ == '__main__':
    loop()
    for n in (12, 40):
        batch(n)
    recursive(3)
    asyncio.run(spawner())
    asyncio.run(strangers())
    threads = [threading.Thread(target=in_thread) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    held()
    time.sleep(0.05)
    kept.clear()
    for method in ('fork', 'forkserver', 'spawn'):
        context = multiprocessing.get_context(method)
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            assert list(pool.map(in_child, range(2))) == [0, 1]
"""


def record(directory, program, *options, **variables):
    """Runs it under `lapmark record`, and returns the recording's place."""
    script, recording = os.path.join(directory, "script.py"), os.path.join(directory, "recording")
    with open(script, "w", encoding="utf-8") as file:
        file.write(program)
    completed = subprocess.run([oracle.LAPMARK, "record", "-o", recording, *options, "--", sys.executable, script],
                               env=environment(**variables), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    return recording


def rows_of(recording):
    """{path: row} of `lapmark report --json`."""
    report = json.loads(oracle.run(oracle.LAPMARK, "report", "--json", recording))
    return {tuple(row["path"]): row for row in report["sites"]}


def check_no_rest_is_counted(rows, path):
    """What follows the last checkpoint of one that came late is in none of its numbers."""
    laps = sum(row["total_ns"] for other, row in rows.items() if other[:-1] == path and row["kind"] == "lap")
    assert path + ("(rest)",) not in rows and abs(rows[path]["total_ns"] - laps) <= 1, path


def skip_without_recorder():
    if not CAN_RUN:
        skip("this implementation does not record, or ctest has not told where the command is")


def test_everything():
    skip_without_recorder()
    with oracle.Directory() as place:
        recording = record(place.path, PROGRAM)
        processes = oracle.compare(recording)
        assert len(processes) == 4
        rows = rows_of(recording)
        counts = {path: row["count"] for path, row in rows.items() if row["kind"] != "rest"}
        batch, level, spawner = "Batch annotate # gaps", "level", "spawner"
        assert counts == {
            ("loop",): 1, ("loop", "iteration #"): 1000, ("loop", "odd"): 500,
            (batch,): 2, (batch, "request handled"): 2, (batch, "helped"): 2,
            (level,): 1, (level, "back"): 1, (level, level): 1, (level, level, "back"): 1, (level, level, level): 1,
            (level, level, level, "back"): 1,
            (spawner,): 1, (spawner, "gathered"): 1, (spawner, "task #"): 3, (spawner, "task #", "stepped"): 6,
            (spawner, "task #", "step of a task"): 6,
            ("alice",): 1, ("alice", "done"): 1, ("alice", "inside alice"): 1,
            ("bob",): 1, ("bob", "done"): 1, ("bob", "inside bob"): 1,
            ("in a thread",): 2, ("in a thread", "x"): 2,
            ("held",): 1, ("held", "done"): 1,
            ("in child #",): 6, ("in child #", "x"): 6}, counts
        assert rows[batch, "request handled"]["min_ns"] >= 2e6 * 0.999
        for path in (("held",), (spawner,), (spawner, "task #"), ("alice",)):
            check_no_rest_is_counted(rows, path)
        numbers = [fields["a0"] for process in processes.values() for name, fields in oracle.events_of(process)
                   if name == "Batch annotate %lld gaps"]
        assert numbers == [12, 40]  # candidates for sizes
        check = json.loads(oracle.run(oracle.LAPMARK, "check", "--json", recording))
        assert check["sound"] and {process["state"] for process in check["processes"]} == {"ended"}, check


def test_children_inherit_terms():
    skip_without_recorder()
    with oracle.Directory() as place:
        recording = record(place.path, PROGRAM, "-f", "in child #,held")
        counts = {path: row["count"] for path, row in rows_of(recording).items() if row["kind"] == "profiler"}
        assert counts == {("in child #",): 6, ("held",): 1}, counts


def test_server_and_client():
    """Both processes of the message stream in one recording."""
    skip_without_recorder()
    with oracle.Directory() as place:
        recording = place.sub("recording")
        printed = run_both(LAPMARK_RECORD=recording, LAPMARK_PRINT="off")
        assert printed == ("", ""), printed
        assert len(oracle.compare(recording)) == 2
        rows = rows_of(recording)
        server, client = ("Batch annotate # gaps",), ("markup_gaps() for # gaps",)
        assert {path: row["count"] for path, row in rows.items()} == {
            server: 3, server + ("request handled",): 3, server + ("result sent",): 3,
            client: 3, client + ("initial redraw",): 3, client + ("built annotation specs",): 3,
            client + ("batch IPC call complete",): 3, client + ("final redraw",): 3}, rows
        check_no_rest_is_counted(rows, server)
        check_no_rest_is_counted(rows, client)


KILLED = """
import sys
from lapmark import Profiler

def work():
    profiler = Profiler('outer')
    for number in range(2345):
        with Profiler(f'turn {number}') as inner:
            inner('step')
        profiler(f'iteration {number}')
    open_at_the_end = Profiler('inner')
    open_at_the_end('at work')
    print('ready', flush=True)
    sys.stdin.readline()

work()
"""


def test_killed():
    """kill -9 loses nothing that was stored."""
    skip_without_recorder()
    with oracle.Directory() as place:
        recording = place.sub("recording")
        command = [sys.executable, "-c", KILLED]
        with oracle.Running(recording, *command, PYTHONPATH=PACKAGE, PYTHONDONTWRITEBYTECODE="1") as running:
            assert running.point() == "ready"
            running.kill()
        process = oracle.only(oracle.compare(recording, exact=False))
        names = [name for name, _ in oracle.events_of(process)]
        assert {name: names.count(name) for name in set(names)} == {
            "outer": 1, "turn %lld": 2345, "step": 2345, "iteration %lld": 2345, "inner": 1, "at work": 1}
        report = json.loads(oracle.run(oracle.LAPMARK, "report", "--json", recording))
        rows = {tuple(row["path"]): row["count"] for row in report["sites"]}
        assert rows["outer", "iteration #"] == rows["outer", "turn #", "step"] == 2345, rows
        assert rows["outer", "inner", "at work"] == 1
        opened, = report["processes"]
        assert sorted(item["message"] for item in opened["open"]) == ["inner", "outer"], opened["open"]


def test_record_and_stop():
    """From inside, too; what comes between is what is there."""
    skip_without_recorder()
    with oracle.Directory() as place:
        program = """
import lapmark, sys
def work(name):
    with lapmark.Profiler(name) as profiler:
        profiler('x')
work('before')
lapmark.record(sys.argv[1])
work('between')
lapmark.record_stop()
work('after')
"""
        subprocess.run([sys.executable, "-c", program, place.sub("recording")], env=environment(LAPMARK_PRINT="off"), check=True)
        oracle.compare(place.sub("recording"))
        assert set(rows_of(place.sub("recording"))) >= {("between",), ("between", "x")}
        assert not [path for path in rows_of(place.sub("recording")) if path[0] in ("before", "after")]


if __name__ == "__main__":
    main(globals())
