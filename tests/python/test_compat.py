# SPDX-License-Identifier: MIT
"""The drop-ins for code written for other profilers: their switches and names, and none of their bugs."""
import re

from common_python import main, python, reports

PYQTGRAPH = """
    import sys, types
    from lapmark.compat.pyqtgraph import Profiler
    """
PIKER = """
    from lapmark.compat.piker import Profiler, pg_profile_enabled, ms_slower_then, timeit
    from lapmark.compat import piker
    """
BOTH = (PYQTGRAPH, PIKER)

SITES = """
    class Base:
        def paint(self):
            profiler = Profiler()
            profiler('drawn')
    class Item(Base):
        pass
    def function():
        profiler = Profiler()
        profiler('done')
        def inner():
            profiler = Profiler('a message')
            profiler('in it')
        inner()
    exec('def update():\\n    p = Profiler()\\n    p("x")\\n', namespace)
    namespace['update']()
    Item().paint()
    function()
    """


def sites(start):
    return start + "\n    namespace = {'__name__': 'package.graphics.item', 'Profiler': Profiler}" + SITES


def labels(text):
    return [entry.label for report in reports(text) for entry in report.all()]


def test_off_without_their_variable():
    for start in BOTH:
        result = python(sites(start))
        assert result.out == result.err == ""


def test_names():
    """Class of a local `self` (the object's, not the definer's), else the module without its first part, and the code's name."""
    for start in BOTH:
        assert labels(python(sites(start), PYQTGRAPHPROFILE="Item.paint").out) == ["Item.paint"]
        assert labels(python(sites(start), PYQTGRAPHPROFILE="Base.paint").out) == []
        assert labels(python(sites(start), PYQTGRAPHPROFILE="graphics.item.update").out) == ["graphics.item.update"]
        assert labels(python(sites(start), PYQTGRAPHPROFILE="__main__.inner").out) == ["a message"]
        result = python(sites(start), PYQTGRAPHPROFILE=" Item.paint , graphics.item.update,,")
        assert labels(result.out) == ["graphics.item.update", "Item.paint"] and result.err == ""


def test_also_by_lapmarks_variable():
    for start in BOTH:
        assert labels(python(sites(start), LAPMARK="*paint,a message").out) == ["Base.paint", "a message"]
        assert labels(python(sites(start), LAPMARK="-*", PYQTGRAPHPROFILE="Item.paint").out) == []


def test_where_it_prints():
    for start in BOTH:
        result = python(start + "\n    Profiler('x', disabled=False).finish()\n", LAPMARK_PRINT="stderr")
        assert result.out == "" and labels(result.err) == ["x"]
        result = python(start + "\n    Profiler('x', disabled=False).finish()\n", LAPMARK_PRINT="off")
        assert result.out == result.err == ""
        result = python(start + """
    import io
    sys = __import__('sys')
    profiler = Profiler('x', disabled=False)
    saved, sys.stdout = sys.stdout, io.StringIO()
    profiler.finish()
    text, sys.stdout = sys.stdout.getvalue(), saved
    print(text.upper())
    """)
        assert result.out.startswith("> ENTERING X\n")


def test_disabled():
    program = """
    for disabled in (True, 1, 'env', False, None, 0):
        profiler = Profiler(f'{disabled!r}', disabled, delayed=True)
        profiler('a')
        profiler.finish()
    """
    for start in BOTH:
        assert labels(python(start + program).out) == ["False", "None", "0"]


def test_their_names_for_options_and_attributes():
    for start in BOTH:
        result = python(start + """
    profiler = Profiler(msg='x', disabled=False, delayed=False)
    profiler.mark('a')
    profiler('b')
    profiler()
    profiler.disable = False
    assert profiler._profilers == []
    profiler.finish(msg='last')
    Profiler.disable = True
    Profiler('y', disabled=False).finish()
    """)
        report, = reports(result.out)
        assert report.labels() == ["a", "b", "2", "last"], result


def test_default_message():
    for start in BOTH:
        result = python(start + """
    class Class:
        def method(self):
            Profiler('', disabled=False).finish()
            Profiler(disabled=False).finish()
            Profiler(None, False).finish()
    Class().method()
    """)
        assert labels(result.out) == 3 * ["Class.method"]


def test_rebinding_in_a_method():
    """Asking for the caller's `self` must not keep the profiler of the turn before."""
    for start in BOTH:
        result = python(start + """
    class Class:
        def method(self):
            for number in range(3):
                profiler = Profiler(f'turn {number}', disabled='env')
                profiler('x')
                if number:
                    assert printed == [f'turn {earlier}' for earlier in range(number)], printed
    import io, sys
    class Out(io.StringIO):
        def write(self, text):
            printed.append(text.split('\\n')[0].replace('> Entering ', ''))
    printed = []
    saved, sys.stdout = sys.stdout, Out()
    Class().method()
    sys.stdout = saved
    print(printed)
    """, PYQTGRAPHPROFILE="Class.method")
        assert result.out == "['turn 0', 'turn 1', 'turn 2']\n", result


# ---- theirs has a bug in each of these -----------------------------------------------------------------------------------


def test_percent_in_labels_and_names():
    for start in BOTH:
        for delayed in (True, False):
            result = python(start + f"""
    for name in ('50% done', '%s %d', 'fine'):
        profiler = Profiler(name, disabled=False, delayed={delayed})
        profiler('100%')
        profiler('%(x)s')
        profiler.finish()
    """)
            assert [(report.label, report.labels()) for report in reports(result.out)] == \
                [(name, ["100%", "%(x)s"]) for name in ("50% done", "%s %d", "fine")] and result.err == ""


