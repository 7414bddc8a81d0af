# SPDX-License-Identifier: MIT
"""Calls to other processes: where the time of a round trip went, over whatever carries bytes. What is compared with what the
tests measure themselves has no upper limits but those: a machine may be busy."""
import asyncio
import base64
import gc
import json
import multiprocessing
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from common_calls import BYTES, NOTE, Text, counted, echo, is_least, is_most, now_ms, receive
from common_python import EXPECTED, PACKAGE, busy, by_label, environment, main, python, skip

import lapmark
from lapmark import Profiler


# ---- known times -----------------------------------------------------------------------------------------------------


def relay(end, other, held, milliseconds):
    """Passes one message each way, each held for a while, and says for how long at least."""
    for source, target in ((end, other), (other, end)):
        message = receive(source)
        begin = now_ms()
        time.sleep(milliseconds / 1000)
        held.append(now_ms() - begin)
        target.sendall(message)


def serve_known(end, wait_ms, work_ms, measured):
    """One request, with what it took at least and at most, as this end sees it."""
    request = receive(end)
    before = now_ms()
    arrived = lapmark.now()
    began = now_ms()
    time.sleep(wait_ms / 1000)
    waited = now_ms()
    profiler = lapmark.serve("handle request", request, arrived, sink=Text())
    taken = now_ms()
    time.sleep(work_ms / 1000)
    worked = now_ms()
    reply = profiler.reply()
    measured.update(queue=(waited - began, taken - before), server=(worked - began, now_ms() - before))
    end.sendall(reply)
    profiler.finish()


def test_known_times():
    """A relay delays both ways, the server lets the request wait, and works."""
    client, near = socket.socketpair()
    far, server = socket.socketpair()
    held, measured, text = [], {}, Text()
    threads = [threading.Thread(target=relay, args=(near, far, held, 20), daemon=True),
               threading.Thread(target=serve_known, args=(server, 15, 30, measured), daemon=True)]
    for thread in threads:
        thread.start()
    with Profiler("client", sink=text) as profiler:
        before = now_ms()
        with profiler.call("get items") as call:
            begun = now_ms()
            client.sendall(call.request)
            call.reply = receive(client)
            last = now_ms()
        around = now_ms() - before
        profiler("batch IPC call complete")
    for thread in threads:
        thread.join()
    for end in (client, near, far, server):
        end.close()
    assert call.error is None and is_least(call.total_ms, last - begun) and is_most(call.total_ms, around), (call.total_ms, around)
    for part, value in (("queue", call.queue_ms), ("server", call.server_ms)):
        least, most = measured[part]
        assert is_least(value, least) and is_most(value, most), (part, value, measured)
    assert is_least(call.between_ms, sum(held)) and is_most(call.between_ms, around - measured["server"][0]), (call, held)
    assert abs(call.handle_ms + call.queue_ms - call.server_ms) < 1e-6
    assert abs(call.server_ms + call.between_ms - call.total_ms) < 1e-6
    assert call.there_ms is None and call.back_ms is None
    shown, = [match for match in map(NOTE.fullmatch, text.lines()) if match]
    assert shown.group(1) == "batch IPC call complete", text
    for group, value in ((5, call.server_ms), (6, call.handle_ms), (7, call.queue_ms), (8, call.between_ms)):
        assert abs(float(shown.group(group)) - value) < 0.0002, (text, value)


# ---- what carries them -----------------------------------------------------------------------------------------------


def serve_in_turn(ends, work_ms, waited):
    """One thread: reads what all have sent, and serves them one after another; says how long each waited at least."""
    requests = []
    for end in ends:
        request = receive(end)
        requests.append((end, request, lapmark.now(), now_ms()))
    for end, request, arrived, arrived_ms in requests:
        waited.append(now_ms() - arrived_ms)
        with lapmark.serve("handle request", request, arrived, sink=Text()) as profiler:
            time.sleep(work_ms / 1000)
            end.sendall(profiler.reply())


