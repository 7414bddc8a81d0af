# SPDX-License-Identifier: MIT
"""What a report looks like, and where it goes."""
import io
import math
import re
import sys

from common_python import MS, busy, by_label, main, python, reports

import lapmark
from lapmark import Profiler


def report_of(function, *args, **kwargs):
    """The text that a profiler prints whose checkpoints the function makes."""
    texts = []
    profiler = Profiler(*args, sink=texts.append, **kwargs)
    function(profiler)
    profiler.finish()
    assert len(texts) == 1, texts
    return texts[0]


def test_form():
    text = report_of(lambda profiler: (profiler("first"), profiler("second", n=12)), "the message", n=5)
    lines = text.splitlines(keepends=True)
    assert lines[0] == "> Entering the message\n"
    assert re.fullmatch(rf"  first: {MS}, tot: {MS}\n", lines[1]), text
    assert re.fullmatch(rf"  second: {MS}, tot: {MS}, n=12\n", lines[2]), text
    assert re.fullmatch(rf"  \(rest\): {MS}\n", lines[3]), text
    assert re.fullmatch(rf"< Exiting the message, total time: {MS}, n=5\n", lines[4]), text
    assert len(lines) == 5


def test_no_rest_without_checkpoints():
    lines = report_of(lambda profiler: None, "empty").splitlines()
    assert len(lines) == 2 and lines[0] == "> Entering empty"


def test_decimals():
    """Four, and more where that would be fewer than three significant digits."""
    text = report_of(lambda profiler: (busy(3), profiler("slow"), profiler("fast")), "decimals")
    slow = re.search(r"slow: (\S+) ms", text).group(1)
    fast = re.search(r"fast: (\S+) ms", text).group(1)
    assert re.fullmatch(r"\d+\.\d{4}", slow)
    if float(fast) < 0.01:
        assert re.fullmatch(r"0\.0*[1-9]\d\d", fast), fast


def test_times_add_up():
    texts = []
    profiler = Profiler("sum", sink=texts.append)
    for label in "abcdefgh":
        busy(0.5)
        profiler(label)
    busy(1)
    profiler.finish()
    report, = reports(texts[0])
    assert math.isclose(sum(lap[1] for lap in report.laps), report.laps[-1][2], abs_tol=0.01)
    assert math.isclose(report.laps[-1][2] + report.rest, report.total, abs_tol=0.01)


def test_folding():
    """More than three of a label are one line where the first was."""
    def marks(profiler):
        for index in range(3):
            profiler("three")
            profiler("four")
            profiler(f"gap {index} of 10", n=index + 3)
        profiler("four")
        profiler("gap 77 of 80", n=50)
        profiler("last")
    lines = [line.strip() for line in report_of(marks, "fold").splitlines()]
    labels = [line.split(":")[0] for line in lines[1:-1]]
    assert labels == ["three", "four (x4)", "gap # of # (x4)", "three", "three", "last", "(rest)"]
    assert re.fullmatch(rf"four \(x4\): {MS}, tot: {MS}, mean {MS}, max {MS}", lines[2])
    assert re.fullmatch(rf"gap # of # \(x4\): {MS}, tot: {MS}, mean {MS}, max {MS}, n=3\.\.50", lines[3])


def test_fold_of_many():
    texts = []
    profiler = Profiler("loop", sink=texts.append)
    laps = []
    for index in range(10000):
        laps.append(profiler(f"iteration {index}"))
    profiler.finish()
    found = re.search(r"iteration # \(x10000\): ([\d.]+) ms, tot: ([\d.]+) ms, mean ([\d.]+) ms, max ([\d.]+) ms", texts[0])
    total, tot, mean, most = map(float, found.groups())
    assert math.isclose(total, sum(laps), rel_tol=0.01) and math.isclose(total, tot, rel_tol=0.01)
    assert math.isclose(mean, total / 10000, rel_tol=0.02) and math.isclose(most, max(laps), rel_tol=0.02)
    assert len(texts[0].splitlines()) == 4


