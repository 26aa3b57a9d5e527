"""What the measurements of sessions share: a node with a daemon, an agent's client, times."""
import contextlib
import json
import os
import signal
import statistics
import subprocess
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


class Pipe:
    """An MCP server on stdin and stdout."""

    version = "2025-06-18"

    def __init__(self, *command):
        self.number = 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.ask("initialize", {"protocolVersion": self.version, "capabilities": {},
                                "clientInfo": {"name": "bench", "version": "1"}})
        self.process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        self.process.stdin.flush()

    def send(self, method, params):
        self.number += 1
        line = json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.number

    def receive(self, number):
        while True:
            answer = json.loads(self.process.stdout.readline())
            if answer.get("id") == number:
                return answer["result"]

    def ask(self, method, params):
        return self.receive(self.send(method, params))

    def call(self, tool, arguments):
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert not result.get("isError"), result

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)


def taper(*words):
    return subprocess.run(["taper", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True).stdout


def make_node():
    for role in ("root", "issuer", "holder"):
        taper("key", "new", "--role", role, "--out", role + ".key", "--no-passphrase")
    taper("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--max-ttl", "1h", "--out", "root.tpr")
    taper("node", "init", "--state", "state", "--name", "bench")
    taper("import", "--state", "state", "root.tpr")


def sign(source, name, *words):
    """The path of a capsule for this node and holder."""
    with open(name + ".toml", "w", encoding="utf-8") as file:
        file.write(source)
    taper("capsule", "sign", name + ".toml", "--key", "issuer.key", "--root", "root.tpr", "--node", "state/node.pub",
          "--holder", "holder.pub", "--out", name + ".capsule", *words)
    return name + ".capsule"


def make_fleet():
    make_node()
    sign(SOURCE, "task")


def connected():
    return Pipe("taper", "connect", "task.capsule", "--key", "holder.key", "--state", "state")


@contextlib.contextmanager
def daemon():
    process = subprocess.Popen(["taperd", "--state", "state"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    try:
        assert "ready" in process.stderr.readline()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stderr.close()


def use(binaries):
    os.environ["PATH"] = os.path.abspath(binaries) + os.pathsep + os.environ["PATH"]


def timed(act, *values):
    begin = time.perf_counter()
    act(*values)
    return (time.perf_counter() - begin) * 1e6


def row(name, times):
    cuts = statistics.quantiles(times, n=100)
    print(f"{name:42} p50 {cuts[49]:9.0f}   p99 {cuts[98]:9.0f}", flush=True)
    return cuts[49], cuts[98]
