# SPDX-License-Identifier: MIT
"""What a profiler takes, returns and lists."""
import asyncio
import inspect
import math

from common_python import EXPECTED, busy, by_label, main, python, reports

import lapmark
from lapmark import Profiler


def printed(*args, **kwargs):
    """A profiler and the list that its reports go to."""
    texts = []
    return Profiler(*args, sink=texts.append, **kwargs), texts


def test_implementation():
    assert lapmark.implementation in ("c", "python")
    assert EXPECTED is None or lapmark.implementation == EXPECTED


def test_returns_milliseconds():
    profiler, texts = printed("work")
    busy(3)
    first = profiler("first")
    busy(2)
    second = profiler.mark("second")
    total = profiler.finish()
    assert isinstance(first, float) and isinstance(second, float) and isinstance(total, float)
    assert first >= 3 and second >= 2 and total >= first + second
    report, = reports("".join(texts))
    assert math.isclose(report.laps[0][1], first, rel_tol=0.01) and math.isclose(report.total, total, rel_tol=0.01)


def test_laps():
    profiler, _ = printed("work")
    returned = [profiler("a"), profiler("b", n=7), profiler()]
    laps = profiler.laps
    assert [lap.label for lap in laps] == ["a", "b", "2"]
    assert [lap.n for lap in laps] == [None, 7, None]
    assert all(math.isclose(lap.ms, ms, abs_tol=1e-6) for lap, ms in zip(laps, returned))
    assert math.isclose(laps[-1].tot_ms, sum(returned), rel_tol=1e-6)
    profiler.finish()
    assert [lap.label for lap in profiler.laps] == ["a", "b", "2"]


def test_laps_are_bounded():
    profiler, _ = printed("loop")
    for index in range(5000):
        profiler(f"turn {index}")
    laps = profiler.laps
    assert len(laps) == 1025 and laps[0].label == "(older)" and laps[0].count == 5000 - 1024
    assert [lap.label for lap in laps[1:]] == [f"turn {index}" for index in range(5000 - 1024, 5000)]
    assert sum(lap.count for lap in laps) == 5000
    assert math.isclose(sum(lap.ms for lap in laps), laps[-1].tot_ms, rel_tol=1e-6)
    profiler.finish()


def test_numbers_move_with_every_checkpoint():
    profiler, texts = printed("numbers")
    profiler()
    profiler("named")
    profiler()
    profiler.mark()
    profiler.finish()
    assert reports("".join(texts))[0].labels() == ["0", "named", "2", "3"]


def test_finish_is_idempotent():
    profiler, texts = printed("once")
    profiler("a")
    total = profiler.finish("last")
    assert profiler.finish() == total and profiler.finish("again") == total
    assert len(texts) == 1 and reports(texts[0])[0].labels() == ["a", "last"]
    del profiler
    assert len(texts) == 1


def test_marks_after_the_end():
    before = lapmark.counts()["after_end"]
    profiler, texts = printed("ended")
    profiler.finish()
    other, others = printed("other")
    assert profiler("late") == 0.0 and profiler.mark() == 0.0
    other("its own")
    other.finish()
    assert lapmark.counts()["after_end"] - before == 2
    assert [report.labels() for report in reports("".join(texts + others))] == [[], ["its own"]]
    assert profiler.laps == []


def test_all_ways_to_call():
    profiler, texts = printed(msg="kwargs", disabled=False, delayed=True, ms_threshold=0.0, n=3)
    profiler(msg="a")
    profiler.mark(msg="b")
    profiler("c", n=5)
    profiler(msg="d", n=6)
    profiler.finish(msg="e")
    report, = reports("".join(texts))
    assert report.labels() == list("abcde")
    assert "n=5" in texts[0] and "n=6" in texts[0] and ", n=3" in report.notes


