# SPDX-License-Identifier: MIT
"""Traces of other tools, read by Python alone: what their slices are, by the rules of the format and nothing of Lapmark's."""
import collections
import decimal
import json

import common


def nanoseconds(microseconds):
    return int((decimal.Decimal(str(microseconds)) * 1000).to_integral_value(decimal.ROUND_HALF_UP))


def load(path):
    with open(path, encoding="utf-8") as file:
        value = json.load(file, parse_float=decimal.Decimal)
    return value if isinstance(value, list) else value["traceEvents"]


class Slice:
    def __init__(self, name, track, begin, end, at):
        self.name, self.track, self.begin, self.end, self.at = name, track, begin, end, at

    def __repr__(self):
        return f"{self.name}@{self.track}[{self.begin}, {self.end}]"


def matched(events, track):
    """Slices of one track; events of kinds B, E and X by time, those of one time as they stand in the file."""
    slices, still = [], []
    for at, (kind, time, name, duration) in enumerate(sorted(events, key=lambda event: event[1])):
        if kind == "E":
            found = next((one for one in reversed(still) if name is None or one.name == name), None)
            if found is not None:
                still.remove(found)
                found.end = time
            continue
        slices.append(Slice(name, track, time, None if duration is None else time + duration, at))
        if kind == "B":
            still.append(slices[-1])
    return slices


def chrome_slices(events):
    """All slices of a Chrome trace by track: ("thread", pid, tid) or ("async", ...)."""
    tracks = collections.defaultdict(list)
    for event in events:
        kind, name = event["ph"], event.get("name")
        if kind in "BEX":
            duration = nanoseconds(event["dur"]) if "dur" in event else None
            tracks["thread", event.get("pid", 0), event.get("tid", 0)].append((kind, nanoseconds(event["ts"]), name, duration))
        elif kind in "be":
            id2 = event.get("id2", {})
            local = event["pid"] if "local" in id2 else None
            key = ("async", event.get("cat"), event.get("scope"), local, id2.get("local", id2.get("global", event.get("id"))))
            if local is None:
                key += (event["pid"],)  # as far as the tests go, ids of two processes are not one
            tracks[key].append((kind.upper(), nanoseconds(event["ts"]), name, None))
    return {track: matched(events, track) for track, events in tracks.items()}


def totals(slices):
    """By name: how many have ended, and the sum of their durations."""
    found = collections.defaultdict(lambda: [0, 0])
    for one in slices:
        if one.end is not None:
            found[one.name][0] += 1
            found[one.name][1] += one.end - one.begin
    return {name: tuple(value) for name, value in found.items()}


def nested(slices):
    """Path and slice of those of a track; what crosses the end of one around it is left out, and told by None."""
    stack = []
    for one in sorted(slices, key=lambda one: (one.begin, -(one.end if one.end is not None else 1 << 62), one.at)):
        end = one.end if one.end is not None else 1 << 62
        while stack and stack[-1][1] <= one.begin:
            stack.pop()
        if stack and stack[-1][1] < end:
            yield None, one
            continue
        stack.append((one.name, end))
        yield tuple(name for name, _ in stack), one


# ---- Perfetto: messages by the numbers of their fields, which are those of its published definitions ----

def varint(number):
    number &= (1 << 64) - 1
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes(made + bytes([number]))


def message(*fields):
    """Pairs of a number and a value: an int, a text or bytes, or the pairs of a message in a list."""
    made = b""
    for number, value in fields:
        if isinstance(value, int):
            made += varint(number << 3) + varint(value)
        else:
            data = message(*value) if isinstance(value, list) else value.encode() if isinstance(value, str) else value
            made += varint(number << 3 | 2) + varint(len(data)) + data
    return made


def parse(data):
    """The fields of a message: pairs of a number and an int or bytes."""
    at, fields = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            fields.append((tag >> 3, number()))
            continue
        size = number() if tag & 7 == 2 else {1: 8, 5: 4}[tag & 7]
        part = data[at:at + size]
        at += size
        fields.append((tag >> 3, part if tag & 7 == 2 else int.from_bytes(part, "little")))
    return fields


class Sequence:
    def __init__(self):
        self.names, self.categories, self.track, self.clock, self.clocks = {}, {}, 0, None, {}


