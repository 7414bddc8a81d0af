# SPDX-License-Identifier: MIT
"""Recordings of other tools, and ours with sizes and counts at their limits, through each command: an error with file and
offset and exit status 2, or what is sound, with a warning. Never a signal, and memory and time have a bound."""
import os
import pathlib
import resource
import shutil
import struct
import subprocess

import common

GOLDEN = pathlib.Path(common.SOURCE, "tests/golden/v1")
COMMANDS = (["report"], ["report", "--events", "--json"], ["show"], ["show", "--events"], ["slowest"], ["check"],
            ["check", "--json"], ["calls"], ["calls", "--json"], ["scaling"], ["scaling", "--json"])
MEMORY_BYTES = 1 << 30
CPU_SECONDS = 30
MAX64, MAX32 = 2**64 - 1, 2**32 - 1
CONTENT, PACKET, SEQUENCE, SEGMENT_END = 32, 40, 56, 152  # in a segment's header
METADATA_CONTENT, METADATA_PACKET, METADATA_HEADER = 24, 28, 37


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def bounded(command, path):
    """Runs a command on a recording. It must end by itself, and say in its own way what is wrong."""
    process = subprocess.run([common.LAPMARK, *command, path], stdin=subprocess.DEVNULL, capture_output=True, timeout=280,
                             preexec_fn=limit, env=common.environment(), check=False)  # pylint: disable=subprocess-popen-preexec-fn
    result = common.Result(process)
    common.check(result.status in (0, 1, 2), f"{command}: {result}")
    for line in result.err.splitlines():
        common.check(line.startswith("lapmark: "), f"{command}: {result}")
    return result


def refused(path, *words):
    """Every command says the same: one line, exit status 2."""
    for command in COMMANDS:
        result = bounded(command, path)
        common.equal((result.status, result.out, len(result.err.splitlines())), (2, "", 1), f"{command}: {result}")
        for word in words:
            common.check(word in result.err, f"{command}: '{word}' is not in {result}")


def copy(directory, name="good"):
    shutil.copytree(GOLDEN / name, f"{directory}/copy", dirs_exist_ok=True)
    return pathlib.Path(directory, "copy")


# ---- of other tools ----

LTTNG_METADATA = """/* CTF 1.8 */

typealias integer { size = 8; align = 8; signed = false; } := uint8_t;
typealias integer { size = 32; align = 8; signed = false; } := uint32_t;
typealias integer { size = 64; align = 8; signed = false; } := uint64_t;

trace {
	major = 1;
	minor = 8;
	uuid = "6d1c8f4e-2b57-4a1f-9b5e-0f4d9a7c1e33";
	byte_order = le;
	packet.header := struct { uint32_t magic; uint8_t uuid[16]; uint32_t stream_id; uint64_t stream_instance_id; };
};

env {
	hostname = "machine";
	domain = "ust";
	tracer_name = "lttng-ust";
	tracer_major = 2;
	tracer_minor = 13;
	tracer_buffering_scheme = "uid";
	architecture_bit_width = 64;
};

clock { name = "monotonic"; description = "Monotonic Clock"; freq = 1000000000; offset = 1695000000123456789; };

stream {
	id = 0;
	event.header := struct { enum : integer { size = 5; align = 1; signed = false; } { compact = 0 ... 30, extended = 31 } id;
		variant <id> { struct { integer { size = 27; align = 1; map = clock.monotonic.value; } timestamp; } compact; } v; };
	packet.context := struct { uint64_t timestamp_begin; uint64_t timestamp_end; uint64_t content_size;
		uint64_t packet_size; uint64_t packet_seq_num; uint64_t events_discarded; uint32_t cpu_id; };
};

event { name = "demo:tick"; id = 0; stream_id = 0; loglevel = 13; fields := struct { uint32_t _number; }; };
"""

BARECTF_METADATA = """/* CTF 1.8 */

trace {
	major = 1;
	minor = 8;
	byte_order = le;
	packet.header := struct {
		integer { size = 32; align = 8; signed = false; base = hex; } magic;
		integer { size = 8; align = 8; signed = false; } stream_id;
	} align(8);
};

env {
	domain = "bare";
	tracer_name = "barectf";
	tracer_major = 3;
	tracer_minor = 1;
};

clock { name = default; freq = 1000000; offset_s = 0; offset = 0; absolute = false; };

stream {
	id = 0;
	packet.context := struct { integer { size = 32; align = 32; } packet_size; integer { size = 32; align = 32; } content_size; };
	event.header := struct { integer { size = 8; align = 8; } id; integer { size = 32; align = 32; } timestamp; } align(8);
};

event { name = "boot"; id = 0; stream_id = 0; fields := struct { integer { size = 16; align = 16; signed = true; } code; }; };
"""


def metadata_packet(text, uuid=bytes(16)):
    bits = 8 * (METADATA_HEADER + len(text))
    return struct.pack("<I16sIIIBBBBB", 0x75D11D57, uuid, 0, bits, bits, 0, 0, 0, 1, 8) + text


