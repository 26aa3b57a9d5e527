#!/usr/bin/env python3
"""Calls that wait for somebody's input, as clients of `taper connect` see them: a server of ours asks, all processes are
killed, the host has another boot, and the answer still arrives; once.

usage: waiting_test.py BIN_DIRECTORY
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/system/mcp_servers"))
from node_of_ours import MODERN, WAIT_S, Client, Node, processes_below  # noqa: E402 pylint: disable=wrong-import-position

TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}}
PLAIN = {"elicitation": {}}
BOOT_ID = "/proc/sys/kernel/random/boot_id"
OTHER_BOOT = "01234567-89ab-cdef-0123-456789abcdef"


def need(condition, what):
    if not condition:
        raise AssertionError(what)


class Asker(Client):
    """A client of 2026-07-28 that declares what it can."""

    def __init__(self, node, capsule, capabilities, era=MODERN):
        self.capabilities = capabilities
        super().__init__(node, capsule, era)

    def send(self, method, params):
        self.last += 1
        if self.era == MODERN:
            params = {**params, "_meta": {"io.modelcontextprotocol/protocolVersion": MODERN,
                                          "io.modelcontextprotocol/clientCapabilities": self.capabilities}}
        line = json.dumps({"jsonrpc": "2.0", "id": self.last, "method": method, "params": params})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.last

    def result(self, method, **params):
        answer = self.ask(method, params)
        need("result" in answer, answer)
        return answer["result"]

    def error(self, method, **params):
        answer = self.ask(method, params)
        need("error" in answer, answer)
        return answer["error"]

    def until(self, task, status):
        end = time.monotonic() + WAIT_S
        while (told := self.result("tasks/get", taskId=task))["status"] != status:
            need(time.monotonic() < end and told["status"] == "working", told)
        return told

    def killed(self):
        self.process.kill()
        self.process.wait(WAIT_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


class Daemon:
    def __init__(self, node, boot_id=None):
        words = [node.bin / "taperd", "--state", "state"]
        if boot_id:
            Path(node.folder, "boot_id").write_text(boot_id + "\n", encoding="utf-8")
            words = ["unshare", "--mount", "sh", "-c", f'mount --bind boot_id {BOOT_ID} && exec "$@"', "sh", *words]
        self.process = subprocess.Popen(words, cwd=node.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        node.clients.append(self.process)
        ready = self.process.stderr.readline()
        need("ready" in ready, ready)

    def killed(self):
        """All that it started goes with it."""
        below = processes_below(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_S)
        self.process.stderr.close()
        end = time.monotonic() + WAIT_S
        while any(os.path.exists(f"/proc/{process}") for process in below):
            need(time.monotonic() < end, below)
            time.sleep(0.01)


def answers(key, **content):
    return {key: {"action": "accept", "content": content}}


def records(node):
    """What the log says of calls: bodies of decisions and outcomes."""
    node.taper("audit", "export", "--state", "state", "--out", "log.bin")
    node.taper("audit", "verify", "log.bin", "--node", "state/node.pub")
    shown = node.taper("audit", "show", "log.bin", "--json")
    return [json.loads(line) for line in shown.splitlines()]


def waits(node, capsule, boot_id):
    """A task is parked, everything is killed, and the answer goes where it belongs, once."""
    daemon = Daemon(node)
    client = Asker(node, capsule, TASKS)
    task = client.result("tools/call", name="fake.echo", arguments={"text": "a"})["taskId"]
    asked = client.until(task, "input_required")
    need(list(asked["inputRequests"]) == ["1/who"], asked)
    need(asked["inputRequests"]["1/who"]["params"]["message"] == "Who asks?", asked)
    client.killed()
    daemon.killed()
    daemon = Daemon(node, boot_id)
    client = Asker(node, capsule, TASKS)
    again = client.result("tasks/get", taskId=task)
    need(again["status"] == "input_required" and again["inputRequests"] == asked["inputRequests"], again)
    # Nothing has gone on by itself.
    time.sleep(1)
    need(client.result("tasks/get", taskId=task)["status"] == "input_required", "it went on by itself")
    wrong = client.error("tasks/update", taskId=task, inputResponses={"1/who": {"action": "yes"}})
    need(wrong == {"code": -32602, "message": "inputResponses.1/who.action must be accept, decline or cancel"}, wrong)
    done = client.result("tasks/update", taskId=task, inputResponses=answers("1/who", name="B", often=2.5))
    need(done.get("status") is None and done["resultType"] == "complete", done)
    told = json.loads(client.until(task, "completed")["result"]["content"][0]["text"])
    need(told["inputResponses"] == {"who": {"action": "accept", "content": {"name": "B", "often": 2.5}}}, told)
    need(told["requestState"] == 's\u00e9cret "1"' and told["arguments"] == {"text": "a"}, told)
    late = client.error("tasks/update", taskId=task, inputResponses=answers("1/who", name="C"))
    need("E525" in late["message"], late)
    client.end()
    return daemon


def strangers(node, capsule, other):
    """Another task's holder is told what a stranger to all tasks is told."""
    client = Asker(node, capsule, TASKS)
    task = client.result("tools/call", name="fake.echo", arguments={"text": "a"})["taskId"]
    client.until(task, "input_required")
    stranger = Asker(node, other, TASKS)
    for method, more in (("tasks/get", {}), ("tasks/update", {"inputResponses": answers("1/who")}), ("tasks/cancel", {})):
        theirs = stranger.error(method, taskId=task, **more)
        need(theirs == stranger.error(method, taskId="f" * 32, **more), theirs)
    moved = stranger.error("tools/call", name="fake.echo", arguments={"text": "a"}, requestState=task, inputResponses={})
    need(moved == stranger.error("tools/call", name="fake.echo", arguments={"text": "a"}, requestState="f" * 32,
                                 inputResponses={}), moved)
    stranger.end()
    need(client.result("tasks/cancel", taskId=task)["resultType"] == "complete", "cancel")
    need(client.result("tasks/get", taskId=task)["status"] == "cancelled", "cancelled")
    late = client.error("tasks/update", taskId=task, inputResponses=answers("1/who", name="C"))
    need("E525" in late["message"], late)
    client.end()


