# SPDX-License-Identifier: MIT
"""Traces of other tools, read by Python alone: what their slices are, by the rules of the format and nothing of Lapmark's."""
import collections
import decimal
import json


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
