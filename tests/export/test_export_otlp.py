# SPDX-License-Identifier: MIT
"""`export --format otlp` and `otlp-json`, by protoc's decoder with the protocol's own .proto files, and by a receiver over HTTP: counts,
durations, nesting, names, ids, links."""
import collections
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request

import common_export as export
import common_otlp as otlp
import common_protobuf as protobuf
from common_export import Sum, common
from common_otlp import CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER

NODE = shutil.which("node") or shutil.which("nodejs")
READERS = [os.environ.get(name, "") for name in ("OTLP_RECEIVER", "OTLP_PROTOBUFJS", "OTLP_LONG")]


@functools.cache
def spans_of(directory, form="otlp"):
    read = otlp.proto_spans if form == "otlp" else otlp.json_spans
    return read(export.export(directory, form))


def many_steps():
    return export.record("many-steps", export.program("steps", "tests/export"), "many", "1500")


def named_steps():
    names, directory = export.named_steps()
    return names, spans_of(directory)


def only(found, **wanted):
    span, = (span for span in found if all(getattr(span, key) == value for key, value in wanted.items()))
    return span


def relations(span):
    return sorted((link.attributes["lapmark.relation"], link.trace, link.id) for link in span.links)


# ---- what spans say, as sums ------------------------------------------------------------------------------------------------


def total_ns(span):
    return span.attributes.get("lapmark.total_ns", span.end - span.begin)


def chain(by_id, span):
    """Labels from the root. What is around a span of another trace is told by a link."""
    inside = [by_id[trace, number] for relation, trace, number in relations(span) if relation == "inside"]
    around = by_id.get((span.trace, span.parent)) if span.parent else None
    if around is None and inside:
        around, = inside
    return (chain(by_id, around) if around else ()) + (span.name,)


def sums(spans, by_chain=True):
    found = collections.defaultdict(lambda: Sum(0, 0))

    def add(key, took_ns):
        found[key] = Sum(found[key].count + 1, found[key].total_ns + took_ns)

    by_id = {(span.trace, span.id): span for span in spans}
    for span in spans:
        labels = chain(by_id, span)
        for event in span.events:
            if event.name != "(recorder)":
                key = labels + (event.name,) if by_chain else event.name
                add((key, "rest" if event.name == "(rest)" else "lap"), event.attributes["lapmark.lap_ns"])
        if not {"lapmark.unfinished", "lapmark.abandoned"} & span.attributes.keys():
            add((labels if by_chain else span.name, "profiler"), total_ns(span))
    return dict(found)


def check_sound(spans, nest=True):
    """What holds for every span; `nest`: those of a thread lie in what is around them, as scopes do."""
    by_id = {(span.trace, span.id): span for span in spans}
    common.equal(len(by_id), len(spans))
    for span in spans:
        common.check(span.begin <= span.end and len(span.trace) == 32 and len(span.id) == 16 and span.flags & 1, span)
        common.equal(span.status, {})
        common.equal([event.time for event in span.events], sorted(event.time for event in span.events))
        common.check(all(span.begin <= event.time <= span.end for event in span.events), span)
        around = by_id.get((span.trace, span.parent))
        if nest and around and around.attributes["thread.id"] == span.attributes["thread.id"]:
            common.check(around.begin <= span.begin and span.end <= around.end, (span, around))


# ---- recordings -------------------------------------------------------------------------------------------------------------


def test_scopes_nest_and_add_up():
    directory = export.threads()
    spans = spans_of(directory)
    export.compare_sums(sums(spans), export.truth(directory))
    check_sound(spans)
    inner = [span for span in spans if span.name == "inner of %d"]
    common.equal({span.attributes["lapmark.message"] for span in inner}, {f"inner of {turn}" for turn in range(20)})
    common.equal(sum(span.attributes["lapmark.n"] for span in inner), 2 * 3 * sum(range(1, 21)))
    events = [event for span in inner for event in span.events]
    common.equal(sum(event.attributes.get("lapmark.n", 0) for event in events), 2 * 3 * sum(3 * 10 * turn + 3 for turn in range(20)))
    common.equal({event.attributes["lapmark.message"] for event in events if event.name == "formatted %d as %s"},
                 {f"formatted {turn} as {'odd' if turn % 2 else 'even'}" for turn in range(20)})
    common.equal([span.name for span in spans if "lapmark.abandoned" in span.attributes], ["left by longjmp"])
    common.equal({span.attributes["thread.name"] for span in inner}, {"worker-0", "worker-1", "worker-2"})
    for span in inner:
        common.equal((span.attributes["code.function.name"], span.attributes["code.file.path"]),
                     ("inner", f"{export.SOURCE}/tests/export/subject.c"))