def check_off(profiler):
    with profiler as inside:
        assert inside is profiler
        assert profiler("x") == 0.0 and profiler(msg="x") == 0.0 and profiler("x", n=3) == 0.0 and profiler() == 0.0
        assert profiler.mark() == 0.0 and profiler.mark(msg="x") == 0.0 and profiler.mark("x", n=1) == 0.0

    async def enter():
        async with profiler as inside:
            assert inside is profiler
    asyncio.run(enter())
    assert profiler.finish() == 0.0 and profiler.finish("x") == 0.0 and profiler.finish(msg="x") == 0.0
    assert profiler.laps == []
    profiler.disable = True
    assert profiler.disable is True
    assert isinstance(profiler, Profiler)


def test_off():
    truths = [True, 1, "yes", 2.5, [0]]
    try:
        import numpy  # pylint: disable=import-outside-toplevel
        truths.append(numpy.True_)
        truths.append(numpy.bool_(1))
    except ImportError:
        pass
    for truth in truths:
        texts = []
        check_off(Profiler("off", disabled=truth, sink=texts.append))
        assert texts == [], truth
    texts = []
    check_off(Profiler("off", disabled="env", sink=texts.append))
    assert texts == []


def test_on():
    falsehoods = [None, False, 0]
    try:
        import numpy  # pylint: disable=import-outside-toplevel
        falsehoods.append(numpy.False_)
    except ImportError:
        pass
    for falsehood in falsehoods:
        profiler, texts = printed("on", disabled=falsehood)
        profiler.finish()
        assert len(texts) == 1, falsehood


def test_positions_of_parameters():
    texts = []
    Profiler("p", False, True, 0.0, 9, sink=texts.append).finish()
    assert "n=9" in texts[0]
    Profiler("p", False, True, 1e6, sink=texts.append).finish()
    Profiler("p", True, sink=texts.append).finish()
    assert len(texts) == 1
    try:
        parameters = inspect.signature(Profiler).parameters
    except ValueError:
        return
    assert list(parameters) == ["msg", "disabled", "delayed", "ms_threshold", "n", "file", "sink"]
    assert parameters["file"].kind is parameters["sink"].kind is inspect.Parameter.KEYWORD_ONLY


def test_threshold():
    texts = []
    Profiler("fast", ms_threshold=1000, sink=texts.append).finish()
    assert texts == []
    slow = Profiler("slow", ms_threshold=2, sink=texts.append)
    busy(3)
    slow.finish()
    for never in (float("inf"), 1e300):
        Profiler("never", ms_threshold=never, sink=texts.append).finish()
    for always in (0, 0.0, -5, float("nan")):
        Profiler("always", ms_threshold=always, sink=texts.append).finish()
    assert [report.label for report in reports("".join(texts))] == ["slow"] + 4 * ["always"]


def test_ends_at_function_exit():
    texts = []

    def function():
        profiler = Profiler("inner", sink=texts.append)
        busy(2)
        profiler("step")
        busy(2)
        assert texts == []
    function()
    report, = reports("".join(texts))
    assert report.labels() == ["step"] and report.total >= 4 and report.rest >= 2 and "held" not in report.notes


def test_with():
    texts = []
    with Profiler("block", sink=texts.append) as profiler:
        profiler("a")
        busy(2)
    assert len(texts) == 1
    report, = reports(texts[0])
    assert report.labels() == ["a"] and report.total >= 2 and "held" not in report.notes
    try:
        with Profiler("raises", sink=texts.append):
            raise KeyError("x")
    except KeyError:
        pass
    else:
        assert False, "the exception was swallowed"
    assert len(texts) == 2


def test_async_with():
    texts = []

    async def run():
        async with Profiler("block", sink=texts.append) as profiler:
            await asyncio.sleep(0)
            profiler("a")
        assert len(texts) == 1
    asyncio.run(run())
    assert reports(texts[0])[0].labels() == ["a"]


def test_instance_switch_is_read_at_the_end():
    profiler, texts = printed("quiet")
    profiler("a")
    profiler.disable = True
    assert profiler("b") >= 0
    assert profiler.finish() > 0
    assert texts == []
    profiler, texts = printed("loud")
    profiler.disable = True
    profiler.disable = False
    profiler.finish()
    assert len(texts) == 1


