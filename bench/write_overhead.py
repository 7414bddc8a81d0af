#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes doc/overhead.md from the figures of `bench/run.py --json FILE`, so that none is typed by hand.

usage: bench/write_overhead.py FILE [--output OUTPUT] [--readme README]

With --readme it also fills in the table under "What it costs" there: the second column of the rows that it knows. From a run of
Python's rows alone (`bench/run.py --json FILE python`) it writes the section on Python anew, and leaves the rest as it is; from a run
of a few other rows, without the first one, these.
"""
import argparse
import json
import pathlib
import re
import sys

INTRODUCTION = """# What Lapmark costs

This page is written by `bench/write_overhead.py` from a run of `bench/run.py`; no figure in it is typed by hand. The section on
Python may be of a run of its own, and has its date.

| | |
|---|---|
| date | {date} |
| processor | {cpu}, family {cpu_family}, model {cpu_model}{virtual}, {cores} cores |
| system | {system}, kernel {kernel} |
| compiler | {compiler}, `-O2` |

To repeat it: `./dev bench --json figures.json`, then `bench/write_overhead.py figures.json`.

**The floor** is what no recorder that reads the processor's clock can pass: one bare `rdtsc` and one 8-byte store into a
ring of 1 MiB that is used again and again. Here it takes **{floor:.2f} ns**.

Floor and candidate take turns in one process, in many rounds of 65,536 events, so that each round pays for the change of
ring segments and for the batches that keep the exact histograms. A figure is the least of all rounds; a ratio is that of
two such least figures. A busy machine makes single rounds slower, and least figures hardly; the medians of the rounds' own
ratios, which decide nothing, stand beside them. In `must` and `aim` stands what the project asks of itself.

| what | measured | must | aim | |
|---|---|---|---|---|
"""

DETAILS = """
## How the figures come about

| what | |
|---|---|
"""

MEANINGS = """
## What is compared with what

- *Checkpoint, profiler, integer*: one `LAP_MARK`, one `LAP_PROFILE` with nothing inside, one `LAP_MARK` with a `%lu`,
  in a loop, in a process that records (`LAPMARK_RECORD`, printing off). Not recording costs the same: the ring and the histograms
  are always on.
- *13 labels over 3 levels*: three nested profilers with ten checkpoints, 16 events a turn. *16 labels at random*: chosen by index, so
  that no mispredicted jump of the program is counted as Lapmark's.
- *Taken back*: `LAPMARK_KEEP=slow`, a profiler with a threshold of a second and two checkpoints: four events that are counted in the
  histograms and taken out of the ring again.
- *Switched off*: `lap_set("off")` while the program runs, after the sites were met; what is left is a load and a jump.
- *USDT probes*: the same source compiled with `LAPMARK_USDT` and without, in turns in one process, and no tracer attached.
- *LTTng-UST*: two tracepoints without payload, recorded by a session of its own (snapshot mode, per-user buffers), in turns with one
  profiler in the same process.
- *Two threads*: each on a core of its own; a round counts where both ran at the same time for nine tenths of it.
- *`lapmark top`*: the same checkpoint in a process that nobody looks at and in one that `lapmark top --interval 100ms` looks at,
  in turns. Least rounds would be those in which nobody looked: it is the processor time of all rounds, of seven processes each the least.
- *Bytes*: what a walk over the files of a full recording (`LAPMARK_MODE=full`) finds; metadata is not counted.
- *Memory*: resident memory, which the mapped rings and histograms are part of, with recording and printing on; all three rows over
  what it is after 10^7 checkpoints (and a profiler, a size and a value with every 64th) on one thread.
- *babeltrace2*: time of `babeltrace2 -o dummy` over that of `lapmark report --events --json`, which builds the report from the events and
  compares it with the stored histograms, on the same recording of four threads, both from the page cache.
- *Calls*: clients and servers, ten to one, all processes that run at once and record fully, 32 calls at a time with a profiler of the
  server's for each. Read from the page cache by `lapmark report --json`, which joins the two sides of each call; processor time, the
  least of three runs, over the count of calls. Memory: resident, the files' pages that are mapped too. It is that of a ring that is
  under way, some 200 KiB with what is known of its process, times the rings, and 1/1000 of the bytes of the recording: its table
  of segments.
- *Exports*: the same events as for babeltrace2, of two threads, to a file in a temporary directory; processor time, the least of three runs,
  over the count of spans, which are profilers, laps and rests. With arguments: 14 checkpoints in a profiler, each with a label
  `"item %d of %s"`; with run-time labels: `LAP_MARK_TEXT`, 14 labels in a profiler, of which none comes twice; with handles: 14
  checkpoints with a constant label in each, by time, since they may cross threads. Memory: resident at most, of the format that takes most.
