# SPDX-License-Identifier: MIT
"""The server of a message stream and its client, in two processes: see SERVER and CLIENT in common_patterns.py."""
import os
import re
import socket
import subprocess
import sys
import tempfile

from common_python import environment, main, python, reports

HERE = os.path.dirname(os.path.abspath(__file__))
SERVER_MS, CLIENT_MS, BETWEEN_MS = 8, 3, 60

SERVER = f"""
import sys
sys.path.insert(0, {HERE!r})
import common_actors, lapmark, os
from common_patterns import compiled
from common_python import busy
from lapmark import Profiler

async def handle_request(message):
    busy({SERVER_MS})
    return [2 * number for number in message]

names = dict(Profiler=Profiler, tractor=common_actors, handle_request=handle_request)
exec(compiled('server'), names)
common_actors.serve(int(sys.argv[1]))
assert not lapmark.counts().get('failed')
assert lapmark.implementation == (os.environ.get("LAPMARK_EXPECTED") or lapmark.implementation)
"""

CLIENT = f"""
    import sys
    sys.path.insert(0, {HERE!r})
    import asyncio, common_actors
    from common_patterns import compiled
    from common_python import busy
    from lapmark import Profiler

    def build_specs(gaps):
        busy({CLIENT_MS})
        return list(gaps)

    class Chart:
        def __init__(self, stream):
            self.stream = stream
        async def redraw(self):
            await asyncio.sleep(0.001)
        async def add_batch(self, specs):
            await self.stream.send(specs)
            return await self.stream.__anext__()

    names = dict(Profiler=Profiler, build_specs=build_specs)
    exec(compiled('client'), names)

    async def analyse(path):
        async with common_actors.connect(path, 'remote_annotate') as stream:
            for count in (12, 40, 3):
                await names['markup_gaps'](Chart(stream), range(count), count)
                await asyncio.sleep({BETWEEN_MS} / 1000)
    asyncio.run(analyse(sys.argv[1]))
    """


def run_both(**variables):
    """What the server and the client print."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        path = os.path.join(directory, "socket")
        listening.bind(path)
        listening.listen()
        program = os.path.join(directory, "server.py")
        with open(program, "w", encoding="utf-8") as file:
            file.write(SERVER)
        with subprocess.Popen([sys.executable, program, str(listening.fileno())], pass_fds=[listening.fileno()],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(**variables), text=True) as server:
            client = python(CLIENT, path, **variables)
            _, err = server.communicate()
        assert server.returncode == 0, err
    return err, client.err


def test_server_and_client():
    server, client = run_both()
    handled = reports(server)
    assert [report.label for report in handled] == [f"Batch annotate {count} gaps" for count in (12, 40, 3)], server
    for report in handled:
        assert report.labels() == ["request handled", "result sent"] and not report.inside, server
        assert report.laps[0][1] >= SERVER_MS * 0.999, server
        # Late by nature: it hangs on until the next message, or the stream's end, and that is not its time.
        assert report.total == report.laps[-1][2] and report.total + report.held >= BETWEEN_MS - 0.1, server
        assert re.fullmatch(r" \(held \d+\.\d ms\)", report.notes), server
    asked = reports(client)
    assert [report.label for report in asked] == [f"markup_gaps() for {count} gaps" for count in (12, 40, 3)], client
    for report, other in zip(asked, handled):
        assert report.labels() == ["initial redraw", "built annotation specs", "batch IPC call complete", "final redraw"], client
        first, built, call, last = (lap for _, lap, _ in report.laps)
        assert first >= 0.999 and last >= 0.999 and built >= CLIENT_MS * 0.999 and not report.inside, client
        assert call >= other.laps[0][1], (client, server)  # the round trip takes longer than the work at its other end
        assert report.total == report.laps[-1][2], client


def test_switched_from_outside_for_both():
    server, client = run_both(LAPMARK="Batch annotate # gaps")
    assert [report.label for report in reports(server)] == [f"Batch annotate {count} gaps" for count in (12, 40, 3)], server
    assert client == ""


if __name__ == "__main__":
    main(globals())