NASTY = {
    "100% of %s %d %n %": "100% of %s %d %n %",
    "{brace} {0} {}": "{brace} {0} {}",
    "new\nline\r\ttab": "new\\nline\\r\\ttab",
    "\x1b[31mred\x1b[0m\a\b": "\\x1b[31mred\\x1b[0m\\x07\\x08",
    "zero\0byte": "zero\\x00byte",
    "ümläut 漢字 🎉": "ümläut 漢字 🎉",
    "\u2028\u2029": "\\xe2\\x80\\xa8\\xe2\\x80\\xa9",
    "\u200e\u061c": "\\xe2\\x80\\x8e\\xd8\\x9c",
    "\u202eright to left": "\\xe2\\x80\\xaeright to left",
    "\x85\x9f\x7f": "\\xc2\\x85\\xc2\\x9f\\x7f",
    "back\\slash": "back\\slash",
    "> Entering": "> Entering",
    "\ud800": "\\xed\\xa0\\x80",
}


def test_nothing_in_a_label_breaks_a_report():
    for label, shown in NASTY.items():
        text = report_of(lambda profiler: profiler(label), label)  # pylint: disable=cell-var-from-loop
        lines = text.splitlines()
        assert len(lines) == 4 and text.count("\n") == 4, (label, text)
        assert lines[0] == "> Entering " + shown, lines[0]
        assert lines[1].startswith(f"  {shown}: "), lines[1]
        assert lines[3].startswith(f"< Exiting {shown}, total time: "), lines[3]


def test_long_labels_are_cut():
    text = report_of(lambda profiler: (profiler("x" * 100000), profiler("ä" * 1000)), "y" * 100000)
    lines = text.splitlines()
    assert all(len(line.encode()) < 700 for line in lines), [len(line) for line in lines]
    assert lines[0].startswith("> Entering yyyyyyyy") and "…" in lines[0]
    assert lines[1].startswith("  xxxxxxxx") and "…" in lines[1]
    assert lines[2].startswith("  ääääää") and "…" in lines[2]


def test_children_are_in_their_parents_report():
    texts = []

    def parent():
        profiler = Profiler("parent", sink=texts.append)
        profiler("before")
        child("one")
        profiler("between")
        child("two")
        child("two")
        return profiler("after")

    def child(name):
        profiler = Profiler(f"child {name}")
        profiler("in it")
    parent()
    lines = [line.split(":")[0].split(",")[0] for line in texts[0].splitlines()]
    assert len(texts) == 1
    assert lines == [
        "> Entering parent", "  before",
        "  > Entering child one", "    in it", "    (rest)", "  < Exiting child one",
        "  between",
        "  > Entering child two", "    in it", "    (rest)", "  < Exiting child two",
        "  > Entering child two", "    in it", "    (rest)", "  < Exiting child two",
        "  after", "  (rest)", "< Exiting parent"]


def test_many_children_are_one_line_with_the_slowest():
    texts = []

    def child(index):
        with Profiler(f"child {index}") as profiler:
            if index == 7:
                busy(60)  # longer than another is kept from its CPU
            profiler("step", n=index)
    with Profiler("parent", sink=texts.append):
        for index in range(20):
            child(index)
    text = "".join(texts)
    assert len(texts) == 1
    assert re.search(rf"^  > child # \(x20\): total {MS}, mean {MS}, max {MS}$", text, re.MULTILINE), text
    assert re.search(r"^    > Entering child 7 \(slowest\)$", text, re.MULTILINE), text
    assert text.count("> Entering") == 2


def test_threshold_of_nested():
    """What prints, prints with all that is inside; what does not leaves those that took theirs to print by themselves."""
    texts = []

    def child(name, ms_threshold):
        with Profiler(name, ms_threshold=ms_threshold, sink=texts.append) as profiler:
            profiler("step")
    with Profiler("prints", sink=texts.append):
        child("below its own", 10000)
    with Profiler("does not", ms_threshold=10000, sink=texts.append):
        child("by itself", 0)
        child("never", 10000)
    printed = reports("".join(texts))
    assert [[entry.label for entry in report.all()] for report in printed] == [["prints", "below its own"], ["by itself"]]


