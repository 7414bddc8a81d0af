# SPDX-License-Identifier: MIT
"""Nothing to record into, no memory file system, full file systems, limits, and every call failing once: the program goes
on, gives the same result, and says at most one line; what was recorded before is sound."""
import errno
import itertools
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import BUILD, LAPMARK, SOURCE, Directory, check, equal, lapmark, lapmark_json, main, run  # pylint: disable=wrong-import-position

SANITIZE = os.environ.get("SANITIZE", "")

PROGRAM = r"""
#include <lapmark.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
static int marks;
static void *work(void *argument)
{
    LAP_PROFILE("work %d", (int)(long)argument);
    for (int i = 0; i < marks; i++) {
        LAP_MARK("step");
        if (i % 1000 == 0) {
            char label[32];
            snprintf(label, sizeof label, "label %d", i);
            LAP_MARK_TEXT(label);
            LAP_PROFILE_WITH(LAP_OPTS(.n = i), "inner of %s", "work");
            lap_end(lap_begin("handle"));
        }
    }
    return argument;
}
int main(int count, char **arguments)
{
    marks = atoi(arguments[1]);
    work(NULL);
    pthread_t threads[3];
    for (long i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0)
            return 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    printf("the result\n");
    fflush(stdout);
    if (count > 2)
        raise(SIGKILL);
    return 0;
}
"""

# Fails the N-th of the recorder's own calls; the others' go through.
FAULTS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>
static int calls;
static int is_due(void *caller)
{
    static __thread int is_inside;
    Dl_info info;
    if (is_inside)
        return 0;
    is_inside = 1;
    const int is_ours = dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "liblapmark");
    is_inside = 0;
    if (!is_ours)
        return 0;
    const char *const n = getenv("FAIL_AT"), *const last = getenv("FAIL_LAST");
    const int call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    const int first = n ? atoi(n) : 0;
    return first != 0 && call >= first && (last ? 1 : call == first);
}
static int failed(void)
{
    errno = atoi(getenv("FAIL_WITH"));
    return -1;
}
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define DUE is_due(__builtin_return_address(0))
void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return DUE ? failed(), MAP_FAILED : REAL(mmap)(address, bytes, protection, flags, fd, offset);
}
void *mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    void *const address = flags & MREMAP_FIXED ? va_arg(arguments, void *) : NULL;
    va_end(arguments);
    return DUE ? failed(), MAP_FAILED : REAL(mremap)(old, old_bytes, bytes, flags, address);
}
int madvise(void *address, size_t bytes, int advice) { return DUE ? failed() : REAL(madvise)(address, bytes, advice); }
int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return DUE ? failed() : REAL(open)(path, flags, mode);
}
int openat(int fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return DUE ? failed() : REAL(openat)(fd, path, flags, mode);
}
int mkdir(const char *path, mode_t mode) { return DUE ? failed() : REAL(mkdir)(path, mode); }
int mkdirat(int fd, const char *path, mode_t mode) { return DUE ? failed() : REAL(mkdirat)(fd, path, mode); }
int symlinkat(const char *target, int fd, const char *path) { return DUE ? failed() : REAL(symlinkat)(target, fd, path); }
int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return DUE ? failed() : REAL(renameat)(from_fd, from, to_fd, to);
}
int ftruncate(int fd, off_t bytes) { return DUE ? failed() : REAL(ftruncate)(fd, bytes); }
int posix_fallocate(int fd, off_t offset, off_t bytes)
{
    return DUE ? failed(), errno : REAL(posix_fallocate)(fd, offset, bytes);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return DUE ? failed() : REAL(pwrite)(fd, bytes, count, offset);
}
int fstatfs(int fd, struct statfs *info) { return DUE ? failed() : REAL(fstatfs)(fd, info); }
int fstat(int fd, struct stat *status) { return DUE ? failed() : REAL(fstat)(fd, status); }
ssize_t getrandom(void *out, size_t bytes, unsigned flags) { return DUE ? failed() : REAL(getrandom)(out, bytes, flags); }
char *getcwd(char *out, size_t bytes) { return DUE ? failed(), NULL : REAL(getcwd)(out, bytes); }
ssize_t write(int fd, const void *bytes, size_t count) { return fd > 2 && DUE ? failed() : REAL(write)(fd, bytes, count); }
ssize_t read(int fd, void *bytes, size_t count) { return DUE ? failed() : REAL(read)(fd, bytes, count); }
int stat(const char *path, struct stat *status) { return DUE ? failed() : REAL(stat)(path, status); }
int unlinkat(int fd, const char *path, int flags) { return DUE ? failed() : REAL(unlinkat)(fd, path, flags); }
int pthread_key_create(pthread_key_t *key, void (*end)(void *)) { return DUE ? failed(), errno : REAL(pthread_key_create)(key, end); }
int pthread_setspecific(pthread_key_t key, const void *value)
{
    return DUE ? failed(), errno : REAL(pthread_setspecific)(key, value);
}
__attribute__((destructor)) static void say(void)
{
    const char *const path = getenv("FAIL_COUNT");
    if (path) {
        FILE *const file = fopen(path, "w");
        fprintf(file, "%d\n", calls);
        fclose(file);
    }
}
"""


def build(directory, name, text, *flags):
    path = os.path.join(directory, name + ".c")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    command = [os.environ.get("CC", "cc"), "-std=c17", "-O1", "-g", f"-I{SOURCE}/include", path, *flags]
    if SANITIZE:
        command.append(f"-fsanitize={SANITIZE}")
    subprocess.run(command, check=True)
    return os.path.join(directory, name)


def program(directory):
    return build(directory, "program", PROGRAM, "-o", os.path.join(directory, "program"), "-pthread",
                 f"-L{BUILD}", "-llapmark", f"-Wl,-rpath,{BUILD}")


def unharmed(result, where="", said=None):
    """The program's own result is there, and one line of trouble or none."""
    equal(result.status, 0, f"{where}\n{result}")
    equal(result.out, "the result\n", f"{where}\n{result}")
    lines = result.err.splitlines()
    check(len(lines) <= 1, f"{where}\n{result}")
    if lines:
        check(re.fullmatch(r"lapmark: cannot .*; recording stopped", lines[0]), f"{where}\n{result}")
    if said is not None:
        equal(len(lines), said, f"{where}\n{result}")