class Perfetto:
    """The slices of a trace whose events are in order on each sequence, and lose nothing: as Chromium writes it."""

    def __init__(self, data):
        self.sequences = collections.defaultdict(Sequence)
        self.shifts = {}  # from clocks of all to that of the trace
        self.threads = {}  # by the track's uuid
        self.types, self.met = collections.Counter(), 0
        self.events = collections.defaultdict(list)
        for number, packet in parse(data):
            if number == 1:
                self.packet(parse(packet))
        self.tracks = {}
        merged = collections.defaultdict(list)
        for uuid, events in self.events.items():
            merged[self.threads.get(uuid, ("track", uuid))] += events
        for track, events in merged.items():
            self.tracks[track] = matched([event[1:] for event in sorted(events)], track)

    def packet(self, fields):
        one = dict(fields)
        sequence = self.sequences[one.get(10, 0)]
        if one.get(13, 0) & 1:
            sequence.names, sequence.track, sequence.clock = {}, 0, None
        if 59 in one:
            defaults = dict(parse(one[59]))
            sequence.clock = defaults.get(58)
            sequence.track = dict(parse(defaults.get(11, b""))).get(11, 0)
        for number, entry in parse(one.get(12, b"")):
            if number in (1, 2):
                entry = dict(parse(entry))
                (sequence.categories if number == 1 else sequence.names)[entry[1]] = entry[2].decode()
        if 6 in one:
            self.snapshot(sequence, parse(one[6]))
        if 60 in one:
            descriptor = dict(parse(one[60]))
            if 4 in descriptor:
                thread = dict(parse(descriptor[4]))
                self.threads[descriptor.get(1, 0)] = ("thread", thread.get(1, 0), thread.get(2, 0))
        time = self.time(sequence, one.get(58, sequence.clock or 6), one[8]) if 8 in one else None
        if 11 in one:
            self.event(sequence, time, parse(one[11]))

    def snapshot(self, sequence, fields):
        clocks = [dict(parse(value)) for number, value in fields if number == 1]
        values = {clock[1]: clock.get(2, 0) * clock.get(4, 1) for clock in clocks}
        primary = 6 if 6 in values else dict(fields).get(2)
        trace = values[primary] if primary in values else next(value + self.shifts[clock] for clock, value in values.items()
                                                               if clock in self.shifts)
        for clock in clocks:
            if clock[1] < 64:
                self.shifts[clock[1]] = trace - values[clock[1]]
            else:
                sequence.clocks[clock[1]] = [clock.get(2, 0), clock.get(4, 1), bool(clock.get(3)), trace - values[clock[1]]]

    def time(self, sequence, clock, value):
        if clock < 64:
            return value + self.shifts.get(clock, 0)
        state = sequence.clocks[clock]
        if state[2]:
            value = state[0] = state[0] + value
        return value * state[1] + state[3]

    def event(self, sequence, time, fields):
        one = dict(fields)
        kind = {1: "B", 2: "E"}.get(one.get(9))
        self.types[one.get(9)] += 1
        if kind:
            name = one[23].decode() if 23 in one else sequence.names.get(one.get(10))
            self.met += 1
            self.events[one.get(11, sequence.track)].append((self.met, kind, time, name, None))


# ---- what `lapmark export` makes of them ----

class Exported(Perfetto):
    """Without laps, whose end follows their begin: those are the instants of the trace. What has no end there has none here."""
    skipped = None
    UNFINISHED = 3  # a name of an annotation

    def event(self, sequence, time, fields):
        one = dict(fields)
        if sequence.categories.get(one.get(3)) == "lap":
            self.skipped = one[11]
        elif one.get(9) == 2 and one[11] == self.skipped:
            self.skipped = None
        elif one.get(9) != 2 or dict(parse(one.get(4, b""))).get(1) != self.UNFINISHED:
            super().event(sequence, time, fields)


def check_exported(path, wanted):
    """Slices are those that are wanted, by totals(); what begins where another one ended may do so a nanosecond later."""
    for form in ("chrome", "perfetto"):
        to = f"{path}.{form}"
        result = common.lapmark("export", "--format", form, "-o", to, path, timeout=280)
        common.equal(result.status, 0, result)
        if form == "chrome":
            tracks = chrome_slices([event for event in load(to) if event.get("cat") != "lap" and "unfinished" not in event.get("args", {})])
        else:
            with open(to, "rb") as file:
                tracks = Exported(file.read()).tracks
        found = totals([one for slices in tracks.values() for one in slices])
        for name in {*found, *wanted}:
            (got_count, got_ns), (count, total_ns) = found.get(name, (0, 0)), wanted.get(name, (0, 0))
            common.check(got_count == count and abs(got_ns - total_ns) <= count, f"{form}: '{name}' {found.get(name)}, not {wanted.get(name)}")
