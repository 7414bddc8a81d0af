# SPDX-License-Identifier: MIT
"""An implicit end is late by nature: where nobody ended a profiler its total runs to the last checkpoint, and what follows
is `held`, in no total and no threshold."""
import asyncio
import gc
import re
import sys

from common_python import LATE_MS, busy, by_label, main, python, reports

import lapmark
from lapmark import Profiler


def check_held(text, label, total_ms, held_ms):
    """One report whose total is the work's and not what came behind it."""
    report, = reports(text)
    assert report.label == label, text
    assert total_ms <= report.total < held_ms, text
    assert held_ms - 1 <= report.held <= held_ms + LATE_MS, text
    assert report.rest is None, text


def test_message_stream():
    """A server with 5 ms of work and a message each 60 ms."""
    texts = []

    async def stream():
        for number in range(4):
            await asyncio.sleep(0.06)
            yield number
        await asyncio.sleep(0.06)

    async def serve():
        async for message in stream():
            profiler = Profiler(f"message {message}", ms_threshold=0.0, sink=texts.append)
            busy(5)
            profiler("request handled")
            await asyncio.sleep(0)
            profiler("result sent")
    asyncio.run(serve())
    assert [report.label for report in reports("".join(texts))] == [f"message {number}" for number in range(4)]
    for text in texts:
        check_held(text, reports(text)[0].label, 5, 50)
    totals = sorted(report.total for report in reports("".join(texts)))
    assert totals[1] < 20, totals  # one or two may be late on a busy machine


def test_coroutine_ends_at_its_last_checkpoint():
    texts = []

    async def run():
        profiler = Profiler("co", sink=texts.append)
        busy(2)
        profiler("done")
        await asyncio.sleep(0.03)
    asyncio.run(run())
    check_held("".join(texts), "co", 2, 29)


def test_generator_ends_at_its_last_checkpoint():
    texts = []

    def generate():
        profiler = Profiler("gen", sink=texts.append)
        busy(2)
        profiler("first")
        yield 1
        yield 2
    generator = generate()
    next(generator)
    busy(30)
    generator.close()
    check_held("".join(texts), "gen", 2, 30)


def test_name_is_rebound():
    texts = []

    def function():
        profiler = Profiler("a", sink=texts.append)
        busy(2)
        profiler("work")
        busy(30)
        profiler = Profiler("b", sink=texts.append)
        profiler("more")
    function()
    a, b = texts
    check_held(a, "a", 2, 30)
    assert reports(b)[0].label == "b" and "held" not in b


def test_name_is_deleted():
    texts = []
    profiler = Profiler("deleted", sink=texts.append)
    busy(2)
    profiler("work")
    busy(30)
    del profiler
    check_held("".join(texts), "deleted", 2, 30)


def test_without_checkpoints():
    texts = []
    profiler = Profiler("none", sink=texts.append)
    busy(30)
    del profiler
    report, = reports("".join(texts))
    assert report.total == 0 and report.held >= 29


def test_traceback():
    texts = []

    def fails():
        profiler = Profiler("fails", sink=texts.append)
        busy(2)
        profiler("work")
        raise KeyError("x")

    def catches():
        try:
            fails()
        except KeyError as error:
            kept = error
            assert texts == []
            busy(30)
            del kept
    catches()
    check_held("".join(texts), "fails", 2, 30)


def test_exception_that_passes_through():
    """Caught by the caller and let go at once: held for next to nothing, and its total is still that of its work."""
    texts = []

    def fails():
        profiler = Profiler("fails", sink=texts.append)
        profiler("work")
        raise KeyError("x")
    try:
        fails()
    except KeyError:
        pass
    report, = reports("".join(texts))
    assert report.labels() == ["work"] and report.total == report.laps[0][2]


def test_exception_in_flight_survives():
    """A finalizer that prints while an exception passes."""
    result = python("""
        import sys
        from lapmark import Profiler

        class Sink:
            def write(self, text):
                try:
                    raise ValueError('inner')
                except ValueError:
                    pass
                sys.__stderr__.write(text)
            def flush(self):
                raise OSError('flush')

        def fails():
            try:
                profiler = Profiler('p', sink=lambda text: int('x'))
                raise KeyError('the one')
            finally:
                profiler = None
                other = Profiler('q', file=Sink())
                del other

        try:
            fails()
        except KeyError as error:
            assert error.args == ('the one',) and error.__context__ is None, error.__context__
            print('caught', error)
        assert sys.exc_info() == (None, None, None)
        """)
    assert result.out == "caught 'the one'\n" and "Exception ignored" not in result.err, result


