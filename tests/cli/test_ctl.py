# SPDX-License-Identifier: MIT
"""lapmark ctl, against a program that runs: what it lists, that a switch reaches all threads, sites that are met later and
forked children, and that it leaves alone what it may not or cannot reach."""
import contextlib
import mmap
import os
import random
import shutil
import subprocess

import common
from common import check, equal, lapmark

THREADS = 3
MAIL, MAIL_TERMS, MAIL_END, SWITCHES = 752, 768, 2816, 4096


@contextlib.contextmanager
def puppet(**variables):
    with common.Directory() as directory:
        common.workload(directory, "puppet")
        with common.Puppet(directory, **variables) as running:
            running.directory = directory
            running.tell("turns 1")
            yield running


def ctl(*arguments, **options):
    result = lapmark("ctl", *arguments, **options)
    equal((result.status, result.err), (0, ""), result)
    return result.out


def listed(pid):
    processes = common.lapmark_json("ctl", pid)["processes"]
    equal(len(processes), 1)
    equal(str(processes[0]["pid"]), pid)
    return processes[0]


def site(pid, label):
    found = [each for each in listed(pid)["sites"] if each["label"] == label]
    equal(len(found), 1, label)
    return found[0]


def fails(wanted, *arguments, **options):
    result = lapmark("ctl", *arguments, **options)
    equal((result.status, result.out), (2, ""), result)
    check(wanted in result.err and result.err.count("\n") == 1, result)


def test_list():
    with puppet() as running:
        running.tell("turns 4")
        process = listed(running.pid)
        equal((process["prints"], process["keeps_slow"], process["state"]), (False, False, "running"))
        turn, step = process["sites"]
        equal((turn["label"], turn["function"], turn["kind"], turn["count"]), ("turn", "turn", "profiler", 15))
        equal((step["label"], step["kind"], step["count"]), ("step", "checkpoint", 15))
        equal((turn["on"], turn["prints"], turn["keeps_slow"], turn["threshold_ns"]), (True, False, False, None))
        check(turn["file"].endswith("puppet.c"), turn)
        lines = ctl(running.pid).splitlines()
        equal(lines[0], f"puppet {running.pid}: 2 sites, does not print, keeps all")
        equal(lines[2].split(), ["turn", "profiler", "on", "15", "turn"])
        # The directory will do, too: of the process, and of the recording.
        name = os.listdir(f"{running.directory}/rec")[0]
        for operand in ("rec", f"rec/{name}", process["directory"]):
            equal(ctl(operand, cwd=running.directory).splitlines()[0], lines[0])
        running.end()


def test_switch():
    with puppet() as running:
        equal(ctl(running.pid, "--", "-turn"), f"puppet {running.pid}: switched 1 profiler\n")
        running.tell("turns 5")
        equal(site(running.pid, "turn")["on"], False)
        equal(site(running.pid, "turn")["count"], THREADS)
        ctl(running.pid, "t?rn:2.5")
        running.tell("turns 5")
        equal(site(running.pid, "turn")["threshold_ns"], 2500000)
        equal(site(running.pid, "turn")["count"], 6 * THREADS)
        ctl(running.pid, "off")
        running.tell("turns 5")
        equal(site(running.pid, "step")["on"], False)
        ctl(running.pid, "turn")
        equal((site(running.pid, "step")["on"], site(running.pid, "turn")["threshold_ns"]), (True, None))
        running.tell("turns 1")
        equal(site(running.pid, "turn")["count"], 7 * THREADS)
        equal(running.end(), "")


def test_print_and_keep():
    with puppet() as running:
        ctl(running.pid, "--print", "on")
        equal(site(running.pid, "turn")["prints"], True)
        running.tell("turns 1")
        ctl(running.pid, "turn:1000s")
        running.tell("turns 1")
        ctl(running.pid, "--print", "off", "--keep", "slow")
        state = site(running.pid, "turn")
        equal((state["prints"], state["keeps_slow"], state["threshold_ns"]), (False, True, 1000000000000))
        running.tell("turns 1")
        process = listed(running.pid)
        equal((process["prints"], process["keeps_slow"]), (False, True))
        ctl(running.pid, "--keep", "all", "*")
        equal(site(running.pid, "turn")["keeps_slow"], False)
        running.tell("turns 1")
        equal(site(running.pid, "turn")["count"], 5 * THREADS)
        equal(running.end().count("> Entering turn\n"), THREADS)
        report = common.lapmark_json("report", "rec", cwd=running.directory)
        equal((report["events"], report["taken_back"]), (4 * 3 * THREADS, 3 * THREADS))  # what was taken back is told apart


def test_all_threads_see():
    """Each thread goes on until it has seen it."""
    with puppet() as running:
        for is_on in (0, 1, 0, 1):
            equal(running.tell(f"until {is_on}"), "begun")
            ctl(running.pid, "--", "turn" if is_on else "-turn")
            equal(running.answer(), running.pid)
        running.end()


def test_later_sites():
    with puppet() as running:
        out = ctl(running.pid, "--", "-late 1")
        check("nothing that was met yet" in out, out)
        ctl(running.pid, "late 2:7", "--print", "on", "--keep", "slow")
        for number in range(3):
            running.tell(f"late {number}")
        sites = {each["label"]: each for each in listed(running.pid)["sites"]}
        equal([sites[f"late {number}"]["on"] for number in range(3)], [True, False, True])
        equal([sites[f"late {number}"]["keeps_slow"] for number in range(3)], [False, False, True])
        equal(sites["late 2"]["threshold_ns"], 7000000)
        # The process's own word comes behind, and mail that it has not taken yet before that.
        ctl(running.pid, "--", "-late 3,-late 4")
        running.tell("set late 3,turn:1s")
        running.tell("late 3")
        running.tell("late 4")
        sites = {each["label"]: each for each in listed(running.pid)["sites"]}
        equal([sites[name]["on"] for name in ("late 1", "late 3", "late 4", "turn")], [False, True, False, True])
        equal(sites["turn"]["prints"], True)
        running.end()


