#!/usr/bin/env python3
"""Kills the processes of a session at random moments and counts what its calls have done.

usage: session_kills.py BIN_DIRECTORY [KILLS] [SEED]

An MCP client asks `taper connect` for appends, by a builtin and by an MCP server's tool, and for tasks of a
command and of that server that take their time. Again and again one of taperd, taper-spawnd, taper connect,
taper-upstream and the server is killed in the middle; what does not come back by itself is started anew. In the end: each
append stands in its file at most once, and exactly once where it was told done; each task that was told made is still
known; those that waited for an answer from the first on still wait, and go on with it; there was one activation; the
log verifies.
"""
import collections
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEM = HERE.parent / "system"
sys.path.insert(0, str(SYSTEM / "mcp_servers"))
from node_of_ours import processes_below  # noqa: E402 pylint: disable=wrong-import-position

WAIT_S = 60
VICTIMS = ("taperd", "taper-spawnd", "taper connect", "taper-upstream", "server")
FILES = ("data/effects", "data/ledger")  # of the builtin, of the server
SOURCE = """
[capsule]
purpose = "Be killed"
requester = "test"
agent = "test"
window = {{ for = "1h" }}
lease = {{ ttl = "1h" }}
end_on = {{ denials = 1000 }}
activations = 1
[[grant]]
tool = "file.append"
args = {{ path = {{ equals = "{here}/data/effects" }}, content = "any" }}
idempotency = "content"
[[grant]]
tool = "sleep"
effect = "read"
digest = "unpinned"
args = {{ seconds = "any" }}
[[grant]]
tool = "ledger.append"
effect = "write"
digest = "{append}"
args = {{ path = {{ under = "{here}/data" }}, text = "any" }}
[[grant]]
tool = "ledger.nap"
effect = "read"
digest = "{nap}"
args = {{ ms = {{ at_most = 1000 }} }}
[[grant]]
tool = "asker.ask"
effect = "read"
digest = "{ask}"
"""
SLEEP = """
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/sleep", "--", {arg = "seconds"}]
[input]
seconds = {type = "string"}
"""
LEDGER = """
kind = "mcp"
argv = ["/usr/bin/python3", "{here}/server/ledger_server.py"]
era = "2025-11-25"
files = ["{here}/server"]
effect = "write"
[tools.append]
paths = ["path"]
[tools.nap]
effect = "read"
"""
ASKER = """
kind = "mcp"
argv = ["/usr/bin/python3", "{here}/server/asking_server.py"]
era = "2026-07-28"
files = ["{here}/server"]
effect = "read"
"""
CAN_ANSWER = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {
    "elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}}}
WAITING = 3


def taper(*words):
    done = subprocess.run(["taper", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S,
                          check=False)
    assert done.returncode == 0, (words, done)
    return done.stdout


def make_fleet():
    os.mkdir("data")
    for role in ("root", "issuer", "holder"):
        taper("key", "new", "--role", role, "--out", role + ".key", "--no-passphrase")
    taper("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--max-ttl", "1h", "--out", "root.tpr")
    taper("node", "init", "--state", "state", "--name", "edge-7")
    taper("import", "--state", "state", "root.tpr")
    with open("state/tools.d/sleep.toml", "w", encoding="utf-8") as file:
        file.write(SLEEP)
    os.mkdir("server")
    shutil.copy(HERE / "ledger_server.py", "server")
    with open("state/tools.d/ledger.toml", "w", encoding="utf-8") as file:
        file.write(LEDGER.format(here=os.getcwd()))
    shutil.copy(SYSTEM / "mcp_clients/asking_server.py", "server")
    with open("state/tools.d/asker.toml", "w", encoding="utf-8") as file:
        file.write(ASKER.format(here=os.getcwd()))
    for name in ("ledger", "asker"):
        taper("tools", "pin", name, "--state", "state")
    tools = taper("tools", "list", "--state", "state", "--json")
    with open("tools.json", "w", encoding="utf-8") as file:
        file.write(tools)
    digests = {tool["name"]: tool["digest"] for tool in json.loads(tools)["tools"]}
    for name in FILES:
        with open(name, "w", encoding="utf-8"):
            pass
    with open("task.toml", "w", encoding="utf-8") as file:
        file.write(SOURCE.format(here=os.getcwd(), append=digests["ledger.append"], nap=digests["ledger.nap"],
                                 ask=digests["asker.ask"]))
    taper("capsule", "sign", "task.toml", "--key", "issuer.key", "--root", "root.tpr", "--node", "state/node.pub",
          "--holder", "holder.pub", "--tools", "tools.json", "--out", "task.capsule")


class Daemon:
    def __init__(self):
        self.process = None

    def up(self):
        """The daemon ends by itself when its spawner is gone."""
        if self.process is not None and self.process.poll() is None:
            return
        for _ in range(20):
            self.process = subprocess.Popen(["taperd", "--state", "state"], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            if "ready" in self.process.stderr.readline():
                return
            self.process.wait(WAIT_S)
            time.sleep(0.1)
        sys.exit("taperd does not start any more")

    def spawner(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="utf-8") as file:
            children = file.read().split()
        return int(children[0]) if children else None


class Client:
    """One process of taper connect, and every answer it gave."""

    def __init__(self):
        self.process = subprocess.Popen(["taper", "connect", "task.capsule", "--key", "holder.key", "--state", "state"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.lines = queue.Queue()
        self.last = 0
        threading.Thread(target=self.read, daemon=True).start()
        self.answers = {}
        self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {"tasks": {}},
                                "clientInfo": {"name": "test", "version": "1"}})

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def send(self, method, params):
        self.last += 1
        line = json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.last

    def gather(self, numbers):
        """Waits for these answers, or for the end of the process."""
        end = time.monotonic() + WAIT_S
        while not all(number in self.answers for number in numbers):
            line = self.lines.get(timeout=max(0.1, end - time.monotonic()))
            if line is None:
                return
            message = json.loads(line)
            if "id" in message:
                self.answers[message["id"]] = message

    def ask(self, method, params):
        number = self.send(method, params)
        self.gather([number])
        return self.answers.get(number)

    def modern(self, method, **params):
        """The result of a request of 2026-07-28, whose client can answer questions."""
        return self.ask(method, {**params, "_meta": CAN_ANSWER}).get("result", {})

    def call(self, tool, arguments, **more):
        return self.send("tools/call", {"name": tool, "arguments": arguments, **more})


class Run:
    def __init__(self, kills, seed):
        self.kills, self.random = kills, random.Random(seed)
        self.daemon, self.client = Daemon(), None
        self.asked, self.done, self.made = 0, set(), set()
        self.killed = collections.Counter()
        self.waiting, self.problems = [], []

    def ask_questions(self):
        for _ in range(WAITING):
            self.waiting.append(self.client.modern("tools/call", name="asker.ask", arguments={})["taskId"])
        for task in self.waiting:
            while self.client.modern("tasks/get", taskId=task)["status"] == "working":
                pass

    def look_at_questions(self):
        for task in self.waiting:
            got = self.client.modern("tasks/get", taskId=task)
            if got.get("status") != "input_required":
                self.problems.append(f"{task} does not wait any more: {got}")

    def answer_questions(self):
        for task in self.waiting:
            asked = self.client.modern("tasks/get", taskId=task).get("inputRequests", {})
            said = {key: {"action": "accept", "content": {"word": "lamp"}} for key in asked}
            self.client.modern("tasks/update", taskId=task, inputResponses=said)
            got = {"status": "working"}
            while got.get("status") == "working":
                got = self.client.modern("tasks/get", taskId=task)
            if got.get("result", {}).get("content", [{}])[0].get("text") != "the word is lamp":
                self.problems.append(f"{task} did not go on: {got}")

    def volley(self):
        appends, tasks, here = {}, [], os.getcwd()
        for _ in range(self.random.randrange(1, 12)):
            self.asked += 1
            if self.random.random() < 0.6:
                number = self.client.call("file.append", {"path": f"{here}/{FILES[0]}", "content": f"{self.asked}\n"})
            else:
                number = self.client.call("ledger.append", {"path": f"{here}/{FILES[1]}", "text": f"{self.asked}\n"})
            appends[number] = self.asked
        for _ in range(self.random.randrange(3)):
            tasks.append(self.client.call("sleep", {"seconds": f"0.{self.random.randrange(10)}"}, task={}))
        for _ in range(self.random.randrange(2)):
            tasks.append(self.client.call("ledger.nap", {"ms": self.random.randrange(400)}, task={}))
        return appends, tasks

    def upstream(self, victim):
        """A helper, or a server that one serves, once there is any."""
        end = time.monotonic() + 1
        while time.monotonic() < end:
            found = self.upstreams(victim)
            if found:
                return self.random.choice(found)
            time.sleep(0.005)
        return None

    def upstreams(self, victim):
        found = []
        for process in processes_below(self.daemon.process.pid):
            try:
                words = Path("/proc", str(process), "cmdline").read_text(encoding="utf-8")
            except OSError:
                continue
            helper = "taper-upstream" in words.split("\0")[0]
            server = "_server.py" in words and "taper-upstream" not in words
            if (helper if victim == "taper-upstream" else server):
                found.append(process)
        return found

    def kill(self):
        victim = self.random.choice(VICTIMS)
        if victim == "taperd":
            pid = self.daemon.process.pid
        elif victim == "taper-spawnd":
            pid = self.daemon.spawner()
        elif victim == "taper connect":
            pid = self.client.process.pid
        else:
            pid = self.upstream(victim)
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.killed[victim] += 1
        if sum(self.killed.values()) % 50 == 0:
            print(f"{sum(self.killed.values())} kills", flush=True)
        if victim in ("taperd", "taper-spawnd"):
            self.daemon.process.wait(WAIT_S)
        elif victim == "taper connect":
            self.client.process.wait(WAIT_S)

    def note(self, client, appends, tasks):
        for number, value in appends.items():
            answer = client.answers.get(number, {})
            if "result" in answer and not answer["result"].get("isError"):
                self.done.add(value)
        for number in tasks:
            task = client.answers.get(number, {}).get("result", {}).get("task")
            if task:
                self.made.add(task["taskId"])

    def run(self):
        while sum(self.killed.values()) < self.kills:
            self.daemon.up()
            if self.client is None or self.client.process.poll() is not None:
                self.client = Client()
            if not self.waiting:
                self.ask_questions()
            appends, tasks = self.volley()
            time.sleep(self.random.random() * self.random.choice([0.002, 0.02, 0.1]))
            self.kill()
            self.daemon.up()
            self.client.gather([*appends, *tasks])
            self.note(self.client, appends, tasks)
            if self.random.random() < 0.1 and self.client.process.poll() is None:
                self.look_at_questions()
        self.daemon.up()
        self.client = Client()
        self.look_at_questions()
        self.answer_questions()

    def check(self):
        counts = collections.Counter()
        for name in FILES:
            with open(name, encoding="utf-8") as file:
                counts.update(int(line) for line in file.read().split())
        problems = self.problems + [f"append {value} was done {count} times" for value, count in counts.items() if count != 1]
        problems += [f"append {value} was told done and is not there" for value in self.done if counts[value] != 1]
        problems += [f"append {value} was never asked" for value in counts if not 0 < value <= self.asked]
        states = collections.Counter()
        for task in sorted(self.made):
            answer = self.client.ask("tasks/get", {"taskId": task})
            states[(answer or {}).get("result", {}).get("status", "unknown")] += 1
        if states["unknown"]:
            problems.append(f"{states['unknown']} tasks that were told made are not known")
        tasks = json.loads(taper("task", "list", "--state", "state", "--json"))["tasks"]
        if len(tasks) != 1 or tasks[0]["state"] != "active":
            problems.append(f"not one live task: {tasks}")
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.process.wait(WAIT_S)
        taper("audit", "export", "--state", "state", "--out", "log.tpa")
        taper("audit", "verify", "log.tpa", "--node", "state/node.pub")
        print(f"{sum(self.killed.values())} kills {dict(self.killed)}: {self.asked} asked, {len(counts)} done, "
              f"{len(self.done)} of them told; {len(self.made)} tasks {dict(states)}, {len(self.waiting)} that waited and went on; "
              f"{len(problems)} problems")
        return problems


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + os.pathsep + os.environ["PATH"]
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else time.time_ns()
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="taper-kills-") as folder:
        os.chdir(folder)
        make_fleet()
        run = Run(kills, seed)
        try:
            run.run()
            problems = run.check()
        finally:
            for process in (run.daemon.process, run.client and run.client.process):
                if process is not None and process.poll() is None:
                    process.kill()
        os.chdir("/")
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


main()
