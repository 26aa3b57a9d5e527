"""A program that is a task's agent and misbehaves, in the way that its first word names.

usage: agent.py MODE [WORD...]
"""
import ctypes
import json
import os
import socket
import subprocess
import sys
import time

MODERN = "2026-07-28"


class Tools:
    def __init__(self, era):
        self.era, self.last = era, 0
        if era != MODERN:
            opened = self.ask("initialize", protocolVersion=era, capabilities={}, clientInfo={"name": "x", "version": "1"})
            assert opened["result"]["protocolVersion"] == era, opened

    def send(self, method, **params):
        self.last += 1
        if self.era == MODERN:
            params["_meta"] = {"io.modelcontextprotocol/protocolVersion": MODERN,
                               "io.modelcontextprotocol/clientCapabilities": {}}
        print(json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}), flush=True)

    def ask(self, method, **params):
        self.send(method, **params)
        while True:
            line = sys.stdin.readline()
            assert line, "nobody answers"
            message = json.loads(line)
            if message.get("id") == self.last:
                return message

    def names(self):
        return sorted(tool["name"] for tool in self.ask("tools/list")["result"]["tools"])

    def call(self, name, **arguments):
        return self.ask("tools/call", name=name, arguments=arguments)


def honest(era, data):
    tools = Tools(era)
    assert tools.names() == ["file.append", "file.read"], tools.names()
    read = tools.call("file.read", path=data + "/a.txt")["result"]
    assert "hello" in json.dumps(read), read
    done = tools.call("file.append", path=data + "/out.txt", content=era + "\n")["result"]
    assert not done.get("isError"), done
    unknown = tools.call("file.write", path=data + "/out.txt", content="x")
    assert unknown["error"]["code"] == -32602, unknown
    refused = tools.call("file.read", path="/etc/hostname")["result"]
    assert refused["isError"] and "E504" in refused["content"][0]["text"], refused
    itself = tools.call("agent")
    assert itself["error"]["code"] == -32602, itself
    described = tools.ask("resources/read", uri="taper://task")["result"]
    assert "Try an agent" in json.dumps(described), described


def fails(what):
    """Says so where it does not."""
    try:
        what()
    except OSError:
        return
    sys.exit("it could: " + str(what.__code__.co_firstlineno))


def seek(*paths):
    for family, kind in ((socket.AF_INET, socket.SOCK_STREAM), (socket.AF_INET, socket.SOCK_DGRAM),
                         (socket.AF_UNIX, socket.SOCK_STREAM), (socket.AF_NETLINK, socket.SOCK_RAW)):
        fails(lambda: socket.socket(family, kind))
    for path in paths:
        fails(lambda: os.stat(path))
        fails(lambda: open(path, encoding="utf-8"))
    here = os.path.dirname(os.path.abspath(__file__))
    for path in ("/usr/x", "/etc/x", "/x", here + "/x"):
        fails(lambda: open(path, "w", encoding="utf-8"))
    fails(lambda: subprocess.run(["/usr/bin/id"], check=False))
    # What is open are its three pipes, and the folder that lists them.
    assert sorted(map(int, os.listdir("/proc/self/fd")))[:3] == [0, 1, 2]
    assert len(os.listdir("/proc/self/fd")) == 4, os.listdir("/proc/self/fd")
    with open("/tmp/x", "w", encoding="utf-8") as file:
        file.write("its own")
    # Beside it runs what speaks for it, and that is not to be looked into.
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid():
            fails(lambda: open(f"/proc/{pid}/mem", "rb"))
            fails(lambda: os.listdir(f"/proc/{pid}/fd"))


def flood():
    tools = Tools("2025-11-25")
    while True:
        tools.send("tools/list")


def garbage(data):
    out = sys.stdout.buffer
    for junk in (b"{\n", b"[]\n", b"\xff\xfe\x00\n", b"x" * 100_000 + b"\n", b'{"jsonrpc":"2.0","id":1,"id":2}\n', b"\n" * 1000,
                 b"[" * 5000 + b"\n", b'{"jsonrpc":"2.0","id":{},"method":7}\n'):
        out.write(junk)
    out.flush()
    honest("2025-11-25", data)


def leave(data, mark):
    # In sessions of their own, with its pipes, and without.
    for keeps in (True, False):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                if not keeps:
                    os.closerange(0, 3)
                time.sleep(int(mark))
            os._exit(0)
    honest("2025-11-25", data)


def deaf():
    sys.stdin.close()
    os.close(0)
    time.sleep(1000)


def mute():
    """Waits for nothing, and says nothing."""
    while True:
        time.sleep(1000)


def ask_much(path):
    tools = Tools("2025-11-25")
    while True:
        tools.call("file.read", path=path)


def die(words):
    print(words, file=sys.stderr)
    sys.exit(3)


def loud():
    """Fills its stderr; the end of it is what is kept."""
    for _ in range(20_000):
        print("y" * 99, file=sys.stderr)
    die("the end\x1b[31m")


def trace():
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)


def work(data):
    """One call a moment, until its task ends."""
    tools = Tools("2025-11-25")
    while True:
        tools.call("file.append", path=data + "/out.txt", content="x\n")
        time.sleep(0.1)


def same(data):
    """Reads its script again when its client has put another in its place."""
    tools = Tools("2025-11-25")
    with open(__file__, encoding="utf-8") as script:
        before = script.read()
    tools.call("file.append", path=data + "/out.txt", content="x\n")
    while "moved" not in json.dumps(tools.call("file.read", path=data + "/out.txt")):
        time.sleep(0.05)
    with open(__file__, encoding="utf-8") as script:
        assert script.read() == before, "another"


MODES = {"honest": honest, "seek": seek, "flood": flood, "garbage": garbage, "leave": leave, "deaf": deaf, "mute": mute,
         "ask_much": ask_much, "die": die, "loud": loud, "trace": trace, "work": work,
         "same": same}
MODES[sys.argv[1]](*sys.argv[2:])
