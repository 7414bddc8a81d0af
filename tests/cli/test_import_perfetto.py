# SPDX-License-Identifier: MIT
"""Traces of Perfetto, of Chromium and made here by the numbers of the published definitions: counts and times against Python's own
reading of the same file; state of sequences, clocks, tracks; damage of every kind."""
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import zlib

import common
import helper_traces

WORK = tempfile.mkdtemp(prefix="lapmark-import-test-")
# Where recordings are made: some have thousands of files.
PLACES = tempfile.mkdtemp(prefix="lapmark-import-test-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
BEGIN, END, INSTANT, COUNTER = 1, 2, 3, 4
CLEARED, NEEDS_STATE = 1, 2
REALTIME, MONOTONIC, BOOTTIME = 1, 3, 6


def lapmark(*arguments):
    result = common.lapmark(*arguments, TMPDIR=PLACES, timeout=280)
    common.equal(os.listdir(PLACES), [], f"{arguments} left something: {result}")
    return result


def trace(*packets, name="trace.pftrace"):
    """A file of packets, each the fields of one."""
    path = os.path.join(WORK, name)
    pathlib.Path(path).write_bytes(helper_traces.message(*((1, list(packet)) for packet in packets)))
    return path


def event(time, kind, name=None, *more, sequence=1, packet=()):
    """A TrackEvent's packet; `more` are fields of the event, `packet` those of the packet."""
    fields = [(9, kind), *more] + ([(23, name)] if isinstance(name, str) else [(10, name)] if name else [])
    return [(8, time), (10, sequence), (11, fields), *packet]


def thread_track(uuid, pid, tid, name="", sequence=1):
    return [(10, sequence), (60, [(1, uuid), (4, [(1, pid), (2, tid), (5, name)])])]


def process_track(uuid, pid, name, sequence=1):
    return [(10, sequence), (60, [(1, uuid), (3, [(1, pid), (6, name)])])]


def other_track(uuid, parent):
    return [(10, 1), (60, [(1, uuid), (5, parent), (2, "a track")])]


def report(path, *options):
    result = lapmark("report", path, "--json", *options)
    common.equal(result.status, 0, result)
    return json.loads(result.out), result.err


def sites(path):
    """By path: count and total in ns."""
    return {"/".join(site["path"]): (site["count"], site["total_ns"]) for site in report(path)[0]["sites"] if site["count"]}


def left_out(path):
    err = report(path)[1]
    return err.partition("stands for it: ")[2].strip()


# ---- what Chromium writes ----

def test_chromium():
    if not shutil.which("chromium"):
        print("not tested here: traces of Chromium, which is not installed")
        return
    path = os.path.join(WORK, "chromium.pftrace")
    subprocess.run(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={WORK}/profile",
                    "--trace-startup=*", f"--trace-startup-file={path}", "--trace-startup-duration=0",
                    "--trace-startup-format=proto", "--dump-dom", "data:text/html,<script>for(let i=0,s=0;i<1e6;i++)s+=i</script>"],
                   env=dict(os.environ, HOME=WORK), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=250, check=True)
    wanted = helper_traces.Perfetto(pathlib.Path(path).read_bytes())
    every = [one for slices in wanted.tracks.values() for one in slices]
    common.check(len(every) > 10000, len(every))
    value, err = report(path, "--events")
    common.equal(value["comparison"]["equal"], True)
    got = collections.defaultdict(lambda: [0, 0])
    for site in value["sites"]:
        if site["kind"] == "profiler" and site["count"] > 0:
            got[site["path"][-1]][0] += site["count"]
            got[site["path"][-1]][1] += site["total_ns"]
    for name, (count, total) in helper_traces.totals(every).items():
        # A snapshot's clocks are read one after another, and so their distance differs a little from one to the next.
        common.check(got[name][0] == count and abs(got[name][1] - total) <= 1000 * count, f"{name}: {got[name]}, not {(count, total)}")
        del got[name]
    common.equal(dict(got), {})
    common.equal(sum(len(process["open"]) for process in value["processes"]), sum(one.end is None for one in every))
    common.check(f"{wanted.types[COUNTER]} values of counters" in err or wanted.types[COUNTER] < 2, err)
    # On threads: by path, in each process that is told.
    paths = collections.Counter()
    names = {name for track, slices in wanted.tracks.items() if track[0] != "thread" for name in (one.name for one in slices)}
    for track, slices in wanted.tracks.items():
        for where, one in helper_traces.nested(slices) if track[0] == "thread" else ():
            if where is None:
                names.add(one.name)
            elif one.end is not None:
                paths[where] += 1
    found = {tuple(site["path"]): site["count"] for site in value["sites"] if site["kind"] == "profiler"}
    for where, count in paths.items():
        if not names.intersection(where):
            common.equal(found.get(where), count, where)


