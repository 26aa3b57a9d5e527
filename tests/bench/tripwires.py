#!/usr/bin/env python3
"""How long after what ends a task its processes are dead.

usage: tripwires.py BIN_DIRECTORY [TIMES]

For each way to end: a task in a session with a command that sleeps in its cell, then what ends the task. The end's
moment is the boot clock in the log's record of the ending, the death's what pidfd_open(2) tells. For the last row
taperd and taper-spawnd are killed at once, and what counts is how long after the lease the command is dead; the
kernel ends a cell with its parent, so that is before it. Prints milliseconds. An idle machine, or it says nothing.
"""
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fleet

SOURCE = """
[capsule]
purpose = "Be ended"
requester = "user:{name}"
agent = "bench"
window = {{ for = "{window}" }}
lease = {{ ttl = "{ttl}", idle = "{idle}" }}
end_on = {{ denials = 3 }}
[[grant]]
tool = "time.now"
[[grant]]
tool = "nap"
effect = "read"
digest = "{nap}"
[[grant]]
tool = "breaks"
effect = "read"
digest = "{breaks}"
"""
TOOL = 'kind = "command"\neffect = "read"\noutput = "text"\nargv = {argv}\n[input]\n'
WAIT_S = 30
NAP = b"98765"
# A system call that no tool has a use for.
BREAKS = "import ctypes; ctypes.CDLL(None).ptrace(0, 0, 0, 0)"


def boot_ms():
    return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


