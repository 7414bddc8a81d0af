# SPDX-License-Identifier: MIT
"""`export --format speedscope`, held against its schema, read by a few lines of Python, and imported and exported again by speedscope."""
import collections
import functools
import itertools
import json
import os
import re

import common_export as export
import helper_speedscope
from common_export import Sum, common

SCHEMA = os.path.join(helper_speedscope.PACKAGE, "dist/release/file-format-schema.json")
TYPES = {"string": str, "number": (int, float), "array": list, "object": dict}


def check_schema(value, schema, definitions, where="file"):
    """The part of JSON Schema that speedscope's is written in, and no member besides."""
    unknown = set(schema) - {"$ref", "$schema", "definitions", "anyOf", "const", "enum", "items", "properties", "required", "title", "type"}
    common.equal(unknown, set(), "not known of this schema")
    if "$ref" in schema:
        check_schema(value, definitions[schema["$ref"].rpartition("/")[2]], definitions, where)
    if "anyOf" in schema:
        kind = value.get("type")
        for choice in schema["anyOf"]:
            found = definitions[choice["$ref"].rpartition("/")[2]]
            if found["properties"]["type"]["const"] == kind:
                return check_schema(value, found, definitions, where)
        raise AssertionError(f"{where}: no choice for '{kind}'")
    if "type" in schema:
        common.check(isinstance(value, TYPES[schema["type"]]) and not isinstance(value, bool), (where, value))
    common.check("const" not in schema or value == schema["const"], (where, value))
    common.check("enum" not in schema or value in schema["enum"], (where, value))
    if "properties" in schema:
        common.equal(set(schema["required"]) - set(value), set(), where)
        common.equal(set(value) - set(schema["properties"]), set(), where)
        for name, member in value.items():
            check_schema(member, schema["properties"][name], definitions, f"{where}.{name}")
    if "items" in schema:
        for element in value:
            check_schema(element, schema["items"], definitions, f"{where}[]")


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


@functools.cache
def of(make):
    """The file, and the calls of each profile."""
    file = load(export.export(make(), "speedscope"))
    return file, [helper_speedscope.calls(file, profile) for profile in file["profiles"]]


def sums(profiles):
    """By name, without the recorder's pauses."""
    found = collections.defaultdict(lambda: Sum(0, 0))
    for calls in profiles:
        stack = []
        for call in calls:
            del stack[call.depth:]
            if call.name == "(recorder)":
                for around in stack:
                    found[around.name] = Sum(found[around.name].count, found[around.name].total_ns - (call.end - call.begin))
                continue
            stack.append(call)
            found[call.name] = Sum(found[call.name].count + 1, found[call.name].total_ns + call.end - call.begin)
    return dict(found)


def truth(directory):
    """By the last label alone: a frame does not tell a profiler from a lap."""
    found = collections.defaultdict(lambda: Sum(0, 0))
    for (name, kind), value in export.truth(directory, by_chain=False).items():
        name = "(rest)" if kind == "rest" else name
        found[name] = Sum(found[name].count + value.count, found[name].total_ns + value.total_ns)
    return dict(found)


def proper(found):
    return {name: value for name, value in found.items() if not name.endswith((" (unfinished)", " (abandoned)"))}


def test_sums():
    for make in (export.threads, export.handles, export.calls):
        export.compare_sums(proper(sums(of(make)[1])), proper(truth(make())))


def test_profiles_are_tracks():
    names = [profile["name"].split(": ")[1].rpartition(" ")[0] for profile in of(export.threads)[0]["profiles"]]
    common.equal(sorted(names), ["subject", "worker-0", "worker-1", "worker-2"])
    common.equal(len({(profile["startValue"], profile["endValue"]) for profile in of(export.threads)[0]["profiles"]}), 1)
    names = [profile["name"].split(": ")[1].split(" ")[0] for profile in of(export.handles)[0]["profiles"]]
    common.check(names[0] == "subject" and len(names) > 2 and set(names[1:]) == {"handles"}, names)
    common.equal(sum("calls" in profile["name"] for profile in of(export.calls)[0]["profiles"]), 1)


def test_laps_are_in_their_profilers():
    around = collections.Counter((call.around, call.name) for calls in of(export.threads)[1] for call in calls)
    common.equal(around["outer", "first"], 60)
    common.equal(around["first", "inner of %d"], 0)
    common.equal(around["second", "inner of %d"], 60)
    common.equal(around["(rest)", "inner of %d"], 60)
    common.equal(around["inner of %d", "array lookup"], 360)
    common.equal(around["(rest)", "innermost"], 120)


