# SPDX-License-Identifier: MIT
"""lapmark.c and lapmark.h as somebody puts them into a project: no warning, no name of others', every C library that is here,
linked statically; and what they record is read by the command."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import BUILD, SOURCE, Directory, check, equal, lapmark, lapmark_json, main, run  # pylint: disable=wrong-import-position

WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
COMPILERS = [name for name in ("gcc", "clang", "musl-gcc") if shutil.which(name)]


def write(directory):
    subprocess.run([sys.executable, f"{SOURCE}/src/amalgamation.py", directory], check=True, cwd="/")


def compile_one(compiler, directory, *flags):
    subprocess.run([compiler, *WARNINGS, "-c", os.path.join(directory, "lapmark.c"), *flags], check=True)


def test_same_again():
    """What is built and tested is what anybody gets who asks for it, byte by byte."""
    with Directory() as directory:
        write(directory)
        for name in ("lapmark.c", "lapmark.h"):
            with open(os.path.join(directory, name), "rb") as one, open(os.path.join(BUILD, "amalgamation", name), "rb") as other:
                check(one.read() == other.read(), f"build/amalgamation/{name} is another: build the target 'amalgamation'")


def test_compiles():
    """Optimised, too: some warnings need that. Also where all else is compiled with the profilers disabled, or with probes."""
    check("gcc" in COMPILERS, COMPILERS)
    with Directory() as directory:
        write(directory)
        lapmark_o = os.path.join(directory, "lapmark.o")
        for compiler in COMPILERS:
            compile_one(compiler, directory, "-O2" if compiler == "gcc" else "-O0", "-DLAPMARK_DISABLE", "-DLAPMARK_USDT", "-o", lapmark_o)
            lines = subprocess.check_output(["nm", "--defined-only", "-g", lapmark_o], text=True).splitlines()
            foreign = [line.split()[-1] for line in lines if not line.split()[-1].startswith("lap_")]
            equal(foreign, [], f"{compiler}: names that are not ours")
            check("lap_impl_mark_cold" in "".join(lines), compiler)


def workload(compiler, directory):
    path = os.path.join(directory, "workload-" + compiler)
    subprocess.run([compiler, "-std=c11", "-static", f"-I{directory}", f"{SOURCE}/tests/cli/workload.c",
                    os.path.join(directory, "lapmark.c"), "-o", path, "-pthread"], check=True)
    return path


def what_was_recorded(path, *arguments):
    """Counts of all that was recorded, by us and by babeltrace2."""
    record = "-".join((path, *arguments))
    result = run(path, *arguments, LAPMARK_RECORD=record, LAPMARK_PRINT="off")
    equal(result.status, 0, result)
    equal(result.err, "", result)
    equal(lapmark("check", record).status, 0, lapmark("check", record))
    babeltrace = run("babeltrace2", record)
    equal(babeltrace.status, 0, babeltrace)
    report = lapmark_json("report", record)
    equal(report["lost"], 0, report)
    counts = sorted(("/".join(site["path"]), site["kind"], site["count"]) for site in report["sites"])
    # Which thread took whose ring, and when a batch ran, is told by events as well.
    return counts, len(re.findall(r"^\[(?!.* lapmark:(?:pause|thread|open): )", babeltrace.out.rstrip(), re.M))


def test_static():
    """A program without any shared library, with each C library: what it records is what the shared one's does."""
    with Directory() as directory:
        write(directory)
        programs = [workload(compiler, directory) for compiler in COMPILERS if compiler != "clang"]
        for case, events in (("jobs", 110), ("labels", 7), ("threads", 21), ("handles", 8), ("forks", 8)):
            wanted = what_was_recorded(programs[0], case)
            check(len(wanted[0]) > 1 and wanted[1] >= events, wanted)
            for program in programs[1:]:
                equal(what_was_recorded(program, case), wanted, f"{program} {case}")


if __name__ == "__main__":
    main(globals())
