# SPDX-License-Identifier: MIT
"""The patterns of common_patterns.py run as they are, and what they print is what they promise."""
import asyncio
import contextlib
import io
import sys
import threading

from common_python import EXPECTED, busy, by_label, main, python, reports, skip
from common_patterns import ALL, compiled, run, run_in_task

import lapmark
from lapmark import Profiler


class Waiting:
    """Waits in `await`, for at least so long."""

    def __init__(self, milliseconds, value=None):
        self.milliseconds, self.value, self.calls = milliseconds, value, []

    async def __call__(self, *arguments):
        self.calls.append(arguments)
        await asyncio.sleep(self.milliseconds / 1000)
        return self.value


class Work:
    """Keeps the processor, for so long."""

    def __init__(self, milliseconds, value=None):
        self.milliseconds, self.value, self.calls = milliseconds, value, []

    def __call__(self, *arguments):
        self.calls.append(arguments)
        busy(self.milliseconds)
        return self.value


def printed(function, *arguments, **names):
    """What it prints to stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as text:
        function(*arguments, **names)
    return text.getvalue()


def check(entry, *wanted, is_held=False):
    """Labels with the least of their laps in ms; they add up."""
    assert entry.labels() == [label for label, _ in wanted], entry
    for (label, least), (_, lap, _) in zip(wanted, entry.laps):
        assert lap >= least * 0.999, (label, entry)
    laps = [lap for _, lap, _ in entry.laps]
    for count, (_, _, total) in enumerate(entry.laps, 1):
        assert abs(total - sum(laps[:count])) < 0.001 * count, entry
    assert "open" not in entry.notes or "at exit" in entry.notes, entry
    if is_held or "open" in entry.notes:  # late by nature: it ends with its last checkpoint
        assert entry.total == entry.laps[-1][2] and entry.rest is None, entry
    else:
        assert entry.total >= entry.laps[-1][2] - 0.001, entry


def only(text):
    report, = reports(text)
    return report


def test_implementation():
    assert EXPECTED in (None, lapmark.implementation)


def test_all_of_them_are_here():
    assert len(ALL) == 12
    for name, text in ALL.items():
        compiled(name)
        assert text.count("profiler(") + text.count("Profiler(") >= 2 or name in ("condition", "scan"), text


# ---- entry and exit --------------------------------------------------------------------------------------------------


def entry_and_exit(after=lambda: None):
    names = {"Profiler": Profiler, "step1": Work(2), "step2": Work(3)}

    async def call():
        await run_in_task(compiled("function"), names)
        await names["my_function"]()
        after()
    asyncio.run(call())


def test_function():
    check(only(printed(entry_and_exit)), ("step1", 2), ("step2", 3), is_held=True)


def test_function_prints_by_itself_when_it_is_left():
    """Before its caller goes on."""
    text = printed(entry_and_exit, lambda: print("the caller goes on", file=sys.stderr))
    assert text.startswith("> Entering my_function()\n") and text.endswith("the caller goes on\n"), text
    assert only(text.replace("the caller goes on\n", "")).label == "my_function()"


# ---- loops -----------------------------------------------------------------------------------------------------------


def test_loops():
    """The 1000 turns that they warn of are one line; around the loop there is one checkpoint for all of it."""
    process = Work(0.003)
    text = printed(run, "loop", "profiler = Profiler(msg='inside')", Profiler=Profiler, process=process, item=list(range(1000)))
    inside, around = reports(text)
    assert inside.label == "inside" and [line.split(":")[0] for line in inside.lines] == ["iteration # (x1000)"], text
    assert around.label == "processing 1000 items", text
    check(around, ("processed all items", 3), is_held=True)
    assert process.calls == [(number,) for number in range(1000)]


def test_a_million_f_strings_in_a_loop():
    """The pure-Python one is given fewer, since it takes its time."""
    count = 1_000_000 if lapmark.implementation == "c" else 100_000

    def million():
        profiler = Profiler("inside")
        for i in range(count):
            profiler(f"iteration {i}")
        kept.extend((len(profiler.laps), profiler.laps[-1].label, sum(lap.count for lap in profiler.laps)))
    kept = []
    report = only(printed(million))
    assert [line.split(":")[0] for line in report.lines if not line.startswith("(rest)")] == [f"iteration # (x{count})"], report
    assert kept[0] <= 1100 and kept[1:] == [f"iteration {count - 1}", count], kept


# ---- by condition ----------------------------------------------------------------------------------------------------


def condition(is_debugged):
    names = {"Profiler": Profiler}
    exec(compiled("condition"), names)  # pylint: disable=exec-used
    assert names["DEBUG_REPOSITION"] is True
    names["DEBUG_REPOSITION"] = is_debugged
    annotations = type("GapAnnotations", (), {"reposition": names["reposition"]})()
    for _ in range(2):
        annotations.reposition(None)


def test_condition():
    text = printed(condition, True)
    first, second = reports(text)
    assert first.label == second.label == "GapAnnotations.reposition()", text
    check(first, ("completed reposition", 0))
    check(second, ("completed reposition", 0))


def test_condition_that_is_not_met():
    assert printed(condition, False) == ""


# ---- teardown --------------------------------------------------------------------------------------------------------


def run_teardown(instead_of_pass="pass", **names):
    eval(compiled("teardown", instead_of_pass=instead_of_pass),
           {"Profiler": Profiler, "cleanup_resources": Work(2), "close_connections": Work(1), **names})  # pylint: disable=eval-used


def check_teardown(text):
    report = only(text)
    assert report.label == "Annotation teardown", text
    check(report, ("resources cleaned", 2), ("connections closed", 1))


def test_teardown():
    check_teardown(printed(run_teardown))


def test_teardown_with_an_exception():
    """It goes on as it was, and the profiler, which its traceback holds, is reported all the same."""
    def function():
        try:
            run_teardown("raise KeyError('work')")
        except KeyError as error:
            caught.append((str(error), error.__context__))
    caught = []
    check_teardown(printed(function))
    assert caught == [("'work'", None)]


def test_teardown_with_an_exception_of_its_own():
    def fail():
        busy(1)
        raise OSError("cannot close")

    def function():
        try:
            run_teardown("raise KeyError('work')", close_connections=fail)
        except OSError as error:
            caught.append((str(error), type(error.__context__)))
    caught = []
    report = only(printed(function))
    check(report, ("resources cleaned", 2), is_held=True)
    assert caught == [("cannot close", KeyError)]


def test_teardown_when_asyncio_cancels():
    async def scenario():
        at_work = asyncio.Event()

        async def work():
            at_work.set()
            await asyncio.Event().wait()
        names = {"Profiler": Profiler, "cleanup_resources": Work(2), "close_connections": Work(1), "work": work}
        task = asyncio.ensure_future(run_in_task(compiled("teardown", instead_of_pass="await work()"), names))
        await at_work.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            ended.append("cancelled")
        del task
    ended = []
    check_teardown(printed(lambda: asyncio.run(scenario())))
    assert ended == ["cancelled"]


def test_teardown_when_trio_cancels():
    try:
        import trio  # pylint: disable=import-outside-toplevel
    except ImportError:
        skip("trio is not here")

    async def scenario():
        names = {"Profiler": Profiler, "cleanup_resources": Work(2), "close_connections": Work(1), "work": trio.sleep_forever}
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_in_task, compiled("teardown", instead_of_pass="await work()"), names)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        ended.append(scope.cancelled_caught)
    import trio.testing  # pylint: disable=import-outside-toplevel
    ended = []
    check_teardown(printed(lambda: trio.run(scenario)))
    assert ended == [False]


SHUTDOWN = """
    import sys
    sys.path.insert(0, {path!r})
    import time
    from common_patterns import compiled
    from lapmark import Profiler
    def busy(milliseconds, now=time.perf_counter):
        end = now() + milliseconds / 1000
        while now() < end:
            pass
    names = dict(Profiler=Profiler, cleanup_resources=lambda: busy(2), close_connections=lambda: busy(1))
    """


def test_teardown_at_the_interpreters_end():
    """In an atexit hook, with an exception that nobody catches, and in a generator that is closed by the end."""
    import os  # pylint: disable=import-outside-toplevel
    start = SHUTDOWN.format(path=os.path.dirname(os.path.abspath(__file__)))
    check_teardown(python(start + """
    import atexit
    def run():
        eval(compiled('teardown'), names)
        names.clear()
    atexit.register(run)
    """).err)
    check_teardown(python(start + "\n    eval(compiled('teardown', instead_of_pass='raise SystemExit(3)'), names)\n", status=3).err)
    check_teardown(python(start + """
    import textwrap
    from common_patterns import ALL
    exec('def generator():\\n' + textwrap.indent(ALL['teardown'].replace('    pass', '    yield'), '    '), names)
    suspended = names['generator']()
    next(suspended)
    """).err)


# ---- request and response --------------------------------------------------------------------------------------------


def test_request():
    """The second takes the first one's name, and is not inside it."""
    text = printed(run, "request", Profiler=Profiler, remote_call=Waiting(10), process_request=Work(2))
    client, server = reports(text)
    assert (client.label, server.label) == ("Remote request", "Handle request"), text
    check(client, ("got response", 10), is_held=True)
    check(server, ("request processed", 2), is_held=True)