def processes(directory):
    return [os.path.join(directory, name) for name in sorted(os.listdir(directory))] if os.path.isdir(directory) else []


def sound(directory, where=""):
    """babeltrace2 reads what is there."""
    for process in processes(directory):
        if not os.path.exists(os.path.join(process, "metadata")):
            continue
        result = run("babeltrace2", process, "-o", "dummy")
        equal(result.status, 0, f"{where}\n{result}")


def remove_shared(directory):
    """The files on shared memory that a recording's links lead to."""
    for process in processes(directory):
        for link in (process, os.path.join(process, ".lapmark")):
            if os.path.islink(link):
                shutil.rmtree(os.readlink(link).removesuffix("/.lapmark"), ignore_errors=True)


def not_tested(why):
    """./dev test shows it."""
    print(f"not tested here: {sys._getframe(1).f_code.co_name}: {why}")  # pylint: disable=protected-access


def own_mounts():
    """Can this test have file systems of its own?"""
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def run_mounted(mounts, *command, **variables):
    """Runs a command where `mounts`, shell commands, have been run in a mount namespace of its own."""
    return run("unshare", "-m", "sh", "-c", mounts + '\nexec "$@"', "sh", *command, **variables)


# ---- places that cannot be recorded into --------------------------------------------------------------------------------


def test_no_place():
    with Directory() as directory:
        path = program(directory)
        taken = os.path.join(directory, "file")
        with open(taken, "w", encoding="utf-8"):
            pass
        for place in ("/proc/no/such", taken, taken + "/below", "/dev/null", "x" * 300, "/" + "y/" * 600):
            for mode in ("flight", "full"):
                result = run(path, "1000", LAPMARK_RECORD=place, LAPMARK_PRINT="off", LAPMARK_MODE=mode, cwd=directory)
                equal(result.status, 0, result)
                equal(result.out, "the result\n", result)
                equal(result.err.count("\n"), 1, result)
                check(result.err.startswith("lapmark: cannot "), result)


def test_read_only():
    if not own_mounts():
        return not_tested("needs the right to mount")
    with Directory() as directory:
        path = program(directory)
        place = os.path.join(directory, "place")
        os.mkdir(place)
        result = run_mounted(f"mount -t tmpfs -o ro none {place}", path, "1000", LAPMARK_RECORD=place, LAPMARK_PRINT="off")
        unharmed(result, said=1)
        check("read-only file system" in result.err.lower(), result)
        own = os.path.join(directory, "program-of-its-own") # others record here meanwhile
        os.rename(path, own)
        run_mounted(f"mount -t tmpfs -o ro none {place}", own, "10", LAPMARK_RECORD=place, LAPMARK_PRINT="off")
        left = [name for name in os.listdir(f"/dev/shm/lapmark-{os.geteuid()}") if name.startswith("program-of")]
        equal(left, [], "something was left on shared memory")


