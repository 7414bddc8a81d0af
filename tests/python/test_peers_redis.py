# SPDX-License-Identifier: MIT
"""Calls to a redis server, which says nothing of its part: the whole time is known, and it gets what it got without us."""
import contextlib
import json
import os
import re
import socket
import subprocess
import tempfile

from common_calls import Text, is_least
from common_python import main, skip
from common_servers import Server, program

import lapmark
from lapmark import Profiler

HELD_MS = 50
COMMANDS = [("SET", "key", "a value"), ("GET", "key"), ("INCR", "number"), ("RPUSH", "list", "1", "2", "3"),
            ("BLPOP", "nothing", str(HELD_MS / 1000)), ("LRANGE", "list", "0", "-1"), ("DEL", "key")]
REPLIES = ["OK", "a value", 1, 3, None, ["1", "2", "3"], 1]
ROUNDS = 10


@contextlib.contextmanager
def redis():
    """The path of its socket. It goes by its name: the package of its tools, which starts none, has it as redis-check-rdb."""
    path = program("redis-server", "redis-check-rdb")
    with tempfile.TemporaryDirectory() as directory:
        name, place = os.path.join(directory, "redis-server"), os.path.join(directory, "socket")
        os.symlink(path, name)
        with Server("ready to accept connections", name, "--port", "0", "--unixsocket", place, "--save", "", "--appendonly", "no",
                    "--dir", directory):
            yield place


def encoded(command):
    return b"".join([b"*%d\r\n" % len(command), *(b"$%d\r\n%s\r\n" % (len(part), part) for part in map(str.encode, command))])


class Client:
    """A connection, and how much was sent on it."""

    def __init__(self, path):
        self.end = socket.socket(socket.AF_UNIX)
        self.end.settimeout(60)
        self.end.connect(path)
        self.replies = self.end.makefile("rb")
        self.sent = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.replies.close()
        self.end.close()

    def send(self, *commands):
        data = b"".join(map(encoded, commands))
        self.sent += len(data)
        self.end.sendall(data)

    def reply(self):
        line = self.replies.readline().decode()
        kind, rest = line[:1], line[1:].rstrip("\r\n")
        if kind == "+":
            return rest
        assert kind in tuple(":$*"), line
        number = int(rest)
        if kind == ":":
            return number
        if number < 0:
            return None
        if kind == "*":
            return [self.reply() for _ in range(number)]
        return self.replies.read(number + 2)[:-2].decode()

    def ask(self, *command):
        self.send(command)
        return self.reply()

    def info(self, section):
        return dict(line.split(":", 1) for line in self.ask("INFO", section).splitlines() if ":" in line)


def pipelined(client, profiler):
    """All commands at once, each a call; what was answered, and the calls."""
    calls = [profiler.call(command[0]) for command in COMMANDS]
    client.send(*COMMANDS)
    replies = []
    for call in calls:
        replies.append(client.reply())
        call.end()
    profiler("pipeline answered")
    client.send(("DEL", "list", "number"))
    client.reply()
    return replies, calls


def test_pipeline():
    text = Text()
    with redis() as path, Client(path) as client, Profiler("client", sink=text) as profiler:
        replies, calls = pipelined(client, profiler)
        lap, = profiler.laps
    assert replies == REPLIES
    assert {call.error for call in calls} == {"silent"} and {call.server_ms for call in calls} == {None}, calls
    blocking = [command[0] for command in COMMANDS].index("BLPOP")
    for call in calls[blocking:]:
        assert is_least(call.total_ms, HELD_MS - 1), (call.total_ms, text)  # its milliseconds are whole
        assert call.total_ms <= lap.ms, (call.total_ms, text)
    line = text.lines()[1]
    shown = re.fullmatch(rf"pipeline answered: (\d+\.\d+) ms, tot: .* \({len(COMMANDS)} calls: peer silent\)", line)
    assert shown and float(shown.group(1)) >= HELD_MS - 1, text


def test_what_redis_received():
    """To the byte, by its own count; and each command, by its monitor."""
    with redis() as path, Client(path) as monitor, Client(path) as client:
        assert monitor.ask("MONITOR") == "OK"
        begin = monitor.sent
        with Profiler("client", sink=Text()) as profiler:
            for _ in range(ROUNDS):
                assert pipelined(client, profiler)[0] == REPLIES
        received = int(client.info("stats")["total_net_input_bytes"])
        assert received == begin + client.sent, (received, begin, client.sent)
        wanted = (COMMANDS + [("DEL", "list", "number")]) * ROUNDS + [("INFO", "stats")]
        seen = [tuple(re.findall(r'"([^"]*)"', monitor.reply())) for _ in wanted]
        assert seen == wanted
        assert client.info("stats")["total_error_replies"] == "0" and client.info("errorstats") == {}
        for name, figures in client.info("commandstats").items():
            assert figures.endswith(",rejected_calls=0,failed_calls=0"), (name, figures)


def test_recorded():
    command = os.environ.get("LAPMARK_BIN")
    if lapmark.implementation != "c" or not command:
        skip("the extension records, and the lapmark command reads that")
    with tempfile.TemporaryDirectory() as directory:
        with redis() as path, Client(path) as client:
            lapmark.record(directory)
            with Profiler("client", sink=Text()) as profiler:
                for _ in range(ROUNDS):
                    pipelined(client, profiler)
            lapmark.record_stop()
        found = json.loads(subprocess.run([command, "calls", "--json", directory], stdout=subprocess.PIPE, check=True).stdout)
        shown = subprocess.run([command, "show", directory], stdout=subprocess.PIPE, text=True, check=True).stdout
        subprocess.run([command, "check", directory], stdout=subprocess.DEVNULL, check=True)
    assert (found["count"], found["silent"], found["answered"], found["refused"]) == (ROUNDS * len(COMMANDS),) * 2 + (0, 0), found
    assert {kind["name"]: kind["silent"] for kind in found["calls"]} == {name: ROUNDS for name, *_ in COMMANDS}, found
    held, = (kind for kind in found["calls"] if kind["name"] == "BLPOP")
    assert held["total_ns"]["mean"] >= (HELD_MS - 1) * 1e6 and held["server_ns"] is None, held
    assert f"({ROUNDS * len(COMMANDS)} calls: peer silent)" in shown, shown


if __name__ == "__main__":
    main(globals())
