#!/usr/bin/env python3
"""What 100,000 MCP tasks cost taperd that have ended and wait to be asked for their results.

usage: waiting_tasks.py BIN_DIRECTORY [TASKS]

Several capsules, each with a client of its own, make tasks of a server's tool, one after the other;
each is waited for, and none is given up. What is counted is the daemon's anonymous memory, without
files and the map of its store. Prints bytes of it for each task, and how long a plain call takes then.
"""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import fleet

CLIENTS = 10
EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/mcp-server"
GRANTS = """
[[grant]]
tool   = "meters.read_meter"
effect = "read"
digest = "%s"
args   = { path = { under = "%s" }, last = { at_most = 9, optional = true } }
"""


class Client(fleet.Pipe):
    version = "2025-11-25"

    def __init__(self, capsule):
        super().__init__("taper", "connect", capsule, "--key", "holder.key", "--state", "state")

    def send_task(self, path):
        return self.send("tools/call", {"name": "meters.read_meter", "arguments": {"path": path}, "task": {}})

    def made(self, number):
        return self.receive(number)["task"]["taskId"]


def make_server():
    folder = Path("meters").resolve()
    folder.mkdir()
    shutil.copy(EXAMPLE / "server.py", folder)
    Path("state/tools.d/meters.toml").write_text(
        f'kind = "mcp"\nargv = ["/usr/bin/python3", "{folder}/server.py"]\nera = "2025-11-25"\nfiles = ["{folder}"]\n'
        'effect = "irreversible"\n[tools.read_meter]\neffect = "read"\npaths = ["path"]\n', encoding="utf-8")
    fleet.taper("tools", "pin", "meters", "--state", "state")
    listed = fleet.taper("tools", "list", "--state", "state", "--json")
    Path("tools.json").write_text(listed, encoding="utf-8")
    digest = next(tool["digest"] for tool in json.loads(listed)["tools"] if tool["name"] == "meters.read_meter")
    data = Path("data").resolve()
    data.mkdir()
    (data / "one.txt").write_text("1\n", encoding="utf-8")
    return data, GRANTS % (digest, data)


def own_bytes(process):
    """Anonymous memory of taperd: none of files, and none of the store's map."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def main():
    tasks = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    fleet.use(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="taper-waiting-", dir=os.getcwd()) as folder:
        os.chdir(folder)
        fleet.make_node()
        data, grants = make_server()
        capsules = [fleet.sign(fleet.SOURCE + grants, f"task-{i}", "--tools", "tools.json") for i in range(CLIENTS)]
        with fleet.daemon() as taperd:
            clients = [Client(capsule) for capsule in capsules]
            path, ids, before = str(data / "one.txt"), set(), 0
            for turn in range(tasks // CLIENTS + 100):
                if turn == 100:  # of the first, what stays is not theirs alone
                    before, ids = own_bytes(taperd), set()
                asked = [(client, client.send_task(path)) for client in clients]
                made = [(client, client.made(number)) for client, number in asked]
                asked = [(client, client.send("tasks/result", {"taskId": task})) for client, task in made]
                for client, number in asked:
                    assert not client.receive(number).get("isError")
                ids |= {task for _, task in made}
                if turn % 1000 == 999:
                    print(f"{len(ids)} tasks, {(own_bytes(taperd) - before) // len(ids)} bytes each", flush=True)
            after = own_bytes(taperd)
            assert len(ids) == tasks // CLIENTS * CLIENTS
            assert clients[0].ask("tasks/get", {"taskId": made[0][1]})["status"] == "completed"
            fleet.row("a plain call then", [fleet.timed(clients[0].call, "time.now", {}) for _ in range(200)])
            for client in clients:
                client.close()
        os.chdir("/")
    print(f"{len(ids)} tasks: {(after - before) / len(ids):.0f} bytes each   (goal 1024)")


main()