# ---- tracks and slices ----

def test_tracks():
    path = trace(
        process_track(1, 70, "the program"), thread_track(2, 70, 71, "main"), other_track(3, 1), other_track(4, 2),
        event(1000, BEGIN, "a", (11, 2)), event(2000, BEGIN, "b", (11, 2)), event(3000, END, None, (11, 2)),
        event(4000, END, None, (11, 2)),
        event(1000, BEGIN, "r", (11, 3)), event(1500, BEGIN, "dns", (11, 3)), event(1600, INSTANT, "found", (11, 3)),
        event(2500, END, None, (11, 3)), event(9000, END, None, (11, 3)),
        event(1000, BEGIN, "below a thread", (11, 4)), event(1001, END, None, (11, 4)),
        event(1000, BEGIN, "told later", (11, 5)), event(1002, END, None, (11, 5)), thread_track(5, 70, 72, "late"),
        event(5000, BEGIN, "of nobody", (11, 99)), event(5001, END, None, (11, 99)),
        event(6000, BEGIN, "open", (11, 2)), event(6500, INSTANT, "x", (11, 2)), event(6000, END, None, (11, 5)),
        event(7000, BEGIN, "trusted", (11, 98), packet=[(79, 70)]), event(7001, END, None, (11, 98)),
        thread_track(6, 70, 71), event(8000, BEGIN, "in open", (11, 6)), event(8500, END, None, (11, 6)))
    common.equal(sites(path), {
        "a": (1, 3000), "a/b": (1, 1000), "r": (1, 8000), "r/dns": (1, 1000), "r/dns/found": (1, 100), "r/dns/(rest)": (1, 900),
        "below a thread": (1, 1), "told later": (1, 2), "of nobody": (1, 1), "trusted": (1, 1), "open/in open": (1, 500)})
    common.equal(left_out(path), "1 instant, 1 end without a begin")
    value, _ = report(path)
    common.equal(sorted((process["program"], process["pid"], process["threads"]) for process in value["processes"]),
                 [("process", 0, 1), ("the program", 70, 3)])
    common.equal([opened["message"] for process in value["processes"] for opened in process["open"]], ["open"])


def test_state():
    """Names, the track and the clock of a sequence hold until they are cleared, and not behind a loss."""
    names = (12, [(2, [(1, 1), (2, "a")]), (2, [(1, 2), (2, "b")]), (3, [(1, 1), (2, "n")])])
    other = (12, [(2, [(1, 1), (2, "c")])])
    defaults = (59, [(11, [(11, 2)])])
    needs = (13, NEEDS_STATE)
    path = trace(
        thread_track(2, 70, 71), thread_track(3, 70, 72),
        event(10, BEGIN, 1, packet=[needs]),  # nothing is known yet
        [(10, 1), (13, CLEARED), names, defaults],
        event(100, BEGIN, 1, (4, [(1, 1), (4, 7)]), packet=[needs]), event(200, BEGIN, 2, packet=[needs]),
        event(300, END, packet=[needs]), event(400, END, packet=[needs]),
        [(10, 2), (13, CLEARED), other, (59, [(11, [(11, 3)])])],
        event(500, BEGIN, 1, sequence=2, packet=[needs]), event(600, END, sequence=2, packet=[needs]),
        event(700, BEGIN, 1, packet=[needs]), event(800, END, packet=[needs]),
        event(900, BEGIN, 1, packet=[needs, (42, 1)]), event(950, BEGIN, 1, packet=[needs]),
        [(10, 1), (13, CLEARED), other, defaults],
        event(1000, BEGIN, 1, packet=[needs]), event(1100, END, packet=[needs]),
        event(1200, BEGIN, 2, packet=[needs]), event(1300, END, packet=[needs]))
    common.equal(sites(path), {"a": (2, 400), "a/b": (1, 100), "c": (2, 200), "(unnamed)": (1, 100)})
    common.equal(left_out(path), "1 slice whose name was lost, 3 packets that need what was lost")
    common.check("n=7" in lapmark("show", path).out)


