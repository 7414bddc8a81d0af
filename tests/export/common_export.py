# SPDX-License-Identifier: MIT
"""What the tests of exports share: recordings of all kinds, and what is in them by a reader that shares no code with the command."""
import atexit
import collections
import functools
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

sys.path[:0] = [os.path.join(os.environ["SOURCE_DIR"], "tests", name) for name in ("cli", "oracle")]
import common  # noqa: E402
import lapmark_format  # noqa: E402

SOURCE, BUILD = common.SOURCE, common.BUILD
WORK = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
atexit.register(shutil.rmtree, WORK, ignore_errors=True)
MADE = {}


def program(name, of):
    if (name, of) not in MADE:
        MADE[name, of] = common.workload(WORK, name, of)
    return MADE[name, of]


def record(name, *command, status=0, full=True, options=()):
    """The directory of a recording of that name, made once."""
    directory = os.path.join(WORK, name)
    if not os.path.exists(directory):
        result = common.lapmark("record", *(["--full"] if full else []), *options, "-o", directory, "--", *command,
                                LAPMARK_SHARE="domain,laps")
        common.equal(result.status, status, result)
    return directory


def threads(count=20):
    """Three threads with nested scopes, sizes, messages; one scope that was left by longjmp, with another around it."""
    return record(f"threads-{count}", program("subject", "tests/export"), "threads", str(count))


def handles(count=20):
    """Handles over two threads, in each other, beside scopes."""
    return record(f"handles-{count}", program("subject", "tests/export"), "handles", str(count))


def awkward():
    """Names that mean something to every format."""
    return record("awkward", program("subject", "tests/export"), "awkward")


# Those of its labels that come out as they are in all formats.
AWKWARD = ("</script><script>document.title = 'owned'</script>", "\"double\", 'single', `back`, \\ and ${code}; 'DROP TABLE span;--",
           "100 % of %d %s %n", "a;b;c stack", "two\\nlines\\r\\nand a\\ttab", "🐌 slow, \\xe2\\x80\\xa8line\\xe2\\x80\\xa9 separators",
           "invalid \\xff\\xfe\\xc3 UTF-8", " ")


def check_awkward(profilers, laps=None, messages=None):
    """Names, and messages of "%s argument", each counted; what is longer than a string may be is cut."""
    for part in AWKWARD:
        common.equal((profilers[part], laps and laps[part], messages and messages[part + " argument"]), (3, laps and 3, messages and 3), part)
    common.equal(max(map(len, profilers)), 255)
    common.equal(sum(1 for name in profilers if name.startswith("run-time label ")), 100)
    common.equal(sum(profilers.values()), 3 * 12 + 100)


def killed():
    """One profiler that is open, and nothing else."""
    return record("killed", program("subject", "tests/export"), "open", status=128 + 9)


def lossy():
    """A ring that was used again: begins and laps are gone."""
    return record("lossy", program("subject", "tests/export"), "many", "100000", full=False, options=("--ring", "128K"))


def calls():
    """A client and its server, which is a child of it."""
    return record("calls", program("call_pair", "tests/cli"), "same", "5")


def at_once():
    """Calls that are under way together: answered, refused, silent and one-way ones."""
    return record("at-once", program("call_pair", "tests/cli"), "at_once", "5")


def steps():
    return named_steps()[1]


@functools.cache
def named_steps():
    """What steps.c prints of a run: {name: (trace, span)}, and its recording."""
    directory = os.path.join(WORK, "traces")
    result = common.lapmark("record", "--full", "-o", directory, "--", program("steps", "tests/export"), "traces")
    common.equal(result.status, 0, result)
    return {name: tuple(text.split("-")[1:3]) for name, text in map(str.split, result.out.splitlines())}, directory


def shown(directory, *more):
    """Its events, as stored."""
    return [json.loads(line) for line in common.lapmark("show", "--events", "--json", directory, *more).out.split("\n") if line]


Call = collections.namedtuple("Call", "name trace id begin end parts one_way refused served served_end")
PARTS = ("server_ns", "queue_ns", "between_ns", "there_ns", "back_ns")


