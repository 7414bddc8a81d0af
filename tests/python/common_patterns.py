# SPDX-License-Identifier: MIT
"""How checkpoint profilers are used, as users of another profiler wrote it down for each other, and what runs it. Nothing is
changed but `(...)` to real arguments; `Profiler` and all else that the code takes as given comes from outside."""
import ast
import asyncio
import inspect
import textwrap

FUNCTION = """
    async def my_function():
        profiler = Profiler(
            msg='my_function()',
            disabled=False,
            ms_threshold=0.0,
        )

        step1()
        profiler('step1')

        step2()
        profiler('step2')

        # auto-prints on exit
    """

LOOP = """
    # DON'T profile inside tight loops (overhead!)
    for i in range(1000):
        profiler(f'iteration {i}')  # NO!

    # DO profile around loops
    profiler = Profiler(msg='processing 1000 items')
    for i in range(1000):
        process(item[i])
    profiler('processed all items')
    """

CONDITION = """
    # only profile when investigating specific issue
    DEBUG_REPOSITION = True

    def reposition(self, array):
        if DEBUG_REPOSITION:
            profiler = Profiler(
                msg='GapAnnotations.reposition()',
                disabled=False,
            )

        # ... do work

        if DEBUG_REPOSITION:
            profiler('completed reposition')
    """

TEARDOWN = """
    try:
        # ... main work
        pass

    finally:
        profiler = Profiler(
            msg='Annotation teardown',
            disabled=False,
            ms_threshold=0.0,
        )

        cleanup_resources()
        profiler('resources cleaned')

        close_connections()
        profiler('connections closed')
    """

SERVER = """
    # piker/ui/_remote_ctl.py
    @tractor.context
    async def remote_annotate(ctx):
        async with ctx.open_stream() as stream:
            async for msg in stream:
                profiler = Profiler(
                    msg=f'Batch annotate {n} gaps',
                    disabled=False,
                    ms_threshold=0.0,
                )

                result = await handle_request(msg)
                profiler('request handled')

                await stream.send(result)
                profiler('result sent')
    """

CLIENT = """
    # piker/tsp/_annotate.py
    async def markup_gaps(actl, gaps, n):
        profiler = Profiler(
            msg=f'markup_gaps() for {n} gaps',
            disabled=False,
            ms_threshold=0.0,
        )

        await actl.redraw()
        profiler('initial redraw')

        specs = build_specs(gaps)
        profiler('built annotation specs')

        # IPC round-trip!
        result = await actl.add_batch(specs)
        profiler('batch IPC call complete')

        await actl.redraw()
        profiler('final redraw')
    """

REQUEST = """
    # Client side
    profiler = Profiler(msg='Remote request')
    result = await remote_call()
    profiler('got response')

    # Server side (in handler)
    profiler = Profiler(msg='Handle request')
    process_request()
    profiler('request processed')
    """

BATCH = """
    profiler = Profiler(msg='Batch processing')

    items = collect_all()
    profiler(f'collected {len(items)} items')

    results = numpy_batch_op(items)
    profiler('numpy op complete')

    output = {
        k: v
        for k, v in zip(keys, results)
    }
    profiler('dict built')
    """

STARTUP = """
    async def __aenter__(self):
        profiler = Profiler(msg='Service startup')

        await connect_to_broker()
        profiler('broker connected')

        await load_config()
        profiler('config loaded')

        await start_feeds()
        profiler('feeds started')

        return self
    """

FINER = """
    # was:
    result = big_function()
    profiler('big_function done')

    # now:
    profiler = Profiler(
        msg='big_function internals',
    )
    step1 = part_a()
    profiler('part_a')
    step2 = part_b()
    profiler('part_b')
    step3 = part_c()
    profiler('part_c')
    """

SCAN = """
    # looks simple but might be slow!
    result = array[array['time'] == timestamp]
    profiler('array lookup')

    # reveals O(n) scan per call
    for ts in timestamps:  # outer loop
        row = array[array['time'] == ts]  # O(n)!
    """

WIRE = """
    # was: can't tell where time is spent
    result = await remote_call(data)
    profiler('remote call done')

    # now: separate phases
    payload = prepare_payload(data)
    profiler('payload prepared')

    result = await remote_call(payload)
    profiler('IPC complete')

    parsed = parse_result(result)
    profiler('result parsed')
    """

ALL = {name.lower(): textwrap.dedent(text).lstrip("\n") for name, text in list(globals().items())
       if name.isupper() and isinstance(text, str)}


def compiled(name, before="", instead_of_pass="pass"):
    """The code of a pattern, which may await at its top level; behind a line that makes `profiler`, where it takes that as
    given, and with other work than none."""
    text = ALL[name].replace("\n    pass\n", f"\n    {instead_of_pass}\n")
    return compile(f"{before}\n{text}", f"<{name}>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run_in_task(code, names):
    awaited = eval(code, names)  # pylint: disable=eval-used
    if inspect.isawaitable(awaited):
        await awaited


def run(name, before="", **names):
    """Runs a pattern as a module whose names these are, and drops it. Returns what it left, without its profiler."""
    asyncio.run(run_in_task(compiled(name, before), names))
    names.pop("profiler", None)
    return names
