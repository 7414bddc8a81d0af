#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reader of Lapmark's recordings, made from doc/format.md and nothing else, so that it can contradict the first.

usage: lapmark_format.py [--events | --laps | --statistics | --check] DIRECTORY...

  --events      every stored event, a JSON object a line (the default)
  --laps        every lap, rest and total that the events tell
  --statistics  count, sum, least and greatest of each path as of the last event
  --check       compares the stored statistics with the events; exit status 1 if they differ

It trusts what it reads: a damaged recording ends it with a message. Names in capitals are sections of the document.
"""
import collections
import functools
import json
import os
import re
import struct
import sys
import urllib.parse
from fractions import Fraction


class FormatError(Exception):
    """The recording is not what the document says."""


def require(condition, text):
    if not condition:
        raise FormatError(text)


def text_of(data):
    """Bytes as text, in which each byte that is no UTF-8 stands as a surrogate."""
    return data.decode("utf-8", "surrogateescape")


def fixed_text(data):
    return text_of(data.split(b"\0", 1)[0])


def structure(data, offset, fields):
    """Fields are (name, struct's letter, ...): a dict of the values at an offset."""
    packed = struct.Struct("<" + "".join(letter for _, letter in fields))
    require(offset + packed.size <= len(data), f"structure at {offset} is longer than its file")
    return dict(zip((name for name, _ in fields), packed.unpack_from(data, offset)))


# METADATA

METADATA_MAGIC = 0x75D11D57
METADATA_PACKET = [("magic", "I"), ("uuid", "16s"), ("checksum", "I"), ("content_size", "I"), ("packet_size", "I"),
                   ("compression", "B"), ("encryption", "B"), ("checksum_scheme", "B"), ("major", "B"), ("minor", "B")]
TOKEN = re.compile(rb'\s*(?:/\*.*?\*/\s*)*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][A-Za-z_0-9.]*)|([0-9]+)|(:=|[{}\[\]();=:,?]))', re.S)
ESCAPE = re.compile(rb'\\([0-7]{3}|.)', re.S)
LITERALS = {"uint64_t": "Q", "int64_t": "q", "uint32_t": "I", "double_t": "d", "pointer_t": "Q"}

FLAG_N, FLAG_TEXT, FLAG_NUMBERED, FLAG_LIBRARY, FLAG_RUN_TIME, FLAG_FOUND = 1, 2, 4, 8, 16, 32
FIXED_CLASSES = {1: "end", 2: "abandoned", 3: "pause", 4: "open", 5: "handle_end", 6: "thread", 7: "serve", 8: "reply", 9: "link",
                 10: "peer_lap"}
FIRST_SITE_CLASS = 16
PAYLOADS = {
    "begin": "", "mark": "", "end": "", "abandoned": "uint64_t count", "pause": "uint64_t ticks",
    "begin_with": "uint64_t threshold_ns,int64_t n,uint64_t parent,uint32_t path,uint32_t flags",
    "handle_begin": "uint64_t handle,uint64_t threshold_ns,int64_t n,uint64_t parent,uint32_t path,uint32_t flags",
    "handle_mark": "uint64_t handle,uint64_t lap_ticks,uint32_t path,uint32_t number",
    "handle_end": "uint64_t handle,uint64_t lap_ticks,uint64_t total_ticks,uint32_t path,uint32_t marks",
    "open": "uint64_t begin_ticks,uint64_t begin_paused,uint64_t last_ticks,uint64_t threshold_ns,int64_t n,uint32_t class_id,"
            "uint32_t depth,uint32_t marks,uint32_t flags,uint32_t path,uint32_t reserved",
    "thread": "uint64_t thread_id,uint64_t thread_index",
    "call": "uint64_t handle,pointer_t trace_id_high,pointer_t trace_id_low,pointer_t span_id,uint64_t sent_ticks,"
            "uint64_t received_ticks,uint64_t replied_ticks,uint64_t got_ticks,pointer_t peer_domain,uint32_t peer_khz,"
            "uint32_t queue_us,uint32_t path,uint32_t number,uint32_t flags,uint32_t reserved",
    "serve": "uint64_t handle,pointer_t trace_id_high,pointer_t trace_id_low,pointer_t span_id,uint64_t sent_ticks,"
             "uint64_t received_ticks,pointer_t peer_domain",
    "reply": "uint64_t handle,pointer_t span_id,uint64_t replied_ticks",
    "link": "uint64_t handle,pointer_t own_span_id,pointer_t trace_id_high,pointer_t trace_id_low,pointer_t span_id,"
            "uint32_t relation,uint32_t path",
    "peer_lap": "uint64_t handle,pointer_t span_id,uint64_t sum_ns,uint32_t count,uint32_t number",
}
OWN_STRINGS = {"open": "message", "thread": "name", "peer_lap": "label"}
ARGUMENTS = {"i": "int64_t", "u": "uint64_t", "f": "double_t", "p": "pointer_t", "s": "string"}


class EventClass:
    """A class of events: what its events contain, in their order."""

    def __init__(self, number, name, uri, fields):
        self.number, self.name, self.uri = number, name, uri
        scheme, _, query = uri.partition("?")
        require(scheme.startswith("lapmark:"), f"class {number} has the uri '{uri}'")
        self.kind = scheme[len("lapmark:"):]
        require(self.kind in PAYLOADS, f"class {number} is of the unknown kind '{self.kind}'")
        parts = dict(part.split("=", 1) for part in query.split("&")) if query else {}
        self.flags = int(parts.get("flags", "0"))
        self.types = parts.get("types", "")
        self.line = int(parts.get("line", "0"))
        self.function, self.file = (urllib.parse.unquote(parts.get(key, ""), errors="surrogateescape")
                                    for key in ("function", "file"))
        is_fixed = FIXED_CLASSES.get(number) == self.kind
        require(is_fixed == (number < FIRST_SITE_CLASS), f"class {number} is of kind '{self.kind}'")
        self.fields = fields
        wanted = self.layout()
        require(fields == wanted, f"class {number} has the fields {fields}; its uri says {wanted}")
        self.has_strings = any(kind == "string" for kind, _ in fields)
        numbers = [(kind, name) for kind, name in fields if kind != "string" and name != "tail"]
        self.names = [name for _, name in numbers]
        self.packed = struct.Struct("<" + "".join(LITERALS[kind] for kind, _ in numbers))
        self.strings = [name for kind, name in fields if kind == "string"]
        self.size = None if self.has_strings else 8 + self.packed.size

    def layout(self):
        """The fields that follow from kind, flags and types."""
        fields = [tuple(field.split(" ")) for field in PAYLOADS[self.kind].split(",") if field]
        if self.flags & FLAG_N:
            fields.append(("int64_t", "label_n" if ("int64_t", "n") in fields else "n"))
        arguments = [(ARGUMENTS[letter], f"a{i}") for i, letter in enumerate(self.types)]
        strings = [field for field in arguments if field[0] == "string"]
        if self.flags & FLAG_TEXT:
            strings.append(("string", "text"))
        if self.kind in OWN_STRINGS:
            strings.append(("string", OWN_STRINGS[self.kind]))
        fields += [field for field in arguments if field[0] != "string"]
        return [("uint64_t", "size")] + fields + strings + [("uint64_t", "tail")] if strings else fields

    def label(self):
        """As a report names it."""
        if self.flags & FLAG_NUMBERED:
            return f"(checkpoint at {os.path.basename(self.file)}:{self.line})"
        return self.shown()

    def shown(self):
        """The name, with # for each number that was found in a text."""
        if not self.flags & FLAG_FOUND:
            return self.name
        return self.name.replace("%lld", "#").replace("%.15g", "#").replace("%%", "%")


class Metadata:
    def __init__(self, data):
        self.env, self.clock, self.classes = {}, {}, {}
        self.uuid, self.packets = None, 0
        text = b""
        at = 0
        while at < len(data):
            header = structure(data, at, METADATA_PACKET)
            require(header["magic"] == METADATA_MAGIC, f"metadata packet at {at} has another magic")
            require((header["major"], header["minor"]) == (1, 8), "metadata of another version of CTF")
            require(not any(header[key] for key in ("checksum", "compression", "encryption", "checksum_scheme")),
                    "encoded metadata")
            require(self.uuid in (None, header["uuid"]), "metadata packets of two traces")
            self.uuid = header["uuid"]
            require(37 * 8 <= header["content_size"] <= header["packet_size"], "metadata packet with an impossible size")
            require(at + header["content_size"] // 8 <= len(data), "metadata is cut")
            text += data[at + 37:at + header["content_size"] // 8]
            at += header["packet_size"] // 8
            self.packets += 1
        require(text.startswith(b"/* CTF 1.8 */"), "metadata does not start with its version")
        self.tokens = self.read_tokens(text)
        self.at = 0
        while self.at < len(self.tokens):
            self.read_block()
        require(self.env.get("tracer_name") == "lapmark", "a trace of another tracer")

    @staticmethod
    def read_tokens(text):
        tokens = []
        at = 0
        end = len(text.rstrip())
        while at < end:
            match = TOKEN.match(text, at)
            require(match, f"metadata that is no token: {text[at:at + 40]!r}")
            at = match.end()
            string, word, number, sign = match.groups()
            if string is not None:
                tokens.append(("string", text_of(ESCAPE.sub(Metadata.unescape, string))))
            elif number:
                tokens.append(("number", int(number)))
            else:
                tokens.append(("word" if word else "sign", text_of(word or sign)))
        return tokens

    @staticmethod
    def unescape(match):
        code = match.group(1)
        named = {b"n": b"\n", b"t": b"\t", b'"': b'"', b"\\": b"\\"}
        require(code in named or len(code) == 3, f"unknown escape {code!r}")
        return named[code] if code in named else bytes([int(code, 8)])

    def take(self, value=None):
        token = self.tokens[self.at]
        self.at += 1
        require(value is None or token[1] == value and token[0] != "string", f"metadata has {token}, not '{value}'")
        return token[1]

    def skip_to(self, end):
        """To behind `end` outside of braces."""
        depth = 0
        while depth or self.tokens[self.at] != ("sign", end):
            depth += {"{": 1, "}": -1}.get(self.tokens[self.at][1], 0) if self.tokens[self.at][0] == "sign" else 0
            self.at += 1
        self.at += 1

    def read_block(self):
        kind = self.take()
        if kind == "typealias":
            self.skip_to(";")
            return
        self.take("{")
        values, fields = {}, []
        while self.tokens[self.at] != ("sign", "}"):
            key = self.take()
            if self.tokens[self.at] == ("sign", ":="):
                self.take()
                if key == "fields":
                    fields = self.read_fields()
                self.skip_to(";")
            else:
                self.take("=")
                values[key] = self.take()
                self.take(";")
        self.take("}")
        self.take(";")
        if kind in ("env", "clock"):
            setattr(self, kind, values)
        elif kind == "event":
            require(values["stream_id"] == 0, "an event of another stream class")
            require(values["id"] not in self.classes, f"class {values['id']} is there twice")
            self.classes[values["id"]] = EventClass(values["id"], values["name"], values["model.emf.uri"], fields)
        elif kind == "trace":
            require(bytes.fromhex(values["uuid"].replace("-", "")) == self.uuid, "the trace has another uuid than its packets")
        else:
            require(kind == "stream", f"unknown block '{kind}'")

    def read_fields(self):
        fields = []
        self.take("struct")
        self.take("{")
        while self.tokens[self.at] != ("sign", "}"):
            fields.append((self.take(), self.take()))
            self.take(";")
        self.take("}")
        return fields


# SEGMENT, EVENT

SEGMENT_MAGIC = 0xC1FC1FC1
SEGMENT = [("magic", "I"), ("uuid", "16s"), ("stream_class", "I"), ("stream", "Q"), ("content_bits", "Q"), ("packet_bits", "Q"),
           ("begin_ticks", "Q"), ("sequence", "Q"), ("lost_events", "Q"), ("paused_ticks", "Q"), ("thread_id", "Q"),
           ("thread_index", "Q"), ("clock_ticks", "Q"), ("clock_monotonic_ns", "Q"), ("clock_realtime_ns", "Q"),
           ("thread_name", "32s")]
SEGMENT_HEADER_BYTES = 152
CLOCK_BITS = 44

Event = collections.namedtuple("Event", "ring sequence offset end ticks event_class fields")
WORD = struct.Struct("<Q")


class Segment:
    def __init__(self, data, name=""):
        self.data, self.name = data, name
        self.header = structure(data, 0, SEGMENT)
        self.header["thread_name"] = fixed_text(self.header["thread_name"])
        self.sequence, self.begin_ticks = self.header["sequence"], self.header["begin_ticks"]
        self.content = self.header["content_bits"] // 8
        self.decoded = None
        require(self.header["magic"] == SEGMENT_MAGIC, f"'{name}' is no segment")
        require(self.header["stream_class"] == 0, f"'{name}' is of another stream class")
        require(self.header["content_bits"] % 64 == 0 and SEGMENT_HEADER_BYTES <= self.content <= len(data) and
                self.header["content_bits"] <= self.header["packet_bits"], f"'{name}' has an impossible size")

    def events(self, classes):
        """The stored events."""
        if self.decoded is None:
            self.decoded = list(self.decode(classes))
        return self.decoded

    def decode(self, classes):
        at, last = SEGMENT_HEADER_BYTES, self.begin_ticks
        ring, sequence, data, begin = self.header["stream"], self.sequence, self.data, self.begin_ticks
        while at < self.content:
            word = WORD.unpack_from(data, at)[0]
            number = word & 0xFFFFF
            require(number in classes, f"'{self.name}' has an event of the unknown class {number} at {at}")
            event_class = classes[number]
            ticks = begin + ((word >> 20) - begin) % (1 << CLOCK_BITS)
            require(ticks >= last, f"'{self.name}' has a clock that goes backward at {at}")
            last = ticks
            require(at + 8 + event_class.packed.size <= self.content, f"'{self.name}' has a cut event at {at}")
            fields = dict(zip(event_class.names, event_class.packed.unpack_from(data, at + 8)))
            end = at + event_class.size if event_class.size else self.read_strings(event_class, at, fields)
            require(end <= self.content, f"'{self.name}' has an event at {at} that is longer than the content")
            yield Event(ring, sequence, at, end, ticks, event_class, fields)
            at = end

    def read_strings(self, event_class, start, fields):
        at = start + 8 + event_class.packed.size
        end = start + fields["size"]
        require(fields["size"] % 8 == 0 and at < end <= min(self.content, start + 4096),
                f"'{self.name}' has a size that cannot be at {start}")
        for name in event_class.strings:
            zero = self.data.index(b"\0", at, end)
            require(zero - at <= 255, f"'{self.name}' has a string of {zero - at} bytes at {at}")
            fields[name] = text_of(self.data[at:zero])
            at = zero + 1
        require(end == (at + 7) // 8 * 8 + 8 and not any(self.data[at:end]),
                f"'{self.name}' has no zeros behind the strings at {at}")
        fields["tail"] = WORD.unpack_from(self.data, end - 8)[0]
        return end


# CONTROL, PATHS, STATISTICS

CONTROL_MAGIC, PATHS_MAGIC, STATISTICS_MAGIC = 0x314C54434B50414C, 0x3148544150414C2E, 0x31415453504C2E4C
CELL_MAGIC = 0x4C454343
CONTROL = [("magic", "Q"), ("version", "I"), ("header_bytes", "I"), ("features", "Q"), ("uuid", "16s"), ("boot_id", "16s"),
           ("pid", "Q"), ("start_time", "Q"), ("pid_namespace", "Q"), ("time_namespace", "Q"), ("state", "I"),
           ("clock_source", "I"), ("clock_hz", "Q"), ("clock_resolution_ticks", "Q"), ("start", "32s"), ("end", "32s"),
           ("segment_bytes", "Q"), ("segments_each", "Q"), ("memory_limit_bytes", "Q"), ("memory_bytes", "Q"),
           ("event_ticks_x1000", "Q"), ("losses", "128s"), ("switches", "I"), ("rings", "I"), ("full", "Q"),
           ("removed_segments", "Q"), ("program", "64s"), ("host", "64s"), ("command", "256s")]
READING = [("ticks", "Q"), ("monotonic_ns", "Q"), ("realtime_ns", "Q"), ("bracket_ticks", "Q")]
SWITCH = [("state", "B"), ("reserved", "3s"), ("class_id", "I"), ("threshold_ns", "Q")]
LOST_EVENTS = (0, 1, 2, 4, 6)
CLOCK_MONOTONIC = 3


class Control:
    def __init__(self, data):
        values = structure(data, 0, CONTROL)
        require(values["magic"] == CONTROL_MAGIC, "control page with another magic")
        require(values["version"] == 1 and values["features"] == 0, "control page of another version")
        self.start, self.end = (structure(values[key], 0, READING) for key in ("start", "end"))
        self.losses = struct.unpack("<16Q", values["losses"])
        self.lost = sum(self.losses[i] for i in LOST_EVENTS)
        for key in ("program", "host", "command"):
            values[key] = fixed_text(values[key])
        self.values = values
        self.switches = [structure(data, values["header_bytes"] + 16 * i, SWITCH) for i in range(values["switches"])]

    def __getitem__(self, key):
        return self.values[key]


PATHS_MAX, PATHS_FOR_OTHER = 16384, 2048
ROOT, OTHER, NO_PATH, REST_CLASS = 0, 1, 0xFFFFFFFF, 0


class Paths:
    """The numbers of chains of classes; those that the file lacks are made."""

    def __init__(self, data=None):
        self.entries = [(NO_PATH, 0), (ROOT, REST_CLASS)]
        if data is not None:
            magic, version, count = struct.unpack_from("<QII", data)
            require(magic == PATHS_MAGIC and version == 1 and 2 <= count <= PATHS_MAX, "paths with a damaged head")
            entries = [struct.unpack_from("<II", data, 16 + 8 * i) for i in range(count)]
            require(entries[:2] == self.entries, "paths without their first two")
            require(all(parent < i for i, (parent, _) in enumerate(entries) if i), "path under a later one")
            self.entries = entries
        self.numbers = {pair: number for number, pair in enumerate(self.entries)}
        require(len(self.numbers) == len(self.entries), "path that is there twice")
        self.stored = len(self.entries)

    def get(self, parent, number):
        known = self.numbers.get((parent, number))
        if known is not None:
            return known
        if len(self.entries) >= PATHS_MAX - PATHS_FOR_OTHER and parent != OTHER:
            return self.get(OTHER, number)
        if len(self.entries) >= PATHS_MAX:
            return OTHER
        self.numbers[parent, number] = len(self.entries)
        self.entries.append((parent, number))
        return len(self.entries) - 1

    def chain(self, path):
        """Its classes, from the root on; None stands for "(other paths)"."""
        classes = []
        while path not in (ROOT, NO_PATH):
            parent, number = self.entries[path]
            classes.insert(0, None if path == OTHER else number)
            path = parent
        return tuple(classes)


UNIT_BYTES, FIRST_UNIT, OCTAVES = 128, 32, 63
STATISTICS = [("magic", "Q"), ("version", "I"), ("units", "I"), ("applied", "Q"), ("events", "Q"), ("laps_lost", "Q"),
              ("threads", "Q"), ("batch_ticks", "Q"), ("taken_back", "Q")]
CELL = [("count", "Q"), ("sum_ticks", "Q"), ("min_ticks", "Q"), ("max_ticks", "Q"), ("path", "I"), ("magic", "I"),
        ("chunks", "126s"), ("rest_unit", "H"), ("reserved", "88s")]


def bucket_of(value):
    shift = (value | 16).bit_length() - 1 - 4
    return 16 * shift + (value >> shift)


def bucket_range(bucket):
    """The least and the greatest value of a bucket."""
    octave, counter = divmod(bucket, 16)
    least, width = (counter, 1) if octave == 0 else ((16 + counter) << (octave - 1), 1 << (octave - 1))
    return least, least + width - 1


class Cell:
    """Count, sum, least, greatest and histogram of a path's samples."""

    def __init__(self):
        self.count, self.sum, self.min, self.max = 0, 0, (1 << 64) - 1, 0
        self.buckets = collections.Counter()

    def add(self, ticks):
        self.count += 1
        self.sum += ticks
        self.min, self.max = min(self.min, ticks), max(self.max, ticks)
        self.buckets[bucket_of(ticks)] += 1

    def merge(self, other):
        self.count += other.count
        self.sum += other.sum
        self.min, self.max = min(self.min, other.min), max(self.max, other.max)
        self.buckets += other.buckets

    def key(self):
        return self.count, self.sum, self.min, self.max, tuple(sorted(self.buckets.items()))

    def __eq__(self, other):
        return self.key() == other.key()

    def __repr__(self):
        return f"Cell{self.key()}"


class Statistics:
    def __init__(self, data):
        self.head = structure(data, 0, STATISTICS)
        require(self.head["magic"] == STATISTICS_MAGIC and self.head["version"] == 1, "statistics with a damaged head")
        require(self.head["units"] * UNIT_BYTES <= len(data), "statistics are cut")
        self.applied = (self.head["applied"] >> 24, self.head["applied"] & 0xFFFFFF)
        self.cells = {}
        unit = FIRST_UNIT
        while unit + 2 <= self.head["units"]:
            cell = structure(data, unit * UNIT_BYTES, CELL)
            if cell["magic"] != CELL_MAGIC or cell["path"] == 0:
                unit += 1
                continue
            require(cell["path"] - 1 not in self.cells, f"path {cell['path'] - 1} has two cells")
            self.cells[cell["path"] - 1] = self.read_cell(data, cell)
            unit += 2

    def read_cell(self, data, values):
        cell = Cell()
        cell.count, cell.sum, cell.min, cell.max = (values[key] for key in ("count", "sum_ticks", "min_ticks", "max_ticks"))
        for octave, chunk in enumerate(struct.unpack("<63H", values["chunks"])):
            if chunk:
                require(FIRST_UNIT <= chunk < self.head["units"], "cell with a chunk that is none")
                for counter, count in enumerate(struct.unpack_from("<16Q", data, chunk * UNIT_BYTES)):
                    if count:
                        cell.buckets[16 * octave + counter] = count
        return cell


# LAPS

def place_of(event):
    return event.sequence, event.offset


def is_counted(event):
    return event.event_class.kind not in ("abandoned", "pause", "open", "thread", "serve", "reply", "link", "peer_lap")


Lap = collections.namedtuple("Lap", "kind path ticks event")  # kind: lap, rest or total


class Scope:
    def __init__(self, event_class, path, begin, last, marks=0):
        self.event_class, self.path, self.begin, self.last, self.marks = event_class, path, begin, last, marks


class Walker:
    """What the events of one ring mean, segment by segment."""

    def __init__(self, metadata, paths):
        self.metadata, self.paths = metadata, paths
        self.scopes, self.paused = [], 0
        self.orphans = self.abandoned = self.events = 0
        self.handles = {}  # False for those with an end

    def enter(self, segment, follows):
        if not follows:
            self.scopes = []
        self.paused = segment.header["paused_ticks"]

    def walk(self, event):
        """The laps, rests and totals of an event, as (kind, path, ticks)."""
        kind, fields = event.event_class.kind, event.fields
        now = event.ticks - self.paused
        self.events += is_counted(event)
        if kind in ("begin", "begin_with"):
            parent = self.scopes[-1].path if self.scopes else ROOT
            if fields.get("parent", 0):
                parent = fields["path"]
            self.scopes.append(Scope(event.event_class, self.paths.get(parent, event.event_class.number), now, now))
        elif kind == "open":
            if fields["depth"] == len(self.scopes):
                begin = fields["begin_ticks"] - fields["begin_paused"]
                event_class = self.metadata.classes[fields["class_id"]]
                self.scopes.append(Scope(event_class, fields["path"], begin, fields["last_ticks"], fields["marks"]))
        elif kind == "abandoned":
            self.abandoned += min(fields["count"], len(self.scopes))
            del self.scopes[max(0, len(self.scopes) - fields["count"]):]
        elif kind == "pause":
            self.paused += fields["ticks"]
        elif kind in ("mark", "end"):
            if not self.scopes:
                self.orphans += 1
                return []
            return self.walk_scope(event, self.scopes[-1], now)
        elif kind.startswith("handle_"):
            return self.walk_handle(kind, fields)
        elif kind == "call":
            return [("lap", fields["path"], fields["got_ticks"] - fields["sent_ticks"])]
        return []

    def walk_scope(self, event, scope, now):
        if event.event_class.kind == "mark":
            lap, scope.last = now - scope.last, now
            scope.marks += 1
            return [("lap", self.paths.get(scope.path, event.event_class.number), lap)]
        self.scopes.pop()
        rest = [("rest", self.paths.get(scope.path, REST_CLASS), now - scope.last)] if scope.marks else []
        return rest + [("total", scope.path, now - scope.begin)]

    def walk_handle(self, kind, fields):
        if kind == "handle_end":
            self.handles[fields["handle"]] = False
            rest = [("rest", self.paths.get(fields["path"], REST_CLASS), fields["lap_ticks"])] if fields["marks"] else []
            return rest + [("total", fields["path"], fields["total_ticks"])]
        self.handles.setdefault(fields["handle"], True)
        return [("lap", fields["path"], fields["lap_ticks"])] if kind == "handle_mark" else []


# DIRECTORIES

class Ring:
    def __init__(self, number):
        self.number, self.segments, self.statistics = number, [], None

    def gaps(self):
        return sum(after.sequence - before.sequence - 1 for before, after in zip(self.segments, self.segments[1:]))

    def is_whole(self):
        """Are all of its events there, from the first on?"""
        return bool(self.segments) and self.segments[0].sequence == 0 and self.gaps() == 0


class Process:
    def __init__(self, directory):
        self.directory, self.name = directory, os.path.basename(os.path.normpath(directory))
        self.rings, self.skipped, self.walked = {}, [], {}
        # In this order beside a running process: ORDER OF THE STORES.
        for name in self.names(os.path.join(directory, ".lapmark"), r"statistics-(\d{4,})"):
            ring = int(name.rsplit("-", 1)[1])
            data = self.read(os.path.join(".lapmark", name))
            if data[:8].strip(b"\0"):  # else it was just being made
                self.ring(ring).statistics = Statistics(data)
        for name in self.names(directory, r"stream-(\d{4,})-(\d{2}|\d{8,})"):
            self.read_segment(name)
        self.control = Control(self.read(".lapmark/control"))
        self.paths = Paths(self.read(".lapmark/paths"))
        self.metadata = Metadata(self.read("metadata"))
        require(self.control["uuid"] == self.metadata.uuid, "control page of another process")
        for ring in self.rings.values():
            ring.segments.sort(key=lambda segment: segment.sequence)
            sequences = {segment.sequence for segment in ring.segments}
            require(len(sequences) == len(ring.segments), f"ring {ring.number} has a sequence twice")
            require({segment.header["uuid"] for segment in ring.segments} <= {self.metadata.uuid}, "segment of another process")

    def read(self, name):
        with open(os.path.join(self.directory, name), "rb") as file:
            return file.read()

    @staticmethod
    def names(directory, pattern):
        found = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        return [name for name in found if re.fullmatch(pattern, name)]

    def ring(self, number):
        return self.rings.setdefault(number, Ring(number))

    def read_segment(self, name):
        path = os.path.join(self.directory, name)
        data = self.read(name)
        if not data:
            self.skipped.append(name)
            return
        segment = Segment(data, path)
        _, number, place = name.split("-")
        require(segment.header["stream"] == int(number), f"'{path}' is of ring {segment.header['stream']}")
        require(len(place) < 8 or segment.sequence == int(place), f"'{path}' has the sequence {segment.sequence}")
        require(segment.header["packet_bits"] == 8 * len(data), f"'{path}' is not as long as its packet")
        self.ring(int(number)).segments.append(segment)

    def uuid(self):
        return self.metadata.uuid.hex()

    def events(self):
        for number in sorted(self.rings):
            yield from self.ring_events(self.rings[number])

    def ring_events(self, ring):
        for segment in ring.segments:
            yield from segment.events(self.metadata.classes)

    def laps(self, ring):
        """The laps, rests and totals of a ring's events, in their order."""
        return self.walk(ring)[0]

    def walk(self, ring):
        """The same, and the walker behind the last event."""
        if ring.number in self.walked:
            return self.walked[ring.number]
        walker, laps = Walker(self.metadata, self.paths), []
        previous = None
        for segment in ring.segments:
            walker.enter(segment, previous is not None and segment.sequence == previous + 1)
            previous = segment.sequence
            for event in segment.events(self.metadata.classes):
                laps += [Lap(*lap, event) for lap in walker.walk(event)]
        self.walked[ring.number] = laps, walker
        return laps, walker

    def open_handles(self):
        """Those that have no end in any ring, nor a later one in their slot."""
        handles = {}
        for ring in self.rings.values():
            for handle, is_open in self.walk(ring)[1].handles.items():
                handles[handle] = handles.get(handle, True) and is_open
        latest = {}
        for handle in handles:
            slot, generation = handle & 0xFFFFFFFF, handle >> 32
            if slot not in latest or (generation - latest[slot]) % (1 << 32) < 1 << 31:
                latest[slot] = generation
        return [handle for handle, is_open in handles.items() if is_open and handle >> 32 == latest[handle & 0xFFFFFFFF]]

    # TIME

    @functools.cached_property
    def ticks_a_second(self):
        """Exactly, as a fraction."""
        control = self.control
        start, end = control.start, control.end
        if control["clock_source"] == CLOCK_MONOTONIC:
            return Fraction(10 ** 9)
        if end["ticks"]:
            brackets = start["bracket_ticks"] + end["bracket_ticks"]
            if brackets * 10 ** 5 <= end["ticks"] - start["ticks"] and end["monotonic_ns"] > start["monotonic_ns"]:
                return Fraction((end["ticks"] - start["ticks"]) * 10 ** 9, end["monotonic_ns"] - start["monotonic_ns"])
            return Fraction(control["clock_hz"])
        headers = [segment.header for ring in self.rings.values() for segment in ring.segments]
        newest = max(headers, key=lambda header: header["clock_ticks"], default=None)
        if newest and newest["clock_monotonic_ns"] > start["monotonic_ns"] + 10 ** 9:
            return Fraction((newest["clock_ticks"] - start["ticks"]) * 10 ** 9,
                            newest["clock_monotonic_ns"] - start["monotonic_ns"])
        return Fraction(control["clock_hz"])

    def realtime_ns(self, ticks):
        return self.control.start["realtime_ns"] + (ticks - self.control.start["ticks"]) * 10 ** 9 / self.ticks_a_second

    def is_time(self, ticks, time_ns, tolerance_ns):
        """Whether realtime_ns() of the ticks is as near to that, in whole numbers: fractions are slow."""
        start = self.control.start
        rate = self.ticks_a_second
        off = (time_ns - start["realtime_ns"]) * rate.numerator - (ticks - start["ticks"]) * 10 ** 9 * rate.denominator
        return abs(off) <= tolerance_ns * rate.numerator

    # STATISTICS OF NOW

    def current_cells(self, ring):
        """The cells of a ring as of its last event."""
        cells = {path: Cell() for path in ring.statistics.cells}
        for path, cell in ring.statistics.cells.items():
            cells[path].merge(cell)
        applied = ring.statistics.applied
        require(not ring.segments or ring.segments[0].sequence <= applied[0],
                f"ring {ring.number} has lost events behind its statistics")
        for lap in self.laps(ring):
            if place_of(lap.event) >= applied:
                cells.setdefault(lap.path, Cell()).add(lap.ticks)
        return cells

    def cells_of_events(self, ring, until=None):
        """The same from the events alone, up to a position."""
        cells = {}
        for lap in self.laps(ring):
            if until is None or place_of(lap.event) < until:
                cells.setdefault(lap.path, Cell()).add(lap.ticks)
        return cells

    def labels(self, path):
        return tuple("(other paths)" if number is None else "(rest)" if number == REST_CLASS
                     else self.metadata.classes[number].label() for number in self.paths.chain(path))

    def path_kind(self, path):
        number = self.paths.entries[path][1]
        if path == OTHER:
            return "profiler"
        if number == REST_CLASS:
            return "rest"
        return "lap" if self.metadata.classes[number].kind in ("mark", "handle_mark") else "profiler"

    def check(self, may_be_mid_batch=False):
        """Compares the stored statistics with the events: a list of what is wrong."""
        problems = []
        for ring in self.rings.values():
            if ring.statistics and ring.segments:
                problems += self.check_ring(ring, may_be_mid_batch)
        return problems

    def check_ring(self, ring, may_be_mid_batch):
        stored, head = ring.statistics.cells, ring.statistics.head
        where = f"{self.name}, ring {ring.number}, path"
        problems = []
        for path, cell in stored.items():
            require(path < self.paths.stored, f"{where} {path} is in the statistics and not in the paths")
            if head["laps_lost"] == 0 and sum(cell.buckets.values()) != cell.count and not may_be_mid_batch:
                problems.append(f"{where} {path}: {cell.count} samples, but {sum(cell.buckets.values())} in the histogram")
        found = self.cells_of_events(ring, ring.statistics.applied)
        doubtful = set()
        if may_be_mid_batch:  # the event at the position may be in already, wholly or in part
            doubtful = {lap.path for lap in self.laps(ring) if place_of(lap.event) == ring.statistics.applied}
        is_exact = ring.is_whole() and head["taken_back"] == 0 and head["laps_lost"] == 0
        missing = 0
        for path in sorted(set(stored) | set(found)):
            a, b = stored.get(path, Cell()), found.get(path, Cell())
            missing += max(0, b.count - a.count)
            if path in doubtful:
                if is_exact and not 0 <= a.count - b.count <= 1:
                    problems.append(f"{where} {path}: stored {a}, of the events {b}, beyond the doubt")
            elif is_exact and a != b:
                problems.append(f"{where} {path} {self.labels(path)}: stored {a}, of the events {b}")
        if missing > head["laps_lost"]:
            problems.append(f"{where}s lack {missing} samples of the events, {head['laps_lost']} of them lost")
        return problems


def is_process(directory):
    return any(os.path.lexists(os.path.join(directory, name)) for name in ("metadata", ".lapmark/control"))


def find_processes(directory):
    """The process directories that a directory holds, or it itself."""
    if is_process(directory):
        return [directory]
    entries = [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if not name.startswith(".")]
    return [entry for entry in entries if os.path.isdir(entry) and is_process(entry)]


def read_recording(directory):
    """All processes of a recording by the names of their directories."""
    found = find_processes(directory)
    require(found, f"'{directory}' holds no recording")
    return {process.name: process for process in map(Process, found)}


def print_events(process):
    for event in process.events():
        print(json.dumps({"process": process.name, "ring": event.ring, "sequence": event.sequence, "offset": event.offset,
                          "ticks": event.ticks, "class": event.event_class.number, "name": event.event_class.name,
                          "kind": event.event_class.kind, "fields": event.fields}))


def print_laps(process):
    for number in sorted(process.rings):
        for lap in process.laps(process.rings[number]):
            print(json.dumps({"process": process.name, "ring": lap.event.ring, "ticks": lap.event.ticks, "kind": lap.kind,
                              "path": process.labels(lap.path), "lap_ticks": lap.ticks}))


def print_statistics(process):
    rate = process.ticks_a_second
    for number in sorted(process.rings):
        ring = process.rings[number]
        cells = process.current_cells(ring) if ring.statistics else process.cells_of_events(ring)
        for path, cell in sorted(cells.items()):
            if cell.count:
                print(json.dumps({"process": process.name, "ring": number, "path": process.labels(path), "count": cell.count,
                                  "sum_ticks": cell.sum, "min_ticks": cell.min, "max_ticks": cell.max,
                                  "total_ns": float(cell.sum * 10 ** 9 / rate)}))


def main(arguments):
    modes = {"--events": print_events, "--laps": print_laps, "--statistics": print_statistics, "--check": None}
    mode = arguments.pop(0) if arguments and arguments[0] in modes else "--events"
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    status = 0
    for directory in arguments:
        for process in read_recording(directory).values():
            if modes[mode]:
                modes[mode](process)
                continue
            problems = process.check()
            print("\n".join(problems) if problems else f"{process.name}: statistics and events agree")
            status = 1 if problems else status
    return status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (FormatError, OSError) as error:
        sys.exit(f"lapmark_format.py: {error}")
