# SPDX-License-Identifier: MIT
"""What the header puts into its user's world: names of its own only, nothing of it where it is disabled, no more headers than
it must; and what it refuses to compile."""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

SOURCE = os.environ["SOURCE_DIR"]
INCLUDE = os.path.join(SOURCE, "include")
HERE = os.path.join(SOURCE, "tests", "header")
OWN = re.compile(r"(lap_|LAP_|lapmark|LAPMARK)")
C = [(compiler, standard) for compiler in ("gcc", "clang") for standard in ("c11", "c17")]
CXX = [(compiler, standard) for compiler in ("g++", "clang++") for standard in ("c++17", "c++20")]
BOTH = [pair for pair in C + CXX if shutil.which(pair[0])]
SWITCHES = ([], ["-DLAPMARK_DISABLE"], ["-DLAPMARK_USDT"])
PROBES = {"lap_impl_usdt_module", "lap_impl_usdt_first"}  # hidden: one for a module


def compile_text(compiler, standard, text, *flags, succeed=True):
    language = "c++" if "++" in compiler else "c"
    result = subprocess.run([compiler, f"-std={standard}", f"-I{INCLUDE}", "-x", language, *flags, "-"], input=text,
                            capture_output=True, text=True, check=False)
    if succeed is not None and (result.returncode == 0) != succeed:
        raise AssertionError(f"{compiler} {standard} {flags}: {result.returncode}\n{text}\n{result.stderr}")
    return result


def everywhere(calls):
    """Runs (function, argument...) for each, several at once; the first that fails is the result."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for future in [pool.submit(*call) for call in calls]:
            future.result()


def names_only(names, where):
    foreign = sorted(name for name in names if not OWN.match(name))
    if foreign:
        raise AssertionError(f"{where}: {', '.join(foreign)}")


def macros(compiler, standard, text, *flags):
    out = compile_text(compiler, standard, text, "-dM", "-E", *flags).stdout
    return {match.group(1) for match in re.finditer(r"^#define ([A-Za-z_]\w*)", out, re.M)}


def test_macros():
    for compiler, standard in BOTH:
        for switch in SWITCHES:
            before = macros(compiler, standard, "#include <stdint.h>\n", *switch)
            after = macros(compiler, standard, "#include <lapmark.h>\n", *switch)
            added = after - before
            assert len(added) > 30, added
            names_only(added, f"{compiler} {standard} {switch}: macros")
            assert not before - after, before - after  # nor does it take any away


def declared(node, names):
    """Names of a syntax tree at file scope, enumerators too."""
    for inner in node.get("inner", []):
        if inner.get("isImplicit") or inner["kind"] == "StaticAssertDecl":
            continue
        if inner["kind"] in ("LinkageSpecDecl", "EnumDecl"):
            declared(inner, names)
        if inner.get("name"):
            names.add(inner["name"])


def test_declarations():
    for compiler, standard in BOTH:
        if not compiler.startswith("clang"):
            continue
        for switch in SWITCHES:
            trees = []
            for text in ("#include <stdint.h>\n", "#include <lapmark.h>\n"):
                out = compile_text(compiler, standard, text, "-fsyntax-only", "-Xclang", "-ast-dump=json", *switch).stdout
                names = set()
                declared(json.loads(out), names)
                trees.append(names)
            added = trees[1] - trees[0]
            assert len(added) > 30, added
            names_only(added, f"{compiler} {standard} {switch}: declarations")


def symbols(path, *flags):
    out = subprocess.check_output(["nm", *flags, path], text=True)
    return {line.split()[-1] for line in out.splitlines() if line.strip()}


def test_symbols():
    """An object's symbols are its user's, the header's, and the language's own."""
    known = re.compile(r"lap_|_Z\w*(lapmark|lap_)|_GLOBAL_OFFSET_TABLE_|_Unwind_|__stack_chk|__gxx_personality|__cxa_|_ZSt|_ZNS|_ZNKS"
                       r"|_ZT|_ZdlPv|mem(cpy|set|move)$|strlen$|DW\.ref\.|external$|measure$|_Z8externali$")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "object.o")
        for compiler, standard in BOTH:
            source = os.path.join(HERE, "all_macros_cxx.cc" if "++" in compiler else "all_macros.c")
            for switch in SWITCHES:
                subprocess.run([compiler, f"-std={standard}", "-O0", f"-I{INCLUDE}", *switch, "-c", "-o", path, source], check=True)
                undefined = symbols(path, "-u")
                foreign = {name for name in undefined if not known.match(name)}
                assert not foreign, f"{compiler} {standard} {switch}: {foreign}"
                ours = {name for name in undefined if "lap_" in name or "lapmark" in name}
                assert bool(ours) != ("-DLAPMARK_DISABLE" in switch), f"{compiler} {standard} {switch}: needs {ours}"
                # What the header itself defines is local to the file.
                own = {name for name in symbols(path, "-g", "--defined-only") if name.startswith("lap_")}
                own -= PROBES if "-DLAPMARK_USDT" in switch else set()
                assert not own, f"{compiler} {standard} {switch}: {own}"


def test_includes():
    """stdint.h and what that needs; no intrinsics, no <atomic>, nothing else of the language's library."""
    for compiler, standard in BOTH:
        for switch in SWITCHES:
            plain, with_it = (set(compile_text(compiler, standard, text, "-M", *switch).stdout.replace("\\\n", " ").split()[1:])
                              for text in ("#include <stdint.h>\n", "#include <lapmark.h>\n"))
            added = {os.path.relpath(path, INCLUDE) for path in with_it - plain}
            probes = {"lapmark/usdt.h"} if "-DLAPMARK_USDT" in switch else set()
            assert added <= {"lapmark.h", "lapmark/abi.h", "lapmark/context.h", "lapmark/call.h"} | probes, f"{compiler} {standard} {switch}: {added}"


