# SPDX-License-Identifier: MIT
"""A thousand recordings of three hundred calls each, and those of their servers: whoever reads them counts each call and joins it,
with fewer descriptors than there are recordings."""
import resource

import common

ROUNDS, SERVERS, CLIENTS_EACH, CALLS = 20, 5, 10, 300
CLIENTS = ROUNDS * SERVERS * CLIENTS_EACH
ALL = CLIENTS * CALLS
DESCRIPTORS = 64


def record(directory):
    """In rounds: on a disk each is cut to what it holds before the next, and memory is that of one round's processes."""
    program = common.workload(directory, "make_calls", "bench")
    recordings = [f"{directory}/{i}" for i in range(ROUNDS)]
    for recording in recordings:
        result = common.lapmark("record", "-o", recording, "--", program, str(SERVERS), str(CLIENTS_EACH), str(CALLS), "1",
                                LAPMARK_SHARE="domain")
        common.equal(result.status, 0, result)
    return recordings


def check_report(recordings):
    """The servers' profiler is called from two places, so that it says how many calls it was joined with."""
    report = common.lapmark_json("report", *recordings)
    sites = {tuple(site["path"]): site for site in report["sites"]}
    kinds = [["client", "get item"], ["client", "put item"]]
    counts = [sites[path]["count"] for path in (("client",), *map(tuple, kinds), ("serve item",))]
    common.equal(counts, [CLIENTS, ALL / 2, ALL / 2, ALL])
    common.equal(sites["serve item",]["callers"], [{"path": path, "count": ALL / 2} for path in kinds])
    common.equal((len(report["processes"]), report["lost"], report["overwritten"]), (CLIENTS + ROUNDS * (SERVERS + 1), 0, 0))


def check_calls(recordings):
    calls = common.lapmark_json("calls", *recordings)
    kinds = {kind["name"]: (kind["count"], kind["answered"], kind["there_ns"] is not None) for kind in calls["calls"]}
    common.equal(kinds, {name: (ALL / 2, ALL / 2, True) for name in ("get item", "put item")})
    common.equal([(clock["calls"], clock["is_same"]) for clock in calls["clocks"]], [(ALL, True)])


def check_show(recordings):
    shown = common.lapmark("show", "--merge", *recordings)
    common.equal((shown.status, shown.err), (0, ""))
    common.equal([shown.out.count(f"> Entering {name}\n") for name in ("client", "serve item")], [CLIENTS, ALL])


def test_many():
    with common.Directory(memory_bytes=4 << 30) as directory:
        recordings = record(directory)
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        check_report(recordings)
        check_calls(recordings)
        check_show(recordings)


if __name__ == "__main__":
    common.main(globals())