def test_lttng():
    with common.Directory() as directory:
        text = LTTNG_METADATA.encode()
        pathlib.Path(directory, "metadata").write_bytes(metadata_packet(text))
        event = struct.pack("<II", 5 << 5, 1)
        header = struct.pack("<I16sIQQQQQQQI", 0xC1FC1FC1, bytes(16), 0, 0, 1, 2, 8 * 92, 8 * 4096, 0, 0, 0)
        pathlib.Path(directory, "channel0_0").write_bytes((header + event).ljust(4096, b"\0"))
        at = METADATA_HEADER + text.index(b"event {")
        refused(directory, f"'{directory}/metadata': written by another tracer, at byte {at}")


def test_barectf():
    with common.Directory() as directory:
        pathlib.Path(directory, "metadata").write_text(BARECTF_METADATA, encoding="ascii")
        pathlib.Path(directory, "stream").write_bytes(struct.pack("<IBxxxII", 0xC1FC1FC1, 0, 512, 160) + bytes(48))
        refused(directory, f"'{directory}/metadata': not metadata that Lapmark wrote, at byte 0")
        # And in a packet, as a tool that packs it for another leaves it.
        text = BARECTF_METADATA.encode()
        pathlib.Path(directory, "metadata").write_bytes(metadata_packet(text))
        refused(directory, "written by another tracer", f"at byte {METADATA_HEADER + text.index(b'event {')}")


def test_foreign_streams_beside_ours():
    """A channel of LTTng's and one of barectf's in our directory are passed over; what is ours is read."""
    with common.Directory() as directory:
        ours = copy(directory)
        wanted = bounded(["show", "--events"], ours).out
        for name in ("channel0_0", "stream", "index"):
            (ours / name).write_bytes(struct.pack("<I", 0xC1FC1FC1) + bytes(500))
        common.equal(bounded(["show", "--events"], ours).out, wanted)
        common.equal(bounded(["check"], ours).status, 0)
        (ours / "stream-0007-00").write_bytes(struct.pack("<I16sI", 0xC1FC1FC1, b"u" * 16, 0) + bytes(500))
        result = bounded(["show", "--events"], ours)
        common.equal((result.status, result.out), (0, wanted))
        common.check("stream-0007-00': segment of another process, at byte 4" in result.err, result)
        common.equal(bounded(["check"], ours).status, 1)


# ---- sizes and counts at their limits ----

# File, offset, format, values, what the message must have in it (None: it may be taken as it is).
LIMITS = (
    ("metadata", METADATA_CONTENT, "<I", (0, 8, 36 * 8, MAX32), "metadata packet with a damaged size"),
    ("metadata", METADATA_PACKET, "<I", (0, 8), "metadata packet with a damaged size"),
    ("metadata", METADATA_PACKET, "<I", (MAX32, MAX32 - 7), None),
    ("stream-0000-00", CONTENT, "<Q", (0, 8, 151 * 8), "empty segment"),
    ("stream-0000-00", CONTENT, "<Q", (152 * 8 + 1, MAX64, MAX64 - 7, 2**63, 2**32), "segment with a damaged size"),
    ("stream-0000-00", PACKET, "<Q", (0, 8), "segment with a damaged size"),
    ("stream-0000-00", PACKET, "<Q", (MAX64, 2**63), "shorter than it says"),
    ("stream-0000-00", SEQUENCE, "<Q", (MAX64, 2**39), "segment with a damaged sequence number"),
    ("stream-0000-00", SEQUENCE, "<Q", (2**39 - 1, 1), None),
    ("stream-0000-00", 24, "<Q", (MAX64, 1), "segment of another ring"),
    ("stream-0000-00", 88, "<Q", (MAX64,), None),
    (".lapmark/paths", 12, "<I", (MAX32, 16385), "damaged table of paths"),
    (".lapmark/paths", 12, "<I", (0, 1, 2), None),
    (".lapmark/statistics-0000", 12, "<I", (0, 31, 65537, MAX32), "damaged statistics"),
    (".lapmark/statistics-0000", 16, "<Q", (MAX64, 2**63), None),
    (".lapmark/statistics-0000", 24, "<Q", (MAX64,), None),
    (".lapmark/statistics-0000", 40, "<Q", (MAX64,), None),
    (".lapmark/control", 12, "<I", (4097, MAX32), "number that cannot be"),
    (".lapmark/control", 92, "<I", (4, MAX32), "number that cannot be"),
    (".lapmark/control", 96, "<Q", (0, 1, MAX64), None),
    (".lapmark/control", 112, "<Q", (0, MAX64), None),
    (".lapmark/control", 208, "<Q", (MAX64,), "number that cannot be"),
    (".lapmark/control", 216, "<Q", (MAX64, 2**57), "number that cannot be"),
    (".lapmark/control", 344, "<I", (16385, MAX32), "number that cannot be"),
    (".lapmark/control", 348, "<I", (MAX32,), "number that cannot be"),
    (".lapmark/control", 352, "<Q", (2, MAX64), "number that cannot be"),
)


