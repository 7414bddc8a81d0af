# SPDX-License-Identifier: MIT
"""OTLP as Python has it, from protoc's text and from JSON: the two come out alike."""
import collections
import json
import os
import re

import common_export as export
import common_protobuf as protobuf
from common_export import common

RECEIVER = os.environ.get("OTLP_RECEIVER", "")
KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(1, 6)

Span = collections.namedtuple("Span", "resource trace id parent flags name kind begin end attributes events dropped_events links "
                                      "dropped_links status")
Event = collections.namedtuple("Event", "time name attributes")
Link = collections.namedtuple("Link", "trace id attributes")


def attributes(pairs):
    common.equal(len({key for key, _ in pairs}), len(pairs), pairs)
    return dict(pairs)


# ---- protobuf --------------------------------------------------------------------------------------------------------------


def decoded(path):
    return protobuf.decoded(path, "opentelemetry.proto.trace.v1.TracesData", RECEIVER, "opentelemetry/proto/trace/v1/trace.proto")


def proto_attributes(found):
    kinds = {"string_value": lambda value: value.decode(), "int_value": int, "bool_value": {"true": True}.get}
    pairs = []
    for pair in found:
        (kind, (value,)), = pair["value"][0].items()
        pairs.append((pair["key"][0].decode(), kinds[kind](value)))
    return attributes(pairs)


def one(message, field, default=None):
    values = message[field] or [default]
    common.equal(len(values), 1)
    return values[0]


def proto_span(resource, span):
    kind = one(span, "kind").removeprefix("SPAN_KIND_")
    return Span(resource, one(span, "trace_id").hex(), one(span, "span_id").hex(), one(span, "parent_span_id", b"").hex(),
                int(one(span, "flags")), one(span, "name", b"").decode(), KINDS.index(kind), int(one(span, "start_time_unix_nano")),
                int(one(span, "end_time_unix_nano")), proto_attributes(span["attributes"]),
                [Event(int(one(event, "time_unix_nano")), one(event, "name", b"").decode(), proto_attributes(event["attributes"]))
                 for event in span["events"]], int(one(span, "dropped_events_count", 0)),
                [Link(one(link, "trace_id").hex(), one(link, "span_id").hex(), proto_attributes(link["attributes"]))
                 for link in span["links"]], int(one(span, "dropped_links_count", 0)), dict(one(span, "status")))


def proto_spans(path):
    found = []
    for batch in protobuf.messages(decoded(path))["resource_spans"]:
        resource = proto_attributes(one(batch, "resource")["attributes"])
        common.equal(one(batch, "schema_url"), b"https://opentelemetry.io/schemas/1.33.0")
        scope_spans = one(batch, "scope_spans")
        common.equal(one(one(scope_spans, "scope"), "name"), b"lapmark")
        found.extend(proto_span(resource, span) for span in scope_spans["spans"])
    return found


# ---- JSON -------------------------------------------------------------------------------------------------------------------


def json_attributes(found):
    pairs = []
    for pair in found:
        (kind, value), = pair["value"].items()
        common.equal(type(value), bool if kind == "boolValue" else str, pair)
        pairs.append((pair["key"], int(value) if kind == "intValue" else value))
    return attributes(pairs)


def of_id(text, digits):
    common.check(re.fullmatch(f"[0-9a-f]{{{digits}}}", text) and int(text, 16) != 0, text)
    return text


def json_span(resource, span):
    return Span(resource, of_id(span["traceId"], 32), of_id(span["spanId"], 16),
                of_id(span["parentSpanId"], 16) if "parentSpanId" in span else "", span["flags"], span["name"], span["kind"],
                int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]), json_attributes(span["attributes"]),
                [Event(int(event["timeUnixNano"]), event["name"], json_attributes(event["attributes"])) for event in span.get("events", [])],
                span.get("droppedEventsCount", 0),
                [Link(of_id(link["traceId"], 32), of_id(link["spanId"], 16), json_attributes(link["attributes"]))
                 for link in span.get("links", [])], span.get("droppedLinksCount", 0),
                {"code": [["STATUS_CODE_UNSET"][code]] for code in span["status"].values() if code != 0})


def json_spans(path):
    found = []
    with open(path, "rb") as file:
        for line in file:
            for batch in json.loads(line)["resourceSpans"]:
                resource = json_attributes(batch["resource"]["attributes"])
                common.equal(batch["schemaUrl"], "https://opentelemetry.io/schemas/1.33.0")
                for scope_spans in batch["scopeSpans"]:
                    common.equal(scope_spans["scope"]["name"], "lapmark")
                    found.extend(json_span(resource, span) for span in scope_spans["spans"])
    return found