def test_resource():
    directory = export.threads()
    process, = common.lapmark_json("report", directory)["processes"]
    resource, = {tuple(sorted(span.resource.items())) for span in spans_of(directory)}
    resource = dict(resource)
    common.equal((resource["service.name"], resource["process.executable.name"], resource["process.pid"]), ("subject", "subject", process["pid"]))
    common.equal(resource["process.command_line"], f"{export.program('subject', 'tests/export')} threads 20")
    common.equal(resource["host.name"], os.uname().nodename)
    common.equal({key: resource[key] for key in resource if key.startswith("telemetry")},
                 {"telemetry.sdk.name": "lapmark", "telemetry.sdk.language": "c", "telemetry.sdk.version": "0.1.0"})
    common.check("lapmark.state" not in resource and "lapmark.lost_events" not in resource, resource)
    common.equal([span.resource["lapmark.state"] for span in spans_of(export.killed())], ["died"])


def test_handles():
    directory = export.handles()
    spans = spans_of(directory)
    export.compare_sums(sums(spans), export.truth(directory))
    check_sound(spans, nest=False)
    for span in spans:
        for event in span.events:
            is_elsewhere = event.name in ("on the other thread", "counted") or (span.name, event.name) == ("request %d", "(rest)")
            common.equal("thread.id" in event.attributes, is_elsewhere, event)


def check_calls(directory):
    """Each by hand: ids, times, parts, and the line that it is in."""
    calls = sorted((span for span in spans_of(directory) if span.kind in (CLIENT, PRODUCER)), key=lambda span: span.begin)
    wanted = export.calls_by_hand(directory)
    common.equal([(span.name, span.trace, span.id, span.kind == PRODUCER, span.attributes.get("lapmark.refused", False)) for span in calls],
                 [(call.name, call.trace, call.id, call.one_way, call.refused) for call in wanted])
    for span, call in zip(calls, wanted):
        export.check_call(call, span.begin, span.end, {part: span.attributes.get(f"lapmark.{part}") for part in export.PARTS})


def test_places():
    """A label is in its line of the source."""
    for make in (export.threads, export.calls, export.at_once):
        for span in spans_of(make()):
            with open(span.attributes["code.file.path"], encoding="utf-8") as file:
                line = file.read().split("\n")[span.attributes["code.line.number"] - 1]
            common.check(json.dumps(span.name, ensure_ascii=False) in line, (span.name, line))


def test_what_is_known_of_a_process():
    for form in ("otlp", "otlp-json"):
        path = export.export(export.calls(), form, *export.hosts(), export.elsewhere())
        resources = {span.resource["process.pid"]: span.resource for span in (otlp.proto_spans if form == "otlp" else otlp.json_spans)(path)}
        by_program = {resource["service.name"]: {key: value for key, value in resource.items() if key.startswith("lapmark.")}
                      for resource in resources.values()}
        common.check(0 < by_program["host_call_server"].pop("lapmark.time_error_ns") < 10 ** 6, by_program)
        common.equal(by_program, {"subject": {"lapmark.lost_events": export.LOST, "lapmark.times_by_wall_clock": True}, "call_pair": {},
                                  "host_call_client": {}, "host_call_server": {}})