def test_class_switch():
    class Own(Profiler):
        """Its switch is its own."""
    texts = []
    alive = Own("alive", sink=texts.append)
    Own.disable = True
    Own("made while off", sink=texts.append).finish()
    Profiler("another class", sink=texts.append).finish()
    alive.finish()
    Own.disable = False
    Own("on again", sink=texts.append).finish()
    assert [report.label for report in reports("".join(texts))] == ["another class", "on again"]
    assert Profiler.disable is False
    Profiler.disable = True
    try:
        Profiler("off", sink=texts.append).finish()
    finally:
        Profiler.disable = False
    assert len(texts) == 2


def test_subclass():
    class Mine(Profiler):
        """Other defaults, and attributes of its own."""
        def __init__(self, msg=None, **kwargs):
            super().__init__(msg, ms_threshold=0.0, sink=texts.append, **kwargs)
            self.mine = "mine"
    texts = []

    def function():
        profiler = Mine()
        profiler("a")
        return profiler.mine
    assert function() == "mine"
    report, = reports("".join(texts))
    assert report.label.endswith("function") and report.labels() == ["a"] and report.notes == ""


class Methods:
    """Names of methods."""

    def method(self, texts):
        profiler = Profiler(sink=texts.append)
        profiler("a")

    @classmethod
    def of_class(cls, texts):
        profiler = Profiler(sink=texts.append)
        profiler("a")


class Derived(Methods):
    """Inherits: the name is still that of the code."""


def test_default_name():
    texts = []

    def function():
        profiler = Profiler(sink=texts.append)
        profiler("a")
    function()
    Methods().method(texts)
    Derived().method(texts)
    Methods.of_class(texts)
    labels = [report.label for report in reports("".join(texts))]
    if hasattr(test_default_name.__code__, "co_qualname"):
        assert labels[0] == "test_default_name.<locals>.function"
    assert labels[0].endswith("function")
    assert labels[1:] == ["Methods.method", "Methods.method", "Methods.of_class"]


def test_default_name_at_module_level():
    result = python("from lapmark import Profiler\np = Profiler()\np('a')\np.finish()\n")
    assert by_label(result.err)["<module>"].labels() == ["a"]


def test_labels_that_are_no_strings():
    class Label:
        """Its text is asked for at once."""
        text = "early"

        def __str__(self):
            return self.text

    class Broken:
        """Has none."""
        def __str__(self):
            raise RuntimeError("no text")
    label = Label()
    profiler, texts = printed(("a", "tuple"))
    profiler(label)
    label.text = "late"
    profiler(12.5)
    profiler(b"bytes")
    profiler(Broken())
    profiler(["x"])
    profiler.finish(None)
    Profiler(Broken(), sink=texts.append).finish()
    report, broken = reports("".join(texts))
    assert report.label == "('a', 'tuple')"
    assert report.labels()[:3] == ["early", "12.5", "b'bytes'"] and report.labels()[4] == "['x']"
    assert "Broken" in report.labels()[3] and "Broken" in broken.label


def test_sizes_that_are_no_numbers():
    try:
        from numpy import int64  # pylint: disable=import-outside-toplevel
    except ImportError:
        int64 = int
    profiler, texts = printed("sizes", n=int64(4))
    profiler("a", n=int64(5))
    profiler("b", n=1 << 80)
    profiler("c", n="many")
    profiler("d", n=-3)
    profiler.finish()
    assert ", n=4" in texts[0].splitlines()[-1] and ", n=5" in texts[0] and ", n=-3" in texts[0]
    assert reports(texts[0])[0].labels() == list("abcd")


def test_decorated_function():
    texts = []

    @Profiler("plain", sink=texts.append)
    def function(first, *, second=2):
        """Its text."""
        busy(2)
        return first, second
    assert texts == []
    assert function(1, second=3) == (1, 3) and function(5) == (5, 2)
    assert function.__name__ == "function" and function.__doc__ == "Its text." and function.__wrapped__
    both = reports("".join(texts))
    assert [report.label for report in both] == ["plain", "plain"]
    assert all(report.total >= 2 and report.notes == "" for report in both)


