#!/usr/bin/env python3
"""Programs as agents, good ones and such that misbehave: what they can do, and how their tasks end.

usage: agent_test.py BIN_DIRECTORY [--daemon]
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WAIT_S = 60
CAPSULE = """[capsule]
purpose   = "Try an agent"
requester = "user:alice@plant.example"
agent     = "trier"
window    = {{ for = "1h" }}
lease     = {{ ttl = "{ttl}", idle = "{idle}" }}
activations = 100
delegation = {{ max_depth = 1 }}
end_on    = {{ denials = {denials} }}

[[grant]]
tool = "file.read"
args = {{ path = {{ under = "{data}" }} }}

[[grant]]
tool   = "file.append"
args   = {{ path = {{ equals = "{data}/out.txt" }}, content = "any" }}
budget = {{ calls = 1000 }}

[agent]
program = "agent"
digest  = "{digest}"
cell    = {{ memory_bytes = 536870912, cpu = "60s" }}
"""


def need(condition, what):
    if not condition:
        raise AssertionError(what)


class Node:
    def __init__(self, bin_directory, folder):
        self.bin, self.folder = Path(bin_directory).resolve(), Path(os.path.realpath(folder))
        self.data = self.folder / "data"
        self.data.mkdir()
        (self.data / "a.txt").write_text("hello\n", encoding="utf-8")
        (self.folder / "agent").mkdir()
        shutil.copy(HERE / "agent.py" if (HERE / "agent.py").exists() else HERE.parent / "hostile/agent.py",
                    self.folder / "agent")
        self.serial, self.daemon = 0, None
        for role in ("root", "issuer", "holder"):
            self.taper("key", "new", "--role", role, "--out", role + ".key", "--no-passphrase")
        self.taper("root", "init", "--key", "root.key", "--issuer", "issuer.pub", "--out", "root.tpr")
        self.taper("node", "init", "--state", "state", "--name", "edge-7")
        self.taper("import", "--state", "state", "root.tpr")

    def start_daemon(self):
        self.daemon = subprocess.Popen([self.bin / "taperd", "--state", self.folder / "state"], stderr=subprocess.PIPE,
                                       text=True)
        while "ready" not in self.daemon.stderr.readline():
            need(self.daemon.poll() is None, "taperd did not start")

    def stop_daemon(self):
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(WAIT_S)
            self.daemon.stderr.close()

    def start(self, *words):
        return subprocess.Popen([self.bin / "taper", *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def taper(self, *words, code=0):
        process = self.start(*words)
        out, err = process.communicate(timeout=WAIT_S)
        need(process.returncode == code, (words, process.returncode, out, err))
        return out + err

    def sign(self, *words, ttl="1m", idle="30s", denials=10):
        """A capsule for the program with these words; its path."""
        argv = ["/usr/bin/python3", f"{self.folder}/agent/agent.py", *map(str, words)]
        declared = self.folder / "state/tools.d/agent.toml"
        declared.write_text(f"kind = \"agent\"\nargv = {json.dumps(argv)}\nfiles = [\"{self.folder}/agent\"]\n",
                            encoding="utf-8")
        declared.chmod(0o644)
        listed = self.taper("tools", "list", "--state", "state", "--json")
        (self.folder / "tools.json").write_text(listed, encoding="utf-8")
        tool = next(tool for tool in json.loads(listed)["tools"] if tool["name"] == "agent")
        need(tool["kind"] == "agent", tool)
        self.serial += 1
        name = f"capsule-{self.serial}"
        text = CAPSULE.format(ttl=ttl, idle=idle, denials=denials, data=self.data, digest=tool["digest"])
        (self.folder / (name + ".toml")).write_text(text, encoding="utf-8")
        self.taper("capsule", "sign", name + ".toml", "--key", "issuer.key", "--root", "root.tpr", "--node",
                   "state/node.pub", "--holder", "holder.pub", "--tools", "tools.json", "--out", name + ".capsule")
        return name + ".capsule"

    def begin(self, capsule):
        return self.start("run", capsule, "--key", "holder.key", "--state", "state", "--json")

    def end(self, process):
        out, err = process.communicate(timeout=WAIT_S)
        need(out, (process.returncode, err))
        told = json.loads(out)
        told["exit"] = process.returncode
        return told

    def play(self, *words, **terms):
        return self.end(self.begin(self.sign(*words, **terms)))

    def tasks(self):
        return json.loads(self.taper("task", "list", "--state", "state", "--json"))["tasks"]

    def out(self):
        path = self.data / "out.txt"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def await_out(self):
        """Until the agent has called its tool."""
        before, until = self.out(), time.monotonic() + WAIT_S
        while self.out() == before:
            need(time.monotonic() < until, "the agent calls nothing")
            time.sleep(0.02)


def running(word, beside=""):
    """The processes that have this word in their command line, and there too what is to stand beside it."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = Path("/proc", entry, "cmdline").read_bytes()
            if word.encode() in line.split(b"\0") and str(beside).encode() in line:
                found.append(int(entry))
        except OSError:
            continue
    return found