def plain(node, capsule, daemon):
    """Who takes no tasks is asked back, and makes the call again; a kill between the two changes nothing."""
    client = Asker(node, capsule, PLAIN)
    call = {"name": "fake.echo", "arguments": {"text": "a"}}
    asked = client.result("tools/call", **call)
    need(asked["resultType"] == "input_required" and list(asked["inputRequests"]) == ["1/who"], asked)
    client.killed()
    daemon.killed()
    daemon = Daemon(node)
    client = Asker(node, capsule, PLAIN)
    given = {"requestState": asked["requestState"], "inputResponses": answers("1/who", name="B")}
    foreign = client.error("tools/call", name="fake.echo", arguments={"text": "b"}, **given)
    need(foreign["code"] == -32602, foreign)
    done = client.result("tools/call", **call, **given)
    need(done["resultType"] == "complete" and '"name": "B"' in done["content"][0]["text"], done)
    twice = client.error("tools/call", **call, **given)
    need(twice == foreign, twice)
    client.end()
    old = Asker(node, capsule, {}, "2025-11-25")
    old.fails("fake.echo", "broke the protocol", text="a")
    old.end()
    return daemon


def logged(node):
    said = [record.get("body", record) for record in records(node)]
    updates = [body for body in said if body.get("verb") == "update" and body.get("verdict") == "allow"]
    on = [body for body in said if body.get("verb") == "call" and "input_digest" in body and body["verdict"] == "allow"]
    need(updates and all(len(body["input_digest"]) == 64 for body in updates), updates)
    need(len(on) == 2 and {body["input_digest"] for body in on} <= {body["input_digest"] for body in updates}, on)
    boots = {body["boot"] for body in said if "boot" in body}
    need(os.geteuid() != 0 or (len(boots) == 2 and OTHER_BOOT.replace("-", "") in boots), boots)
    need(sum(body.get("outcome") == "waiting" for body in said) == 3, "three calls waited")


def main():
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as scratch:
        node = Node(Path(sys.argv[1]).resolve(), os.path.realpath(scratch))
        server = node.folder / "server"
        server.mkdir()
        script = server / "server.py"
        script.write_bytes((TREE / "tests/unit/upstream/fake_server.py").read_bytes())
        node.declare("fake", ["/usr/bin/python3", script, MODERN, "asks-form"], MODERN, [server])
        node.pin("fake")
        capsules = [node.sign({"fake.echo": {"text": "any"}}) for _ in range(2)]
        daemon = waits(node, capsules[0], OTHER_BOOT if os.geteuid() == 0 else None)
        try:
            strangers(node, *capsules)
            daemon = plain(node, capsules[1], daemon)
        finally:
            daemon.killed()
            node.end_clients()
        logged(node)


main()
