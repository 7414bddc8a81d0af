# SPDX-License-Identifier: MIT
# ctest: long
"""USDT probes as others see them: readelf their notes, gdb, bpftrace and perf by attaching to a program that knows nothing of it."""
import collections
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ["SOURCE_DIR"], "tests", "cli"))
from common import BUILD, SOURCE, Directory, check, equal, lapmark_json, main, run  # pylint: disable=wrong-import-position

HERE = f"{SOURCE}/tests/platform"
SITES = f"{HERE}/usdt_sites.c"
C = [compiler for compiler in ("gcc", "clang") if shutil.which(compiler)]
CXX = [compiler for compiler in ("g++", "clang++") if shutil.which(compiler)]
BUILDS = [["-O0"], ["-O2"], ["-O2", "-ffunction-sections", "-Wl,--gc-sections"], ["-O2", "-flto"]]
ARGUMENTS = re.compile(r"8@\((%\w+)\) 8@8\(\1\) 8@16\(\1\) -8@24\(\1\) 8@32\(\1\) 8@40\(\1\) 8@48\(\1\)")
missing = []

Note = collections.namedtuple("Note", "provider name location semaphore arguments")


def has(tool):
    if not shutil.which(tool):
        missing.append(tool)
        return False
    return True


def compile_to(path, compiler, *arguments):
    language = ["-std=c++20", "-x", "c++"] if "++" in compiler else ["-std=c17"]
    libraries = [word for word in arguments if word.endswith((".so", ".o"))]
    others = [word for word in arguments if word not in libraries]
    subprocess.run([compiler, *language, "-g", f"-I{SOURCE}/include", *others, "-x", "none", *libraries, "-o", path, f"-L{BUILD}", "-llapmark",
                    f"-Wl,-rpath,{BUILD}"], check=True)
    return path


def build(directory, compiler, *flags, linking=(), macro="-DLAPMARK_USDT"):
    """The program, and the library that it is linked with."""
    library = compile_to(os.path.join(directory, "libsites.so"), "gcc" if "g" in compiler[:1] else "clang", macro, *flags, "-fPIC", "-shared",
                         f"{HERE}/usdt_library.c")
    program = os.path.join(directory, "sites")
    source = SITES
    if "++" in compiler:
        source = os.path.join(directory, "sites.cc")
        shutil.copy(SITES, source)
        with open(source, encoding="utf-8") as file:
            text = file.read().replace("extern int in_library", 'extern "C" int in_library')
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
    return compile_to(program, compiler, macro, *flags, *linking, source, library), library


def notes_of(path, readelf="readelf"):
    out = subprocess.check_output([readelf, "-nW", path], text=True)
    found = re.findall(r"Provider: (.*)\n +Name: (.*)\n +Location: (\w+), Base: \w+, Semaphore: (\w+)\n +Arguments: (.*)\n", out)
    return [Note(provider, name, int(location, 16), int(semaphore, 16), arguments) for provider, name, location, semaphore, arguments in found]


def symbols_of(path):
    """{name: (address, size)}, of functions and objects."""
    out = subprocess.check_output(["readelf", "-sW", path], text=True)
    return {name: (int(address, 16), int(size, 0)) for address, size, name in re.findall(r": (\w+) +(\w+) (?:FUNC|OBJECT).* (\S+)\n", out)}


def function_at(symbols, address):
    name = next((name for name, (start, size) in symbols.items() if start <= address < start + size), "nowhere")
    return re.sub(r"\.(cold|part|isra|constprop|lto_priv)\b.*", "", name)


def places_of(path, notes):
    """The line of usdt_sites.c that each note's code is of, the outermost one being the site's: what is inlined into it is the header's."""
    out = subprocess.check_output(["addr2line", "-a", "-i", "-e", path, *(hex(note.location) for note in notes)], text=True)
    result = []
    for frames in re.split(r"^0x\w+\n", out, flags=re.M)[1:]:
        lines = [int(line) for file, line in re.findall(r"/(\w+\.\w+):(\d+)", frames) if file in ("usdt_sites.c", "sites.cc", "usdt_library.c")]
        result.append(lines[0] if lines else 0)
    return result


def file_bytes(path, address, count):
    """What the file holds for an address that is mapped from it and may be written to."""
    out = subprocess.check_output(["readelf", "-lW", path], text=True)
    for offset, start, size, flags in re.findall(r"LOAD +(\w+) (\w+) \w+ (\w+) \w+ ([RWE ]+) ", out):
        if int(start, 16) <= address and address + count <= int(start, 16) + int(size, 16) and "W" in flags:
            with open(path, "rb") as file:
                file.seek(address - int(start, 16) + int(offset, 16))
                return file.read(count)
    raise AssertionError(f"{path}: {address:#x} is not in the file, or not to be written to")