def test_queue_of_eight_clients():
    """What waits in a server that reads ahead is its queue, and no part of the way."""
    pairs = [socket.socketpair() for _ in range(8)]
    calls, waited, texts = {}, [], [Text() for _ in pairs]

    def client(number):
        with Profiler("client", sink=texts[number]) as profiler:
            with profiler.call("get items") as call:
                pairs[number][0].sendall(call.request)
                call.reply = receive(pairs[number][0])
            profiler("complete")
        calls[number] = call

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    serve_in_turn([pair[1] for pair in pairs], 4, waited)
    for thread in threads:
        thread.join()
    for number, call in sorted(calls.items()):
        assert call.error is None and is_least(call.queue_ms, waited[number]) and is_least(waited[number], 4 * number), (call, waited)
        assert is_least(call.handle_ms, 4) and (number == 0 or ", queue " in repr(texts[number])), texts[number]
        assert is_most(call.queue_ms + call.handle_ms + call.between_ms, call.total_ms), call
    for end in (end for pair in pairs for end in pair):
        end.close()


def test_asyncio_out_of_order():
    """Several requests in flight on one connection; the server answers the last first."""
    text, took, calls = Text(), {}, {}

    async def serve(reader, writer):
        requests = [(await reader.readexactly(1 + BYTES), lapmark.now()) for _ in range(5)]
        for message, arrived in reversed(requests):
            async with lapmark.serve("handle", message[1:], arrived, sink=Text()) as profiler:
                begin = now_ms()
                await asyncio.sleep(0.001 * (1 + message[0]))
                took[message[0]] = now_ms() - begin
                writer.write(profiler.reply())
        await writer.drain()
        writer.close()

    async def ask(path):
        reader, writer = await asyncio.open_unix_connection(path)
        with Profiler("client", sink=text) as profiler:
            for number in range(5):
                call = profiler.call("get items")
                calls[call.span_id] = number, call
                writer.write(bytes([number]) + call.request)
            await writer.drain()
            order = []
            for _ in range(5):
                reply = await reader.readexactly(BYTES)
                number, call = calls[lapmark.reply_of(reply)]
                order.append(number)
                assert call.end(reply) == call.total_ms > 0
            profiler("all here")
        writer.close()
        assert order == [4, 3, 2, 1, 0]

    async def run(path):
        server = await asyncio.start_unix_server(serve, path)
        await ask(path)
        server.close()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(os.path.join(directory, "socket")))
    for number, call in calls.values():
        assert call.error is None and is_least(call.handle_ms, took[number]), (number, call.handle_ms, took)
        assert is_least(call.queue_ms, sum(took[other] for other in range(number + 1, 5))), (number, call.queue_ms, took)
    shown, = [match for match in map(NOTE.fullmatch, text.lines()) if match]
    assert shown.group(1, 3, 4) == ("all here", "5", None)
    assert abs(float(shown.group(5)) - sum(call.server_ms for _, call in calls.values())) < 0.001, text


def test_async_with():
    async def ask():
        async with Profiler("client", sink=Text()) as profiler:
            async with profiler.call("x") as call:
                await asyncio.sleep(0)
                call.reply = echo(call)
        return call
    call = asyncio.run(ask())
    assert call.error is None and call.total_ms > call.server_ms > 0


def test_trio():
    try:
        import trio  # pylint: disable=import-outside-toplevel
    except ImportError:
        skip("trio is not here")
    text = Text()

    async def serve(stream):
        message = await stream.receive_some(BYTES)
        with lapmark.serve("handle", message, lapmark.now(), sink=Text()) as profiler:
            await trio.sleep(0.002)
            await stream.send_all(profiler.reply())

    async def run():
        ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
        async with ours, theirs, trio.open_nursery() as nursery:
            nursery.start_soon(serve, theirs)
            with Profiler("client", sink=text) as profiler:
                async with profiler.call("get items") as call:
                    await ours.send_all(call.request)
                    call.reply = await ours.receive_some(BYTES)
                profiler("complete")
        return call
    call = trio.run(run)
    assert call.error is None and is_least(call.server_ms, 2) and sum(map(bool, map(NOTE.fullmatch, text.lines()))) == 1, text


def _pipe_server(pipe):
    while True:
        message = pipe.recv()
        if message is None:
            return
        profiler = lapmark.serve("handle", message["lapmark"], sink=Text())
        busy(2)
        pipe.send({"answer": message["question"] * 2, "lapmark": profiler.reply()})
        profiler.finish()


