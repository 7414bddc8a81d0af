# SPDX-License-Identifier: MIT
"""What peers wish: that a call which one side finds slow is printed by the other, and another threshold for a request. Both sides
are this process, or one of them is C code, in a process of its own."""
import os
import random
import subprocess
import tempfile
import weakref

from common_calls import Text
from common_python import SOURCE, busy, by_label, environment, main, python, reports

import lapmark
from lapmark import Profiler

NEVER = 1e9
A_SECOND = 10
HELD = 64
BUILD = os.environ.get("BUILD_DIR", os.path.join(SOURCE, "build"))


def served(call, sink=None, ms_threshold=0.2, spend_ms=0.5, **options):
    """One request: its reply, from a profiler that spends so long."""
    profiler = lapmark.serve("serving", call.request, ms_threshold=ms_threshold, sink=sink or Text(), **options)
    busy(spend_ms)
    reply = profiler.reply()
    profiler.finish()
    return reply


def client(sink, ms_threshold=NEVER, **options):
    profiler = Profiler("client", ms_threshold=ms_threshold, sink=sink)
    call = profiler.call("call")
    call.end(served(call, **options))
    profiler("answered")
    profiler.finish()
    return call


def test_slow_for_the_server():
    text = Text()
    assert client(text).slow and not text.reports  # not accepted
    lapmark.accept("slow")
    call = client(text)
    assert call.slow and call.error is None
    assert len(text.reports) == 1 and "answered: " in text.reports[0] and "(server " in text.reports[0], text
    lapmark.accept("nothing")
    client(text)
    assert len(text.reports) == 1


def test_quick_servers_say_nothing():
    lapmark.accept("slow")
    text = Text()
    profiler = Profiler("client", ms_threshold=NEVER, sink=text)
    for threshold in (NEVER, 0):
        call = profiler.call("call")
        call.end(served(call, ms_threshold=threshold))
        assert call.error is None and call.slow is False
    profiler.finish()
    assert not text.reports
    lapmark.accept("nothing")


def test_slow_too_often():
    result = python("""
import lapmark
from lapmark import Profiler
texts = []
def once():
    profiler = Profiler('client', ms_threshold=1e9, sink=texts.append)
    call = profiler.call('call')
    serving = lapmark.serve('serving', call.request, ms_threshold=1e-4, sink=lambda text: None)
    for _ in range(1000):
        pass
    call.end(serving.reply())
    serving.finish()
    assert call.slow
    profiler.finish()
for _ in range(40):
    once()
print(len(texts))
""", LAPMARK_ACCEPT="slow")
    assert A_SECOND <= int(result.out) < 40, result


# ---- slow for the caller alone -----------------------------------------------------------------------------------------


def ask(profiler, label="get item"):
    """A call that no server has answered yet. All of this line are of one kind, with the profilers that take() makes."""
    return profiler.call(label)


def take(answers, ms_threshold=0.0):
    """One profiler of the client's, with a call for each of these functions, which serve it."""
    with Profiler("client", ms_threshold=ms_threshold, sink=Text()) as profiler:
        for answer in answers:
            call = ask(profiler)
            call.end(answer(call))


def serving(text, spend_ms=0.0, label="serving", **options):
    """A function that serves a call, with a profiler that does not print."""
    def answer(call):
        with lapmark.serve(label, call.request, **{"ms_threshold": NEVER, "sink": text, **options}) as profiler:
            busy(spend_ms)
            profiler("worked")
            return profiler.reply()
    return answer


def test_slow_for_the_caller():
    text = Text()
    for accepts, printed in (("threshold", 0), ("slow", 1)):
        lapmark.accept(accepts)
        before = lapmark.counts()["suppressed"]
        take([serving(text), serving(text, 20, "serving the slow one"), serving(text)], 0.5)
        assert not text.reports
        take([serving(text), serving(text)])
        assert len(text.reports) == printed, text
        assert lapmark.counts()["suppressed"] == before
    report, = reports(repr(text))
    assert report.label == "serving the slow one" and report.labels() == ["worked"] and report.total >= 20, text
    take([serving(text)])
    assert len(text.reports) == 1, "it is asked for once"
    take([serving(text)], NEVER)
    take([serving(text)])
    assert len(text.reports) == 1, "the client has not taken its threshold"
    lapmark.accept("nothing")