- *SQLite job, zlib job*: steps of some 45 microseconds (32 lookups, the sum of a range and an update in a database in memory; a
  block of 16 KiB written, compressed and checked) with a profiler and three checkpoints in each, in turns with the same code compiled
  with `LAPMARK_DISABLE`. The 99th percentile is the least of all rounds, as the times are. With `lapmark top --interval 100ms` looking at
  the process the loss is that of the median round, for least rounds would be those in which nobody looked.
- *Compile time*: processor time of `gcc -O2 -c` on a file with one `#include`.
"""


PYTHON = """
## Python

| | |
|---|---|
| date | {date} |
| processor | {cpu}, family {cpu_family}, model {cpu_model}{virtual}, {cores} cores |
| system | {system}, kernel {kernel} |
| compiler | {compiler}, `-O2` |
| interpreters | {interpreters} |

What is compared takes turns in one process, in 1,000 rounds of some 60 microseconds each, in each of seven processes; what is timed is
written out 20 times, so that the loop is next to nothing. Figures are the least of all rounds, and ratios those of two such; the
processes record (`LAPMARK_RECORD`) and print to /dev/null. To repeat it: `./dev bench --json figures.json python`, then
`bench/write_overhead.py figures.json`.
"""

PYTHON_MEANINGS = """
- *Enabled checkpoint*: `profiler('step')`, whose result nobody takes; `profiler(f'item {i}')` with a number that changes.
- *Disabled checkpoint*: of a `Profiler(disabled=True)`.
- *Construct + finish*: `profiler = Profiler('work', ms_threshold=...)`, `profiler.finish()` in a function of its own, whose frame is a
  new one each time; less the call of an empty function. The figure is the worse of inside of a profiler in the outermost frame, to
  which the way is looked through, and of with none around.
- *pyqtgraph*: Debian's python3-pyqtgraph, `Profiler(disabled=False)`, its standard output /dev/null. A checkpoint in a profiler that is
  made anew for each turn, since it keeps all that it was told.
- *Memory*: the process's peak. One profiler with all the checkpoints; profilers with one checkpoint each, whose messages are words that
  differ.
"""


def unit_text(row, value):
    unit = row["unit"]
    if value is None:
        return "not measured"
    digits = 0 if value == int(value) else 3 if unit in ("x", "ns") else 2
    suffix = "" if unit in ("", "x") else f" {unit}"
    return f"{value:.{digits}f}{suffix}"


def limit_text(row, name):
    if row[name] is None:
        return ""
    unit = "" if row["unit"] in ("", "x") else f" {row['unit']}"
    return ("≤ " if row["sense"] == "at most" else "≥ ") + f"{row[name]:g}{unit}"


def verdict_text(row):
    if row["verdict"] == "MISSES":
        return "**misses**"
    return row["verdict"]


def machine_of(document):
    machine = document["machine"]
    return {"date": document["date"], "virtual": " (a virtual machine)" if machine["virtual"] else "",
            **{name: machine[name] for name in ("cpu", "cpu_family", "cpu_model", "cores", "system", "kernel", "compiler")}}


def write_python(document):
    """The section on Python, what falls short first; an empty text where nothing was measured."""
    rows = [row for row in document["rows"] if "interpreter" in row]
    if not rows:
        return ""
    rows.sort(key=lambda row: row["verdict"] not in ("MISSES", "not measured"))
    interpreters = ", ".join(dict.fromkeys(row["interpreter"] for row in document["rows"] if "interpreter" in row))
    text = PYTHON.format(interpreters=interpreters, **machine_of(document))
    text += "\n| what | interpreter | measured | must | |\n|---|---|---|---|---|\n"
    for row in rows:
        text += (f"| {row['subject']} | {row['interpreter']} | {unit_text(row, row['value'])} | {limit_text(row, 'must')} | "
                 f"{verdict_text(row)} |\n")
    text += "\nHow the figures come about:\n\n| what | interpreter | |\n|---|---|---|\n"
    for row in rows:
        median = f"; median of the rounds {row['median']:.3f}" if "median" in row else ""
        text += f"| {row['subject']} | {row['interpreter']} | {row['detail']}{median} |\n"
    return text + PYTHON_MEANINGS


def python_section(page):
    """That of a page that was written before, to its end."""
    at = page.find(PYTHON.splitlines(True)[1])
    return "\n" + page[at:] if at >= 0 else ""


def write(document, page):
    """The new page; `page` is the old one."""
    section = write_python(document)
    if section and not any("interpreter" not in row for row in document["rows"]):
        old = python_section(page)
        return page[:len(page) - len(old)] + section
    if page and not any(row["key"] == "checkpoint" for row in document["rows"]):
        return write_some(document, page)
    return write_all(document) + (section or python_section(page))


def table_line(row):
    return f"| {row['what']} | {unit_text(row, row['value'])} | {limit_text(row, 'must')} | {limit_text(row, 'aim')} | {verdict_text(row)} |"


def detail_line(row):
    median = f"; median of the rounds {row['median']:.3f}" if "median" in row else ""
    return f"| {row['what']} | {row['detail']}{median} |"


def put_line(page, heading, what, line):
    """A row's line in the table behind a heading: in the place of the one that it has, else as the last."""
    start = page.index("\n|---", page.index(heading))
    end = page.index("\n\n", start)
    lines = page[start:end].split("\n")
    known = [i for i, old in enumerate(lines) if old.startswith(f"| {what} |")]
    lines[known[0] if known else len(lines):known[0] + 1 if known else len(lines)] = [line]
    return page[:start] + "\n".join(lines) + page[end:]


