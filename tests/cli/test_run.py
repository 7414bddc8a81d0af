# SPDX-License-Identifier: MIT
"""`lapmark run` and `lapmark record`: the program's status, signals and environment; the directory and what is in it."""
import json
import os
import pty
import signal
import struct
import subprocess
import time

import common

SEGMENT_HEADER = struct.Struct("<I16sI11Q32s")


def shell(script, *options, command="record", **keywords):
    return common.lapmark(command, *options, "--", "sh", "-c", script, **keywords)


def test_exit_status():
    with common.Directory() as directory:
        for command in ("run", "record"):
            common.equal(shell("exit 0", command=command, cwd=directory).status, 0)
            common.equal(shell("exit 7", command=command, cwd=directory).status, 7)
            common.equal(shell("exit 255", command=command, cwd=directory).status, 255)
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGINT, signal.SIGPIPE):
                result = shell(f"kill -{int(number)} $$", command=command, cwd=directory)
                common.equal(result.status, 128 + number, result)
                common.check(f"lapmark: 'sh' was ended by {number.name}\n" in result.err, result)
        common.equal(os.listdir(directory), [])


def test_status_with_recording():
    with common.Directory() as directory:
        program = common.workload(directory)
        for command in ("run", "record"):
            common.equal(common.lapmark(command, "--", program, "jobs", "0", "9", cwd=directory).status, 9)
            common.equal(common.lapmark(command, "--", program, "killed", "9", cwd=directory).status, 137)
            common.equal(common.lapmark(command, "--", program, "killed", "6", cwd=directory).status, 134)


def test_streams_and_arguments():
    with common.Directory() as directory:
        result = subprocess.run([common.LAPMARK, "record", "--", "sh", "-c", 'cat; printf "<%s>" "$@" >&2', "sh", "a b", "-o", "--", ""],
                                input=b"through", capture_output=True, cwd=directory, env=common.environment(), check=False)
        common.equal(result.stdout, b"through")
        common.check(result.stderr.startswith(b"<a b><-o><--><>"), result.stderr)


def test_environment():
    def seen(*options, **variables):
        result = shell("env | grep ^LAPMARK | sort", *options, cwd=directory, **variables)
        return dict(line.split("=", 1) for line in result.out.splitlines())

    with common.Directory() as directory:
        common.equal(seen("-o", "here"), {"LAPMARK_PRINT": "off", "LAPMARK_RECORD": f"{directory}/here"})
        common.equal(seen()["LAPMARK_RECORD"], f"{directory}/lapmark-recording")
        common.equal(seen("--print")["LAPMARK_PRINT"], "on")
        common.equal(seen(LAPMARK_PRINT="on")["LAPMARK_PRINT"], "off")
        common.equal(seen("--full")["LAPMARK_MODE"], "full")
        common.equal(seen(LAPMARK_MODE="full", LAPMARK="a*:5")["LAPMARK_MODE"], "full")
        common.equal(seen(LAPMARK="a*:5")["LAPMARK"], "a*:5")
        common.equal(seen("-f", "b*", LAPMARK="a*:5")["LAPMARK"], "b*")
        common.equal(seen("--ring", "4M")["LAPMARK_RING"], str(4 << 20))
        common.equal(seen("--ring=512KiB")["LAPMARK_RING"], str(512 << 10))
        common.equal(seen("--full", "--disk", "1.5G")["LAPMARK_DISK"], str(3 << 29))
        common.equal(seen("--memory", "1000")["LAPMARK_MEMORY"], "1000")
        common.equal(seen("--keep", "slow")["LAPMARK_KEEP"], "slow")
        common.equal(seen("--keep", "all", LAPMARK_KEEP="slow")["LAPMARK_KEEP"], "all")


def test_program_starts_clean():
    """Signals, mask and descriptors are as they were."""
    script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd | wc -l"
    with common.Directory() as directory:
        wanted = common.run("sh", "-c", script, cwd=directory)
        common.equal(shell(script, cwd=directory).out, wanted.out)
        ignoring = ("sh", "-c", "trap '' HUP PIPE; \"$@\"", "sh")
        wanted = common.run(*ignoring, "sh", "-c", script, cwd=directory)
        got = common.run(*ignoring, common.LAPMARK, "record", "--", "sh", "-c", script, cwd=directory)
        common.equal(got.out, wanted.out)


def start(directory, script, *options):
    process = subprocess.Popen([common.LAPMARK, "record", *options, "--", "sh", "-c", script], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=directory, env=common.environment())
    common.equal(process.stdout.readline(), b"ready\n")
    return process


