# SPDX-License-Identifier: MIT
"""pack_recording.py PROCESS-DIRECTORY COMMANDS: writes a process directory as an input of fuzz_recording to stdout."""
import pathlib
import sys

HEADER_PAGE, HEADER = 4096, 64
CONTROL = 752
METADATA_HEADER = 37
PARTS = {"C": ".lapmark/control", "P": ".lapmark/paths", "0": "stream-0000-00", "1": "stream-0000-01",
         "2": "stream-0001-00", "S": ".lapmark/statistics-0000", "T": ".lapmark/statistics-0001"}


def events_of(metadata):
    """The event blocks of sites in the metadata's first packet."""
    size = int.from_bytes(metadata[24:28], "little") // 8
    lines = metadata[METADATA_HEADER:size].splitlines()
    return b"\n".join(line for line in lines if line.startswith(b"event {") and b"?flags=" in line)


def pack(directory, commands):
    parts = {"E": events_of((directory / "metadata").read_bytes())}
    for letter, name in PARTS.items():
        if (directory / name).exists():
            parts[letter] = (directory / name).read_bytes().rstrip(b"\0")
    parts["C"] = parts["C"][:CONTROL]
    for letter in "ST":
        if letter in parts:
            parts[letter] = parts[letter][:HEADER] + parts[letter][HEADER_PAGE:]
    return bytes([commands]) + b"".join(b"\xf1\xe0" + letter.encode() + text for letter, text in parts.items())


sys.stdout.buffer.write(pack(pathlib.Path(sys.argv[1]), int(sys.argv[2], 0)))