# ---- no memory file system ------------------------------------------------------------------------------------------------


def test_no_tmpfs():
    if not own_mounts():
        return not_tested("needs the right to mount")
    with Directory() as directory:
        path = program(directory)
        empty = os.path.join(directory, "disk")
        os.mkdir(empty)
        if subprocess.check_output(["stat", "-f", "-c", "%T", empty], text=True).strip() in ("tmpfs", "ramfs"):
            return not_tested("temporary files are on a tmpfs")
        mounts = (f'for d in /dev/shm /run/user /run /tmp; do case $(stat -f -c %T $d 2>/dev/null) in tmpfs | ramfs) '
                  f'mount --bind {empty} $d ;; esac; done; true')
        for mode in ("flight", "full"):
            record = os.path.join(directory, mode)
            result = run_mounted(mounts, path, "20000", LAPMARK_RECORD=record, LAPMARK_PRINT="off", LAPMARK_MODE=mode)
            unharmed(result, mode, said=0)
            sound(record, mode)
            equal(lapmark("check", record).status, 0, lapmark("check", record))
            out = run("babeltrace2", record).out
            equal(out.count(" step: "), 80000, mode)
            # Without one it does not survive SIGKILL, and harms nobody.
            result = run_mounted(mounts, path, "20000", "kill", LAPMARK_RECORD=os.path.join(directory, "killed"),
                                 LAPMARK_PRINT="off", LAPMARK_MODE=mode)
            equal(result.status, -9, result)


# ---- full file systems -----------------------------------------------------------------------------------------------------


def test_full_memory():
    """A store into a file of a full tmpfs would be a SIGBUS."""
    if not own_mounts():
        return not_tested("needs the right to mount")
    with Directory() as directory:
        path = program(directory)
        refused = kept = 0
        for kib in list(range(0, 1200, 60)) + [1600, 2400, 4000, 10000]:
            record = os.path.join(directory, f"record-{kib}")
            copy = os.path.join(directory, f"copy-{kib}")
            result = run_mounted(f"mount -t tmpfs -o size={max(kib, 4)}k none /dev/shm", "sh", "-c",
                                 f'"$0" 30000; s=$?; cp -rL {record} {copy} 2>/dev/null; exit $s', path,
                                 LAPMARK_RECORD=record, LAPMARK_PRINT="off")
            unharmed(result, f"{kib} KiB")
            refused += bool(result.err)
            kept += not result.err
            sound(copy, f"{kib} KiB")
        check(refused >= 5 and kept >= 3, f"{refused} refused, {kept} kept")


CROWD = r"""
#define _GNU_SOURCE
#include <lapmark.h>
#include <pthread.h>
#include <stdio.h>
enum { THREADS = 500, STEPS = 400 };
static pthread_barrier_t barrier;
static void *work(void *argument)
{
    pthread_barrier_wait(&barrier);
    {
        LAP_PROFILE("work");
        for (int i = 0; i < STEPS; i++)
            LAP_MARK_N(i, "step");
    }
    pthread_barrier_wait(&barrier);
    return argument;
}
int main(void)
{
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], &attributes, work, NULL) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("the result\n");
    return 0;
}
"""


def test_crowd_in_a_container():
    """500 threads at once where /dev/shm has 64 MiB, as Docker gives it: what they stored is there or counted as lost."""
    if SANITIZE:
        return None
    if not own_mounts():
        return not_tested("needs the right to mount")
    with Directory() as directory:
        path = build(directory, "crowd", CROWD, "-o", os.path.join(directory, "crowd"), "-pthread", f"-L{BUILD}", "-llapmark",
                     f"-Wl,-rpath,{BUILD}")
        record, copy = os.path.join(directory, "record"), os.path.join(directory, "copy")
        result = run_mounted("mount -t tmpfs -o size=64m none /dev/shm", "sh", "-c",
                             f'"$0"; s=$?; cp -rL {record} {copy}; exit $s', path, LAPMARK_RECORD=record, LAPMARK_PRINT="off")
        unharmed(result, said=0)
        sound(copy)
        equal(lapmark("check", copy).status, 0, lapmark("check", copy))
        report = lapmark_json("report", copy)
        counts = {"/".join(site["path"]).rsplit("/", 1)[-1]: site["count"] for site in report["sites"]}
        stored = counts.get("step", 0)
        check(stored > 0, report)
        # A begin that is lost has no end to lose; a thread that has no ring loses the begin as well.
        lost_begins = 500 - counts.get("work", 0)
        equal(stored + report["lost"], 500 * 400 + lost_begins, report["lost"])