def below(pid):
    """Processes below `pid`, at any depth."""
    found, parents = [], {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{entry}/stat").read_text(encoding="utf-8", errors="replace")
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    ahead = [pid]
    while ahead:
        children = parents.get(ahead.pop(), [])
        found += children
        ahead += children
    return found


def words(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def napping(pid, before):
    """Waits for a new nap below `pid`; all that is new there."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        cells = set(below(pid)) - before
        if any(NAP in words(cell) for cell in cells):
            return cells
    raise AssertionError("no nap began")


def died_at(pids):
    """The moment, by the boot clock, when the last of them was dead."""
    poll, left = select.poll(), {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            left[os.pidfd_open(pid)] = pid
    for descriptor in left:
        poll.register(descriptor, select.POLLIN)
    until = time.monotonic() + WAIT_S
    while left:
        for descriptor, _ in poll.poll(1000):
            poll.unregister(descriptor)
            os.close(descriptor)
            del left[descriptor]
        assert time.monotonic() < until, f"still alive: {left}"
    return boot_ms()


class Client(fleet.Pipe):
    version = "2025-11-25"

    def __init__(self, capsule):
        super().__init__("taper", "connect", capsule, "--key", "holder.key", "--state", "state")

    def begin_nap(self):
        self.ask("tools/call", {"name": "nap", "arguments": {}, "task": {}})

    def refused(self, tool):
        self.send("tools/call", {"name": tool, "arguments": {"no": "such"}})


class Bench:
    def __init__(self):
        self.asked = 0
        fleet.make_node()
        self.declare("nap", ["/usr/bin/sleep", NAP.decode()])
        self.declare("breaks", ["/usr/bin/python3", "-c", BREAKS])
        self.taperd, self.pins = None, {}

    def pin(self):
        listed = fleet.taper("tools", "list", "--state", "state", "--json")
        Path("tools.json").write_text(listed, encoding="utf-8")
        self.pins = {tool["name"]: tool["digest"] for tool in json.loads(listed)["tools"]}

    @staticmethod
    def declare(tool, argv):
        Path(f"state/tools.d/{tool}.toml").write_text(TOOL.format(argv=json.dumps(argv)), encoding="utf-8")

    def client(self, ttl="1m", idle="", window="1h"):
        self.pin()
        self.asked += 1
        name = f"number-{self.asked}"
        source = SOURCE.format(name=name, ttl=ttl, idle=idle or ttl, window=window, nap=self.pins["nap"],
                               breaks=self.pins["breaks"])
        return name, Client(fleet.sign(source, name, "--tools", "tools.json"))


def task_of(requester):
    listed = json.loads(fleet.taper("task", "list", "--state", "state", "--json"))
    return next(task["task"] for task in listed["tasks"] if task["requester"] == f"user:{requester}")


def nothing(_bench, _name, _client):
    pass


def denials(_bench, _name, client):
    for _ in range(3):
        client.refused("time.now")


def violation(_bench, _name, client):
    client.send("tools/call", {"name": "breaks", "arguments": {}})


def drift(bench, name, client):
    bench.declare("breaks", ["/usr/bin/python3", "-c", f"{BREAKS} # {name}"])
    bench.taperd.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    client.send("tools/call", {"name": "breaks", "arguments": {}})


def cancel(_bench, name, _client):
    fleet.taper("task", "cancel", task_of(name), "--state", "state")


# What ends a task, the lease that it has, and whether it naps meanwhile.
ENDS = {
    "ttl": (nothing, {"ttl": "1s"}, True),
    "window": (nothing, {"window": "4s", "ttl": "4s"}, True),
    "idle": (nothing, {"idle": "1s"}, False),
    "denials": (denials, {}, True),
    "violation": (violation, {}, True),
    "drift": (drift, {}, True),
    "cancelled": (cancel, {}, True),
}


def spawner_of(taperd):
    return next(pid for pid in below(taperd.pid))


def end_once(bench, spawner, end, lease, naps):
    """The requester's name, and when the last process of his task was dead."""
    name, client = bench.client(**lease)
    before = set(below(spawner))
    if naps:
        client.begin_nap()
    else:
        client.call("time.now", {})
    # spawnd keeps no other process: all that is new is the task's.
    cells = napping(spawner, before) if naps else set(below(spawner)) - before
    assert cells, "no process to watch"
    end(bench, name, client)
    died = died_at(cells)
    client.process.kill()
    client.process.wait()
    client.process.stdin.close()
    client.process.stdout.close()
    return name, died


def endings():
    """By requester: when the log says that the task's end was decided, and why."""
    told = {}
    fleet.taper("audit", "export", "--state", "state", "--out", "log.tpa")
    for line in fleet.taper("audit", "show", "log.tpa", "--json").splitlines():
        record = json.loads(line)
        body = record.get("body", record)
        if body.get("verb") in ("end", "cancel", "kill") and "reason" in body:
            told[body["requester"].removeprefix("user:")] = (body["boot_ms"], body["reason"])
    return told


def report(name, times, goal):
    times.sort()
    cut = times[min(len(times) - 1, int(len(times) * 0.99))]
    print(f"{name:24} p50 {times[len(times) // 2]:8.1f}   p99 {cut:8.1f}   worst {times[-1]:8.1f}   (goal {goal})",
          flush=True)


def killed_all(bench):
    """Milliseconds from the lease's end, and from the kill, to the command's death."""
    with fleet.daemon() as taperd:
        _, client = bench.client(ttl="2s")
        began = boot_ms()
        spawner = spawner_of(taperd)
        client.begin_nap()
        cells = napping(spawner, set())
        killed = boot_ms()
        os.kill(taperd.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(spawner, signal.SIGKILL)
        died = died_at(cells)
        client.process.kill()
        client.process.wait()
        client.process.stdin.close()
        client.process.stdout.close()
    return died - (began + 2000), died - killed


def main():
    times = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    fleet.use(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="taper-tripwires-") as folder:
        os.chdir(folder)
        bench, seen = Bench(), {}
        with fleet.daemon() as taperd:
            bench.taperd, spawner = taperd, spawner_of(taperd)
            for kind, (end, lease, naps) in ENDS.items():
                seen[kind] = [end_once(bench, spawner, end, lease, naps) for _ in range(times)]
            told = endings()
        print(f"{times} tasks each, milliseconds from the decision to the last process's death")
        for kind, deaths in seen.items():
            reasons = {told[name][1] for name, _ in deaths}
            assert reasons == {kind}, f"{kind}: ended by {reasons}"
            report(kind, [died - told[name][0] for name, died in deaths], 50)
        after = [killed_all(bench) for _ in range(max(5, times // 10))]
        report("all killed: past lease", [lease for lease, _ in after], 1000)
        report("all killed: after kill", [kill for _, kill in after], 1000)
        os.chdir("/")


if __name__ == "__main__":
    main()
