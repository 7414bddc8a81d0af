# SPDX-License-Identifier: MIT
"""C code with profilers of its own inside of Python's: one recorder in the process, one report, one tree in the recording,
whichever of the two came first, with the GIL or without."""
import json
import os
import subprocess
import sys
import tempfile

from common_python import EXPECTED, PACKAGE, SOURCE, by_label, environment, main, python, reports, skip

CORE = r"""
#include <lapmark.h>
void inner(void) { LAP_PROFILE("inner"); LAP_MARK("x"); }
void outer(int count)
{
    LAP_PROFILE("outer with %d", count);
    LAP_MARK("begun");
    for (int i = 0; i < count; i++)
        inner();
}
void call(void (*function)(void)) { LAP_PROFILE("caller"); function(); }
void slow(void) { LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 1e6), "below its threshold"); LAP_MARK("y"); }
"""
PROGRAM = """
    import asyncio, ctypes, sys
    library, order, loader = sys.argv[1:4]
    if order == 'core first':
        getattr(ctypes, loader)(library)
    from lapmark import Profiler
    core = getattr(ctypes, loader)(library)
    """


def build(directory):
    """The core, which finds the recorder in the package, as one that is linked with an installed one would find that."""
    if EXPECTED == "python" or not os.path.exists(os.path.join(PACKAGE, "lapmark", "liblapmark.so.0")):
        skip("no extension module")
    source, library = os.path.join(directory, "core.c"), os.path.join(directory, "libcore.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(CORE)
    package = os.path.join(PACKAGE, "lapmark")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-shared", "-fPIC", "-I", os.path.join(SOURCE, "include"), source, "-o", library,
                    "-L", package, "-l:liblapmark.so.0", f"-Wl,-rpath,{package}"], check=True)
    return library


def shape(entry):
    return (entry.label, entry.labels(), [shape(inside) for inside in entry.inside])


INNER = ("inner", ["x"], [])


def test_one_report():
    with tempfile.TemporaryDirectory() as directory:
        library = build(directory)
        for order in ("core first", "package first"):
            for loader in ("PyDLL", "CDLL"):  # with the GIL, and without
                result = python(PROGRAM + """
    def function():
        profiler = Profiler('function')
        profiler('a')
        core.outer(2)
        profiler('b')
        core.inner()
        profiler('c')
    function()
    core.inner()
    maps = {line.split()[-1] for line in open('/proc/self/maps') if 'liblapmark' in line}
    assert len(maps) == 1, maps
    """, library, order, loader)
                first, second = reports(result.err)
                assert shape(first) == ("function", ["a", "b", "c"], [("outer with 2", ["begun"], [INNER, INNER]), INNER]), result
                assert shape(second) == INNER, result
                lines = [line.strip().split(":")[0] for line in result.err.splitlines()]
                order_of = [line for line in lines if line in ("a", "b", "c", "> Entering outer with 2")]
                assert order_of == ["a", "> Entering outer with 2", "b", "c"], result


def test_many_are_one_line():
    with tempfile.TemporaryDirectory() as directory:
        library = build(directory)
        for loader in ("PyDLL", "CDLL"):
            result = python(PROGRAM + """
    with Profiler('loop') as profiler:
        for turn in range(500):
            core.inner()
        profiler('done')
    """, library, "package first", loader)
            report, = reports(result.err)
            assert "> inner (x500): total " in result.err and len(result.err.splitlines()) < 12, result
            assert report.labels() == ["done"], result


def test_thresholds():
    """C code decides whether it has something to say; Python's profiler, whether that is shown with it or by itself."""
    with tempfile.TemporaryDirectory() as directory:
        library = build(directory)
        result = python(PROGRAM + """
    with Profiler('never', ms_threshold=1e6):
        core.inner()
        core.slow()
    with Profiler('off', disabled=True):
        core.inner()
    """, library, "package first", "PyDLL")
        assert [shape(report) for report in reports(result.err)] == [INNER, INNER], result


def test_tasks_threads_and_others_frames():
    with tempfile.TemporaryDirectory() as directory:
        library = build(directory)
        for loader in ("PyDLL", "CDLL"):
            result = python(PROGRAM + """
    import threading
    async def task(name):
        with Profiler(name) as profiler:
            for step in range(2):
                core.inner()
                await asyncio.sleep(0)
                profiler('step')
    async def run():
        await asyncio.gather(task('one'), task('two'), bare())
    async def bare():
        await asyncio.sleep(0)
        core.outer(0)
    asyncio.run(run())
    held = []
    def leaves():
        held.append(Profiler('held'))
    leaves()
    core.outer(0)
    held.clear()
    def thread():
        with Profiler('thread'):
            core.inner()
    with Profiler('main'):
        one = threading.Thread(target=thread)
        one.start()
        one.join()
        core.inner()
    """, library, "package first", loader)
            found = sorted(map(shape, reports(result.err)))
            bare = ("outer with 0", ["begun"], [])
            assert found == sorted([("one", ["step", "step"], [INNER, INNER]), ("two", ["step", "step"], [INNER, INNER]), bare, bare,
                                    ("held", [], []), ("thread", [], [INNER]), ("main", [], [INNER])]), result


def test_one_recording():
    """A tree over both: C inside Python, and Python that C calls back inside C."""
    lapmark = os.environ.get("LAPMARK_BIN")
    if not lapmark:
        skip("no lapmark command")
    with tempfile.TemporaryDirectory() as directory:
        library = build(directory)
        program, recording = os.path.join(directory, "program.py"), os.path.join(directory, "recording")
        with open(program, "w", encoding="utf-8") as file:
            file.write("""
import ctypes, sys
from lapmark import Profiler
core, back = ctypes.CDLL(sys.argv[1]), ctypes.PyDLL(sys.argv[1])
def function():
    profiler = Profiler('function')
    for turn in range(50):
        core.outer(2)
        profiler('turn')
def callback():
    with Profiler('called back') as profiler:
        profiler('z')
function()
core.inner()
back.call(ctypes.PYFUNCTYPE(None)(callback))
""")
        subprocess.run([lapmark, "record", "-o", recording, "--", sys.executable, program, library], env=environment(), check=True,
                       capture_output=True)
        told = json.loads(subprocess.run([lapmark, "report", "--json", recording], check=True, capture_output=True).stdout)
        counts = {tuple(site["path"]): site["count"] for site in told["sites"] if site["kind"] == "profiler"}
        assert len(told["processes"]) == 1 and told["lost"] == 0 and counts == {
            ("function",): 1, ("function", "outer with %d"): 50, ("function", "outer with %d", "inner"): 100, ("inner",): 1,
            ("caller",): 1, ("caller", "called back"): 1}, counts
        checked = subprocess.run([lapmark, "check", recording], check=False, capture_output=True, encoding="utf-8")
        assert checked.returncode == 0, checked
        again = json.loads(subprocess.run([lapmark, "report", "--events", "--json", recording], check=True, capture_output=True).stdout)
        assert {tuple(site["path"]): site["count"] for site in again["sites"] if site["kind"] == "profiler"} == counts


if __name__ == "__main__":
    main(globals())
