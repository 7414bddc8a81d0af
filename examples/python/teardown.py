# SPDX-License-Identifier: MIT
"""What cleaning up costs, however the work ended: with an exception, by cancellation, at the interpreter's end."""
import asyncio
import os
import tempfile

from lapmark import Profiler


async def work(file, at_work):
    try:
        file.write(b'x' * 1000000)
        at_work.set()
        await asyncio.Event().wait()
    finally:
        with Profiler('teardown') as profiler:
            file.close()
            profiler('file closed')
            os.unlink(file.name)
            profiler('file removed')


async def main():
    at_work = asyncio.Event()
    with tempfile.NamedTemporaryFile(delete=False) as file:
        task = asyncio.create_task(work(file, at_work))
        await at_work.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass


asyncio.run(main())