def test_signals_are_passed_on():
    with common.Directory() as directory:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            name = number.name[3:]
            process = start(directory, f"trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.05; done")
            process.send_signal(number)
            out, _ = process.communicate(timeout=20)
            common.equal((out, process.returncode), (b"got\n", 5), name)


def test_interrupt_at_terminal():
    """The program gets ^C once, and lapmark goes on to its end."""
    with common.Directory() as directory:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(directory)
            script = "trap 'echo got' INT; echo ready; i=0; while [ $i -lt 10 ]; do sleep 0.05; i=$((i+1)); done; exit 6"
            os.execve(common.LAPMARK, [common.LAPMARK, "record", "--", "sh", "-c", script], common.environment())
        text = b""
        while b"ready" not in text:
            text += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        try:
            while True:
                text += os.read(terminal, 4096)
        except OSError:
            pass
        status = os.waitpid(pid, 0)[1]
        common.equal(os.waitstatus_to_exitcode(status), 6, text)
        common.equal(text.count(b"got"), 1, text)


def test_default_directories():
    with common.Directory() as directory:
        program = common.workload(directory)
        for _ in range(3):
            result = common.lapmark("record", "--", program, "jobs", cwd=directory)
            common.equal(result.status, 0, result)
        names = sorted(name for name in os.listdir(directory) if name != "workload")
        common.equal(names, ["lapmark-recording", "lapmark-recording-2", "lapmark-recording-3"])
        common.equal(result.err, "lapmark: recorded 1 process in 'lapmark-recording-3'\n")
        common.equal(os.stat(f"{directory}/lapmark-recording").st_mode & 0o777, 0o700)


def test_recording_is_added_to():
    with common.Directory() as directory:
        program = common.workload(directory)
        for count in (1, 2):
            result = common.lapmark("record", "-o", "rec", "--", program, "jobs", cwd=directory)
            common.equal(result.err, "lapmark: recorded 1 process in 'rec'\n")
            common.equal(len(os.listdir(f"{directory}/rec")), count)
        result = common.lapmark("run", "-o", "rec", "--", program, "threads", cwd=directory)
        common.check("jobs" not in result.out and "work" in result.out, result)
        process = os.listdir(f"{directory}/rec")[0]
        result = common.lapmark("record", "-o", f"rec/{process}", "--", program, "jobs", cwd=directory)
        common.equal((result.status, result.out), (2, ""), result)
        common.equal(result.err, f"lapmark: cannot record into 'rec/{process}': it is one process of a recording\n")


def segments(directory):
    for name in sorted(os.listdir(directory)):
        if name.startswith("stream-"):
            with open(f"{directory}/{name}", "rb") as file:
                data = file.read()
            yield name, len(data), SEGMENT_HEADER.unpack(data[:SEGMENT_HEADER.size])


def test_copy_is_whole_and_cut():
    with common.Directory() as directory:
        program = common.workload(directory)
        before = common.shared_memory()
        for options, case in (((), ("jobs",)), ((), ("killed", "9")), (("--full",), ("wrap", "200000")),
                              (("--full",), ("killed", "9")), (("--ring", "1M"), ("wrap", "1000000"))):
            common.lapmark("record", "-o", "rec", *options, "--", program, *case, cwd=directory)
            (name,) = os.listdir(f"{directory}/rec")
            path = f"{directory}/rec/{name}"
            for root, directories, files in os.walk(path):
                for each in directories + files:
                    common.check(not os.path.islink(os.path.join(root, each)), f"{case}: {each} is a link")
                    common.check(not each.startswith(".part-"), each)
                    mode = os.stat(os.path.join(root, each)).st_mode & 0o777
                    common.check(mode in (0o600, 0o700), f"{each}: {mode:o}")
            found = list(segments(path))
            common.check(found, case)
            for each, size, header in found:
                common.equal(header[0], 0xC1FC1FC1)
                common.equal((header[4], header[5]), (size * 8, size * 8), f"{case} {each}: content and packet are not the file")
            with open(f"{path}/metadata", "rb") as file:
                data = file.read()
            content, packet = struct.unpack_from("<II", data, 24)
            common.equal((content, packet), (len(data) * 8, len(data) * 8), case)
            blocks = sum(os.stat(os.path.join(root, each)).st_blocks * 512 for root, _, files in os.walk(f"{path}/.lapmark")
                         for each in files)
            common.check(blocks < 300 << 10, f"{case}: side files take {blocks} bytes")
            left = {each for each in common.shared_memory() - before if each.startswith(os.path.basename(program)[:15])}
            common.equal(left, set(), case)
            subprocess.run(["rm", "-r", f"{directory}/rec"], check=True)