@functools.cache
def calls_by_hand(directory):
    """[Call], by their begins, by include/lapmark/call.h. `parts` is None without an answer; `served` and `served_end` are when the
    profiler that served it began and replied, all on one clock."""
    rates = {process["name"]: 1e9 / process["clock"]["hz"] for process in common.lapmark_json("report", directory)["processes"]}
    serves, replies, begins, found = {}, {}, {}, []
    events = shown(directory)
    for event in events:
        fields = event["fields"]
        if event["kind"] == "handle_begin":
            begins[event["process"], fields["handle"]] = event["ticks"]
        elif event["kind"] == "serve":
            serves[fields["span_id"]] = begins[event["process"], fields["handle"]]
        elif event["kind"] == "reply":
            replies[fields["span_id"]] = fields["replied_ticks"]
    for event in events:
        if event["kind"] != "call":
            continue
        fields, rate = event["fields"], rates[event["process"]]
        sent, received, replied, got = (fields[f"{name}_ticks"] for name in ("sent", "received", "replied", "got"))

        def moment(ticks, event=event, rate=rate):
            return None if ticks is None else event["time_ns"] + round((ticks - event["ticks"]) * rate)
        parts = None
        if replied:
            server = (replied - received) * rate
            parts = dict(zip(PARTS, (server, fields["queue_us"] * 1e3, (got - sent) * rate - server, (received - sent) * rate,
                                     (got - replied) * rate)))
        found.append(Call(event["name"], f"{fields['trace_id_high']:016x}{fields['trace_id_low']:016x}", f"{fields['span_id']:016x}",
                          moment(sent), moment(got), parts, fields["flags"] & 4 != 0, fields["flags"] & 1 != 0,
                          moment(serves.get(fields["span_id"])), moment(replies.get(fields["span_id"]))))
    return sorted(found, key=lambda call: call.begin)


def check_call(call, begin, end, got, tolerance_ns=2):
    """`got`: {part: ns}, without those that there are none of."""
    common.check(abs(begin - call.begin) <= tolerance_ns and abs(end - call.end) <= tolerance_ns, (begin, end, call))
    for part in PARTS[:3]:
        wanted = call.parts and call.parts[part]
        value = got.get(part)
        common.check(value is None if wanted is None else value is not None and abs(value - wanted) <= tolerance_ns, (part, got, call))


AHEAD_S, FASTER_PPM = 3, 40


def check_served(call, begin, end, error_ns=0):
    """(begin, end) of a call, and when its server began, and was done with all but the reply."""
    common.check(call[0] - error_ns <= begin <= end <= call[1] + error_ns, (call, begin, end, error_ns))


@functools.cache
def hosts():
    """A client with this host's clock, and a server whose clock is 3 s ahead and 40 ppm faster; (client's recording, server's recording)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    hz = int(common.lapmark_json("report", threads())["processes"][0]["clock"]["hz"])
    client, server = os.path.join(WORK, "client"), os.path.join(WORK, "server")

    def start(number, recording, name, *words, **clock):
        environment = common.environment(LAPMARK_RECORD=recording, LAPMARK_PRINT="off", LAPMARK_SHARE="domain", TEST_HOST=str(number),
                                         TEST_HZ=str(hz), **clock)
        return subprocess.Popen([f"{BUILD}/tests/hosts/host_call_{name}", *words], env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)
    serving = start(2, server, "server", address, "0.2", TEST_OFFSET_TICKS=str(AHEAD_S * hz), TEST_PPM=str(FASTER_PPM))
    common.equal(serving.stdout.readline(), "listening\n")
    calling = start(0, client, "client", address, "20", "1")
    for child in (calling, serving):
        child.communicate()
        common.equal(child.returncode, 0)
    return client, server


def process_of(directory):
    return os.path.join(directory, os.listdir(directory)[0])


def ahead_ns():
    """By how much the server's clock is ahead when its recording starts."""
    process = process_of(hosts()[1])
    hz = int(common.lapmark_json("report", threads())["processes"][0]["clock"]["hz"])
    ticks = control(process, "start_ticks") - AHEAD_S * hz
    return AHEAD_S * 10 ** 9 + ticks * FASTER_PPM / (10 ** 6 + FASTER_PPM) / hz * 10 ** 9


