# SPDX-License-Identifier: MIT
"""A profiler's parent is the innermost live one whose frame is on the call stack; one that is not there counts only where
another task or thread made it before it started this one. And what becomes of those whose parent ends before them."""
import asyncio
import concurrent.futures
import contextvars
import threading

from common_python import busy, by_label, main, reports, skip

import lapmark
from lapmark import Profiler


class Texts(list):
    """What is printed: `append` is the sink that all share."""

    @property
    def tree(self):
        """(label, [inside...]) of each report, in the order of printing."""
        def shape(entry):
            return (entry.label, [shape(inside) for inside in entry.inside])
        return [shape(report) for report in reports("".join(self))]


def test_call_stack():
    texts = Texts()

    def a():
        profiler = Profiler("a", sink=texts.append)
        profiler("x")
        b()

    def b():
        return c()

    def c():
        profiler = Profiler("c")
        profiler("y")
        with Profiler("d"):
            e()

    def e():
        profiler = Profiler("e")
        profiler("z")
    a()
    assert texts.tree == [("a", [("c", [("d", [("e", [])])])])]


def test_siblings():
    texts = Texts()

    def child(name):
        profiler = Profiler(name)
        profiler("x")
    with Profiler("parent", sink=texts.append):
        child("a")
        child("b")
        with Profiler("c"):
            child("d")
        child("e")
    assert texts.tree == [("parent", [("a", []), ("b", []), ("c", [("d", [])]), ("e", [])])]


def test_closures_and_recursion():
    texts = Texts()

    def make():
        profiler = Profiler("make", sink=texts.append)

        def closure():
            inner = Profiler("closure", sink=texts.append)
            inner("x")
        closure()
        profiler("made")
        return closure

    def fibonacci(n):
        profiler = Profiler("fibonacci", sink=texts.append)
        profiler(f"n {n}")
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
    closure = make()
    closure()
    assert texts.tree == [("make", [("closure", [])]), ("closure", [])]
    texts.clear()
    assert fibonacci(3) == 2
    assert len(texts) == 1 and sum(1 for _ in reports(texts[0])[0].all()) == 5


def test_interleaved_tasks():
    """Each awaits while the other runs; nothing of one is in the other's report."""
    texts = Texts()

    async def task(name, mine, others):
        profiler = Profiler(name, sink=texts.append)
        for step in range(3):
            await mine.acquire()
            await inner(f"inner {name} {step}", others)
            profiler(f"step {step}")
        others.release()

    async def inner(name, others):
        with Profiler(name) as profiler:
            others.release()
            await asyncio.sleep(0)
            profiler("in it")

    async def run():
        one, two = asyncio.Semaphore(1), asyncio.Semaphore(0)
        await asyncio.gather(task("one", one, two), task("two", two, one))
    asyncio.run(run())
    assert sorted(texts.tree) == [(name, [(f"inner {name} {step}", []) for step in range(3)]) for name in ("one", "two")]


def test_task_is_its_spawners_child():
    texts = Texts()

    async def child(name):
        with Profiler(name) as profiler:
            await asyncio.sleep(0)
            profiler("x")
            await grandchild(name)

    async def grandchild(name):
        with Profiler(f"in {name}"):
            await asyncio.sleep(0)

    async def run():
        with Profiler("parent", sink=texts.append):
            await asyncio.gather(child("a"), child("b"))
    asyncio.run(run())
    assert texts.tree == [("parent", [("a", [("in a", [])]), ("b", [("in b", [])])])]


def test_spawner_inside_a_profiler_around_the_loop():
    texts = Texts()

    async def child():
        with Profiler("child"):
            await asyncio.sleep(0)

    async def run():
        with Profiler("main"):
            await asyncio.create_task(child())
        await asyncio.create_task(child())
    with Profiler("outside", sink=texts.append):
        asyncio.run(run())
    assert texts.tree == [("outside", [("main", [("child", [])]), ("child", [])])]


def test_spawner_deep_in_its_task():
    """It waits in coroutines that wait, and in an `async for`, which is another kind of waiting."""
    texts = Texts()

    async def child(name):
        with Profiler(name, sink=texts.append):
            await asyncio.sleep(0)

    async def deep(depth):
        if depth:
            return await deep(depth - 1)
        with Profiler("deep", sink=texts.append):
            return await asyncio.create_task(child("of deep"))

    async def generate():
        with Profiler("generator", sink=texts.append):
            await asyncio.create_task(child("of the generator"))
            yield 1

    async def run():
        await deep(3)
        async for _ in generate():
            pass
    asyncio.run(run())
    assert texts.tree == [("deep", [("of deep", [])]), ("generator", [("of the generator", [])])]