def completes(node):
    for era in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"):
        told = node.play("honest", era, node.data)
        need(told["exit"] == 0 and (told["state"], told["reason"]) == ("completed", "completion"), told)
        need(node.out().endswith(era + "\n"), node.out())
        step = told["steps"][0]
        need((step["id"], step["tool"], step["verdict"], step["outcome"]) == ("agent", "agent", "allow", "done"), told)
        shown = json.loads(node.taper("task", "show", told["task"], "--state", "state", "--json"))
        need("file.append" in json.dumps(shown), shown)
        why = node.taper("why", step["decision"], "--state", "state", "--json")
        need('"start"' in why and "user:alice" in why and "trier" in why, why)
    told = node.play("garbage", node.data)
    need(told["state"] == "completed", told)


def is_shut_in(node):
    told = node.play("seek", "/etc/shadow", "/etc/hostname", node.folder / "holder.key", node.folder / "state",
                     node.data, "/home", "/root", "/var")
    need(told["state"] == "completed", told)
    told = node.play("trace")
    need((told["state"], told["reason"]) == ("revoked", "violation"), told)


def leaves_nothing(node):
    mark = str(100_000 + os.getpid())
    told = node.play("leave", node.data, mark)
    need(told["state"] == "completed", told)
    need(not running(mark), running(mark))


def fails_as_it_does(node):
    told = node.play("die", "what went wrong")
    need((told["state"], told["reason"]) == ("failed", "failure") and told["exit"] != 0, told)
    need(told["steps"][0]["stderr"] == "what went wrong", told)
    told = node.play("loud")
    words = told["steps"][0]["stderr"]
    need(told["state"] == "failed" and len(words) < 5000 and words.endswith("the end\\x1b[31m"), told)


def ends_in_time(node):
    for words in (["flood"], ["mute"], ["deaf"], ["work", node.data]):
        began = time.monotonic()
        told = node.play(*words, ttl="3s", idle="3s")
        need((told["state"], told["reason"]) in (("expired", "ttl"), ("expired", "idle")), told)
        need(time.monotonic() - began < 8, told)
        need(not running(words[0], node.folder), words)
    told = node.play("mute", ttl="1m", idle="1s")
    need((told["state"], told["reason"]) == ("expired", "idle"), told)
    told = node.play("ask_much", "/etc/hostname", denials=5)
    need((told["state"], told["reason"]) == ("revoked", "denials"), told)


def is_cancelled(node):
    process = node.begin(node.sign("work", node.data))
    node.await_out()
    task = next(task for task in node.tasks() if task["state"] == "active")
    node.taper("task", "cancel", task["task"], "--state", "state")
    told = node.end(process)
    need((told["state"], told["reason"]) == ("cancelled", "cancelled"), told)
    need(not running("work", node.folder), running("work", node.folder))
    process = node.begin(node.sign("work", node.data))
    node.await_out()
    process.send_signal(signal.SIGINT)
    told = node.end(process)
    need(told["state"] == "cancelled", told)


def is_what_was_pinned(node):
    capsule = node.sign("honest", "2025-11-25", node.data)
    program = node.folder / "agent/agent.py"
    before = program.read_text(encoding="utf-8")
    program.write_text(before + "# another\n", encoding="utf-8")
    tasks = node.tasks()
    refused = node.taper("run", capsule, "--key", "holder.key", "--state", "state", code=3)
    need("E509" in refused, refused)
    need(node.tasks() == tasks, "something was spent")
    program.write_text(before, encoding="utf-8")
    need(node.end(node.begin(capsule))["state"] == "completed", capsule)
    declared = node.folder / "state/tools.d/agent.toml"
    declared.unlink()
    refused = node.taper("run", capsule, "--key", "holder.key", "--state", "state", code=3)
    need("E510" in refused, refused)
    refused = node.taper("connect", capsule, "--key", "holder.key", "--state", "state", code=2)
    need("E113" in refused, refused)


def keeps_its_script(node):
    """What comes to the script's name while the agent runs is not what it sees there."""
    process = node.begin(node.sign("same", node.data))
    node.await_out()
    program = node.folder / "agent/agent.py"
    before = program.read_text(encoding="utf-8")
    other = node.folder / "agent/other.py"
    other.write_text("another\n", encoding="utf-8")
    other.replace(program)
    with open(node.data / "out.txt", "a", encoding="utf-8") as out:
        out.write("moved\n")
    told = node.end(process)
    program.write_text(before, encoding="utf-8")
    need(told["state"] == "completed", told)


