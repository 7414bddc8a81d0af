#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures what Lapmark costs, prints a table, and says of each row whether it reaches what it must and what it aims at.

usage: bench/run.py [--json FILE] [--quick] [--long] [ROW...]

Times are the least of many short rounds in which what is compared takes turns in one process; a ratio is that of two such
least times. The median of the rounds' own ratios is printed beside it, and decides nothing. Ends with 0 whatever it
measured, with 2 if it could not measure at all. Needs what `cmake --build build --target bench` builds; the Python package
it builds by itself, for Debian's interpreter and for the one on PATH.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import python_rows
from not_measured import NotMeasured

SOURCE = pathlib.Path(os.environ.get("SOURCE_DIR", pathlib.Path(__file__).resolve().parent.parent))
BUILD = pathlib.Path(os.environ.get("BUILD_DIR", SOURCE / "build"))
COMMAND = pathlib.Path(os.environ.get("LAPMARK_BIN", BUILD / "lapmark"))
PROGRAMS = BUILD / "bench"
LIBRARY = BUILD / "liblapmark.so"
COMPILER = os.environ.get("CC", "gcc")

MIB = 1 << 20
NOISE_BYTES = MIB  # by how much resident memory may grow and still be called the same


def quiet(*command, **options):
    """Runs a command and returns what it printed; its failure is a row without a figure."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotMeasured(f"'{pathlib.Path(command[0]).name}' ended with {done.returncode}" + (f": {said[-1]}" if said else ""))
    return done.stdout


def environment(**changes):
    """The caller's environment with Lapmark's own variables as given and no others."""
    result = {name: value for name, value in os.environ.items() if not name.startswith("LAPMARK")}
    result.update(changes)
    return result


class Bench:
    def __init__(self, directory, is_quick, is_long):
        self.directory = pathlib.Path(directory)
        self.is_quick = is_quick
        self.is_long = is_long
        self.cache = {}
        self.count = 0

    def once(self, name, function):
        """What several rows share is measured once; a failure is shared too."""
        if name not in self.cache:
            try:
                self.cache[name] = function()
            except NotMeasured as reason:
                self.cache[name] = reason
        if isinstance(self.cache[name], NotMeasured):
            raise self.cache[name]
        return self.cache[name]

    def new_directory(self, name):
        self.count += 1
        directory = self.directory / f"{name}-{self.count}"
        directory.mkdir()
        return directory

    @contextlib.contextmanager
    def recording(self, name, **settings):
        """A directory to record into, and the environment that makes a program do so."""
        directory = self.new_directory(name)
        try:
            yield directory, environment(LAPMARK_RECORD=str(directory), **settings)
        finally:
            remove(directory)


def remove(directory):
    """A recording, and what its processes have in memory: a link names it, or it has the same name."""
    for entry in directory.iterdir() if directory.is_dir() else ():
        kept = pathlib.Path(os.readlink(entry)) if entry.is_symlink() else pathlib.Path(f"/dev/shm/lapmark-{os.getuid()}") / entry.name
        if kept.parent.name.startswith("lapmark-"):
            shutil.rmtree(kept, ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def check_recorded(directory, least_events):
    """A fast recorder that records nothing is not what is to be measured."""
    report = json.loads(quiet(COMMAND, "report", "--json", directory, env=environment()))
    events = report["events"] + report["taken_back"]
    if events < least_events:
        raise NotMeasured(f"only {events} events of {least_events} were recorded")
    if report["lost"] > 0:
        raise NotMeasured(f"{report['lost']} events are lost")
    return report


# ---- speed -----------------------------------------------------------------------------------------------------------


def least_lines(runs):
    """Joins the lines of several runs: of each case, the least times, and the median of the medians."""
    cases = {}
    for output in runs:
        for line in output.splitlines():
            name, *values = line.split("\t")
            cases.setdefault(name, []).append([float(value) for value in values])
    result = {}
    for name, values in cases.items():
        medians = sorted(value[2] for value in values)
        differences = sorted(value[3] for value in values)
        result[name] = {"ns": min(value[0] for value in values), "base_ns": min(value[1] for value in values),
                        "median_ratio": medians[len(medians) // 2], "median_difference_ns": differences[len(differences) // 2],
                        "processor_ns": min(value[4] for value in values)}
    return result


def measure_speed(bench, kind, is_recorded, least_events=0, **settings):
    processes, rounds = (3, 40) if bench.is_quick else (7, 250)
    runs = []
    for _ in range(processes):
        with bench.recording(f"speed-{kind}", LAPMARK_PRINT="off", **settings) as (directory, variables):
            if not is_recorded:
                del variables["LAPMARK_RECORD"]
            runs.append(quiet(PROGRAMS / "speed", kind, rounds, env=variables))
            if is_recorded:
                check_recorded(directory, least_events * rounds)
                if kind in ("kept", "term"):
                    check_taken_back(directory)
    return least_lines(runs)


def check_taken_back(directory):
    """What is below its threshold must not be left in the ring."""
    left = sum(content_bytes(path) for path in directory.glob("*/stream-*"))
    if left > MIB:
        raise NotMeasured(f"nothing was taken back: {left} bytes are in the ring")


def content_bytes(path):
    with open(path, "rb") as file:
        header = file.read(40)
    return struct.unpack_from("<Q", header, 32)[0] // 8 if len(header) == 40 else 0


SPEED_EVENTS = 1 << 16  # of a case in a round, as in speed.c


def speed_case(bench, name):
    def measure():
        return measure_speed(bench, "on", True, least_events=4 * SPEED_EVENTS)
    return bench.once("speed on", measure)[name]


def unrecorded_case(bench, name):
    return bench.once("speed unrecorded", lambda: measure_speed(bench, "on", False))[name]


def ratio_of(name):
    def measure(bench):
        case = speed_case(bench, name)
        other = unrecorded_case(bench, name)
        return {"value": case["ns"] / case["base_ns"], "median": case["median_ratio"], "ns": case["ns"], "base_ns": case["base_ns"],
                "detail": f"{case['ns']:.2f} ns / {case['base_ns']:.2f} ns; not recording: {other['ns'] / other['base_ns']:.3f}"}
    return measure


def kept_ratio(bench):
    def measure(kind, **settings):
        return measure_speed(bench, kind, True, least_events=SPEED_EVENTS, LAPMARK_KEEP="slow", **settings)
    case = measure("kept")["quick"]
    by_term = measure("term", LAPMARK="quick by term:1000")["quick_by_term"]
    return {"value": case["ns"] / case["base_ns"], "median": case["median_ratio"], "ns": case["ns"], "base_ns": case["base_ns"],
            "by_term": by_term["ns"] / by_term["base_ns"],
            "detail": f"{case['ns']:.2f} ns / {case['base_ns']:.2f} ns for 4 events; with the threshold from LAPMARK "
                      f"{by_term['ns'] / by_term['base_ns']:.3f}"}


def call_ratio(bench):
    case = measure_speed(bench, "call", True, least_events=SPEED_EVENTS // 2)["call"]
    return {"value": case["ns"] / case["base_ns"], "median": case["median_ratio"], "ns": case["ns"], "base_ns": case["base_ns"],
            "detail": f"{case['ns']:.2f} ns / {case['base_ns']:.2f} ns"}


def off_difference(name):
    def measure(bench):
        case = bench.once("speed off", lambda: measure_speed(bench, "off", True))[name]
        muted = measure_speed(bench, "muted", True)["muted"] if name == "off_checkpoint" else None
        return {"value": case["ns"] - case["base_ns"], "median": case["median_difference_ns"], "ns": case["ns"], "base_ns": case["base_ns"],
                "detail": f"{case['ns']:.3f} ns - {case['base_ns']:.3f} ns" + (f"; in a profiler that is off {muted['ns']:.2f} ns" if muted else "")}
    return measure


def measure_probes(bench):
    processes, rounds = (3, 40) if bench.is_quick else (7, 250)
    runs = []
    for _ in range(processes):
        with bench.recording("probes", LAPMARK_PRINT="off") as (directory, variables):
            runs.append(quiet(PROGRAMS / "probes", rounds, env=variables))
            check_recorded(directory, 4 * SPEED_EVENTS * rounds)
    return least_lines(runs)


def probes_ratio(name):
    def measure(bench):
        case = bench.once("probes", lambda: measure_probes(bench))[name]
        return {"value": case["ns"] / case["base_ns"], "median": case["median_ratio"], "ns": case["ns"], "base_ns": case["base_ns"],
                "detail": f"{case['ns']:.2f} ns / {case['base_ns']:.2f} ns"}
    return measure


@contextlib.contextmanager
def looked_at(directory):
    """`lapmark top` at the process that has begun to record there; says how often it has looked."""
    deadline = time.monotonic() + 10
    while not any(directory.glob("*/metadata")):
        if time.monotonic() > deadline:
            raise NotMeasured("nothing is recorded")
        time.sleep(0.001)
    looks = []
    with tempfile.TemporaryFile() as output:
        top = subprocess.Popen([str(COMMAND), "top", "--json", "--interval", f"{LOOK_MS}ms", str(directory)],
                               stdin=subprocess.DEVNULL, stdout=output, env=environment())
        try:
            yield looks
        finally:
            top.terminate()
            top.wait()
            output.seek(0)
            looks.extend(output)


LOOK_MS = 100


def top_ratio(bench):
    """Processor time of all rounds: least figures would be those of rounds in which nobody looked. Of several processes, the least."""
    processes, rounds = (3, 40) if bench.is_quick else (7, 250)
    runs, looks = {False: [], True: []}, 0
    for _ in range(processes):
        for is_looked_at in (False, True):
            with bench.recording("speed-top", LAPMARK_PRINT="off") as (directory, variables):
                child = subprocess.Popen([str(PROGRAMS / "speed"), "on", str(rounds)], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.PIPE, text=True, env=variables)
                with looked_at(directory) if is_looked_at else contextlib.nullcontext([]) as seen:
                    runs[is_looked_at].append(child.communicate()[0])
                looks += len(seen)
                if child.returncode != 0:
                    raise NotMeasured(f"'speed' ended with {child.returncode}")
                check_recorded(directory, SPEED_EVENTS * rounds)
    if looks < processes:
        raise NotMeasured(f"only {looks} looks at {processes} processes")
    alone, watched = (least_lines(runs[is_looked_at])["checkpoint"] for is_looked_at in (False, True))
    return {"value": watched["processor_ns"] / alone["processor_ns"], "ns": watched["processor_ns"], "base_ns": alone["processor_ns"],
            "looks": looks,
            "detail": f"{watched['processor_ns']:.2f} ns / {alone['processor_ns']:.2f} ns of processor time in the mean of all rounds, "
                      f"{looks} looks; least rounds {watched['ns'] / alone['ns']:.3f}"}


def threads_ratio(bench):
    rounds = 60 if bench.is_quick else 600
    with bench.recording("threads", LAPMARK_PRINT="off") as (directory, variables):
        output = quiet(PROGRAMS / "threads", rounds, env=variables)
        check_recorded(directory, 4 * rounds * SPEED_EVENTS)
    cores = [[float(value) for value in line.split("\t")[1:]] for line in output.splitlines()]
    alone, together = max(cores, key=lambda core: core[1] / core[0])
    return {"value": together / alone, "detail": f"{together:.2f} ns / {alone:.2f} ns, the worse of two cores"}


# ---- programs that people run ---------------------------------------------------------------------------------------


REAL_EVENTS = 5  # of a step, as in real_jobs.h


def real_case(bench, job, is_looked_at=False):
    program = PROGRAMS / "real"
    if not program.exists():
        raise NotMeasured("built without libsqlite3-dev and zlib1g-dev")
    rounds = 40 if bench.is_quick else 400
    with bench.recording(f"real-{job}", LAPMARK_PRINT="off") as (directory, variables):
        child = subprocess.Popen([str(program), job, str(rounds)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=variables)
        with looked_at(directory) if is_looked_at else contextlib.nullcontext([]) as looks:
            output = child.communicate()[0]
        if child.returncode != 0:
            raise NotMeasured(f"'real' ended with {child.returncode}")
        check_recorded(directory, rounds * 1000 * REAL_EVENTS)
    names = ("ns", "p99_ns", "median")
    cases = {line.split("\t")[0]: dict(zip(names, map(float, line.split("\t")[1:]))) for line in output.splitlines()}
    return {**cases, "looks": len(looks)}


def real_cost(job, variant):
    def measure(bench):
        cases = bench.once(f"real {job}", lambda: real_case(bench, job))
        case, without = cases[variant], cases["without"]
        return {"value": 100 * (1 - without["ns"] / case["ns"]), "median": case["median"],
                "detail": f"{1e9 / case['ns']:,.0f} / {1e9 / without['ns']:,.0f} steps a second, p99 {case['p99_ns'] / 1e3:.1f} / "
                          f"{without['p99_ns'] / 1e3:.1f} µs, {1e9 / case['ns'] * REAL_EVENTS:,.0f} events a second"}
    return measure


def real_cost_with_top(job):
    """By the median of the rounds, in turns with those without profilers, since least rounds would be those without a look. Beside it
    the least of the two processes, who is looked at and who is not."""
    def measure(bench):
        alone = bench.once(f"real {job}", lambda: real_case(bench, job))["on"]
        cases = real_case(bench, job, is_looked_at=True)
        case, without = cases["on"], cases["without"]
        if cases["looks"] < 3:
            raise NotMeasured(f"only {cases['looks']} looks")
        return {"value": 100 * (1 - 1 / case["median"]), "median": case["median"],
                "detail": f"{1e9 / case['ns']:,.0f} / {1e9 / without['ns']:,.0f} steps a second at best, {1e9 / alone['ns']:,.0f} where nobody "
                          f"looks; p99 {case['p99_ns'] / 1e3:.1f} / {without['p99_ns'] / 1e3:.1f} / {alone['p99_ns'] / 1e3:.1f} µs, "
                          f"{cases['looks']} looks"}
    return measure


# ---- a peer ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def lttng_session(bench):
    """A session daemon of our own where none runs, and a snapshot session that records the bench's tracepoints."""
    for tool in ("lttng", "lttng-sessiond"):
        if not shutil.which(tool):
            raise NotMeasured(f"there is no '{tool}'")
    home = bench.new_directory("lttng")
    variables = environment(LTTNG_HOME=str(home), HOME=str(home), LAPMARK_PRINT="off", LAPMARK_RECORD=str(bench.new_directory("lttng-peer")))
    name = f"lapmark-bench-{os.getpid()}"

    def lttng(*words):
        return quiet("lttng", "--no-sessiond", *words, env=variables)

    def is_running():
        return subprocess.run(["lttng", "--no-sessiond", "list"], env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    daemon = None
    try:
        if not is_running():
            daemon = subprocess.Popen(["lttng-sessiond", "--no-kernel", "--quiet"], env=variables, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            give_up = time.monotonic() + 30
            while not is_running():
                if daemon.poll() is not None or time.monotonic() > give_up:
                    raise NotMeasured("'lttng-sessiond' does not start")
                time.sleep(0.1)
        lttng("create", name, "--snapshot", f"--output={home / 'snapshot'}")
        try:
            lttng("enable-channel", "--userspace", f"--session={name}", "--subbuf-size=256k", "--num-subbuf=16", "events")
            lttng("enable-event", "--userspace", f"--session={name}", "--channel=events", "lapmark_bench:*")
            lttng("start", name)
            yield variables
            lttng("stop", name)
            lttng("snapshot", "record", f"--session={name}")
            if sum(path.stat().st_size for path in (home / "snapshot").rglob("events_*")) < MIB:
                raise NotMeasured("the LTTng session recorded nothing")
        finally:
            lttng("destroy", name)
    finally:
        if daemon and daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(timeout=60)
        remove(pathlib.Path(variables["LAPMARK_RECORD"]))


def lttng_ratio(bench):
    program = PROGRAMS / "lttng"
    if not program.exists():
        raise NotMeasured("built without liblttng-ust-dev")
    with lttng_session(bench) as variables:
        runs = [quiet(program, 40 if bench.is_quick else 200, env=variables) for _ in range(1 if bench.is_quick else 3)]
    case = least_lines(runs)["tracepoints"]
    version = next(word for word in quiet("lttng", "--version").split() if word[0].isdigit())
    return {"value": case["ns"] / case["base_ns"], "median": case["median_ratio"], "ns": case["ns"], "base_ns": case["base_ns"],
            "detail": f"{case['ns']:.1f} ns / {case['base_ns']:.2f} ns, LTTng-UST {version}"}


# ---- bytes -----------------------------------------------------------------------------------------------------------


SEGMENT_HEADER_BYTES = 152
FIRST_SITE_CLASS = 16
END_CLASS, ABANDONED_CLASS, PAUSE_CLASS = 1, 2, 3


def count_bytes(directory):
    """Walks the stored events: bytes of events of sites, their number, and the bytes of all files."""
    events = site_bytes = all_bytes = 0
    for path in directory.glob("*/stream-*"):
        data = path.read_bytes()
        all_bytes += len(data)
        end = content_bytes(path)
        words = memoryview(data)[:end].cast("Q")
        at = SEGMENT_HEADER_BYTES // 8
        while at < len(words):
            kind = words[at] & 0xFFFFF
            if kind >= FIRST_SITE_CLASS or kind == END_CLASS:
                events += 1
                site_bytes += 8
                at += 1
            elif kind in (ABANDONED_CLASS, PAUSE_CLASS):
                at += 2
            else:
                at += words[at + 1] // 8
        if at != len(words):
            raise NotMeasured(f"'{path.name}' has events of other sizes")
    return events, site_bytes, all_bytes


def bytes_of(kind, events_each):
    def measure(bench):
        count = 1 << 18 if bench.is_quick else 1 << 21
        with bench.recording("bytes", LAPMARK_PRINT="off", LAPMARK_MODE="full") as (directory, variables):
            quiet(PROGRAMS / "make_events", kind, count, env=variables)
            check_recorded(directory, count)
            events, site_bytes, all_bytes = count_bytes(directory)
        if events != count:
            raise NotMeasured(f"{events} events of {count} are in the files")
        share = 100 * (all_bytes - site_bytes) / all_bytes
        return {"value": site_bytes / events * events_each, "headers_percent": share,
                "detail": f"{all_bytes} bytes for {events} events: {share:.2f} % of headers"}
    return measure


def header_share(bench):
    shares = [bench.once(f"bytes {kind}", lambda kind=kind, each=each: bytes_of(kind, each)(bench))["headers_percent"]
              for kind, each in (("checkpoints", 1), ("profilers", 2))]
    return {"value": max(shares), "detail": "of the stream files, the larger of the two"}


def cached_bytes(kind, events_each):
    return lambda bench: bench.once(f"bytes {kind}", lambda: bytes_of(kind, events_each)(bench))


# ---- memory ----------------------------------------------------------------------------------------------------------


BASE_CHECKPOINTS = 10 ** 7


def resident_bytes(bench, kind, few, many):
    """Resident memory after few, and after many."""
    def measure():
        with bench.recording("memory") as (_, variables):
            return [int(word) for word in quiet(PROGRAMS / "memory", kind, few, many, env=variables).split()]
    return bench.once(f"memory {kind}", measure)


def growth_of(kind, many, quick_many):
    """How much more it is than after 10^7 checkpoints on one thread."""
    def measure(bench):
        base = resident_bytes(bench, "checkpoints", BASE_CHECKPOINTS, 10 ** 8 if bench.is_quick else 10 ** 9)[0]
        most = quick_many if bench.is_quick else many
        after = resident_bytes(bench, kind, BASE_CHECKPOINTS if kind == "checkpoints" else most // 10, most)[1]
        return {"value": (after - base) / MIB, "after_bytes": after, "base_bytes": base,
                "detail": f"{after / MIB:.2f} MiB after {most:.0e}, {base / MIB:.2f} MiB after 1e7 checkpoints".replace("e+0", "e")}
    return measure


# ---- reading ---------------------------------------------------------------------------------------------------------


def times_of(*command):
    """Seconds of the wall clock, of processors, and what it printed."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.monotonic()
        child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
                                 env=environment())
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise NotMeasured(f"'{pathlib.Path(command[0]).name}' ended with {child.returncode}")
        output.seek(0)
        return seconds, usage.ru_utime + usage.ru_stime, output.read()


def babeltrace_ratio(bench):
    babeltrace = shutil.which("babeltrace2")
    if not babeltrace:
        raise NotMeasured("there is no 'babeltrace2'")
    threads = 4
    count = 10 ** 6 if bench.is_quick else 10 ** 8 if bench.is_long else 2 * 10 ** 7
    ours, theirs = [], []
    with bench.recording("reading", LAPMARK_PRINT="off", LAPMARK_MODE="full") as (directory, variables):
        quiet(PROGRAMS / "make_events", "mixed", count // threads, threads, env=variables)
        stored = check_recorded(directory, count - 16 * threads)["events"]
        for _ in range(3):
            theirs.append(times_of(babeltrace, "-o", "dummy", directory)[:2])
            for _ in range(3 if bench.is_long else 8):
                *seconds, output = times_of(COMMAND, "report", "--events", "--json", directory)
                ours.append(seconds)
                report = json.loads(output)
                if not report["comparison"]["equal"] or report["events"] != stored:
                    raise NotMeasured("the report by events is not that of the stored statistics")
    wall, base_wall = (min(times[0] for times in runs) for runs in (ours, theirs))
    processor, base_processor = (min(times[1] for times in runs) for runs in (ours, theirs))
    return {"value": base_wall / wall, "seconds": wall, "base_seconds": base_wall, "processor_ratio": base_processor / processor,
            "detail": f"{base_wall:.2f} s / {wall:.3f} s for {count:.0e} events of {threads} threads on {os.cpu_count()} cores; "
                      f"processor time {base_processor:.2f} s / {processor:.3f} s".replace("e+0", "e")}


# ---- writing for others ----------------------------------------------------------------------------------------------

EXPORT_LIMITS_NS = {"perfetto": 100, "otlp": 100, "chrome": 200, "sqlite": 1000,
                    "otlp-json": None, "speedscope": None, "folded": None, "pprof": None}
EXPORT_KINDS = {"arguments": "checkpoints with an integer and a word", "texts": "run-time labels that differ", "handles": "handles"}
EXPORT_FORMS_OF_KINDS = ("perfetto", "otlp", "chrome")


def exported_events(bench):
    return 10 ** 6 if bench.is_quick else 10 ** 8 if bench.is_long else 10 ** 7


def exported(bench, form, kind="mixed"):
    """Seconds of processors, the least of three runs, and resident bytes at most, of writing one recording as a file."""
    count, threads = exported_events(bench), 2

    def measure_all():
        results = {"babeltrace2": None}
        with bench.recording("exporting", LAPMARK_PRINT="off", LAPMARK_MODE="full") as (directory, variables):
            quiet(PROGRAMS / "make_events", kind, count // threads, threads, env=variables)
            check_recorded(directory, count - 16 * threads)
            babeltrace = shutil.which("babeltrace2") if kind == "mixed" else None
            if babeltrace:
                results["babeltrace2"] = times_of(babeltrace, "-o", "dummy", directory)[1]
            file = bench.new_directory("exported") / "file"
            for name in EXPORT_LIMITS_NS if kind == "mixed" else EXPORT_FORMS_OF_KINDS:
                runs = [watched(COMMAND, "export", "--format", name, "-o", file, directory) for _ in range(3)]
                results[name] = min(run[0] for run in runs), max(run[1] for run in runs), file.stat().st_size
                file.unlink()
        return results
    return bench.once(f"export {kind}", measure_all)[form]


def export_time(form, kind="mixed"):
    def measure(bench):
        count = exported_events(bench)
        seconds, _, size = exported(bench, form, kind)
        babeltrace = exported(bench, "babeltrace2", kind)
        return {"value": seconds / count * 1e9, "detail": f"{seconds:.2f} s of processor time for {count:.0e} spans, {size / count:.0f} bytes each".replace(
            "e+0", "e") + (f"; babeltrace2 reads them in {babeltrace / count * 1e9:.0f} ns each" if babeltrace else "")}
    return measure


def export_memory(bench):
    peaks = {form: exported(bench, form)[1] for form in EXPORT_LIMITS_NS}
    worst = max(peaks, key=peaks.get)
    return {"value": peaks[worst] / MIB, "detail": f"{worst}, of {exported_events(bench):.0e} spans".replace("e+0", "e")}


# ---- calls of many processes ------------------------------------------------------------------------------------------


def peak_of(process):
    """Resident bytes at most, as of now: what rusage tells is this interpreter's where that has more. None: it has ended."""
    try:
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), None)


def watched(*command, output=subprocess.DEVNULL):
    """Seconds of processors, and resident bytes at most."""
    child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
                             env=environment())
    most = 0
    while (ended := os.wait4(child.pid, os.WNOHANG))[0] == 0:
        most = max(most, peak_of(child) or 0)
        time.sleep(0.005)
    child.returncode = os.waitstatus_to_exitcode(ended[1])
    if child.returncode != 0:
        raise NotMeasured(f"'lapmark {command[1]}' ended with {child.returncode}")
    return ended[2].ru_utime + ended[2].ru_stime, most


