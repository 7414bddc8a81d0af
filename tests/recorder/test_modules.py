# SPDX-License-Identifier: MIT
"""Instrumented libraries that are loaded and unloaded, and the recorder itself loaded late."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import BUILD, SOURCE, Directory, check, equal, lapmark_json, main, run  # pylint: disable=wrong-import-position

SANITIZE = os.environ.get("SANITIZE", "")

MODULE = r"""
#include <lapmark.h>
static int inner(int i) { LAP_PROFILE("inner of " WHICH); LAP_MARK("step %d", i); LAP_MARK_TEXT("made"); return i; }
int call(int i)
{
    LAP_PROFILE("call");
    LAP_MARK("same label");
    lap_end(lap_begin("handle of " WHICH));
    return inner(i);
}
"""

LOADER = r"""
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static const char *const names[] = {"./a.so", "./b.so"};
static int use(int which, int i)
{
    void *const module = dlopen(names[which], RTLD_NOW | RTLD_LOCAL);
    if (!module) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*const call)(int) = (int (*)(int))dlsym(module, "call");
    return call(i) != i || dlclose(module) != 0;
}
static void *on_thread(void *argument) { return use(0, *(int *)argument) ? argument : NULL; }
int main(int count, char **arguments)
{
    const int turns = atoi(arguments[count - 1]);
    for (int i = 0; i < turns; i++) {
        if (use(i % 2, i))
            return 1;
        if (i % 100 == 0) { /* its thread ends when the module, and all that linked the recorder, is gone */
            pthread_t thread;
            void *failed;
            if (pthread_create(&thread, NULL, on_thread, &i) != 0 || pthread_join(thread, &failed) != 0 || failed)
                return 2;
        }
    }
    return 0;
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


def build_all(directory):
    library = [f"-L{BUILD}", "-llapmark", f"-Wl,-rpath,{BUILD}"]
    for which in "ab":
        build(directory, f"module_{which}", MODULE, f'-DWHICH="{which}"', "-shared", "-fPIC",
              "-o", os.path.join(directory, which + ".so"), *library)
    # The loader knows nothing of the recorder.
    build(directory, "loader", LOADER, "-pthread", "-ldl", "-o", os.path.join(directory, "loader"))


def test_loaded_again_and_again():
    with Directory() as directory:
        build_all(directory)
        turns = 6000  # more sites, taken one by one, than there may be
        record = os.path.join(directory, "recording")
        result = run("./loader", str(turns), cwd=directory, LAPMARK_RECORD=record, LAPMARK_PRINT="off",
                     LAPMARK_RING="16M", ASAN_OPTIONS="detect_leaks=0")
        equal(result.status, 0, result)
        equal(result.err, "", result)
        report = lapmark_json("report", record)
        equal(report["lost"], 0)
        # Texts are readable long after their module is gone; the two modules are told apart by where the sites are.
        counts = {"/".join(site["path"]): site["count"] for site in report["sites"] if site["kind"] == "profiler"}
        threads = turns // 100
        equal(counts["call/inner of a"], turns // 2 + threads)
        equal(counts["call/inner of b"], turns // 2)
        equal(counts["call/handle of a"] + counts["call/handle of b"], turns + threads)


def test_loaded_late():
    """With everything printed; and where the recorder comes as one of many libraries, late."""
    with Directory() as directory:
        build_all(directory)
        result = run("./loader", "3", cwd=directory, ASAN_OPTIONS="detect_leaks=0")
        equal(result.status, 0, result)
        equal(result.err.count("> Entering call\n"), 4, result)
        check("    made: " in result.err, result)


STATIC_HOST = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
static pthread_barrier_t barrier;
static int (*call)(int);
static void *work(void *argument)
{
    call(1);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier); /* it is unloaded */
    return argument;
}
int main(void)
{
    void *const module = dlopen("./static.so", RTLD_NOW);
    if (!module)
        return 1;
    call = (int (*)(int))dlsym(module, "call");
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0)
        return 2;
    pthread_barrier_wait(&barrier);
    call(2);
    if (dlclose(module) != 0 || dlopen("./static.so", RTLD_NOW | RTLD_NOLOAD))
        return 3; /* it must be gone, else this tests nothing */
    pthread_barrier_wait(&barrier);
    return pthread_join(thread, NULL) != 0;
}
"""


def test_static_library_unloaded():
    """A thread that met the module's own recorder ends after it is gone."""
    if SANITIZE:
        return  # its runtime would be in the module
    with Directory() as directory:
        build(directory, "static", MODULE, '-DWHICH="static"', "-shared", "-fPIC", "-pthread",
              "-o", os.path.join(directory, "static.so"), os.path.join(BUILD, "liblapmark.a"))
        build(directory, "host", STATIC_HOST, "-pthread", "-ldl", "-o", os.path.join(directory, "host"))
        record = os.path.join(directory, "recording")
        result = run("./host", cwd=directory, LAPMARK_RECORD=record, LAPMARK_PRINT="off")
        equal(result.status, 0, result)
        counts = {"/".join(site["path"]): site["count"] for site in lapmark_json("report", record)["sites"]}
        equal(counts["call/inner of static"], 2)


if __name__ == "__main__":
    main(globals())
