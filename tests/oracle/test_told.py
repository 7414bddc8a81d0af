# SPDX-License-Identifier: MIT
"""Calls, who serves them, and the laps that their servers tell: all readers find the same, and each lap behind its call."""
from common_oracle import Directory, check, compare, equal, main, only, program, record


def label_of(length):
    """As it is told: of a label of so many letters the first forty bytes, or with escapes."""
    text = "a" * length if length != 50 else "\\x1b[m" + "a" * 47
    return text if len(text) <= 40 else text[:37] + "…"


def test_laps():
    with Directory() as directory:
        record(directory.sub("r"), program("oracle_told"))
        process = only(compare(directory.sub("r")))
        events = [(event.event_class.name, event.fields) for event in process.events()]
        calls = [i for i, (name, _) in enumerate(events) if name == "call"]
        equal(len(calls), 60, "calls")
        equal([sum(name == f"lapmark:{kind}" for name, _ in events) for kind in ("serve", "reply", "peer_lap")], [60] * 3)
        for length, at in enumerate(calls, 1):
            (_, call), (name, lap) = events[at:at + 2]
            equal(name, "lapmark:peer_lap", f"behind call {length}")
            equal((lap["handle"], lap["span_id"], lap["number"]), (call["handle"], call["span_id"], call["number"]))
            equal((lap["label"], lap["count"]), (label_of(length), 3))
            took_ns = (call["replied_ticks"] - call["received_ticks"]) * 1e6 / call["peer_khz"]
            check(0 <= lap["sum_ns"] <= took_ns * 1.001 + 1, (lap, took_ns))
        equal(process.control.losses[8], 0, "trailers")


main(globals())
