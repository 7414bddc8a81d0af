# SPDX-License-Identifier: MIT
"""`report` of several processes that call each other: a server's profilers stand under the calls that they serve."""
import json
import os
import re
import shutil

import common

CALLS = 10
CLOCK_DOMAIN = 2904  # in .lapmark/control, see doc/format.md


def paths(directory, *arguments):
    """Path to count of a report's sites."""
    return {tuple(site["path"]): site["count"] for site in common.lapmark_json("report", *arguments, directory)["sites"]}


def recorded(directory, mode):
    program = common.workload(directory, "call_chain")
    result = common.run(program, mode, cwd=directory, LAPMARK_RECORD=mode, LAPMARK_PRINT="off")
    common.equal((result.status, result.err), (0, ""), result)
    return f"{directory}/{mode}"


def test_chain():
    with common.Directory() as directory:
        found = paths(recorded(directory, "chain"))
    second = ("first", "ask the second", "second's work")
    third = second + ("ask the third", "third's work")
    wanted = {("first",): 1, second[:2]: CALLS, second: CALLS, second + ("the third has answered",): CALLS, third[:4]: CALLS,
              third: CALLS, third + ("done",): CALLS, ("first", "answered"): CALLS}
    common.equal({path: count for path, count in found.items() if path[-1] != "(rest)"}, wanted)


def of_steps(found):
    """Without what is no profiler, nor a call."""
    return {path: count for path, count in found.items() if path[-1] not in ("(rest)", "answered", "done")}


def test_of_two_servers():
    """What was passed on as it is, and served by both: both stand under the call."""
    with common.Directory() as directory:
        recording = recorded(directory, "relayed")
        found = of_steps(paths(recording))
        kinds = common.lapmark_json("calls", recording)["calls"]
    asked = ("first", "ask the second")
    common.equal(found, {("first",): 1, asked: CALLS, asked + ("second's work",): CALLS, asked + ("third's work",): CALLS})
    common.equal([(kind["name"], kind["count"]) for kind in kinds], [("ask the second", CALLS)])


def test_sent_again():
    """One that was served twice by the same code."""
    with common.Directory() as directory:
        found = of_steps(paths(recorded(directory, "again")))
    asked = ("first", "ask the second")
    common.equal(found, {("first",): 1, asked: CALLS, asked + ("second's work",): 2 * CALLS})


def test_by_process():
    """Each process has its own tree there."""
    with common.Directory() as directory:
        sites = common.lapmark_json("report", "--by", "process", recorded(directory, "chain"))["sites"]
    common.equal(max(len(site["path"]) for site in sites if site["path"][0] == "first"), 2)
    common.check(["second's work"] in [site["path"] for site in sites])


def test_of_two_paths():
    """A profiler whose calls come from several paths stays where it is, and says from which."""
    with common.Directory() as directory:
        recording = recorded(directory, "mixed")
        sites = common.lapmark_json("report", recording)["sites"]
        text = common.lapmark("report", recording).out
        apart = common.lapmark_json("report", "--by", "process", recording)["sites"]
    found = {tuple(site["path"]): site["count"] for site in sites}
    common.equal(found["second's work",], CALLS)
    common.equal((found["first", "ask the second"], found["first", "ask in another way"]), (CALLS / 2, CALLS / 2))
    called = {tuple(site["path"]): (site["callers"], site["callers_left_out"]) for site in sites if "callers" in site}
    common.equal(called, {("second's work",): ([{"path": ["first", "ask in another way"], "count": CALLS / 2},
                                                {"path": ["first", "ask the second"], "count": CALLS / 2}], 0)})
    lines = text.splitlines()
    line = lines.index("  called from: first > ask in another way (5), first > ask the second (5)")
    common.check(lines[line - 1].startswith("second's work "), text)
    common.check(not any("callers" in site for site in apart), apart)


def test_of_many_paths():
    """Of more than 8 paths, 8 and how many more there are."""
    with common.Directory() as directory:
        recording = recorded(directory, "many")
        site = next(site for site in common.lapmark_json("report", recording)["sites"] if site["path"] == ["second's work"])
        text = common.lapmark("report", recording).out
    wanted = [{"path": [place, "ask the second"], "count": 1} for place in "abcdefgh"]
    common.equal((site["callers"], site["callers_left_out"]), (wanted, CALLS - 8))
    common.check("h > ask the second (1) and 2 more\n" in text, text)


def test_clocks_without_a_call_between():
    """A process that reads another clock, of which no call tells: it is shown by its wall clock, and that is said."""
    with common.Directory() as directory:
        recording = recorded(directory, "chain")
        one = common.lapmark("show", "--merge", "--events", recording)
        processes = sorted(os.listdir(recording))
        with open(f"{recording}/{processes[-1]}/.lapmark/control", "r+b") as control:
            control.seek(CLOCK_DOMAIN)
            control.write(b"\x99" * 8)
        two = common.lapmark("show", "--merge", "--events", recording)
    common.equal((one.status, one.err, two.status), (0, "", 0), (one, two))
    said = re.fullmatch(r"lapmark: (\S+) is shown by its wall clock: no call between it and (\S+) says how far the two are apart\n", two.err)
    common.check(said and {*said.groups()} <= set(processes) and processes[-1] in said.groups(), two.err)
    common.equal(len(two.out.splitlines()), len(one.out.splitlines()))


def test_one_side():
    """The callers alone, the server alone."""
    with common.Directory() as directory:
        recording = recorded(directory, "chain")
        events = [json.loads(line) for line in common.lapmark("show", "--events", "--json", recording).out.splitlines()]
        client = next(event["process"] for event in events if event["name"] == "first")
        equal_paths = paths(f"{recording}/{client}")
        common.check(("first", "ask the second") in equal_paths and not any("second's work" in path for path in equal_paths))
        link = os.readlink(f"{recording}/{client}") if os.path.islink(f"{recording}/{client}") else None
        if link:
            os.unlink(f"{recording}/{client}")
        else:
            shutil.rmtree(f"{recording}/{client}")
        common.check(("second's work", "ask the third", "third's work", "done") in paths(recording))
        if link:
            shutil.rmtree(link)


if __name__ == "__main__":
    common.main(globals())