def test_clocks():
    def snapshot(sequence, *clocks):
        return [(10, sequence), (6, [(1, list(clock)) for clock in clocks])]

    def of(identity, time, *more):
        return [(1, identity), (2, time), *more]

    hour = 3600 * 10**9
    path = trace(
        thread_track(2, 70, 71), thread_track(3, 70, 72), thread_track(4, 70, 73),
        snapshot(9, of(BOOTTIME, 5000000), of(MONOTONIC, 3000000), of(REALTIME, 1764403200 * 10**9)),
        event(5000000, BEGIN, "boot", (11, 2)), event(5001000, END, None, (11, 2)),
        event(3002000, BEGIN, "monotonic", (11, 2), packet=[(58, MONOTONIC)]), event(5003000, END, None, (11, 2)),
        # Each sequence's own: in microseconds, and each relative to the one before.
        snapshot(1, of(64, 0, (4, 1000), (3, 1)), of(MONOTONIC, 3010000)), snapshot(2, of(64, 5, (4, 1000)), of(MONOTONIC, 3020000)),
        [(10, 1), (13, CLEARED), (59, [(58, 64), (11, [(11, 3)])])],
        event(1, BEGIN, "delta"), [(8, 2), (10, 1), (7, [])], event(4, END),
        event(6, BEGIN, "own", (11, 4), sequence=2, packet=[(58, 64)]), event(9, END, None, (11, 4), sequence=2, packet=[(58, 64)]),
        # The clocks come apart: an hour of sleep.
        snapshot(9, of(BOOTTIME, 2 * hour), of(MONOTONIC, hour)),
        event(hour + 10, BEGIN, "slept", (11, 2), sequence=9, packet=[(58, MONOTONIC)]),
        event(2 * hour + 30, END, None, (11, 2), sequence=9),
        event(5, BEGIN, "unknown", (11, 2), sequence=5, packet=[(58, 64)]))
    common.equal(sites(path), {"boot": (1, 1000), "monotonic": (1, 1000), "delta": (1, 6000), "own": (1, 3000), "slept": (1, 20)})
    value, err = report(path)
    common.equal(value["processes"][0]["start_time_ns"], 1764403200 * 10**9)
    common.check("1 event without a sound time" in err, err)
    shown = {line.split()[3]: line.split()[0] for line in lapmark("show", "--events", path).out.splitlines() if " begin " in line}
    common.equal([shown[name] for name in ("boot", "monotonic", "delta", "own")],
                 ["0.000000000", "0.000002000", "0.000011000", "0.000021000"])
    # Of a trace in microseconds alone the clock's steps are known.
    path = trace(snapshot(1, of(64, 0, (4, 1000)), of(MONOTONIC, 3010001)), thread_track(2, 70, 71),
                 event(1, BEGIN, "a", (11, 2), packet=[(58, 64)]), event(2, END, None, (11, 2), packet=[(58, 64)]))
    common.equal(report(path)[0]["processes"][0]["clock"]["resolution_ns"], 1000)


def test_strange_clocks():
    """Readings that add up to more than a time holds are not believed, and no time is made of them."""
    def snapshot(*clocks):
        return [(10, 1), (6, [(1, [(1, identity), (2, time)]) for identity, time in clocks])]

    far = 1 << 62
    path = trace(
        thread_track(2, 70, 71), event(0, BEGIN, "a", (11, 2)), event(5, END, None, (11, 2)),
        snapshot((BOOTTIME, far), (MONOTONIC, 0)), snapshot((MONOTONIC, far), (REALTIME, 0)), snapshot((REALTIME, far), (64, 0)),
        event(far, BEGIN, "b", (11, 2), packet=[(58, 64)]), event(far + 1, END, None, (11, 2), packet=[(58, 64)]))
    common.equal(sites(path), {"a": (1, 5)})
    common.check("2 events without a sound time" in report(path)[1], report(path)[1])
    path = trace(thread_track(2, 70, 71), event(0, BEGIN, "a", (11, 2)), event(5, END, None, (11, 2)),
                 snapshot((BOOTTIME, 1 << 60), (64, 0)), event(far, BEGIN, "b", (11, 2), packet=[(58, 64)]))
    common.equal((sites(path), "1 event without a sound time" in report(path)[1]), ({"a": (1, 5)}, True))