def test_frames_have_places():
    with open(os.path.join(export.SOURCE, "tests/export/subject.c"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    frames = {frame["name"]: frame for frame in of(export.threads)[0]["shared"]["frames"]}
    for name in ("outer", "inner of %d", "array lookup", "left by longjmp (abandoned)"):
        common.check(frames[name]["file"].endswith("tests/export/subject.c"), frames[name])
        common.check(f'"{name.partition(" (")[0]}"' in lines[frames[name]["line"] - 1], frames[name])
    common.check("file" not in frames["(rest)"], frames["(rest)"])


def test_what_is_not_whole():
    common.equal([[call.name for call in calls] for calls in of(export.killed)[1]], [["open for ever (unfinished)"]])
    common.check(of(export.killed)[0]["profiles"][0]["name"].endswith(" (died)"))
    common.equal(of(export.empty)[0]["profiles"], [])
    outer, = (call for calls in of(export.lossy)[1] for call in calls if call.depth == 0)
    common.equal(outer.name, "around all (cut)")
    found, wanted = sums(of(export.lossy)[1]), truth(export.lossy())
    del found["around all (cut)"], wanted["around all"]
    export.compare_sums(found, wanted)


def test_calls_are_at_their_time():
    """By their places: there are no flows."""
    for make in (export.calls, export.at_once):
        file, profiles = of(make)
        wanted = export.calls_by_hand(make())
        starts = [profile["startValue"] for profile in file["profiles"]]
        found = sorted((start + call.begin, start + call.end, call.name) for profile, start, calls in zip(file["profiles"], starts, profiles)
                       for call in calls if ": calls " in profile["name"])
        common.equal([name for _, _, name in found], [call.name for call in wanted])
        first_ns = wanted[0].begin - found[0][0]
        for (begin, end, _), call in zip(found, wanted):
            common.equal((abs(first_ns + begin - call.begin) <= 2, abs(first_ns + end - call.end) <= 2), (True, True), (begin, end, call))
        served = served_in(file, profiles, "serve", "parse")
        answered = sorted((call for call in wanted if call.served is not None), key=lambda call: call.served)
        common.equal(len(served), len(answered))
        for (begin, done), call in zip(served, answered):
            export.check_served((call.begin - first_ns, call.end - first_ns), begin, done, error_ns=100_000)
            common.check(abs(first_ns + begin - call.served) < 500_000, (begin, call))


def served_in(file, profiles, name, last):
    """(begin, end of the lap `last` in it) of the profilers that serve, one after another."""
    found = [[], []]
    for profile, calls in zip(file["profiles"], profiles):
        for call in calls:
            if call.name == name:
                found[0].append(profile["startValue"] + call.begin)
            if call.name == last:
                found[1].append(profile["startValue"] + call.end)
    return list(zip(*map(sorted, found)))


def test_hosts_are_on_one_clock():
    client, server = export.hosts()
    file = load(export.export(client, "speedscope", server))
    profiles = [helper_speedscope.calls(file, profile) for profile in file["profiles"]]
    error_ns, = {int(found[1]) for profile in file["profiles"] if (found := re.search(r"\(times within (\d+) ns\)", profile["name"]))}
    calls = sorted((profile["startValue"] + call.begin, profile["startValue"] + call.end)
                   for profile, calls in zip(file["profiles"], profiles) for call in calls if call.name == "get item")
    served = served_in(file, profiles, "serve an item", "worked")
    common.equal((len(calls), len(served)), (20, 20))
    for call, (begin, done) in zip(calls, served):
        export.check_served(call, begin, done, error_ns + 2)


def test_awkward_names():
    """A profiler and a checkpoint have each label."""
    names = collections.Counter(call.name for calls in of(export.awkward)[1] for call in calls)
    of_format = ("(rest)", "(recorder)", "%s argument")
    export.check_awkward(collections.Counter({name: count // 2 for name, count in names.items() if name not in of_format}))


def test_to_a_pipe():
    path = export.export(export.threads(), "speedscope")
    with open(path, encoding="utf-8") as file:
        common.equal(common.lapmark("export", "--format", "speedscope", export.threads()).out, file.read())


def test_schema_and_speedscope_itself():
    if not os.path.exists(SCHEMA):
        print("without speedscope: not from the npm registry")
        return
    makes = [make for make in export.ALL if make is not export.lossy]
    first, *others = (make() for make in makes)
    path = export.export(first, "speedscope", *others, *export.hosts())
    file, schema = load(path), load(SCHEMA)
    check_schema(file, schema, schema["definitions"])
    names = {profile["name"] for profile in file["profiles"]}
    common.equal({profile["name"] for make in makes for profile in of(make)[0]["profiles"]} - names, set())
    common.equal({name.split(" ")[0] for name in names if " (times within " in name}, {"host_call_server"})
    with helper_speedscope.Speedscope() as speedscope:
        theirs, warnings = speedscope.load(path)
    check_schema(theirs, schema, schema["definitions"])
    common.equal(warnings, [])
    for ours, profile in itertools.zip_longest(file["profiles"], theirs["profiles"]):
        common.equal((ours["name"], ours["unit"], ours["endValue"] - ours["startValue"]), (profile["name"], profile["unit"], profile["endValue"]))
        # It keeps nothing of what takes no time.
        calls = [call for call in helper_speedscope.calls(file, ours) if call.end > call.begin]
        common.equal(calls, helper_speedscope.calls(theirs, profile))


if __name__ == "__main__":
    export.main(globals())
