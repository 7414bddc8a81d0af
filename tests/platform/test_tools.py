# SPDX-License-Identifier: MIT
"""A program that records does and records the same under a debugger, a tracer and valgrind, bound at its start, linked statically,
and where its root is read-only, as in a container."""
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import BUILD, SOURCE, Directory, check, equal, lapmark, lapmark_json, main, run, workload  # pylint: disable=wrong-import-position

CASES = (["threads"], ["handles"], ["forks"], ["wrap", "5000"])
missing = []


def has(tool):
    if not shutil.which(tool):
        missing.append(tool)
        return False
    return True


def counts(recording):
    checked = lapmark("check", recording)
    equal(checked.status, 0, checked)
    report = lapmark_json("report", recording)
    equal(report["lost"], 0, report)
    return sorted(("/".join(site["path"]), site["kind"], site["count"]) for site in report["sites"])


def compare(wrapper, cases=CASES, clean=lambda text: text == "", linked=(), **variables):
    """Each case as it is and behind `wrapper`; `linked` replaces the program of the latter."""
    with Directory() as directory:
        program = workload(directory)
        other = program
        if linked:
            other = os.path.join(directory, "other")
            subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O1", f"-I{SOURCE}/include", f"{SOURCE}/tests/cli/workload.c", "-o", other,
                            *linked], check=True)
        for case in cases:
            wanted, got = (os.path.join(directory, f"{name}-{case[0]}") for name in ("plain", "wrapped"))
            plain = run(program, *case, LAPMARK_RECORD=wanted, LAPMARK_PRINT="off")
            equal((plain.status, plain.err), (0, ""), plain)
            result = run(*wrapper, other, *case, LAPMARK_RECORD=got, LAPMARK_PRINT="off", **variables)
            equal(result.status, 0, result)
            check(clean(result.err), result)
            equal(counts(got), counts(wanted), f"{wrapper} {case}")


def test_gdb():
    """With a breakpoint at every call into the cold path, too."""
    if has("gdb"):
        def quiet(text):
            return "SIG" not in text and "rror" not in text
        compare(["gdb", "-nx", "-batch", "-return-child-result", "-ex", "set debuginfod enabled off", "-ex", "run", "--args"], clean=quiet)
        compare(["gdb", "-nx", "-batch", "-return-child-result", "-ex", "set debuginfod enabled off", "-ex", "set breakpoint pending on",
                 "-ex", "break lap_impl_begin_cold if 0", "-ex", "run", "--args"], cases=CASES[:1], clean=quiet)


def test_strace():
    if has("strace"):
        compare(["strace", "-f", "-o", "/dev/null"])


def test_valgrind():
    if has("valgrind"):
        compare(["valgrind", "-q", "--error-exitcode=9", "--leak-check=no", "--trace-children=yes"], cases=CASES[:2])


def test_bound_at_start():
    compare([], LD_BIND_NOW="1")


def test_static():
    compare([], linked=("-static", f"{BUILD}/liblapmark.a", "-pthread"))


def test_read_only_root():
    """What a container with --read-only gives: nothing to write to but a tmpfs for shared memory, and one volume."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
        missing.append("unshare -m")
        return
    with Directory() as directory:
        program = workload(directory)
        volume = os.path.join(directory, "volume")
        os.mkdir(volume)
        mounts = (f"mount --bind {volume} {volume} && mount --bind / /mnt && mount --rbind /dev /mnt/dev && mount --bind /proc /mnt/proc && "
                  f"mount -t tmpfs -o size=64m none /mnt/dev/shm && mount --bind {volume} /mnt{volume} && "
                  "mount -o remount,bind,ro /mnt && ! touch /mnt/file 2>/dev/null && ")
        # The files of a recording are on the container's own shared memory until they are copied.
        inside = f'chroot /mnt "$@" && chroot /mnt cp -rL {volume}/recording {volume}/copy'
        result = run("unshare", "-m", "sh", "-c", mounts + inside, "sh", program, "threads",
                     LAPMARK_RECORD=f"{volume}/recording", LAPMARK_PRINT="off")
        if result.status != 0 and ("permission denied" in result.err.lower() or result.status == 127):
            missing.append("the right to mount, or temporary files on the root's file system")
            return
        equal(result.status, 0, result)
        equal(result.err, "", result)
        equal([count for path, kind, count in counts(f"{volume}/copy") if path == "work/item"], [15])
        result = run("unshare", "-m", "sh", "-c", mounts + 'chroot /mnt "$@"', "sh", program, "threads",
                     LAPMARK_RECORD="/lapmark-recording", LAPMARK_PRINT="off")
        equal(result.status, 0, result)
        check(re.fullmatch(r"lapmark: cannot [^\n]*read-only file system; recording stopped\n", result.err), result)


def test_nothing_missing():
    """Comes last. What is in dev's packages is here where it has run."""
    if missing:
        print(f"not here, and not tried: {', '.join(missing)}")


if __name__ == "__main__":
    main(globals())
