# SPDX-License-Identifier: MIT
"""What the tests of the command share: running it, a program to record, a place to do it in."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

LAPMARK = os.environ["LAPMARK_BIN"]
SOURCE = os.environ["SOURCE_DIR"]
BUILD = os.environ["BUILD_DIR"]
SKIPPED = 77


def environment(**variables):
    """The tests' own environment, plain: no colours, no width, no LAPMARK variables but those given."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("LAPMARK") and name not in ("COLUMNS", "NO_COLOR", "CLICOLOR_FORCE", "LANG", "LC_CTYPE")}
    env.update(LC_ALL="C.UTF-8", TZ="UTC", LD_LIBRARY_PATH=BUILD)
    env.update(variables)
    return env


class Result:
    def __init__(self, process):
        self.status = process.returncode
        self.out = process.stdout.decode("utf-8", "surrogateescape")
        self.err = process.stderr.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return f"status {self.status}\n--- stdout\n{self.out}--- stderr\n{self.err}---"


def run(*command, cwd=None, timeout=120, **variables):
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd, timeout=timeout,
                             env=environment(**variables), check=False)
    return Result(process)


def lapmark(*arguments, **options):
    return run(LAPMARK, *arguments, **options)


def lapmark_json(*arguments, **options):
    result = lapmark(*arguments, "--json", **options)
    equal(result.status, 0, result)
    return json.loads(result.out)


def equal(got, wanted, where=""):
    if got != wanted:
        raise AssertionError(f"got    {got!r}\nwanted {wanted!r}\n{where}")


def check(condition, where=""):
    if not condition:
        raise AssertionError(str(where))


def workload(directory, name="workload", of="tests/cli"):
    """Builds a program of this directory, or of another, as a user would, and returns its path."""
    path = os.path.join(directory, name)
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O1", "-g", f"-I{SOURCE}/include", "-o", path,
                    f"{SOURCE}/{of}/{name}.c", f"-L{BUILD}", "-llapmark", f"-Wl,-rpath,{BUILD}", "-pthread"],
                   check=True)
    return path


class Puppet:
    """puppet.c, which does what it is told: each call of tell() returns its answer when that is done."""

    def __init__(self, directory, **variables):
        self.process = subprocess.Popen([os.path.join(directory, "puppet")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1, cwd=directory, process_group=0,  # stays stopped
                                        env=environment(**{"LAPMARK_RECORD": "rec", "LAPMARK_PRINT": "off", **variables}))
        self.pid = str(self.process.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        return self.answer()

    def answer(self):
        answer = self.process.stdout.readline().strip()
        check(answer, "the puppet is gone")
        return answer

    def end(self):
        """Its stderr; it must end well."""
        _, err = self.process.communicate(timeout=60)
        equal(self.process.returncode, 0, err)
        return err


class Directory:
    """A directory for a test's recordings, on a disk where there is one: that is where most people's are. With `memory_bytes` it is in
    memory where so much is left, for those that make thousands of files."""

    def __init__(self, memory_bytes=None):
        self.memory_bytes = memory_bytes

    def __enter__(self):
        places = ["/var/tmp", BUILD]
        if self.memory_bytes and shutil.disk_usage("/dev/shm").free >= self.memory_bytes:
            places.insert(0, "/dev/shm")
        base = next((path for path in places if os.access(path, os.W_OK)), None)
        self.path = tempfile.mkdtemp(prefix="lapmark-test-", dir=base)
        return self.path

    def __exit__(self, *_):
        for path, directories, files in os.walk(self.path):  # the recorder's files on shared memory, too
            for link in (os.path.join(path, name) for name in directories + files):
                place = os.readlink(link) if os.path.islink(link) else ""
                if place.startswith("/dev/shm/lapmark-"):
                    shutil.rmtree(place.removesuffix("/.lapmark"), ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)


def shared_memory():
    """Names of the processes whose files lie in shared memory."""
    path = f"/dev/shm/lapmark-{os.geteuid()}"
    return set(os.listdir(path)) if os.path.isdir(path) else set()


def main(tests):
    """Runs the functions whose names start with test_; an argument chooses those that it is part of."""
    failed = 0
    chosen = sys.argv[1:] or [""]
    for name, test in list(tests.items()):
        if not name.startswith("test_") or not any(part in name for part in chosen):
            continue
        try:
            test()
            print(f"ok {name}")
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {name}")
            traceback.print_exc(file=sys.stdout)
    sys.exit(1 if failed else 0)
