# SPDX-License-Identifier: MIT
"""Tasks and threads: what a task makes is inside of what was around when the task was started, and never in another task's."""
import asyncio

from lapmark import Profiler


async def download(number):
    with Profiler(f'download {number}') as profiler:
        await asyncio.sleep(0.005 * number)
        profiler('received')
        await asyncio.to_thread(decode, number)
        profiler('decoded')


def decode(number):
    with Profiler('decode') as profiler:
        sum(range(10000 * number))
        profiler('summed')


async def main():
    with Profiler('all downloads') as profiler:
        await asyncio.gather(*(download(number) for number in (1, 2)))
        profiler('all here')


asyncio.run(main())