def test_another_kind():
    lapmark.accept("slow")
    text = Text()
    take([serving(text, 1)], 0.5)
    with Profiler("client", ms_threshold=NEVER, sink=Text()) as profiler:
        for label in ("put item", "get items"):
            assert ask(profiler, label).request[5] == 0
    with Profiler("another client", sink=Text()) as profiler:
        assert ask(profiler).request[5] == 0
    assert not text.reports
    take([serving(text)])
    assert len(text.reports) == 1
    lapmark.accept("nothing")


def test_as_it_would_have_been_printed():
    """With all that is inside, and where it would have gone."""
    lapmark.accept("slow")
    said, asked = Text(), Text()

    def answer(text, ms_threshold):
        def serve(call):
            with lapmark.serve("serving 7", call.request, ms_threshold=ms_threshold, n=3, sink=text) as profiler:
                for i in range(5):
                    profiler(f"step {i}", n=i)
                with Profiler("inside", ms_threshold=NEVER) as inside:
                    inside("deep")
                profiler("inside done")
                return profiler.reply()
        return serve

    take([answer(said, 0.0)])
    take([answer(asked, NEVER)], 1e-6)
    take([serving(Text())])

    def shape(entry):
        return entry.label, entry.notes.split(" (held")[0], entry.labels(), [shape(inside) for inside in entry.inside]

    assert [shape(entry) for entry in reports(repr(asked))] == [shape(entry) for entry in reports(repr(said))], (said, asked)
    assert "step # (x5): " in repr(asked) and "> Entering inside" in repr(asked) and "n=3" in repr(asked)
    lapmark.accept("nothing")


def test_stream_of_the_one_around():
    lapmark.accept("slow")
    text = Text()

    def answer(call):
        with Profiler("server", ms_threshold=NEVER, sink=text):
            return serving(None)(call)

    take([answer], 1e-6)
    assert not text.reports
    take([answer], NEVER)
    assert len(text.reports) == 1 and text.reports[0].startswith("> Entering serving\n"), text
    lapmark.accept("nothing")


def test_those_that_print_are_not_held():
    lapmark.accept("slow")
    text, before = Text(), lapmark.counts()["suppressed"]
    take([serving(text, ms_threshold=0.0)], 1e-6)
    take([serving(text, ms_threshold=0.0)])
    assert len(text.reports) == 2 and lapmark.counts()["suppressed"] == before + 1, text
    lapmark.accept("nothing")


def test_the_last_are_held():
    """And no more: neither their reports nor where those go."""
    lapmark.accept("slow")
    for others, printed in ((HELD - 1, 1), (HELD, 0)):
        text, before = Text(), lapmark.counts()["suppressed"]
        take([serving(text)], 1e-6)
        sinks = []
        for _ in range(others):
            sink = Text()
            sinks.append(weakref.ref(sink))
            with Profiler("another client", ms_threshold=NEVER, sink=Text()) as profiler:
                call = profiler.call("another call")
                call.end(serving(sink)(call))
        take([serving(Text())])
        assert len(text.reports) == printed
        assert lapmark.counts()["suppressed"] == before + 1 - printed
    for _ in range(2 * HELD):
        sink = Text()
        sinks.append(weakref.ref(sink))
        take([serving(sink)], NEVER)
    del sink, profiler, call
    assert sum(sink() is not None for sink in sinks) <= HELD
    lapmark.accept("nothing")


