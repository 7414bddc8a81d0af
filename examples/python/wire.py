# SPDX-License-Identifier: MIT
"""The wire apart from the work: what is made before, what is on its way, what is made of the answer. trace_loop() tells, too, how
much of a lap over an `await` was spent waiting, and how much of that the loop was busy with others."""
import asyncio
import json

import lapmark
from lapmark import Profiler


async def remote_call(payload):
    await asyncio.sleep(0.02)
    return payload


async def ask(data):
    with Profiler('ask') as profiler:
        payload = json.dumps(data)
        profiler('payload prepared')
        result = await remote_call(payload)
        profiler('IPC complete')
        json.loads(result)
        profiler('result parsed')


async def other():
    for _ in range(10):
        sum(range(20000))
        await asyncio.sleep(0)


async def main():
    lapmark.trace_loop()
    await asyncio.gather(ask(list(range(10000))), other())


asyncio.run(main())
