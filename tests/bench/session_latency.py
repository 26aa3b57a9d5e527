#!/usr/bin/env python3
"""What a call of an MCP client costs above a bare pipe and its two commits.

usage: session_latency.py BIN_DIRECTORY [CALLS]

In turn, so that all see the same machine: a tools/call of time.now through `taper connect` and
taperd; one of bin/mcp_fake_server, the same codec with nothing behind it; and the floor of a
decision with its outcome, two bare LMDB commits with a signature each, in a process of their own,
by whose own clock they are timed. The pipe's time and that of the commits are added turn by turn.
Prints microseconds.
"""
import os
import subprocess
import sys
import tempfile

import fleet

WARM_UP = 20


class Commits:
    def __init__(self, binaries):
        self.process = subprocess.Popen([os.path.join(binaries, "bench_taper"), "--floor"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def once(self):
        self.process.stdin.write(b".")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def measure(binaries, calls):
    ours = fleet.connected()
    bare = fleet.Pipe(os.path.join(binaries, "mcp_fake_server"))
    commits = Commits(binaries)
    times = {"connect": [], "pipe": [], "commits": []}
    for turn in range(calls + WARM_UP):
        took = {"connect": fleet.timed(ours.call, "time.now", {}),
                "pipe": fleet.timed(bare.call, "echo", {"text": "x"}),
                "commits": commits.once()}
        for name, one in took.items() if turn >= WARM_UP else ():
            times[name].append(one)
    for one in (ours, bare, commits):
        one.close()
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
        fleet.row("bare pipe, same codec", times["pipe"])
        fleet.row("two bare LMDB commits, a signature each", times["commits"])
        floor = fleet.row("that pipe and those commits",
                          [sum(both) for both in zip(times["pipe"], times["commits"])])
        print(f"{'above both':42} p50 {ours[0] - floor[0]:9.0f}   p99 {ours[1] - floor[1]:9.0f}"
              "   (goals 250 and 1000)")
        os.chdir("/")


main()