def test_gc_cycle():
    texts = []

    class Holder:
        """Refers to itself."""
        def __init__(self):
            self.me = self
            self.profiler = Profiler("cycle", sink=texts.append)
            busy(2)
            self.profiler("work")
    gc.collect()
    gc.disable()
    try:
        Holder()
        busy(30)
        assert texts == []
        gc.collect()
    finally:
        gc.enable()
    check_held("".join(texts), "cycle", 2, 30)


def test_held_enters_no_threshold():
    texts = []
    profiler = Profiler("held", ms_threshold=25, sink=texts.append)
    profiler("work")
    busy(30)
    del profiler
    assert texts == []
    profiler = Profiler("not held", ms_threshold=25, sink=texts.append)
    profiler("work")
    busy(30)
    profiler.finish()
    assert len(texts) == 1


def test_returned_from_its_function():
    texts = []

    def make():
        profiler = Profiler("made", sink=texts.append)
        profiler("in make")
        return profiler
    profiler = make()
    busy(2)
    profiler("outside")
    busy(30)
    del profiler
    check_held("".join(texts), "made", 2, 30)


def test_stored_in_an_object():
    texts = []

    class Service:
        """Its start is timed from one method to another."""
        def __init__(self):
            self.profiler = Profiler("service", sink=texts.append)

        def started(self):
            busy(2)
            self.profiler("started")

    service = Service()
    service.started()
    busy(30)
    del service
    check_held("".join(texts), "service", 2, 30)


def test_stored_in_an_object_when_its_traceback_goes():
    """The frame outlives its call, and its end finds a profiler that somebody else holds."""
    class Holder:
        profiler = None

    def make():
        holder.profiler = Profiler("stored", sink=texts.append)
        holder.profiler("made")
        raise KeyError
    texts, holder = [], Holder()
    for _ in range(2):
        try:
            make()
        except KeyError:
            pass
        holder.profiler("used")
        holder.profiler = None
    assert [report.labels() for report in reports("".join(texts))] == [["made", "used"]] * 2, texts


def test_function_exit_is_no_hold():
    texts = []

    def function(early):
        profiler = Profiler("f", sink=texts.append)
        profiler("step")
        busy(3)
        if early:
            return "early"
        return len(texts)
    function(True)
    function(False)
    function(True)
    for report in reports("".join(texts)):
        assert report.rest >= 3 and report.total >= 3 and report.notes == ""
    assert len(texts) == 3


def test_function_exit_under_c_callers():
    texts = []

    def function(_argument):
        profiler = Profiler("f", sink=texts.append)
        profiler("step")
        busy(2)
        return 1
    assert sum(map(function, range(3))) == 3
    assert sorted([3, 2, 1], key=function) == [3, 2, 1]
    assert len(texts) == 6 and all(report.total >= 2 and "held" not in report.notes for report in reports("".join(texts)))


def test_two_in_one_function():
    """Their variables go one after the other, and that is one end."""
    texts = []

    def function():
        outer = Profiler("outer", sink=texts.append)
        outer("a")
        inner = Profiler("inner")
        inner("b")
        busy(2)
        return 5
    assert function() == 5
    assert len(texts) == 1, texts
    outer, = reports(texts[0])
    inner, = outer.inside
    assert (outer.label, outer.labels(), inner.label, inner.labels()) == ("outer", ["a"], "inner", ["b"])
    assert outer.notes == inner.notes == "" and outer.total >= inner.total >= 2


def test_two_in_one_coroutine():
    texts = []

    async def run():
        outer = Profiler("outer", sink=texts.append)
        outer("a")
        inner = Profiler("inner")
        inner("b")
        await asyncio.sleep(0)
    asyncio.run(run())
    report, = reports("".join(texts))
    assert [entry.label for entry in report.all()] == ["outer", "inner"] and "still open" not in texts[0]