# ---- what is expected --------------------------------------------------------------------------------------------------


def line_of(fragment):
    for path in (SITES, f"{HERE}/usdt_library.c"):
        with open(path, encoding="utf-8") as file:
            lines = [number for number, line in enumerate(file, 1) if fragment in line]
        if lines:
            equal(len(lines), 1, fragment)
            return lines[0]
    raise AssertionError(fragment)


def hit(name, label, function, n=0, is_handle=False, fragment=None):
    return (name, label, function, line_of(fragment or f'"{label}"'), n, is_handle)


def expected(is_cxx):
    off = [hit("begin", "off", "switched_off"), hit("mark", "off, too", "switched_off"), hit("end", "off", "switched_off")]
    result = off + [  # it is not known to be off before it is met
        hit("begin", "block of %d", "blocks"), hit("mark", "plain", "blocks"), hit("mark", "values %d %s", "blocks"),
        hit("mark", "sized %d", "blocks", n=2), hit("mark", "a text", "blocks", fragment="LAP_MARK_TEXT(text)"),
        hit("mark", "inlined", "inlined"), hit("mark", "inlined", "inlined"), hit("end", "block of %d", "blocks"),
        hit("begin", "with options", "options", n=7), hit("begin", "a message", "options", fragment="LAP_PROFILE_TEXT(text)"),
        hit("begin", "disabled", "options"), hit("mark", "in a disabled one", "options"), hit("end", "disabled", "options"),
        hit("end", "", "options", fragment="LAP_PROFILE_TEXT(text)"), hit("end", "with options", "options"),
        hit("begin", "handle of %d", "handles", n=8, is_handle=True), hit("mark", "of a handle", "handles", is_handle=True),
        hit("mark", "of a handle, sized", "handles", n=10, is_handle=True), hit("end", "", "handles", is_handle=True, fragment="lap_end(handle)"),
        hit("begin", "ends early", "ends_early"), hit("mark", "behind its end", "ends_early"), hit("end", "ends early", "ends_early"),
        off[1],
        hit("begin", "left by longjmp", "jumps"),
        hit("begin", "in a library", "in_library"), hit("mark", "of a library", "in_library"), hit("end", "in a library", "in_library")]
    if is_cxx:
        result += [
            hit("begin", "object", "work", n=11), hit("mark", "of an object", "work", n=12), hit("end", "object", "work"),
            hit("mark", "templated", "templated"), hit("mark", "templated", "templated"),
            hit("begin", "left by an exception", "throws"), hit("end", "left by an exception", "throws"), hit("mark", "caught", "main")]
    return result


OF_A_CLASS = ("object", "of an object")
NOT_HIT = [("mark", '"of none"'), ("end", "lap_end(none)")]


def lines_with_semaphores(is_cxx, is_library):
    """{(name, line)} of the sites that have a semaphore of their own."""
    hits = {(name, line) for name, label, function, line, _, is_handle in expected(is_cxx)
            if (name != "end" or is_handle) and label not in OF_A_CLASS and (function == "in_library") == is_library}
    return hits | (set() if is_library else {(name, line_of(fragment)) for name, fragment in NOT_HIT})


# ---- notes -------------------------------------------------------------------------------------------------------------


def check_module(path, is_cxx, is_library):
    notes = notes_of(path)
    equal({note.provider for note in notes}, {"lapmark"}, path)
    symbols = symbols_of(path)
    module = symbols["lap_impl_usdt_module"][0]
    shared = {"begin": module, "end": module + 2, "mark": module + 4}
    # bcc takes the first note's semaphore for all of its name.
    for name, semaphore in shared.items():
        first = next(note for note in notes if note.name == name)
        equal((first.semaphore, function_at(symbols, first.location)), (semaphore, "lap_impl_usdt_first"), name)
    equal(len({note.location for note in notes}), len(notes), notes)
    functions = {function for _, _, function, *_ in expected(is_cxx)} | {"lap_impl_usdt_first"}
    own = collections.defaultdict(set)
    for note, line in zip(notes, places_of(path, notes)):
        check(ARGUMENTS.fullmatch(note.arguments), note)
        equal(file_bytes(path, note.semaphore, 2), b"\0\0", note)
        function = function_at(symbols, note.location)
        if note.semaphore not in shared.values():
            own[note.semaphore].add((note.name, line))
            with open(SITES if not is_library else f"{HERE}/usdt_library.c", encoding="utf-8") as file:
                text = file.read().splitlines()
            around = next(match[1] for i in range(line - 1, 0, -1) if (match := re.match(r"(?:\w.*[ *]|    \w+ )(\w+)\(.*\)$", text[i - 1])))
            check(around in function or around == "inlined" and "blocks" in function, f"{note} of {around} is in {function}")
        else:
            equal(note.semaphore, shared[note.name], note)
            check(any(name in function for name in functions), f"{note} in {function}")
    # One a site, whatever the number of places where it is; and no two sites share one.
    check(all(len(sites) == 1 for sites in own.values()), own)
    found = [site for sites in own.values() for site in sites]
    equal(sorted(found), sorted(lines_with_semaphores(is_cxx, is_library)), path)
    return notes