def test_later_profilers_of_a_task_are_its_spawners_children_too():
    texts = Texts()

    async def child():
        for number in range(3):
            with Profiler(f"child {number}", sink=texts.append):
                await asyncio.sleep(0)

    async def run():
        with Profiler("parent", sink=texts.append):
            await asyncio.create_task(child())
    asyncio.run(run())
    assert texts.tree == [("parent", [("child 0", []), ("child 1", []), ("child 2", [])])]


def test_a_profiler_that_the_spawner_makes_later_is_no_parent():
    texts = Texts()

    async def child(event):
        await event.wait()
        with Profiler("child", sink=texts.append):
            await asyncio.sleep(0)

    async def run():
        event = asyncio.Event()
        task = asyncio.create_task(child(event))
        await asyncio.sleep(0)
        with Profiler("later", sink=texts.append):
            event.set()
            await task
    asyncio.run(run())
    assert texts.tree == [("child", []), ("later", [])]


def test_task_that_outlives_its_parent():
    texts = Texts()

    async def child(event):
        await event.wait()
        with Profiler("child", sink=texts.append) as profiler:
            profiler("x")

    async def run():
        event = asyncio.Event()
        with Profiler("parent", sink=texts.append):
            task = asyncio.create_task(child(event))
            await asyncio.sleep(0)
        with Profiler("another", sink=texts.append):
            event.set()
            await task
    asyncio.run(run())
    assert texts.tree == [("parent", []), ("child", []), ("another", [])]


def test_suspended_generator():
    """It is no parent of its caller's, and its caller's is the parent of what it makes while it runs."""
    texts = Texts()

    def generate():
        profiler = Profiler("generator", sink=texts.append)
        profiler("started")
        yield 1
        with Profiler("in the generator"):
            pass
        yield 2
        profiler("ended")

    def caller():
        for number in generate():
            with Profiler(f"in the caller {number}", sink=texts.append) as profiler:
                profiler("x")
    caller()
    assert texts.tree == [("in the caller 1", []), ("in the caller 2", []), ("generator", [("in the generator", [])])]


def test_generator_in_a_profiler():
    texts = Texts()

    def generate():
        with Profiler("generator"):
            yield 1
            yield 2

    def caller():
        profiler = Profiler("caller", sink=texts.append)
        for number in generate():
            with Profiler(f"step {number}") as step:
                step("x")
        profiler("done")
    caller()
    assert [entry[0] for entry in texts.tree] == ["caller"]
    assert sorted(texts.tree[0][1]) == [("generator", []), ("step 1", []), ("step 2", [])]


def test_async_generator():
    texts = Texts()

    async def generate():
        with Profiler("generator", sink=texts.append):
            for number in range(2):
                await asyncio.sleep(0)
                yield number

    async def run():
        async for number in generate():
            with Profiler(f"in the caller {number}", sink=texts.append):
                await asyncio.sleep(0)
    asyncio.run(run())
    assert texts.tree == [("in the caller 0", []), ("in the caller 1", []), ("generator", [])]


def test_spawned_while_a_generator_is_suspended():
    texts = Texts()

    def generate():
        with Profiler("generator", sink=texts.append):
            yield 1

    async def child():
        with Profiler("child", sink=texts.append):
            await asyncio.sleep(0)

    async def run():
        generator = generate()
        next(generator)
        await asyncio.create_task(child())
        generator.close()
    asyncio.run(run())
    assert texts.tree == [("child", []), ("generator", [])]


def held_by_a_traceback(texts):
    def fails():
        profiler = Profiler("held", sink=texts.append)
        profiler("a")
        raise KeyError("x")
    try:
        fails()
    except KeyError as error:
        return error
    return None


def test_held_by_a_traceback_adopts_nothing():
    texts = Texts()
    err = held_by_a_traceback(texts)
    with Profiler("later", sink=texts.append) as profiler:
        profiler("x")
    assert texts.tree == [("later", [])]
    del err
    assert texts.tree == [("later", []), ("held", [])]


def test_held_by_a_traceback_adopts_no_new_loop():
    texts = Texts()
    err = held_by_a_traceback(texts)

    async def run():
        with Profiler("in the loop", sink=texts.append):
            await asyncio.sleep(0)
        await asyncio.create_task(child())

    async def child():
        with Profiler("in a task", sink=texts.append):
            await asyncio.sleep(0)
    asyncio.run(run())
    assert texts.tree == [("in the loop", []), ("in a task", [])]
    del err


