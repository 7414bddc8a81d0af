# SPDX-License-Identifier: MIT
"""Where a round trip went, over what Python programs talk by: the 48 bytes go beside the message in whatever has room for two values.
A multiprocessing pipe takes any; a stream takes lines, here of JSON."""
import asyncio
import json
import multiprocessing
import socket
import time

import lapmark
from lapmark import Profiler


def serve_pipe(pipe):
    (item, trailer), arrived = pipe.recv(), lapmark.now()
    with lapmark.serve(f'find {item}', trailer, arrived) as profiler:
        time.sleep(0.01)
        profiler('found')
        pipe.send((f'{item}!', profiler.reply()))


def ask_by_pipe():
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context('fork').Process(target=serve_pipe, args=(theirs,))
    worker.start()
    with Profiler('ask by a pipe') as profiler:
        with profiler.call('find') as call:
            ours.send(('apples', call.request))
            _, call.reply = ours.recv()
        profiler('apples are here')
    worker.join()


async def serve_stream(reader, writer):
    line, arrived = await reader.readline(), lapmark.now()
    message = json.loads(line)
    async with lapmark.serve(f'find {message["item"]}', bytes.fromhex(message['lapmark']), arrived) as profiler:
        await asyncio.sleep(0.01)
        profiler('found')
        writer.write(json.dumps({'lapmark': profiler.reply().hex()}).encode() + b'\n')
    writer.close()


async def ask_by_stream():
    ours, theirs = socket.socketpair()
    server = asyncio.ensure_future(serve_stream(*await asyncio.open_connection(sock=theirs)))
    reader, writer = await asyncio.open_connection(sock=ours)
    async with Profiler('ask by a stream') as profiler:
        async with profiler.call('find') as call:
            writer.write(json.dumps({'item': 'pears', 'lapmark': call.request.hex()}).encode() + b'\n')
            call.reply = bytes.fromhex(json.loads(await reader.readline())['lapmark'])
        profiler('pears are here')
        await server
    writer.close()


ask_by_pipe()
asyncio.run(ask_by_stream())
