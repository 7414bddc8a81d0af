# SPDX-License-Identifier: MIT
"""Nothing grows in 10^6 calls of each kind in exercise.py: references, objects, blocks, resident memory. Of the extension only.
As many calls as fit into a sixth of a second each, and the million where TEST_TIMES asks for a long run."""
import gc
import os
import sys
import time

import common_python as common

SECONDS = 1e9 if int(os.environ.get("TEST_TIMES") or 1) > 1 else 0.15
MILLION = 1_000_000
WARM = 3000   # calls before the first look: caches, and what is kept of the first
SLACK = 250   # of any count: the interpreter's own, such as its caches by type; a leak is of the order of the calls
RSS_SLACK = 2 << 20


def exercise():
    import lapmark  # pylint: disable=import-outside-toplevel
    if lapmark.implementation != "c":
        common.skip("the extension's")
    os.environ["LAPMARK_PRINT"] = "off"
    import exercise as module  # pylint: disable=import-outside-toplevel
    return module


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def counts_of(module, function):
    from lapmark import Profiler  # pylint: disable=import-outside-toplevel
    gc.collect()
    held = {"None": None, "True": True, "Profiler": Profiler, "the code": function.__code__, "its constants": function.__code__.co_consts,
            "sink": module.sink, "file": module.NULL, "label object": module.TEXT, "the long one": module.LONG, "off": module.OFF,
            "Mine": module.Mine, "Cycle": module.Cycle, "int 1": 1, "ValueError": ValueError, "KeyError": KeyError}
    held.update((f"constant {i}", constant) for i, constant in enumerate(function.__code__.co_consts))
    result = {name: sys.getrefcount(value) for name, value in held.items()}
    result["objects"] = len(gc.get_objects())
    result["blocks"] = sys.getallocatedblocks()
    return result


def grown(module, function, most):
    for i in range(WARM):
        function(i)
    before, before_bytes = counts_of(module, function), resident_bytes()
    deadline, calls = time.monotonic() + SECONDS, 0
    while calls < most and time.monotonic() < deadline:
        for i in range(calls, calls + 1000):
            function(i)
        calls += 1000
    after, after_bytes = counts_of(module, function), resident_bytes()
    wrong = {name: f"{before[name]} -> {after[name]}" for name in before if abs(after[name] - before[name]) > SLACK}
    if after_bytes - before_bytes > RSS_SLACK:
        wrong["resident"] = f"{before_bytes} -> {after_bytes}"
    return calls, wrong


def test_nothing_grows():
    module = exercise()
    for i in range(300_000):  # the thread's ring has its size then
        module.use_constant(i)
    for name, function in module.KINDS.items():
        calls, wrong = grown(module, function, MILLION)
        print(f"{name}: {calls} calls")
        assert not wrong, f"{name}, {calls} calls: {wrong}"


def test_a_leak_is_seen():
    """What the test above stands on: one reference lost every fiftieth call."""
    module = exercise()
    import ctypes  # pylint: disable=import-outside-toplevel

    def leaks(i):
        if i % 50 == 0:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(module.NULL))
    _, wrong = grown(module, leaks, 50_000)
    assert list(wrong) == ["file"], wrong


def test_blocks_outside_of_objects():
    """What PyMem_Raw gives is in no count above: profilers with many laps, in a process whose heap is looked at."""
    exercise()
    common.python("""
        import exercise, os
        def resident():
            with open('/proc/self/statm', encoding='ascii') as file:
                return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')
        def many(count):
            for i in range(count):
                exercise.use_laps(i), exercise.use_nested(i), exercise.use_below(i), exercise.use_odd_texts(i)
        many(2000)
        before = resident()
        many(20_000)
        assert resident() - before < 1 << 20, (before, resident())
        """, PYTHONPATH=os.pathsep.join([common.PACKAGE, os.path.dirname(os.path.abspath(__file__))]), LAPMARK_PRINT="off")


if __name__ == "__main__":
    common.main(globals())
