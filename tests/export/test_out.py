# SPDX-License-Identifier: MIT
"""Where `export -o` and `--html` write: what is open already, links, rights, inputs, places that take no new file, signals, bounds."""
import os
import resource
import shutil
import signal
import stat
import subprocess
import time

import common_export as export
from common_export import common

FOLDED = ("export", "--format", "folded")
COUNT = iter(range(1000))


def place():
    path = os.path.join(export.WORK, f"out-{next(COUNT)}")
    os.mkdir(path)
    return path


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write(path, text="something else\n"):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def shell(text, **variables):
    return common.run("sh", "-c", text, LAPMARK=common.LAPMARK, REC=export.threads(), **variables)


def in_namespace(text):
    """By a shell that may mount; None where there are no such namespaces."""
    if shutil.which("unshare") and common.run("unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt").status == 0:
        return common.run("unshare", "-rm", "sh", "-c", text, LAPMARK=common.LAPMARK, REC=export.threads())
    print("not tested here: what a mount does to a file")
    return None


def folded():
    return common.lapmark(*FOLDED, export.threads()).out


def has_pages():
    return "built without pages" not in common.lapmark("report", "--html", "/dev/null", export.killed()).err


# ---- what is open already


def test_open_already():
    """Nothing that was there is lost, nor what comes after it."""
    directory = place()
    for name, redirect in (("/dev/stdout", ""), ("/dev/fd/1", ""), ("/proc/self/fd/1", ""), ("$F", ""), ("/dev/stderr", "2>&1"),
                           ("/dev/fd/3", "3>&1 >/dev/null")):
        file = write(os.path.join(directory, "log"), "before\n")
        result = shell(f'{{ echo head; "$LAPMARK" export --format folded -o {name} "$REC" 2>/dev/null {redirect}; echo tail; }} >>$F', F=file)
        common.equal(result.status, 0, result)
        got = "".join(line for line in read(file).splitlines(True) if not line.startswith("lapmark: wrote "))
        common.equal(got, "before\nhead\n" + folded() + "tail\n", name)
    file = os.path.join(directory, "new")
    for name, redirect in (("/dev/stdout", ""), ("/dev/fd/3", "3>&1 >/dev/null")):  # one offset for all
        result = shell(f'{{ echo head; "$LAPMARK" export --format folded -o {name} "$REC" {redirect}; echo tail; }} >$F', F=file)
        common.equal((result.status, read(file)), (0, "head\n" + folded() + "tail\n"), result)
    with open(file, "a", encoding="utf-8") as log:  # of another process
        common.equal(common.lapmark(*FOLDED, "-o", f"/proc/{os.getpid()}/fd/{log.fileno()}", export.threads()).status, 0)
    common.equal(read(file), "head\n" + folded() + "tail\n" + folded())
    common.equal(sorted(os.listdir(directory)), ["log", "new"])


def test_page_behind_the_text():
    if not has_pages():
        print("not tested here: a build without pages")
        return
    file = write(os.path.join(place(), "log"), "before\n")
    result = shell('"$LAPMARK" report --html /dev/stdout "$REC" >>$F', F=file)
    text = common.lapmark("report", export.threads()).out
    common.equal(result.status, 0, result)
    common.check(read(file).startswith("before\n" + text + "<!"), read(file)[:2000])


def test_no_database_there():
    if "without SQLite" in common.lapmark("sql", "SELECT 1").err:
        return
    file = write(os.path.join(place(), "log"), "before\n")
    result = shell('"$LAPMARK" export --format sqlite -o /dev/stdout "$REC" >>$F', F=file)
    common.check(result.status == 2 and "goes into a file, not into a pipe" in result.err, result)
    common.equal(read(file), "before\n")


# ---- links, rights


def test_links():
    directory = place()
    os.mkdir(f"{directory}/real")
    os.symlink("real/target", f"{directory}/link")
    os.symlink(f"{directory}/link", f"{directory}/far")
    for name in ("far", "link"):
        for _ in range(2):  # it is not there, it is
            common.equal(common.lapmark(*FOLDED, "-o", f"{directory}/{name}", export.threads()).status, 0)
            common.equal(read(f"{directory}/real/target"), folded())
        os.unlink(f"{directory}/real/target")
    common.check(os.path.islink(f"{directory}/link") and os.path.islink(f"{directory}/far"))
    os.symlink("round", f"{directory}/round")
    result = common.lapmark(*FOLDED, "-o", f"{directory}/round", export.threads())
    common.equal((result.status, result.err), (2, f"lapmark: cannot write '{directory}/round': too many levels of symbolic links\n"))


