# SPDX-License-Identifier: MIT
"""The completions, in the shells themselves: typed at a terminal, and asked for by their functions."""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

import common


class Shell:
    """A shell at a terminal of its own."""

    def __init__(self, command, directory):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            path = f"{os.path.dirname(common.LAPMARK)}:{os.environ['PATH']}"
            os.execvpe(command[0], command, common.environment(PATH=path, TERM="dumb", PS1="$ ", HOME=directory))

    def read(self, wanted, seconds=20):
        """Until the pattern has been seen in what came since the last call."""
        start = time.monotonic()
        got = ""
        while not re.search(wanted, got):
            if time.monotonic() - start > seconds:
                raise AssertionError(f"waited for {wanted!r}, got {got!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                got += os.read(self.fd, 65536).decode("utf-8", "replace")
                got = re.sub("\x07|\x1b\\[[?0-9;]*[a-zA-Z]", "", got)
        return got

    def type(self, text):
        os.write(self.fd, text.encode())

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def try_at_terminal(command, name):
    with tempfile.TemporaryDirectory() as directory:
        os.mkdir(f"{directory}/recording-of-mine")
        with open(f"{directory}/program-of-mine", "w", opener=lambda path, flags: os.open(path, flags, 0o755),
                  encoding="utf-8"):
            pass
        shell = Shell(command, directory)
        if name == "zsh":
            shell.type("autoload -Uz compinit; compinit -u -D\n")
        shell.type(f'eval "$(lapmark completion {name})"; echo rea""dy\n')
        shell.read("ready")
        for typed, wanted in (("lapmark repo\t", "report "),
                              ("lapmark slowest --cou\t", "--count"),
                              ("lapmark report --by thr\t", "thread"),
                              ("lapmark completion z\t", "zsh"),
                              ("lapmark show recording-of\t", "recording-of-mine"),
                              ("lapmark run --out\t", "--output"),
                              ("lapmark run --keep sl\t", "slow"),
                              ("lapmark run -- ./program-of\t", "./program-of-mine"),
                              ("lapmark run -- ls -l recording-of\t", "recording-of-mine"),
                              ("lapmark help comp\t", "completion")):
            shell.type(typed)
            shell.read(re.escape(wanted))
            shell.type("\x15")
        shell.type("exit\n")
        shell.close()


def test_bash_at_terminal():
    try_at_terminal(["bash", "--norc", "--noprofile", "-i"], "bash")


def test_zsh_at_terminal():
    if not shutil.which("zsh"):
        print("no zsh here")
        return
    try_at_terminal(["zsh", "-f", "-i"], "zsh")


def ask_bash(*words):
    script = 'eval "$("$LAPMARK" completion bash)"; compopt() { :; }; COMP_WORDS=("$@"); ' \
             'COMP_CWORD=$(($# - 1)); _lapmark; printf "%s\\n" "${COMPREPLY[@]}"'
    output = subprocess.run(["bash", "-c", script, "bash", "lapmark", *words], check=True, capture_output=True,
                            env=common.environment(LAPMARK=common.LAPMARK))
    common.equal(output.stderr, b"")
    return output.stdout.decode().split()


def test_bash_answers():
    commands = re.findall(r"^  ([a-z]+) ", common.lapmark("help").out, re.MULTILINE)
    common.equal(ask_bash(""), commands + ["--version", "--help"])
    common.equal(ask_bash("re"), ["record", "report"])
    common.equal(ask_bash("help", ""), commands)
    common.equal(ask_bash("run", "--keep", ""), ["all", "slow"])
    common.equal(ask_bash("run", ""), ["--"])
    common.equal(ask_bash("version", ""), [])
    for command in commands:
        listed = set(re.findall(r"^  (?:    |(?:-\w), )(--[a-z-]+)", common.lapmark(command, "-h").out, re.MULTILINE))
        common.equal({word for word in ask_bash(command, "-") if word.startswith("--")}, listed, command)


def test_syntax():
    for name in ("bash", "zsh"):
        if shutil.which(name):
            text = common.lapmark("completion", name).out
            subprocess.run([name, "-n"], input=text.encode(), check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "bash", "-"], input=common.lapmark("completion", "bash").out.encode(), check=True)


if not shutil.which("bash"):
    sys.exit(common.SKIPPED)
common.main(globals())
