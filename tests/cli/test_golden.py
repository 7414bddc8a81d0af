# SPDX-License-Identifier: MIT
"""The golden recordings: what is read in them is what was stored, as the program that made them said, and the same as ever.
tests/golden/make_golden.py tells how they were made."""
import glob
import json
import os
import shutil

import common
import helper_golden

ROOT = os.path.join(common.SOURCE, "tests", "golden", "v1")
ENDS = ("lapmark:end", "lapmark:handle_end")
WHOLE = ("good", "texts", "full", "killed")


def expectations():
    for path in sorted(glob.glob(f"{ROOT}/*.json")):
        with open(path, encoding="utf-8") as file:
            yield os.path.basename(path)[:-len(".json")], json.load(file)


def test_same_as_ever():
    names = []
    for name, expected in expectations():
        names.append(name)
        stored = expected.pop("stored")
        common.check(bool(stored) == (name not in ("torn", "broken")), name)
        common.equal(helper_golden.differences(expected, helper_golden.read(ROOT, name), name), [])
    common.equal(names, ["broken", "full", "good", "killed", "lossy", "texts", "torn"])


def test_what_was_stored():
    """Against the program's own counts, which no reader of ours has been through."""
    for name, expected in expectations():
        if name not in WHOLE:
            continue
        found = helper_golden.read(ROOT, name)["events"]
        ends = sum(count for kind, _, count in expected["stored"] if kind == "end")
        common.equal(sum(found.get(end, 0) for end in ENDS), ends, name)
        labels = {label: count for label, count in found.items() if not label.startswith("lapmark:")}
        common.equal(labels, {label: count for kind, label, count in expected["stored"] if kind in ("begin", "mark")}, name)


def test_what_was_lost():
    """Of the wrapped ring: what was stored and lost is in the report, and the statistics have what was overwritten."""
    stored = dict((name, expected["stored"]) for name, expected in expectations())["lossy"]
    lost = {label: count for kind, label, count in stored if kind == "lost"}
    report = common.lapmark_json("report", f"{ROOT}/lossy")
    common.equal(report["lost"], lost["memory"])
    common.equal(report["processes"][0]["losses"], lost)
    common.equal(report["events"] + report["lost"], sum(count for kind, _, count in stored if kind != "lost"))
    turns = next(count for _, label, count in stored if label == "turn")
    common.equal([site["count"] for site in report["sites"] if site["path"][-1] == "turn"], [turns])


def test_babeltrace_counts_the_same():
    if not shutil.which("babeltrace2"):
        print("no babeltrace2 here")
        return
    for name, expected in expectations():
        if name not in WHOLE and name != "lossy":
            continue
        result = common.run("babeltrace2", f"{ROOT}/{name}")
        common.equal((result.status, result.err.strip()), (0, ""), name)
        common.equal(len(result.out.splitlines()), sum(expected["events"].values()), name)


def test_size():
    bytes_all = sum(os.path.getsize(os.path.join(directory, name)) for directory, _, names in os.walk(ROOT)
                    for name in names if not name.endswith(".json"))
    common.check(bytes_all < 300 << 10, f"{bytes_all} bytes of golden recordings")


common.main(globals())