def test_the_same_calls_when_off():
    for start in BOTH:
        result = python(start + """
    for disabled in (True, 'env'):
        profiler = Profiler('x', disabled=disabled)
        profiler('a'); profiler(msg='b'); profiler(); profiler.mark(); profiler.mark(msg='c')
        with profiler as inside:
            inside('d', n=3)
        profiler.finish(); profiler.finish('e'); profiler.finish(msg='f')
    """)
        assert result.out == result.err == ""


def test_disable_while_alive():
    """Later reports are whole, and their indent is right."""
    for start in BOTH:
        result = python(start + """
    def quiet():
        profiler = Profiler('quiet', disabled=False)
        profiler('a')
        profiler.disable = True
    quiet()
    def loud():
        profiler = Profiler('loud', disabled=False)
        profiler('b')
    loud()
    """)
        report, = reports(result.out)
        assert report.label == "loud" and result.out.startswith("> Entering loud\n")


def test_mark_after_finish():
    for start in BOTH:
        result = python(start + """
    one = Profiler('one', disabled=False)
    one.finish()
    one('late')
    two = Profiler('two', disabled=False)
    two('mine')
    two.finish()
    """)
        assert [(report.label, report.labels()) for report in reports(result.out)] == [("one", []), ("two", ["mine"])]


def test_in_a_loop():
    for start in BOTH:
        result = python(start + """
    def loop():
        for number in range(3):
            profiler = Profiler(f'it{number}', disabled=False)
            profiler('x')
    loop()
    """)
        assert [[entry.label for entry in report.all()] for report in reports(result.out)] == [["it0"], ["it1"], ["it2"]]


def test_generators():
    for start in BOTH:
        result = python(start + """
    def generate():
        profiler = Profiler('generator', disabled=False)
        profiler('g')
        yield
    def caller():
        generator = generate()
        next(generator)
        profiler = Profiler('caller', disabled=False)
        profiler('c')
        profiler.finish()
        generator.close()
    caller()
    """)
        assert [(report.label, report.labels(), report.inside) for report in reports(result.out)] == \
            [("caller", ["c"], []), ("generator", ["g"], [])]


def test_threads_that_overlap():
    """Each is printed when it ends, not when all have, and starts at the left margin."""
    for start in BOTH:
        result = python(start + """
    import io, sys, threading
    held = Profiler('held by another thread', disabled=False)
    def work(name):
        with Profiler(name, disabled=False) as profiler:
            profiler('x')
    for number in range(4):
        thread = threading.Thread(target=work, args=(f'thread {number}',))
        thread.start()
        thread.join()
    print('---')
    held.finish()
    """)
        before, after = result.out.split("---\n")
        assert labels(before) == [f"thread {number}" for number in range(4)] and labels(after) == ["held by another thread"]


def test_exception():
    for start in BOTH:
        result = python(start + """
    def fails():
        profiler = Profiler('fails', disabled=False)
        profiler('x')
        raise KeyError
    try:
        fails()
    except KeyError as error:
        kept = error
    profiler = Profiler('later', disabled=False)
    profiler('y')
    profiler.finish()
    """)
        assert [report.label for report in reports(result.out)][0] == "later"
        assert reports(result.out)[0].inside == []


def test_fork():
    for start in BOTH:
        result = python(start + """
    import os
    outer = Profiler('outer', disabled=False)
    outer('before')
    with Profiler('inner', disabled=False): pass
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    outer.finish()
    """)
        assert labels(result.out) == ["outer", "inner"]


def test_parent_before_child_and_threshold():
    result = python(PIKER + """
    import time
    with Profiler('outer', disabled=False, ms_threshold=0.0) as profiler:
        with Profiler('fast child', disabled=False, ms_threshold=10000): pass
        with Profiler('child', disabled=False): pass
    with Profiler('below', disabled=False, ms_threshold=10000):
        with Profiler('slow child', disabled=False): pass
    """)
    assert labels(result.out) == ["outer", "fast child", "child", "slow child"]


def test_piker_switches():
    result = python(PIKER + """
    assert pg_profile_enabled() is False
    def site():
        profiler = Profiler('site', disabled=not pg_profile_enabled(), ms_threshold=ms_slower_then)
        profiler('x')
    site()
    piker._pg_profile = True
    assert pg_profile_enabled() is True and ms_slower_then == 0 and not ms_slower_then
    site()
    print('---')
    piker.ms_slower_then = 10000
    assert ms_slower_then == 10000 and ms_slower_then > 5 and float(ms_slower_then) == 10000.0 and ms_slower_then / 2 == 5000
    site()
    piker.ms_slower_then = 0
    site()
    """)
    before, after = result.out.split("---\n")
    assert labels(before) == ["site"] and labels(after) == ["site"], result


def test_piker_switch_reaches_spawned_processes():
    result = python("""
    import multiprocessing
    from lapmark.compat.piker import Profiler, pg_profile_enabled
    def work():
        profiler = Profiler('server side', disabled=not pg_profile_enabled())
        profiler('x')
    if __name__ == '__main__':
        process = multiprocessing.get_context('spawn').Process(target=work)
        process.start()
        process.join()
    """, LAPMARK="server*")
    assert labels(result.out) == ["server side"], result


def test_piker_timeit():
    result = python(PIKER + """
    import asyncio
    @timeit
    def function(a, b=2):
        "Its text."
        return a + b
    @timeit
    async def coroutine():
        await asyncio.sleep(0.01)
        return 5
    assert function(1) == 3 and function.__doc__ == 'Its text.'
    assert asyncio.run(coroutine()) == 5
    """)
    first, second = result.out.splitlines()
    assert re.fullmatch(r".*function.*: \d+\.\d+ sec", first) and re.fullmatch(r".*coroutine.*: 0\.0[1-9]\d+ sec", second), result


if __name__ == "__main__":
    main(globals())