def read_once(command, directory):
    """Seconds of processors, resident bytes at most, and what it printed."""
    with tempfile.TemporaryFile("w+") as output:
        seconds, most = watched(COMMAND, command, "--json", directory, output=output)
        output.seek(0)
        return seconds, most, json.load(output)


CLIENTS_OF_A_SERVER = 10


def read_calls(bench, clients, calls):
    """Of `report` and `calls`, over so many clients' recordings and their servers': the least processor time of a call in ns, and the
    most memory. All run at once, so that all rings are under way when they are merged."""
    each = calls // 10 if bench.is_quick else calls
    least, most = {}, {}
    with bench.recording("calls", LAPMARK_PRINT="off", LAPMARK_MODE="full") as (directory, variables):
        quiet(PROGRAMS / "make_calls", clients // CLIENTS_OF_A_SERVER, CLIENTS_OF_A_SERVER, each, clients, env=variables)
        for _ in range(3):
            for command in ("report", "calls"):
                seconds, peak, found = read_once(command, directory)
                joined = sum(caller["count"] for site in found.get("sites", []) for caller in site.get("callers", []))
                if (found["count"] if command == "calls" else joined) != clients * each:
                    raise NotMeasured(f"'lapmark {command}' does not find all calls")
                least[command] = min(least.get(command, float("inf")), seconds / (clients * each) * 1e9)
                most[command] = max(most.get(command, 0), peak)
    return least, most


def calls_case(bench, clients, calls):
    return bench.once(f"calls {clients} {calls}", lambda: read_calls(bench, clients, calls))


def calls_time(bench):
    few, many = (calls_case(bench, clients, 10 ** 5)[0] for clients in (10, 100))
    return {"value": many["report"] / few["report"], "ns": many["report"], "base_ns": few["report"],
            "detail": f"{many['report']:.0f} ns / {few['report']:.0f} ns of processor time; `lapmark calls` {many['calls']:.0f} ns / "
                      f"{few['calls']:.0f} ns"}


def calls_memory(clients, calls):
    """Of 100 x 10^5 over that of fewer."""
    def measure(bench):
        many, few = (calls_case(bench, *size)[1] for size in ((100, 10 ** 5), (clients, calls)))
        return {"value": many["report"] / few["report"], "bytes": many["report"], "base_bytes": few["report"],
                "detail": f"{many['report'] / MIB:.1f} MiB / {few['report'] / MIB:.1f} MiB; `lapmark calls` {many['calls'] / MIB:.1f} MiB / "
                          f"{few['calls'] / MIB:.1f} MiB"}
    return measure


# ---- the compiler and the library ------------------------------------------------------------------------------------


def compile_ratio(bench):
    directory = bench.new_directory("compile")
    sources = {}
    for name, include in (("lapmark", "<lapmark.h>"), ("stdio", "<stdio.h>"), ("empty", None)):
        sources[name] = directory / f"{name}.c"
        sources[name].write_text((f"#include {include}\n" if include else "") + "int nothing;\n")
    least = {}
    for _ in range(20 if bench.is_quick else 150):
        for name, source in sources.items():
            child = subprocess.Popen([COMPILER, "-std=c17", "-O2", f"-I{SOURCE / 'include'}", "-c", str(source), "-o", str(directory / "out.o")],
                                     stdin=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                raise NotMeasured(f"'{COMPILER}' ended with {child.returncode}")
            seconds = usage.ru_utime + usage.ru_stime
            least[name] = min(least.get(name, seconds), seconds)
    return {"value": least["lapmark"] / least["stdio"],
            "detail": f"{1000 * least['lapmark']:.2f} ms / {1000 * least['stdio']:.2f} ms of processor time; an empty file {1000 * least['empty']:.2f} ms"}


def stripped_bytes(bench):
    stripped = bench.new_directory("strip") / "liblapmark.so"
    quiet("strip", "--strip-unneeded", "-o", stripped, LIBRARY)
    size = stripped.stat().st_size
    return {"value": size / 1024, "bytes": size, "detail": f"{size} bytes"}


def linked_besides_libc(bench):
    needed = [line.split("[")[1].rstrip("]") for line in quiet("readelf", "-d", LIBRARY).splitlines() if "(NEEDED)" in line]
    others = [name for name in needed if not name.startswith(("libc.so", "ld-linux"))]
    return {"value": len(others), "detail": ", ".join(needed) or "nothing"}


# ---- rows ------------------------------------------------------------------------------------------------------------

AT_MOST, AT_LEAST = "at most", "at least"


def row(key, what, unit, measure, must, aim=None, sense=AT_MOST, **more):
    return {"key": key, "what": what, "unit": unit, "measure": measure, "must": must, "aim": aim, "sense": sense, **more}


ROWS = [
    row("checkpoint", "checkpoint, recording with exact histograms / the floor", "x", ratio_of("checkpoint"), 1.40, 1.20),
    row("profiler", "profiler begin + end, same / two floors", "x", ratio_of("profiler"), 1.35, 1.15),
    row("integer", "checkpoint with one integer argument / the floor", "x", ratio_of("integer"), 1.50, 1.30),
    row("levels", "13 labels over 3 levels, an event / the floor", "x", ratio_of("levels"), 1.45),
    row("random", "16 labels at random, an event / the floor", "x", ratio_of("random"), 1.55),
    row("taken-back", "profiler with two checkpoints, taken back, an event / the floor", "x", kept_ratio, 1.60),
    row("call", "call begin + end with traceparent and trailers / two profilers", "x", call_ratio, 3),
    row("off-checkpoint", "checkpoint switched off, over the empty loop", "ns", off_difference("off_checkpoint"), 0.35),
    row("off-profiler", "profiler switched off, over the empty loop", "ns", off_difference("off_profiler"), 0.70),
    row("probes-checkpoint", "checkpoint with USDT probes, nobody attached / without", "x", probes_ratio("checkpoint"), 1.02),
    row("probes-profiler", "profiler with USDT probes, nobody attached / without", "x", probes_ratio("profiler"), 1.02),
    row("lttng", "two LTTng-UST tracepoints / our begin + end", "x", lttng_ratio, 6, 8, AT_LEAST),
    row("threads", "two threads / one thread, a checkpoint", "x", threads_ratio, 1.10),
    row("top", "checkpoint with `lapmark top` looking ten times a second / without", "x", top_ratio, 1.05),
    row("bytes-checkpoint", "bytes of a checkpoint in the recording", "B", cached_bytes("checkpoints", 1), 8),
    row("bytes-profiler", "bytes of a profiler in the recording", "B", cached_bytes("profilers", 2), 16),
    row("bytes-headers", "headers' share of the recording", "%", header_share, 1),
    row("memory-checkpoints", "resident memory after 10^9 checkpoints, over that after 10^7", "MiB",
        growth_of("checkpoints", 10 ** 9, 10 ** 8), NOISE_BYTES / MIB),
    row("memory-threads", "resident memory after 10^4 threads in turn, over the same", "MiB",
        growth_of("threads", 10 ** 4, 10 ** 4), NOISE_BYTES / MIB),
    row("memory-labels", "resident memory after 10^6 run-time labels, over the same", "MiB",
        growth_of("labels", 10 ** 6, 10 ** 6), NOISE_BYTES / MIB),
    row("babeltrace", "`babeltrace2 -o dummy` / `lapmark report --events`", "x", babeltrace_ratio, 40, 80, AT_LEAST),
    row("calls-time", "time of a call in `report`, 100 recordings of 10^5 calls / 10", "x", calls_time, 1.3),
    row("calls-memory-events", "peak memory of that, 100 recordings of 10^5 calls / of 10^4", "x", calls_memory(100, 10 ** 4), 1.25),
    row("calls-memory-recordings", "peak memory of that, 100 recordings of 10^5 calls / 10", "x", calls_memory(10, 10 ** 5), 3),
    row("sqlite-on", "SQLite job, recording: throughput lost", "%", real_cost("sqlite", "on"), 1),
    row("sqlite-top", "SQLite job, recording, `lapmark top` looking: throughput lost", "%", real_cost_with_top("sqlite"), 1),
    row("sqlite-off", "SQLite job, switched off: throughput lost", "%", real_cost("sqlite", "off"), 1),
    row("zlib-on", "zlib job, recording: throughput lost", "%", real_cost("zlib", "on"), 1),
    row("zlib-top", "zlib job, recording, `lapmark top` looking: throughput lost", "%", real_cost_with_top("zlib"), 1),
    row("zlib-off", "zlib job, switched off: throughput lost", "%", real_cost("zlib", "off"), 1),
    row("compile", "compile time, lapmark.h / stdio.h", "x", compile_ratio, 2),
    row("library-size", "liblapmark.so stripped", "KiB", stripped_bytes, 100),
    row("library-links", "what liblapmark.so links besides libc", "", linked_besides_libc, 0),
]

ROWS += [row(f"export-{form}", f"`lapmark export --format {form}`, a span", "ns", export_time(form), limit)
         for form, limit in EXPORT_LIMITS_NS.items()]
ROWS += [row(f"export-{form}-{kind}", f"`lapmark export --format {form}`, a span: {what}", "ns", export_time(form, kind), None)
         for kind, what in EXPORT_KINDS.items() for form in EXPORT_FORMS_OF_KINDS]
ROWS.append(row("export-memory", "peak memory of the format that takes most", "MiB", export_memory, 64))
ROWS += python_rows.rows(row, NOISE_BYTES / MIB)

REACHES_AIM, REACHES_MUST, MISSES, NOT_MEASURED = "reaches aim", "reaches must", "MISSES", "not measured"
REPORTED = "reported"  # there is nothing that it must


def judge(entry, value):
    if entry["must"] is None:
        return REPORTED
    def reaches(limit):
        return value <= limit if entry["sense"] == AT_MOST else value >= limit
    if not reaches(entry["must"]):
        return MISSES
    return REACHES_AIM if entry["aim"] is not None and reaches(entry["aim"]) else REACHES_MUST


def machine():
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    family = {line.split(":")[0].strip(): line.split(":")[1].strip()
              for line in pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in line}
    release = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release", encoding="utf-8") if "=" in line)
    return {"cpu": model, "cpu_family": family.get("cpu family"), "cpu_model": family.get("model"), "cores": os.cpu_count(),
            "kernel": platform.release(), "system": release.get("PRETTY_NAME", "").strip('"'),
            "compiler": quiet(COMPILER, "--version").splitlines()[0],
            "virtual": any("hypervisor" in line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))}


def text_of(value, unit):
    digits = 0 if value == int(value) and abs(value) < 1e6 else 3 if unit in ("x", "ns") else 2
    return f"{value:.{digits}f}" + (f" {unit}" if unit not in ("", "x") else "")


def limit_text(entry, name):
    if entry[name] is None:
        return ""
    return ("≤ " if entry["sense"] == AT_MOST else "≥ ") + f"{entry[name]:g}"


def measure_rows(bench, names):
    results = []
    for entry in ROWS:
        if names and entry["key"] not in names:
            continue
        if sys.stderr.isatty():
            print(f"\r\033[K{entry['what']} ...", end="", file=sys.stderr, flush=True)
        result = {name: value for name, value in entry.items() if name != "measure"}
        try:
            result.update(entry["measure"](bench))
            result["verdict"] = judge(entry, result["value"])
        except NotMeasured as reason:
            result.update(value=None, detail=str(reason), verdict=NOT_MEASURED)
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print_row(entry, result)
        results.append(result)
    return results


def print_row(entry, result):
    measured = "-" if result["value"] is None else text_of(result["value"], entry["unit"])
    median = f"(median {result['median']:.3f})" if "median" in result else ""
    print(f"{entry['what']:<66} {measured:>10} {limit_text(entry, 'must'):>7} {limit_text(entry, 'aim'):>7}  {result['verdict']}")
    print(f"    {result['detail']} {median}".rstrip(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller counts: a look, no measurement")
    parser.add_argument("--long", action="store_true", help="10^8 events for the readers")
    parser.add_argument("rows", metavar="ROW", nargs="*", help="only these, python for all of Python's: " + ", ".join(entry["key"] for entry in ROWS))
    arguments = parser.parse_args()
    known = {entry["key"] for entry in ROWS}
    if "python" in arguments.rows:
        arguments.rows += [entry["key"] for entry in ROWS if "interpreter" in entry]
        arguments.rows.remove("python")
    for name in arguments.rows:
        if name not in known:
            parser.error(f"there is no row '{name}'")
    for needed in (PROGRAMS / "speed", COMMAND, LIBRARY):
        if not needed.exists():
            print(f"bench: there is no '{needed}': build the target 'bench' first", file=sys.stderr)
            return 2

    print(f"{'what':<66} {'measured':>10} {'must':>7} {'aim':>7}  verdict")
    with tempfile.TemporaryDirectory(prefix="lapmark-bench-") as directory:
        results = measure_rows(Bench(directory, arguments.quick, arguments.long), arguments.rows)
    counts = {verdict: sum(result["verdict"] == verdict for result in results)
              for verdict in (REACHES_AIM, REACHES_MUST, REPORTED, MISSES, NOT_MEASURED)}
    if arguments.json:
        document = {"version": 1, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), "quick": arguments.quick,
                    "machine": machine(), "rows": results, "counts": counts}
        pathlib.Path(arguments.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count > 0 or verdict == MISSES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
