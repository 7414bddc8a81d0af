# SPDX-License-Identifier: MIT
"""Does everything that a Profiler can do, for test_memory.py to watch: each function of KINDS is one kind of use, and is called
again and again. As a program: `exercise.py COUNT` calls each so often; ends with 0 if nothing inside failed."""
import asyncio
import sys
import threading

import lapmark
from lapmark import Profiler


class Null:
    def write(self, text):
        pass


class Raises:
    def write(self, text):
        raise ValueError("no room")


class Text:
    def __str__(self):
        return "a text of its own"


class GivenText(str):
    """A text that is more than one."""


class Without:
    def __str__(self):
        raise ValueError("no text")


class Mine(Profiler):
    def __init__(self, name):
        super().__init__(name, file=NULL, ms_threshold=BELOW)
        self.me = None


class Cycle(Profiler):
    pass


NULL, RAISES, TEXT, WITHOUT = Null(), Raises(), Text(), Without()
BELOW = 1e9  # a threshold that nothing takes
SINKS = []
KEPT = [None]
LONG = Profiler("of all", file=NULL, ms_threshold=BELOW)
OFF = Profiler("off", disabled=True)


def sink(text):
    SINKS[:] = [text]


def bad_sink(text):
    raise KeyError(text)


@Profiler("decorated", file=NULL, ms_threshold=BELOW)
def decorated(i):
    return i


@Profiler("generator", file=NULL, ms_threshold=BELOW)
def generator(i):
    yield i
    yield i


@Profiler("coroutine", file=NULL, ms_threshold=BELOW)
async def coroutine(i):
    async with Profiler("inside", file=NULL, ms_threshold=BELOW) as profiler:
        profiler("step")
    return i


def use_construct(_):
    Profiler("constructed", ms_threshold=BELOW)


def use_no_message(_):
    profiler = Profiler(ms_threshold=BELOW)
    profiler()
    profiler.mark()


def use_distinct(i):
    profiler = Profiler(f"message m{i:x}", ms_threshold=BELOW)
    profiler(f"label l{i:x}")


def use_constant(_):
    LONG("constant")


def use_fstring(i):
    LONG(f"item {i} of {i / 3}")


def use_size(i):
    LONG("sized", n=i)
    LONG("large", n=10 ** 40)
    LONG("none", n="no number")


def use_objects(i):
    LONG(TEXT)
    LONG(WITHOUT)
    LONG(i)
    LONG.mark(msg=None)
    LONG(b"bytes")


def use_odd_texts(i):
    LONG(f"%s {{}} \n \x1b[31m \ud800 {i}")
    LONG("é" * 300)


def use_nested(i):
    outer = Profiler("outer", file=NULL)
    for k in range(5):
        inner = Profiler("inner", n=k)
        inner("a"), inner("b")
        inner.finish("last")
    outer(f"step {i}")
    return outer.finish()


def use_below(_):
    outer = Profiler("outer", file=NULL, ms_threshold=BELOW)
    inner = Profiler("inner", ms_threshold=BELOW)
    inner("a")
    del inner
    outer("b")


def use_with(_):
    with Profiler("with", ms_threshold=BELOW) as profiler:
        profiler("a")


def use_rebinding(_):
    profiler = Profiler("first", ms_threshold=BELOW)
    profiler = Profiler("second", ms_threshold=BELOW)
    profiler("a")


def use_laps(_):
    profiler = Profiler("laps", ms_threshold=BELOW)
    for k in range(40):
        profiler("a", n=k)
        profiler(f"b {k}")
    assert len(profiler.laps) == 80 and repr(profiler)


def use_sink(_):
    profiler = Profiler("sink", sink=sink)
    profiler("a")


def use_bad_sinks(_):
    Profiler("sink", sink=bad_sink).finish()
    Profiler("file", file=RAISES).finish()
    Profiler("nothing", file=object()).finish()


def use_immediate(_):
    profiler = Profiler("immediate", delayed=False, file=NULL)
    profiler("a")


def use_decorated(i):
    decorated(i)


def use_generator(i):
    for _ in generator(i):
        pass
    next(generator(i))


def use_coroutine(i):
    task = coroutine(i)
    try:
        task.send(None)
    except StopIteration:
        pass


def use_exceptions(_):
    def fails():
        first = Profiler("first", ms_threshold=BELOW)
        second = Profiler("second", ms_threshold=BELOW)
        first("a"), second("b")
        raise ValueError
    try:
        fails()
    except ValueError as error:
        KEPT[0] = error
    KEPT[0] = None


def use_off(_):
    OFF("a")
    OFF.mark("b", n=1)
    OFF.finish("c")
    Profiler("off", disabled=True)("x")
    Profiler("env", disabled="env")


