#!/usr/bin/env python3
"""A cell ends on time whatever became of taperd and taper-spawnd: killed, or stopped so that they do nothing.

usage: deadline_test.py BIN_DIRECTORY

Each time a command and a daemon that it left behind sleep in their cell when it happens. Killed, their cells die with
them, long before the lease's end; stopped, at the latest when it is over, by the cell's own first process.
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "system/mcp_servers"))
from node_of_ours import WAIT_S, Node, processes_below  # noqa: E402 pylint: disable=wrong-import-position

NAP = str(10000 + os.getpid() % 90000)
TOOL = """kind   = "command"
effect = "read"
output = "text"
argv   = ["/usr/bin/python3", "-c", "import os, sys, time; os.fork() or os.setsid(); time.sleep(int(sys.argv[1]))", "{nap}"]
[input]
"""
SOURCE = """[capsule]
purpose   = "Outlive the runtime"
requester = "user:alice@plant.example"
agent     = "sleeper"
window    = {{ for = "1h" }}
lease     = {{ ttl = "{ttl_s}s" }}
[[grant]]
tool   = "nap"
effect = "read"
digest = "unpinned"
[plan]
steps = [ {{ id = "stay", tool = "nap", args = {{}} }} ]
"""
SILENCE_S = 3  # after which taper-spawnd takes taperd for dead
LATE_S = 1  # after that, or after the lease's end, at the latest
# What happens to whom, and the lease.
CASES = [
    ("taperd killed", signal.SIGKILL, ["taperd"], 60),
    ("taper-spawnd killed", signal.SIGKILL, ["taper-spawnd"], 60),
    ("both killed", signal.SIGKILL, ["taperd", "taper-spawnd"], 60),
    ("taperd stopped", signal.SIGSTOP, ["taperd"], 60),
    ("both stopped", signal.SIGSTOP, ["taperd", "taper-spawnd"], 3),
]


def boot_s():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read(pid, name):
    try:
        return Path("/proc", str(pid), name).read_bytes()
    except OSError:
        return b""


def alive(pid):
    stat = read(pid, "stat")
    return bool(stat) and stat.rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X")


def until(condition, limit_s, what):
    end = boot_s() + limit_s
    while not condition():
        assert boot_s() < end, what
        time.sleep(0.005)
    return boot_s()


def sleepers(pid):
    return [one for one in processes_below(pid) if NAP.encode() in read(one, "cmdline").split(b"\0")]


def sign(node, ttl_s):
    node.tools()
    node.serial += 1
    name = f"nap-{node.serial}"
    Path(node.folder, name + ".toml").write_text(SOURCE.format(ttl_s=ttl_s), encoding="utf-8")
    node.taper("capsule", "sign", name + ".toml", "--key", "issuer.key", "--root", "root.tpr", "--node", "state/node.pub",
               "--holder", "holder.pub", "--tools", "tools.json", "--out", name + ".capsule")
    return name + ".capsule"


def start(node, *words, **streams):
    process = subprocess.Popen(words, cwd=node.folder, stdin=subprocess.DEVNULL, **streams)
    node.clients.append(process)
    return process


def watch(node, what, number, victims, ttl_s):
    taperd = start(node, node.bin / "taperd", "--state", "state", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert b"ready" in taperd.stderr.readline()
    run = start(node, node.bin / "taper", "run", sign(node, ttl_s), "--key", "holder.key", "--state", "state",
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = until(lambda: len(sleepers(taperd.pid)) == 2, WAIT_S, what)
    below = processes_below(taperd.pid)
    spawnd = next(pid for pid in below if b"taper-spawnd" in read(pid, "cmdline"))
    cell = [pid for pid in below if pid != spawnd]
    hit = [{"taperd": taperd.pid, "taper-spawnd": spawnd}[victim] for victim in victims]
    for pid in hit:
        os.kill(pid, number)
    done = boot_s()
    # The lease began before its command was seen.
    limit_s = min(begun + ttl_s, done + SILENCE_S) + LATE_S - boot_s()
    dead = until(lambda: not any(map(alive, cell)), limit_s, f"{what}: alive after {limit_s:.1f} s")
    print(f"{what:20} dead {dead - done:6.3f} s after, {begun + ttl_s - dead:6.3f} s before the lease's end")
    if number == signal.SIGSTOP:
        for pid in hit:
            os.kill(pid, signal.SIGCONT)
    else:
        taperd.kill()
    run.wait(WAIT_S)
    taperd.terminate()
    taperd.wait(WAIT_S)
    taperd.stderr.close()
    until(lambda: not any(map(alive, below)), WAIT_S, f"{what}: something is left")


def main():
    with tempfile.TemporaryDirectory(prefix="taper-deadline-") as folder:
        node = Node(os.path.abspath(sys.argv[1]), folder)
        try:
            tool = Path(folder, "state/tools.d/nap.toml")
            tool.write_text(TOOL.format(nap=NAP), encoding="utf-8")
            tool.chmod(0o644)
            for case in CASES:
                watch(node, *case)
            tasks = json.loads(node.taper("task", "list", "--state", "state", "--json"))["tasks"]
            assert len(tasks) == len(CASES), tasks
            # Whoever was stopped recorded the end when it could.
            assert "expired" in [task["state"] for task in tasks], tasks
            node.taper("audit", "export", "--state", "state", "--out", "log.tpa")
            node.taper("audit", "verify", "log.tpa", "--node", "state/node.pub")
        finally:
            node.end_clients()


main()
