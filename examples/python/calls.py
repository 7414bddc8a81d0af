# SPDX-License-Identifier: MIT
"""Where a round trip went, when two processes talk: what the server took, how long the request waited there before, and what was
between them. The client's line says it; each request and each reply carries 48 bytes for that, here in a field of its message.

Three requests are in flight on one Unix socket, and the server takes the last first."""
import json
import os
import socket
import sys
import time

import lapmark
from lapmark import Profiler


def send(end, trailer, **message):
    end.send(json.dumps({**message, 'lapmark': trailer.hex()}).encode())


def receive(end):
    message = json.loads(end.recv(4096))
    return message, bytes.fromhex(message['lapmark'])


def serve(end):
    requests = [(*receive(end), lapmark.now()) for _ in range(3)]
    for message, trailer, arrived in reversed(requests):
        with lapmark.serve(f'find {message["item"]}', trailer, arrived) as profiler:
            time.sleep(0.01)
            profiler('found')
            send(end, profiler.reply(), item=message['item'])


def ask(end):
    profiler = Profiler('ask for three items')
    calls = {}
    for item in ('apples', 'pears', 'plums'):
        calls[item] = profiler.call('find')
        send(end, calls[item].request, item=item)
    profiler('asked')
    while calls:
        message, trailer = receive(end)
        calls.pop(message['item']).end(trailer)
        profiler(f'{message["item"]} are here')


ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
child = os.fork()
if child == 0:
    serve(theirs)
    sys.exit()
ask(ours)
sys.exit(os.waitpid(child, 0)[1])
