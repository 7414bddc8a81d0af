# SPDX-License-Identifier: MIT
"""helper_http_server.py SOCKET: serves GET until SIGTERM. The path's last part says how many milliseconds that takes; the
reply, which headers the request had, which trailer goes with the reply, and which request of its connection it was."""
import http.server
import json
import signal
import socketserver
import sys
import threading
import time

import common_python  # pylint: disable=unused-import  # where the package is
import lapmark


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    served = 0

    def parse_request(self):
        self.arrived = lapmark.now()
        return super().parse_request()

    def do_GET(self):  # pylint: disable=invalid-name
        self.served += 1
        with lapmark.serve("serve GET", bytes.fromhex(self.headers.get("lapmark-trailer", "")), self.arrived) as profiler:
            time.sleep(int(self.path.rsplit("/", 1)[1]) / 1000)
            profiler("worked")
            trailer = profiler.reply().hex()
        body = json.dumps({"headers": dict(self.headers.items()), "trailer": trailer, "served": self.served}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if trailer:
            self.send_header("lapmark-trailer", trailer)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class HttpServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def main(path):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=HttpServer(path, Handler).serve_forever, daemon=True).start()
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    assert not lapmark.counts().get("failed")


main(sys.argv[1])