def test_immediate():
    texts = []
    with Profiler("now", delayed=False, ms_threshold=10000, sink=texts.append) as profiler:
        assert texts == ["> Entering now\n"]
        profiler("a")
        assert len(texts) == 2 and texts[1].startswith("  a: ")
    assert [entry.label for entry in reports("".join(texts))] == ["now"]


def test_to_stderr():
    result = python("from lapmark import Profiler\nwith Profiler('x') as p: p('a')\n")
    assert result.out == "" and by_label(result.err)["x"].labels() == ["a"]


def test_print_variable():
    program = """
        import os, sys
        from lapmark import Profiler
        if len(sys.argv) > 1:
            os.dup2(1, int(sys.argv[1]))
        print('before', flush=len(sys.argv) > 1)  # a number is no stream that could be flushed
        with Profiler('x') as p: p('a')
        print('after')
        """
    result = python(program, LAPMARK_PRINT="stdout")
    assert result.err == "" and result.out.startswith("before\n> Entering x\n") and result.out.endswith("\nafter\n"), result
    result = python(program, LAPMARK_PRINT="off")
    assert result.err == "" and result.out == "before\nafter\n"
    for value in ("stderr", "on"):
        result = python(program, LAPMARK_PRINT=value)
        assert result.out == "before\nafter\n" and "x" in by_label(result.err)
    result = python(program, "7", LAPMARK_PRINT="7")
    assert result.err == "" and result.out.startswith("before\n> Entering x\n"), result
    result = python(program, LAPMARK_PRINT="nonsense")
    assert result.status == 0 and "LAPMARK_PRINT" in result.err.splitlines()[0] and "nonsense" in result.err.splitlines()[0]


def test_prefix():
    result = python("from lapmark import Profiler\nwith Profiler('x') as p: p('a')\n", LAPMARK_PREFIX="on")
    assert all(re.match(r"\S+\[\d+/\d+\] ", line) for line in result.err.splitlines()), result


def test_prefix_with_names():
    """Of threads that are not the main one, and of tasks."""
    result = python("""
        import asyncio, threading
        from lapmark import Profiler
        def thread():
            with Profiler('in a thread') as p: p('a')
        one = threading.Thread(target=thread, name='worker 7')
        one.start()
        one.join()
        async def run():
            with Profiler('in a task') as p: p('b')
        async def both():
            await asyncio.create_task(run(), name='errand')
        asyncio.run(both())
        """, LAPMARK_PREFIX="on")
    lines = result.err.splitlines()
    assert len(lines) == 8 and all(re.match(r"\S+\[\d+/\d+\] worker 7: ", line) for line in lines[:4]), result
    assert all(re.match(r"\S+\[\d+/\d+\] errand: ", line) for line in lines[4:]), result


def test_streams_are_looked_up_when_it_prints():
    profiler = Profiler("late")
    saved, sys.stderr = sys.stderr, io.StringIO()
    try:
        profiler.finish()
        text = sys.stderr.getvalue()
    finally:
        sys.stderr = saved
    assert reports(text)[0].label == "late"


def test_streams_are_flushed_around_and_written_once():
    class Stream:
        """Notes what is done with it."""
        def __init__(self):
            self.calls = []

        def write(self, text):
            self.calls.append(text)
            return len(text)

        def flush(self):
            self.calls.append(None)
    saved, sys.stderr = sys.stderr, Stream()
    try:
        with Profiler("x") as profiler:
            profiler("a")
        calls = sys.stderr.calls
    finally:
        sys.stderr = saved
    assert len([call for call in calls if call is not None]) == 1
    assert calls[0] is None and calls[-1] is None


def test_streams_that_fail():
    class Failing:
        """Takes nothing."""
        def write(self, text):
            raise OSError("full")

        def flush(self):
            raise ValueError("closed")

    def failing_sink(_text):
        raise LookupError("x")

    def exiting_sink(_text):
        raise SystemExit(3)
    before = lapmark.counts()["sink_failed"]
    assert Profiler("file", file=Failing()).finish() > 0
    assert Profiler("sink", sink=failing_sink).finish() > 0
    assert Profiler("exit", sink=exiting_sink).finish() > 0
    assert Profiler("no file", file=5).finish() > 0
    saved, sys.stderr = sys.stderr, None
    try:
        Profiler("no stream").finish()
    finally:
        sys.stderr = saved

    def dies():
        profiler = Profiler("dies", file=Failing())
        profiler("a")
    dies()
    assert lapmark.counts()["sink_failed"] - before >= 5


