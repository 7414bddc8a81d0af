# SPDX-License-Identifier: MIT
"""Builds the Python package: a PEP 517 and PEP 660 back end of the standard library alone, and for tests
`python3 lapmark_build.py build DIRECTORY`, which puts the package for this interpreter into DIRECTORY/lapmark.

The recorder is compiled from its amalgamation into lapmark/liblapmark.so.0, python/src and a few files of src/ into
lapmark/_lapmark.*.so, which finds it beside itself. Where there is no compiler, no Python.h, or it fails, the package has
the pure-Python implementation only, and a warning says so."""
import base64
import contextlib
import hashlib
import io
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "lapmark"

#: What of src/ the extension has in itself, beside python/src/*.c.
EXTENSION_SOURCES = ("text/line.c", "text/duration.c", "text/label.c", "text/peer_laps.c", "decoder/class.c")
EXTENSION_INCLUDES = ("include", "src/text", "src/decoder", "python/src")

#: What an sdist holds: enough to build and read, and not the tests.
SDIST = ("pyproject.toml", "LICENSE", "README.md", "include", "src/amalgamation.py", "src/decoder", "src/text", "src/recorder",
         "python")

COMPILE = ("-O2", "-fPIC", "-fvisibility=hidden", "-DNDEBUG")
LIBRARY = ("-std=c11", "-DLAPMARK_BUILDING_LIBRARY", "-fno-plt", "-ffunction-sections", "-fdata-sections", "-fno-strict-aliasing", "-pthread")
LIBRARY_LINK = ("-shared", "-Wl,-soname,liblapmark.so.0", "-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,--as-needed",
                "-Wl,--gc-sections", "-Wl,--no-undefined")