def test_fork():
    with puppet() as running:
        ctl(running.pid, "--", "-turn")
        running.tell("late 0")  # takes the mail
        ctl(running.pid, "--", "-late 1")  # waits, and goes to the child
        child = running.tell("fork")
        check(child != running.pid)
        running.tell("late 1")
        running.tell("turns 2")
        sites = {each["label"]: each["on"] for each in listed(child)["sites"]}
        equal(sites, {"turn": False, "step": True, "late 0": True, "late 1": False})
        ctl(child, "turn")
        running.tell("turns 2")
        equal(site(child, "turn")["count"], 2 * THREADS)
        equal(site(running.pid, "turn")["on"], False)  # the parent's own
        running.end()


def test_several_at_once():
    with puppet() as running:
        numbers = range(8)
        started = [subprocess.Popen([common.LAPMARK, "ctl", running.pid, "--", f"-late {number}"], env=common.environment(),
                                    stdout=subprocess.DEVNULL) for number in numbers]
        equal([each.wait() for each in started], [0] * 8)
        for number in numbers:
            running.tell(f"late {number}")
        equal([site["label"] for site in listed(running.pid)["sites"] if not site["on"]], [f"late {n}" for n in numbers])
        running.end()


def test_beside_the_process():
    """The process switches all the time: what ctl said stands in the switches, and in the terms for what comes later."""
    with puppet() as running:
        running.process.stdin.write("sets 20000\n")
        for i in range(20):
            ctl(running.pid, "--", "turn,late*" if i % 2 else "-turn,-late*")
        equal(site(running.pid, "turn")["on"], True)
        ctl(running.pid, "--", "-turn,-late*")
        running.answer()
        running.tell("late 5")
        equal([site(running.pid, name)["on"] for name in ("turn", "late 5")], [False, False])
        running.end()


def control_of(running):
    with open(f"{listed(running.pid)['directory']}/.lapmark/control", "r+b") as file:
        return mmap.mmap(file.fileno(), 0)


def test_hostile_mailbox():
    """Random bytes where the process looks: it goes on, and so does ctl."""
    generator = random.Random(1)
    for _ in range(2):
        with puppet() as running:
            control = control_of(running)
            for number in range(8):
                control[MAIL:MAIL_END] = generator.randbytes(MAIL_END - MAIL)
                control[MAIL:MAIL + 4] = (generator.randrange(1 << 30) << 2 | 2).to_bytes(4, "little")
                if number % 2:  # words that could be terms, and no end of them
                    control[MAIL_TERMS:MAIL_END] = bytes(generator.choices(b"abc*?\\-:,0159.ms ", k=MAIL_END - MAIL_TERMS))
                control[SWITCHES:] = generator.randbytes(len(control) - SWITCHES)
                control[344:348] = generator.randbytes(4)
                running.tell(f"late {number}")
                running.tell("set turn")
                running.tell("turns 3")
                check(lapmark("ctl", running.pid, "turn").status in (0, 2))
            running.end()


def test_writer_that_died():
    with puppet() as running:
        control = control_of(running)
        control[MAIL:MAIL + 4] = (7 << 2 | 1).to_bytes(4, "little")
        control[MAIL_TERMS:MAIL_TERMS + 6] = b"off,,,"
        running.tell("late 0")
        equal(site(running.pid, "late 0")["on"], True)
        ctl(running.pid, "--", "-late 1")
        running.tell("late 1")
        equal([site(running.pid, f"late {n}")["on"] for n in (0, 1)], [True, False])
        running.end()


def test_out_of_reach():
    with puppet() as running:
        fails("cannot read the terms 'a:x' at ", running.pid, "a:x")
        fails("--print: 'yes' is none of: on off", running.pid, "--print", "yes")
        terms = ",".join(f"site number {n}" for n in range(65))
        fails("cannot read the terms", running.pid, terms)
        ctl(running.pid, ",".join(f"a{n}" for n in range(60)))
        running.tell("late 0")
        fails("has no room for that many terms (64 in all)", running.pid, "b1,b2,b3,b4,b5")
        ctl(running.pid, "*,b1,b2,b3,b4,b5")
        running.tell("stop")
        fails(f"process {running.pid} records nothing that can be reached: start it under", running.pid)
        fails("has ended", "rec", cwd=running.directory)
        running.end()
        fails(f"there is no process {running.pid}", running.pid)
        fails("cannot open './4'", "./4", cwd=running.directory)
    with puppet() as running:
        running.process.kill()
        running.process.wait()
        fails(f"process {running.pid} of 'rec' has died", "rec", "off", cwd=running.directory)
    with subprocess.Popen(["sleep", "1000"]) as other:
        fails("and has no liblapmark in it", str(other.pid))
        other.kill()


def test_another_user():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        print("not tested here: another user: needs root and setpriv")
        return
    other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", common.LAPMARK]
    if subprocess.run([*other, "version"], stdout=subprocess.DEVNULL, check=False).returncode != 0:
        print("not tested here: another user may not run the command where it lies")
        return
    with puppet() as running:
        directory = listed(running.pid)["directory"]
        for operand, text in ((running.pid, "only its user and root may"), (directory, "ermission denied")):
            result = common.run(*other, "ctl", operand, "off", cwd="/")
            equal(result.status, 2, result)
            check(text in result.err, result)
        equal(site(running.pid, "turn")["on"], True)
        running.end()


common.main(globals())