def test_held_by_a_task_that_failed():
    texts = Texts()

    async def fails():
        profiler = Profiler("failed", sink=texts.append)
        profiler("a")
        raise KeyError("x")

    async def child():
        with Profiler("child", sink=texts.append):
            await asyncio.sleep(0)

    async def run():
        try:
            await fails()
        except KeyError as error:
            kept = error
            await asyncio.create_task(child())
            del kept
    asyncio.run(run())
    assert texts.tree == [("child", []), ("failed", [])]


def test_stored_in_objects():
    """The frame of a constructor is gone when the next runs at the same place."""
    texts = Texts()

    class Service:
        """Has a profiler for its life."""
        def __init__(self, name):
            self.profiler = Profiler(name, sink=texts.append)

        def use(self):
            with Profiler("use", sink=texts.append):
                pass
    services = [Service(name) for name in "abc"]
    for service in services:
        service.use()
    for service in services:
        service.profiler.finish()
    assert texts.tree == 3 * [("use", [])] + [("a", []), ("b", []), ("c", [])]


def test_threads():
    """Overlapping for long: nothing of one is in another's report, and each reports when it ends."""
    texts = Texts()
    barrier = threading.Barrier(4)

    def thread(name):
        for turn in range(5):
            with Profiler(f"{name} {turn}", sink=texts.append) as profiler:
                barrier.wait()
                with Profiler(f"inner {name} {turn}") as inner:
                    barrier.wait()
                    inner("x")
                profiler("y")
                barrier.wait()
    threads = [threading.Thread(target=thread, args=(name,)) for name in "abcd"]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(texts.tree) == sorted((f"{name} {turn}", [(f"inner {name} {turn}", [])]) for name in "abcd" for turn in range(5))


def test_plain_thread_inherits_nothing():
    """It has a new context; so it is nobody's child, and above all not a wrong one's."""
    texts = Texts()

    def thread():
        with Profiler("thread", sink=texts.append):
            pass
    with Profiler("main", sink=texts.append):
        one = threading.Thread(target=thread)
        one.start()
        one.join()
    assert [tree for tree in texts.tree if tree[0] == "thread"] in ([("thread", [])], [])
    assert len(list(by_label("".join(texts)))) == 2


def test_thread_with_a_copied_context():
    texts = Texts()

    def thread():
        with Profiler("thread"):
            with Profiler("in it"):
                pass
    with Profiler("main", sink=texts.append):
        context = contextvars.copy_context()
        one = threading.Thread(target=context.run, args=(thread,))
        one.start()
        one.join()
    assert texts.tree == [("main", [("thread", [("in it", [])])])]


def test_contexts_copied_before_it_was_made():
    """What serves one profiler after another in a context is not seen in a copy of it that is older than the profiler."""
    other = contextvars.ContextVar("other")

    def changed(context):
        context.run(other.set, 1)
        return context

    def thread():
        with Profiler("thread", sink=texts.append):
            pass
    for make in (contextvars.copy_context, lambda: changed(contextvars.copy_context())):
        texts = Texts()
        for _ in range(3):
            with Profiler("before", sink=texts.append):
                pass
        context = make()
        texts.clear()
        with Profiler("main", sink=texts.append):
            one = threading.Thread(target=context.run, args=(thread,))
            one.start()
            one.join()
        assert texts.tree == [("thread", []), ("main", [])], texts.tree


def test_to_thread():
    texts = Texts()

    def work(name):
        with Profiler(name):
            with Profiler(f"in {name}"):
                pass

    async def run():
        with Profiler("parent", sink=texts.append):
            await asyncio.gather(asyncio.to_thread(work, "a"), asyncio.to_thread(work, "b"))
    asyncio.run(run())
    (label, inside), = texts.tree
    assert label == "parent" and sorted(inside) == [("a", [("in a", [])]), ("b", [("in b", [])])]


def test_executor():
    """One thread, used again: a job has nothing of the job before."""
    texts = Texts()
    leaked = []

    def work(name):
        leaked.append(Profiler(f"leaked {name}", sink=texts.append))
        with Profiler(name, sink=texts.append):
            pass
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        for name in "abc":
            executor.submit(work, name).result()
    leaked.clear()
    labels = [entry.label for report in reports("".join(texts)) for entry in report.all() if not entry.notes.endswith("(still open)")]
    assert sorted(labels) == ["a", "b", "c", "leaked a", "leaked b", "leaked c"]
    for label, inside in texts.tree:
        assert all(label == f"leaked {name}" for name, _ in inside), texts.tree


