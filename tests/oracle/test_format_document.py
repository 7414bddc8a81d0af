# SPDX-License-Identifier: MIT
"""doc/format.md says what include/lapmark/format.h does, field by field, and its example is what it says it is."""
import os
import re
import subprocess

from common_oracle import SOURCE, check, equal, lapmark_format, main

BYTES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8, "f64": 8, "reading": 32}
CLASS_TABLE = re.compile(r"^\| (\d+) \| `lapmark:(\w+)` \| (\w+) \|", re.M)


def document():
    with open(os.path.join(SOURCE, "doc", "format.md"), encoding="utf-8") as file:
        return file.read()


def header():
    with open(os.path.join(SOURCE, "include", "lapmark", "format.h"), encoding="utf-8") as file:
        return file.read()


def structures(text):
    """Name, size and [(offset, bytes, field)...] of each structure's table."""
    for name, size, table in re.findall(r"^Structure `(\w+)`, (\d+) bytes.*?:\n\n((?:\|.*\n)+)", text, re.M):
        rows = []
        for row in table.splitlines()[2:]:
            offset, kind, field = [cell.strip() for cell in row.strip("|").split("|")][:3]
            if field.startswith("`"):
                kind, _, count = kind.rstrip("]").partition("[")
                rows.append((int(offset), BYTES[kind] * int(count or 1), field.strip("`")))
        yield name, int(size), rows


def compiled(assertions):
    source = "#include \"lapmark/format.h\"\n" + "".join(
        f"static_assert({condition}, \"{condition}\");\n" for condition in assertions)
    compiler = [os.environ.get("CC", "cc"), "-std=c17", "-fsyntax-only", "-I", os.path.join(SOURCE, "include"), "-x", "c", "-"]
    result = subprocess.run(compiler, input=source, text=True, capture_output=True, check=False)
    equal(result.returncode, 0, result.stderr)


def test_structures():
    described = set()
    assertions = []
    for name, size, rows in structures(document()):
        check(name not in described, f"'{name}' stands there twice")
        described.add(name)
        end = 0
        assertions.append(f"sizeof(struct {name}) == {size}")
        for offset, count, field in rows:
            equal(offset, end, f"'{name}': what is before '{field}'?")
            end = offset + count
            assertions += [f"offsetof(struct {name}, {field}) == {offset}", f"sizeof(((struct {name} *)0)->{field}) == {count}"]
        equal(end, size, f"'{name}': the end of its fields")
    declared = set(re.findall(r"^struct (?:LAP_FORMAT_PAYLOAD )?(lap_format_\w+) \{", header(), re.M))
    equal(sorted(described), sorted(declared), "structures of the document, and of the header")
    compiled(assertions)


def test_numbers():
    text = document()
    numbers = {"LAP_FORMAT_VERSION": 1, "LAP_FORMAT_PACKET_MAGIC": 0xC1FC1FC1, "LAP_FORMAT_METADATA_MAGIC": 0x75D11D57,
               "LAP_FORMAT_CONTROL_MAGIC": 0x314C54434B50414C, "LAP_FORMAT_PATHS_MAGIC": 0x3148544150414C2E,
               "LAP_FORMAT_STATISTICS_MAGIC": 0x31415453504C2E4C, "LAP_FORMAT_CELL_MAGIC": 0x4C454343,
               "LAP_FORMAT_CLASSES": 1048576, "LAP_FORMAT_CLOCK_SHIFT": 20, "LAP_FORMAT_SEGMENT_HEADER_BYTES": 152,
               "LAP_FORMAT_SEGMENT_BYTES_MIN": 65536, "LAP_FORMAT_SEGMENT_BYTES_MAX": 16773120, "LAP_FORMAT_FIRST_SITE_CLASS": 16,
               "LAP_FORMAT_STRING_BYTES": 256, "LAP_FORMAT_EVENT_BYTES_MAX": 4096, "LAP_FORMAT_LOSSES": 16,
               "LAP_FORMAT_SWITCHES": 16384, "LAP_FORMAT_CONTROL_HEADER_BYTES": 4096, "LAP_FORMAT_PATHS": 16384,
               "LAP_FORMAT_UNIT_BYTES": 128, "LAP_FORMAT_UNITS": 65536, "LAP_FORMAT_FIRST_UNIT": 32, "LAP_FORMAT_OCTAVES": 63,
               "LAP_FORMAT_CHUNK_COUNTERS": 16, "LAP_FORMAT_APPLIED_SHIFT": 24, "LAP_FORMAT_RUNNING": 1, "LAP_FORMAT_ENDED": 2,
               "LAP_FORMAT_CLOCK_TSC": 1, "LAP_FORMAT_CLOCK_CNTVCT": 2, "LAP_FORMAT_CLOCK_MONOTONIC": 3,
               "LAP_FORMAT_FLAG_IMMEDIATE": 1, "LAP_FORMAT_FLAG_PRINT": 2}
    for name, value in numbers.items():
        forms = (f"{value}", f"{value:,}", f"0x{value:X}")
        check(any(form in text for form in forms), f"{name}, {value}, is not in the document")
    fixed = {name: int(number) for number, name, _ in CLASS_TABLE.findall(text)}
    equal(fixed, {name: number for number, name in lapmark_format.FIXED_CLASSES.items()})
    sizes = {name: int(size) for _, name, size in CLASS_TABLE.findall(text) if size != "sized"}
    compiled([f"{name} == {value}" for name, value in numbers.items()] +
             [f"LAP_FORMAT_{name.upper()} == {number}" for name, number in fixed.items()] +
             [f"8 + sizeof(struct lap_format_{name}) == {size}" for name, size in sizes.items() if name != "end"])


def test_magics_as_bytes():
    for value, letters in re.findall(r"0x([0-9A-F]{8,16}), the bytes `([^`]+)`", document()):
        equal(int(value, 16).to_bytes(len(value) // 2, "little").decode(), letters)


def test_example():
    section = document().split("## An example\n", 1)[1]
    lines = re.findall(r"^ *(\d+)  ((?:[0-9a-f]{2}(?: {1,2}|$))+)", section, re.M)
    data = b""
    for offset, digits in lines:
        equal(int(offset), len(data))
        data += bytes.fromhex(digits)
    reader = lapmark_format.Metadata.__new__(lapmark_format.Metadata)
    reader.classes, reader.at = {}, 0
    reader.tokens = lapmark_format.Metadata.read_tokens("\n".join(re.findall(r"^event .*$", section, re.M)).encode())
    while reader.at < len(reader.tokens):
        reader.read_block()
    reader.classes[1] = lapmark_format.EventClass(1, "lapmark:end", "lapmark:end", [])
    segment = lapmark_format.Segment(data)
    check(f"content of {segment.content} bytes" in section and f"{segment.begin_ticks:,} ticks" in section)
    walker = lapmark_format.Walker(reader, lapmark_format.Paths())
    walker.enter(segment, False)
    found = []
    for event in segment.events(reader.classes):
        laps = ", ".join(f"{kind} {ticks}" for kind, _, ticks in walker.walk(event))
        found.append((str(event.offset), str(event.end - event.offset), str(event.ticks), f"`{event.event_class.name}`", laps))
    rows = re.findall(r"^\| \d+ \| \d+ \| \d{14} .*\|$", section, re.M)
    equal(found, [tuple(cell.strip() for cell in row.split("|")[1:-1]) for row in rows])
    first = next(iter(segment.events(reader.classes)))
    check(f"{first.ticks - segment.begin_ticks:,} ticks later" in section)


main(globals())
