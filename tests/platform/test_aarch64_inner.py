# SPDX-License-Identifier: MIT
# ctest: long
"""The tests of unit/ and recorder/ on aarch64: the reader and its analysis as well, cross-built, under qemu-user. There is no cmocka
for it here, so that a header of our own stands in. The tests run there as well as the cases that they start; babeltrace2 and the
command, which judge, are this machine's. In a long run (TEST_TIMES) more of them than those that work for a few seconds only."""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import LAPMARK, SKIPPED, SOURCE, Directory, check, environment, equal, main  # pylint: disable=wrong-import-position

COMPILER = "aarch64-linux-gnu-gcc"
QEMU = "qemu-aarch64"
PARTS = ("decoder", "text", "recorder", "reader", "analysis")
LONG = int(os.environ.get("TEST_TIMES") or 1) > 1
# Each byte and each length of a recording takes long. Of the recorder's, those are left out that are about the kernel (forks of
# programs with threads, signals at full rate, limits of memory, kills), which under qemu-user is the emulator.
NOT = {} if LONG else {"recording": "test_[at]*[be][ry]*", "metadata": "test_survives_*"}
# Of the unit's: context is about forks that wipe memory, which the emulator does not do; clock_bounds is a minute of arithmetic there.
# Those that compare with GSL are left out, which is not there.
UNIT_NOT = ("context",) + (() if LONG else ("clock_bounds",))
RECORDER = ("orders", "stored_scopes") + (("full_mode", "handles", "printing", "recording_calls", "scopes", "switching") if LONG else ())
SHARED = ("unit/generated_runs", "unit/simulated_clocks", "unit/synthetic", "recorder/run_case", "recorder/stored_events")
FLAGS = ["-std=c17", "-O2", "-Wall", "-Wextra", "-Wno-type-limits", "-fno-strict-aliasing", "-DLAPMARK_BUILDING_LIBRARY", f"-I{SOURCE}/include",
         f"-I{SOURCE}/tests/platform/stand_in", f"-I{SOURCE}/tests/unit", f"-I{SOURCE}/tests/recorder", *(f"-I{SOURCE}/src/{part}" for part in PARTS)]


def compile_all(directory):
    """All of src/ but the command, and what the tests share, as one archive."""
    sources = [path for part in PARTS for path in glob.glob(f"{SOURCE}/src/{part}/*.c")]
    sources += [f"{SOURCE}/tests/{name}.c" for name in SHARED]

    def compile_one(path):
        out = os.path.join(directory, f"{os.path.basename(path)}.o")
        subprocess.run([COMPILER, *FLAGS, "-c", path, "-o", out], check=True)
        return out

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compile_one, sources))
    archive = os.path.join(directory, "all.a")
    subprocess.run(["aarch64-linux-gnu-ar", "rcs", archive, *objects], check=True)
    return archive


def run_tests(directory, archive, kind, names):
    for name in names:
        without = NOT.get(name)
        program = os.path.join(directory, f"{kind}-{name}")
        subprocess.run([COMPILER, *FLAGS, f"{SOURCE}/tests/{kind}/test_{name}.c",
                        archive, "-lm", "-pthread", "-static", "-o", program],
                       check=True)
        variables = environment(TEST_EMULATOR=QEMU, LAPMARK_BIN=LAPMARK, **({"TEST_NOT": without} if without else {}))
        variables.pop("TEST_TIMES", None)
        done = subprocess.run([QEMU, program], env=variables, capture_output=True, text=True, check=False, cwd=directory)
        equal(done.returncode, 0, f"{kind}/{name}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        passed = re.findall(r"^passed: ", done.stderr, re.M)
        check(len(passed) > 0, f"{kind}/{name}: {done.stderr}")
        print(f"{kind}/{name}: {len(passed)} passed")
        counted.append(len(passed))


def is_inner(name):
    """A test of the parts that are compiled here, and of nothing that others are compared with."""
    with open(f"{SOURCE}/tests/unit/test_{name}.c", encoding="utf-8") as file:
        text = file.read()
    places = ["include", "tests/unit", *(f"src/{part}" for part in PARTS)]
    return "#include <gsl/" not in text and all(any(os.path.exists(f"{SOURCE}/{place}/{header}") for place in places)
                                                for header in re.findall(r'#include "([^"]+)"', text))


def names_of(kind):
    return sorted(os.path.basename(path)[5:-2] for path in glob.glob(f"{SOURCE}/tests/{kind}/test_*.c"))


counted = []


def test_all():
    with Directory() as directory:
        archive = compile_all(directory)
        unit = [name for name in names_of("unit") if name not in UNIT_NOT and is_inner(name)]
        run_tests(directory, archive, "unit", unit)
        run_tests(directory, archive, "recorder", RECORDER)
        print(f"counted: {sum(counted)} tests on aarch64")


if __name__ == "__main__":
    missing = [name for name in (COMPILER, QEMU) if not shutil.which(name)]
    if missing:
        print(f"not here: {', '.join(missing)}")
        sys.exit(SKIPPED)
    main(globals())