# ---- batches ---------------------------------------------------------------------------------------------------------


def test_batch():
    try:
        import numpy  # pylint: disable=import-outside-toplevel
    except ImportError:
        skip("numpy is not here")
    items = numpy.arange(20000.0)
    names = {}

    def batch(length):
        names.update(run("batch", Profiler=Profiler, collect_all=Work(2, items[:length]), keys=[f"k{i}" for i in range(length)],
                         numpy_batch_op=numpy.sqrt))
    for length in (20000, 400):
        report = only(printed(batch, length))
        assert report.label == "Batch processing"
        check(report, (f"collected {length} items", 2), ("numpy op complete", 0), ("dict built", 0), is_held=True)
        assert len(names["output"]) == length and names["output"]["k9"] == 3.0


# ---- start-up --------------------------------------------------------------------------------------------------------


def test_startup():
    """In __aenter__: it is reported before the block begins."""
    def start():
        names = {"Profiler": Profiler, "connect_to_broker": Waiting(5), "load_config": Waiting(2), "start_feeds": Waiting(1)}
        exec(compiled("startup"), names)  # pylint: disable=exec-used

        async def leave(*_):
            print("left", file=sys.stderr)
        service = type("Service", (), {"__aenter__": names["__aenter__"], "__aexit__": leave})

        async def use():
            async with service() as entered:
                assert isinstance(entered, service)
                print("entered", file=sys.stderr)
        asyncio.run(use())
    text = printed(start)
    assert text.endswith("\nentered\nleft\n"), text
    report = only(text[:-len("entered\nleft\n")])
    assert report.label == "Service startup"
    check(report, ("broker connected", 5), ("config loaded", 2), ("feeds started", 1), is_held=True)