EXTENSION = ("-std=c11", "-ffunction-sections", "-fdata-sections", "-fno-strict-aliasing", "-pthread")
EXTENSION_LINK = ("-shared", "-Wl,--gc-sections", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-rpath,$ORIGIN")


class NoExtension(Exception):
    """Why it cannot be built here."""


# ---- compiling -------------------------------------------------------------------------------------------------------


def compiler():
    """The words of CC, or the first of the usual names that is here. LAPMARK_NO_EXTENSION=1: none."""
    if os.environ.get("LAPMARK_NO_EXTENSION") == "1":
        raise NoExtension("LAPMARK_NO_EXTENSION is set")
    for words in (shlex.split(os.environ.get("CC", "")), ["cc"], ["gcc"], ["clang"]):
        if words and shutil.which(words[0]):
            return words
    raise NoExtension("there is no C compiler")


def headers():
    for path in (sysconfig.get_path("include"), sysconfig.get_config_var("INCLUDEPY")):
        if path and os.path.exists(os.path.join(path, "Python.h")):
            return path
    raise NoExtension("the interpreter's headers (Python.h) are not here")


def run(*words):
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode != 0:
        raise NoExtension(f"'{shlex.join(words)}' failed:\n{result.stdout}")


def is_newer(output, inputs):
    return output.exists() and all(output.stat().st_mtime_ns > path.stat().st_mtime_ns for path in inputs)


def compile_library(target, work):
    map_file = ROOT / "src" / "recorder" / "lapmark.map"
    sources = [path for part in ("decoder", "text", "recorder") for path in (ROOT / "src" / part).iterdir()]
    if is_newer(target, [*sources, *(ROOT / "include").rglob("*.h"), pathlib.Path(__file__)]):
        return
    run(sys.executable, str(ROOT / "src" / "amalgamation.py"), str(work))
    run(*compiler(), *COMPILE, *LIBRARY, *shlex.split(os.environ.get("CFLAGS", "")), str(work / "lapmark.c"), "-o", str(target),
        *LIBRARY_LINK, f"-Wl,--version-script={map_file}", *shlex.split(os.environ.get("LDFLAGS", "")))


def extension_sources():
    own = sorted((ROOT / "python" / "src").glob("*.c"))
    if not own:
        raise NoExtension("python/src has no C files")
    return own + [ROOT / "src" / name for name in EXTENSION_SOURCES]


def compile_extension(target, library):
    sources = extension_sources()
    seen = [path for directory in EXTENSION_INCLUDES for path in (ROOT / directory).rglob("*.h")]
    if is_newer(target, [*sources, *seen, library, pathlib.Path(__file__)]):
        return
    run(*compiler(), *COMPILE, *EXTENSION, *shlex.split(os.environ.get("CFLAGS", "")),
        *(f"-I{ROOT / directory}" for directory in EXTENSION_INCLUDES), f"-I{headers()}",
        *map(str, sources), "-o", str(target), str(library), *EXTENSION_LINK, *shlex.split(os.environ.get("LDFLAGS", "")))


def compile_into(directory):
    """Puts library and extension there. Returns their names, or none with a warning."""
    library = directory / "liblapmark.so.0"
    extension = directory / ("_lapmark" + sysconfig.get_config_var("EXT_SUFFIX"))
    try:
        compiler()
        headers()
        extension_sources()
        with tempfile.TemporaryDirectory() as work:
            compile_library(library, pathlib.Path(work))
        compile_extension(extension, library)
    except NoExtension as reason:
        for path in (library, extension):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        print(f"lapmark: warning: without the extension module, with the pure-Python implementation only: {reason}",
              file=sys.stderr)
        return []
    return [library.name, extension.name]


def package_files():
    return [path for path in sorted(PACKAGE.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"]


def build_in(directory):
    """The package with links to its source, so that a change needs no new build. Returns whether it has the extension."""
    target = pathlib.Path(directory).resolve() / "lapmark"
    target.mkdir(parents=True, exist_ok=True)
    for path in package_files():
        link = target / path.relative_to(PACKAGE)
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_symlink() or link.exists():
            link.unlink()
        link.symlink_to(path)
    for link in target.rglob("*.py*"):
        if link.is_symlink() and not link.exists():
            link.unlink()
    return bool(compile_into(target))


# ---- wheel, editable wheel, sdist ------------------------------------------------------------------------------------


def version():
    text = (ROOT / "include" / "lapmark.h").read_text(encoding="utf-8")
    return ".".join(re.search(rf"^#define LAPMARK_VERSION_{part} (\d+)$", text, re.M).group(1) for part in ("MAJOR", "MINOR")) + ".0"


def metadata():
    return (f"Metadata-Version: 2.1\nName: lapmark\nVersion: {version()}\n"
            "Summary: A checkpoint profiler: a stopwatch with named laps that you leave in the code\n"
            "License: MIT\nRequires-Python: >=3.9\nDescription-Content-Type: text/markdown\n\n"
            + (ROOT / "README.md").read_text(encoding="utf-8"))


def tag(is_pure):
    if is_pure:
        return "py3-none-any"
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    threads = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{python}-{python}{threads}-" + re.sub(r"[^a-zA-Z0-9]", "_", sysconfig.get_platform())


class Wheel:
    """A zip file with its record. The same input gives the same bytes."""

    def __init__(self, directory, is_pure):
        self.info = f"lapmark-{version()}.dist-info"
        self.name = f"lapmark-{version()}-{tag(is_pure)}.whl"
        self.is_pure = is_pure
        self.record = []
        self.zip = zipfile.ZipFile(os.path.join(directory, self.name), "w", zipfile.ZIP_DEFLATED)

    def add(self, name, data, mode=0o644):
        entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        self.zip.writestr(entry, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={digest},{len(data)}\n")

    def close(self):
        self.add(f"{self.info}/METADATA", metadata().encode())
        self.add(f"{self.info}/LICENSE", (ROOT / "LICENSE").read_bytes())
        self.add(f"{self.info}/WHEEL", wheel_text(self.is_pure).encode())
        self.record.append(f"{self.info}/RECORD,,\n")
        self.zip.writestr(f"{self.info}/RECORD", "".join(self.record))
        self.zip.close()
        return self.name


def wheel_text(is_pure):
    return f"Wheel-Version: 1.0\nGenerator: lapmark_build\nRoot-Is-Purelib: {'true' if is_pure else 'false'}\nTag: {tag(is_pure)}\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    del config_settings, metadata_directory
    with tempfile.TemporaryDirectory() as work:
        compiled = compile_into(pathlib.Path(work))
        wheel = Wheel(wheel_directory, is_pure=not compiled)
        for path in package_files():
            wheel.add(f"lapmark/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes())
        for name in compiled:
            wheel.add(f"lapmark/{name}", pathlib.Path(work, name).read_bytes(), 0o755)
        return wheel.close()


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """The package in build/python-*, whose files are links to the source, and a .pth file that names it."""
    del config_settings, metadata_directory
    place = ROOT / "build" / f"python-{sys.implementation.cache_tag}"
    is_pure = not build_in(place)
    wheel = Wheel(wheel_directory, is_pure)
    wheel.add("lapmark_editable.pth", f"{place}\n".encode())
    return wheel.close()


def build_sdist(sdist_directory, config_settings=None):
    del config_settings
    base = f"lapmark-{version()}"
    with tarfile.open(os.path.join(sdist_directory, base + ".tar.gz"), "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(f"{base}/PKG-INFO")
        info.size = len(metadata().encode())
        archive.addfile(info, io.BytesIO(metadata().encode()))
        for name in SDIST:
            archive.add(ROOT / name, f"{base}/{name}",
                        filter=lambda entry: None if "__pycache__" in entry.name or entry.name.endswith((".so", ".o")) else entry)
    return base + ".tar.gz"


def get_requires_for_build_wheel(config_settings=None):
    del config_settings
    return []


get_requires_for_build_editable = get_requires_for_build_sdist = get_requires_for_build_wheel


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "build":
        raise SystemExit("usage: lapmark_build.py build DIRECTORY")
    build_in(sys.argv[2])


if __name__ == "__main__":
    main()