CONTROL = {"pid": 56, "clock_hz": 96, "start_ticks": 112, "start_monotonic_ns": 120, "end_realtime_ns": 160,
           "lost_for_memory": 224, "clock_domain": 2904}  # doc/format.md
SEGMENT_THREAD_ID = 80


def control(process, field, value=None):
    """A number of the control page of a process's directory; changed to `value`."""
    with open(os.path.join(process, ".lapmark/control"), "r+b") as file:
        file.seek(CONTROL[field])
        if value is None:
            return struct.unpack("<Q", file.read(8))[0]
        return file.write(struct.pack("<Q", value))


def renumber(process, pid):
    """Another number, of the process and of its only thread."""
    control(process, "pid", pid)
    for name in os.listdir(process):
        if name.startswith("stream-"):
            with open(os.path.join(process, name), "r+b") as file:
                file.seek(SEGMENT_THREAD_ID)
                file.write(struct.pack("<Q", pid))


@functools.cache
def twins():
    """Two processes with one number, as of two hosts."""
    first, second = (record(f"twin-{number}", program("subject", "tests/export"), "many", "3") for number in range(2))
    renumber(process_of(second), common.lapmark_json("report", first)["processes"][0]["pid"])
    shutil.move(process_of(second), first)
    common.equal(len({process["pid"] for process in common.lapmark_json("report", first)["processes"]}), 1)
    return first


LOST = 5


@functools.cache
def elsewhere():
    """A process with a clock of its own, to which no call leads, and which has lost events for want of memory."""
    directory = record("elsewhere", program("subject", "tests/export"), "many", "3")
    process = process_of(directory)
    control(process, "clock_domain", control(process, "clock_domain") ^ 2)
    control(process, "lost_for_memory", LOST)
    return directory


@functools.cache
def empty():
    """A process that recorded nothing."""
    directory = record("empty", program("subject", "tests/export"), "many", "1")
    for path in (process_of(directory), os.path.join(process_of(directory), ".lapmark")):
        for name in os.listdir(path):
            if name.startswith(("stream-", "statistics-")):
                os.unlink(os.path.join(path, name))
    return directory


@functools.cache
def torn():
    """One whose file ends in the middle of an event."""
    directory = record("torn", program("subject", "tests/export"), "many", "100")
    path = os.path.join(process_of(directory), "stream-0000-00000000")
    os.truncate(path, 152 + (os.path.getsize(path) - 152) // 2 // 8 * 8 + 3)
    return directory


ALL = (threads, handles, awkward, killed, lossy, calls, at_once, empty, torn)


Sum = collections.namedtuple("Sum", "count total_ns")


def truth(directory, by_chain=True):
    """What the events add up to, in thread time: {(labels from the root, kind): Sum}, kind being profiler, lap or rest; by the last
    label alone without `by_chain`. A call counts as a profiler. Unfinished profilers have no total, and are not in it."""
    sums = {}
    for process in lapmark_format.read_recording(directory).values():
        ns = 10 ** 9 / process.ticks_a_second
        for ring in process.rings.values():
            for path, cell in process.cells_of_events(ring).items():
                labels = process.labels(path)
                key = (labels if by_chain else labels[-1], process.path_kind(path))
                before = sums.get(key, Sum(0, 0))
                sums[key] = Sum(before.count + cell.count, before.total_ns + float(cell.sum * ns))
    return {key: value for key, value in sums.items() if value.count > 0}


def export(directory, form, *more, status=0):
    """The exported file, in a place of its own."""
    path = os.path.join(WORK, f"{os.path.basename(directory)}.{form}")
    result = common.lapmark("export", "--format", form, "-o", path, directory, *more)
    common.equal(result.status, status, result)
    return path


def compare_sums(got, wanted, tolerance_ns=2):
    """Two dicts of Sum; times may differ by so much for each of a count, as formats have whole nanoseconds."""
    common.equal({key: value.count for key, value in got.items()}, {key: value.count for key, value in wanted.items()})
    for key, value in wanted.items():
        common.check(abs(got[key].total_ns - value.total_ns) <= tolerance_ns * value.count, (key, got[key], value))


def main(tests):
    common.main(tests)
