# SPDX-License-Identifier: MIT
"""The recorder under valgrind: its tests' cases under memcheck, with the library as it is shipped; what threads share under DRD, with
a library that is built for that (atomics.h). Nothing is suppressed. Of both an error is planted and must be found. In a long run
(TEST_TIMES) all tests of recorder/, else some.

DRD and not helgrind, since only DRD can be told to pass over the accesses of one moment, which is what an atomic access is."""
import glob
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import BUILD, LAPMARK, SKIPPED, SOURCE, Directory, check, environment, equal, lapmark, main, run  # pylint: disable=wrong-import-position

LONG = int(os.environ.get("TEST_TIMES") or 1) > 1
FEW = (("orders", ""), ("handles", "test_many_threads"), ("recording_calls", "test_start*"), ("threads", "test_sink_exits"),
       ("forks", "test_worker"))
# Not under valgrind: what has little memory, or goes on at full speed until somebody has seen it; and /proc/self/exe is valgrind's.
NOT = {"kill": "*", "threads": "test_*l*", "forks": "test_exec_self"}
MEMCHECK = ["valgrind", "-q", "--leak-check=no", "--trace-children=yes", "--trace-children-skip=*/sh,*/dash"]
DRD = ["valgrind", "-q", "--tool=drd", "--check-stack-var=no"]


def said(directory):
    """What valgrind wrote into its logs, which are removed."""
    text = ""
    for path in glob.glob(f"{directory}/log.*"):
        with open(path, encoding="utf-8", errors="replace") as file:
            text += file.read()
        os.unlink(path)
    return text


def emulator(directory, command):
    """A command that runs another under valgrind."""
    path = os.path.join(directory, "emulator")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec {' '.join(repr(word) for word in command)} '--log-file={directory}/log.%p' \"$@\"\n")
    os.chmod(path, 0o700)
    return path


def test_memory():
    programs = FEW
    if LONG:
        names = [os.path.basename(path)[5:] for path in glob.glob(f"{BUILD}/tests/recorder/test_*") if os.access(path, os.X_OK)]
        programs = [(name, "") for name in sorted(names) if NOT.get(name) != "*"]
    checked = 0
    with Directory() as directory:
        path = emulator(directory, MEMCHECK + ["--error-exitcode=99"])
        for name, only in programs:
            variables = environment(TEST_EMULATOR=path, LAPMARK_BIN=LAPMARK, TEST_ONLY=only or "*",
                                    TEST_NOT=NOT.get(name, "none"))
            variables.pop("TEST_TIMES", None)
            done = subprocess.run([f"{BUILD}/tests/recorder/test_{name}"], env=variables, capture_output=True, text=True, check=False)
            equal((done.returncode, said(directory)), (0, ""), f"{name} {only}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
            ran = done.stdout.count("[ RUN ") + done.stderr.count("[ RUN ")
            check(ran > 0, f"{name} {only}: no test ran")
            checked += ran
    print(f"counted: {checked} tests under memcheck")


PLANTED = r"""
#include <lapmark.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
    char *const text = strdup("a label's argument");
    free(text);
    LAP_PROFILE("planted");
    LAP_MARK("with %s", text);
    return 0;
}
"""


def test_planted_memory_error():
    with Directory() as directory:
        source, program = os.path.join(directory, "planted.c"), os.path.join(directory, "planted")
        with open(source, "w", encoding="utf-8") as file:
            file.write(PLANTED)
        subprocess.run([os.environ.get("CC", "cc"), "-g", "-w", f"-I{SOURCE}/include", source, "-o", program, f"-L{BUILD}", "-llapmark",
                        f"-Wl,-rpath,{BUILD}"], check=True)
        result = run(emulator(directory, MEMCHECK), program, LAPMARK_PRINT="off")
        equal(result.status, 0, result)
        check("Invalid read" in said(directory), "an argument that was freed is not found")


def races(directory, program, mode):
    recording = os.path.join(directory, "recording")
    shutil.rmtree(recording, ignore_errors=True)
    result = run(emulator(directory, DRD), f"{BUILD}/tests/valgrind/{program}", recording, "8" if LONG else "2", LAPMARK_PRINT="off",
                 LAPMARK_RING="64K", LAPMARK_MODE=mode)
    equal((result.status, result.out, result.err), (0, "", ""), result)
    equal(lapmark("check", recording).status, 0, lapmark("check", recording))
    for name in os.listdir(recording):
        for link in (os.path.join(recording, name), os.path.join(recording, name, ".lapmark")):
            if os.path.islink(link):
                shutil.rmtree(os.readlink(link).removesuffix("/.lapmark"), ignore_errors=True)
    return said(directory)


def test_races():
    with Directory() as directory:
        for mode in ("flight", "full"):
            equal(races(directory, "races", mode), "", mode)


def test_planted_race():
    """The same, where what is released orders nothing: DRD sees the accesses, and would say so."""
    with Directory() as directory:
        text = races(directory, "races_planted", "flight")
        check(text.count("Conflicting") > 20, f"{text.count('Conflicting')} races found")


if __name__ == "__main__":
    if not shutil.which("valgrind"):
        print("not here: valgrind")
        sys.exit(SKIPPED)
    main(globals())
