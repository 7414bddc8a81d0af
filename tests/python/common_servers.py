# SPDX-License-Identifier: MIT
"""Servers that are not ours, as Debian has them: in the foreground, children of a test. No service of the machine is touched."""
import os
import shutil
import subprocess

from common_python import skip

PLACES = [os.environ.get("PATH", ""), "/usr/sbin", os.path.join(os.environ.get("BUILD_DIR", "build"), "nginx/usr/sbin")]


def program(*names):
    """The path of the first of these programs that is here, or was unpacked by ./dev."""
    for name in names:
        path = shutil.which(name, path=os.pathsep.join(PLACES))
        if path:
            return os.path.abspath(path)
    return skip(f"{names[0]} is not here")


class Server:
    """One that is there once it has said so. It ends well with the block, is killed where that fails, and with this process."""

    def __init__(self, ready, *command, **options):
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, **options)
        self.said = ""
        while ready not in self.said:
            line = self.process.stdout.readline()
            self.said += line
            if not line:
                self.process.communicate()
                raise AssertionError(f"{command[0]} ended with status {self.process.returncode}: {self.said}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        else:
            self.process.terminate()
        self.said += self.process.communicate()[0]
        if kind:
            print(f"{self.process.args[3]} has said:\n{self.said}")
        else:
            assert self.process.returncode == 0, (self.process.returncode, self.said)
