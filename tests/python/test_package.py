# SPDX-License-Identifier: MIT
"""The package as such: what it exports, its stubs, its version, `python3 -m lapmark`, a plain copy of it."""
import ast
import compileall
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from common_python import PACKAGE, SOURCE, Result, by_label, environment, main, python, skip

import lapmark

DIRECTORY = pathlib.Path(SOURCE) / "python" / "lapmark"


def stub():
    return ast.parse((DIRECTORY / "__init__.pyi").read_text(encoding="utf-8"))


def module(*arguments, status=0, cwd=None, **variables):
    result = Result(subprocess.run([sys.executable, "-m", "lapmark", *arguments], env=environment(**variables), check=False,
                                   cwd=cwd, timeout=60, capture_output=True, encoding="utf-8"))
    assert result.status == status, result
    return result


def without_command():
    """A PATH on which no `lapmark` is."""
    return os.pathsep.join(part for part in os.environ.get("PATH", "").split(os.pathsep)
                           if not os.path.exists(os.path.join(part, "lapmark")))


def test_it_is_the_one_that_is_meant():
    assert os.path.dirname(os.path.abspath(lapmark.__file__)) == os.path.join(os.path.abspath(PACKAGE), "lapmark")


def test_version():
    header = pathlib.Path(SOURCE, "include/lapmark.h").read_text(encoding="utf-8")
    parts = [re.search(rf"^#define LAPMARK_VERSION_{part} (\d+)$", header, re.M).group(1) for part in ("MAJOR", "MINOR")]
    assert lapmark.__version__ == ".".join(parts + ["0"])


def test_stub_names():
    """What the stub has and the package, and the other way round."""
    names = set()
    for node in stub().body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
    public = {name for name in names if not name.startswith("_") or name == "__version__"}
    assert public == set(lapmark.__all__) | {"set"}  # which `import *` must not put in the place of Python's
    assert all(hasattr(lapmark, name) for name in public)


def parameters(function):
    arguments = function.args
    return [argument.arg for argument in arguments.posonlyargs + arguments.args + arguments.kwonlyargs
            if argument.arg not in ("self", "cls")]


