#!/usr/bin/env python3
"""taper connect as an MCP client sees it: lines on stdin and stdout, a node behind them.

usage: connect_test.py BIN_DIRECTORY [--alone]

With --alone there is no daemon, and taper connect has the node in its own process.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

WAIT_S = 60
TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}

SOURCE = """
[capsule]
purpose = "Look after the logs of plant 7"
requester = "user:alice@plant.example"
agent = "triage"
window = {{ for = "1h" }}
lease = {{ ttl = "10m" }}
end_on = {{ denials = 20 }}
[[grant]]
tool = "file.read"
args = {{ path = {{ under = "{here}/logs" }} }}
verbs = ["discover", "call"]
budget = {{ calls = 5 }}
[[grant]]
tool = "sleep"
effect = "read"
digest = "unpinned"
args = {{ seconds = "any" }}
verbs = ["discover", "call", "poll", "result", "cancel"]
"""
SLEEP = """
kind = "command"
effect = "read"
output = "text"
argv = ["/usr/bin/sleep", "--", {arg = "seconds"}]
[input]
seconds = {type = "string"}
"""


def taper(*words, code=0):
    done = subprocess.run(["taper", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S,
                          check=False)
    assert done.returncode == code, (words, done)
    return done.stdout


def make_fleet():
    for folder in ("centre", "agent", "logs", "door"):
        os.mkdir(folder)
    for role, key in (("root", "centre/root"), ("issuer", "centre/issuer"), ("holder", "agent/agent")):
        taper("key", "new", "--role", role, "--out", key + ".key", "--no-passphrase")
    taper("root", "init", "--key", "centre/root.key", "--issuer", "centre/issuer.pub", "--max-ttl", "1h",
          "--out", "centre/root.tpr")
    taper("node", "init", "--state", "state", "--name", "edge-7")
    taper("import", "--state", "state", "centre/root.tpr")
    with open("state/tools.d/sleep.toml", "w", encoding="utf-8") as file:
        file.write(SLEEP)
    with open("logs/a.log", "w", encoding="utf-8") as file:
        file.write("two ALARM")
    with open("tools.json", "w", encoding="utf-8") as file:
        file.write(taper("tools", "list", "--state", "state", "--json"))


def make_capsule(name):
    with open(name + ".toml", "w", encoding="utf-8") as file:
        file.write(SOURCE.format(here=os.getcwd()))
    taper("capsule", "sign", name + ".toml", "--key", "centre/issuer.key", "--root", "centre/root.tpr", "--node",
          "state/node.pub", "--holder", "agent/agent.pub", "--tools", "tools.json", "--out", name + ".capsule")


class Daemon:
    """taperd as the owner of the state."""

    def __init__(self):
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["taperd", "--state", "state", "--agents", "door/agents.sock"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        ready = self.process.stderr.readline()
        assert "ready" in ready, ready

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(WAIT_S)
        self.process.stderr.close()


class Client:
    """One process of taper connect; every line of its stdout must be a message."""

    def __init__(self, capsule, *options, node=("--state", "state")):
        self.last = 0
        self.told = []
        self.process = subprocess.Popen(["taper", "connect", capsule + ".capsule", "--key", "agent/agent.key",
                                         *node, *options], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def send(self, method, params=None):
        self.last += 1
        line = json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params or {}})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.last

    def answer(self, number):
        while True:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0", message
            if message.get("id") == number:
                return message
            assert "id" not in message, message
            self.told.append(message)

    def ask(self, method, params=None):
        return self.answer(self.send(method, params))

    def modern(self, method, params=None, capabilities=None):
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": capabilities or {}}
        return self.ask(method, {**(params or {}), "_meta": meta})

    def open(self):
        answer = self.ask("initialize", {"protocolVersion": "2025-11-25", "capabilities": {},
                                         "clientInfo": {"name": "test", "version": "1"}})
        return answer["result"]

    def call(self, tool, arguments, **more):
        return self.ask("tools/call", {"name": tool, "arguments": arguments, **more})

    def task(self):
        read = self.ask("resources/read", {"uri": "taper://task"})["result"]["contents"]
        assert [part["mimeType"] for part in read] == ["text/markdown", "application/json"]
        assert "Look after the logs of plant 7" in read[0]["text"]
        return json.loads(read[1]["text"])["task"]

    def end(self, code=0):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        err = self.process.stderr.read()
        assert self.process.wait(WAIT_S) == code, err
        for line in rest.splitlines():
            json.loads(line)
        self.process.stdout.close()
        self.process.stderr.close()
        return err


def state_of(task):
    return json.loads(taper("task", "show", task, "--state", "state", "--json"))["state"]


def await_state(task, state):
    end = time.monotonic() + WAIT_S
    while state_of(task) != state:
        assert time.monotonic() < end, state_of(task)
        time.sleep(0.05)


def tools_and_denials():
    client = Client("one")
    opened = client.open()
    assert opened["protocolVersion"] == "2025-11-25" and "plant 7" in opened["instructions"], opened
    tools = client.ask("tools/list")["result"]["tools"]
    assert {tool["name"] for tool in tools} == {"file.read", "sleep"}, tools
    read = client.call("file.read", {"path": os.getcwd() + "/logs/a.log"})["result"]
    assert "two ALARM" in read["content"][0]["text"] and not read["isError"], read
    assert "dev.taper/remaining" in read["_meta"], read
    denied = client.call("file.read", {"path": "/etc/shadow"})["result"]
    assert denied["isError"] and denied["content"][0]["text"].startswith("E504: "), denied
    assert denied["_meta"]["dev.taper/denial"] == {"code": 504}, denied
    unknown = client.call("file.write", {})["error"]
    assert unknown["code"] == -32602 and unknown["data"]["dev.taper/denial"] == {"code": 502}, unknown
    task = client.task()
    err = client.end()
    # Only the holder reads why.
    assert "refused: call of file.read: E504 argument_refused, decision " in err, err
    decision = err.split("E504 argument_refused, decision ")[1].split()[0]
    taper("why", decision, "--state", "state")
    assert state_of(task) == "active"
    return task


def another_socket(task):
    """For users who may not enter the state."""
    client = Client("one", node=("--socket", "door/agents.sock"))
    client.open()
    assert client.task() == task
    client.end()


def tasks_of_both_eras(task):
    client = Client("one")
    client.open()
    assert client.task() == task, "another connection takes the task up"
    made = client.call("sleep", {"seconds": "0.2"}, task={})["result"]["task"]
    assert made["status"] == "working", made
    result = client.ask("tasks/result", {"taskId": made["taskId"]})["result"]
    assert not result["isError"], result
    assert client.ask("tasks/get", {"taskId": made["taskId"]})["result"]["status"] == "completed"

    modern = client.modern("tools/call", {"name": "sleep", "arguments": {"seconds": "600"}}, TASKS)["result"]
    assert modern["resultType"] == "task" and modern["status"] == "working", modern
    assert client.modern("tasks/cancel", {"taskId": modern["taskId"]}, TASKS)["result"]["resultType"] == "complete"
    got = client.modern("tasks/get", {"taskId": modern["taskId"]}, TASKS)["result"]
    assert got["status"] == "cancelled", got

    foreign = client.modern("tasks/get", {"taskId": "f" * 32}, TASKS)["error"]
    assert foreign["code"] == -32602 and "data" not in foreign, foreign
    client.end()
    # A handle outlives the connection that made it.
    other = Client("one")
    other.open()
    assert other.ask("tasks/get", {"taskId": made["taskId"]})["result"]["status"] == "completed"
    other.end()


def complete(task):
    client = Client("one", "--complete")
    client.open()
    assert state_of(task) == "active"
    client.end()
    await_state(task, "completed")
    ended = Client("one")
    ended.end(code=3)


def restarted_node(daemon):
    """The client stays; its next question finds the node again, and the task with it."""
    make_capsule("two")
    client = Client("two")
    client.open()
    task = client.task()
    waiting = client.send("tools/call", {"name": "sleep", "arguments": {"seconds": "600"}})
    time.sleep(0.3)
    daemon.stop(signal.SIGKILL)
    lost = client.answer(waiting)
    assert lost["error"]["code"] == -32603 and "done or not" in lost["error"]["message"], lost
    daemon.start()
    read = client.call("file.read", {"path": os.getcwd() + "/logs/a.log"})["result"]
    assert "two ALARM" in read["content"][0]["text"], read
    assert client.task() == task
    assert [told["method"] for told in client.told] == ["notifications/tools/list_changed"], client.told
    assert "another is open" in client.end()


def shared_node():
    """Without a daemon a second connection uses the node of the first."""
    make_capsule("two")
    first = Client("two")
    first.open()
    second = Client("two")
    second.open()
    assert first.task() == second.task()
    first.end()
    # Its node went with it. The second one's own takes the state once nobody else has.
    answer = second.call("file.read", {"path": os.getcwd() + "/logs/a.log"})
    assert "two ALARM" in answer["result"]["content"][0]["text"], answer
    second.end()


def alone():
    task = tools_and_denials()
    tasks_of_both_eras(task)
    complete(task)
    shared_node()
    signalled()


def signalled():
    """A signal is the end of the input: the task lives on."""
    client = Client("two")
    client.open()
    task = client.task()
    client.process.send_signal(signal.SIGTERM)
    client.end()
    assert state_of(task) == "active"


def gone_before_the_answer(daemon):
    """Peers that ask and go do not take the daemon with them."""
    hello = bytes()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("fake.sock")
        listener.listen(1)
        asking = subprocess.Popen(["taper", "connect", "one.capsule", "--key", "agent/agent.key", "--socket",
                                   "fake.sock"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peer, _ = listener.accept()
        hello = peer.recv(1000)
        peer.close()
        asking.wait(WAIT_S)
    for _ in range(300):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect("state/agent.sock")
            stranger.send(hello)
    time.sleep(0.2)
    assert daemon.process.poll() is None, daemon.process.returncode


def plan_beside():
    """A plan runs in the daemon while a session lives there; each is told of its own."""
    make_capsule("three")
    client = Client("three")
    client.open()
    waiting = client.send("tools/call", {"name": "sleep", "arguments": {"seconds": "3"}})
    with open("plan.toml", "w", encoding="utf-8") as file:
        file.write(SOURCE.format(here=os.getcwd()) + """
