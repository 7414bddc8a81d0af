# SPDX-License-Identifier: MIT
"""`pip install .` and its like, without an index: wheel, sdist, editable; and where there is no compiler or no Python.h."""
import atexit
import contextlib
import functools
import io
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

from common_python import EXPECTED, SOURCE, Result, by_label, environment, main, skip

sys.path.insert(0, os.path.join(SOURCE, "python", "build_backend"))
import lapmark_build  # noqa: E402  pylint: disable=wrong-import-position

# The recorder is compiled many times here, and is not what is tested.
os.environ.setdefault("CFLAGS", "-O0")
SAYS = "import lapmark; print(lapmark.implementation, lapmark.__file__); lapmark.Profiler('x').finish()"


def run(*words, status=0, cwd=None, **variables):
    variables = {"PYTHONPATH": "", **variables}
    result = Result(subprocess.run(words, env=environment(**variables), check=False, cwd=cwd, timeout=280, capture_output=True,
                                   encoding="utf-8"))
    assert status is None or result.status == status, result
    return result


def has_extension_source():
    return any(pathlib.Path(SOURCE, "python", "src").glob("*.c"))


@functools.lru_cache(maxsize=None)
def virtual_environment():
    """The directory of its programs. One for all tests, as it takes long to make; each installs anew."""
    directory = tempfile.TemporaryDirectory()
    atexit.register(directory.cleanup)
    made = run(sys.executable, "-m", "venv", directory.name, status=None)
    if made.status != 0:
        skip(f"no venv: {made.out}{made.err}")
    return os.path.join(directory.name, "bin")


def check_installed(bin_directory, expected):
    result = run(os.path.join(bin_directory, "python"), "-c", SAYS, cwd="/", LAPMARK_IMPLEMENTATION="")
    assert result.out.split()[0] == expected and "x" in by_label(result.err), result
    return result.out.split()[1]


def pip_install(bin_directory, *words, **variables):
    return run(os.path.join(bin_directory, "python"), "-m", "pip", "install", "--no-index", "--disable-pip-version-check", "-v",
               "--force-reinstall", *words, **variables)


def without_output(function, *arguments):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        return function(*arguments), errors.getvalue()


@contextlib.contextmanager
def variables_set(**variables):
    saved = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


PURE = ("__init__.py", "__init__.pyi", "__main__.py", "py.typed", "_fallback.py", "compat/__init__.py", "compat/pyqtgraph.py",
        "compat/piker.py")


def check_wheel(path, is_pure):
    with zipfile.ZipFile(path) as wheel:
        assert wheel.testzip() is None
        names = set(wheel.namelist())
        info = next(name.split("/")[0] for name in names if ".dist-info/" in name)
        assert {f"lapmark/{name}" for name in PURE} <= names
        assert {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "LICENSE")} <= names
        compiled = {name for name in names if ".so" in name}
        extension = "lapmark/_lapmark" + sysconfig.get_config_var("EXT_SUFFIX")
        assert compiled == (set() if is_pure else {"lapmark/liblapmark.so.0", extension})
        assert not any("__pycache__" in name or name.endswith((".c", ".o")) for name in names)
        recorded = {line.split(",")[0] for line in wheel.read(f"{info}/RECORD").decode().splitlines()}
        assert recorded == names
        metadata = wheel.read(f"{info}/METADATA").decode()
        assert metadata.startswith("Metadata-Version: ") and "\nName: lapmark\n" in metadata and "Requires-Dist" not in metadata


