# SPDX-License-Identifier: MIT
"""What the tests of the Python package share. Each test file is run whole: by pytest where the interpreter has it, else by
main() below. So a test is a function without arguments, and needs nothing of pytest.

PACKAGE is the directory that `lapmark` is imported from; LAPMARK_IMPLEMENTATION=python in the environment makes all of a
run, children included, about the pure-Python implementation."""
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import traceback

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.environ.get("LAPMARK_PACKAGE") or os.path.join(SOURCE, "python")
EXPECTED = os.environ.get("LAPMARK_EXPECTED")  # 'c' or 'python': what must be tested, or it is a failure
if PACKAGE not in sys.path:
    sys.path.insert(0, PACKAGE)

MS = r"\d+\.\d{4,} ms"
#: How much later than asked something may come on a machine that is busy with other things.
LATE_MS = 4000


#: Behind each program: what goes wrong inside is counted and not raised, so it is looked for.
NOTHING_FAILED = "\nassert not __import__('lapmark').counts().get('failed')\n"


class Skip(Exception):
    """Cannot be run here; the text says why."""


def skip(reason):
    if "pytest" in sys.modules:
        sys.modules["pytest"].skip(reason)
    raise Skip(reason)


def environment(**variables):
    """The present one without what Lapmark reads, with these."""
    own = ("LAPMARK_IMPLEMENTATION", "LAPMARK_PACKAGE", "LAPMARK_EXPECTED")
    kept = {name: value for name, value in os.environ.items()
            if not (name.startswith("LAPMARK") and name not in own) and name != "PYQTGRAPHPROFILE"}
    return {**kept, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1", **variables}


class Result:
    """What a program printed, and its status."""

    def __init__(self, completed):
        self.status, self.out, self.err = completed.returncode, completed.stdout, completed.stderr

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def python(program, *arguments, status=0, **variables):
    """Runs a program text in a new interpreter, from a file so that it has lines."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(program) + NOTHING_FAILED)
        result = Result(subprocess.run([sys.executable, path, *arguments], env=environment(**variables), timeout=120, check=False,
                                       stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="surrogateescape"))
    assert status is None or result.status == status, result
    return result


class Entry:
    """A profiler of a report: its label, total in ms, note, laps as (label, ms, tot), and those nested in it."""

    def __init__(self, label, note):
        self.label, self.enter_note = label, note
        self.total = self.rest = None
        self.notes = ""
        self.laps, self.inside, self.lines = [], [], []

    def __repr__(self):
        return f"<{self.label}: {self.total} {self.notes} laps {self.laps} inside {self.inside}>"

    def labels(self):
        return [lap[0] for lap in self.laps]

    def all(self):
        yield self
        for inside in self.inside:
            yield from inside.all()

    @property
    def held(self):
        found = re.search(r"\(held (\d+\.\d) ms\)", self.notes)
        return float(found.group(1)) if found else 0.0


def reports(text):
    """The reports in a text, parsed by their form and indent; other lines must not be in it."""
    tops, open_entries = [], []
    for line in text.splitlines():
        body = line.lstrip(" ")
        depth = (len(line) - len(body)) // 2
        enter = re.fullmatch(r"> Entering (.*?)(?: \((slowest|parent still open)\))?", body)
        leave = re.fullmatch(rf"< Exiting (.*), total time: (\d+\.\d+) ms((?:, n=\S+)?(?: \(.*\))?)", body)
        if leave:
            entry = open_entries.pop()
            assert entry.label == leave.group(1) and entry.depth == depth, text
            entry.total, entry.notes = float(leave.group(2)), leave.group(3)
        elif enter:
            entry = Entry(*enter.groups())
            entry.depth = depth
            (open_entries[-1].inside if open_entries else tops).append(entry)
            open_entries.append(entry)
        else:
            assert open_entries, f"'{line}' is in no report:\n{text}"
            entry = open_entries[-1]
            entry.lines.append(body)
            lap = re.fullmatch(r"(.*?): (\d+\.\d+) ms, tot: (\d+\.\d+) ms(.*)", body)
            rest = re.fullmatch(r"\(rest\): (\d+\.\d+) ms", body)
            if lap:
                assert depth == entry.depth + 1, text
                entry.laps.append((lap.group(1), float(lap.group(2)), float(lap.group(3))))
            elif rest:
                entry.rest = float(rest.group(1))
    assert not open_entries, text
    return tops


def by_label(text):
    """All entries of all reports by their labels; the last of each."""
    return {entry.label: entry for report in reports(text) for entry in report.all()}


def busy(milliseconds):
    """Works for so long, by the clock that cannot be stopped."""
    import time  # pylint: disable=import-outside-toplevel
    end = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < end:
        pass


def main(names):
    """Runs the test functions of a module: by pytest, or without it one by one."""
    os.environ.update(environment())
    try:
        import pytest  # pylint: disable=import-outside-toplevel
        sys.exit(pytest.main(["-q", "--tb=short", "-p", "no:cacheprovider", names["__file__"], *sys.argv[1:]]))
    except ImportError:
        pass
    failed = 0
    tests = [(name, test) for name, test in names.items() if name.startswith("test_") and callable(test)]
    for name, test in tests:
        if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
            continue
        try:
            test()
            print(f"{name}: passed")
        except Skip as reason:
            print(f"{name}: skipped, {reason}")
        except BaseException:  # pylint: disable=broad-except
            failed += 1
            print(f"{name}: FAILED")
            traceback.print_exc()
    sys.exit(1 if failed else 0)