def test_legacy():
    """What Chromium wrote before it had tracks: the sequence's thread, times in microseconds, phases."""
    def legacy(fields, phase, *more):
        return [(10, 1), (11, [*fields, (6, [(2, ord(phase)), *more])])]

    path = trace(
        [(10, 1), (13, CLEARED), (43, [(1, 70), (2, "./program"), (2, "-x")])],
        [(10, 1), (44, [(1, 70), (2, 71), (5, "main"), (6, 1000)])],
        legacy([(1, 10), (23, "a")], "B"), legacy([(1, 10), (23, "b")], "X", (3, 5)), legacy([(1, 10)], "E"),
        legacy([(16, 2000), (23, "abs")], "X", (3, 7)), legacy([(1, 10), (23, "c")], "X", (3, 1)),
        legacy([(16, 3000), (23, "other")], "X", (3, 2), (18, 80), (19, 81)),
        legacy([(16, 3000), (23, "r")], "b", (6, 5)), legacy([(16, 3001), (23, "in")], "b", (6, 5)),
        legacy([(16, 3002), (23, "r")], "b", (6, 6)), legacy([(16, 3003), (23, "in")], "e", (6, 5)),
        legacy([(16, 3009), (23, "r")], "e", (6, 5)), legacy([(16, 3009), (23, "r")], "e", (6, 6)),
        legacy([(16, 1)], "C"), legacy([(16, 1)], "I"), legacy([(16, 1)], "s"), legacy([(16, 1)], "P"), legacy([(16, 1)], "R"),
        legacy([(16, 1)], "?"))
    common.equal(sites(path), {"a": (1, 20000), "a/b": (1, 5000), "abs": (1, 7000), "c": (1, 1000), "other": (1, 2000),
                               "r": (2, 16000), "r/in": (1, 2000)})
    common.equal(left_out(path), "2 instants, 1 value of a counter, 1 flow event, 1 sample of a stack, 1 event of another kind")
    value, _ = report(path)
    common.equal(sorted((process["program"], process["pid"]) for process in value["processes"]), [("./program", 70), ("process", 80)])


def test_left_out():
    path = trace(thread_track(2, 70, 71), event(1, BEGIN, "a", (11, 2), (4, [(10, "x"), (6, "text")]), (47, 5)),
                 event(2, END, None, (11, 2)), event(1, COUNTER, None, (11, 9), (30, 5)), [(1, [(1, 0)])], [(95, b"")], [(66, b"")],
                 [(73, b"")], [(133, b"")], [(33, b"")], [(89, b"")], [(777, b"x")], event(1, 9, "strange"),
                 event(1, BEGIN, "b", (11, 2), (4, [(10, "n"), (3, 12)])), event(2, END, None, (11, 2)),
                 event(3, BEGIN, "c", (11, 2), (4, [(10, "count"), (4, 13)])), event(4, END, None, (11, 2)))
    common.equal(left_out(path), "1 value of a counter, 1 flow event, 1 sample of a stack, 1 dump of memory, "
                 "1 slice's arguments, 2 bundles of kernel events, 1 compressed packet, 2 events of other kinds")
    shown = lapmark("show", path).out
    common.check("n=12" in shown and "n=13" in shown, shown)


def test_compressed():
    inner = helper_traces.message((1, event(1, BEGIN, "a", (11, 2))), (1, event(6, END, None, (11, 2))))
    path = trace(thread_track(2, 70, 71), [(50, zlib.compress(inner))])
    common.equal(sites(path), {"a": (1, 5)})
    # Of the most that is unpacked, in no more than that; and packed so well, or so badly, that the first guess is not enough.
    for filler, level in ((random.Random(5).randbytes(4500000), 0), (bytes(50 << 20), 9), (random.Random(5).randbytes(1500000) * 30, 1)):
        packed = zlib.compress(helper_traces.message((1, [(900, filler)])) + inner, level)
        path = trace([(50, packed)], thread_track(2, 70, 71))
        common.equal(sites(path), {"a": (1, 5)}, f"{len(packed)} of {len(filler)}")
    bomb = zlib.compress(helper_traces.message((1, [(900, bytes(300 << 20))])))
    nested = inner
    for _ in range(3):
        nested = helper_traces.message((1, [(50, zlib.compress(nested))]))
    for damaged in (zlib.compress(inner)[:-3], b"", b"text", bomb, zlib.compress(nested), zlib.compress(b"\x0a\xff")):
        result = lapmark("report", trace(thread_track(2, 70, 71), [(50, damaged)]))
        common.equal((result.status, "damaged packet, at byte" in result.err), (2, True), result)


# ---- damage ----

def sample():
    packets = [thread_track(2, 70, 71, "main"), [(10, 1), (13, CLEARED), (12, [(2, [(1, 1), (2, "first")])]), (59, [(11, [(11, 2)])])]]
    for i in range(20):
        packets += [event(100 * i, BEGIN, 1 if i % 2 else "se cond", packet=[(13, NEEDS_STATE)]), event(100 * i + 50, END)]
    return trace(*packets)


