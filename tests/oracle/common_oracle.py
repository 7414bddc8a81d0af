# SPDX-License-Identifier: MIT
"""What the oracle tests share: recording programs, and comparing three readers of what they recorded.

The readers are babeltrace2, which knows nothing of Lapmark; the lapmark command; and lapmark_format.py beside this file, which
knows nothing of the command's code. Whatever a program records, all three must find the same.
"""
import collections
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import lapmark_format

LAPMARK = os.environ["LAPMARK_BIN"]
BUILD = os.environ["BUILD_DIR"]
SOURCE = os.environ["SOURCE_DIR"]
EXAMPLES = os.environ["EXAMPLES_DIR"]
PROGRAMS = os.path.join(BUILD, "tests", "oracle")
HELPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "helper_babeltrace.py")
BABELTRACE_PYTHON = "/usr/bin/python3"
SKIPPED = 77
PATIENCE_S = 100


def check(condition, where=""):
    if not condition:
        raise AssertionError(str(where))


def equal(got, wanted, where=""):
    if got != wanted:
        raise AssertionError(f"{where}\ngot    {got!r}\nwanted {wanted!r}")


# ---- running ---------------------------------------------------------------------------------------------------------

def environment(**variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith("LAPMARK")}
    env.update(LC_ALL="C.UTF-8", TZ="UTC", LAPMARK_PRINT="off")
    env.update(variables)
    return env


def run(*command, status=0, **variables):
    """Its standard output; the exit status must be the given one (None: any)."""
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(**variables), check=False)
    if process.returncode not in (status, status if status is not None else process.returncode):
        raise AssertionError(f"{command} ended with {process.returncode}\n{process.stderr.decode(errors='replace')}")
    return process.stdout


def program(name):
    return os.path.join(PROGRAMS, name)


class Directory:
    """A place for recordings, which takes what it has left in shared memory away with it."""

    def __init__(self, on_tmpfs=False):
        bases = ["/dev/shm"] if on_tmpfs else ["/var/tmp", BUILD]
        self.base = next((path for path in bases if os.access(path, os.W_OK)), None)

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="lapmark-oracle-", dir=self.base)
        return self

    def __exit__(self, *_):
        for directory, names, _ in os.walk(self.path):
            for name in names:
                link = os.path.join(directory, name)
                if not os.path.islink(link):
                    continue
                target = os.readlink(link)
                place = os.path.dirname(target) if name == ".lapmark" else target
                if f"/lapmark-{os.geteuid()}/" in place or f"/user/{os.geteuid()}/lapmark/" in place:
                    shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def sub(self, name):
        return os.path.join(self.path, name)


