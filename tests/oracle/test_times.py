# SPDX-License-Identifier: MIT
"""Times, against what the program itself has measured around the same stretches by another clock, and against each other."""
from fractions import Fraction

from common_oracle import Directory, check, compare, equal, lapmark_format, main, only, program, run

RATE_ERROR = Fraction(1, 1000)  # of the measured rate of the clock, generously
READING_NS = 2000               # of a clock that is read beside another one
CLOCK_STEP_NS = 50_000_000      # what the wall clock may be set meanwhile


def recorded(directory):
    lines = [line.split() for line in run(program("oracle_times"), LAPMARK_RECORD=directory).decode().splitlines()]
    return lines, only(compare(directory))


def cells_by_name(process):
    """Sums over all rings by (what, label), in nanoseconds, and in ticks; and the pauses of all rings."""
    sums = {}
    pauses = 0
    for ring in process.rings.values():
        for lap in process.laps(ring):
            labels = process.labels(lap.path)
            label = labels[-2] if lap.kind == "rest" else labels[-1]
            sums[lap.kind, label] = sums.get((lap.kind, label), 0) + lap.ticks
        pauses += sum(event.fields["ticks"] for event in process.ring_events(ring) if event.event_class.kind == "pause")
    ns = 10 ** 9 / process.ticks_a_second
    return {key: ticks * ns for key, ticks in sums.items()}, sums, pauses * ns


def test_between_what_the_program_measured():
    with Directory() as directory:
        lines, process = recorded(directory.sub("r"))
        sums, _, pauses = cells_by_name(process)
        seen = set()
        for what, label, inside, outside in lines:
            check(what != "error", label)
            if what == "realtime":
                continue
            found = sums[what, label]
            low = int(inside) * (1 - RATE_ERROR) - pauses - READING_NS
            high = int(outside) * (1 + RATE_ERROR) + READING_NS
            check(low <= found <= high, f"{what} {label} is {float(found)}, not {float(low)} to {float(high)}")
            seen.add((what, label))
        equal(len(seen), 11, "what was measured")
        for label, least_ns in (("slept-10-ms", 10_000_000), ("handle-lap", 3_000_000), ("around-the-inner", 7_000_000),
                                ("one-of-many", 15_000_000)):
            check(sums["lap", label] + pauses >= least_ns * (1 - RATE_ERROR), f"{label} is {float(sums['lap', label])}")


def test_sums():
    with Directory() as directory:
        _, process = recorded(directory.sub("r"))
        _, ticks, _ = cells_by_name(process)
        laps = sum(ticks["lap", label] for label in ("slept-10-ms", "spun-3-ms", "spun-50-us"))
        equal(ticks["total", "scope"], laps + ticks["rest", "scope"], "laps and rest of a scope")
        equal(ticks["total", "outer"], ticks["lap", "around-the-inner"] + ticks["rest", "outer"], "laps and rest around a scope")
        check(ticks["lap", "around-the-inner"] > ticks["total", "inner"])
        equal(ticks["total", "handle"], ticks["lap", "handle-lap"] + ticks["rest", "handle"], "laps and rest of a handle")
        equal(ticks["total", "many"], ticks["lap", "one-of-many"] + ticks["rest", "many"], "thousands of laps and a rest")


def test_wall_clock():
    with Directory() as directory:
        lines, process = recorded(directory.sub("r"))
        start, end = next((int(line[2]), int(line[3])) for line in lines if line[0] == "realtime")
        for event in process.events():
            check(start - CLOCK_STEP_NS <= process.realtime_ns(event.ticks) <= end + CLOCK_STEP_NS, event)


def test_rate():
    """What the metadata says of the clock, and what was measured over the process's life."""
    with Directory() as directory:
        _, process = recorded(directory.sub("r"))
        measured, stated = process.ticks_a_second, process.metadata.clock["freq"]
        check(abs(measured - stated) <= stated * RATE_ERROR, f"{float(measured)} measured, {stated} in the metadata")
        clock = process.metadata.clock
        origin_ns = clock["offset_s"] * 10 ** 9 + Fraction(clock["offset"] * 10 ** 9, stated)
        start = process.control.start
        start_ns = origin_ns + Fraction(start["ticks"] * 10 ** 9, stated)
        check(abs(start_ns - start["realtime_ns"]) < 1000, "the metadata's time of the start")
        for ring in process.rings.values():
            for segment in ring.segments:
                ns = (segment.header["clock_ticks"] - start["ticks"]) * 10 ** 9 / measured
                check(abs(segment.header["clock_monotonic_ns"] - start["monotonic_ns"] - ns) < 100_000, "clocks of a segment")


def test_buckets():
    """Every value lies in its bucket, and the buckets follow each other without a gap."""
    before = -1
    for bucket in range(60 * 16):
        least, greatest = lapmark_format.bucket_range(bucket)
        equal(least, before + 1)
        equal((lapmark_format.bucket_of(least), lapmark_format.bucket_of(greatest)), (bucket, bucket))
        check(greatest - least <= least / 16)
        before = greatest
    equal(before, (1 << 63) - 1, "the greatest value")


main(globals())