def test_full_disk():
    """Full recording, whose disk is full: what was written is whole."""
    if not own_mounts():
        return not_tested("needs the right to mount")
    with Directory() as directory:
        path = program(directory)
        for kib in (4, 40, 100, 400, 1000, 3000):
            place, copy = os.path.join(directory, "place"), os.path.join(directory, f"copy-{kib}")
            os.makedirs(place, exist_ok=True)
            result = run_mounted(f"mount -t tmpfs -o size={kib}k none {place}", "sh", "-c",
                                 f'"$0" 200000; s=$?; cp -rL {place}/record {copy} 2>/dev/null; '
                                 f'rm -rf $(readlink {place}/record/*/.lapmark | sed s,/.lapmark,,); exit $s', path,
                                 LAPMARK_RECORD=place + "/record", LAPMARK_PRINT="off", LAPMARK_MODE="full", LAPMARK_RING="1M")
            unharmed(result, f"{kib} KiB", said=1)
            sound(copy, f"{kib} KiB")


# ---- limits ----------------------------------------------------------------------------------------------------------------


def limited(limit, path, **variables):
    """Without a TMPDIR: ThreadSanitizer has a file of 512 KiB there if it can, and the limit is not for that one."""
    return run("sh", "-c", f'ulimit {limit} || exit 99; TMPDIR=/no/such exec "$@"', "sh", path, "30000", **variables)


def test_limits():
    with Directory() as directory:
        path = program(directory)
        for mode in ("flight", "full"):
            for number, limit in enumerate(["-n 3", "-n 4", "-n 5", "-n 6", "-n 7", "-n 8", "-f 0", "-f 1", "-f 100", "-f 300", "-f 600",
                                            "-f 3000"] + ([] if SANITIZE else ["-v 40000", "-v 50000", "-v 60000"])):
                record = os.path.join(directory, f"{mode}-{number}")
                result = limited(limit, path, LAPMARK_RECORD=record, LAPMARK_PRINT="off", LAPMARK_MODE=mode)
                if result.out == "" and "loading shared libraries" in result.err + "" or result.status == 1:
                    continue  # not even the program itself has what it needs
                unharmed(result, f"{mode} ulimit {limit}")
                sound(record, f"{mode} ulimit {limit}")
                remove_shared(record)


def test_limited_output():
    """What is printed goes to a file that may not grow: the host gets no signal from it."""
    with Directory() as directory:
        path = program(directory)
        for limit, record in itertools.product((0, 1), ("", os.path.join(directory, "record"))):
            command = f'ulimit -f {limit}; TMPDIR=/no/such exec "$@" 2>{directory}/output'
            result = run("sh", "-c", command, "sh", path, "2000", LAPMARK_RECORD=record, LAPMARK_PRINT="on")
            unharmed(result, f"ulimit -f {limit} '{record}'")
            if not record:
                equal(os.stat(f"{directory}/output").st_size, 512 * limit, "what was printed")


# ---- every call fails ------------------------------------------------------------------------------------------------------


