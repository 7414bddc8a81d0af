# SPDX-License-Identifier: MIT
"""Every type of argument, label and option at its borders: oracle_values.c stores what stands here, and all readers say so."""
import math
import struct

from common_oracle import (Directory, Running, check, compare, equal, events_of, lapmark_format, main, only, program, record,
                           same_value)

I32, I64, U64 = 1 << 31, 1 << 63, (1 << 64) - 1
SINGLE_THIRD = struct.unpack("<f", struct.pack("<f", 1 / 3))[0]


def args(*values):
    return {f"a{i}": value for i, value in enumerate(values)}


INTEGERS = [
    ("integers", {}),
    ("int %d %d %d", args(-I32, -1, I32 - 1)),
    ("long long %lld %lld", args(-I64, I64 - 1)),
    ("unsigned %u %llu", args(2 * I32 - 1, U64)),
    ("small %d %d %u %u %d", args(-128, -32768, 255, 65535, 120)),
    ("bool %d %d", args(0, 1)),
    ("size %zu %ld", args(U64, -1)),
    ("char %c", args(-1)),
]
REALS = [
    ("reals %f", args(1.5)),
    ("zeros %f %f", args(0.0, -0.0)),
    ("borders %g %g %g %g", args(1.7976931348623157e308, -1.7976931348623157e308, 2.2250738585072014e-308, 5e-324)),
    ("no numbers %f %f %f", args(math.inf, -math.inf, math.nan)),
    ("third %f %f %Lf", args(1 / 3, SINGLE_THIRD, 0.25)),
    ("whole %f", args(3.0)),
]
POINTERS = [("pointers %p", args(0)), ("pointer %p %p", args(0x1234, U64)), ("great %p", args(0xdeadbeef))]
STRINGS = [
    ("strings %s", args("and one of the profiler's")),
    ("empty '%s'", args("")),
    ("null '%s'", args("(null)")),
    *[("up to nine '%s'", args("a" * length)) for length in range(1, 10)],
    ("three %s %s %s", args("one", "", "three")),
    ("%s and %d and %s", {"a1": -7, "a0": "mixed", "a2": "up"}),
    ("254 %s", args("b" * 254)),
    ("255 %s", args("c" * 255)),
    ("256 %s", args("d" * 255)),
    ("1024 %s", args("e" * 255)),
    ("cut in a character %s", args("f" * 254 + "\udcc3")),
    ("utf-8 %s", args("é € 😀 ü")),
    ("no utf-8 %s", args("\udcff\udcfe \udcc3( \udce2\udc82 \udcf0\udc9f\udc98 \udc80")),
    ("signs %s", args("\" ' \\ / % %s %n { } ; /* */ // \\n")),
    ("controls %s", args("\n\t\r\x01\x02\x1b[31m\x7f")),
    ("most %s%s%s%s%s%s%s%s%s%s%s%s", args(*["c" * 255] * 12)),
]
MANY = [
    ("many %d %u %f %s %p %d %u %f %s %p %d %u",
     {"a0": -1, "a1": 2, "a2": 3.5, "a4": 5, "a5": -6, "a6": 7, "a7": 8.5, "a9": 10, "a10": -11, "a11": 12,
      "a3": "four", "a8": "nine"}),
    ("twelve %d %d %d %d %d %d %d %d %d %d %d %d", args(*range(12))),
    ("with a size %s and %d", {"n": -5, "a1": 1, "a0": "n"}),
    ("with a great size", {"n": I64 - 1}),
]
LABELS = [
    ("", {}),
    ("(checkpoint)", {}),
    ("(checkpoint)", {}),
    ("(checkpoint)", {"n": 3}),
    ("(checkpoint)", {}),
    ("100%% of it, %%d %%s %%", {}),
    ("a \"label\" of \\ 'signs' /* */ // ; { } = := <> ?&=", {}),
    ("line\nand\ttab and \x01\x02\x1b[31m and \x7f", {}),
    ("octal \x0123 and \x011", {}),
    ("é € 😀", {}),
    ("\udcff no \udcc3( utf-8 \udce2\udc82", {}),
    ("??= trigraphs ??/ \\x41 \\101 \\", {}),
    ("arguments missing %d %s %f %n", {}),
    ("two labels", {}),
    ("two labels", {}),
    ("0123456789abcdef" * 64, {}),
]


def test_arguments():
    for part, wanted in (("integers", INTEGERS), ("reals", REALS), ("pointers", POINTERS), ("strings", STRINGS), ("many", MANY),
                         ("labels", LABELS)):
        with Directory() as directory:
            record(directory.sub("r"), program("oracle_values"), part)
            found = events_of(only(compare(directory.sub("r"))))
            equal(found.pop(0), ("outside of any profiler", {}))
            equal(len(found), len(wanted), part)
            for (name, fields), (wanted_name, wanted_fields) in zip(found, wanted):
                equal(name, wanted_name, part)
                equal(list(fields), list(wanted_fields), f"{part}: {name}")
                check(all(same_value(fields[key], wanted_fields[key]) for key in fields),
                      f"{part}: {name} {fields} {wanted_fields}")