def test_multiprocessing_pipe():
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=_pipe_server, args=(theirs,), daemon=True)
    server.start()
    with Profiler("client", sink=Text()) as profiler:
        for question in range(3):
            with profiler.call("ask") as call:
                ours.send({"question": question, "lapmark": call.request})
                answer = ours.recv()
                call.reply = answer["lapmark"]
            assert answer["answer"] == 2 * question and call.error is None and is_least(call.server_ms, 2)
    ours.send(None)
    server.join()
    assert server.exitcode == 0


def _message_server(end, load, dump):
    for line in end.makefile("rb"):
        message = load(line)
        with lapmark.serve("handle", message["lapmark"], sink=Text()) as profiler:
            end.sendall(dump({"lapmark": profiler.reply()}))


def _over_messages(load, dump):
    """One call with its trailer in a field of a message, a line."""
    ours, theirs = socket.socketpair()
    server = threading.Thread(target=_message_server, args=(theirs, load, dump), daemon=True)
    server.start()
    with Profiler("client", sink=Text()) as profiler, profiler.call("ask") as call, ours.makefile("rb") as replies:
        ours.sendall(dump({"lapmark": call.request}))
        call.reply = load(replies.readline())["lapmark"]
    ours.close()
    server.join()
    theirs.close()
    assert call.error is None and 0 < call.server_ms < call.total_ms


def test_json():
    for encode, decode in ((bytes.hex, bytes.fromhex), (lambda data: base64.b64encode(data).decode(), base64.b64decode)):
        _over_messages(lambda line, decode=decode: {name: decode(text) for name, text in json.loads(line).items()},
                       lambda message, encode=encode: json.dumps(
                           {name: encode(data) for name, data in message.items()}).encode() + b"\n")


def test_msgpack():
    try:
        import msgpack  # pylint: disable=import-outside-toplevel
    except ImportError:
        skip("msgpack is not here")
    _over_messages(lambda line: msgpack.unpackb(base64.b64decode(line)),
                   lambda message: base64.b64encode(msgpack.packb(message)) + b"\n")


# ---- between the implementations, and processes ----------------------------------------------------------------------

SERVER = """
    import lapmark, socket, sys, time
    assert lapmark.implementation == sys.argv[2]
    with socket.socket(fileno=int(sys.argv[1])) as end:
        while True:
            request = end.recv(48)
            if not request:
                break
            with lapmark.serve('handle request', request, lapmark.now()) as profiler:
                time.sleep(0.003)
                profiler('slept')
                time.sleep(0.001)
                reply = profiler.reply()
            end.sendall(reply)
    """

CLIENT = """
    import lapmark, json, socket, sys
    assert lapmark.implementation == sys.argv[2]
    with socket.socket(fileno=int(sys.argv[1])) as end, lapmark.Profiler('client') as profiler:
        for _ in range(2):
            with profiler.call('get items') as call:
                end.sendall(call.request)
                call.reply = end.recv(512)
            profiler('complete')
            print(json.dumps([call.error, call.total_ms, call.server_ms, call.handle_ms, call.between_ms, call.there_ms,
                              call.back_ms]))
    """


