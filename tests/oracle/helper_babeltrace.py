# SPDX-License-Identifier: MIT
"""Lists what babeltrace2 finds in a trace, a JSON array a line. Run by the interpreter that has its module, with the
directory as argument. Exit status 77: there is no such module.

  ["packet", uuid, stream, begin clock, {context}]
  ["event", uuid, stream, class, name, clock, [[field, value]...]]
  ["discarded", uuid, stream]
"""
import json
import sys

try:
    import bt2
except ImportError:
    sys.exit(77)


def plain(value):
    """A field's value in Python's own types."""
    if isinstance(value, bt2._IntegerFieldConst):
        return int(value)
    if isinstance(value, bt2._RealFieldConst):
        return float(value)
    if isinstance(value, bt2._StringFieldConst):
        # Of an empty one babeltrace2 2.0.4 sets the length only: its value is what the field held before.
        return str(value) if len(value) else ""
    return [plain(element) for element in value]


def stream_of(stream):
    return [stream.trace.uuid.hex, stream.id]


def main(path):
    streams = {}
    write = sys.stdout.write
    for message in bt2.TraceCollectionMessageIterator(path):
        if type(message) is bt2._EventMessageConst:
            event = message.event
            stream = event.stream
            key = streams.get(stream.addr) or streams.setdefault(stream.addr, stream_of(stream))
            payload = event.payload_field
            fields = [[name, plain(payload[name])] for name in payload] if payload is not None else []
            write(json.dumps(["event", *key, event.cls.id, event.name, message.default_clock_snapshot.value, fields]) + "\n")
        elif type(message) is bt2._PacketBeginningMessageConst:
            context = message.packet.context_field
            fields = {name: plain(context[name]) for name in context}
            write(json.dumps(["packet", *stream_of(message.packet.stream), message.default_clock_snapshot.value, fields]) + "\n")
        elif type(message) in (bt2._DiscardedEventsMessageConst, bt2._DiscardedPacketsMessageConst):
            write(json.dumps(["discarded", *stream_of(message.stream)]) + "\n")


main(sys.argv[1])
