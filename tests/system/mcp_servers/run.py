#!/usr/bin/env python3
"""Servers of others behind taper-upstream, in every era that they speak.

usage: run.py PROGRAM DIRECTORY...

PROGRAM is bin/taper-upstream; the first DIRECTORY that holds a package is the one it is taken from. No cell is
made: servers run as ordinary processes. One line for each server and era, with the time of one call.
"""
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from upstream import Failure, Upstream

HERE = Path(__file__).resolve().parent
LEGACY = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
DRIFT = 621
INPUT = 513
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def find(directories, path):
    for directory in directories:
        if (directory / path).exists():
            return str(directory / path)
    return None


def servers(directories, scratch):
    """Name, argv or None where it is not installed, eras, what is tried."""
    node = shutil.which("node")
    package = "node_modules/@modelcontextprotocol/"

    def script(path, *arguments):
        found = find(directories, package + path)
        return found and [node, found, *arguments]

    everywhere = next((d for d in directories if (d / package / "server").exists()), None)
    python = find(directories, "py/bin/python3")
    return [
        ("server-filesystem", script("server-filesystem/dist/index.js", scratch), LEGACY, files),
        ("server-everything", script("server-everything/dist/index.js"), LEGACY, everything),
        ("server-memory", script("server-memory/dist/index.js"), LEGACY, memory),
        ("Python SDK", python and [python, str(HERE / "python_sdk_server.py")], [*LEGACY, MODERN], ours),
        ("TypeScript SDK 2", everywhere and [node, str(HERE / "ts_v2_server.mjs"), str(everywhere)],
         [*LEGACY, MODERN], ours),
    ]


class Server:
    def __init__(self, program, argv, era, scratch):
        self.era, self.scratch = era, scratch
        self.upstream = Upstream(program, argv, MEMORY_FILE_PATH=scratch + "/memory.json")
        told = self.upstream.definitions(era)
        self.version, self.name = told["version"], told["server"]
        self.pins = {tool["name"]: tool for tool in told["definitions"]}

    def call(self, name, **arguments):
        return self.upstream.call(self.era, self.pins[name], arguments)

    def text(self, name, **arguments):
        return self.call(name, **arguments)["result"]["content"][0]["text"]


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def fails(code, ask):
    try:
        told = ask()
    except Failure as failure:
        need(failure.args[0] == code, failure.args)
        return failure.args
    raise AssertionError(told)


def files(server):
    path = server.scratch + "/a.txt"
    Path(path).write_text("hello\n", encoding="utf-8")
    need(server.text("read_text_file", path=path) == "hello\n", "read")
    need("Access denied" in server.call("read_text_file", path="/etc/passwd")["text"], "outside")
    need(server.call("read_text_file")["is_error"], "no path")
    big = server.scratch + "/big.txt"
    Path(big).write_text("x" * 1_500_000, encoding="utf-8")
    need(len(server.text("read_text_file", path=big)) == 1_500_000, "big")
    return lambda: server.call("read_text_file", path=path)


def everything(server):
    need(server.text("echo", message="hi\n") == "Echo: hi\n", "echo")
    kinds = {block["type"] for block in server.call("get-tiny-image")["result"]["content"]}
    need(kinds == {"text", "image"}, kinds)
    server.call("toggle-simulated-logging")
    need("14" in server.text("get-sum", a=5, b=9), "sum")
    need("completed" in server.text("trigger-long-running-operation", duration=1, steps=3), "long")
    server.call("toggle-simulated-logging")
    server.upstream.call(server.era, server.pins["trigger-long-running-operation"], {"duration": 1, "steps": 4},
                         meta={"progress": True, "traceparent": TRACE})
    steps = [done for done, _, _ in server.upstream.progress]
    need(len(steps) >= 2 and steps == sorted(set(steps)), steps)
    need(server.call("get-structured-content", location="Chicago")["result"]["structuredContent"], "structured")
    return lambda: server.call("echo", message="hi")


def memory(server):
    entity = {"name": "a", "entityType": "b", "observations": ["c"]}
    server.call("create_entities", entities=[entity])
    need("observations" in server.text("read_graph"), "graph")
    server.call("delete_entities", entityNames=["a"])
    return lambda: server.call("read_graph")


def ours(server):
    need(server.text("add", a=2, b=3) == "5", "add")
    need("for a reason" in server.call("fail", text="for a reason")["text"], "fail")
    need([server.text("count") for _ in range(3)] == ["1", "2", "3"], "count")
    return lambda: server.call("add", a=2, b=3)


def drifts(server):
    """The tool `change` stays what it was; `add` does not."""
    need(server.text("add", a=2, b=3) == "5", "add")
    need(server.text("change") == "changed", "change")
    drift = fails(DRIFT, lambda: server.call("add", a=2, b=3))
    need(drift[1] == "description", drift)


def median_ms(call, times=100):
    took = []
    for _ in range(times):
        begin = time.monotonic()
        call()
        took.append(time.monotonic() - begin)
    return sorted(took)[times // 2] * 1000


def try_one(program, argv, era, scratch, scenario, agreed):
    server = Server(program, argv, era, scratch)
    need(server.version == agreed, server.version)
    ms = median_ms(scenario(server))
    need(server.upstream.close() == 0, "exit status")
    if scenario is ours:
        server = Server(program, argv, era, scratch)
        drifts(server)
        need(server.upstream.close() == 1, "exit status")
    return f"{server.name}, {len(server.pins)} tools, {ms:.2f} ms a call"


def main():
    program = os.path.abspath(sys.argv[1])
    directories = [Path(word).resolve() for word in sys.argv[2:]]
    bad = 0
    with tempfile.TemporaryDirectory(prefix="taper-servers-") as scratch:
        for name, argv, eras, scenario in servers(directories, scratch):
            if not argv:
                print(f"{name}: not installed")
                bad += 1
                continue
            for era in [*eras, "auto"]:
                agreed = eras[-1] if era == "auto" else era
                try:
                    told = try_one(program, argv, era, scratch, scenario, agreed)
                    print(f"{name} {era}: ok ({told})", flush=True)
                except (AssertionError, Failure) as error:
                    bad += 1
                    print(f"{name} {era}: FAILED: {error!r}", flush=True)
            if MODERN not in eras:
                upstream = Upstream(program, argv)
                need(fails(DRIFT, lambda: upstream.definitions(MODERN))[1] == "era", "era")
                upstream.close()
    return 1 if bad else 0


sys.exit(main())