def test_rights():
    """Those of the file that is replaced; else those that a new file has."""
    mask = os.umask(0o027)
    try:
        for form in ("folded", "sqlite"):
            if form == "sqlite" and "without SQLite" in common.lapmark("sql", "SELECT 1").err:
                continue
            file = os.path.join(place(), "x")
            for mode in (None, 0o600, 0o444, 0o666):
                if mode is not None:
                    os.chmod(file, mode)
                common.equal(common.lapmark("export", "--format", form, "-o", file, export.threads()).status, 0)
                common.equal(stat.S_IMODE(os.stat(file).st_mode), 0o640 if mode is None else mode)
                common.check(os.path.getsize(file) > 100)
    finally:
        os.umask(mask)


# ---- what is read


def test_inputs():
    """No input is replaced, and nothing put into one."""
    directory = place()
    recording = shutil.copytree(export.threads(), f"{directory}/rec")
    process = os.path.basename(export.process_of(recording))
    os.symlink("rec", f"{directory}/alias")
    os.mkdir(f"{directory}/linked")
    os.symlink(f"{recording}/{process}", f"{directory}/linked/{process}")
    trace = write(f"{directory}/in.json", '[{"ph": "X", "ts": 1, "dur": 2, "pid": 1, "tid": 1, "name": "a"}]')
    os.link(trace, f"{directory}/twin.json")
    before = {name: os.stat(f"{recording}/{process}/{name}").st_ino for name in os.listdir(f"{recording}/{process}")}
    commands = [(*FOLDED, "-o")] + [("report", "--html")] * has_pages()
    for command in commands:
        for file, inputs in ((f"{recording}/{process}/metadata", (recording,)), (f"{recording}/new", (export.killed(), recording)),
                             (f"{directory}/alias/{process}/new", (recording,)), (f"{recording}/{process}/metadata", (f"{directory}/alias",)),
                             (f"{recording}/{process}/metadata", (f"{directory}/linked",))):
            result = common.lapmark(*command, file, *inputs)
            common.equal((result.status, result.out, result.err),
                         (2, "", f"lapmark: cannot write '{file}': it is in '{inputs[-1]}', which is read; name a file elsewhere\n"))
        for name in ("in.json", "twin.json"):
            result = common.lapmark(*command, f"{directory}/{name}", trace)
            common.equal((result.status, result.out, result.err),
                         (2, "", f"lapmark: cannot write '{directory}/{name}': it is what is read; name another file\n"))
    shutil.copytree(recording, f"{directory}/lapmark-recording")
    result = common.lapmark(*FOLDED, "-o", f"lapmark-recording/{process}/metadata", cwd=directory)
    common.check(result.status == 2 and "it is in 'lapmark-recording', which is read" in result.err, result)
    common.equal({name: os.stat(f"{recording}/{process}/{name}").st_ino for name in os.listdir(f"{recording}/{process}")}, before)
    common.equal(common.lapmark(*FOLDED, "-o", f"{directory}/out", recording).status, 0)  # beside it


# ---- places that take no new file


def test_mounted_file():
    directory = place()
    file, held = write(f"{directory}/x"), write(f"{directory}/held")
    result = in_namespace(f'mount --bind {held} {file} && "$LAPMARK" export --format folded -o {file} "$REC"')
    if result:
        common.equal((result.status, read(held), read(file)), (0, folded(), "something else\n"), result)
        common.equal(sorted(os.listdir(directory)), ["held", "x"])


def test_directory_that_cannot_be_written():
    directory, spare = place(), place()
    file = write(f"{directory}/x", "old" * 10000)
    for form in ("folded", "sqlite"):
        if form == "sqlite" and "without SQLite" in common.lapmark("sql", "SELECT 1").err:
            continue
        result = in_namespace(f'mount --bind {directory} {directory} && mount --bind {file} {file} && mount -o remount,bind,ro {directory} && '
                              f'TMPDIR={spare} "$LAPMARK" export --format {form} -o {file} "$REC"')
        if result:
            common.equal(result.status, 0, result)
            common.check(read(file) == folded() if form == "folded" else read(file).startswith("SQLite format 3\0"))
            common.equal((os.listdir(directory), os.listdir(spare)), (["x"], []))
    new = in_namespace(f'mount --bind {directory} {directory} && mount -o remount,bind,ro {directory} && "$LAPMARK" export --format folded -o {directory}/new "$REC"')
    if new:
        common.equal((new.status, new.err), (2, f"lapmark: cannot write '{directory}/new': read-only file system\n"))


