# SPDX-License-Identifier: MIT
# ctest: long
"""The extension under valgrind's memcheck, with all that exercise.py does, and compiled with ASan and UBSan under the tests that
use it most. Of both an error is planted, and must be found. With Debian's interpreter: of another one the suppressions of its own
are not known."""
import glob
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile

import common_python as common

HERE = os.path.dirname(os.path.abspath(__file__))
BUILDER = os.path.join(common.SOURCE, "python", "build_backend", "lapmark_build.py")
SANITIZED_TESTS = ("interface", "printing", "ends", "parents", "reentry", "peers", "calls_limits")
SLOW = ("deep", "flush_of", "many_open", "long_chain", "on_many_threads", "size_of_a_report")  # with a sanitizer

#: The interpreter's own are Debian's, in PYTHON_SUPPRESSIONS. The dynamic linker compares $ORIGIN eight bytes at a time.
PYTHON_SUPPRESSIONS = "/usr/lib/valgrind/python3.supp"
SUPPRESSIONS = """
{
   the_dynamic_linker_reads_behind_an_rpath
   Memcheck:Addr8
   fun:strncmp
   fun:is_dst
   ...
   fun:decompose_rpath
}
"""

#: Errors to be found: a lost block, and memory that is read when it was freed.
PLANTED = """
#include <Python.h>
static PyObject *leak(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyErr_Clear();
    return PyMem_RawMalloc(100) ? Py_NewRef(self) : NULL;
}
static PyObject *use(PyObject *self, PyObject *unused)
{
    char *volatile freed = PyMem_RawMalloc(100);
    (void)unused;
    freed[5] = 5;
    PyMem_RawFree(freed);
    return freed[5] == 7 ? NULL : Py_NewRef(self);
}
static PyMethodDef methods[] = {{"leak", leak, METH_NOARGS, NULL}, {"use", use, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "planted", NULL, -1, methods, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_planted(void) { return PyModule_Create(&definition); }
"""


def need(*programs):
    if common.EXPECTED == "python" or os.environ.get("LAPMARK_IMPLEMENTATION") == "python":
        common.skip("the extension's")
    if not os.path.realpath(sys.executable).startswith("/usr/bin/"):
        common.skip("not Debian's interpreter")
    for program in programs:
        if not shutil.which(program) and not os.path.exists(program):
            common.skip(f"there is no '{program}'")


def planted(directory, *flags, compiler="cc"):
    import sysconfig  # pylint: disable=import-outside-toplevel
    source = os.path.join(directory, "planted.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(PLANTED)
    subprocess.run([compiler, "-g", "-O1", "-shared", "-fPIC", f"-I{sysconfig.get_path('include')}", *flags, source, "-o",
                    os.path.join(directory, "planted" + sysconfig.get_config_var("EXT_SUFFIX"))], check=True)


# ---- memcheck --------------------------------------------------------------------------------------------------------


def memcheck(directory, *words, path=""):
    """What valgrind has to say, nothing where all is well."""
    suppressions, log = os.path.join(directory, "suppressions"), os.path.join(directory, "log")
    with open(suppressions, "w", encoding="utf-8") as file:
        file.write(SUPPRESSIONS)
    variables = common.environment(PYTHONMALLOC="malloc", LAPMARK_PRINT="off")
    variables["PYTHONPATH"] += os.pathsep + path
    done = subprocess.run(["valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite",
                           f"--suppressions={PYTHON_SUPPRESSIONS}", f"--suppressions={suppressions}", f"--log-file={log}",
                           sys.executable, *words], env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=200, check=False)
    with open(log, encoding="utf-8", errors="replace") as file:
        said = file.read()
    assert done.returncode == 0, (done, said)
    return said


def test_memcheck():
    need("valgrind", PYTHON_SUPPRESSIONS)
    with tempfile.TemporaryDirectory() as directory:
        assert memcheck(directory, os.path.join(HERE, "exercise.py"), "2") == ""


def test_memcheck_finds_what_is_planted():
    need("valgrind", "cc", PYTHON_SUPPRESSIONS)
    with tempfile.TemporaryDirectory() as directory:
        planted(directory)
        said = memcheck(directory, "-S", "-c", "import planted; planted.leak(), planted.use()", path=directory)
        assert "Invalid read" in said and ": use (planted.c" in said, said
        assert "definitely lost" in said and ": leak (planted.c" in said, said


# ---- ASan and UBSan --------------------------------------------------------------------------------------------------

FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-shared-libasan", "-fno-omit-frame-pointer")


def sanitized(directory, *words):
    """The same interpreter, with the runtime loaded first. What the interpreter itself leaks at exit is not looked at."""
    runtime = subprocess.run(["clang", "-print-file-name=libclang_rt.asan-x86_64.so"], stdout=subprocess.PIPE, text=True,
                             check=True).stdout.strip()
    if not os.path.exists(runtime):
        common.skip("there is no ASan runtime of clang")
    variables = dict(common.environment(), LD_PRELOAD=runtime, ASAN_OPTIONS="detect_leaks=0", UBSAN_OPTIONS="print_stacktrace=1",
                     PYTHONMALLOC="malloc", LAPMARK_PACKAGE=directory, LAPMARK_EXPECTED="c", PYTHONPATH=directory)
    return subprocess.run([sys.executable, *words], env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=280, check=False)


def build_sanitized(directory):
    """The extension anew, beside the library that is there already, which has sanitizer builds of its own tests."""
    package = os.path.join(directory, "lapmark")
    os.makedirs(package)
    shutil.copy2(os.path.join(common.PACKAGE, "lapmark", "liblapmark.so.0"), package)
    subprocess.run([sys.executable, BUILDER, "build", directory], check=True, stdin=subprocess.DEVNULL,
                   env={**os.environ, "CC": "clang", "CFLAGS": " ".join(("-g1", "-O1") + FLAGS)})
    assert glob.glob(os.path.join(package, "_lapmark.*.so")), os.listdir(package)


def test_sanitizers():
    need("clang")
    if not importlib.util.find_spec("pytest"):
        common.skip("this interpreter has no pytest")
    with tempfile.TemporaryDirectory() as directory:
        build_sanitized(directory)
        done = sanitized(directory, os.path.join(HERE, "exercise.py"), "2")
        assert done.returncode == 0, done.stdout
        files = [os.path.join(HERE, f"test_{name}.py") for name in SANITIZED_TESTS]
        done = sanitized(directory, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *files, "-k",
                         f"not {' and not '.join(SLOW)}")
        assert done.returncode == 0 and int(re.search(r"(\d+) passed", done.stdout)[1]) > 100, done.stdout


def test_sanitizers_find_what_is_planted():
    need("clang")
    with tempfile.TemporaryDirectory() as directory:
        planted(directory, *FLAGS, compiler="clang")
        done = sanitized(directory, "-c", "import planted; planted.use()")
        assert done.returncode != 0 and "heap-use-after-free" in done.stdout and "planted.c" in done.stdout, done


if __name__ == "__main__":
    common.main(globals())
