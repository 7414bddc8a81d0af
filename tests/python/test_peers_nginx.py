# SPDX-License-Identifier: MIT
"""HTTP through an nginx: the trailers and the trace context go in headers, and the time that nginx takes is between."""
import contextlib
import ctypes
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import tempfile

from common_calls import NOTE, RATE, Text, is_least, now_ms
from common_python import PACKAGE, environment, main, skip
from common_servers import Server, program

import lapmark
from lapmark import Profiler

HERE = os.path.dirname(os.path.abspath(__file__))
TRACESTATE = "vendor=opaque:value,other@tenant=1"
HELD_MS = 50  # by limit_req, what each of the requests to /held/ waits longer than the one before
ROUNDING_MS = 2  # nginx counts whole milliseconds, and takes a difference of two
CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {{ }}
http {{
    log_format times '$http_traceparent $connection_requests $request_time $upstream_response_time';
    access_log access.log times;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    limit_req_zone $uri zone=held:32k rate={rate}r/s;
    upstream kept {{
        server unix:{directory}/server;
        keepalive 8;
    }}
    server {{
        listen unix:{directory}/nginx;
        location / {{
            proxy_pass http://kept;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /held/ {{
            limit_req zone=held burst=50;
            lingering_close off;
            proxy_pass http://unix:{directory}/server:;
        }}
        location /hidden/ {{
            proxy_pass http://kept;
            proxy_hide_header lapmark-trailer;
        }}
    }}
}}
"""


class Nginx:
    """Where it listens, and since its end what it logged: by traceparent which request of its connection it was, and in ms how
    long it took, and how long of that the server."""

    def __init__(self, path):
        self.path, self.log = path, {}

    def read(self, path):
        with open(path, encoding="ascii") as file:
            for line in file:
                traceparent, number, took, served = line.split()
                self.log[traceparent] = int(number), float(took) * 1000, float(served) * 1000


@contextlib.contextmanager
def nginx(**variables):
    """One with a server of ours behind it, in such an environment."""
    path = program("nginx")
    with tempfile.TemporaryDirectory() as directory:
        configuration = os.path.join(directory, "nginx.conf")
        with open(configuration, "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(directory=directory, rate=1000 // HELD_MS))
        ours = [sys.executable, os.path.join(HERE, "helper_http_server.py"), os.path.join(directory, "server")]
        theirs = [path, "-p", directory, "-c", configuration, "-e", "stderr"]
        found = Nginx(os.path.join(directory, "nginx"))
        with Server("ready\n", *ours, env=environment(**variables)), Server('using the "epoll" event method', *theirs):
            yield found
        found.read(os.path.join(directory, "access.log"))


class Connection(http.client.HTTPConnection):
    """Kept open, on a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def begin(connection, profiler, path, **headers):
    """Sends a request with its trailer, or what the headers say instead."""
    call = profiler.call(f"get {path}")
    headers = {"traceparent": call.traceparent, "tracestate": TRACESTATE, "lapmark-trailer": call.request.hex(), **headers}
    connection.request("GET", path, headers={name: value for name, value in headers.items() if value})
    return call


def end(connection, call):
    """Waits for the reply, and returns what the server says of the request."""
    with connection.getresponse() as response:
        seen = json.loads(response.read())
        assert response.status == 200
        call.end(bytes.fromhex(response.headers.get("lapmark-trailer", "")))
    return seen


def one(path, **headers):
    """A call, what the server says of it, and the client's report."""
    text = Text()
    with nginx() as theirs, contextlib.closing(Connection(theirs.path)) as connection:
        with Profiler("client", sink=text) as profiler:
            call = begin(connection, profiler, path, **headers)
            seen = end(connection, call)
            profiler("complete")
    return call, seen, text


# ---- headers ---------------------------------------------------------------------------------------------------------


class Context(ctypes.Structure):
    _fields_ = [("trace_id", ctypes.c_uint8 * 16), ("span_id", ctypes.c_uint8 * 8), ("flags", ctypes.c_uint8),
                ("reserved", ctypes.c_uint8 * 7)]


def traceparent_read(text):
    """The ids in a header, by the library where it is here."""
    if lapmark.implementation != "c":
        return tuple(map(bytes.fromhex, text.split("-")[1:3]))
    library, context = ctypes.CDLL(os.path.join(PACKAGE, "lapmark", "liblapmark.so.0")), Context()
    assert library.lap_traceparent_read(ctypes.byref(context), text.encode(), ctypes.c_uint64(len(text))) == 0, text
    return bytes(context.trace_id), bytes(context.span_id)


def test_headers():
    """They come through as they are."""
    call, seen, text = one("/work/3")
    headers = {name.lower(): value for name, value in seen["headers"].items()}
    assert headers["traceparent"] == call.traceparent and headers["tracestate"] == TRACESTATE, seen
    assert headers["lapmark-trailer"] == call.request.hex() and lapmark.reply_of(bytes.fromhex(seen["trailer"])) == call.span_id
    trace_id, span_id = traceparent_read(headers["traceparent"])
    assert span_id.hex() == call.span_id and trace_id + span_id == call.request[8:32], seen
    assert call.error is None and is_least(call.server_ms, 3) and call.between_ms > 0
    shown = NOTE.fullmatch(text.lines()[1])
    assert shown and shown.group(1) == "complete", text
    assert abs(float(shown.group(5)) - call.server_ms) < 0.0002 and abs(float(shown.group(8)) - call.between_ms) < 0.0002, text