def is_taken_up(node):
    """Where its broker was killed, the next run starts the program anew, under the lease that is left."""
    capsule = node.sign("work", node.data)
    process = node.begin(capsule)
    node.await_out()
    victim = node.daemon if node.daemon else process
    victim.kill()
    victim.wait(WAIT_S)
    process.communicate(timeout=WAIT_S)
    until = time.monotonic() + 10
    while running("work", node.folder) and time.monotonic() < until:
        time.sleep(0.05)
    need(not running("work", node.folder), running("work", node.folder))
    if node.daemon:
        node.daemon.stderr.close()
        node.start_daemon()
    process = node.begin(capsule)
    node.await_out()
    need(len([task for task in node.tasks() if task["state"] == "active"]) == 1, node.tasks())
    process.send_signal(signal.SIGINT)
    told = node.end(process)
    need(told["resumed"] and told["state"] == "cancelled", told)


def is_alone_in_its_cell(node):
    """Where the cell's first process is killed, the run ends at once and the task stays for another."""
    capsule = node.sign("work", node.data)
    process = node.begin(capsule)
    node.await_out()
    found = [pid for pid in running("work", node.folder)
             if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/usr/bin/python3")]
    speaker = int(Path(f"/proc/{found[0]}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
    first = int(Path(f"/proc/{speaker}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
    os.kill(first, signal.SIGKILL)
    began = time.monotonic()
    _, err = process.communicate(timeout=WAIT_S)
    need(process.returncode != 0 and time.monotonic() - began < 5, (process.returncode, err))
    process = node.begin(capsule)
    node.await_out()
    process.send_signal(signal.SIGINT)
    told = node.end(process)
    need(told["resumed"] and told["state"] == "cancelled", told)


def ends_with_its_chain(node):
    """A narrower lease ends the run of that chain alone; another chain goes on with the task."""
    whole = node.sign("work", node.data)
    (node.folder / "keep.toml").write_text("[[grant]]\nparent = \"file.append\"\n[block]\nlease = { ttl = \"3s\" }\n",
                                           encoding="utf-8")
    node.taper("capsule", "narrow", whole, "--with", "keep.toml", "--key", "holder.key", "--holder", "holder.pub",
               "--out", "narrow.capsule")
    process = node.begin("narrow.capsule")
    node.await_out()
    out, err = process.communicate(timeout=10)
    need(process.returncode != 0 and "E501" in err, (out, err))
    (node.folder / "narrow.capsule").unlink()
    need(not running("work", node.folder), running("work", node.folder))
    process = node.begin(whole)
    node.await_out()
    process.send_signal(signal.SIGINT)
    told = node.end(process)
    need(told["resumed"] and told["state"] == "cancelled", told)


def stops_with_its_daemon(node):
    """While its agent floods it."""
    capsule = node.sign("flood")
    process = node.begin(capsule)
    until = time.monotonic() + WAIT_S
    while not running("flood", node.folder):
        need(time.monotonic() < until, "no agent")
        time.sleep(0.02)
    time.sleep(0.5)
    node.daemon.terminate()
    need(node.daemon.wait(WAIT_S) == 0, "taperd did not end well")
    node.daemon.stderr.close()
    _, err = process.communicate(timeout=WAIT_S)
    need(process.returncode != 0, err)
    need(not running("flood", node.folder), running("flood", node.folder))
    node.start_daemon()


def lives_without_its_watcher(node):
    process = node.begin(node.sign("work", node.data, ttl="6s", idle="6s"))
    node.await_out()
    process.kill()
    process.communicate(timeout=WAIT_S)
    node.await_out()
    task = next(task for task in node.tasks() if task["state"] == "active")
    until = time.monotonic() + 12
    while any(one["task"] == task["task"] and one["state"] == "active" for one in node.tasks()):
        need(time.monotonic() < until, "its lease does not end it")
        time.sleep(0.1)
    need(not running("work", node.folder), running("work", node.folder))


def main():
    tests = [completes, is_shut_in, leaves_nothing, fails_as_it_does, ends_in_time, is_cancelled, is_what_was_pinned,
             keeps_its_script, is_taken_up, is_alone_in_its_cell, ends_with_its_chain]
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as scratch:
        node = Node(sys.argv[1], scratch)
        if "--daemon" in sys.argv:
            node.start_daemon()
            tests += [lives_without_its_watcher, stops_with_its_daemon]
        try:
            for test in tests:
                test(node)
                print(f"{test.__name__}: ok", flush=True)
        finally:
            node.stop_daemon()


main()
