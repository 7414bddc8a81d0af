# SPDX-License-Identifier: MIT
"""What a user's code may do while a profiler calls it: sinks, str(), comparisons, finalizers. And misuse, which raises or is
counted. None of it crashes, hangs or prints twice."""
import sys

import common_python as common
from common_python import python

HEAD = """
import gc, os, sys, threading, time
import lapmark
from lapmark import Profiler
"""


def run(program, *arguments, **options):
    return python(HEAD + program, *arguments, **options)


def is_c():
    import lapmark  # pylint: disable=import-outside-toplevel
    return lapmark.implementation == "c"


# ---- sinks -----------------------------------------------------------------------------------------------------------


def test_sink_ends_and_drops_all_others():
    run("""
held = []
def sink(text):
    for other in list(held):
        other.finish()
    held.clear()
def function(i):
    a = Profiler('a', sink=sink)
    b = Profiler('b', sink=lambda text: sink(text))
    c = Profiler('c', sink=lambda text: sink(text))
    d = Profiler('d', sink=sink)
    if i % 2:
        held[:] = [a, b, c, d]
    c('x'), a('x')
for i in range(200):
    function(i)
lapmark.flush()
""")


def test_a_child_that_goes_ends_its_parent():
    result = run("""
def function():
    outer = Profiler('outer')
    inner = Profiler('inner', sink=lambda text: (texts.append(text), outer_of[0]()))
    outer_of[0] = outer.finish
    outer('a'), inner('b')
texts, outer_of = [], [None]
for _ in range(50):
    function()
    outer_of[0] = None
assert len(texts) == 50, len(texts)
""")
    assert len([line for line in result.err.splitlines() if line.startswith("> Entering outer")]) == 50, result


def test_flush_of_profilers_that_its_sink_drops():
    run("""
held = []
def sink(text):
    held.clear()
    gc.collect()
def deeper(n):
    held.append(Profiler('outer', sink=sink))
    for _ in range(3):
        Profiler('inner', ms_threshold=0).finish()
    if n:
        deeper(n - 1)
for _ in range(20):
    deeper(20)
    lapmark.flush()
    held.clear()
""")


def test_exit_with_sinks_that_drop_others():
    run("""
held = []
def sink(text):
    while held:
        held.pop()
def deeper(n):
    p = Profiler(f'p {n}', sink=lambda text: sink(text))
    p('x')
    held.append(p)
    if n:
        deeper(n - 1)
deeper(50)
""")


def test_exit_while_a_daemon_thread_writes():
    run("""
started = threading.Event()
def sink(text):
    started.set()
    time.sleep(60)
def work():
    Profiler('daemon', sink=sink).finish()
threading.Thread(target=work, daemon=True).start()
started.wait(10)
at_module_level = Profiler('at module level')
at_module_level('x')
""")


def test_fork_inside_of_a_sink():
    result = run("""
children = []
def sink(text):
    children.append(os.fork())
outer = Profiler('outer')
other = Profiler('other')
p = Profiler('p', sink=sink)
p('x')
p.finish()
again = [Profiler(f'again {i}') for i in range(5)]
for q in again:
    q('y')
other.finish()
for q in again:
    q.finish()
outer.finish()
if children[0]:
    assert os.waitpid(children[0], 0)[1] == 0
""")
    assert result.err.count("> Entering outer") == 1, result


def test_nothing_that_waits_is_printed_on_both_sides_of_a_fork():
    result = run("""
children = []
def sink(text):
    inner.finish()  # its report waits for the end of this one
    children.append(os.fork())
inner = Profiler('inner', file=sys.stderr)
p = Profiler('p', sink=sink)
p.finish()
if children[0]:
    assert os.waitpid(children[0], 0)[1] == 0
""")
    assert result.err.count("> Entering inner") == 1, result


def test_comparison_of_sinks_ends_the_parent():
    run("""
class Sink:
    def __call__(self, text): pass
    def __hash__(self): return 1
    def __eq__(self, other):
        while held:
            held.pop().finish()
        gc.collect()
        return False
held = []
def outer():
    held.append(Profiler('outer', sink=Sink()))
    inner()
def inner():
    Profiler('inner', sink=Sink()).finish()
for _ in range(100):
    outer()
""")


def test_sink_at_construction_drops_the_parent():
    run("""
held = []
def sink(text):
    held.clear()
def outer():
    held.append(Profiler('outer', sink=sink))
    inner()
def inner():
    p = Profiler('inner', delayed=False, sink=sink)
    p('x')
for _ in range(100):
    outer()
""")


def test_profilers_that_a_traceback_holds():
    result = run("""
def function(kind):
    a = Profiler('a')
    b = Profiler('b')
    a('x'), b('y')
    raise kind
for kind in (ValueError, KeyError):
    try:
        function(kind)
    except ValueError:
        pass
    except KeyError as error:
        kept = error
kept = None
""")
    assert [entry.label for report in common.reports(result.err) for entry in report.all()].count("b") == 2, result


# ---- str(), numbers, truth -------------------------------------------------------------------------------------------


