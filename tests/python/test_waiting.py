# SPDX-License-Identifier: MIT
"""lapmark.trace_loop(): a lap over an await says how much of it was running, waiting, and the loop's work for others."""
import re

from common_python import main, python, skip

FORM = re.compile(r"^\s*(.*?)(?: \(x\d+\))?: (\d+\.\d+) ms, tot: \d+\.\d+ ms.*? \(running (\d+\.\d), waiting (\d+\.\d), loop busy with others (\d+\.\d)\)$",
                  re.MULTILINE)
START = """
    import asyncio, sys, time
    import lapmark
    from lapmark import Profiler

    def busy(milliseconds):
        end = time.perf_counter() + milliseconds / 1000
        while time.perf_counter() < end:
            pass
    """


def laps(text):
    """{label: (lap, running, waiting, busy)} of the laps that have times."""
    return {found[0]: tuple(map(float, found[1:])) for found in FORM.findall(text)}


def check_sum(found):
    for label, (lap, running, waiting, busy) in found.items():
        assert abs(running + waiting - lap) <= 0.2, (label, found)
        assert busy <= waiting + 0.2, (label, found)


ASYNCIO = START + """
    async def main():
        lapmark.trace_loop()
        profiler = Profiler('main')
        busy(5)
        profiler('no await')
        busy(4)
        await asyncio.sleep(0.05)
        busy(4)
        profiler('slept')
        asyncio.create_task(other())
        await asyncio.sleep(0.06)
        profiler('others')
        busy(3)
        await asyncio.sleep(0)
        profiler('turn')

    async def other():
        busy(20)
        await asyncio.sleep(0)
        busy(20)
    """


def check_asyncio(text):
    found = laps(text)
    check_sum(found)
    assert set(found) == {"slept", "others", "turn"}, text
    assert found["slept"][1] >= 7.9 and found["slept"][2] >= 40, text
    assert found["slept"][1] < found["slept"][2], text
    assert found["others"][1] < 20 and found["others"][3] >= 39, text
    assert found["turn"][1] >= 2.9, text


def test_asyncio():
    check_asyncio(python(ASYNCIO + "\n    asyncio.run(main())\n").err)


def test_asyncio_in_debug_mode():
    check_asyncio(python(ASYNCIO + "\n    asyncio.run(main(), debug=True)\n", PYTHONWARNINGS="ignore").err.split("Executing")[0])


def test_before_there_is_a_loop():
    check_asyncio(python(ASYNCIO + "\n    lapmark.trace_loop()\n    lapmark.trace_loop()\n    asyncio.run(main())\n").err)


def test_off_without_it():
    text = python(ASYNCIO.replace("lapmark.trace_loop()", "pass") + "\n    asyncio.run(main())\n").err
    assert "slept: " in text and "running" not in text


def test_each_task_has_its_own():
    text = python(START + """
    async def task(name, milliseconds):
        profiler = Profiler(name)
        for turn in range(3):
            busy(milliseconds)
            await asyncio.sleep(0)
        profiler(f'{name} worked')

    async def main():
        lapmark.trace_loop()
        await asyncio.gather(task('quick', 1), task('slow', 12))
    asyncio.run(main())
    """).err
    found = laps(text)
    check_sum(found)
    assert found["quick worked"][1] >= 2.9 and found["slow worked"][1] >= 35.9, text
    assert found["quick worked"][3] >= 23.9, text
    assert found["slow worked"][3] < found["quick worked"][3], text


def test_folded_laps():
    text = python(START + """
    async def main():
        lapmark.trace_loop()
        with Profiler('main') as profiler:
            for turn in range(6):
                busy(1)
                await asyncio.sleep(0.002)
                profiler(f'turn {turn}')
    asyncio.run(main())
    """).err
    found = laps(text)
    check_sum(found)
    assert found["turn #"][1] >= 5.9 and found["turn #"][2] >= 10, text


def test_trio():
    try:
        import trio  # pylint: disable=import-outside-toplevel
    except ImportError:
        skip("no trio")
        return
    assert trio
    program = START.replace("asyncio", "trio") + """
    async def main():
        IN
        profiler = Profiler('main')
        busy(5)
        profiler('no await')
        busy(4)
        await trio.sleep(0.05)
        busy(4)
        profiler('slept')
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await trio.sleep(0.06)
        profiler('others')
        busy(3)
        await trio.sleep(0)
        profiler('turn')

    async def other():
        busy(20)
        await trio.sleep(0)
        busy(20)
    """
    check_asyncio(python(program.replace("IN", "lapmark.trace_loop()") + "\n    trio.run(main)\n").err)
    check_asyncio(python(program.replace("IN", "") + "\n    trio.run(main, instruments=[lapmark.trace_loop()])\n").err)


if __name__ == "__main__":
    main(globals())
