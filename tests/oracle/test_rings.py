# SPDX-License-Identifier: MIT
# ctest: long
"""Rings that go round, full recordings, several threads: at points that the program chooses, at points that nobody chooses,
after the end and after a kill."""
import json
import os
import random
import shutil
import struct
import time

import lapmark_format
from common_oracle import (Directory, LAPMARK, Running, babeltrace, check, compare, compare_events, equal, events_of, main, only,
                           program, record, run, second_reader)

SMALL = {"LAPMARK_RING": "64K", "LAPMARK_MEMORY": "768K"}  # a few segments of 64 KiB
TINY = {"LAPMARK_RING": "64K", "LAPMARK_MEMORY": "512K"}


def counts(process):
    return {ring.number: [segment.sequence for segment in ring.segments] for ring in process.rings.values()}


def test_wrapped():
    with Directory() as directory, Running(directory.sub("r"), program("oracle_rings"), "20000", "1", "4", **SMALL) as running:
        equal(running.point(), "half")
        process = only(compare(directory.sub("r")))
        first = process.rings[0].segments[0]
        check(first.sequence > 0, f"the ring did not go round: {counts(process)}")
        opened = [event.fields for event in first.events(process.metadata.classes) if event.event_class.kind == "open"]
        equal([fields["depth"] for fields in opened[:5]], [0, 1, 2, 3, 4], "state dumps")
        equal([fields["message"] for fields in opened[:2]], ["thread of 20000 rounds", "level 4 of a nest"])
        equal([fields["n"] for fields in opened[:5]], [0, 4, 3, 2, 1])
        running.end()
        process = only(compare(directory.sub("r")))
        ring = process.rings[0]
        cells = {process.labels(path)[-1]: cell for path, cell in process.current_cells(ring).items()}
        equal([cells[label].count for label in ("turn", "first", "second", "seventh %lu", "hundredth", "came out")],
              [20000, 20000, 20000, 2858, 200, 1], "counts of what the ring no longer holds")
        report = json.loads(run(LAPMARK, "report", "--json", directory.sub("r")))
        equal(report["events"], 4 * 20000 + 3 * 2858 + 3 * 200 + 2 + 4 * 4, "events in the report")


def test_one_segment():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_rings"), "5000", LAPMARK_RING="64K", LAPMARK_MEMORY="256K")
        process = only(compare(directory.sub("r")))
        check(len(process.rings[0].segments) <= 2 and process.rings[0].segments[0].sequence > 0, counts(process))


def test_threads():
    with Directory() as directory, Running(directory.sub("r"), program("oracle_rings"), "500", "4", "2",
                                           LAPMARK_RING="1M") as running:
        while running.point():
            process = only(compare(directory.sub("r")))
            equal(len(process.rings), 4)
            names = [event.fields["name"] for event in process.events() if event.event_class.kind == "thread"]
            equal(sorted(names), [f"filler {i}" for i in range(4)])
            running.go_on()
        only(compare(directory.sub("r")))


def test_deep():
    """Dumps of so many scopes that they take most of a segment; those far inside have short messages."""
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_rings"), "9000", "1", "480", LAPMARK_RING="64K", LAPMARK_MEMORY="512K")
        process = only(compare(directory.sub("r")))
        first = process.rings[0].segments[0]
        check(first.sequence > 0, counts(process))
        dumps = [event for event in first.events(process.metadata.classes) if event.event_class.kind == "open"]
        equal([dump.fields["depth"] for dump in dumps], list(range(len(dumps))))
        check(400 < len(dumps) <= 480 and dumps[-1].end <= len(first.data) - 4096, f"{len(dumps)} dumps, to byte {dumps[-1].end}")
        check(len(dumps[0].fields["message"]) > 15 >= len(dumps[-1].fields["message"]), dumps[-1].fields)