class Running:
    """A program that records, stops at each of its points and goes on when it is told to: see oracle_point.h."""

    def __init__(self, directory, *command, **variables):
        if directory is not None:
            variables["LAPMARK_RECORD"] = directory
        # A group of its own: the kernel sends SIGCONT to stopped ones of a group that the exit of a shell leaves orphaned.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment(**variables), process_group=0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def point(self):
        """Waits for the next point: its name, "" when the program has ended."""
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise AssertionError("the program does not come to its next point")
        return self.process.stdout.readline().strip()

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        """From a point on to the program's end."""
        self.go_on()
        while self.point():
            self.go_on()
        equal(self.process.wait(), 0, "the program's exit status")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """In the middle of whatever its threads do."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def cont(self):
        self.process.send_signal(signal.SIGCONT)


# ---- the three readers ---------------------------------------------------------------------------------------------------

Stream = collections.namedtuple("Stream", "uuid ring")


def babeltrace(directory):
    """(events, packets) by stream, each event as (class, name, clock, [(field, value)...]). It takes an empty name for none."""
    process = subprocess.run([BABELTRACE_PYTHON, HELPER, directory], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if process.returncode == SKIPPED:
        print("skipped: no module bt2 (python3-bt2)")
        sys.exit(SKIPPED)
    check(process.returncode == 0, f"babeltrace2 cannot read '{directory}':\n{process.stderr.decode(errors='replace')}")
    events, packets = collections.defaultdict(list), collections.defaultdict(list)
    for line in process.stdout.decode("ascii").splitlines():  # loads() looks at bytes for what they are encoded in, each time
        kind, uuid, ring, *rest = json.loads(line)
        if kind == "event":
            number, name, clock, fields = rest
            events[Stream(uuid, ring)].append((number, name or "", clock, [(key, value) for key, value in fields]))
        elif kind == "packet":
            packets[Stream(uuid, ring)].append(tuple(rest))
    return events, packets


def second_reader(recording, as_shown=False):
    events = collections.defaultdict(list)
    for process in recording.values():
        uuid = process.uuid()
        for event in process.events():
            # In the order of the metadata, which the reader has compared with that of its own.
            fields = [(name, event.fields[name]) for _, name in event.event_class.fields]
            kind = event.event_class
            name = kind.shown() if as_shown else kind.name
            events[Stream(uuid, event.ring)].append((kind.number, name, event.ticks, fields))
    return events


def signed_zero(digits):
    return -0.0 if digits == "-0" else int(digits)


def command_events(directory, recording):
    """The events of `lapmark show --events --json`, and whether they come in the order of time."""
    events = collections.defaultdict(list)
    last_ns = 0
    for line in run(LAPMARK, "show", "--events", "--json", directory).decode().split("\n")[:-1]:
        item = json.loads(line, parse_int=signed_zero) if "-0" in line else json.loads(line)
        process = recording[item["process"]]
        event_class = process.metadata.classes[item["class"]]
        equal(item["kind"], event_class.kind, line)
        if item["time_ns"] < last_ns:
            raise AssertionError(f"not in the order of time: {line}")
        last_ns = item["time_ns"]
        if not process.is_time(item["ticks"], item["time_ns"], 2):
            raise AssertionError(f"{line}: at {float(process.realtime_ns(item['ticks']))}")
        types = {name: kind for kind, name in event_class.fields}
        fields = [(name, float(value) if types.get(name) == "double_t" else value) for name, value in item["fields"].items()]
        events[Stream(process.uuid(), item["ring"])].append((item["class"], item["name"], item["ticks"], fields))
    return events


def as_in_json(text):
    """What is no UTF-8 has a replacement there, byte by byte."""
    return text if text.isascii() else "".join("\ufffd" if "\udc80" <= letter <= "\udcff" else letter for letter in text)


def same_value(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return a == b and isinstance(a, type(b))


def compare_events(got, wanted, who, in_json=False):
    equal(sorted(got), sorted(wanted), f"{who}: the streams")
    for stream, events in wanted.items():
        others = got[stream]
        for place, (other, event) in enumerate(zip(others, events)):
            number, name, ticks, fields = event
            if in_json:
                name = as_in_json(name)
                fields = [(key, as_in_json(value) if isinstance(value, str) else value) for key, value in fields]
            is_same = other[:3] == (number, name, ticks) and len(other[3]) == len(fields) and all(
                a[0] == b[0] and same_value(a[1], b[1]) for a, b in zip(other[3], fields))
            if not is_same:  # no check(): its text would be made for each event
                raise AssertionError(f"{who}, {stream}, event {place}:\ngot    {other}\nwanted {(number, name, ticks, fields)}")
        equal(len(others), len(events), f"{who}, {stream}: how many events")


CONTEXT = ("paused_ticks", "thread_id", "thread_index", "clock_ticks", "clock_monotonic_ns", "clock_realtime_ns", "thread_name")


def compare_packets(packets, recording):
    for process in recording.values():
        for ring in process.rings.values():
            wanted = [(segment.begin_ticks, {key: segment.header[key] for key in CONTEXT}) for segment in ring.segments]
            # One that was to be used again when the process died is empty, and still at its old place in time.
            wanted.sort(key=lambda packet: packet[0])
            equal(packets[Stream(process.uuid(), ring.number)], wanted, f"packets of ring {ring.number}")


# ---- what the events add up to ---------------------------------------------------------------------------------------------

def sites_of(recording):
    """Cells by (labels, kind) over all processes, in nanoseconds: count, sum, least, greatest and the buckets."""
    sites = {}
    for process in recording.values():
        ns = 10 ** 9 / process.ticks_a_second
        for ring in process.rings.values():
            cells = process.current_cells(ring) if ring.statistics else process.cells_of_events(ring)
            for path, cell in cells.items():
                if cell.count == 0:
                    continue
                key = (tuple(as_in_json(label) for label in process.labels(path)), process.path_kind(path))
                site = sites.setdefault(key, {"count": 0, "total": 0, "min": math.inf, "max": 0, "buckets": []})
                site["count"] += cell.count
                site["total"] += cell.sum * ns
                site["min"] = min(site["min"], float(cell.min * ns))
                site["max"] = max(site["max"], float(cell.max * ns))
                site["buckets"] += [(*(float(edge * ns) for edge in lapmark_format.bucket_range(bucket)), count)
                                    for bucket, count in cell.buckets.items()]
    return sites


def near(a, b):
    return abs(a - b) <= 0.002 + 1e-9 * abs(b)


def compare_report(report, recording):
    sites = sites_of(recording)
    found = {}
    for site in report["sites"]:
        key = (tuple(site["path"]), site["kind"])
        check(key not in found, f"{key} is there twice")
        found[key] = site
    wanted = set(sites)
    equal(sorted(key for key in found if found[key]["count"]), sorted(wanted), "sites of the report")
    for key in wanted:
        site, cell = found[key], sites[key]
        equal(site["count"], cell["count"], f"{key}: count")
        for name, value in (("total_ns", cell["total"]), ("min_ns", cell["min"]), ("max_ns", cell["max"]),
                            ("mean_ns", cell["total"] / cell["count"])):
            check(near(site[name], float(value)), f"{key}: {name} is {site[name]}, not {float(value)}")
        if sum(count for *_, count in cell["buckets"]) < cell["count"]:
            continue  # there was no memory for the rest of its histogram
        for name, part in (("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("p999_ns", 0.999)):
            check_percentile(key, name, site[name], part, cell)


def check_percentile(key, name, value, part, cell):
    """It lies in the bucket that holds the sample of its rank, or that of the next: where between two is not said."""
    rank = part * cell["count"]
    seen = 0
    low = high = None
    for least, greatest, count in sorted(cell["buckets"]):
        before, seen = seen, seen + count
        if low is None and seen >= rank - 1:
            low = least
        if before <= rank:
            high = greatest
    step = 1 / 16
    check(low * (1 - step) - 1 <= value <= high * (1 + step) + 1 and cell["min"] - 0.002 <= value <= cell["max"] + 0.002,
          f"{key}: {name} is {value}, not in {low} to {high}")


def compare_open(report, recording):
    for entry in report["processes"]:
        process = recording[entry["name"]]
        scopes = []
        for ring in process.rings.values():
            scopes += [(depth, scope.marks) for depth, scope in enumerate(process.walk(ring)[1].scopes)]
        found = [(item["depth"], item["checkpoints"]) for item in entry["open"] if item["kind"] == "scope"]
        equal(sorted(found), sorted(scopes), f"open scopes of {process.name}")
        handles = sum(item["kind"] == "handle" for item in entry["open"])
        equal(handles, len(process.open_handles()), f"open handles of {process.name}")


def compare_counts(report, recording, exact):
    """What the heads say: how many events there are, were overwritten, lost."""
    decoded = stored = lost = taken_back = orphans = abandoned = 0
    for process in recording.values():
        lost += process.control.lost
        for ring in process.rings.values():
            _, walker = process.walk(ring)
            decoded += walker.events
            orphans += walker.orphans
            abandoned += walker.abandoned
            if ring.statistics:
                stored += ring.statistics.head["events"] - ring.statistics.head["taken_back"]
                stored += sum(lapmark_format.place_of(event) >= ring.statistics.applied and lapmark_format.is_counted(event)
                              for event in process.ring_events(ring))
                taken_back += ring.statistics.head["taken_back"]
    equal((report["lost"], report["taken_back"], report["orphans"], report["abandoned"]), (lost, taken_back, orphans, abandoned),
          "lost, taken back, orphans, abandoned")
    if exact:
        equal((report["events"], report["overwritten"]), (stored, stored - decoded), "events, overwritten")


# ---- everything --------------------------------------------------------------------------------------------------------------

def compare(directory, exact=True):
    """Reads a recording with all three and compares everything. Returns what the second reader has found.

    exact: no process was stopped or killed in the middle of a batch, so that the statistics are those of the events to
    the last counter."""
    recording = lapmark_format.read_recording(directory)
    wanted = second_reader(recording)
    events, packets = babeltrace(directory)
    compare_events(events, wanted, "babeltrace2")
    compare_packets(packets, recording)
    shown = second_reader(recording, as_shown=True)
    compare_events(command_events(directory, recording), shown, "lapmark show", in_json=True)
    for process in recording.values():
        problems = process.check(may_be_mid_batch=not exact)
        check(not problems, "\n".join(problems))
    report = json.loads(run(LAPMARK, "report", "--json", directory))
    compare_report(report, recording)
    compare_open(report, recording)
    compare_counts(report, recording, exact)
    if exact:
        compared = json.loads(run(LAPMARK, "report", "--events", "--json", directory))["comparison"]
        check(compared["equal"] is not False, compared)
    soundness = json.loads(run(LAPMARK, "check", "--json", directory, status=None))
    check(soundness["sound"], soundness)
    command = subprocess.run(["babeltrace2", "-o", "dummy", directory], capture_output=True, check=False)
    equal((command.returncode, command.stderr), (0, b""), "babeltrace2's own command")
    return recording


def only(recording):
    equal(len(recording), 1, "processes")
    return next(iter(recording.values()))


def record(directory, *command, **variables):
    """Runs a program that records, to its end."""
    run(*command, LAPMARK_RECORD=directory, **variables)


def events_of(process):
    """Name and payload of the sites' events, in the order of rings, without sizes and tails."""
    return [(event.event_class.name, {name: value for name, value in event.fields.items() if name not in ("size", "tail")})
            for event in process.events() if event.event_class.number >= lapmark_format.FIRST_SITE_CLASS]


def main(tests):
    """Runs the functions whose names start with test_; arguments choose those that they are part of."""
    failed = 0
    chosen = sys.argv[1:] or [""]
    for name, test in list(tests.items()):
        if not name.startswith("test_") or not any(part in name for part in chosen):
            continue
        start = time.monotonic()
        try:
            test()
            print(f"ok {name}, {time.monotonic() - start:.1f} s", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {name}")
            traceback.print_exc(file=sys.stdout)
    sys.exit(1 if failed else 0)
