# SPDX-License-Identifier: MIT
"""`calls` on recordings of a client and a server whose delays are known, and against what the stored events say."""
import json
import os
import re
import shutil
import tempfile

import common

WORK = tempfile.mkdtemp(prefix="lapmark-test-", dir="/var/tmp" if os.access("/var/tmp", os.W_OK) else None)
RECORDED = set()
THERE_MS, QUEUE_MS, BUSY_MS, PARSE_MS, BACK_MS = 2, 3, 12, 2, 4
PARTS = ("total_ns", "answered_ns", "server_ns", "queue_ns", "handle_ns", "between_ns", "there_ns", "back_ns")
ROUNDING_NS = 0.01


def recorded(mode, count=20, **variables):
    """The directory of a recording of `call_pair MODE COUNT`, made once."""
    directory = f"{WORK}/{mode}"
    if mode not in RECORDED:
        if not RECORDED:
            common.workload(WORK, "call_pair")
        RECORDED.add(mode)
        result = common.run(f"{WORK}/call_pair", mode.split("_laps", 1)[0], str(count), LAPMARK_RECORD=directory,
                            LAPMARK_PRINT="off", **{"LAPMARK_SHARE": "domain", **variables})
        common.equal((result.status, result.err), (0, ""), result)
    return directory


def events_of(*directories):
    """The calls as stored: (name, fields, nanoseconds a tick of the caller's clock)."""
    rates = {process["name"]: 1e9 / process["clock"]["hz"]
             for process in common.lapmark_json("report", *directories)["processes"]}
    lines = common.lapmark("show", "--events", "--json", *directories).out.splitlines()
    return [(event["name"], event["fields"], rates[event["process"]])
            for event in map(json.loads, lines) if event["kind"] == "call"]


def split_by_hand(fields, rate):
    """The parts of an answered call by include/lapmark/call.h, both sides having one clock."""
    t1, t2, t3, t4 = (fields[name] for name in ("sent_ticks", "received_ticks", "replied_ticks", "got_ticks"))
    queue = fields["queue_us"] * 1e3
    server = (t3 - t2) * rate
    return {"answered_ns": (t4 - t1) * rate, "server_ns": server, "queue_ns": queue, "handle_ns": server - queue,
            "between_ns": (t4 - t1) * rate - server, "there_ns": (t2 - t1) * rate, "back_ns": (t4 - t3) * rate}


def close(got, wanted, part=1e-6):
    common.check(abs(got - wanted) <= part * abs(wanted) + 1, (got, wanted))


def check_kind(kind):
    """What is so of every kind."""
    common.equal(kind["count"], kind["answered"] + kind["silent"] + kind["refused"], kind)
    common.check(abs(kind["sum_ns"] - kind["total_ns"]["mean"] * kind["count"]) <= ROUNDING_NS * kind["count"], kind)
    for part in PARTS:
        if kind[part]:
            common.check(kind[part]["p50"] <= kind[part]["p99"] <= kind[part]["max"], kind)
            common.check(kind[part]["mean"] <= kind[part]["max"] + ROUNDING_NS, kind)
    if kind["answered"]:
        mean = {part: kind[part]["mean"] for part in PARTS if kind[part]}
        common.check(abs(mean["answered_ns"] - mean["server_ns"] - mean["between_ns"]) <= ROUNDING_NS, kind)
        common.check(abs(mean["server_ns"] - mean["queue_ns"] - mean["handle_ns"]) <= ROUNDING_NS, kind)
    if kind["there_ns"]:
        common.check(abs(mean["between_ns"] - mean["there_ns"] - mean["back_ns"]) <= ROUNDING_NS, kind)


def only(directory, *arguments):
    value = common.lapmark_json("calls", directory, *arguments)
    (kind,) = value["calls"]
    check_kind(kind)
    return value, kind


