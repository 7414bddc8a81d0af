# SPDX-License-Identifier: MIT
"""`lapmark top` on running programs: as text and JSON, and its screen, in tmux."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import common

TARGET = os.path.join(common.BUILD, "tests/programs/live_target")


class Target:
    """A recorded live_target, its directory of recordings, and what is left of it taken away."""

    def __init__(self, threads=1):
        self.directory = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
        self.process = subprocess.Popen(
            [TARGET, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=common.environment(LAPMARK_RECORD=self.directory, LAPMARK_PRINT="off"))
        self.say("open")
        self.say("open")

    def say(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        common.equal(self.process.stdout.readline(), "done\n")

    def end(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.process.stdout.close()
        for name in os.listdir(self.directory):
            place = os.path.join(self.directory, name)
            if os.path.islink(place):
                shutil.rmtree(os.readlink(place), ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)


def sites(value):
    return {tuple(site["path"]): site for site in value["sites"]}


# ---- text and JSON


def test_once_is_the_report():
    with Target(2) as target:
        target.say("rounds 700")
        target.say("slow 3")
        for operand in (str(target.process.pid), target.directory):
            top = common.lapmark_json("top", "--once", operand)
            report = common.lapmark_json("report", target.directory)
            common.equal(set(sites(top)), set(sites(report)))
            for path, site in sites(report).items():
                shown = sites(top)[path]
                common.equal({name: shown["since_start"][name] for name in ("count", "total_ns", "mean_ns", "p50_ns", "p99_ns", "max_ns")},
                             {name: site[name] for name in ("count", "total_ns", "mean_ns", "p50_ns", "p99_ns", "max_ns")}, path)
                common.equal({name: shown[name] for name in ("kind", "file", "line", "function", "handle")},
                             {name: site[name] for name in ("kind", "file", "line", "function", "handle")}, path)
                common.equal(shown["interval"], None)
            (process,) = top["processes"]
            common.equal((process["pid"], process["state"], process["threads"], process["lost"]), (target.process.pid, "running", 3, 0))
        common.equal(sites(top)["work", "stage 3", "step 3.1"]["since_start"]["count"], 1400)
        whole = sum(site["since_start"]["share"] for path, site in sites(top).items() if len(path) == 1)
        common.check(abs(whole - 1) < 1e-6, whole)
        text = common.lapmark("top", "--once", str(target.process.pid))
        common.equal((text.status, text.err), (0, ""))
        common.check(re.match(r"lapmark top: 1 process, 1 running; since the start, [\d.]+ \S+\nlive_target \d+  running, ", text.out), text)
        common.check(re.search(r"(?m)^    \u00b7 step 3\.1 +[\d.]+ \S*/s +1,400 ", text.out), text)
        ascii_text = common.lapmark("top", "--once", str(target.process.pid), LC_ALL="C").out
        common.check(ascii_text.isascii() and "- step 3.1 " in ascii_text, ascii_text)
        for width in (40, 60, 80, 100):
            for line in common.lapmark("top", "--once", str(target.process.pid), COLUMNS=str(width)).out.splitlines():
                common.check(len(line) <= width, line)


@contextlib.contextmanager
def looks(*operands):
    """Looks of `top --json` every tenth of a second, one by one."""
    process = subprocess.Popen([common.LAPMARK, "top", "--json", "--interval", "100ms", *operands], stdout=subprocess.PIPE,
                               env=common.environment(), text=True)
    try:
        yield (json.loads(line) for line in process.stdout)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def test_intervals():
    with Target() as target:
        target.say("rounds 100")
        target.say("slow 40")
        with looks(str(target.process.pid)) as each:
            first = next(each)
            common.equal(sites(first)["work",]["interval"]["count"], 0)
            common.check(first["interval_ns"] >= 90e6, first["interval_ns"])
            target.say("rounds 500")
            target.say("slow 4")
            works = slows = 0
            for value in each:
                found = sites(value)
                works += found["work",]["interval"]["count"]
                slows += found["slow",]["interval"]["count"]
                if slows > 0 and found["slow",]["interval"]["count"] == 1:
                    recent, whole = found["slow",]["interval"], found["slow",]["since_start"]
                    common.check(4e6 <= recent["p50_ns"] <= recent["max_ns"] < 40e6 <= whole["max_ns"], (recent, whole))
                    common.check(abs(recent["total_ns"] - recent["mean_ns"]) < 1, recent)
                    common.check(abs(recent["rate"] * value["interval_ns"] / 1e9 - 1) < 0.01, (recent, value["interval_ns"]))
                if found["slow",]["since_start"]["count"] == 2:
                    break
            common.equal((works, slows, found["work",]["since_start"]["count"]), (500, 1, 600))


def test_process_that_ends():
    with Target() as target, Target() as other:
        target.say("rounds 100")
        other.say("rounds 30")
        with looks(target.directory, other.directory) as each:
            common.equal(sorted(process["state"] for process in next(each)["processes"]), ["running", "running"])
            target.say("rounds 11")
            target.end()
            for value in each:
                if value["processes"][0]["state"] == "ended":
                    break
            value = next(each)
            common.equal([process["state"] for process in value["processes"]], ["ended", "running"])
            work = sites(value)["work",]
            common.equal((work["since_start"]["count"], work["interval"]["count"]), (141, 0))
            for name in os.listdir(target.directory):
                shutil.rmtree(os.readlink(f"{target.directory}/{name}"))
            other.say("rounds 5")
            for value in each:
                if sites(value)["work",]["since_start"]["count"] == 146:
                    break
            common.equal([process["state"] for process in value["processes"]], ["ended", "running"])


def test_all_of_this_user():
    with Target() as target, Target() as other:
        other.end()
        found = {process["pid"] for process in common.lapmark_json("top", "--once")["processes"]}
        common.check(target.process.pid in found and other.process.pid not in found, found)


def test_recording_that_goes():
    """Its files are removed while it runs: as `lapmark record` does behind the end."""
    with Target() as target:
        target.say("rounds 7")
        with looks(str(target.process.pid)) as each:
            next(each)
            for name in os.listdir(target.directory):
                shutil.rmtree(os.readlink(f"{target.directory}/{name}"))
            *_, last = each  # with the last process it ends itself
            common.equal((last["processes"][0]["state"], sites(last)["work",]["since_start"]["count"]), ("ended", 7))


def test_none():
    result = common.lapmark("top", str(os.getpid()))
    common.equal((result.status, result.out, result.err), (
        2, "", f"lapmark: process {os.getpid()} records nothing that can be looked at; it must run under 'lapmark run'\n"))
    result = common.lapmark("top", "4194999")
    common.equal((result.status, result.err), (2, "lapmark: cannot look at process 4194999: no such process\n"))
    if os.geteuid() != 0:
        print("not tested here: a user without processes: needs root")
        return
    with tempfile.TemporaryDirectory() as directory:  # a user who has no process
        os.chmod(directory, 0o755)
        shutil.copy(common.LAPMARK, f"{directory}/lapmark")
        done = subprocess.run([f"{directory}/lapmark", "top"], user=64321, group=64321, extra_groups=[], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, env=common.environment(), check=False)
    common.equal((done.returncode, done.stdout, done.stderr), (
        1, "", "lapmark: no process of this user is being recorded; 'lapmark run -- PROGRAM' records one\n"))


# ---- the screen


class Screen:
    """`lapmark top` in a terminal of tmux's; its shell prints ENDED and the status when it has ended."""

    count = 0

    def __init__(self, *operands, size=(110, 40), **variables):
        Screen.count += 1
        self.socket = f"lapmark-test-{os.getpid()}-{Screen.count}"
        variables.setdefault("LC_ALL", "C.UTF-8")
        script = " ".join([f"{name}='{value}'" for name, value in variables.items()] + [f"'{common.LAPMARK}'", "top", *operands])
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
                  f"trap : INT; echo BEFORE; stty -a > '{self.socket}.stty'; {script}; echo ENDED $?; stty -a | cmp - '{self.socket}.stty' && echo RESTORED; cat")

    def tmux(self, *arguments):
        return subprocess.run(["tmux", "-u", "-L", self.socket, *arguments], env=common.environment(), cwd="/tmp", check=True,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout

    def text(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def until(self, pattern, seconds=30, first=()):
        """Waits until the screen shows it, and these rows first in the table, and returns the whole: what is read in the middle of
        drawing is half the old one."""
        start = time.monotonic()
        while not re.search(pattern, text := self.text(), re.MULTILINE) or (first and rows(text)[:len(first)] != list(first)):
            common.check(time.monotonic() - start < seconds, f"waited for {pattern!r}:\n{text}")
            time.sleep(0.02)
        return text

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/tmp/{self.socket}.stty")


def rows(text):
    """The labels of the table, from its titles to the first empty line."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.search(r"count.*share", line)), len(lines)) + 1
    end = next((i for i in range(start, len(lines)) if not lines[i].strip()), len(lines))
    return [re.split(r" {2,}", line.strip())[0] for line in lines[start:end] if line.startswith((" ", "s", "w", "l"))]


def test_keys():
    with Target() as target:
        target.say("rounds 200")
        target.say("slow 20")
        with Screen(str(target.process.pid)) as screen:
            screen.until(r"^lapmark top: 1 process, 1 running; the last ")
            screen.press("i")
            text = screen.until(r"^lapmark top: 1 process, 1 running; since the start", first=["slow"])
            screen.until("\u25betotal")
            common.check(re.search(r"(?m)^q quit .*/ only", text), text)
            screen.press("c")
            text = screen.until("\u25becount", first=["work"])
            screen.press("r")
            text = screen.until("\u25b4count")
            common.check(rows(text)[0] in ("slow", "waiting"), text)
            screen.press("r", ">")
            screen.until("\u25betotal")
            screen.press("<", "<")
            screen.until("\u25berate")
            screen.press("x")
            text = screen.until("\u25bemax", first=["slow"])

            # In and out. The pane tells which row is selected, and its durations.
            screen.until(r"^slow  \(slow_one, live_target\.c:\d+\)\n +[\d.]+ ms to +[\d.]+ ms +\u2588+ 1$")
            screen.press("Enter")
            text = screen.until(r"^  \u00b7 \(rest\)[^\n]*\n *$")  # nothing is behind it any more
            common.equal(rows(text), ["slow", "\u00b7 waited", "\u00b7 (rest)"], text)
            screen.press("Down")
            screen.until(r"^slow > waited  \(")
            screen.press("Enter")  # a lap has nothing in it
            screen.press("BSpace")
            text = screen.until(r"^work ")
            screen.until(r"^slow  \(slow_one")

            # Only what matches, and what leads there; flat without that.
            screen.press("/", "step 3.1", "Enter")
            text = screen.until(r"only step 3\.1\b", first=["work", "stage 3"])
            common.equal(len(rows(text)), 2 + 11, text)  # 3.1 and 3.10 to 3.19
            screen.press("f")
            text = screen.until(r"; flat")
            common.equal(len(rows(text)), 11, text)
            common.check(all(row.startswith("work > stage 3 > step 3.1") for row in rows(text)), text)
            screen.press("/", "s*_one", "Enter")
            text = screen.until(r"only s\*_one")
            common.check("slow > waited" in rows(text) and "work" not in rows(text), text)
            screen.press("/", "nothing", "Escape")
            screen.until(r"only s\*_one; flat")
            screen.press("Escape")
            screen.until(r"^work ")
            screen.press("f")

            # Another size: less columns, and no pane where it is low.
            screen.tmux("resize-window", "-x", "60", "-y", "14")
            text = screen.until(r"^lapmark top: 1 process, 1 running; since the start,[^;]*$")
            text = screen.until(r"^ +share\s*$|total +share *$|rate +count +total +share *$")
            common.check(all(len(line) <= 60 for line in text.splitlines()) and "p50" not in text, text)
            common.check(len(text.rstrip("\n").splitlines()) <= 14 and "slow_one" not in text, text)
            screen.tmux("resize-window", "-x", "110", "-y", "40")
            screen.until(r"slow_one, live_target")

            # A paused one stands still, then catches up.
            screen.press("Space")
            screen.until(r"PAUSED")
            target.say("rounds 321")
            screen.press("c")
            text = screen.until("\u25becount")
            common.check("521" not in text, text)
            screen.press("Space")
            screen.until(r"^work .* 521 ")

            screen.press("q")
            text = screen.until(r"^ENDED 0\nRESTORED$")
            common.check("BEFORE" in text and "lapmark top" not in text, text)


def test_processes():
    with Target() as target, Target() as other:
        target.say("rounds 3")
        other.say("rounds 4")
        with Screen(str(target.process.pid), str(other.process.pid), "--interval", "100ms") as screen:
            screen.press("i")
            screen.until(r"^work .* 7 ")
            screen.press("p")
            screen.until(rf"^live_target {other.process.pid}  ")
            screen.press("l", "Home", "Enter")
            screen.press("/", "work", "Enter")
            first = min(str(target.process.pid), str(other.process.pid))
            text = screen.until(r"^  work .* [34] ")
            common.equal([row for row in rows(text) if row.startswith("live")], [f"live_target {first}"], text)
            screen.press("p")
            screen.until(r"^work .* 7 ")
            target.end()
            screen.until(r"2 processes, 1 running")
            text = screen.until(rf"^live_target {target.process.pid}  ended, ")
            common.check(re.search(r"(?m)^work .* 7 ", text), text)


def test_ascii_without_colour():
    with Target() as target:
        target.say("rounds 3")
        with Screen(str(target.process.pid), LC_ALL="C", NO_COLOR="1") as screen:
            screen.press("i")
            text = screen.until(r"since the start")
            text = screen.until(r"vtotal")
            common.check(text.isascii() and "- step" in text and "#" in text, text)
            common.check(not re.search(r"\x1b\[[0-9;]*3[1-7]", screen.text("-e")), "a colour")
        with Screen(str(target.process.pid)) as screen:
            screen.press("i")
            screen.until(r"since the start")
            common.check(re.search(r"\x1b\[[0-9;]*31", screen.text("-e")), "no colour")


def test_ends():
    with Target() as target:
        with Screen(str(target.process.pid), "-n", "2", "--interval", "50ms") as screen:
            screen.until(r"^ENDED 0\nRESTORED$")
        with Screen(str(target.process.pid)) as screen:
            screen.until(r"^q quit")
            screen.press("C-c")
            screen.until(r"^ENDED 130\nRESTORED$")
        with Screen(str(target.process.pid), TERM="unknown-terminal") as screen:
            screen.until(r"the terminal 'unknown-terminal' is not known here")
            screen.until(r"^ENDED 2\nRESTORED$")


if not shutil.which("tmux"):
    for name in [name for name in globals() if name in ("test_keys", "test_processes", "test_ascii_without_colour", "test_ends")]:
        del globals()[name]
    print("no tmux here: the screen is not tested")
common.main(globals())