def test_without_proc():
    if os.environ.get("SANITIZE"):
        print("not tested here: without /proc no sanitizer finds its options")
        return
    directory = place()
    result = in_namespace(f'mount -t tmpfs none /proc && "$LAPMARK" export --format folded -o {directory}/x "$REC"')
    if result:
        common.equal((result.status, read(f"{directory}/x"), os.listdir(directory)), (0, folded(), ["x"]), result)


# ---- ends


def test_ended_by_signal():
    """Nothing is left, whatever the export needed a name for."""
    if "without SQLite" in common.lapmark("sql", "SELECT 1").err:
        return
    source = export.threads(20000)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        directory = place()
        with subprocess.Popen([common.LAPMARK, "export", "--format", "sqlite", "-o", f"{directory}/x.db", source], env=common.environment(),
                              stderr=subprocess.DEVNULL) as process:
            while not os.listdir(directory):
                time.sleep(0.001)
            process.send_signal(number)
            common.equal(process.wait(), -number)
        common.equal(os.listdir(directory), [])


def bounded():
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_bound_on_files():
    """It is told, and nothing is left."""
    directory, places = place(), place()
    trace = write(f"{directory}/in.json", "[" + ",\n".join(f'{{"ph": "X", "ts": {10 * i}, "dur": 2, "pid": 1, "tid": 1, "name": "a{i}"}}'
                                                           for i in range(10000)) + "]")
    missing = ["sqlite"] * ("without SQLite" in common.lapmark("sql", "SELECT 1").err)
    for form in ("chrome", "sqlite"):
        for source, what in ((export.lossy(), "cannot write"), (trace, "cannot open")):
            if form in missing:
                continue
            result = common.Result(subprocess.run([common.LAPMARK, "export", "--format", form, "-o", f"{directory}/x", source], capture_output=True,
                                                  check=False, env=common.environment(TMPDIR=places), preexec_fn=bounded))
            common.check(result.status == 2 and result.err.startswith(f"lapmark: {what} '") and result.err.endswith(": file too large\n"), result)
            common.equal((os.listdir(directory), os.listdir(places)), (["in.json"], []))


def test_programs_find_signals_as_they_were():
    """As `lapmark` itself found them."""
    directory = place()
    program = ["grep", "SigIgn", "/proc/self/status"]
    for ignored in ([], [signal.SIGPIPE], [signal.SIGXFSZ]):
        def prepare(ignored=ignored):
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
        wanted = subprocess.run(program, capture_output=True, check=True, text=True, preexec_fn=prepare, restore_signals=False).stdout
        got = subprocess.run([common.LAPMARK, "record", "-o", place(), "--", *program], capture_output=True, check=False, text=True,
                             env=common.environment(), preexec_fn=prepare, restore_signals=False)
        common.equal(got.stdout, wanted, got.stderr)
        seen = os.path.join(directory, "seen")
        subprocess.run([common.LAPMARK, "gate", "--max-time", "1s", "--base", f"grep SigIgn /proc/self/status >{seen}", "--new", "true"],
                       capture_output=True, check=False, env=common.environment(TMPDIR=place()), preexec_fn=prepare, restore_signals=False)
        common.equal(read(seen), wanted)


# ---- what is said


def test_names_that_command_a_terminal():
    name = os.path.join(place(), "o\x1b[31mx\n")
    result = common.lapmark(*FOLDED, "-o", name, export.threads())
    shown = name.replace("\x1b", "\\x1b").replace("\n", "\\n")
    common.equal((result.status, result.err), (0, f"lapmark: wrote '{shown}'\n"))
    result = common.lapmark("report", name + "é")
    common.equal((result.status, result.err), (2, f"lapmark: cannot open '{shown}é': no such file or directory\n"))


if __name__ == "__main__":
    export.main(globals())