def test_disabled_evaluates_nothing():
    """Not optimised, not linked with the library."""
    text = r"""
#include <lapmark.h>
static int evaluated;
static int touch(int value) { evaluated++; return value; }
static const char *name(void) { evaluated++; return "name"; }
int main(void)
{
    LAP_PROFILE("%d", touch(1));
    LAP_PROFILE_TEXT(name());
    LAP_MARK("%s %d", name(), touch(2));
    LAP_MARK_N(touch(3), "sized %s", name());
    LAP_MARK_TEXT(name());
    LAP_MARK_TEXT_N(touch(4), name());
    lap_handle handle = lap_begin("%d", touch(5));
    evaluated += lap_mark(handle, "%d", touch(6)) != 0 || lap_mark_n(handle, touch(7), "x") != 0 ||
                 lap_mark_text(handle, name()) != 0 || lap_end(handle) != 0 || lap_elapsed_ns(handle) != 0;
    evaluated += lap_set(name()) != 0 || lap_record_start(name()) != 0 || lap_record_stop() != 0 || lap_snapshot(name(), 1) != 0 || LAP_ELAPSED_NS() != 0;
    lap_thread_name(name());
    lap_sink_fd(touch(8));
    lap_flush();
    LAP_END();
#ifdef __cplusplus
    lapmark::profiler profiler(LAP_LABEL("%d", touch(9)), lapmark::options().n(1));
    profiler.mark(LAP_LABEL_N(touch(10), "%s", name()));
    profiler.mark(LAP_LABEL_TEXT(name()));
    profiler.end();
    evaluated += profiler.elapsed_ns() != 0;
#else
    LAP_PROFILE_WITH(LAP_OPTS(.n = touch(11), .disabled = touch(12)), "%d", touch(13));
    LAP_PROFILE_TEXT_WITH(LAP_OPTS(.n = touch(14)), name());
    (void)lap_begin_with(LAP_OPTS(.n = touch(15)), "%s", name());
    (void)lap_begin_text(LAP_OPTS(.n = touch(16)), name());
#endif
    return evaluated;
}
"""
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "program")
        for compiler, standard in BOTH[::2]:
            for level in ("-O0", "-O2"):
                compile_text(compiler, standard, text, "-DLAPMARK_DISABLE", "-Wall", "-Wextra", "-Werror", level, "-o", program)
                assert subprocess.run([program], check=False).returncode == 0, f"{compiler} {standard} {level}"


def test_refused():
    """A label that does not fit its arguments, or is no literal, is found by the compiler, on and disabled."""
    wrong = {
        "a conversion of another type": 'LAP_MARK("%d", "text");',
        "an argument missing": 'LAP_MARK("%d and %d", 1);',
        "one too many": 'LAP_MARK("%d", 1, 2);',
        "in a profiler": 'LAP_PROFILE("%s", 1);',
        "in a handle": '(void)lap_begin("%s", 1);',
        "in a handle's mark": '(void)lap_mark(0, "%s", 1);',
        "no literal": "LAP_MARK(label);",
        "no literal in a profiler": "LAP_PROFILE(label);",
    }
    thirteen = 'LAP_MARK("%d%d%d%d%d%d%d%d%d%d%d%d%d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);'

    def is_refused(pair, switch, what, statement):
        text = f"#include <lapmark.h>\nvoid f(const char *label);\nvoid f(const char *label) {{ (void)label; {statement} }}\n"
        result = compile_text(*pair, text, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *switch, succeed=None)
        assert result.returncode != 0, f"{pair} {switch}: {what} is not found"

    everywhere([(is_refused, pair, switch, what, statement) for pair in BOTH[::2] for switch in SWITCHES
                for what, statement in wrong.items()] +
               [(is_refused, pair, [], "a thirteenth argument", thirteen) for pair in BOTH[::2]])


def test_between_others():
    """Whatever comes before or behind: other headers, its own again, feature macros, -fno-exceptions, -ansi's successors."""
    use = "void f(void);\nvoid f(void) { LAP_PROFILE(\"x\"); LAP_MARK(\"y %d\", 1); }\n"
    many = ("#include <stdio.h>\n#include <pthread.h>\n#include <lapmark.h>\n#include <lapmark/abi.h>\n"
            "#include <stdlib.h>\n#include <lapmark.h>\n#include <signal.h>\n#include <sys/mman.h>\n") + use
    library = "#define LAP_LIBRARY\n#include <lapmark.h>\n" + use
    warnings = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-c", "-o", "/dev/null")
    flag_sets = (["-O0"], ["-D_GNU_SOURCE", "-fPIC", "-O3"], ["-fno-exceptions", "-funsigned-char", "-fno-builtin"])
    everywhere([(compile_text, *pair, text, *warnings, *flags) for pair in BOTH[1::2] for flags in flag_sets for text in (many, library)])


def main():
    failed = 0
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            try:
                test()
                print(f"ok {name}")
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"FAILED {name}")
                traceback.print_exc(file=sys.stdout)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
