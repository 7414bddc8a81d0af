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
    return re.sub(r"\d[\d.]*(?=,| ms|\))", "0", text)


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


def run_in_new_process(body):
    before = f"import sys\nsys.path.append({os.path.dirname(os.path.abspath(__file__))!r})\n" \
             "from lapmark import Profiler\nfrom common_python import busy as work_ms\n"
    return subprocess.run([sys.executable, "-c", before + body], env=environment(), check=True, stderr=subprocess.PIPE,
                          text=True).stderr


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
        printed = run_in_new_process(body) if "trace_loop" in body else run(body)  # that is for good
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
    (body, shown), = PAIR.findall(section("To logging"))
    printed = run_in_new_process(body)
    assert masked(printed) == masked(shown), printed


def test_every_block_has_its_output():
    assert len(re.findall(r"^```python$", TEXT, re.MULTILINE)) == len(PAIR.findall(TEXT))


def test_nothing_failed_inside():
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