def test_stub_signatures():
    """The last overload of each is the widest."""
    classes = {node.name: node for node in stub().body if isinstance(node, ast.ClassDef)}
    methods = {node.name: node for node in classes["Profiler"].body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    for name, method in methods.items():
        assert hasattr(lapmark.Profiler, name), name
        runtime = lapmark.Profiler if name in ("__init__", "__new__") else getattr(lapmark.Profiler, name)
        if name in ("__exit__", "__aexit__", "laps"):
            continue
        try:
            signature = inspect.signature(runtime)
        except ValueError:
            continue
        names = [parameter for parameter in signature.parameters if parameter != "self"]
        if name == "__call__" and names == ["args", "kwargs"]:  # all that C can say of it
            continue
        assert names == parameters(method), name
    for node in stub().body:
        if isinstance(node, ast.FunctionDef):
            try:
                signature = inspect.signature(getattr(lapmark, node.name))
            except ValueError:
                continue
            assert list(signature.parameters) == parameters(node), node.name
    assert list(lapmark.Lap._fields) == [node.target.id for node in classes["Lap"].body]


def test_every_name_of_a_class_is_in_the_stub():
    classes = {node.name: node for node in stub().body if isinstance(node, ast.ClassDef)}
    for kind in (lapmark.Profiler, lapmark.Call):
        body = classes[kind.__name__].body
        names = {node.name for node in body if hasattr(node, "name")} | \
            {node.target.id for node in body if isinstance(node, ast.AnnAssign)}
        assert {name for name in dir(kind) if not name.startswith("_")} == {name for name in names if name[0] != "_"}


def test_documented():
    for name in ("Profiler", "Call", "Lap", "child_environment", "counts", "environment_context", "flush", "now", "record",
                 "record_stop", "reply_of", "serve", "set", "share", "trace_loop"):
        assert getattr(lapmark, name).__doc__, name
    for name in ("mark", "finish", "laps", "call", "context", "link", "reply"):
        assert getattr(lapmark.Profiler, name).__doc__, name
    for name in dir(lapmark.Call):
        assert name.startswith("_") or getattr(lapmark.Call, name).__doc__, name


def test_compiles():
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(DIRECTORY, os.path.join(directory, "lapmark"), ignore=shutil.ignore_patterns("__pycache__"))
        assert compileall.compile_dir(directory, quiet=1)


def test_plain_copy():
    """Nothing built: one import never breaks."""
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(DIRECTORY, os.path.join(directory, "lapmark"), ignore=shutil.ignore_patterns("__pycache__", "*.so*"))
        program = "import lapmark; print(lapmark.implementation); lapmark.Profiler('x').finish()"
        result = Result(subprocess.run([sys.executable, "-c", program], env=environment(PYTHONPATH=directory), check=False,
                                       capture_output=True, encoding="utf-8"))
        assert result.out == "python\n" and "x" in by_label(result.err), result


def test_half_an_extension():
    """One that was cut off, or is another's: the fallback."""
    for content in ("", "raise ImportError('liblapmark.so.0: cannot open shared object file')\n"):
        with tempfile.TemporaryDirectory() as directory:
            target = os.path.join(directory, "lapmark")
            shutil.copytree(DIRECTORY, target, ignore=shutil.ignore_patterns("__pycache__", "*.so*"))
            pathlib.Path(target, "_lapmark.py").write_text(content, encoding="utf-8")
            result = Result(subprocess.run([sys.executable, "-c", "import lapmark; print(lapmark.implementation)"],
                                           env=environment(PYTHONPATH=directory), check=False, capture_output=True, encoding="utf-8"))
            assert result.out == "python\n", result


def test_import_is_light():
    """Neither asyncio nor anything else that is big comes with it."""
    result = python("import sys, lapmark\nprint(*sorted({'asyncio', 'trio', 'logging', 'numpy'} & set(sys.modules)))\n")
    assert result.out.strip() == "", result


def test_record_of_the_fallback():
    result = python("""
        import warnings, lapmark
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            lapmark.record('/nonexistent')
        lapmark.record_stop()
        print(caught[0].category.__name__, caught[0].message)
        """, LAPMARK_IMPLEMENTATION="python")
    assert result.out.startswith("RuntimeWarning lapmark: cannot record")
    result = python("import lapmark\nlapmark.Profiler('x').finish()\n", LAPMARK_IMPLEMENTATION="python", LAPMARK_RECORD="/tmp/x")
    assert result.err.startswith("lapmark: cannot record") and "> Entering x\n" in result.err, result


# ---- python3 -m lapmark ------------------------------------------------------------------------------------------------


def test_module_says_what_it_is():
    for option in ("--version", "--help"):
        result = module(option)
        assert f"lapmark {lapmark.__version__}\n" in result.out and re.search(r"^implementation +\w+", result.out, re.M)
        assert re.search(r"^library +\S+", result.out, re.M)
    assert "usage" in module("--help").out
    assert "usage" in module(status=2).err
    assert "'nothing.py'" in module("nothing.py", status=2, PATH=without_command()).err


def test_module_runs_programs():
    """In this process, where there is no command."""
    with tempfile.TemporaryDirectory() as directory:
        text = "import sys\nfrom lapmark import Profiler\nimport beside\nwith Profiler('x') as p: p('a')\n" \
               "print(__name__, sys.argv[1:])\nsys.exit(3)\n"
        pathlib.Path(directory, "program.py").write_text(text, encoding="utf-8")
        pathlib.Path(directory, "beside.py").write_text("", encoding="utf-8")
        path = without_command()
        script = os.path.join(directory, "program.py")
        for words, cwd in (([script], None), (["-m", "program"], directory), (["--", script], None)):
            result = module(*words, "-f", "--x", status=3, cwd=cwd, PATH=path)
            assert result.out == "__main__ ['-f', '--x']\n" and "x" in by_label(result.err), result
        result = module("-c", text, "y", status=3, cwd=directory, PATH=path)
        assert result.out == "__main__ ['y']\n" and "x" in by_label(result.err), result
        result = module("-f", "other", script, status=3, PATH=path)
        assert result.err == "", result
        result = module("--filter=x:10000", script, status=3, PATH=path)
        assert result.err == "", result
        assert "cannot read" in module("-f", "a:b", script, status=2, PATH=path).err
        result = module("-f", "y,x", script, status=3, PATH=path)
        assert "x" in by_label(result.err), result


def test_module_records_with_the_command():
    if lapmark.implementation != "c":
        skip("this implementation does not record")
    with tempfile.TemporaryDirectory() as directory:
        fake = os.path.join(directory, "lapmark")
        pathlib.Path(fake).write_text("#!/bin/sh\necho \"$@\"\n", encoding="utf-8")
        os.chmod(fake, 0o755)
        result = module("-o", "rec", "program.py", "-o", PATH=directory + os.pathsep + os.environ["PATH"])
        assert result.out.split() == ["run", "-o", "rec", "--", sys.executable, "program.py", "-o"]


if __name__ == "__main__":
    main(globals())
