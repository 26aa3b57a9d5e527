#!/usr/bin/env python3
"""Tries MCP clients of others against bin/mcp_fake_server. README.md says what must be installed.

usage: run.py SERVER PACKAGES

SERVER is the program, PACKAGES the directory with node_modules/ and py/. Works in a new directory
inside PACKAGES and leaves nothing there. Exits 1 when a client saw what it should not have seen.
"""
import sys
import tempfile
from pathlib import Path

from clients import ERAS, Clients, expect, text_of


def inspector(clients, server):
    for era in ERAS:
        def call(*words, code=0):
            return clients.inspect(era, (server,), words, code)
        expect(len(call("tools/list")["tools"]) == 7, "tools")
        expect(text_of(call("tools/call", "--tool-name", "echo", "--tool-arg", "text=hi")) == "hi", "echo")
        # Follows the task to its end by itself.
        expect(text_of(call("tools/call", "--tool-name", "job", "--tool-arg", "ms=200")) == "done", "job")
        denied = call("tools/call", "--tool-name", "denied", code=5)
        expect(denied["_meta"]["dev.taper/denial"] == {"code": 504}, denied)
        read = call("resources/read", "--uri", "taper://task")
        expect(read["contents"][0]["text"] == "41 calls are left", read)
    print("Inspector CLI: all as expected")


def mcpdo(clients, server):
    with clients.mcpdo_of(server) as connected:
        for era in ERAS:
            do = connected(era)
            expect(text_of(do("tools/call", "slow", "ms:=200", "--task")) == "done", "slow")
            expect(text_of(do("tools/call", "job", "ms:=200", "--task")) == "done", "job")
            if era == "modern":
                asked = do("tools/call", "ask")["elicitationPending"]
                answered = do("elicitation/respond", asked["elicitationId"], "word:=lamp")
                expect("lamp" in text_of(answered), answered)
            do("disconnect")
    print("mcpdo: all as expected")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    server, packages = (Path(word).resolve() for word in sys.argv[1:])
    with tempfile.TemporaryDirectory(dir=packages) as work:
        clients = Clients(packages, Path(work))
        clients.script(clients.node, "ts_v1.mjs", server)
        clients.script(clients.node, "ts_old.mjs", server)
        clients.script(clients.node, "ts_v2.mjs", server)
        clients.script(clients.python, "python_sdk.py", server)
        inspector(clients, server)
        mcpdo(clients, server)


main()