def test_decorated_bare():
    result = python("""
        from lapmark import Profiler

        @Profiler
        def function():
            return 5

        class Class:
            @Profiler
            def method(self, value):
                return value

            @Profiler
            @staticmethod
            def static(value):
                return value

            @Profiler
            @classmethod
            def of_class(cls, value):
                return cls, value

        assert function() == 5
        assert Class().method(6) == 6
        assert Class.static(7) == 7 and Class().of_class(8) == (Class, 8)
        """)
    assert [report.label for report in reports(result.err)] == ["function", "Class.method", "Class.static", "Class.of_class"]


def test_decorated_recursion():
    texts = []

    @Profiler("depth", sink=texts.append)
    def function(depth):
        return 1 + (function(depth - 1) if depth else 0)
    assert function(2) == 3
    report, = reports("".join(texts))
    assert [entry.label for entry in report.all()] == 3 * ["depth"] and len(report.inside) == 1


def test_decorated_coroutine():
    texts = []

    @Profiler("co", sink=texts.append)
    async def function(value):
        await asyncio.sleep(0.002)
        return value
    assert inspect.iscoroutinefunction(function)
    assert asyncio.run(function(4)) == 4
    report, = reports("".join(texts))
    assert report.label == "co" and report.total >= 1.9 and report.notes == ""


def test_decorated_generator():
    texts = []

    @Profiler("gen", sink=texts.append)
    def function(count):
        received = []
        try:
            for index in range(count):
                received.append((yield index))
        except KeyError:
            received.append("caught")
            yield "after"
        return received
    assert inspect.isgeneratorfunction(function)
    assert list(function(3)) == [0, 1, 2] and len(texts) == 1
    generator = function(5)
    assert next(generator) == 0 and generator.send("sent") == 1 and generator.throw(KeyError("x")) == "after"
    try:
        next(generator)
    except StopIteration as stop:
        assert stop.value == ["sent", "caught"]
    generator = function(2)
    next(generator)
    generator.close()
    assert [report.label for report in reports("".join(texts))] == 3 * ["gen"]


def test_decorated_async_generator():
    texts = []
    closed = []

    @Profiler("agen", sink=texts.append)
    async def function(count):
        try:
            for index in range(count):
                try:
                    got = yield index
                    if got is not None:
                        yield got
                except KeyError:
                    yield "caught"
        finally:
            closed.append(count)
    assert inspect.isasyncgenfunction(function)

    async def run():
        assert [item async for item in function(3)] == [0, 1, 2]
        assert len(texts) == 1
        generator = function(5)
        assert await generator.__anext__() == 0
        assert await generator.asend("sent") == "sent"
        assert await generator.__anext__() == 1
        assert await generator.athrow(KeyError("x")) == "caught"
        await generator.aclose()
        assert closed == [3, 5]
    asyncio.run(run())
    assert [report.label for report in reports("".join(texts))] == ["agen", "agen"]


def test_decorated_and_off():
    @Profiler("off", disabled=True)
    def off(value):
        return value

    @Profiler("env", disabled="env")
    def env(value):
        return value
    assert off(1) == 1 and env(2) == 2


def test_file():
    class File:
        """Notes what is done with it."""
        def __init__(self):
            self.calls = []

        def write(self, text):
            self.calls.append(text)

        def flush(self):
            self.calls.append("flush")
    file = File()
    profiler = Profiler("to a file", file=file)
    profiler("a")
    profiler.finish()
    assert len([call for call in file.calls if call != "flush"]) == 1, file.calls
    assert file.calls[0] == "flush" and file.calls[-1] == "flush"
    report, = reports(file.calls[1])
    assert report.label == "to a file"


def test_nothing_failed_inside():
    """The last one: what goes wrong inside is counted and not raised."""
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
