# SPDX-License-Identifier: MIT
"""The steps of a start, in __aenter__: which one makes it late?"""
import asyncio

from lapmark import Profiler


class Service:
    async def __aenter__(self):
        async with Profiler('Service startup') as profiler:
            await asyncio.sleep(0.02)
            profiler('broker connected')
            self.config = {str(number): number for number in range(10000)}
            profiler('config loaded')
            await asyncio.sleep(0.005)
            profiler('feeds started')
        return self

    async def __aexit__(self, *error):
        pass


async def main():
    async with Service():
        print('ready')


asyncio.run(main())