# ---- regressions -----------------------------------------------------------------------------------------------------


def test_finer():
    text = printed(run, "finer", "profiler = Profiler('the whole')", Profiler=Profiler, big_function=Work(4), part_a=Work(1),
                   part_b=Work(2.5), part_c=Work(0.5))
    whole, parts = reports(text)
    assert (whole.label, parts.label) == ("the whole", "big_function internals"), text
    check(whole, ("big_function done", 4), is_held=True)
    check(parts, ("part_a", 1), ("part_b", 2.5), ("part_c", 0.5), is_held=True)


def scan(size):
    import numpy  # pylint: disable=import-outside-toplevel
    array = numpy.zeros(size, dtype=[("time", "i8"), ("price", "f8")])
    array["time"] = numpy.arange(size)
    names = run("scan", f"profiler = Profiler('scan among {size}', n={size})", Profiler=Profiler, array=array, timestamp=size // 2,
                timestamps=range(0, size, size // 100))
    assert names["result"]["time"] == [size // 2] and names["row"]["time"] == [99 * (size // 100)]


def test_scan():
    """What looks like a lookup costs by the array's size: far more among many, with the size beside it."""
    try:
        __import__("numpy")
    except ImportError:
        skip("numpy is not here")
    lookups = {}
    for size in (1000, 1000000):
        totals = []
        for _ in range(3):
            report = only(printed(scan, size))
            check(report, ("array lookup", 0), is_held=True)
            assert report.notes.startswith(f", n={size}"), report
            totals.append(report.laps[0][1])
            assert report.held > 0.0 or size == 1000, report  # the loop's scans, behind the last checkpoint
        lookups[size] = min(totals)
    assert lookups[1000000] > 5 * lookups[1000], lookups


def test_wire():
    remote_call = Waiting(10, "reply")
    text = printed(run, "wire", "profiler = Profiler('wire')", Profiler=Profiler, data="data", remote_call=remote_call,
                   prepare_payload=Work(3, "payload"), parse_result=Work(2, "parsed"))
    report = only(text)
    check(report, ("remote call done", 10), ("payload prepared", 3), ("IPC complete", 10), ("result parsed", 2), is_held=True)
    assert remote_call.calls == [("data",), ("payload",)]


# ---- other ways through a program ------------------------------------------------------------------------------------


class Catalogue:
    """Layers that hand the caller's profiler on."""

    def build(self, texts):
        profiler = Profiler("build", sink=texts.append)
        self.load(profiler)
        profiler("own work")

    def load(self, profiler):
        for part in ("names", "prices"):
            self.read(part, profiler=profiler)
        profiler("loaded", n=2)

    @staticmethod
    def read(part, profiler):
        busy(1)
        profiler(f"read {part}")


def test_passed_through_helper_layers():
    texts = []
    Catalogue().build(texts)
    report = only("".join(texts))
    assert [label.split(",")[0] for label in report.labels()] == ["read names", "read prices", "loaded", "own work"], texts
    assert all(lap >= 0.999 for _, lap, _ in report.laps[:2]) and "(held" not in report.notes, texts


def test_default_argument_that_does_nothing():
    """A helper that takes a profiler, or none: one that is off takes the same calls."""
    def helper(profiler=Profiler(disabled=True)):
        profiler("helped")
    texts = []
    helper()
    with Profiler("caller", sink=texts.append) as profiler:
        helper(profiler)
    assert only("".join(texts)).labels() == ["helped"]


def test_passed_to_a_thread_and_a_callback():
    texts = []

    def work(profiler, name):
        with lock:
            profiler(name)
    lock = threading.Lock()
    with Profiler("shared", sink=texts.append) as profiler:
        threads = [threading.Thread(target=work, args=(profiler, f"by thread {name}")) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        list(map(lambda number: profiler("called back"), range(2)))
    report = only("".join(texts))
    assert sorted(report.labels()) == ["by thread a", "by thread b", "by thread c", "called back", "called back"], texts


def test_generator_pipeline():
    """Each stage has its own; marks go to whose name they are called by, whatever runs in between."""
    texts = []

    def source():
        with Profiler("source", sink=texts.append) as profiler:
            for number in range(3):
                profiler("made")
                yield number

    def double(numbers):
        with Profiler("double", sink=texts.append) as profiler:
            for number in numbers:
                profiler("doubled")
                yield 2 * number
    assert list(double(source())) == [0, 2, 4]
    found = by_label("".join(texts))
    assert found["source"].labels() == ["made"] * 3 and found["double"].labels() == ["doubled"] * 3, texts


def test_closure():
    texts = []

    def outer():
        profiler = Profiler("outer", sink=texts.append)

        def step(name):
            busy(0.5)
            return profiler(name)
        return step("first") + step("second")
    total = outer()
    report = only("".join(texts))
    assert report.labels() == ["first", "second"] and abs(report.laps[-1][2] - total) < 0.01, texts


def test_nothing_failed_inside():
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
