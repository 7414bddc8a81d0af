# SPDX-License-Identifier: MIT
"""What the tests of exports share: recordings of all kinds, and what is in them by a reader that shares no code with the command."""
import atexit
import collections
import functools
import json
import os
import shutil
import socket
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
                                LAPMARK_SHARE="domain laps")
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


def killed():
    """One profiler that is open, and nothing else."""
    return record("killed", program("subject", "tests/export"), "open", status=128 + 9)


def lossy():
    """A ring that was used again: begins and laps are gone."""
    return record("lossy", program("subject", "tests/export"), "many", "100000", full=False, options=("--ring", "128K"))


def calls():
    """A client and its server, which is a child of it."""
    return record("calls", program("call_pair", "tests/cli"), "same", "5")


@functools.cache
def hosts():
    """A client, and a server whose clock is 3 s ahead and 40 ppm faster; (client's recording, server's recording)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    hz = int(common.lapmark_json("report", threads())["processes"][0]["clock"]["hz"])
    events = map(json.loads, common.lapmark("show", "--events", "--json", calls()).out.splitlines())
    domain = next(event["fields"]["peer_domain"] for event in events if event["kind"] == "call")  # the client's, too
    domain -= 1 << 64 if domain >= 1 << 63 else 0
    client, server = os.path.join(WORK, "client"), os.path.join(WORK, "server")

    def start(number, recording, name, *words, **clock):
        environment = common.environment(LAPMARK_RECORD=recording, LAPMARK_PRINT="off", LAPMARK_SHARE="domain", TEST_HOST=str(number),
                                         TEST_HZ=str(hz), **clock)
        return subprocess.Popen([f"{BUILD}/tests/hosts/host_call_{name}", *words], env=environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True)
    serving = start(2, server, "server", address, "0.2", TEST_OFFSET_TICKS=str(3 * hz), TEST_PPM="40")
    common.equal(serving.stdout.readline(), "listening\n")
    calling = start(domain, client, "client", address, "20", "1")
    for child in (calling, serving):
        child.communicate()
        common.equal(child.returncode, 0)
    return client, server


def process_of(directory):
    return os.path.join(directory, os.listdir(directory)[0])


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


ALL = (threads, handles, awkward, killed, lossy, calls, empty, torn)


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