def write_some(document, page):
    """Some rows of a page that is of another run, each with its date; what does not reach what it must is not written so."""
    for row in document["rows"]:
        if row["verdict"] not in ("reaches must", "reaches aim", "reported"):
            raise SystemExit(f"write_overhead: '{row['key']}': {row['verdict']}: for that, all rows have to be measured")
        page = put_line(page, "| what | measured | must | aim | |", row["what"], table_line(row))
        dated = dict(row, detail=f"{row['detail']} (on {document['date']})")
        page = put_line(page, "## How the figures come about", row["what"], detail_line(dated))
    meanings, section = page.index(MEANINGS.lstrip().splitlines()[0]), python_section(page)
    return page[:meanings] + MEANINGS.lstrip() + section


def write_all(document):
    rows = [row for row in document["rows"] if "interpreter" not in row]
    floor = next((row["base_ns"] for row in rows if row["key"] == "checkpoint" and "base_ns" in row), float("nan"))
    text = INTRODUCTION.format(floor=floor, **machine_of(document))
    for row in rows:
        text += table_line(row) + "\n"
    missed = [row for row in rows if row["verdict"] in ("MISSES", "not measured")]
    below = [row for row in rows if row["aim"] is not None and row["verdict"] == "reaches must"]
    if missed or below:
        text += "\n## What is not reached\n\n"
        for row in missed:
            text += f"- {row['what']}: {unit_text(row, row['value'])}, must be {limit_text(row, 'must')}.\n"
        for row in below:
            text += f"- {row['what']}: {unit_text(row, row['value'])}, the aim is {limit_text(row, 'aim')}.\n"
    text += DETAILS
    for row in rows:
        text += detail_line(row) + "\n"
    return text + MEANINGS


def readme_cells(document):
    """The second column of the README's table, by the first."""
    rows = {row["key"]: row for row in document["rows"]}

    def ns(key, digits=1):
        return f"{rows[key]['ns']:.{digits}f} ns"

    def over_loop(key):
        return f"{rows[key]['value']:.2f} ns"

    machine = document["machine"]
    return {
        "": f"{machine['cpu']}, {machine['compiler']}",
        "checkpoint, recorded, with exact histograms":
            f"{ns('checkpoint')}: {rows['checkpoint']['value']:.2f} × a bare `rdtsc` and a store",
        "profiler, begin and end, the same": f"{ns('profiler')}: {rows['profiler']['value']:.2f} × two of them",
        "checkpoint, profiler switched off at run time": f"{over_loop('off-checkpoint')}, {over_loop('off-profiler')}",
        "in the recording: checkpoint, profiler": f"{rows['bytes-checkpoint']['value']:.0f} bytes, {rows['bytes-profiler']['value']:.0f} bytes",
        "`liblapmark.so`, stripped; what it links": f"{rows['library-size']['value']:.0f} KiB; {rows['library-links']['detail']}",
    }


def fill_readme(document, path):
    text = path.read_text(encoding="utf-8")
    start = text.index("\n## What it costs\n")
    end = text.index("\n## ", start + 1)
    cells = readme_cells(document)

    def fill(match):
        first = match[1].strip()
        return f"| {first} | {cells[first]} |".replace("|  |", "| |") if first in cells else match[0]
    section = re.sub(r"^\|([^|\n]*)\|[^|\n]*\|$", fill, text[start:end], flags=re.MULTILINE)
    path.write_text(text[:start] + section + text[end:], encoding="utf-8")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", metavar="FILE", type=pathlib.Path, help="what bench/run.py --json wrote")
    parser.add_argument("--output", metavar="OUTPUT", type=pathlib.Path, default=root / "doc" / "overhead.md")
    parser.add_argument("--readme", metavar="README", type=pathlib.Path, help="fill in this file's table")
    arguments = parser.parse_args()
    document = json.loads(arguments.file.read_text(encoding="utf-8"))
    if document["quick"]:
        print("write_overhead: these figures are of a quick look, not of a measurement", file=sys.stderr)
        return 2
    page = arguments.output.read_text(encoding="utf-8") if arguments.output.exists() else ""
    arguments.output.write_text(write(document, page), encoding="utf-8")
    if arguments.readme:
        fill_readme(document, arguments.readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
