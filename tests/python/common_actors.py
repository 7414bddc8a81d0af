# SPDX-License-Identifier: MIT
"""A small stand-in for a runtime of actors: a server process with functions that a client opens over a Unix socket, each with
a stream of messages both ways. A message is a line of JSON. What the functions take as given is set in their module, as
`n` is for each message."""
import asyncio
import contextlib
import json
import socket

functions = {}


def context(function):
    """Offers a function to clients, under its name."""
    functions[function.__name__] = function
    return function


class Stream:
    def __init__(self, reader, writer, names=None):
        self.reader, self.writer, self.names = reader, writer, names

    def __aiter__(self):
        return self

    async def __anext__(self):
        line = await self.reader.readline()
        if not line:
            raise StopAsyncIteration
        message = json.loads(line)
        if self.names is not None:
            self.names["n"] = len(message)
        return message

    async def send(self, message):
        self.writer.write(json.dumps(message).encode() + b"\n")
        await self.writer.drain()


class Context:
    def __init__(self, stream):
        self.stream = stream

    @contextlib.asynccontextmanager
    async def open_stream(self):
        yield self.stream


async def _serve(listening):
    ended = asyncio.Event()

    async def connected(reader, writer):
        function = functions[json.loads(await reader.readline())]
        await function(Context(Stream(reader, writer, function.__globals__)))
        writer.close()
        ended.set()
    server = await asyncio.start_unix_server(connected, sock=listening)
    await ended.wait()
    server.close()


def serve(descriptor):
    """One client's call of one of the functions, on an inherited socket that listens."""
    asyncio.run(_serve(socket.socket(fileno=descriptor)))


@contextlib.asynccontextmanager
async def connect(path, name):
    """The client's end of a stream to a function."""
    reader, writer = await asyncio.open_unix_connection(path)
    stream = Stream(reader, writer)
    await stream.send(name)
    yield stream
    writer.close()
    await writer.wait_closed()