def test_a_label_whose_text_ends_the_profiler():
    run("""
class Label:
    def __str__(self):
        p.finish()
        return 'label'
    def __int__(self):
        p.finish()
        return 7
for label, n in ((Label(), None), ('x', Label())):
    p = Profiler('p')
    p('first')
    total = p.finish  # the last lap is not behind the end
    assert p(label, n) == 0
    assert [lap.label for lap in p.laps] == ['first'], p.laps
""")


def test_construction_within_construction():
    run("""
class Twice:
    def __init__(self, p): self.p = p
    def __bool__(self):
        Profiler.__init__(self.p, 'inner')
        return False
class Mine(Profiler):
    def __init__(self):
        super().__init__('outer', disabled=Twice(self))
for _ in range(100):
    p = Mine()
    p('x')
    q = Profiler('other')
    p.finish()
    q.finish()
""")


def test_options_that_go_while_they_are_read():
    run("""
import functools
class Mine(Profiler): pass
class File:
    def __init__(self): self.text = 'x' * 100
    def write(self, text): self.text += text
    def flush(self): pass
class Message:
    def __str__(self):
        make.keywords.clear()
        gc.collect()
        return 'message'
for _ in range(100):
    make = functools.partial(Mine, msg=Message(), file=File(), n=10 ** 30)
    p = make()
    p('x')
    p.finish()
""")


# ---- long chains -----------------------------------------------------------------------------------------------------


def test_a_long_chain_of_sinks():
    if sys.version_info >= (3, 12) and not is_c():
        common.skip("the interpreter's own objects")
    run("""
p = None
for i in range(100_000):
    q = Profiler('x', sink=p, ms_threshold=1e9) if p is not None else Profiler('x', ms_threshold=1e9)
    q.finish()
    p = q
del p, q
""")


def test_deep_recursion_with_all_open():
    run("""
sys.setrecursionlimit(20_000)
threading.stack_size(64 << 20)
held = []
def deeper(n):
    p = Profiler(f'p {n}')
    held.append(p)
    if n:
        deeper(n - 1)
    else:
        held[0].finish()
def work():
    deeper(8_000)
thread = threading.Thread(target=work)
thread.start(), thread.join()
""")


def test_deep_recursion_below_the_threshold_is_not_kept():
    if not is_c():
        common.skip("the extension's blocks of text")
    run("""
import resource
def deeper(n):
    p = Profiler('p', ms_threshold=1e9)
    if n:
        deeper(n - 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
deeper(900)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 << 10
""")


def test_many_open_at_exit():
    run("""
many = []
for i in range(10_000):
    many.append(Profiler('many', ms_threshold=1e9))
start = time.monotonic()
""" + ("lapmark._lapmark._exit()" if is_c() else "") + """
assert time.monotonic() - start < 10, time.monotonic() - start
""")


# ---- threads ---------------------------------------------------------------------------------------------------------


def test_one_profiler_on_many_threads():
    run("""
sys.setswitchinterval(1e-6)
p = Profiler('p')
stop = []
class Label:
    def __str__(self): return 'label'
made = []
def mark():
    rounds = 0
    while not stop:
        rounds += 1
        for i in range(50):
            p(f'item {i}', n=i)
            p(Label())
            p('plain')
    made.append(150 * rounds)
def look():
    while not stop:
        for lap in p.laps:
            assert lap[1] >= 0
        lapmark.flush()
        repr(p)
threads = [threading.Thread(target=f) for f in (mark, mark, look, look)]
for thread in threads: thread.start()
time.sleep(1.5)
stop.append(1)
for thread in threads: thread.join()
total = p.finish()
assert sum(lap.count for lap in p.laps) == sum(made), (p.laps[:3], made)
assert abs(sum(lap.ms for lap in p.laps) - p.laps[-1].tot_ms) < 1e-3 and p.laps[-1].tot_ms <= total, (p.laps[-1], total)
""")


def test_parents_and_children_end_on_different_threads():
    run("""
import contextvars
sys.setswitchinterval(1e-6)
until = time.monotonic() + 1.5
def sink(text):
    time.sleep(0)
def child(i):
    p = Profiler(f'child {i}', sink=sink if i % 2 else None)
    p('x')
def parent(i):
    p = Profiler('parent', sink=sink if i % 3 else None)
    threads = [threading.Thread(target=contextvars.copy_context().run, args=(child, k)) for k in range(4)]
    for thread in threads: thread.start()
    p('started')
    p.finish()
    for thread in threads: thread.join()
i = 0
while time.monotonic() < until:
    parent(i)
    lapmark.flush()
    i += 1
""")


# ---- misuse ----------------------------------------------------------------------------------------------------------