[plan]
steps = [{ id = "read", tool = "file.read", args = { path = "%s/logs/a.log" } }]
""" % os.getcwd())
    taper("capsule", "sign", "plan.toml", "--key", "centre/issuer.key", "--root", "centre/root.tpr", "--node",
          "state/node.pub", "--holder", "agent/agent.pub", "--tools", "tools.json", "--out", "plan.capsule")
    run = json.loads(taper("run", "plan.capsule", "--key", "agent/agent.key", "--state", "state", "--json"))
    assert run["state"] == "completed" and [step["outcome"] for step in run["steps"]] == ["done"], run
    assert run["task"] != client.task()
    assert not client.answer(waiting)["result"]["isError"]
    client.end()


def with_daemon():
    daemon = Daemon()
    daemon.start()
    try:
        task = tools_and_denials()
        another_socket(task)
        tasks_of_both_eras(task)
        complete(task)
        plan_beside()
        gone_before_the_answer(daemon)
        restarted_node(daemon)
        signalled()
    finally:
        daemon.stop()


def main():
    os.environ["PATH"] = os.path.abspath(sys.argv[1]) + ":" + os.environ["PATH"]
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as here:
        os.chdir(here)
        make_fleet()
        make_capsule("one")
        if "--alone" in sys.argv:
            alone()
        else:
            with_daemon()
        os.chdir("/")


main()
