"""A node with a daemon, a capsule whose tools bring about every message that `taper connect` can send, and talks
with it that keep each message."""
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "mcp_servers"))
from node_of_ours import MODERN, WAIT_S, Node  # noqa: E402 pylint: disable=wrong-import-position

TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
CAPSULE = """[capsule]
purpose = "Say everything once"
requester = "user:alice@plant.example"
agent = "talker"
window = {{ for = "1h" }}
lease = {{ ttl = "30m" }}
activations = 100
end_on = {{ denials = 200, failure = false }}
[[grant]]
tool = "file.read"
args = {{ path = {{ under = "{data}" }} }}
[[grant]]
tool = "time.now"
[[grant]]
id = "sleep"
tool = "sleep"
effect = "read"
digest = "{sleep}"
args = {{ seconds = {{ not_one_of = ["0.3"] }} }}
[[grant]]
id = "unread"
tool = "sleep"
effect = "read"
digest = "{sleep}"
args = {{ seconds = {{ equals = "0.3" }} }}
verbs = ["discover", "call", "poll", "update"]
"""
SLEEP = """kind = "command"
title = "Sleep"
effect = "read"
output = "text"
argv = ["/usr/bin/sleep", "--", {arg = "seconds"}]
[input]
seconds = {type = "string"}
"""


class Host:
    """The node, its daemon and the one capsule of its agent."""

    def __init__(self, bin_directory, folder):
        self.node = Node(bin_directory, folder)
        self.daemon = None
        (self.node.data / "a.txt").write_text("hello\n", encoding="utf-8")
        (self.node.folder / "state/tools.d/sleep.toml").write_text(SLEEP, encoding="utf-8")
        server = self.node.folder / "server"
        server.mkdir()
        shutil.copy(HERE / "rich_server.py", server)
        shutil.copy(HERE / "asking_server.py", server)
        self.node.declare("rich", ["/usr/bin/python3", server / "rich_server.py"], "2025-11-25", [server],
                          {"everything": {"effect": "read"}, "fails": {"effect": "read"}, "slow": {"effect": "read"}})
        self.node.pin("rich")
        self.node.declare("asker", ["/usr/bin/python3", server / "asking_server.py"], MODERN, [server],
                          {"ask": {"effect": "read"}})
        self.node.pin("asker")
        self.capsule = self.sign()

    def sign(self):
        tools = self.node.tools()
        text = CAPSULE.format(data=self.node.data, sleep=tools["sleep"]["digest"])
        for name, tool in tools.items():
            if name.startswith(("rich.", "asker.")):
                rules = "{ why = \"any\" }" if name == "rich.fails" else "{}"
                text += (f"[[grant]]\ntool = \"{name}\"\neffect = \"{tool['effect']}\"\ndigest = \"{tool['digest']}\"\n"
                         f"args = {rules}\n")
        (self.node.folder / "task.toml").write_text(text, encoding="utf-8")
        self.node.taper("capsule", "sign", "task.toml", "--key", "issuer.key", "--root", "root.tpr", "--node",
                        "state/node.pub", "--holder", "holder.pub", "--tools", "tools.json", "--out", "task.capsule")
        return "task.capsule"

    def words(self):
        """The command that serves the capsule, from any directory."""
        folder = self.node.folder
        return [str(self.node.bin / "taper"), "connect", str(folder / self.capsule), "--key",
                str(folder / "holder.key"), "--state", str(folder / "state")]

    def start(self):
        self.daemon = subprocess.Popen([self.node.bin / "taperd", "--state", "state"], cwd=self.node.folder,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       text=True)
        ready = self.daemon.stderr.readline()
        assert "ready" in ready, ready

    def stop(self, number=signal.SIGTERM):
        if self.daemon is not None:
            self.daemon.send_signal(number)
            self.daemon.wait(WAIT_S)
            self.daemon.stderr.close()
            self.daemon = None

    def task(self):
        return json.loads(self.node.taper("task", "list", "--state", "state", "--json"))["tasks"][-1]["task"]


class Talk:
    """One process of taper connect, spoken to in one revision. `heard` has each of its messages with what it answers."""

    def __init__(self, host, era, heard):
        self.era, self.heard, self.last, self.asked = era, heard, 0, {}
        self.process = subprocess.Popen(host.words(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        host.node.clients.append(self.process)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def put(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def tell(self, method, params):
        self.put(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    def request(self, method, params=None, tasks=False, **meta):
        """A request's id and line; `tasks`: it declares the extension."""
        self.last += 1
        params = dict(params or {})
        if self.era == MODERN:
            params["_meta"] = {"io.modelcontextprotocol/protocolVersion": MODERN,
                               "io.modelcontextprotocol/clientCapabilities": TASKS if tasks else {}, **meta}
        elif meta:
            params["_meta"] = meta
        self.asked[self.last] = {"method": method, "task": "task" in params or tasks}
        return self.last, json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})

    def send(self, *words, **more):
        number, line = self.request(*words, **more)
        self.put(line)
        return number

    def next(self, wait_s=WAIT_S):
        line = self.lines.get(timeout=wait_s)
        assert line is not None, "taper connect has ended"
        message = json.loads(line)
        asked = self.asked.get(message.get("id"), {"method": message.get("method", ""), "task": False})
        self.heard.append({"era": self.era, **asked, "message": message})
        return message

    def until(self, wanted):
        end = time.monotonic() + WAIT_S
        while True:
            message = self.next(max(0.1, end - time.monotonic()))
            if wanted(message):
                return message

    def answer(self, number):
        return self.until(lambda message: message.get("id") == number)

    def told(self, method):
        return self.until(lambda message: message.get("method") == method)["params"]

    def ask(self, *words, **more):
        return self.answer(self.send(*words, **more))

    def raw(self, line):
        """What is answered without an id, to a line that has none."""
        self.put(line)
        return self.until(lambda message: "id" not in message and "error" in message)

    def call(self, tool, arguments=None, **more):
        task = {"task": more.pop("task")} if "task" in more else {}
        return self.ask("tools/call", {"name": tool, "arguments": arguments or {}, **task}, **more)

    def end(self):
        self.process.stdin.close()
        self.process.wait(WAIT_S)