def test_wrong_types():
    run("""
import copy, pickle, weakref
def must_raise(kinds, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except kinds:
        return
    raise AssertionError((function, args))
p = Profiler('p')
for bad in (object(), [], {}, b'x', 5, None, type, lambda: 0):
    q = Profiler(bad) if not callable(bad) or isinstance(bad, type) else p
    if q is not p:
        q(bad, n=bad), q.mark(bad), q.finish()
    Profiler('x', ms_threshold=bad, n=bad, delayed=bad).finish()
must_raise(TypeError, Profiler, 1, 2, 3, 4, 5, 6)
must_raise(TypeError, Profiler, wrong=1)
must_raise(TypeError, Profiler, **{f'k{i}': i for i in range(20)})
must_raise(TypeError, p, 1, 2, 3)
must_raise(TypeError, p, x=1)
must_raise(TypeError, p.finish, 1, 2)
must_raise((TypeError, AttributeError), Profiler.finish)
must_raise((TypeError, AttributeError), Profiler.mark, 5)
must_raise((TypeError, AttributeError), Profiler.__call__, 5, 'x')
must_raise(TypeError, pickle.dumps, p)
must_raise(TypeError, copy.copy, p)
must_raise(TypeError, copy.deepcopy, p)
class Bool:
    def __bool__(self): raise ValueError('no')
must_raise(ValueError, Profiler, 'x', disabled=Bool())
Profiler.__new__(Profiler)('x')
Profiler.__new__(Profiler).finish()
class Slots(Profiler):
    __slots__ = ('other',) if Profiler.__weakrefoffset__ else ('other', '__weakref__')
q = Slots('slots')
q.other = q
seen = []
r = weakref.ref(q, seen.append)
del q
gc.collect()
assert seen == [r]
class Dead(Profiler):
    def __del__(self):
        self('late')
        seen.append(self)  # lives on
    def __init__(self): super().__init__('dead')
Dead()
seen[-1]('again')
assert isinstance(seen[-1], Dead)
seen.clear()
gc.collect()
class Dead(Profiler):
    def __del__(self): pass
for i in range(10):
    q = Dead('without the end of its base')
    q.me = q
    del q
    gc.collect()
""", LAPMARK_PRINT="off")


def test_the_inner_types_are_nobodys():
    if not is_c():
        common.skip("the extension's types")
    run("""
import contextvars
def must_raise(function, *args):
    try:
        function(*args)
    except TypeError:
        return
    raise AssertionError((function, args))
p = Profiler('p')
switch = Profiler.__dict__['disable']
for other in (5, 'x', object(), Profiler):
    assert switch.__get__(other) is False
class Other:
    disable = switch
assert Other().disable is False
node = [value for value in contextvars.copy_context().values() if type(value).__module__.startswith('lapmark')][0]
token = sys._getframe().f_trace
for kind in (type(switch), type(node), type(token), type(p.__aenter__())):
    must_raise(kind)
    must_raise(object.__new__, kind)
""")


def test_a_frames_mark_in_other_hands():
    if not is_c():
        common.skip("the extension's mark in a frame")
    run("""
def function(i):
    p = Profiler('p')
    token = sys._getframe().f_trace
    other(token)
    if i % 3 == 0:
        sys._getframe().f_trace = None
        p('a')
        sys._getframe().f_trace = token
    elif i % 3 == 1:
        del sys._getframe().f_trace
    p('x')
    Profiler('inside').finish()
def other(token):
    sys._getframe().f_trace = token
    q = Profiler('q')
    q('y')
    q.finish()
for i in range(20):
    function(i)
""")


def test_lone_surrogates_while_garbage_is_collected():
    run("""
class Cycle:
    def __init__(self): self.me = self
    def __del__(self):
        while held:
            held.pop().finish()
held = []
def outer():
    p = Profiler('outer \\ud800', file=Null())
    held.append(p)
    for i in range(3):
        Cycle()
        q = Profiler('inner \\udfff é', n=i)
        held.append(q)
        q(f'label \\ud800 {i}')
        q.finish()
    p.finish()
class Null:
    def write(self, text): pass
gc.set_threshold(1)
for _ in range(100):
    outer()
""")


def test_out_of_memory():
    if not is_c():
        common.skip("the extension's allocations")
    try:
        import _testcapi  # pylint: disable=import-outside-toplevel
        _testcapi.set_nomemory  # pylint: disable=pointless-statement
    except (ImportError, AttributeError):
        common.skip("the interpreter has no _testcapi")
    result = python(HEAD + """
import _testcapi
class Mine(Profiler): pass
class Null:
    def write(self, text): pass
null, held = Null(), []
def everything(kind, i):
    p = kind(f'outer {i} word{i}', file=null, ms_threshold=0.0)
    q = kind('inner', n=i)
    for k in range(6):
        q('plain')
        q(f'item {k}')
        q(f'word w{i}{k}', n=k)
        p(None)
    q.laps
    q.finish('done')
    p.finish()
def attempt(kind, first, i):
    _testcapi.set_nomemory(first, first + 1)
    try:
        everything(kind, i)
    except MemoryError:
        pass
    finally:
        _testcapi.remove_mem_hooks()
everything(Profiler, 0), everything(Mine, 0)
for kind in (Profiler, Mine):
    for first in range(0, 250):
        attempt(kind, first, first)
        try:
            Profiler('whole').finish()
        except MemoryError:
            pass
assert Profiler('sound').finish() >= 0
os._exit(0)
""", LAPMARK_PRINT="off")
    del result


if __name__ == "__main__":
    common.main(globals())
