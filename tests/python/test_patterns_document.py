# SPDX-License-Identifier: MIT
"""The Python blocks of doc/patterns.md, and of README.md, run and print what stands behind them. Those in C are in tests/doc."""
import ast
import asyncio
import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from common_python import SOURCE, busy, environment, main, reports, skip

import lapmark

TEXT = pathlib.Path(SOURCE, "doc", "patterns.md").read_text(encoding="utf-8")
PAIR = re.compile(r"^```python\n(.*?)^```\n\n^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HELD = re.compile(r" \(held (\d+\.\d) ms\)")


def masked(text):
    """Without numbers, and without what was held for hardly any time: whether that is shown depends on the machine."""
    text = HELD.sub(lambda held: held.group() if float(held.group(1)) >= 20 else "", text)
    return re.sub(r"\d[\d.]*(?=,| ms|\)|[:;] (?:handle|between) )", "0", text)


README = pathlib.Path(SOURCE, "README.md").read_text(encoding="utf-8")


def names():
    return {"__name__": "__main__", "Profiler": lapmark.Profiler, "work_ms": busy}


def run(body):
    """What a block prints, and what it lets go of."""
    with contextlib.redirect_stderr(io.StringIO()) as text:
        variables = names()
        exec(compile(body, "<block>", "exec"), variables)  # pylint: disable=exec-used
        variables.clear()
    return text.getvalue()


def section(heading):
    return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL).group(1)


def run_in_new_process(body, stream="stderr"):
    before = f"import sys\nsys.path.append({os.path.dirname(os.path.abspath(__file__))!r})\n" \
             "from lapmark import Profiler\nfrom common_python import busy as work_ms\n"
    return getattr(subprocess.run([sys.executable, "-c", before + body], env=environment(), check=True, text=True,
                                  **{stream: subprocess.PIPE}), stream)


def run_cells(*cells):
    """What each cell of a notebook shows, of what is printed; they have their variables in common."""
    variables, shown = names(), []

    async def run_all():
        for cell in cells:
            with contextlib.redirect_stderr(io.StringIO()) as text:
                awaited = eval(compile(cell, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), variables)
                if awaited is not None:
                    await awaited
            shown.append(text.getvalue())
    asyncio.run(run_all())
    variables.clear()
    return shown


def run_under_pytest(body, *options):
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "test_sorting.py").write_text(body, encoding="utf-8")
        return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, directory], text=True,
                              env=environment(COLUMNS="80"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout


def test_blocks():
    pairs = PAIR.findall(TEXT.split("## Under pytest")[0])
    assert len(pairs) >= 16
    for body, shown in pairs:
        is_for_good = "trace_loop" in body or "os.fork" in body
        printed = run_in_new_process(body) if is_for_good else run(body)
        assert masked(printed) == masked(shown), f"{body}\n{printed}"


def test_pytest():
    """In what it shows of a test that passed, or failed; and at once, if nothing is captured."""
    try:
        import pytest  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        skip("pytest is not here")
    (body, shown), = PAIR.findall(section("Under pytest"))
    printed = run_under_pytest(body, "-rP")
    assert masked(shown) in masked(printed), printed
    report = masked("".join(shown.splitlines(keepends=True)[1:]))
    assert report in masked(run_under_pytest(body, "-s")) and "Captured" not in run_under_pytest(body, "-s")
    failed = run_under_pytest(body.replace("== 1", "== 2"))
    assert masked(shown) in masked(failed) and "1 failed" in failed, failed
    assert "Entering" not in run_under_pytest(body)


def test_notebook():
    (body, shown), = PAIR.findall(section("In a notebook"))
    printed, = run_cells(body)
    assert masked(printed) == masked(shown), printed


def test_cells():
    """What the document tells of them."""
    plain = "profiler = Profiler('plain')\nprofiler('x')"
    function = "def function():\n    profiler = Profiler('function')\n    profiler('x')\nfunction()"
    awaiting = "import asyncio\nasync with Profiler('awaiting') as profiler:\n    await asyncio.sleep(0)\n    profiler('x')"
    shown = run_cells(plain, "1 + 1", plain, function, awaiting)
    assert [sorted(report.label for report in reports(text)) for text in shown] == [
        [], [], ["plain"], ["function"], ["awaiting", "plain"]], shown


def test_logging():
    """Of a few tries: one that the machine keeps from running for 5 ms is slow, and said to be."""
    (body, shown), = PAIR.findall(section("To logging"))
    printed = [run_in_new_process(body) for _ in range(3)]
    assert masked(shown) in map(masked, printed), printed


def readme_blocks():
    """Those of its section about Python, as (language, text)."""
    part = re.search(r"^## Python\n(.*?)^## ", README, re.MULTILINE | re.DOTALL).group(1)
    return re.findall(r"^```(\w*)\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def test_readme():
    blocks = readme_blocks()
    assert [language for language, _ in blocks] == ["python", "", "diff", "", ""]
    command, shown = blocks[1][1].split("\n", 1)
    printed = run_in_new_process(blocks[0][1])
    assert command == "$ python3 sort.py" and masked(printed) == masked(shown), printed


def test_readme_after_the_change():
    """What it has before is another project's; behind the changed import it is what the last block shows, on stdout."""
    _, _, (_, change), _, (_, shown) = readme_blocks()
    lines = change.splitlines(keepends=True)
    assert [line for line in lines if line.startswith("-")] == ["-from pyqtgraph.debug import Profiler\n"]
    body = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
    printed = run_in_new_process(body, "stdout")
    assert masked(printed) == masked(shown), printed


def test_every_block_has_its_output():
    assert len(re.findall(r"^```python$", TEXT, re.MULTILINE)) == len(PAIR.findall(TEXT))


def test_nothing_failed_inside():
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