def test_full():
    with Directory() as directory, Running(directory.sub("r"), program("oracle_rings"), "3000", "2", "2", LAPMARK_MODE="full",
                                           **SMALL) as running:
        for point in iter(running.point, ""):
            process = only(compare(directory.sub("r")))
            check(all(ring.is_whole() for ring in process.rings.values()), counts(process))
            kept = [name for name in os.listdir(process.directory) if name.startswith("stream-") and not os.path.islink(
                os.path.join(process.directory, name))]
            check(len(kept) >= (2 if point == "half" else 4), kept)
            running.go_on()
        process = only(compare(directory.sub("r")))
        check(not any(os.path.islink(os.path.join(process.directory, name)) for name in os.listdir(process.directory)
                      if name.startswith("stream-")), "links to segments after the end")
        turns = [fields["n"] for name, fields in events_of(process) if name == "second"]
        equal(turns, list(range(3000)) * 2)


def test_full_bounded():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_rings"), "12000", "2", "1", LAPMARK_MODE="full", LAPMARK_DISK="512K", **SMALL)
        process = only(compare(directory.sub("r")))
        check(all(ring.segments[0].sequence > 0 and ring.gaps() == 0 for ring in process.rings.values()), counts(process))
        check(process.control["removed_segments"] > 0)
        check(sum(len(segment.data) for ring in process.rings.values() for segment in ring.segments) <= (512 << 10) + (128 << 10))


def stop_somewhere(directory, variables, times):
    """Stops a program again and again in the middle of its stores, and kills it in the end."""
    dice = random.Random(os.getpid())
    with Running(directory, program("oracle_rings"), "0", "2", "3", **variables) as running:
        equal(running.point(), "running")
        for _ in range(times):
            time.sleep(dice.random() / 50)
            running.stop()
            compare(directory, exact=False)
            running.cont()
        time.sleep(dice.random() / 100)
        running.kill()
    process = only(compare(directory, exact=False))
    report = json.loads(run(LAPMARK, "report", "--json", directory))
    equal(report["processes"][0]["state"], "died")
    check(all(ring.segments[0].sequence > 0 for ring in process.rings.values()), counts(process))


def test_stopped_anywhere():
    with Directory() as directory:
        stop_somewhere(directory.sub("r"), SMALL, 3)


def test_killed_in_full_recording():
    with Directory() as directory:
        path = directory.sub("r")
        with Running(path, program("oracle_rings"), "0", "2", "3", LAPMARK_MODE="full", LAPMARK_DISK="512K", **SMALL) as running:
            equal(running.point(), "running")
            time.sleep(0.02)
            running.kill()
        compare(path, exact=False)


def test_killed_again_and_again():
    for i in range(4):
        with Directory() as directory:
            with Running(directory.sub("r"), program("oracle_rings"), "0", "2", "1", **TINY) as running:
                equal(running.point(), "running")
                time.sleep(0.001 * i * i)
                running.kill()
            compare(directory.sub("r"), exact=False)


# ---- each store of a segment that is used again ------------------------------------------------------------------------

CONTENT, BEGIN, SEQUENCE = 32, 48, 56
EMPTY = lapmark_format.SEGMENT_HEADER_BYTES * 8


def patched(source, target, name, stores):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    with open(os.path.join(target, name), "r+b") as file:
        for offset, value in stores:
            file.seek(offset)
            file.write(struct.pack("<Q", value))


def test_each_store_of_a_segment():
    """A kill between any two of the stores that take an old segment into use again."""
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_rings"), "20000", "1", "4", **SMALL)
        process = only(lapmark_format.read_recording(directory.sub("r")))
        segments = process.rings[0].segments
        oldest, newest = segments[0], segments[-1]
        name = os.path.basename(oldest.name)
        begin = process.control.end["ticks"]
        stores = [(CONTENT, EMPTY), (SEQUENCE, newest.sequence + 1), (BEGIN, begin)]
        for count in range(1, 4):
            target = directory.sub(process.name)
            patched(os.path.realpath(process.directory), target, name, stores[:count])
            recording = {process.name: lapmark_format.Process(target)}
            wanted = second_reader(recording)
            compare_events(babeltrace(target)[0], wanted, f"babeltrace2 after {count} stores")
            others = sum(len(segment.events(process.metadata.classes)) for segment in segments[1:])
            equal(sum(map(len, wanted.values())), others)
            soundness = json.loads(run(LAPMARK, "check", "--json", target, status=None))
            check(soundness["sound"], soundness)


main(globals())