def test_known_delays():
    value, kind = only(recorded("plain"))
    common.equal((value["version"], value["count"], value["answered"], value["silent"], value["refused"],
                  value["incomplete"]), (1, 20, 20, 0, 0, False))
    common.equal((kind["name"], kind["count"], kind["answered"]), ("get items", 20, 20))
    least = {"server_ns": QUEUE_MS + BUSY_MS, "queue_ns": QUEUE_MS - 0.001, "handle_ns": BUSY_MS,
             "between_ns": THERE_MS + BACK_MS, "there_ns": THERE_MS, "back_ns": BACK_MS}
    for part, ms in least.items():
        common.check(kind[part]["mean"] >= ms * 1e6 and kind[part]["p50"] >= ms * 0.95e6, (part, kind))
    (clock,) = value["clocks"]
    common.equal((clock["client"], clock["calls"], clock["is_same"], clock["is_contradicted"], clock["theta_ns"],
                  clock["error_ns"], clock["steps"]), (clock["server"], 20, True, False, 0, 0, []))


def test_same_as_the_events():
    """Means, sums and the greatest by hand, from what `show --events` lists; percentiles within a bucket."""
    for mode in ("plain", "kinds"):
        events = events_of(recorded(mode))
        value = common.lapmark_json("calls", recorded(mode))
        common.equal(sorted(kind["name"] for kind in value["calls"]), sorted({name for name, _, _ in events}))
        for kind in value["calls"]:
            check_kind(kind)
            splits = [split_by_hand(fields, rate) for name, fields, rate in events if name == kind["name"]]
            common.equal(kind["answered"], len(splits))
            for part in PARTS[1:]:
                times = sorted(split[part] for split in splits)
                close(kind[part]["mean"], sum(times) / len(times))
                close(kind[part]["max"], times[-1])
                close(kind[part]["p50"], times[len(times) // 2 - 1], 1 / 16)
        close(value["sum_ns"], sum(split_by_hand(fields, rate)["answered_ns"] for _, fields, rate in events))
        sums = [kind["sum_ns"] for kind in value["calls"]]
        common.equal(sums, sorted(sums, reverse=True))


def laps_by_hand(directory):
    """For each kind what its calls' laps are in sum, from the events that stand behind each."""
    sums, name = {}, None
    for event in map(json.loads, common.lapmark("show", "--events", "--json", directory).out.splitlines()):
        fields = event["fields"]
        if event["kind"] == "call":
            name, span = event["name"], fields["span_id"]
        if event["kind"] == "peer_lap":
            common.equal(fields["span_id"], span)
            sum_ns, count = sums.get((name, fields["label"]), (0, 0))
            sums[name, fields["label"]] = sum_ns + fields["sum_ns"], count + fields["count"]
    return sums


def test_laps():
    """What the server tells of its own work, by kind, is what the events say, and lasts as long as it worked."""
    directory = recorded("kinds_laps", LAPMARK_SHARE="laps")
    sums = laps_by_hand(directory)
    value = common.lapmark_json("calls", directory)
    common.equal(sums, {(kind["name"], lap["label"]): (lap["sum_ns"], lap["count"])
                        for kind in value["calls"] for lap in kind["laps"]})
    common.equal(sorted(sums), [(name, label) for name in ("get items", "put item") for label in ("look up #", "parse")])
    for kind in value["calls"]:
        common.equal([(lap["label"], lap["count"]) for lap in kind["laps"]], [("look up #", 10), ("parse", 10)])
        for lap, least_ms in zip(kind["laps"], (BUSY_MS - PARSE_MS, PARSE_MS)):
            common.check(lap["sum_ns"] >= least_ms * 1e6 * 10 * 0.99, kind)
        common.check(sum(lap["sum_ns"] for lap in kind["laps"]) <= kind["handle_ns"]["mean"] * 10 * 1.001, kind)
        line = re.search(f'^laps +of the server of "{kind["name"]}": look up # .* ms \\(.*%\\), parse .* ms',
                         common.lapmark("calls", directory).out, re.MULTILINE)
        common.check(line, kind["name"])
    for kind in common.lapmark_json("calls", recorded("kinds"))["calls"]:
        common.equal(kind["laps"], [])
    common.check("laps" not in common.lapmark("calls", recorded("kinds")).out)


def test_slowest():
    events = events_of(recorded("kinds"))
    times = sorted(((fields["got_ticks"] - fields["sent_ticks"]) * rate for _, fields, rate in events), reverse=True)
    spans = {f"{fields['span_id']:016x}": name for name, fields, _ in events}
    for arguments, count in (([], 5), (["--slowest", "3"], 3), (["--slowest=50"], 20)):
        slowest = common.lapmark_json("calls", recorded("kinds"), *arguments)["slowest"]
        common.equal(len(slowest), count)
        for call, wanted in zip(slowest, times):
            close(call["total_ns"], wanted)
            close(call["total_ns"], call["server_ns"] + call["between_ns"])
            close(call["between_ns"], call["there_ns"] + call["back_ns"])
            common.equal((call["outcome"], call["name"]), ("answered", spans[call["span_id"]]))


def test_silent():
    value, kind = only(recorded("silent"))
    common.equal((kind["count"], kind["answered"], kind["silent"], kind["refused"]), (20, 15, 5, 0))
    splits = [split_by_hand(fields, rate) for _, fields, rate in events_of(recorded("silent")) if fields["received_ticks"]]
    close(kind["server_ns"]["mean"], sum(split["server_ns"] for split in splits) / 15)
    common.equal({call["outcome"] for call in common.lapmark_json("calls", recorded("silent"), "--slowest=20")["slowest"]},
                 {"answered", "silent"})
    text = common.lapmark("calls", recorded("silent")).out
    common.check("in the mean: of 15 calls whose peer says what it did, " in text, text)
    common.check("\nsilent      the peer of 5 of 20 calls says nothing of its part; the split is of the others\n" in text, text)
    common.equal(sum(clock["calls"] for clock in value["clocks"]), 15)


def test_all_silent():
    value, kind = only(recorded("all_silent", 3))
    common.equal((kind["silent"], value["clocks"], [kind[part] for part in PARTS[1:]]), (3, [], [None] * 7))
    text = common.lapmark("calls", recorded("all_silent")).out
    common.check("the peer says nothing of its part, so where that went is not known\n" in text, text)


def test_refused():
    _, kind = only(recorded("refused"))
    common.equal((kind["count"], kind["answered"], kind["silent"], kind["refused"]), (20, 10, 0, 10))
    text = common.lapmark("calls", recorded("refused")).out
    common.check("\nrefused     what came with the reply to 10 of 20 calls is no trailer, or another call's;" in text, text)
    common.check(re.search(r"^\d\. get items .* refused$|^· server +10 ", text.replace("  ·", "·"), re.MULTILINE), text)


def test_two_recordings():
    """The server's is another recording: the same numbers, whether it is given or not."""
    directory = recorded("apart", 6, SERVER_RECORD=f"{WORK}/apart-server")
    both = common.lapmark_json("calls", directory, f"{WORK}/apart-server")
    alone, kind = only(directory)
    common.equal((both["calls"], both["count"]), (alone["calls"], 6))
    common.equal(len(common.lapmark_json("report", directory, f"{WORK}/apart-server")["processes"]), 2)
    common.equal(common.lapmark_json("calls", f"{WORK}/apart-server")["calls"], [])
    two = common.lapmark_json("calls", directory, recorded("plain"))
    (joined,) = two["calls"]
    check_kind(joined)
    _, plain = only(recorded("plain"))
    common.equal(joined["count"], 26)
    close(joined["sum_ns"], plain["sum_ns"] + kind["sum_ns"])
    close(joined["server_ns"]["max"], max(plain["server_ns"]["max"], kind["server_ns"]["max"]))
    common.equal([clock["calls"] for clock in two["clocks"]], [26])


def test_by():
    """A kind for each process or thread: two recordings have two clients."""
    directories = [recorded("plain"), recorded("kinds")]
    for by in ("process", "thread"):
        kinds = common.lapmark_json("calls", "--by", by, *directories)["calls"]
        for kind in kinds:
            check_kind(kind)
        clients = {kind["process"] for kind in kinds}
        common.equal((len(clients), sorted((kind["name"], kind["count"]) for kind in kinds)),
                     (2, [("get items", 10), ("get items", 20), ("put item", 10)]))
        common.equal([kind["thread"] is None for kind in kinds], [by == "process"] * 3)
    text = common.lapmark("calls", "--by=process", *directories).out
    common.equal(len(re.findall(r"^call_pair \d+$", text, re.MULTILINE)), 2, text)


# ---- clocks


def bounds_by_hand(fields, clock):
    """Between what the offset of the server's clock is, by one call."""
    ns, peer_ns = 1e9 / clock["client_hz"], 1e9 / clock["server_hz"]
    return (fields["replied_ticks"] * peer_ns - fields["got_ticks"] * ns,
            fields["received_ticks"] * peer_ns - fields["sent_ticks"] * ns)


def test_two_clocks():
    value, kind = only(recorded("ahead"))
    (clock,) = value["clocks"]
    common.check(clock["client"] != clock["server"] and not clock["is_same"] and not clock["is_contradicted"], clock)
    common.equal((clock["calls"], clock["left_out"], clock["steps"], clock["is_server_read"]), (20, 0, [], False), clock)
    common.equal((kind["there_ns"], kind["back_ns"]), (None, None))
    _, fields, rate = events_of(recorded("ahead"))[-1]
    close(clock["server_hz"], fields["peer_khz"] * 1e3)
    close(clock["client_hz"], 1e9 / rate, 1e-3)
    least, most = bounds_by_hand(fields, clock)
    slack_ns = 10000  # 500 ppm of the call, and the digits of the rates over the time since the machine was booted
    common.check(clock["error_ns"] <= (most - least) / 2 + slack_ns, (clock, least, most))
    common.check(least - slack_ns <= clock["theta_ns"] <= most + slack_ns, (clock, least, most))
    common.check(abs(clock["drift_ppm"]) <= 500 and clock["drift_error_ppm"] <= 1000, clock)
    text = common.lapmark("calls", recorded("ahead")).out
    common.check(re.search(r"^clock +two for 20 calls: the client's [0-9a-f]{16}, the server's [0-9a-f]{16}\n"
                           r" +the server's is (ahead|behind) by \d+\.\d+ s ± [\d.]+ ms at [\d:.]+, and drifts by at most "
                           r"\d+ ppm \(its rate is what the server says\)\n +by 20 calls in 1 window, no step\n", text, re.MULTILINE), text)
    common.check("server's clock - client's clock" in clock["sign"], clock)
    common.equal("'s is ahead by" in text, clock["theta_ns"] >= 0, text)


def test_step():
    value, _ = only(recorded("step", 40))
    (clock,) = value["clocks"]
    (step,) = clock["steps"]
    common.check(abs(step["step_ns"] - 3e9) <= step["error_ns"] + 1e5 and step["error_ns"] < 50e6, clock)
    common.equal((clock["windows"], clock["calls"]), (2, 40))
    begins = [call["begin_time_ns"] for call in common.lapmark_json("calls", recorded("step"), "--slowest=40")["slowest"]]
    middle = sorted(begins)[20]
    common.check(step["after_time_ns"] - 30e6 <= middle <= step["before_time_ns"] + 30e6, (step, middle))
    text = common.lapmark("calls", recorded("step")).out
    common.check(re.search(r"a step of \+(3\.0|2\.9)\d+ s ± ", text), text)


def test_contradicted():
    """Both sides say that they read one clock, and one is ahead by a second."""
    value, kind = only(recorded("contradicted"))
    (clock,) = value["clocks"]
    common.equal((clock["client"], clock["is_same"], clock["is_contradicted"]), (clock["server"], False, True), clock)
    common.check(abs(clock["theta_ns"] - 1e9) <= clock["error_ns"] + 1e4 and clock["error_ns"] < 20e6, clock)
    common.equal((kind["there_ns"], kind["back_ns"]), (None, None))
    common.equal({call["there_ns"] for call in value["slowest"]}, {None})
    text = common.lapmark("calls", recorded("contradicted")).out
    common.check("by the calls' times it cannot be one; taken for two\n" in text, text)


def test_untold():
    value, kind = only(recorded("untold", 4))
    common.equal((value["clocks"], value["server_untold"], kind["there_ns"]), ([], 4, None))
    common.check(kind["server_ns"]["mean"] >= (QUEUE_MS + BUSY_MS) * 0.99e6, kind)
    text = common.lapmark("calls", recorded("untold")).out
    common.check("LAPMARK_SHARE=domain in its environment says it\n" in text, text)


# ---- text


def test_text():
    result = common.lapmark("calls", recorded("plain"))
    common.equal((result.status, result.err), (0, ""))
    sentence, head, table, slowest = result.out.split("\n\n")
    common.check(re.fullmatch(r'20 calls "get items", [\d.]+ ms in the mean: [\d.]+% on the server \([\d.]+% handling, '
                              r"[\d.]+% waiting in its queue\), [\d.]+% between: the way there and back takes [\d.]+ ms "
                              r"\([\d.]+ ms there, [\d.]+ ms back\), p99 [\d.]+ ms", sentence), sentence)
    common.equal(head, "clock       both sides of 20 calls read one clock")
    rows = table.splitlines()
    common.equal(rows[0].split(), "count total of all of call mean p50 p99 max".split())
    common.equal([row.split("  20  ")[0].strip() for row in rows[1:]],
                 ["get items", "· server", "· queue", "· handle", "· between", "· there", "· back"])
    common.equal([line[:12] for line in slowest.splitlines()[:2]] + [len(slowest.splitlines())],
                 ["the slowest ", "1. get items", 6])


def test_what_dominates():
    """It comes first, and so does the kind that costs the most."""
    sentence = common.lapmark("calls", recorded("slow_wire", 5)).out.split("\n")[0]
    common.check(re.search(r"in the mean: [\d.]+% between: the way .*; [\d.]+% on the server \(", sentence), sentence)
    sentence = common.lapmark("calls", recorded("kinds")).out.split("\n")[0]
    most = common.lapmark_json("calls", recorded("kinds"))["calls"][0]["name"]
    common.check(re.match(rf'20 calls of 2 kinds, [\d.]+ m?s in sum; [\d.]+% of that: 10 calls "{most}", ', sentence), sentence)


def test_narrow():
    for line in common.lapmark("calls", recorded("silent"), COLUMNS="60").out.splitlines():
        common.check(len(line) <= 60, line)


# ---- none, and bad


def test_no_calls():
    directory = recorded("nothing", 0)
    result = common.lapmark("calls", directory)
    common.equal((result.status, result.out, result.err),
                 (0, "no call to another process is in the recording's events\n", ""))
    value = common.lapmark_json("calls", directory)
    common.equal((value["count"], value["calls"], value["slowest"], value["clocks"]), (0, [], [], []))


def test_bad_input():
    for arguments in (["--slowest", "0", "."], ["--slowest=many", "."], ["--slowest=10001", "."], ["--by=cpu", "."],
                      ["--slow", "1", f"{WORK}/missing"], [f"{WORK}/missing"], [recorded("plain"), f"{WORK}/missing"],
                      [f"{WORK}/call_pair"]):
        result = common.lapmark("calls", *arguments)
        common.equal((result.status, result.out, len(result.err.splitlines())), (2, "", 1), f"{arguments}: {result}")
        common.check(result.err.startswith("lapmark: "), result)


def test_overwritten():
    """A ring that laps: what is left is counted, and what is missing is said."""
    value, kind = only(recorded("nobody", 100000))
    stored = len(events_of(recorded("nobody")))
    common.check(value["incomplete"] and 1000 < kind["silent"] == kind["count"] == stored < 100000, kind)
    text = common.lapmark("calls", recorded("nobody")).out
    common.check("\nmissing     the oldest events were overwritten, and calls with them\n" in text, text)


try:
    common.main(globals())
finally:
    shutil.rmtree(WORK, ignore_errors=True)