def test_sink_that_makes_profilers():
    texts = []

    def sink(text):
        with Profiler("in the sink", sink=texts.append) as profiler:
            profiler("a")
        texts.append(text)
    before = lapmark.counts()["reentered"]
    Profiler("outer", sink=sink).finish()
    assert [report.label for report in reports("".join(texts))] == ["outer"]
    assert lapmark.counts()["reentered"] > before


def test_one_dies_in_the_sink():
    """It began before, so its report is not lost, and not inside the other."""
    texts = []
    held = [Profiler("held", sink=texts.append)]

    def sink(text):
        held.clear()
        texts.append(text)
    with Profiler("outer", sink=sink):
        pass
    assert sorted(report.label for report in reports("".join(texts))) == ["held", "outer"]


def test_ascii_stream():
    result = python("from lapmark import Profiler\nwith Profiler('ümläut') as p: p('漢')\n", LAPMARK_PRINT="stdout",
                    PYTHONIOENCODING="ascii")
    assert result.err == "" and result.out.count("\n") == 4 and result.out.startswith("> Entering "), result


def test_another_sink_than_the_parents():
    mine, theirs = [], []
    with Profiler("parent", sink=theirs.append) as parent:
        with Profiler("child", sink=mine.append) as child:
            child("a")
        parent("b")
    assert reports("".join(mine))[0].labels() == ["a"]
    assert reports("".join(theirs))[0].label == "parent" and "> Entering child" not in "".join(theirs)


def test_flush():
    texts = []
    with Profiler("outer", sink=texts.append):
        with Profiler("inner") as inner:
            inner("a")
        assert texts == []
        lapmark.flush()
        assert len(texts) == 1 and reports(texts[0])[0].labels() == ["a"]
        assert "(parent still open)" in texts[0]
    assert len(texts) == 2 and "> Entering inner" not in texts[1]


def test_size_of_a_report():
    texts = []

    def level(depth):
        with Profiler(f"level {chr(97 + depth)}", sink=texts.append) as profiler:
            for first in "abcdefghij":
                for second in "klm":
                    profiler(first + second)
                if depth:
                    level(depth - 1)
    level(4)
    assert len(texts) == 1
    assert len(texts[0].splitlines()) <= 1000 and len(texts[0]) <= 70000
    assert texts[0].splitlines()[-1].startswith("< Exiting level e")


def test_many_places_inside_one():
    """Each a row of its own; so they are cut at the report's limit, and the memory with it."""
    texts = []
    program = "\n".join(f"def f{number}():\n    profiler = Profiler('in f{number}')\n    profiler('x')" for number in range(1200))
    names = {"Profiler": Profiler}
    exec(program, names)  # pylint: disable=exec-used
    with Profiler("around", sink=texts.append):
        for number in range(1200):
            names[f"f{number}"]()
    lines = "".join(texts).splitlines()
    assert len(texts) == 1 and 500 < len(lines) <= 1000, len(lines)
    assert re.fullmatch(r"  \(\d+ more lines\)", lines[-2]) and lines[-1].startswith("< Exiting around")


def test_reports_of_processes_do_not_mix():
    """A report is one write(2), so those of processes do not mix."""
    program = """
        import os, sys
        from lapmark import Profiler
        for name in 'abcd':
            if os.fork() == 0:
                for turn in range(50):
                    with Profiler('process ' + name) as p:
                        for label in 'uvwxyz':
                            p(label)
                os._exit(0)
        for name in 'abcd':
            os.wait()
        """
    result = python(program)
    assert sorted(report.label for report in reports(result.err)) == sorted(50 * [f"process {name}" for name in "abcd"])


def test_nothing_failed_inside():
    """The last one: what goes wrong inside is counted and not raised."""
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