def test_hostile_requests():
    """One that is replayed is granted once; spans that nobody has served, and bytes that are no request, print nothing."""
    lapmark.accept("slow")
    text = Text()
    take([serving(text)], 1e-6)
    wishes = []
    take([lambda call: wishes.append(call.request) or b""], NEVER)
    wish, = wishes
    assert wish[5] == 0x80
    before = lapmark.counts()["suppressed"]
    for _ in range(3):
        lapmark.serve("replayed", wish, ms_threshold=NEVER, sink=text).finish()
    assert len(text.reports) == 1 and lapmark.counts()["suppressed"] == before + 2, text
    source = random.Random(1)
    for _ in range(300):
        other = bytearray(wish)
        other[32:40] = source.choice((bytes(8), b"\xff" * 8, source.randbytes(8)))
        lapmark.serve("never served", other, ms_threshold=NEVER, sink=text).finish()
    assert lapmark.counts()["suppressed"] == before + 302
    for _ in range(300):
        other = bytearray(wish)
        other[source.randrange(4)] ^= source.randrange(1, 256)
        lapmark.serve("none", other[:source.randrange(1, 49)], ms_threshold=NEVER, sink=text).finish()
    assert len(text.reports) == 1 and lapmark.counts()["suppressed"] == before + 302, text
    lapmark.accept("nothing")


def test_asked_for_too_often():
    result = python("""
import lapmark
from lapmark import Profiler
texts = []
lapmark.accept('slow')
def once():
    with Profiler('client', ms_threshold=1e-6, sink=lambda text: None) as profiler:
        call = profiler.call('call')
        with lapmark.serve('serving', call.request, ms_threshold=1e9, sink=texts.append) as serving:
            call.end(serving.reply())
for _ in range(40):
    once()
assert lapmark.counts()['suppressed'] == 39 - len(texts), (lapmark.counts(), len(texts))
print(len(texts))
""")
    assert A_SECOND <= int(result.out) < 39, result


def test_forked():
    """A child holds nothing of its parent, and tells nothing of its."""
    result = python("""
import os, lapmark
from lapmark import Profiler
lapmark.accept('slow')
def once(threshold):
    with Profiler('client', ms_threshold=threshold, sink=lambda text: None) as profiler:
        call = profiler.call('call')
        with lapmark.serve('serving', call.request, ms_threshold=1e9, sink=print) as serving:
            call.end(serving.reply())
    return call.request
first = once(1e-6)
child = os.fork()
if child == 0:
    assert once(1e9)[5] == 0
    wish = bytearray(once(1e9))
    wish[5], wish[32:40] = 0x80, first[31:23:-1]
    lapmark.serve('asked', bytes(wish), ms_threshold=1e9).finish()
    os._exit(lapmark.counts()['suppressed'])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
assert once(1e9)[5] == 0x80
""")
    assert list(by_label(result.out.strip())) == ["serving"], result


CLIENT = r"""
#include "call_messages.h"
#include <lapmark.h>
static void fetch(int fd, uint64_t item)
{
    LAP_PROFILE_WITH(LAP_OPTS(.threshold_ms = 0.5), "fetch");
    for (uint64_t end = item + 3; item < end; item++) {
        struct message message = {.item = item};
        struct lap_call call;
        lap_call_begin(&call, "get item");
        memcpy(message.trailer, call.request, sizeof message.trailer);
        must(message_write(fd, &message) && message_read(fd, &message), "the server");
        must(lap_call_end(&call, message.trailer, sizeof message.trailer) == 0, "the reply");
        LAP_MARK("got item");
    }
}
int main(int argc, char **argv)
{
    const int fd = argc == 2 ? connect_to(argv[1]) : -1;
    fetch(fd, 0);
    fetch(fd, 3);
    return 0;
}
"""


def test_a_client_in_c():
    """Its second round names the slowest request of the first."""
    with tempfile.TemporaryDirectory() as directory:
        source, client = os.path.join(directory, "client.c"), os.path.join(directory, "client")
        with open(source, "w", encoding="utf-8") as file:
            file.write(CLIENT)
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-I", os.path.join(SOURCE, "include"), "-I", os.path.join(SOURCE, "examples"),
                        source, "-o", client, "-L", BUILD, "-l:liblapmark.so.0", f"-Wl,-rpath,{BUILD}"], check=True)
        result = python("""
import socket, subprocess, sys, time, lapmark
lapmark.accept('slow')
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[2])
listening.listen()
client = subprocess.Popen([sys.argv[1], sys.argv[2]])
end, _ = listening.accept()
with end.makefile('rwb') as stream:
    while True:
        message = stream.read(56)
        if not message:
            break
        item = message[0]
        with lapmark.serve(f'serve item {item}', message[8:], ms_threshold=1e9, sink=print) as profiler:
            time.sleep(0.03 * (item == 1))
            profiler('found')
            stream.write(message[:8] + profiler.reply())
            stream.flush()
            profiler('sent')
assert client.wait() == 0
""", client, os.path.join(directory, "socket"))
    report, = reports(result.out.strip())
    assert report.label == "serve item 1" and report.labels() == ["found", "sent"] and report.total >= 30, result
    assert "> Entering fetch" in result.err, result