def test_options():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_values"), "options")
        plain = {"threshold_ns": 0, "n": 0, "parent": 0, "path": 0, "flags": 0}
        equal(events_of(only(compare(directory.sub("r"))))[1:], [
            ("options %d %s", {**plain, "n": -9, "a0": 1, "a1": "s"}),
            ("threshold", {**plain, "threshold_ns": 2500000, "n": 77}),
            ("inside", {}),
            ("immediate %d", {**plain, "a0": 5}),
            ("printed at once %s", {"a0": "if at all"}),
        ])


def test_options_of_what_prints():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_values"), "options", LAPMARK_PRINT="stderr")
        flags = {name: fields["flags"] for name, fields in events_of(only(compare(directory.sub("r")))) if "flags" in fields}
        equal(flags, {"options %d %s": 2, "threshold": 2, "immediate %d": 1})


def test_handles():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_values"), "handles")
        process = only(compare(directory.sub("r")))
        events = {name: fields for name, fields in events_of(process)}
        parent, child = events["parent %d %s"], events["child"]
        check(parent["handle"] not in (0, child["handle"]), events)
        equal((parent["parent"], parent["a0"], parent["a1"]), (0, -3, "args"))
        equal((child["parent"], child["n"], child["threshold_ns"]), (parent["handle"], 12, 1000000))
        equal([events[name]["number"] for name in ("marked %f %s", "sized", "(checkpoint)")], [0, 1, 2])
        equal((events["sized"]["n"], events["marked %f %s"]["a0"], events["marked %f %s"]["a1"]), (1000, 0.25, "here"))
        equal((events["part of a child"]["parent"], events["part of a child"]["path"]), (child["handle"], child["path"]))
        paths = {process.labels(path) for path in range(2, len(process.paths.entries))}
        check(("parent %d %s", "child", "part of a child", "a lap of the part") in paths, paths)
        check(("around a handle", "under its scope") in paths, paths)
        check("stale" not in events, "a mark of a handle that has ended")
        equal(process.control.losses[3], 2, "calls on handles that were not open: an end and a mark")


def test_run_time_labels():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_values"), "texts")
        process = only(compare(directory.sub("r")))
        classes = process.metadata.classes.values()
        kinds = {}
        for event_class in classes:
            if event_class.flags & lapmark_format.FLAG_RUN_TIME:
                key = (event_class.kind, event_class.line)
                kinds[key] = kinds.get(key, 0) + 1
        check(all(count <= 64 for count in kinds.values()), kinds)
        equal(sum(count == 64 for count in kinds.values()), 6, "sites that have all the classes that they may have")
        texts = [fields.get("text", name) for name, fields in events_of(process) if name != "in it"]
        wanted = ["outside of any profiler", "texts"]
        for i in range(100):
            wanted += [f"label {i} % \"\\\n é"] * 6
        wanted += ["g" * 255, "", "(null)"] + [f"label {i % 10}" for i in range(100)]
        equal(texts, wanted)
        sizes = [fields["n"] for name, fields in events_of(process) if fields.get("n", 0) and fields.get("handle", 0) == 0]
        equal(sizes, sorted(list(range(1, 100)) * 2), "sizes of the marks and scopes with run-time labels")


def test_objects():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_objects"))
        plain = {"parent": 0, "path": 0, "flags": 0}
        equal(events_of(only(compare(directory.sub("r")))), [
            ("object %d %s", {"threshold_ns": 500000, "n": 4, **plain, "a0": -1, "a1": "with a string"}),
            ("types %d %d %p %f", args(1, 3, 0, 1.5)),
            ("enumerations %u", args(200)),
            ("sized %d", {"n": 9, "a0": 1}),
            ("sized profiler", {"threshold_ns": 0, "n": 6, **plain, "label_n": 5}),
            ("made at run time", {}),
        ])


def test_metadata_of_several_packets():
    """Thousands of classes, looked at while they are being added."""
    with Directory() as directory, Running(directory.sub("r"), program("oracle_classes")) as running:
        packets = set()
        for count in iter(running.point, ""):
            process = only(compare(directory.sub("r")))
            packets.add(process.metadata.packets)
            check(len(process.metadata.classes) > int(count.split()[0]), count)
            running.go_on()
        check(max(packets) >= 3, f"metadata of {packets} packets")
        process = only(compare(directory.sub("r")))
        check(len(process.metadata.classes) > 3120, len(process.metadata.classes))
        labels = {event_class.name for event_class in process.metadata.classes.values()}
        check(all(len(label) == 255 for label in labels if label.startswith("site ")), "labels that were cut")


main(globals())
