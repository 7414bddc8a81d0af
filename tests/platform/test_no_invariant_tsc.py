# SPDX-License-Identifier: MIT
"""A processor whose counter cannot be trusted: one without an invariant TSC, by qemu-user, and a kernel that keeps time by something
else. The library falls back to CLOCK_MONOTONIC, and the recording says so, with its resolution."""
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import SKIPPED, Directory, check, equal, lapmark, lapmark_json, main, run, workload  # pylint: disable=wrong-import-position

QEMU = "qemu-x86_64"
CLOCKSOURCE = "sys/devices/system/clocksource/clocksource0"


def machine(directory, clocksource):
    """A command that runs another on such a machine."""
    root = os.path.join(directory, f"root-{clocksource}")
    os.makedirs(os.path.join(root, CLOCKSOURCE), exist_ok=True)
    with open(os.path.join(root, CLOCKSOURCE, "current_clocksource"), "w", encoding="utf-8") as file:
        file.write(clocksource + "\n")
    return [QEMU, "-cpu", "qemu64", "-L", root]


def sites(recording):
    return sorted(("/".join(site["path"]), site["kind"], site["count"]) for site in lapmark_json("report", recording)["sites"])


def clock_of(recording):
    checked = lapmark("check", recording)
    equal(checked.status, 0, checked)
    equal(run("babeltrace2", recording, "-o", "dummy").status, 0)
    report = lapmark("report", recording).out
    found = re.search(r"^clock +(\w+), ([\d.]+ \wHz), resolution ([\d.]+ \w+)", report, re.M)
    check(found, report)
    return found.groups()


def test_falls_back():
    with Directory() as directory:
        program = workload(directory)
        for case in (["jobs"], ["labels"], ["threads"], ["handles"], ["forks"], ["wrap", "20000"]):
            there, here = (os.path.join(directory, f"{name}-{case[0]}") for name in ("there", "here"))
            for recording, command in ((there, machine(directory, "hpet")), (here, [])):
                result = run(*command, program, *case, LAPMARK_RECORD=recording, LAPMARK_PRINT="off")
                equal((result.status, result.err), (0, ""), result)
            source, rate, resolution = clock_of(there)
            equal((source, rate), ("monotonic", "1.00 GHz"))
            check(not resolution.startswith("0 "), resolution)
            equal(sites(there), sites(here), case)


def test_who_is_believed():
    """The kernel, where it keeps time by the counter; else the processor's flag, which this one has not."""
    with Directory() as directory:
        program = workload(directory)
        for name, source in (("acpi_pm", "monotonic"), ("tsc", "tsc"), ("kvm-clock", "monotonic")):
            recording = os.path.join(directory, "-".join([name, source]))
            result = run(*machine(directory, name), program, "jobs", LAPMARK_RECORD=recording, LAPMARK_PRINT="off")
            equal((result.status, result.err), (0, ""), result)
            equal(clock_of(recording)[0], source, name)


if __name__ == "__main__":
    if not shutil.which(QEMU) or os.uname().machine != "x86_64":
        print(f"not here: {QEMU}, or not an x86-64")
        sys.exit(SKIPPED)
    main(globals())