def test_limits():
    with common.Directory() as directory:
        turn = 0
        for file, offset, form, values, message in LIMITS:
            for value in values:
                path = copy(directory) / file
                whole = bytearray(path.read_bytes())
                struct.pack_into(form, whole, offset, value)
                path.write_bytes(whole)
                where = f"{file} at {offset}: {value}"
                result = bounded(["check"], path.parents[file.count("/")])
                text = result.out + result.err
                damaged = 0 if message and message.startswith("empty") else 1
                common.check(message is None or (result.status >= damaged and message in text), f"{where}: {result}")
                common.check(message is None or f"{file}': " in text, f"{where}: {result}")
                bounded(COMMANDS[turn % len(COMMANDS)], path.parents[file.count("/")])
                turn += 1


def test_losses_that_cannot_be_are_no_fact():
    with common.Directory() as directory:
        recording = copy(directory)
        path = recording / ".lapmark/control"
        whole = bytearray(path.read_bytes())
        struct.pack_into("<16Q", whole, 216, *[0xB83C1D2E5F6A7B8D + i for i in range(16)])
        path.write_bytes(whole)
        result = bounded(["check"], recording)
        common.equal(result.status, 1)
        common.check("control': number that cannot be, at byte 216" in result.out, result)
        common.check(" 0 lost\n" in result.out and "13,2" not in result.out, result)
        common.check("lost        nothing" in bounded(["report"], recording).out)


def sparse(path, size, start=b""):
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        file.write(start)
        file.truncate(size)


def test_huge_files():
    """Files that say that they are huge, and are: holes."""
    with common.Directory() as directory:
        recording = copy(directory)
        for name in ("stream-0000-00", ".lapmark/control", ".lapmark/paths", ".lapmark/statistics-0000"):
            os.truncate(recording / name, 1 << 40)
        result = bounded(["check"], recording)
        common.equal(result.status, 0, result)
        for command in COMMANDS:
            bounded(command, recording)

        segment = bytearray((GOLDEN / "good/stream-0000-00").read_bytes())
        struct.pack_into("<QQ", segment, CONTENT, 2**43, 2**43)
        sparse(recording / "stream-0000-00", 1 << 40, segment)
        result = bounded(["check"], recording)
        common.check("too large to be read, at byte 16773120" in result.out, result)

        sparse(recording / "metadata", (256 << 20) + 1)
        refused(recording, f"'{recording}/metadata': too large to be read")
        whole = (GOLDEN / "good/metadata").read_bytes()
        head = whole[:METADATA_CONTENT] + struct.pack("<II", 8 * (200 << 20), 8 * (200 << 20)) + whole[METADATA_CONTENT + 8:]
        sparse(recording / "metadata", 200 << 20, head)
        result = bounded(["check"], recording)
        common.equal(result.status, 1)
        common.check("metadata': byte that cannot be in it, at byte" in result.out, result)


def test_many_files():
    with common.Directory() as directory:
        recording = copy(directory)
        for number in range(1, 3000):
            (recording / f"stream-{number:04}-00").touch()
        result = bounded(["check"], recording)
        common.check("stream-0002-00': empty segment" in result.out, result)
        common.check(len(result.out) < 1 << 20, "output without a bound")
        bounded(["report", "--by=thread"], recording)


def test_not_files():
    """Whatever lies where a file should: each is told, none is waited for."""
    for file in ("metadata", ".lapmark/control", ".lapmark/paths", ".lapmark/statistics-0000", "stream-0000-00"):
        for make in (os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path), lambda path: os.symlink(path, path)):
            with common.Directory() as directory:
                path = copy(directory) / file
                path.unlink()
                make(path)
                recording = path.parents[file.count("/")]
                if file == "metadata":
                    refused(recording, f"{recording}/metadata'")
                    continue
                result = bounded(["check"], recording)
                common.check(f"{file}': " in result.out, result)


def test_empty_and_cut_files():
    """Each file cut to nothing, to one byte, to some; and every file at once."""
    files = ("metadata", ".lapmark/control", ".lapmark/paths", ".lapmark/statistics-0000", "stream-0000-00")
    with common.Directory() as directory:
        for share in (0, 1, 20, 100):
            for chosen in (*([file] for file in files), files):
                recording = copy(directory)
                for file in chosen:
                    os.truncate(recording / file, share)
                result = bounded(["check"], recording)
                common.check(result.status in (1, 2) or (share == 0 and chosen == ["stream-0000-00"]),
                             f"{chosen} to {share}: {result}")
                common.check(any(f"{file}'" in result.out + result.err for file in chosen), f"{chosen} to {share}: {result}")


common.main(globals())