def test_calls():
    directory = export.calls()
    spans = spans_of(directory)
    export.compare_sums(sums(spans, by_chain=False), export.truth(directory, by_chain=False))
    check_sound(spans)
    check_calls(directory)
    check_calls(export.at_once())
    calls = {span.id: span for span in spans if span.kind == CLIENT}
    served = [span for span in spans if span.kind == SERVER]
    client = only(spans, name="client")
    common.equal((len(calls), len(served)), (5, 5))
    common.equal(client.kind, INTERNAL)
    common.equal(relations(client), sorted(("call", call.trace, call.id) for call in calls.values()))
    for span in served:
        call = calls[span.parent]
        common.equal(span.trace, call.trace)
        common.check(span.flags & 0x300 == 0x300 and span.resource["process.pid"] != call.resource["process.pid"], span)
        common.equal(relations(call), [("inside", client.trace, client.id)])
        took = [call.attributes[f"lapmark.{part}_ns"] for part in ("server", "between")]
        common.check(min(took) > 0 and abs(sum(took) - (call.end - call.begin)) <= 3, call)


def test_hosts_are_on_one_clock():
    client, server = export.hosts()
    spans = otlp.proto_spans(export.export(client, "otlp", server))
    common.equal(otlp.json_spans(export.export(client, "otlp-json", server)), spans)
    errors = {span.kind: span.resource.get("lapmark.time_error_ns") for span in spans}
    calls = {(span.trace, span.id): span for span in spans if span.kind == CLIENT}
    served = [span for span in spans if span.kind == SERVER]
    common.equal((len(calls), len(served)), (20, 20))
    error_ns, = {errors[kind] for kind in (CLIENT, SERVER)} - {None}
    common.check(0 < error_ns < 10 ** 6, errors)
    for span in served:  # which goes on after its reply
        call = calls[span.trace, span.parent]
        worked, = (event.time for event in span.events if event.name == "worked")
        export.check_served((call.begin, call.end), span.begin, worked, error_ns + 2)


def test_awkward_names():
    spans = spans_of(export.awkward())
    check_sound(spans)
    events = [event for span in spans for event in span.events]
    export.check_awkward(collections.Counter(span.name for span in spans), collections.Counter(event.name for event in events),
                         collections.Counter(event.attributes["lapmark.message"] for event in events if event.name == "%s argument"))


def test_what_has_no_end():
    span, = spans_of(export.killed())
    common.equal((span.name, span.attributes.get("lapmark.unfinished")), ("open for ever", True))


def test_what_is_gone():
    directory = export.lossy()
    spans = spans_of(directory, "otlp-json")
    outer = only(spans, name="around all")
    common.check(outer.attributes["lapmark.cut"], outer)
    export.compare_sums(sums(spans), export.truth(directory))


def test_empty_and_torn():
    common.equal(spans_of(export.empty()), [])
    names = collections.Counter(span.name for span in spans_of(export.torn()))
    common.check(20 < names["one of many"] < 80 and names["around all"] == 1, names)


def test_both_formats_say_the_same():
    for make in (*export.ALL, export.steps, many_steps):
        directory = make()
        if make is export.lossy:  # large: how many there are
            text = otlp.decoded(export.export(directory, "otlp"))
            common.equal(text.count("\n    spans {\n"), len(spans_of(directory, "otlp-json")))
            common.equal(text.count("\n      events {\n"), sum(len(span.events) for span in spans_of(directory, "otlp-json")))
        else:
            common.equal(spans_of(directory, "otlp-json"), spans_of(directory), directory)


def test_the_same_each_time():
    directory = export.steps()
    others = export.export(directory, "otlp", export.threads())
    for span in otlp.proto_spans(others):
        common.check(span in spans_of(directory) or span in spans_of(export.threads()), span)


# ---- traces -----------------------------------------------------------------------------------------------------------------


def test_calls_within_a_process():
    names, spans = named_steps()
    check_sound(spans, nest=False)
    for call, served, kinds in (("call", "serve a call", (CLIENT, SERVER)), ("message", "take a message", (PRODUCER, CONSUMER))):
        caller, server = only(spans, name=call), only(spans, name=served)
        common.equal((caller.trace, caller.id), names[call])
        common.equal((caller.kind, server.kind), kinds)
        common.equal((server.trace, server.parent), names[call])
        around = only(spans, name="caller")
        for span in (caller, server):
            common.equal(relations(span), [("inside", around.trace, around.id)])