def test_nothing_is_required():
    assert re.search(r"^requires = \[\]$", pathlib.Path(SOURCE, "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert lapmark_build.get_requires_for_build_wheel() == lapmark_build.get_requires_for_build_sdist() == []


def test_wheel():
    with tempfile.TemporaryDirectory() as directory:
        (name, errors) = without_output(lapmark_build.build_wheel, directory)
        is_pure = name.endswith("-py3-none-any.whl")
        assert is_pure == ("warning" in errors), errors
        if EXPECTED == "c" or has_extension_source():
            assert not is_pure, errors
        check_wheel(os.path.join(directory, name), is_pure)


def test_library():
    """The one that is shipped is the recorder, under its name, with its exports and no others."""
    with tempfile.TemporaryDirectory() as directory:
        target = pathlib.Path(directory, "liblapmark.so.0")
        lapmark_build.compile_library(target, pathlib.Path(directory))
        dynamic = run("readelf", "-dW", str(target)).out
        assert "Library soname: [liblapmark.so.0]" in dynamic and "NODELETE" in dynamic
        exported = set(re.findall(r" [TDBR] (\w+)(?:@@\w+[.\d]*)?$", run("nm", "-D", "--defined-only", str(target)).out, re.M))
        wanted = set(re.findall(r"^\s+(lap_\w+);", pathlib.Path(SOURCE, "src/recorder/lapmark.map").read_text(encoding="utf-8"), re.M))
        assert exported == wanted, exported ^ wanted


def test_no_python_h():
    with tempfile.TemporaryDirectory() as directory:
        saved = lapmark_build.headers

        def missing():
            raise lapmark_build.NoExtension("the interpreter's headers (Python.h) are not here")
        lapmark_build.headers = missing
        try:
            (name, errors) = without_output(lapmark_build.build_wheel, directory)
        finally:
            lapmark_build.headers = saved
        assert name.endswith("-py3-none-any.whl") and "Python.h" in errors
        check_wheel(os.path.join(directory, name), True)


def test_no_compiler():
    with tempfile.TemporaryDirectory() as directory, variables_set(PATH="/nonexistent", CC="cc-that-is-not-there"):
        (name, errors) = without_output(lapmark_build.build_wheel, directory)
        assert name.endswith("-py3-none-any.whl") and "no C compiler" in errors
        check_wheel(os.path.join(directory, name), True)


def test_compiler_that_fails():
    with tempfile.TemporaryDirectory() as directory, variables_set(CC="false"):
        (name, errors) = without_output(lapmark_build.build_wheel, directory)
        assert name.endswith("-py3-none-any.whl") and ("failed" in errors or not has_extension_source())


def test_without_extension_on_request():
    with tempfile.TemporaryDirectory() as directory, variables_set(LAPMARK_NO_EXTENSION="1"):
        (name, errors) = without_output(lapmark_build.build_wheel, directory)
        assert name.endswith("-py3-none-any.whl") and "LAPMARK_NO_EXTENSION" in errors


def test_pip_install():
    before = status_of_source()
    bin_directory = virtual_environment()
    pip_install(bin_directory, SOURCE)
    place = check_installed(bin_directory, "c" if EXPECTED == "c" or builds_extension() else "python")
    assert place.startswith(os.path.dirname(bin_directory))
    assert status_of_source() == before, "the source tree was written to"


@functools.lru_cache(maxsize=None)
def builds_extension():
    """Is there one that has a Profiler? While it is being written there may be none."""
    with tempfile.TemporaryDirectory() as directory:
        without_output(lapmark_build.build_in, directory)
        return run(sys.executable, "-c", SAYS, PYTHONPATH=directory, LAPMARK_IMPLEMENTATION="").out.startswith("c ")


def status_of_source():
    skipped = {".git", "build", "__pycache__"}
    return sorted(os.path.join(directory, name) for directory, directories, names in os.walk(SOURCE)
                  if directories.__setitem__(slice(None), [name for name in directories if name not in skipped]) is None
                  for name in names if not name.endswith(".pyc"))


def test_pip_install_without_a_compiler():
    bin_directory = virtual_environment()
    said = pip_install(bin_directory, SOURCE, PATH=bin_directory, CC="")
    assert "pure-Python implementation only" in said.out + said.err, said
    check_installed(bin_directory, "python")


def test_sdist_and_editable():
    """An sdist is built from as the tree is; and what is changed in an editable one's source holds at once."""
    bin_directory = virtual_environment()
    with tempfile.TemporaryDirectory() as directory:
        name = lapmark_build.build_sdist(directory)
        with tarfile.open(os.path.join(directory, name)) as archive:
            assert all(member.name.startswith(name[:-len(".tar.gz")] + "/") for member in archive)
            archive.extractall(directory, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
        source = os.path.join(directory, name[:-len(".tar.gz")])
        assert os.path.exists(os.path.join(source, "PKG-INFO"))
        pip_install(bin_directory, "--editable", source)
        expected = "c" if builds_extension() else "python"
        place = check_installed(bin_directory, expected)
        assert os.path.realpath(place) == os.path.join(os.path.realpath(source), "python", "lapmark", "__init__.py")
        assert not list(pathlib.Path(source, "python").rglob("*.so*"))
        with open(os.path.join(source, "python", "lapmark", "_version.py"), "a", encoding="utf-8") as file:
            file.write('__version__ = "changed"\n')
        assert run(os.path.join(bin_directory, "python"), "-c", "import lapmark; print(lapmark.__version__)", cwd="/").out == "changed\n"


if __name__ == "__main__":
    main(globals())