def test_cut():
    """Cut at each length: whole packets are read, and the cut is told."""
    data = pathlib.Path(sample()).read_bytes()
    borders, at = {0}, 0
    for _, packet in helper_traces.parse(data):
        at += len(helper_traces.message((1, packet)))
        borders.add(at)
    last = 0
    for length in range(0, len(data) + 1, 3):
        path = os.path.join(WORK, "cut.pftrace")
        pathlib.Path(path).write_bytes(data[:length])
        result = lapmark("report", "--json", path)
        if result.status == 2:
            common.check(last == 0 and result.err.startswith("lapmark: cannot open '"), result)
            continue
        found = sum(site["count"] for site in json.loads(result.out)["sites"])
        common.check(found >= last, f"{found} after {last}")
        last = found
        border = max(one for one in borders if one <= length)
        common.equal(f"cut off, at byte {border}:" in result.err, length not in borders, f"{length}: {result}")
    common.check(last >= 19, last)


def test_damaged():
    data = bytearray(pathlib.Path(sample()).read_bytes())
    chance = random.Random(7)
    statuses = collections.Counter()
    for _ in range(150):
        copy = bytearray(data)
        for _ in range(chance.choice((1, 1, 3))):
            copy[chance.randrange(2, len(copy))] = chance.randrange(256)
        path = os.path.join(WORK, "damaged.pftrace")
        pathlib.Path(path).write_bytes(copy)
        result = lapmark("report", path)
        common.check(result.status in (0, 2), result)
        common.check(all(line.startswith("lapmark: ") for line in result.err.splitlines()), result)
        statuses[result.status] += 1
        if result.status == 2:
            common.check("at byte" in result.err or "without a slice" in result.err or "neither" in result.err, result)
    common.check(min(statuses[0], statuses[2]) > 5, statuses)
    for bad in (b"\x0a\x02\x0b\x0c", b"\x0a\x03\x5a\x05a", b"\x0a\x02\x5a\xff"):  # a group, a text that is too long, a length
        path = os.path.join(WORK, "damaged.pftrace")
        pathlib.Path(path).write_bytes(bytes(data) + bad)
        result = lapmark("report", path)
        common.equal((result.status, f"damaged packet, at byte {len(data)}" in result.err), (2, True), result)


def test_large_first_packet():
    """It is longer than what is looked at to know the format."""
    inner = helper_traces.message((1, event(1, BEGIN, "a", (11, 2))), (1, event(6, END, None, (11, 2))))
    packed = zlib.compress(helper_traces.message((1, [(900, random.Random(5).randbytes(700000))])) + inner)
    common.check(len(packed) > 600000)
    for first in ([(50, packed)], [(10, 1), (50, packed)]):
        common.equal(sites(trace(first, thread_track(2, 70, 71))), {"a": (1, 5)})
    data = pathlib.Path(trace([(50, packed)])).read_bytes()
    for bad in (data[:4] + b"\x02\xff\xff\xff" + data[8:], b"\n" + data[1:4] + b"\x9a\x03\xff\xff\xff\x01" + data[10:]):  # no tag, longer than the packet
        path = os.path.join(WORK, "damaged.pftrace")
        pathlib.Path(path).write_bytes(bad)
        result = lapmark("report", path)
        common.equal((result.status, "neither a recording" in result.err), (2, True), result)


def test_forms():
    """As text and as JSON it begins alike, and yet it is told from these."""
    good = '{"ph":"X","pid":1,"tid":1,"name":"a","ts":1,"dur":1}'
    for blank in ("\n", "\n\n", " \n"):
        path = os.path.join(WORK, "blank.json")
        pathlib.Path(path).write_text(f"{blank}[{good}]", encoding="utf-8")
        common.equal(report(path)[0]["sites"][0]["count"], 1)
        pathlib.Path(path).write_text(blank + '{"traceEvents":[' + ",".join([good] * 50) + "]}", encoding="utf-8")
        common.equal(sum(site["count"] for site in report(path)[0]["sites"]), 50)
    good_object = '\n{"traceEvents":[' + good + "]}"
    common.check(len(good_object) < ord("{") and ord("t") < ord("{"))  # so it would be a cut packet with a text in it
    pathlib.Path(path).write_text(good_object, encoding="utf-8")
    common.equal(report(path)[0]["sites"][0]["count"], 1)
    for size in (0x7B, 0x5B):  # a first packet as long as a bracket's number
        filler = size - len(helper_traces.message((8, 1), (10, 1), (900, b"")))
        path = trace([(8, 1), (10, 1), (900, bytes(filler))], thread_track(2, 70, 71), event(1, BEGIN, "a", (11, 2)),
                     event(6, END, None, (11, 2)))
        common.equal(pathlib.Path(path).read_bytes()[1], size)
        common.equal(sites(path), {"a": (1, 5)})


try:
    common.main(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.rmtree(PLACES, ignore_errors=True)