def use_wrong(_):
    for arguments, keywords in (((1, 2, 3, 4, 5, 6), {}), ((), {"wrong": 1})):
        try:
            Profiler(*arguments, **keywords)
        except TypeError:
            pass
    for arguments, keywords in (((1, 2, 3), {}), ((), {"wrong": 1}), ((1,), {"msg": 2})):
        try:
            LONG(*arguments, **keywords)
        except TypeError:
            pass


def use_subclass(_):
    profiler = Mine("mine")
    profiler("a")


def use_cycle(_):
    profiler = Cycle("cycle", ms_threshold=BELOW)
    profiler.me = profiler


def use_disable(_):
    profiler = Profiler("switched", file=NULL)
    profiler.disable = True
    Profiler.disable = True
    Profiler("class")
    Profiler.disable = False


def use_after_end(_):
    profiler = Profiler("ended", ms_threshold=BELOW)
    profiler.finish()
    profiler("late")
    profiler.finish("later")


def use_calls(i):
    with Profiler(f"client {i}", ms_threshold=BELOW) as profiler:
        with profiler.call(f"call {i}") as call:
            with lapmark.serve(f"serve {i}", call.request, lapmark.now(), ms_threshold=BELOW, n=i) as serving:
                serving.call("further").end()
                call.reply = bytearray(serving.reply())
        assert call.error is None and call.traceparent and call.total_ms > call.server_ms and call.there_ms is None
        profiler("a")
        for reply in (b"short", "text", None, object(), lapmark.serve("x", b"none", "never", ms_threshold=BELOW).reply()):
            profiler.call("wrong").end(reply)
        profiler("a", n=i)
        profiler.call("never ended")
        late = profiler.call("late")
        profiler.call("in the rest").end(reply=call.reply)
        repr(late)
    late.end()
    OFF.call("off").reply = b"x"
    for arguments, keywords in (((), {}), ((1, 2), {}), ((1, None, None, 2), {}), ((1,), {"msg": 2}), ((1,), {"wrong": 2}),
                                ((1,), {str(number): 0 for number in range(20)})):
        try:
            (lapmark.serve if len(arguments) != 2 and arguments else OFF.call)(*arguments, **keywords)
        except TypeError:
            pass
    lapmark.share("domain")
    lapmark.share("nothing")


def use_wishes(i):
    lapmark.accept("slow")
    for threshold in (1e-6, BELOW):
        with Profiler("client", ms_threshold=threshold, sink=lambda text: None) as profiler:
            call = profiler.call("call")
            with lapmark.serve(f"serve {i}", call.request, ms_threshold=BELOW, sink=lambda text: None) as serving:
                serving("a")
                call.end(serving.reply())
    lapmark.accept("nothing")


def use_links(i):
    given = f"00-{i + 1:032x}-00f067aa0ba902b7-01"
    with lapmark.serve("serve", given, ms_threshold=BELOW) as request:
        with Profiler("batch", ms_threshold=BELOW) as batch:
            for other in (given, "none", "", None, 1, object(), request.call("x"), OFF.call("x"), "\ud800", GivenText(given)):
                batch.link(other)
                batch.call("again", follows=other).sent()
            assert batch.context()[3:35] == request.context()[3:35] == given[3:35]
            late = batch.call("late")
        assert lapmark.child_environment(batch, {})["TRACEPARENT"] == batch.context()
    late.sent()
    late.end()
    batch.link(given)
    assert OFF.context() == "" and OFF.link(given) is None and OFF.call("x").sent() == 0.0
    for wrong in (lambda: OFF.call("x", wrong=1), lambda: OFF.call("x", "y"), lambda: OFF.call(msg="x", follows=1, wrong=2),
                  OFF.call):
        try:
            wrong()
        except TypeError:
            pass


def use_module(_):
    lapmark.flush()
    lapmark.counts()
    lapmark.set("nothing*:5")


KINDS = {name[len("use_"):]: value for name, value in list(globals().items()) if name.startswith("use_")}


def with_threads_and_loops():
    def work():
        profiler = Profiler("thread", file=NULL)
        profiler("a")
    for _ in range(10):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    async def tasks():
        lapmark.trace_loop()

        async def task(i):
            profiler = Profiler("task", file=NULL)
            await asyncio.sleep(0.001)
            profiler("waited", n=i)
        await asyncio.gather(*(task(i) for i in range(5)))
    asyncio.run(tasks())


def main():
    for function in KINDS.values():
        for i in range(int(sys.argv[1])):
            function(i)
    with_threads_and_loops()
    for i in range(3000):
        LONG("a", n=i)
    assert len(LONG.laps) == 1025
    LONG.finish()
    assert not lapmark.counts()["failed"], lapmark.counts()


if __name__ == "__main__":
    main()