def test_no_trailer_asked_for():
    """A request without one is answered without one."""
    call, seen, text = one("/work/0", **{"lapmark-trailer": None})
    assert seen["trailer"] == "" and "lapmark-trailer" not in seen["headers"], seen
    assert seen["headers"]["traceparent"] == call.traceparent
    assert call.error == "silent" and call.server_ms is None and text.lines()[1].endswith(" (peer silent)"), text


def test_hidden():
    """An nginx that drops the reply's header."""
    call, seen, text = one("/hidden/3")
    assert lapmark.reply_of(bytes.fromhex(seen["trailer"])) == call.span_id
    assert call.error == "silent" and call.server_ms is None and text.lines()[1].endswith(" (peer silent)"), text
    assert is_least(call.total_ms, 3)


# ---- times -----------------------------------------------------------------------------------------------------------

IN_FLIGHT, ROUNDS = 4, 5


def test_several_in_flight():
    """On connections that are kept on both sides of nginx; the last reply is read first."""
    text, calls = Text(), []
    with nginx() as theirs, contextlib.ExitStack() as stack, Profiler("client", sink=text) as profiler:
        connections = [stack.enter_context(contextlib.closing(Connection(theirs.path))) for _ in range(IN_FLIGHT)]
        for _ in range(ROUNDS):
            started = [begin(connection, profiler, f"/work/{number}") for number, connection in enumerate(connections)]
            seen = [end(connection, call) for connection, call in reversed(list(zip(connections, started)))]
            calls.append(started)
        profiler("all here")
    for started in calls:
        for number, call in enumerate(started):
            assert call.error is None and is_least(call.server_ms, number) and call.between_ms > 0, (call.server_ms, number)
    assert sorted(theirs.log[call.traceparent][0] for call in calls[-1]) == [ROUNDS] * IN_FLIGHT, theirs.log
    assert max(each["served"] for each in seen) > 1, seen
    shown, = [match for match in map(NOTE.fullmatch, text.lines()) if match]
    assert shown.group(1, 3, 4) == ("all here", str(IN_FLIGHT * ROUNDS), None), text


def test_held_by_nginx():
    """It lets requests wait before the server can see them: by its configuration, and by what it logged."""
    with nginx() as theirs, contextlib.ExitStack() as stack, Profiler("client", sink=Text()) as profiler:
        connections = [stack.enter_context(contextlib.closing(Connection(theirs.path))) for _ in range(IN_FLIGHT)]
        first = now_ms()
        calls = [begin(connection, profiler, "/held/2", Connection="close") for connection in connections]
        spread = now_ms() - first
        for connection, call in zip(connections, calls):
            end(connection, call)
    assert not any(call.error for call in calls), calls
    for waited, between in enumerate(sorted(call.between_ms for call in calls)):
        assert is_least(between, waited * HELD_MS - spread - ROUNDING_MS), (waited, spread, calls)
    for call in calls:
        _, took, served = theirs.log[call.traceparent]
        assert call.total_ms >= took * (1 - RATE) - ROUNDING_MS, (call.total_ms, took)
        assert call.between_ms >= (took - served) * (1 - RATE) - ROUNDING_MS, (call.between_ms, took, served)
        assert call.server_ms <= served * (1 + RATE) + ROUNDING_MS, (call.server_ms, served)


# ---- recorded --------------------------------------------------------------------------------------------------------


def lapmark_json(*arguments):
    command = [os.environ["LAPMARK_BIN"], *arguments, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def test_recorded():
    """One tree over both."""
    if lapmark.implementation != "c" or "LAPMARK_BIN" not in os.environ:
        skip("the extension records, and the lapmark command reads that")
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = os.path.join(directory, "client"), os.path.join(directory, "server")
        with nginx(LAPMARK_RECORD=theirs) as proxy, contextlib.closing(Connection(proxy.path)) as connection:
            lapmark.record(ours)
            with Profiler("client", sink=Text()) as profiler:
                for _ in range(ROUNDS):
                    end(connection, begin(connection, profiler, "/work/2"))
                    profiler("complete")
            lapmark.record_stop()
        calls = lapmark_json("calls", ours, theirs)
        report = lapmark_json("report", ours, theirs)
    assert (calls["count"], calls["answered"], calls["silent"], calls["refused"]) == (ROUNDS, ROUNDS, 0, 0), calls
    kind, = calls["calls"]
    assert kind["server_ns"]["mean"] >= 2e6 * (1 - RATE) and kind["between_ns"]["mean"] > 0, kind
    assert len(report["processes"]) == 2
    assert {tuple(row["path"]): row["count"] for row in report["sites"] if row["path"][-1] != "(rest)"} == {
        ("client",): 1, ("client", "complete"): ROUNDS, ("client", "get /work/#"): ROUNDS,
        ("client", "get /work/#", "serve GET"): ROUNDS, ("client", "get /work/#", "serve GET", "worked"): ROUNDS}, report["sites"]


if __name__ == "__main__":
    main(globals())
