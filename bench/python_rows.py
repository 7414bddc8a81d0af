# SPDX-License-Identifier: MIT
"""The rows of bench/run.py about the Python profiler, for Debian's interpreter and for the one on PATH. What they measure is
in bench/python_speed.py, which each interpreter runs; the processes record, and print to /dev/null."""
import functools
import json
import os
import pathlib
import subprocess

from not_measured import NotMeasured

MIB = 1 << 20
HERE = pathlib.Path(__file__).resolve().parent
DEBIANS = "/usr/bin/python3"
ASK = "import os, platform, sys; print(os.path.realpath(sys.executable)); print(platform.python_version())"


def interpreters():
    """[(path, version, is Debian's)]: each once."""
    found = {}
    for candidate in (DEBIANS, "python3"):
        try:
            done = subprocess.run([candidate, "-c", ASK], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        path, version = done.stdout.split()
        found.setdefault(path, (path, version, candidate == DEBIANS))
    return list(found.values())


def package(bench, path, version):
    """The directory with the package for an interpreter."""
    def build():
        directory = pathlib.Path(os.environ.get("BUILD_DIR", HERE.parent / "build")) / "bench" / f"python-{version}"
        done = subprocess.run([path, str(HERE.parent / "python" / "build_backend" / "lapmark_build.py"), "build", str(directory)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if not list((directory / "lapmark").glob("_lapmark.*.so")):
            raise NotMeasured("no extension module is built: " + (done.stdout.strip().splitlines() or ["?"])[-1])
        return directory
    return bench.once(f"python package {version}", build)


def run(bench, path, version, *words):
    """What python_speed.py found, in a process that records."""
    directory = package(bench, path, version)
    with bench.recording("python", PYTHONPATH=str(directory)) as (recorded, variables):
        reader, writer = os.pipe()
        with os.fdopen(reader) as output:
            child = subprocess.Popen([path, str(HERE / "python_speed.py"), *map(str, words)], env={**variables, "BENCH_FD": str(writer)},
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                     pass_fds=[writer])
            os.close(writer)
            said = child.communicate()[1].strip().splitlines()
            if child.returncode != 0:
                raise NotMeasured(said[-1] if said else f"python_speed.py ended with {child.returncode}")
            if not any(recorded.iterdir()):
                raise NotMeasured("nothing was recorded")
            return json.load(output), said


def cases(bench, path, version, kind):
    """The least of several processes: where a process lies in memory makes a difference, too."""
    def measure():
        processes, rounds = (2, 200) if bench.is_quick else (7, 1000)
        runs = [run(bench, path, version, kind, rounds) for _ in range(processes)]
        names = [name for name in runs[0][0] if name != "median"]
        result = {name: min(found[name] for found, _ in runs) for name in names}
        result["median"] = {name: sorted(found["median"][name] for found, _ in runs)[processes // 2] for name in names}
        result["said"] = runs[0][1][0] if runs[0][1] else ""
        return result
    return bench.once(f"python {kind} {version}", measure)


# ---- rows ------------------------------------------------------------------------------------------------------------


def checkpoint(found):
    ns, base_ns, local_ns = found["checkpoint"], found["perf_counter"], found["pc"]
    return {"value": ns / base_ns, "median": found["median"]["checkpoint"] / found["median"]["perf_counter"], "ns": ns, "base_ns": base_ns,
            "detail": f"{ns:.1f} ns / {base_ns:.1f} ns; by a local name, `pc()`, {local_ns:.1f} ns: {ns / local_ns:.3f}"}


def off(found):
    ns, base_ns = found["off"], found["empty"]
    return {"value": ns / base_ns, "median": found["median"]["off"] / found["median"]["empty"], "ns": ns, "base_ns": base_ns,
            "detail": f"{ns:.1f} ns / {base_ns:.1f} ns"}


def fstring(found):
    ns, base_ns = found["fstring_checkpoint"], found["fstring"]
    return {"value": ns, "ns": ns, "base_ns": base_ns, "detail": f"{ns:.1f} ns; the f-string alone {base_ns:.1f} ns"}


def construct(depth, found):
    call = found["call"]
    ns, inside_ns = found[f"alone_{depth}"] - call, found[f"inside_{depth}"] - call
    return {"value": max(ns, inside_ns), "ns": ns,
            "detail": f"{inside_ns:.0f} ns inside of a profiler in the outermost frame, {ns:.0f} ns with none around; in a function of its "
                      f"own, without the {call:.1f} ns of calling that"}


def peer_checkpoint(found):
    ns, base_ns = found["checkpoint"], found["peer_checkpoint"]
    return {"value": base_ns / ns, "median": found["median"]["peer_checkpoint"] / found["median"]["checkpoint"], "ns": ns, "base_ns": base_ns,
            "detail": f"{base_ns:.0f} ns / {ns:.1f} ns, pyqtgraph {found['said']}"}


def peer_whole(found):
    ns, base_ns = found["whole"], found["peer_whole"]
    return {"value": base_ns / ns, "median": found["median"]["peer_whole"] / found["median"]["whole"], "ns": ns, "base_ns": base_ns,
            "detail": f"{base_ns:.0f} ns / {ns:.0f} ns"}


def growth(path, version, kind, many):
    def measure(bench):
        most = many // 10 if bench.is_quick else many
        few, after = run(bench, path, version, "memory", kind, most // 10, most)[0]
        return {"value": (after - few) / MIB, "after_bytes": after, "base_bytes": few,
                "detail": f"peak {after / MIB:.2f} MiB after {most:.0e}, {few / MIB:.2f} MiB after a tenth of it".replace("e+0", "e")}
    return measure


def rows(row, noise_mib):
    """For each interpreter; `row` is that of run.py."""
    result = []
    for path, version, is_debians in interpreters():
        name = f"Python {version}{' (Debian)' if is_debians else ''}"

        def add(key, what, unit, measure, must, sense="at most", name=name, version=version):
            result.append(row(f"python{version}-{key}", f"{name}: {what}", unit, measure, must, None, sense,
                              interpreter=name.removeprefix("Python "), subject=what))

        def case(kind, figure, path=path, version=version):
            return lambda bench: figure(cases(bench, path, version, kind))
        add("checkpoint", "enabled checkpoint with a constant label / `time.perf_counter()`", "x", case("checkpoint", checkpoint), 0.6)
        add("off", "disabled checkpoint / call of an empty function of one argument", "x", case("checkpoint", off), 0.8)
        add("fstring", "enabled checkpoint with an f-string of one number", "ns", case("checkpoint", fstring), None)
        for depth, must in ((5, 400), (25, 600)):
            add(f"construct-{depth}", f"construct + finish, recording, below threshold, {depth} frames deep", "ns",
                case("construct", functools.partial(construct, depth)), must)
        if is_debians:
            add("peer-checkpoint", "pyqtgraph's Profiler, enabled checkpoint / ours", "x", case("peer", peer_checkpoint), 10, "at least")
            add("peer-whole", "construct + 5 checkpoints + exit: pyqtgraph printing to /dev/null / ours recording below its threshold", "x",
                case("peer", peer_whole), 10, "at least")
        add("memory-checkpoints", "peak memory after 10^7 checkpoints, over that after 10^6", "MiB",
            growth(path, version, "checkpoints", 10 ** 7), noise_mib)
        add("memory-profilers", "peak memory after 10^6 profilers with distinct messages, over that after 10^5", "MiB",
            growth(path, version, "profilers", 10 ** 6), noise_mib)
    return result