def test_a_server_in_c():
    """The next request of a profiler here tells it which of the first was slow."""
    with tempfile.TemporaryDirectory() as directory:
        address = os.path.join(directory, "socket")
        server = subprocess.Popen([os.path.join(BUILD, "examples", "call_server"), address, "2"], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, env=environment(LAPMARK="serve*:1000000", LAPMARK_ACCEPT="slow"))
        assert server.stdout.readline()  # it listens
        result = python("""
import socket, sys
from lapmark import Profiler
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
def fetch(threshold):
    with Profiler('fetch', ms_threshold=threshold) as profiler, server.makefile('rwb') as stream:
        with profiler.call('get item') as call:
            stream.write(bytes(8) + call.request)
            stream.flush()
            call.reply = stream.read(56)[8:]
        assert call.error is None
for threshold in (1, 1e9, 1e9):
    fetch(threshold)
""", address)
        printed = server.communicate()[1]
    assert server.returncode == 0
    assert list(by_label(result.err)) == ["fetch"], result
    report, = reports(printed)
    assert report.label == "serve an item" and report.labels() == ["worked", "result sent"], printed


# ---- wishes ------------------------------------------------------------------------------------------------------------


def test_wishes():
    lapmark.accept("threshold,slow")
    text = Text()
    profiler = Profiler("client", ms_threshold=NEVER, sink=Text())

    def ask(threshold, is_disabled, **wishes):
        call = profiler.call("call")
        call.wish(**wishes)
        assert len(call.request) == 48
        before = len(text.reports)
        served(call, text, threshold, 0.05, disabled=is_disabled)
        return len(text.reports) - before

    assert ask(NEVER, False, ms_threshold=0.001) == 1
    assert ask(0, False, ms_threshold=NEVER) == 0
    assert ask(0, False, disabled=True) == 0
    assert ask(0, True, disabled=False) == 1
    assert ask(0, True) == 0
    assert ask(0, False, ms_threshold="none") == ask(0, False, ms_threshold=None) == 1
    lapmark.accept("nothing")
    assert ask(NEVER, False, ms_threshold=0.001) == 0
    assert ask(0, False, disabled=True) == 1
    profiler.finish()


def test_wishes_of_calls_that_are_off():
    call = Profiler("off", disabled=True).call("call")
    call.wish(ms_threshold=1.0, disabled=True)
    assert call.request == b"" and call.slow is False


def test_bytes():
    """The other implementation reads the same: log2 of microseconds with 8 bits behind the point."""
    profiler = Profiler("client", sink=Text(), ms_threshold=NEVER)
    call = profiler.call("call")
    before = call.request
    for wishes, level, threshold in (({"ms_threshold": 1.024, "disabled": False}, 2, 0x0A00), ({"ms_threshold": 1e-9}, 0, 1),
                                     ({"ms_threshold": 2.0 ** 30, "disabled": True}, 1, 0x27F7), ({}, 0, 0)):
        call.wish(**wishes)
        assert call.request[5] == level, wishes
        assert abs(int.from_bytes(call.request[6:8], "little") - threshold) <= 1, (wishes, call.request[6:8])
    assert call.request == before
    profiler.finish()


def test_words():
    for wrong in ("all", "slow,", "slow threshold", "", None, 7, "slow\udc80"):
        try:
            lapmark.accept(wrong)
        except ValueError as error:
            assert "cannot accept" in str(error)
        else:
            raise AssertionError(wrong)
    result = python("import lapmark\nlapmark.Profiler('x').finish()\nlapmark.serve('y', None).finish()",
                    LAPMARK_ACCEPT="everything", LAPMARK_PRINT="off")
    assert "LAPMARK_ACCEPT='everything'" in result.err, result


if __name__ == "__main__":
    main(globals())
