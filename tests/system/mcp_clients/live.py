#!/usr/bin/env python3
"""Tries MCP clients of others against `taper connect` over a node's daemon. README.md says what must be installed.

usage: live.py BIN_DIRECTORY PACKAGES

BIN_DIRECTORY holds taper, taperd, taper-spawnd and taper-upstream, PACKAGES is the directory with node_modules/ and py/.
Works in new directories and leaves nothing. Exits 1 when a client saw what it should not have seen.
"""
import os
import sys
import tempfile
from pathlib import Path

from clients import ERAS, Clients, expect, text_of
from whole_node import Host


def inspector(clients, host):
    for era in ERAS:
        def call(*words, code=0):
            return clients.inspect(era, ("--config", host.node.folder / "mcp.json", "--server", "taper"), words, code)
        expect(len(call("tools/list")["tools"]) >= 64, "tools")
        read = call("tools/call", "--tool-name", "file.read", "--tool-arg", f"path={host.node.data}/a.txt")
        expect(text_of(read) == "hello\n", read)
        # Follows the task to its end by itself.
        slept = call("tools/call", "--tool-name", "sleep", "--tool-arg", "seconds=\"1\"")
        expect(not slept.get("isError"), slept)
        denied = call("tools/call", "--tool-name", "file.read", "--tool-arg", "path=/etc/passwd", code=5)
        expect(denied["_meta"]["dev.taper/denial"] == {"code": 504}, denied)
        task = call("resources/read", "--uri", "taper://task")
        expect("Say everything once" in task["contents"][0]["text"], task)
    print("Inspector CLI over taper connect: all as expected")


def mcpdo(clients, server):
    with clients.mcpdo_of(server) as connected:
        for era in ERAS:
            do = connected(era)
            slept = do("tools/call", "sleep", "seconds=1", "--task")
            expect(not slept.get("isError"), slept)
            if era == "modern":
                asked = do("tools/call", "asker.ask")["elicitationPending"]
                answered = do("elicitation/respond", asked["elicitationId"], "word:=lamp")
                expect("the word is lamp" in text_of(answered), answered)
            do("disconnect")
    print("mcpdo over taper connect: all as expected")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binaries, packages = (Path(word).resolve() for word in sys.argv[1:])
    with tempfile.TemporaryDirectory(dir=packages) as work, tempfile.TemporaryDirectory(prefix="taper-live-") as folder:
        host = Host(binaries, folder)
        host.start()
        try:
            clients = Clients(packages, Path(work))
            words = [host.node.data / "a.txt", *host.words()]
            clients.script(clients.node, "live_ts_v1.mjs", *words)
            clients.script(clients.node, "live_ts_v2.mjs", *words)
            clients.script(clients.python, "live_python.py", *words)
            host.node.taper(*host.words()[1:], "--write", "inspector", "--config", "mcp.json")
            inspector(clients, host)
            server = Path(work) / "server"
            server.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in host.words()) + "\n", encoding="utf-8")
            os.chmod(server, 0o755)
            mcpdo(clients, server)
        finally:
            host.node.end_clients()
            host.stop()


main()