def test_every_call_fails():
    if SANITIZE:
        return  # its runtime must come first
    # It takes nothing from the heap, lap_context_environment() aside: there is no N-th malloc to fail.
    symbols = subprocess.check_output(["nm", "-D", "--undefined-only", f"{BUILD}/liblapmark.so"], text=True)
    equal(re.findall(r"\b(?:\w*alloc|\w*memalign|strn?dup|fopen|opendir|getline)\b(?<!posix_fallocate)", symbols), ["malloc"])
    with Directory() as directory:
        path = program(directory)
        build(directory, "faults", FAULTS, "-shared", "-fPIC", "-ldl", "-o", os.path.join(directory, "faults.so"))
        count_path = os.path.join(directory, "count")
        for mode in ("flight", "full"):
            common = {"LD_PRELOAD": os.path.join(directory, "faults.so"), "LAPMARK_PRINT": "off", "LAPMARK_MODE": mode,
                      "LAPMARK_RING": "1M", "cwd": directory}
            record = os.path.join(directory, f"{mode}-count")
            unharmed(run(path, "6000", FAIL_COUNT=count_path, LAPMARK_RECORD=record, **common), said=0)
            remove_shared(record)
            with open(count_path, encoding="utf-8") as file:
                calls = int(file.read())
            check(calls > 40, calls)
            # The one call, or it and all behind it.
            for error, last in ((errno.ENOSPC, {}), (errno.ENOMEM, {"FAIL_LAST": "1"}))[:2 if mode == "flight" else 1]:
                for call in range(1, calls + 1):
                    where = f"{mode}: call {call} of {calls} fails with {os.strerror(error)} {last}"
                    record = os.path.join(directory, f"{mode}-{error}-{call}")
                    result = run(path, "6000", FAIL_AT=str(call), FAIL_WITH=str(error), LAPMARK_RECORD=record, **last, **common)
                    unharmed(result, where)
                    sound(record, where)
                    remove_shared(record)
                    shutil.rmtree(record, ignore_errors=True)


# ---- who else has been there -----------------------------------------------------------------------------------------------


def test_planted():
    """A directory of another user's in our place, and links: refused, and the program goes on."""
    if not own_mounts() or os.geteuid() != 0:
        return not_tested("needs root, and the right to mount")
    with Directory() as directory:
        path = program(directory)
        victim = os.path.join(directory, "victim")
        os.mkdir(victim)
        with open(os.path.join(victim, "file"), "w", encoding="utf-8") as file:
            file.write("precious")
        for planted in ("mkdir /dev/shm/lapmark-0; chown 1:1 /dev/shm/lapmark-0",
                        "mkdir -m 0777 /dev/shm/lapmark-0",
                        f"ln -s {victim} /dev/shm/lapmark-0",
                        "touch /dev/shm/lapmark-0"):
            record = os.path.join(directory, "record")
            result = run_mounted(f"mount -t tmpfs none /dev/shm; {planted}", path, "5000",
                                 LAPMARK_RECORD=record, LAPMARK_PRINT="off")
            unharmed(result, planted)
            sound(record, planted)
            equal(os.listdir(victim), ["file"], planted)
            shutil.rmtree(record, ignore_errors=True)


def test_setuid():
    """A program that runs with rights that its user has not is told nothing by the user's environment."""
    if SANITIZE or os.geteuid() != 0 or not shutil.which("setpriv"):
        return None if SANITIZE else not_tested("needs root and setpriv")
    with Directory() as directory:
        # Linked statically: another user may not be let into where the library is.
        path = build(directory, "program", PROGRAM, "-o", os.path.join(directory, "program"), "-pthread", f"{BUILD}/liblapmark.a")
        record = os.path.join(directory, "record")
        for mode, records in ((0o755, True), (0o4755, False)):
            os.chmod(directory, 0o777)
            os.chmod(path, mode)
            result = run("setpriv", "--reuid=65534", "--clear-groups", path, "10", LAPMARK_RECORD=record, LAPMARK_PRINT="off")
            equal((result.status, result.out), (0, "the result\n"), result)
            equal(os.path.isdir(record), records, f"{mode:o} {result}")
            equal("> Entering" in result.err, not records, f"{mode:o} {result}")
            if records:
                remove_shared(record)
                shutil.rmtree(record)


def test_time_namespace():
    """The monotonic clock of a container is not its host's: what is still open there has no end here, and all else is right."""
    if subprocess.run(["unshare", "--time", "true"], capture_output=True, check=False).returncode != 0:
        return not_tested("needs time namespaces")
    with Directory() as directory:
        path = program(directory)
        record = os.path.join(directory, "record")
        unharmed(run("unshare", "--time", "--monotonic", "1000000", "--fork", path, "5000", LAPMARK_RECORD=record,
                     LAPMARK_PRINT="off"), said=0)
        sound(record)
        (process,) = lapmark_json("report", record)["processes"]
        equal((process["state"], process["lost"]), ("ended", 0))
        check(0 < process["duration_ns"] < 60e9, process)
        remove_shared(record)


if __name__ == "__main__":
    check(os.path.exists(LAPMARK), LAPMARK)
    main(globals())
