# SPDX-License-Identifier: MIT
"""The recorder on aarch64, by Debian's cross compiler and qemu-user: the library's sources compile and link; what a program
records there is read here, by the command and by babeltrace2, and is what this machine's own program records."""
import glob
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import SKIPPED, SOURCE, Directory, check, equal, lapmark, lapmark_json, main, run  # pylint: disable=wrong-import-position

COMPILER = "aarch64-linux-gnu-gcc"
QEMU = "qemu-aarch64"
ROOT = "/usr/aarch64-linux-gnu"  # of the cross C library
INCLUDES = [f"-I{SOURCE}/{path}" for path in ("include", "src/decoder", "src/text", "src/recorder")]


def cross(directory):
    """The shared library, and the workload linked with it, as src/CMakeLists.txt does it; returns the program."""
    sources = [path for part in ("decoder", "text", "recorder") for path in sorted(glob.glob(f"{SOURCE}/src/{part}/*.c"))]
    common = [COMPILER, "-std=c17", "-O1", "-Wall", "-Wextra", "-Werror", *INCLUDES]
    subprocess.run([*common, "-fno-strict-aliasing", "-fPIC", "-fvisibility=hidden", "-DLAPMARK_BUILDING_LIBRARY", "-DNDEBUG", "-shared",
                    *sources, f"-Wl,--version-script={SOURCE}/src/recorder/lapmark.map,-soname,liblapmark.so.0,-z,nodelete,-z,now,"
                    "--no-undefined", "-o", os.path.join(directory, "liblapmark.so.0")], check=True)
    program = os.path.join(directory, "workload")
    subprocess.run([*common, f"{SOURCE}/tests/cli/workload.c", os.path.join(directory, "liblapmark.so.0"), "-pthread", "-o", program],
                   check=True)
    return program


def native(directory):
    program = os.path.join(directory, "native")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O1", f"-I{SOURCE}/include", f"{SOURCE}/tests/cli/workload.c",
                    f"-L{os.environ['BUILD_DIR']}", "-llapmark", "-pthread", "-o", program], check=True)
    return program


def record(directory, name, command, case, status=0, **variables):
    """Runs a case; returns what is equal on every machine: the counts of each site."""
    recording = os.path.join(directory, f"{name}-{case[0]}")
    result = run(*command, *case, LAPMARK_RECORD=recording, LAPMARK_PRINT="off", **variables)
    equal(result.status, status, result)
    equal(result.err.replace("qemu: uncaught target signal 9 (Killed) - core dumped\n", ""), "", result)
    checked = lapmark("check", recording)
    equal(checked.status, 0, checked)
    report = lapmark_json("report", recording)
    equal(report["lost"], 0, report)
    babeltrace = run("babeltrace2", recording)
    equal(babeltrace.status, 0, babeltrace)
    theirs = len(re.findall(r"^\[(?!.* lapmark:(?:pause|thread|open): )", babeltrace.out.rstrip(), re.M))
    equal(theirs, report["events"], "events of babeltrace2 and of the command")
    return recording, sorted(("/".join(site["path"]), site["kind"], site["count"]) for site in report["sites"])


def test_records_and_prints():
    with Directory() as directory:
        here, there = native(directory), [QEMU, "-L", ROOT, "-E", f"LD_LIBRARY_PATH={directory}", cross(directory)]
        for case in (["jobs"], ["labels"], ["threads"], ["handles"], ["forks"], ["wrap", "20000"]):
            recording, counts = record(directory, "there", there, case)
            equal(counts, record(directory, "here", [here], case)[1], case)
            report = lapmark("report", recording)
            check(re.search(r"^clock +cntvct, 62\.5 MHz, resolution \d+(\.\d+)? [nµ]s", report.out, re.M), report)
            check("resolution 0 ns" not in report.out, report)
        result = run(*there, "jobs")
        equal(result.status, 0, result)
        check("  > job # (x12): total " in result.err, result)
        check(re.search(r"< Exiting jobs, total time: [\d.]+ ms\n\Z", result.err), result)
        # Killed: what was stored is there.
        recording = os.path.join(directory, "killed")
        result = run(*there, "killed", "9", LAPMARK_RECORD=recording, LAPMARK_PRINT="off")
        equal(result.status, -9, result)
        check("doomed" in lapmark("check", recording).out, lapmark("check", recording))
        equal(run("babeltrace2", recording).out.count("\n"), 4)


if __name__ == "__main__":
    missing = [name for name in (COMPILER, QEMU) if not shutil.which(name)]
    if missing or not os.path.isdir(ROOT):
        print(f"not here: {', '.join(missing) or ROOT}")
        sys.exit(SKIPPED)
    main(globals())