def test_trio():
    try:
        import trio  # pylint: disable=import-outside-toplevel
    except ImportError:
        skip("no trio")
        return
    texts = Texts()

    async def child(name):
        with Profiler(name) as profiler:
            await trio.sleep(0)
            profiler("x")
            with Profiler(f"in {name}"):
                await trio.sleep(0)

    def work():
        with Profiler("thread"):
            pass

    async def late(event):
        await event.wait()
        with Profiler("late", sink=texts.append):
            await trio.sleep(0)

    async def run():
        async with trio.open_nursery() as outer:
            event = trio.Event()
            with Profiler("parent", sink=texts.append):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(child, "a")
                    nursery.start_soon(child, "b")
                await trio.to_thread.run_sync(work)
                outer.start_soon(late, event)
                await trio.sleep(0)
            with Profiler("another", sink=texts.append):
                event.set()
                await trio.sleep(0.01)
    trio.run(run)
    parent = texts.tree[0]
    assert parent[0] == "parent" and sorted(parent[1]) == [("a", [("in a", [])]), ("b", [("in b", [])]), ("thread", [])]
    assert sorted(texts.tree[1:]) == [("another", []), ("late", [])]


# ---- rebinding -------------------------------------------------------------------------------------------------------


def test_rebinding():
    """The new begins while the old lives, and is not its child."""
    texts = Texts()

    def function():
        profiler = Profiler("a", sink=texts.append)
        profiler("in a")
        profiler = Profiler("b", sink=texts.append)
        profiler("in b")
        profiler = Profiler("c", sink=texts.append)
        return profiler("in c")
    function()
    assert texts.tree == [("a", []), ("b", []), ("c", [])]
    assert [report.labels() for report in reports("".join(texts))] == [["in a"], ["in b"], ["in c"]]
    assert "still open" not in "".join(texts)


def test_rebinding_moves_to_the_grandparent():
    texts = Texts()

    def loop():
        for number in range(3):
            profiler = Profiler(f"turn {number}")
            busy(0.1)
            profiler("x")
    with Profiler("around", sink=texts.append):
        loop()
    assert texts.tree == [("around", [("turn 0", []), ("turn 1", []), ("turn 2", [])])]


def test_parent_that_ends_first():
    texts = Texts()
    parent = Profiler("parent", sink=texts.append)
    child = Profiler("child", sink=texts.append)
    child("before")
    parent("x")
    parent.finish()
    assert len(texts) == 1
    report, = reports(texts[0])
    assert report.label == "parent" and any("child" in entry.label and "(still open)" in entry.notes for entry in report.inside)
    child("after")
    child.finish()
    report, = reports(texts[1])
    assert report.label == "child" and report.labels() == ["before", "after"] and report.notes == ""


def test_parent_that_ends_by_a_call_is_no_rebinding():
    texts = Texts()
    parent = Profiler("parent", sink=texts.append)
    child = Profiler("child", sink=texts.append)
    parent.finish()
    assert "> Entering child" in texts[0] and "(still open)" in texts[0]
    child.finish()
    assert reports(texts[1])[0].label == "child"


def test_parent_that_dies_with_an_open_child():
    """It had a checkpoint, so it stays what it was; and its parent is printed without waiting for it."""
    texts = Texts()

    def function():
        outer = Profiler("outer", sink=texts.append)
        inner = Profiler("inner", sink=texts.append)
        inner("x")
        outer = None
        assert len(texts) == 1 and "(still open)" in texts[0]
        inner("y")
        return outer
    function()
    assert [report.label for report in reports("".join(texts))] == ["outer", "inner"]
    assert reports(texts[1])[0].labels() == ["x", "y"]


def test_child_that_is_returned():
    texts = Texts()

    def make():
        outer = Profiler("outer", sink=texts.append)
        outer("x")
        inner = Profiler("inner", sink=texts.append)
        inner("y")
        return inner
    inner = make()
    inner("z")
    inner.finish()
    both = reports("".join(texts))
    assert [report.label for report in both] == ["outer", "inner"]
    assert both[1].labels() == ["y", "z"]


def test_nothing_failed_inside():
    """The last one: what goes wrong inside is counted and not raised."""
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
