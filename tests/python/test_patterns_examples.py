# SPDX-License-Identifier: MIT
"""Each file in examples/python runs as a user would run it, and reports what it says that it reports."""
import os
import pathlib
import re
import subprocess
import sys

from common_python import SOURCE, Result, environment, main, reports

EXAMPLES = pathlib.Path(SOURCE) / "examples" / "python"


def run(name, *arguments, **variables):
    """Its result; what goes wrong inside of a profiler is counted, and must be nothing."""
    check = "import lapmark, os, runpy, sys\n" \
            "sys.argv.pop(0)\n" \
            "sys.path.insert(0, os.path.dirname(sys.argv[0]))\n" \
            "runpy.run_path(sys.argv[0], run_name='__main__')\n" \
            "assert not lapmark.counts().get('failed')\n"
    command = [sys.executable, str(EXAMPLES / name)] if name == "processes.py" else [
        sys.executable, "-c", check, str(EXAMPLES / name)]
    result = Result(subprocess.run([*command, *arguments], env=environment(**variables), stdin=subprocess.DEVNULL, check=False,
                                   capture_output=True, encoding="utf-8", timeout=100))
    assert result.status == 0, result
    return result


def shape(entry):
    """A profiler as text: its message, its laps, and in brackets those inside of it."""
    lines = [line.split(": ", 1)[0] if ", tot:" not in line else re.match(r"(.*?): \d+\.\d+ ms, tot", line).group(1)
             for line in entry.lines if not line.startswith("(rest)")]
    inside = "".join(f" [{shape(child)}]" for child in sorted(entry.inside, key=shape))
    return f"{entry.label}: {', '.join(lines)}{inside}"


def shapes(text):
    return sorted(shape(report) for report in reports(text))


def check(name, *wanted, **variables):
    result = run(name, **variables)
    assert shapes(result.err) == sorted(wanted), result
    return result


CHECKED = {
    "function.py": [
        "Index.__init__: words counted, sorted [word_counts(): split, counted]",
        "fetch(): answer is here",
        "decorated(): "],
    "loops.py": [
        "processing 1000 items: processed all items",
        "processing each item: sorted (x1000), item # summed (x1000)"],
    "condition.py": [],
    "teardown.py": ["teardown: file closed, file removed"],
    "stream.py": [f"{text} {count} gaps: {laps}" for count in (12, 40, 4000) for text, laps in (
        ("markup_gaps() for", "request built, round trip, answer parsed"), ("Batch annotate", "request handled, result sent"))],
    "batch.py": [f"Batch processing: collected {count} items, computed, dict built" for count in (200, 20000)],
    "calls.py": ["ask for three items: asked, plums are here, pears are here, apples are here",
                 "find apples: found", "find pears: found", "find plums: found"],
    "pipes.py": ["ask by a pipe: apples are here", "ask by a stream: pears are here", "find apples: found", "find pears: found"],
    "startup.py": ["Service startup: broker connected, config loaded, feeds started"],
    "finer.py": [
        "the whole: big_function done [big_function internals: part_a, part_b, part_c: split, part_c: made unique]"],
    "scan.py": [f"find rows among {count}: row found (x10)" for count in (1000, 100000)],
    "wire.py": ["ask: payload prepared, IPC complete, result parsed"],
    "tasks.py": ["all downloads: all here [download 1: received, decoded [decode: summed]]"
                 " [download 2: received, decoded [decode: summed]]"],
    "processes.py": ["pool: 2 results", "work on 1000: summed", "work on 100000: summed"],
    "generators.py": ["consumer: used (x1000) [pairs: paired (x1000) [numbers: made (x1000)]]"],
}


def test_each():
    for name, wanted in CHECKED.items():
        result = check(name, *wanted)
        if name == "stream.py":
            lived = [report.total + report.held for report in reports(result.err) if report.label.startswith("Batch")]
            assert len(lived) == 3 and min(lived) >= 49.9 and result.err.count(" (held ") >= 3, result
        elif name == "wire.py":
            assert re.search(r"IPC complete: .* \(running \d+\.\d, waiting \d+\.\d, loop busy with others \d+\.\d\)", result.err)
        elif name == "calls.py":
            part = r"server \d+\.\d+: handle (\d+\.\d+), queue \d+\.\d+; between \d+\.\d+"
            handled = re.findall(rf"^  \w+ are here: .* \({part}\)$", result.err, re.MULTILINE)
            assert len(handled) == 3 and min(map(float, handled)) >= 9.9, result
        elif name == "pipes.py":
            handled = re.findall(r"^  \w+ are here: .* \(server \d+\.\d+: handle (\d+\.\d+), queue ", result.err, re.MULTILINE)
            assert len(handled) == 2 and min(map(float, handled)) >= 9.9, result
        elif name == "startup.py":
            assert result.out == "ready\n"


def test_all_are_checked():
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix} == set(CHECKED) | {"to_logging.py"}


def test_condition_that_is_met():
    wanted = ["reposition(): moved, ordered"]
    assert shapes(run("condition.py", "--debug").err) == wanted
    assert shapes(run("condition.py", LAPMARK="reposition*").err) == wanted


def test_logging():
    """The slow one alone, whole, behind what the logger puts in front."""
    result = run("to_logging.py")
    head, body = result.err.split(" orders INFO ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", head), result
    assert shapes(body.strip()) == ["order of 100000: sorted"], result


def test_short_with_a_word_in_front():
    """They are short, and each says first when to use it."""
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith('# SPDX-License-Identifier: MIT\n"""') and len(text.splitlines()) <= 70, path


if __name__ == "__main__":
    main(globals())
