#!/usr/bin/env python3
"""What a call of an MCP client costs above a bare pipe and its two commits.

usage: session_latency.py BIN_DIRECTORY [CALLS]

In turn, so that both see the same machine: a tools/call of time.now through `taper connect` and
taperd, and one of bin/mcp_fake_server, the same codec with nothing behind it. Then bin/bench_taper's
floor of a decision with its outcome, two bare LMDB commits. Prints microseconds.
"""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = """
[capsule]
purpose = "Time a call"
requester = "bench"
agent = "bench"
window = { for = "1h" }
lease = { ttl = "30m" }
[[grant]]
tool = "time.now"
"""
WARM_UP = 20
FLOOR = "2 LMDB commits, 6 puts, 1 sign each"


class Pipe:
    """An MCP server on stdin and stdout."""

    def __init__(self, *command):
        self.number = 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                                "clientInfo": {"name": "bench", "version": "1"}})
        self.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        self.process.stdin.flush()

    def ask(self, method, params):
        self.number += 1
        line = json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer.get("id") == self.number:
                return answer["result"]

    def call(self, tool, arguments):
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def taper(*words):
    subprocess.run(["taper", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def make_fleet():
    for role in ("root", "issuer", "holder"):
        taper("key", "new", "--role", role, "--out", role + ".key", "--no-passphrase")
    taper("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--max-ttl", "1h", "--out", "root.tpr")
    taper("node", "init", "--state", "state", "--name", "bench")
    taper("import", "--state", "state", "root.tpr")
    with open("task.toml", "w", encoding="utf-8") as file:
        file.write(SOURCE)
    taper("capsule", "sign", "task.toml", "--key", "issuer.key", "--root", "root.tpr", "--node", "state/node.pub",
          "--holder", "holder.pub", "--out", "task.capsule")


def two_commits(binaries):
    table = subprocess.run([os.path.join(binaries, "bench_taper"), "--benchmark_min_time=0.3",
                            "--benchmark_filter=durable decision"], check=True, capture_output=True, text=True).stdout
    line = next(line for line in table.splitlines() if FLOOR in line)
    return float(line.split(FLOOR)[1].split()[0])


def timed(act, *values):
    begin = time.perf_counter()
    act(*values)
    return (time.perf_counter() - begin) * 1e6


def row(name, times):
    cuts = statistics.quantiles(times, n=100)
    print(f"{name:42} p50 {cuts[49]:9.0f}   p99 {cuts[98]:9.0f}")
    return cuts[49], cuts[98]


def measure(binaries, calls):
    ours = Pipe("taper", "connect", "task.capsule", "--key", "holder.key", "--state", "state")
    bare = Pipe(os.path.join(binaries, "mcp_fake_server"))
    times = {"connect": [], "pipe": []}
    for turn in range(calls + WARM_UP):
        took = {"connect": timed(ours.call, "time.now", {}),
                "pipe": timed(bare.call, "echo", {"text": "x"})}
        for name, one in took.items() if turn >= WARM_UP else ():
            times[name].append(one)
    ours.close()
    bare.close()
    return times


def main():
    binaries, calls = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    os.environ["PATH"] = binaries + os.pathsep + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="taper-latency-", dir=".") as folder:
        os.chdir(folder)
        make_fleet()
        daemon = subprocess.Popen(["taperd", "--state", "state"], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            assert "ready" in daemon.stderr.readline()
            times = measure(binaries, calls)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
        print(f"{calls} calls each, in turn, microseconds")
        ours = row("taper connect, taperd, builtin in its cell", times["connect"])
        bare = row("bare pipe, same codec", times["pipe"])
        floor = two_commits(binaries)
        print(f"{'two bare LMDB commits, median':42} p50 {floor:9.0f}")
        print(f"{'above both':42} p50 {ours[0] - bare[0] - floor:9.0f}   p99 {ours[1] - bare[1] - floor:9.0f}"
              "   (goals 250 and 1000)")
        os.chdir("/")


main()