def test_what_others_know_it_by():
    names, spans = named_steps()
    named = only(spans, name="named late")
    common.equal((named.trace, named.id, named.parent), (*names["named"], ""))
    for name in ("inside the named", "call of the named"):
        span = only(spans, name=name)
        common.equal((span.trace, span.parent, span.links), (*names["named"], []))
    served = only(spans, name="serve a traceparent")
    common.equal((served.trace, served.id), names["served"])
    common.equal((served.trace, served.parent, served.kind, served.links),
                 ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", SERVER, []))
    inside = only(spans, name="inside the served")
    common.equal((inside.trace, inside.parent), names["served"])


def test_what_follows():
    names, spans = named_steps()
    client = only(spans, name="client of both")
    first, second = (only(spans, trace=names[name][0], id=names[name][1]) for name in ("first", "second"))
    common.equal(relations(first), [("inside", client.trace, client.id)])
    common.equal(relations(second), sorted([("follows", *names["first"]), ("inside", client.trace, client.id)]))
    common.equal(relations(only(spans, name="batch")), sorted(("follows", *names[name]) for name in ("first", "second")))


def test_what_is_too_much():
    spans = spans_of(many_steps())
    around = only(spans, name="around many")
    common.equal((len(around.events), around.dropped_events), (1000, 501))  # with the rest
    common.equal((len(around.links), around.dropped_links), (126, 1500 - 126))  # two have their place: where it belongs
    common.equal(sum(span.kind == CLIENT for span in spans), 1500)


# ---- a receiver -------------------------------------------------------------------------------------------------------------


class Receiver:
    def __init__(self):
        self.process = subprocess.Popen([NODE, os.path.join(export.SOURCE, "tests/export/helper_otlp_receiver.cjs"), *READERS],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate()

    def post(self, content_type, body):
        """The spans that it received, with their services, and the trees that it drew, without colours."""
        request = urllib.request.Request(f"{self.url}v1/traces", data=body, headers={"Content-Type": content_type})
        with urllib.request.urlopen(request) as answer:
            common.equal(answer.status, 200)
        answer = json.loads(self.process.stdout.readline())
        received = [(batch["resource"]["attributes"]["service.name"], span) for batch in answer["received"]["resourceSpans"]
                    for scope_spans in batch["scopeSpans"] for span in scope_spans["spans"]]
        return received, re.sub(r"\x1b\[\d+m", "", answer["drawn"])


def test_a_receiver_takes_each():
    with Receiver() as receiver:
        for make in (export.threads, export.awkward, export.killed, export.calls, export.steps, many_steps):
            wanted = collections.Counter((span.resource["service.name"], span.name, span.id) for span in spans_of(make()))
            with open(export.export(make(), "otlp"), "rb") as file:
                spans, drawn = receiver.post("application/x-protobuf", file.read())
            common.check("trouble" not in drawn, drawn)
            common.equal(collections.Counter((service, span["name"], span["spanId"]) for service, span in spans), wanted)
            common.equal({span["status"]["code"] for _, span in spans}, {"STATUS_CODE_UNSET"})
            if make is export.calls:
                common.equal(re.findall(r'span \w{6} "(get items)".*CLIENT.*\n.*`- span \w{6} "(serve)".*SERVER', drawn),
                             5 * [("get items", "serve")])
            lines = collections.Counter()
            with open(export.export(make(), "otlp-json"), "rb") as file:
                for line in file:
                    common.check(len(line) < 2 << 20, len(line))
                    spans, drawn = receiver.post("application/json", line.rstrip(b"\n"))
                    common.check("trouble" not in drawn, drawn)
                    lines.update((service, span["name"], span["spanId"]) for service, span in spans)
            common.equal(lines, wanted)


if __name__ == "__main__":
    if not NODE or not protobuf.PROTOC or not all(map(os.path.isdir, READERS)):
        print("not tested here: no node, no protoc, or no packages from the npm registry")
        sys.exit(common.SKIPPED)
    export.main(globals())
