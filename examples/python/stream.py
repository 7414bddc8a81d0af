# SPDX-License-Identifier: MIT
"""A server of messages, and its client: two processes that each report their side, over a Unix socket.

The server's profiler lives until the next message takes its name. It says so, `(held 50.1 ms)`; that is not in its time."""
import asyncio
import json
import os
import socket
import sys

from lapmark import Profiler


async def serve(reader, writer):
    async for line in reader:
        gaps = json.loads(line)
        profiler = Profiler(f'Batch annotate {len(gaps)} gaps')
        result = sorted(gaps, reverse=True)
        profiler('request handled')
        writer.write(json.dumps(result).encode() + b'\n')
        await writer.drain()
        profiler('result sent')


async def markup_gaps(reader, writer, count):
    profiler = Profiler(f'markup_gaps() for {count} gaps')
    request = json.dumps(list(range(count))).encode() + b'\n'
    profiler('request built')
    writer.write(request)
    answer = await reader.readline()
    profiler('round trip')
    assert json.loads(answer)[0] == count - 1
    profiler('answer parsed')


async def ask(reader, writer):
    for count in (12, 40, 4000):
        await markup_gaps(reader, writer, count)
        await asyncio.sleep(0.05)


async def main(end, function):
    reader, writer = await asyncio.open_connection(sock=end)
    await function(reader, writer)
    writer.close()


ours, theirs = socket.socketpair()
child = os.fork()
(theirs if child else ours).close()
asyncio.run(main(ours, ask) if child else main(theirs, serve))
if child:
    sys.exit(os.waitpid(child, 0)[1])