def test_exit():
    """Module level, a suspended coroutine and generator, a daemon thread: each once, the outer before the inner."""
    result = python("""
        import asyncio, threading, time
        from lapmark import Profiler
        profiler = Profiler('module')
        profiler('loaded')

        async def coroutine():
            profiler = Profiler('suspended coroutine')
            profiler('before')
            await asyncio.get_running_loop().create_future()

        def generator():
            profiler = Profiler('suspended generator')
            profiler('before')
            yield

        suspended = generator()
        next(suspended)
        waiting = coroutine()
        loop = asyncio.new_event_loop()
        task = loop.create_task(waiting)
        loop.run_until_complete(asyncio.sleep(0))

        ready = threading.Event()
        def thread():
            profiler = Profiler('daemon thread')
            profiler('before')
            ready.set()
            time.sleep(1000)
        threading.Thread(target=thread, daemon=True).start()
        ready.wait()
        time.sleep(0.03)
        """, PYTHONWARNINGS="ignore")
    text = "\n".join(line for line in result.err.splitlines() if line.lstrip().startswith(("<", ">", "before", "loaded", "(")))
    entries = by_label(text)
    assert set(entries) == {"module", "suspended coroutine", "suspended generator", "daemon thread"}, result
    assert sum(1 for report in reports(text) for _ in report.all()) == 4, result
    for entry in entries.values():
        assert "(still open at exit)" in entry.notes and len(entry.laps) == 1, result
        assert entry.total <= entry.held and entry.held >= 29, result
    assert reports(text)[0].label == "module"


def test_made_in_finally_at_shutdown():
    result = python("""
        import atexit, sys
        from lapmark import Profiler

        class Late:
            def __del__(self):
                profiler = Profiler('late')
                profiler('cleaned')

        def teardown():
            try:
                raise KeyError('x')
            finally:
                profiler = Profiler('teardown')
                profiler('resources cleaned')
                profiler('connections closed')

        late = Late()
        try:
            teardown()
        except KeyError:
            pass
        atexit.register(lambda: Profiler('in atexit').finish())
        sys.exit(3)
        """, status=3)
    assert by_label(result.err)["teardown"].labels() == ["resources cleaned", "connections closed"]
    assert "in atexit" in by_label(result.err)
    assert "Traceback" not in result.err and "Exception ignored" not in result.err, result


def test_made_when_the_interpreter_is_nearly_gone():
    """In a `finally:` of a generator that nobody closed: its end comes behind the last atexit hook."""
    result = python("""
        from lapmark import Profiler
        def generator():
            try:
                yield
            finally:
                profiler = Profiler('teardown')
                profiler('cleaned')
        suspended = generator()
        next(suspended)
        """)
    assert [report.label for report in reports(result.err)] == ["teardown"], result
    assert reports(result.err)[0].labels() == ["cleaned"], result


def test_unhandled_exception():
    result = python("""
        from lapmark import Profiler
        def fails():
            profiler = Profiler('fails')
            profiler('step')
            raise KeyError('out')
        fails()
        """, status=1)
    assert "KeyError: 'out'" in result.err
    assert len(re.findall("^> Entering fails$", result.err, re.MULTILINE)) == 1, result
    assert len(re.findall("line 6, in fails|line 5, in fails", result.err)) == 1, result


def test_line_numbers_of_tracebacks():
    """Whatever is done to the frame must not change what a traceback says of it."""
    def fails():
        profiler = Profiler("fails", disabled=False, sink=lambda text: None)
        profiler("a")
        number = 1
        number += 1
        raise KeyError("x")  # the fifth line
    try:
        fails()
    except KeyError as error:
        assert error.__traceback__.tb_next.tb_lineno == fails.__code__.co_firstlineno + 5


def test_under_a_tracer():
    """A debugger's and a coverage tool's place in the frame is left to them."""
    texts, events = [], []

    def tracer(frame, event, _arg):
        events.append((frame.f_code.co_name, event))
        return tracer

    def function():
        profiler = Profiler("traced", sink=texts.append)
        profiler("a")
        inner()
        return 1

    def inner():
        profiler = Profiler("inner")
        profiler("b")
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        function()
    finally:
        sys.settrace(before)
    assert events.count(("function", "line")) >= 4 and ("function", "return") in events
    report, = reports("".join(texts))
    assert [entry.label for entry in report.all()] == ["traced", "inner"] and report.notes == ""


def test_a_tracer_that_comes_later():
    texts = []

    def function():
        profiler = Profiler("outer", sink=texts.append)

        def tracer(frame, event, _arg):
            return tracer
        sys._getframe().f_trace = tracer  # pylint: disable=protected-access
        sys.settrace(tracer)
        profiler("a")
        with Profiler("inner") as inner:
            inner("b")
        sys.settrace(None)
        return profiler("c")
    before = sys.gettrace()
    try:
        function()
    finally:
        sys.settrace(before)
    report, = reports("".join(texts))
    assert [entry.label for entry in report.all()] == ["outer", "inner"]


def test_nothing_failed_inside():
    """The last one: what goes wrong inside is counted and not raised."""
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