def test_process_left_behind():
    with common.Directory() as directory:
        program = common.workload(directory)
        reader, writer = os.pipe()
        started_ns = time.monotonic_ns()
        result = subprocess.run([common.LAPMARK, "record", "--json", "-o", "rec", "--", program, "leaves"], stdin=reader,
                                capture_output=True, cwd=directory, env=common.environment(), check=False, timeout=60)
        os.close(reader)
        common.equal(result.returncode, 0, result)
        value = json.loads(result.stdout)
        left = [process for process in value["processes"] if process["state"] == "running"]
        common.equal((len(value["processes"]), len(left), left[0]["copied"]), (2, 1, False), value)
        link = f"{directory}/rec/{left[0]['name']}"
        common.check(os.path.islink(link))
        place = os.readlink(link)
        common.equal(result.stderr.decode(),
                     f"lapmark: process {left[0]['pid']} still runs: 'rec/{left[0]['name']}' stays in '{place}', until a later "
                     "'lapmark record -o rec' finds that it has ended\n")
        report = common.lapmark_json("report", "rec", cwd=directory)
        common.equal(sorted(process["state"] for process in report["processes"]), ["ended", "running"])
        # What it waits in is open until now, whenever one asks.
        (later,) = (process for process in common.lapmark_json("report", "rec", cwd=directory)["processes"] if process["open"])
        (first,) = (process for process in report["processes"] if process["open"])
        common.equal((first["open"][0]["message"], later["state"]), ("waits", "running"))
        common.check(later["open"][0]["open_ns"] > first["open"][0]["open_ns"], (first, later))
        common.check(first["open"][0]["open_ns"] < time.monotonic_ns() - started_ns, first)
        common.check(later["open"][0]["begin_time_ns"] == first["open"][0]["begin_time_ns"], (first, later))
        os.close(writer)
        while os.path.exists(f"/proc/{left[0]['pid']}"):
            time.sleep(0.01)
        common.lapmark("record", "-o", "rec", "--", "true", cwd=directory)
        common.check(os.path.isdir(link) and not os.path.islink(link) and not os.path.exists(place))
        report = common.lapmark_json("report", "rec", cwd=directory)
        common.equal([process["state"] for process in report["processes"]], ["ended", "ended"])


def test_dangling_link_is_no_trouble():
    with common.Directory() as directory:
        program = common.workload(directory)
        os.mkdir(f"{directory}/rec")
        os.symlink("/dev/shm/lapmark-gone/prog-1-abc", f"{directory}/rec/prog-1-abc")
        result = common.lapmark("record", "-o", "rec", "--", program, "jobs", cwd=directory)
        common.equal((result.status, result.err), (0, "lapmark: recorded 1 process in 'rec'\n"), result)


def test_disk_is_full():
    """Where the copy has no room, the recording stays in shared memory and nothing half done is left."""
    with common.Directory() as directory:
        program = common.workload(directory)
        result = common.run("sh", "-c", 'ulimit -S -f 8; trap "" XFSZ; "$@"', "sh", common.LAPMARK, "record", "-o", "rec", "--",
                            "sh", "-c", f"ulimit -S -f unlimited; exec {program} wrap 100000", cwd=directory)
        (name,) = os.listdir(f"{directory}/rec")
        place = os.readlink(f"{directory}/rec/{name}")
        common.equal(result.err.splitlines()[0],
                     f"lapmark: warning: cannot copy 'rec/{name}': file too large; it stays in '{place}'")
        common.equal(result.status, 0)
        common.lapmark("record", "-o", "rec", "--", "true", cwd=directory)
        common.check(not os.path.islink(f"{directory}/rec/{name}"))


def test_reader_that_goes_away():
    with common.Directory() as directory:
        program = common.workload(directory)
        common.lapmark("record", "-o", "rec", "--", program, "jobs", cwd=directory)
        for arguments, status in ((["run", "--", program, "jobs", "0", "4"], 4), (["report", "rec"], 0), (["show", "rec"], 0),
                                  (["show", "--events", "--json", "rec"], 0), (["help"], 0)):
            reader, writer = os.pipe()
            os.close(reader)
            result = subprocess.run([common.LAPMARK, *arguments], stdout=writer, stderr=subprocess.PIPE, cwd=directory,
                                    env=common.environment(), check=False)
            os.close(writer)
            common.equal((result.returncode, result.stderr), (status, b""), arguments)


def test_output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        result = subprocess.run([common.LAPMARK, "help"], stdout=full, stderr=subprocess.PIPE, env=common.environment(), check=False)
    common.equal((result.returncode, result.stderr), (2, b"lapmark: cannot write the output: no space left on device\n"))


common.main(globals())
