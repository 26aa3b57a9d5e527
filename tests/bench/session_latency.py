#!/usr/bin/env python3
"""What a call of an MCP client costs above a bare pipe and its two commits.

usage: session_latency.py BIN_DIRECTORY [CALLS]

In turn, so that both see the same machine: a tools/call of time.now through `taper connect` and
taperd, and one of bin/mcp_fake_server, the same codec with nothing behind it. Then bin/bench_taper's
floor of a decision with its outcome, two bare LMDB commits. Prints microseconds.
"""
import os
import subprocess
import sys
import tempfile

import fleet

WARM_UP = 20
FLOOR = "2 LMDB commits, 6 puts, 1 sign each"


def two_commits(binaries):
    table = subprocess.run([os.path.join(binaries, "bench_taper"), "--benchmark_min_time=0.3",
                            "--benchmark_filter=durable decision"], check=True, capture_output=True, text=True).stdout
    line = next(line for line in table.splitlines() if FLOOR in line)
    return float(line.split(FLOOR)[1].split()[0])


def measure(binaries, calls):
    ours = fleet.connected()
    bare = fleet.Pipe(os.path.join(binaries, "mcp_fake_server"))
    times = {"connect": [], "pipe": []}
    for turn in range(calls + WARM_UP):
        took = {"connect": fleet.timed(ours.call, "time.now", {}),
                "pipe": fleet.timed(bare.call, "echo", {"text": "x"})}
        for name, one in took.items() if turn >= WARM_UP else ():
            times[name].append(one)
    ours.close()
    bare.close()
    return times


def main():
    binaries, calls = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    fleet.use(binaries)
    with tempfile.TemporaryDirectory(prefix="taper-latency-", dir=os.getcwd()) as folder:
        os.chdir(folder)
        fleet.make_fleet()
        with fleet.daemon():
            times = measure(binaries, calls)
        print(f"{calls} calls each, in turn, microseconds")
        ours = fleet.row("taper connect, taperd, builtin in its cell", times["connect"])
        bare = fleet.row("bare pipe, same codec", times["pipe"])
        floor = two_commits(binaries)
        print(f"{'two bare LMDB commits, median':42} p50 {floor:9.0f}")
        print(f"{'above both':42} p50 {ours[0] - bare[0] - floor:9.0f}   p99 {ours[1] - bare[1] - floor:9.0f}"
              "   (goals 250 and 1000)")
        os.chdir("/")


main()
