"""A whole node for the servers of others: a centre, its keys, capsules, and clients of `taper connect`."""
import json
import os
import subprocess
from pathlib import Path

WAIT_S = 60
MODERN = "2026-07-28"
CAPSULE = """[capsule]
purpose   = "Try a server of others"
requester = "user:alice@plant.example"
agent     = "trier"
window    = {{ for = "1h" }}
lease     = {{ ttl = "10m" }}
activations = 100
end_on    = {{ denials = 50, failure = {failure}, tool_drift = {drift} }}
"""


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


class Node:
    def __init__(self, bin_directory, folder):
        self.bin, self.folder = Path(bin_directory), Path(folder)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.serial, self.clients = 0, []
        for role in ("root", "issuer", "holder"):
            self.taper("key", "new", "--role", role, "--out", role + ".key", "--no-passphrase")
        self.taper("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--out", "root.tpr")
        self.taper("node", "init", "--state", "state", "--name", "edge-7")
        self.taper("import", "--state", "state", "root.tpr")

    def run(self, *words):
        return subprocess.run([self.bin / "taper", *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=WAIT_S, check=False)

    def taper(self, *words, code=0):
        done = self.run(*words)
        assert done.returncode == code, (words, done)
        return done.stdout

    def declare(self, name, argv, era, files=(), tools=None, env=None):
        text = f"kind = \"mcp\"\nargv = {toml([str(word) for word in argv])}\nera = \"{era}\"\n"
        text += f"files = {toml([str(path) for path in files])}\neffect = \"write\"\n"
        text += f"env = {toml(env)}\n" if env else ""
        for tool, words in (tools or {}).items():
            text += f"[tools.{json.dumps(tool)}]\n" + "".join(f"{key} = {toml(words[key])}\n" for key in words)
        path = self.folder / "state/tools.d" / (name + ".toml")
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)

    def pin(self, name, *words, code=0):
        return json.loads(self.taper("tools", "pin", name, "--state", "state", "--json", *words, code=code))

    def tools(self):
        listed = self.taper("tools", "list", "--state", "state", "--json")
        (self.folder / "tools.json").write_text(listed, encoding="utf-8")
        return {tool["name"]: tool for tool in json.loads(listed)["tools"]}

    def sign(self, grants, steps=None, drift=True):
        """A capsule of {tool: rules}, pinned as the tools are now; its path."""
        tools = self.tools()
        self.serial += 1
        name = f"capsule-{self.serial}"
        text = CAPSULE.format(drift=str(drift).lower(), failure=str(steps is not None).lower())
        for tool, rules in grants.items():
            text += f"[[grant]]\ntool = \"{tool}\"\neffect = \"{tools[tool]['effect']}\"\nargs = {toml(rules)}\n"
            if tools[tool]["digest"]:
                text += f"digest = \"{tools[tool]['digest']}\"\n"
        if steps:
            text += "[plan]\nsteps = " + toml(steps) + "\n"
        (self.folder / (name + ".toml")).write_text(text, encoding="utf-8")
        self.taper("capsule", "sign", name + ".toml", "--key", "issuer.key", "--root", "root.tpr", "--node",
                   "state/node.pub", "--holder", "holder.pub", "--tools", "tools.json", "--out", name + ".capsule")
        return name + ".capsule"

    def end_clients(self):
        """Those that a failed test left behind."""
        for client in self.clients:
            client.kill()
            client.wait(WAIT_S)
        self.clients.clear()

    def play(self, capsule, code=0):
        """What `taper run` says of the plan."""
        done = self.run("run", capsule, "--key", "holder.key", "--state", "state", "--json", "--results")
        assert done.returncode == code, done
        return json.loads(done.stdout)


class Client:
    """One process of taper connect, spoken to in one revision."""

    def __init__(self, node, capsule, era):
        self.era, self.last, self.told = era, 0, []
        self.process = subprocess.Popen([node.bin / "taper", "connect", capsule, "--key", "holder.key", "--state",
                                         "state"], cwd=node.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        node.clients.append(self.process)
        if era != MODERN:
            opened = self.ask("initialize", {"protocolVersion": era, "capabilities": {},
                                             "clientInfo": {"name": "trier", "version": "1"}})
            assert opened["result"]["protocolVersion"] == era, opened

    def send(self, method, params, **meta):
        self.last += 1
        if self.era == MODERN:
            meta = {**meta, "io.modelcontextprotocol/protocolVersion": MODERN,
                    "io.modelcontextprotocol/clientCapabilities": {}}
        params = {**params, "_meta": meta} if meta else params
        line = json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.last

    def answer(self, number):
        while True:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            message = json.loads(line)
            if message.get("id") == number:
                return message
            if message.get("method") == "notifications/progress":
                self.told.append(message)

    def ask(self, method, params, **meta):
        return self.answer(self.send(method, params, **meta))

    def tools(self):
        return {tool["name"]: tool for tool in self.ask("tools/list", {})["result"]["tools"]}

    def call(self, tool, **arguments):
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments})
        assert "result" in answer, answer
        return answer["result"]

    def text(self, tool, **arguments):
        result = self.call(tool, **arguments)
        assert not result.get("isError"), result
        return result["content"][0]["text"]

    def fails(self, tool, word, **arguments):
        """The call is an error whose text has the word."""
        result = self.call(tool, **arguments)
        assert result.get("isError") and word in result["content"][0]["text"], result

    def end(self):
        self.process.stdin.close()
        self.process.stdout.read()
        said = self.process.stderr.read()
        self.process.wait(WAIT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return said


def processes_below(process):
    """The ids of all that a process started, and they in turn."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = Path("/proc", entry, "stat").read_text(encoding="utf-8")
            except OSError:
                continue
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found, ahead = [], [process]
    while ahead:
        children = parents.get(ahead.pop(), [])
        found += children
        ahead += children
    return found