def test_notes():
    """Each build by one compiler of each language, the usual one by all."""
    for number, flags in enumerate(BUILDS):
        for compiler in C + CXX if flags == ["-O2"] else [each[number // 2 % len(each)] for each in (C, CXX) if each]:
            with Directory() as directory:
                program, library = build(directory, compiler, *flags)
                check_module(program, "++" in compiler, False)
                check_module(library, False, True)
                plain = run(program, LAPMARK_PRINT="off")
                equal((plain.status, plain.out, plain.err), (0, "ready\n", ""), plain)


def test_two_files():
    """In one module, which has one set of the notes that stand first."""
    for compiler in C:
        for flags in (["-O2"], ["-O2", "-flto"]):
            with Directory() as directory:
                program = compile_to(os.path.join(directory, "both"), compiler, "-DLAPMARK_USDT", *flags, SITES, f"{HERE}/usdt_library.c")
                symbols = symbols_of(program)
                notes = notes_of(program)
                first = [note.name for note in notes if function_at(symbols, note.location) == "lap_impl_usdt_first"]
                equal(first, ["begin", "end", "mark"], notes)
                for name in first:
                    equal(next(note.location for note in notes if note.name == name) - symbols["lap_impl_usdt_first"][0] in (0, 1, 2), True, name)
                equal(run(program, LAPMARK_PRINT="off").status, 0)


def test_none_without():
    with Directory() as directory:
        for macro in ("-DLAPMARK_NOTHING", "-DLAPMARK_DISABLE", "-ULAPMARK_USDT"):
            equal(notes_of(compile_to(os.path.join(directory, "object.o"), C[0], macro, "-c", SITES)), [], macro)
        equal(notes_of(compile_to(os.path.join(directory, "object.o"), C[0], "-DLAPMARK_USDT", "-DLAPMARK_DISABLE", "-c", SITES)), [])


def test_beside_sdt_h():
    """Who writes probes with sys/sdt.h, with semaphores or without, before or behind lapmark.h, has those as well."""
    if not any(os.path.exists(f"/usr/include/{place}sys/sdt.h") for place in ("", "x86_64-linux-gnu/", "aarch64-linux-gnu/")):
        missing.append("sys/sdt.h")
        return
    use = """
SEMAPHORE
int main(int argc, char **argv)
{
    LAP_PROFILE("all");
    LAP_MARK("lapmark's");
    STAP_PROBE2(other, probe, argc, argv);
    LAP_MARK("lapmark's, too");
    return 0;
}
"""
    semaphore = "unsigned short other_probe_semaphore __attribute__((section(\".probes\")));"
    includes = ["#include <lapmark.h>\n", "#include <sys/sdt.h>\n"]
    for compiler in C + CXX:
        for order in (includes, includes[::-1]):
            for switch in ("", "#define _SDT_HAS_SEMAPHORES\n"):
                with Directory() as directory:
                    source, program = (os.path.join(directory, name) for name in ("both.c", "both"))
                    with open(source, "w", encoding="utf-8") as file:
                        file.write(switch + "".join(order) + use.replace("SEMAPHORE", semaphore if switch else ""))
                    notes = notes_of(compile_to(program, compiler, "-O2", "-DLAPMARK_USDT", source))
                    others = [note for note in notes if note.provider == "other"]
                    equal([(note.name, note.semaphore != 0) for note in others], [("probe", switch != "")], notes)
                    equal(sum(note.name == "mark" for note in notes), 3, notes)
                    equal(run(program, LAPMARK_PRINT="off").status, 0)


def test_aarch64():
    """The notes alone: an emulator attaches nobody."""
    compiler = "aarch64-linux-gnu-gcc"
    if not has(compiler):
        return
    form = re.compile(r"8@\[(x\d+|sp)\] 8@\[\1, 8\] 8@\[\1, 16\] -8@\[\1, 24\] 8@\[\1, 32\] 8@\[\1, 40\] 8@\[\1, 48\]")
    with Directory() as directory:
        path = os.path.join(directory, "sites.so")
        for flags in (["-O0", "-fPIC"], ["-O2", "-fPIC"]):
            subprocess.run([compiler, "-std=c17", "-shared", *flags, "-DLAPMARK_USDT", f"-I{SOURCE}/include", SITES, "-o", path], check=True)
            notes = notes_of(path)
            check(all(form.fullmatch(note.arguments) for note in notes), notes)
            begins = {note.semaphore for note in notes if note.name == "begin"}
            equal(len(begins), 1 + sum(name == "begin" for name, _ in lines_with_semaphores(False, False)), notes)


# ---- attached ----------------------------------------------------------------------------------------------------------


def hits_of(text):
    """Of lines that a tracer printed: name|label|function|line|n|handle."""
    found = re.findall(r"^(begin|mark|end)\|(.*)\|(.*)\|(\d+)\|(-?\d+)\|(\w+)$", text, re.M)
    return [(name, label, function, int(line), int(n), int(handle, 0) != 0) for name, label, function, line, n, handle in found]


def gdb(program, *commands, **variables):
    words = [word for command in ("set debuginfod enabled off", "set breakpoint pending on", "set print address off", *commands)
             for word in ("-ex", command)]
    result = run("gdb", "-nx", "-batch", *words, "--args", program, LAPMARK_PRINT="off", **variables)
    check("exited normally" in result.out, result)
    return result.out


def counts(recording):
    report = lapmark_json("report", recording)
    return sorted(("/".join(site["path"]), site["kind"], site["count"]) for site in report["sites"]), report["lost"]


def test_gdb():
    """All probes, by name; what is recorded is what is recorded without."""
    if not has("gdb"):
        return
    arguments = "(char *)$_probe_arg0, (char *)$_probe_arg1, $_probe_arg2, $_probe_arg3, $_probe_arg4"
    with Directory() as directory:
        script = os.path.join(directory, "script")
        with open(script, "w", encoding="utf-8") as file:
            for name in ("begin", "mark", "end"):
                file.write(f"break -probe-stap lapmark:{name}\ncommands\nsilent\n"
                           f'printf "{name}|%s|%s|%lu|%ld|%lu\\n", {arguments}\nif $_probe_argc != 7\nquit 1\nend\ncontinue\nend\n')
        for number, compiler in enumerate(C + CXX):
            for flags in [BUILDS[number % 2]]:
                program, _ = build(directory, compiler, *flags)
                recordings = [os.path.join(directory, f"{name}-{compiler}{flags[0]}") for name in ("plain", "observed")]
                equal(run(program, LAPMARK_PRINT="off", LAPMARK_RECORD=recordings[0]).status, 0)
                out = gdb(program, f"source {script}", "run", LAPMARK_RECORD=recordings[1])
                equal(hits_of(out), expected("++" in compiler), f"{compiler} {flags}\n{out}")
                equal(counts(recordings[1]), counts(recordings[0]), f"{compiler} {flags}")


def test_values():
    """The label's arguments, behind the size, and the file."""
    if not has("gdb"):
        return
    with Directory() as directory:
        program, _ = build(directory, C[0], "-O2")
        script = os.path.join(directory, "script")
        with open(script, "w", encoding="utf-8") as file:
            for name, size in (("mark", 2), ("begin", 8)):
                file.write(f"break -probe-stap lapmark:{name}\ncommands\nsilent\nif $_probe_arg3 == {size}\n"
                           'printf "%lu in %s\\n", *(unsigned long *)$_probe_arg5, (char *)$_probe_arg6\nend\ncontinue\nend\n')
        out = gdb(program, f"source {script}", "run")
        equal(re.findall(r"^(\d+) in (.*)$", out, re.M), [("3", SITES), ("9", SITES)], out)


def test_semaphores():
    """By hand: none set, one site's, one name's."""
    if not has("gdb"):
        return
    with Directory() as directory:
        for compiler in C:
            program, _ = build(directory, compiler, "-O2", "-fno-pie", linking=["-no-pie"])
            notes = notes_of(program)
            lines = places_of(program, notes)
            breaks = []
            for note, line in zip(notes, lines):
                breaks += [f"break *{note.location:#x}"] if line else []
            at = {note.location: "an end" if note.name == "end" else line for note, line in zip(notes, lines)}

            def lines_hit(*semaphores, program=program, breaks=breaks, at=at):
                """Those of the places in the program that are come by where these are set."""
                script = os.path.join(directory, "script")
                with open(script, "w", encoding="utf-8") as file:
                    file.write("break main\nrun\ndelete\n" + "".join(f"set {{unsigned short}}{value:#x} = 1\n" for value in semaphores))
                    file.write("".join(f'{where}\ncommands\nsilent\nprintf "at %#lx\\n", $pc\ncontinue\nend\n' for where in breaks) + "continue\n")
                return [at[int(place, 16)] for place in re.findall(r"^at (\w+)$", gdb(program, f"source {script}"), re.M)]

            equal(lines_hit(), [], compiler)
            for label in ("plain", "block of %d", "of a handle"):
                line = line_of(f'"{label}"')
                semaphores = {note.semaphore for note in notes if at[note.location] == line}
                equal(len(semaphores), 1, label)
                wanted = [line, "an end"] if label == "block of %d" else [line]  # a begin that is seen has an end that is
                equal(lines_hit(*semaphores), wanted, label)
            module = symbols_of(program)["lap_impl_usdt_module"][0]
            marks = [line for name, _, function, line, _, _ in expected(False) if name == "mark" and function != "in_library"]
            equal(lines_hit(module + 4), marks, compiler)


def test_bpftrace():
    """Where it may: it is what the probes are for. Of the program alone: bpftrace 0.17 takes one probe of a name in a process that it starts."""
    if not has("bpftrace"):
        return
    # It wants to see tracefs; and has a probe of its own for BEGIN, which tells whether it works here. One processor: events in their order.
    there = ["taskset", "-c", str(min(os.sched_getaffinity(0))),
             "unshare", "-m", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec "$@"', "sh"]
    if run(*there, "bpftrace", "-e", "BEGIN { exit(); }").status != 0:
        missing.append("the right to use bpftrace")
        return
    with Directory() as directory:
        for compiler in C[:1] + CXX[1:]:
            program, _ = build(directory, compiler, "-O2")
            listed = run("bpftrace", "-l", f"usdt:{program}:*")
            equal(listed.out.splitlines(), [f"usdt:{program}:lapmark:{name}" for name in ("begin", "end", "mark")], listed)
            script = "".join(f'usdt:{program}:lapmark:{name} {{ printf("{name}|%s|%s|%d|%d|%d\\n", str(arg0), str(arg1), arg2, (int64)arg3, '
                             "arg4 != 0 ? 1 : 0); }\n" for name in ("begin", "mark", "end"))
            output = os.path.join(directory, "output")
            result = run(*there, "bpftrace", "-o", output, "-c", program, "-e", script, LAPMARK_PRINT="off")
            equal(result.status, 0, result)
            with open(output, encoding="utf-8") as file:
                text = file.read()
            wanted = [entry for entry in expected("++" in compiler) if entry[2] != "in_library"]
            equal(hits_of(text), wanted, f"{compiler}\n{text}\n{result}")


def test_perf():
    """Where it may: all probes of a program, by name, in their order; it does not follow pointers."""
    if not has("perf"):
        return
    steps = """mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
        perf record -o data true >&2 && perf buildid-cache --add ./sites >&2 || exit 3
        perf list sdt | grep -o 'sdt_lapmark:[a-z]*'
        perf probe 'sdt_lapmark:*' >&2 || exit 3
        LAPMARK_PRINT=off perf record -o data -e 'sdt_lapmark:*' ./sites >&2; status=$?
        perf script -i data -F event,trace; perf probe -d 'sdt_lapmark:*' >&2; exit $status"""
    with Directory() as directory:
        program, _ = build(directory, C[0], "-O2")
        result = run("unshare", "-m", "sh", "-c", steps, cwd=directory, HOME=directory)
        if result.status == 3 or "unshare failed" in result.err:
            missing.append("the right to use perf")
            return
        equal((result.status, result.out.splitlines()[:3]), (0, [f"sdt_lapmark:{name}" for name in ("begin", "end", "mark")]), result)
        found = re.findall(r"sdt_lapmark:(\w+): .* arg3=(\d+) arg4=(-?\d+) arg5=(-?\d+) ", result.out)
        wanted = [(name, line, n, is_handle) for name, _, function, line, n, is_handle in expected(False) if function != "in_library"]
        equal([(name, int(line), int(n), handle != "0") for name, line, n, handle in found], wanted, result)


def test_nothing_missing():
    """Comes last. What is in dev's packages is here where it has run."""
    if missing:
        print(f"not here, and not tried: {', '.join(dict.fromkeys(missing))}")


if __name__ == "__main__":
    main(globals())