def _start(directory, text, end, implementation, **variables):
    path = os.path.join(directory, f"{end.fileno()}.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(line[4:] for line in text.splitlines()))
    how = {"LAPMARK_IMPLEMENTATION": "python"} if implementation == "python" else {}
    env = {name: value for name, value in environment(**variables).items() if name != "LAPMARK_IMPLEMENTATION"}
    return subprocess.Popen(  # pylint: disable=consider-using-with
        [sys.executable, path, str(end.fileno()), implementation], env={**env, **how}, pass_fds=[end.fileno()], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def between(client, server, **variables):
    """What each call in a client of one implementation says, and what it and the server of another print."""
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryDirectory() as directory:
        with ours, theirs:
            ends = [_start(directory, CLIENT, ours, client, **variables), _start(directory, SERVER, theirs, server, **variables)]
        (out, client_err), (_, server_err) = [end.communicate() for end in ends]
    assert [end.returncode for end in ends] == [0, 0], client_err + server_err
    return [json.loads(line) for line in out.splitlines()], client_err, server_err


def check_between(client, server):
    calls, client_err, server_err = between(client, server)
    slept = [float(number) for number in re.findall(r"slept: (\d+\.\d+) ms", server_err)]
    notes = [match for match in map(NOTE.fullmatch, map(str.strip, client_err.splitlines())) if match]
    assert len(calls) == len(slept) == len(notes) == 2, client_err + server_err
    for (error, total, served, handled, rest, *ways), lap, note in zip(calls, slept, notes):
        assert error is None and ways == [None, None] and is_least(served, lap) and handled <= served <= total, (calls, slept)
        assert abs(served + rest - total) < 1e-6 and abs(float(note.group(5)) - served) < 0.0002, (calls, client_err)


def test_two_processes():
    check_between(lapmark.implementation, lapmark.implementation)


def test_both_implementations():
    if lapmark.implementation != "c":
        skip("the extension is not here; its run has them both")
    check_between("c", "python")
    check_between("python", "c")


def check_laps(client, server):
    """The client prints the laps that the server does."""
    _, client_err, server_err = between(client, server, LAPMARK_SHARE="laps")
    slept = [float(number) for number in re.findall(r"slept: (\d+\.\d+) ms", server_err)]
    told = [float(number) for number in re.findall(r" \[slept (\d+\.\d+)\]", client_err)]
    assert len(slept) == len(told) == 2, client_err + server_err
    for lap, number in zip(slept, told):
        assert abs(lap - number) < 0.0002, client_err + server_err


def test_laps_between():
    check_laps(lapmark.implementation, lapmark.implementation)
    if lapmark.implementation == "c":
        check_laps("c", "python")
        check_laps("python", "c")


def _serve_laps(call, *labels):
    """Of a server with these laps."""
    profiler = lapmark.serve("serve", call.request, ms_threshold=1e9)
    laps = {}
    for number, label in enumerate(labels):
        busy(0.3 * (number + 1))
        laps[label] = laps.get(label, 0) + profiler(label)
    busy(0.5)  # so that its laps are within what the server took, which begins a moment after the first one
    reply = profiler.reply()
    profiler("behind it")
    profiler.finish()
    return reply, laps


def test_laps_printed():
    """By label, of one call or several, the greatest first; in little more than no calls at all without the opt-in."""
    text = Text()
    with Profiler("client", sink=text) as profiler:
        call = profiler.call("x")
        reply, _ = _serve_laps(call, "not shared")
        assert len(reply) == BYTES
        call.end(reply)
        profiler("nothing told")
        lapmark.share("domain,laps")
        try:
            sums = {}
            for labels in (("lookup", "parse", "lookup"), ("lookup", "größer")):
                call = profiler.call("x")
                reply, laps = _serve_laps(call, *labels)
                assert BYTES < len(reply) <= 248
                call.reply = reply
                assert call.reply == reply and call.end() == call.total_ms
                for label, lap in laps.items():
                    sums[label] = sums.get(label, 0) + lap
            profiler("two calls")
            call = profiler.call("x")
            reply, five = _serve_laps(call, "a label of more than the forty bytes that are sent", "b\x1b\u200e", "c", "d", "e")
            call.end(reply)
            profiler("four of five")
            for number in range(5):
                call = profiler.call("x")
                call.end(_serve_laps(call, f"number {number}")[0])
                profiler("folded")
            call = profiler.call("x")
            call.end(_serve_laps(call, "the rest's")[0])
        finally:
            lapmark.share("nothing")
    lines = dict(line.split(": ", 1) for line in text.lines() if ": " in line)
    told = {name: re.findall(r"([^,\[]+?) (\d+\.\d+)(?:, |$)", found[1]) if (found := re.search(r"\[(.*?)\]", line)) else []
            for name, line in lines.items()}
    assert not told["nothing told"], text
    assert {label for label, _ in told["two calls"]} == set(sums), text
    for label, number in told["two calls"]:
        assert abs(float(number) - sums[label]) < 0.001, (text, sums)
    for pairs in told.values():
        numbers = [float(number) for _, number in pairs]
        assert numbers == sorted(numbers, reverse=True), text
    shown = {"a label of more than the forty bytes that are sent": "a label of more than the forty bytes …",
             "b\x1b\u200e": r"b\x1b\xe2\x80\x8e"}
    wanted = {shown.get(label, label): lap for label, lap in five.items()}
    assert len(told["four of five"]) == 4 and dict(told["four of five"]).keys() < wanted.keys(), text
    for label, number in told["four of five"]:
        assert abs(float(number) - wanted[label]) < 0.001, (text, wanted)
    assert [label for label, _ in told["folded (x5)"]] == ["number #"] and "(5 calls: " in lines["folded (x5)"], text
    assert [label for label, _ in told["(rest)"]] == ["the rest's"], text
    assert not any(label == "behind it" for pairs in told.values() for label, _ in pairs), text


def test_laps_hostile():
    """Of notes that no server sends nothing is believed, and each reply with them is counted once."""
    def lap(sum_ns, count, label):
        return struct.pack("<BBQI", 2, 12 + len(label), sum_ns, count) + label
    good = lap(1, 1, b"good")
    for notes, told, is_bad in (
            (good, "good 0.00000100", 0), (b"", "", 0), (good + b"\0" + b"\2" * 50, "good 0.00000100", 0),
            (good + b"\x4d\3abc" + lap(2, 1, b"good"), "good 0.00000300", 0), (b"\2", "", 1),
            (good + b"\2\xff" + b"x" * 300, "good 0.00000100", 1),
            (lap(1 << 50, 1, b"long"), "", 1), (lap((1 << 64) - 1, 1, b"for ever"), "", 1), (lap(1, 0, b"none"), "", 1),
            (lap(1, 1, b""), "", 1), (b"\2\x0b" + b"x" * 11, "", 1), (lap(1, 1, b"x" * 41), "", 1),
            (lap(1, 1, b"cut")[:-1], "", 1),
            (lap(1, 1, b"x") * 1000, "x 0.00000400", 1), (lap(1, 1, b"\x1b[2J\n\0"), r"\x1b[2J\n\x00 0.00000100", 0),
            (lap(1, 1, "a\u202eb\u2066\u061c".encode()), r"a\xe2\x80\xaeb\xe2\x81\xa6\xd8\x9c 0.00000100", 0),
            (lap(1, 1, b"\xff\xc3"), r"\xff\xc3 0.00000100", 0), (lap(1, 1, b"\1" * 20), r"\x01" * 13 + "… 0.00000100", 0)):
        text = Text()
        with Profiler("client", sink=text) as profiler:
            call = profiler.call("x")
            reply = lapmark.serve("echo", call.request, ms_threshold=1e9).reply() + notes
            assert counted(lambda call=call, reply=reply: call.end(reply)) == is_bad, notes
            profiler("lap")
        assert call.error is None and (f" [{told}]; between" in repr(text) if told else " [" not in repr(text)), (notes, text)


def test_share():
    """Both ways are told apart where both ends have said where they run."""
    for what in ("domains", "", 1, None, "domain,", "laps,lap", "domain laps", "\ud800"):
        try:
            lapmark.share(what)
        except ValueError:
            continue
        assert False, what
    lapmark.share("nothing")
    calls, client_err, _ = between(lapmark.implementation, lapmark.implementation, LAPMARK_SHARE="domain")
    for error, _, _, _, rest, there, back in calls:
        assert error is None
        if lapmark.implementation == "c":
            assert 0 < there < rest and 0 < back < rest and abs(there + back - rest) < 0.001, calls
        else:
            assert there is None and back is None
    assert ("there" in client_err) == (lapmark.implementation == "c"), client_err
    printed = python("""
        import lapmark
        lapmark.share('domain')
        with lapmark.Profiler('client') as profiler:
            with profiler.call('x') as call:
                call.reply = lapmark.serve('s', call.request).reply()
            print(call.there_ms is not None, any(call.request[32:40]))
            lapmark.share('nothing')
            print(any(profiler.call('x').request[32:40]))
        """).out.split()
    assert printed == [str(lapmark.implementation == "c")] * 2 + ["False"], printed


# ---- what is printed -------------------------------------------------------------------------------------------------


def test_lines():
    text = Text()
    with Profiler("client", sink=text) as profiler:
        profiler("none")
        first, second, never = (profiler.call("x") for _ in range(3))
        second.end(echo(second))
        first.end()
        profiler("two")
        profiler("none again")
        profiler.call("x").end()
        profiler("silent")
        for _ in range(5):
            with profiler.call("in a loop") as call:
                call.reply = echo(call)
            profiler("loop")
        with profiler.call("last") as call:
            call.reply = echo(call)
        del never
        gc.collect()
    number = r"\d+\.\d+"
    wanted = [("none", ""), ("two", rf" \(2 calls, 1 silent: server {number}; between {number}\)"), ("none again", ""),
              ("silent", r" \(peer silent\)")]
    lines = text.lines()
    for (label, note), line in zip(wanted, lines[1:]):
        assert re.fullmatch(rf"{label}: {number} ms, tot: {number} ms{note}", line), (line, text)
    assert re.fullmatch(rf"loop \(x5\): .*, max {number} ms \(5 calls: server {number}; between {number}\)", lines[5]), text
    assert re.fullmatch(rf"\(rest\): {number} ms \(server {number}; between {number}\)", lines[6]), text
    assert len(lines) == 8, text


def test_lines_at_once():
    text = Text()
    with Profiler("client", delayed=False, sink=text) as profiler:
        profiler.call("x").end()
        profiler("silent")
        profiler("none")
    assert [line.endswith(" (peer silent)") for line in text.lines()[:3]] == [False, True, False], text


def test_laps_are_kept_and_folded():
    """With more than are kept one by one, none of the calls is lost."""
    text = Text()
    with Profiler("client", sink=text) as profiler:
        for i in range(1500):
            profiler.call("x").end()
            profiler("odd" if i % 2 else "even")
    assert [re.sub(r": .*(?= \(\d)", "", line) for line in text.lines()[1:3]] == [
        f"{label} (x750) (750 calls: peer silent)" for label in ("even", "odd")], text


def test_nested_and_several_profilers():
    """Each call is its own profiler's."""
    text = Text()
    with Profiler("outer", sink=text) as outer:
        call = outer.call("x")
        with Profiler("inner") as inner:
            inner.call("y").end()
            call.end()
            inner("inner lap")
        outer("outer lap")
    assert [line.split(":")[0] for line in text.lines() if line.endswith(" (peer silent)")] == ["inner lap", "outer lap"], text


def test_a_call_keeps_no_profiler():
    """It ends when its function returns, and what comes later is nowhere but in the call."""
    text, calls = Text(), []

    def function():
        profiler = Profiler("function", sink=text)
        calls.append(profiler.call("x"))
        profiler("x")
    function()
    assert len(text.reports) == 1 and "held" not in text.reports[0], text
    assert calls[0].end(echo(calls[0])) > 0 and calls[0].error is None and len(text.reports) == 1
    with Profiler("next", sink=text) as following:  # whatever it is made of
        following("lap")
    assert "server" not in text.reports[1], text


def test_threads():
    """Begins on one, ends on another."""
    text = Text()
    with Profiler("client", sink=text) as profiler:
        call = profiler.call("x")
        thread = threading.Thread(target=lambda: call.end(echo(call)))
        thread.start()
        thread.join()
        profiler("complete")
    assert NOTE.fullmatch(text.lines()[1]), text


# ---- a stream of messages, both ends joined --------------------------------------------------------------------------

HERE = os.path.dirname(os.path.abspath(__file__))
ACTOR = f"""
import sys
sys.path.insert(0, {HERE!r})
import common_actors, lapmark
from common_python import busy

@common_actors.context
async def remote_annotate(ctx):
    async with ctx.open_stream() as stream:
        async for message in stream:
            arrived = lapmark.now()
            busy(2)
            profiler = lapmark.serve(f'Batch annotate {{len(message["gaps"])}} gaps', bytes.fromhex(message['lapmark']), arrived)
            busy(8)
            profiler('request handled')
            await stream.send({{'result': message['gaps'], 'lapmark': profiler.reply().hex()}})
            profiler('result sent')

common_actors.serve(int(sys.argv[1]))
assert not lapmark.counts().get('failed')
"""
ACTORS_CLIENT = f"""
    import sys
    sys.path.insert(0, {HERE!r})
    import asyncio, common_actors
    from lapmark import Profiler

    async def markup_gaps(stream, n):
        profiler = Profiler(f'markup_gaps() for {{n}} gaps')
        with profiler.call('add batch') as call:
            await stream.send({{'gaps': list(range(n)), 'lapmark': call.request.hex()}})
            answer = await stream.__anext__()
            call.reply = bytes.fromhex(answer['lapmark'])
        profiler('batch IPC call complete')

    async def analyse(path):
        async with common_actors.connect(path, 'remote_annotate') as stream:
            for n in (12, 40, 3):
                await markup_gaps(stream, n)
                await asyncio.sleep(0.03)
    asyncio.run(analyse(sys.argv[1]))
    """


def test_message_stream():
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        path, program = os.path.join(directory, "socket"), os.path.join(directory, "server.py")
        listening.bind(path)
        listening.listen()
        with open(program, "w", encoding="utf-8") as file:
            file.write(ACTOR)
        with subprocess.Popen([sys.executable, program, str(listening.fileno())], pass_fds=[listening.fileno()], text=True,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) as server:
            client = python(ACTORS_CLIENT, path)
            _, err = server.communicate()
        assert server.returncode == 0, err
    served, asked = by_label(err), by_label(client.err)
    for count in (12, 40, 3):
        entry, line = served[f"Batch annotate {count} gaps"], asked[f"markup_gaps() for {count} gaps"].lines[0]
        lap, _, _, server_ms, handle, queue, rest = [float(group or 0) for group in NOTE.fullmatch(line).groups()[1:8]]
        assert entry.labels() == ["request handled", "result sent"] and entry.held >= 20, err
        assert is_least(server_ms, 2 + entry.laps[0][1]) and is_least(queue, 2), (line, err)
        assert abs(handle + queue - server_ms) < 0.0003, line
        assert server_ms + rest <= lap + 0.0002 and rest > 0, line


# ---- recorded --------------------------------------------------------------------------------------------------------


def test_recorded():
    """Which events there are, to the last."""
    command = os.environ.get("LAPMARK_BIN")
    if lapmark.implementation != "c" or not command:
        skip("the extension records, and the lapmark command reads that")
    with tempfile.TemporaryDirectory() as directory:
        shown = python("""
            import lapmark, sys
            lapmark.record(sys.argv[1])
            with lapmark.Profiler('client') as profiler:
                for i in range(7):
                    with profiler.call(f'get {i} items') as call:
                        with lapmark.serve('server', call.request if i else None) as server:
                            server.call('never ended')
                            call.reply = server.reply()
                    profiler('complete')
                profiler.call('damaged').end(b'x')
            lapmark.record_stop()
            """, directory)
        events = subprocess.run([command, "show", "--events", directory], stdout=subprocess.PIPE, text=True, check=True).stdout
        again = subprocess.run([command, "show", directory], stdout=subprocess.PIPE, text=True, check=True).stdout
        subprocess.run([command, "check", directory], stdout=subprocess.DEVNULL, check=True)
    kinds = [line.split()[2] for line in events.splitlines()]
    assert {kind: kinds.count(kind) for kind in ("call", "serve", "reply", "handle_begin", "handle_mark")} == {
        "call": 8, "serve": 6, "reply": 6, "handle_begin": 8, "handle_mark": 7}, events
    assert events.count("  get # items  ") == 7, events
    spans = [sorted(re.findall(rf" {kind}  .* span_id=(\w+)", events)) for kind in ("serve", "reply", "call")]
    assert spans[0] == spans[1] and len(set(spans[2])) == 8 and set(spans[0]) < set(spans[2])
    note = re.compile(r"complete \(x7\): .*( \(.*\))")
    for text in (shown.err, again):
        assert note.search(text).group(1).startswith(" (7 calls, 1 silent: server "), text


def test_the_implementation_is_the_one_meant():
    assert EXPECTED in (None, lapmark.implementation) and lapmark.__file__.startswith(PACKAGE)


def test_nothing_failed_inside():
    assert not lapmark.counts().get("failed")


if __name__ == "__main__":
    main(globals())
