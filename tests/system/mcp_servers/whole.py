#!/usr/bin/env python3
"""Servers of others as tools of a whole node: pinned, granted, called by a plan and by a client, changed, killed.

usage: whole.py [--only NAME] BIN_DIRECTORY DIRECTORY...

BIN_DIRECTORY holds taper, taper-spawnd and taper-upstream; the first DIRECTORY that holds a package is the one it is
taken from. Servers run in cells. One line for each thing that is tried.
"""
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from node_of_ours import MODERN, Client, Node, processes_below

HERE = Path(__file__).resolve().parent
FAKE = HERE.parents[1] / "unit/upstream/fake_server.py"
LEGACY = "2025-11-25"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CLIENT_ERAS = ("2024-11-05", "2025-06-18", LEGACY, MODERN)


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def find(directories, path):
    for directory in directories:
        if (directory / path).exists():
            return directory / path
    sys.exit(f"not installed: {path}")


def node_server(directories, name, *arguments):
    script = find(directories, f"node_modules/@modelcontextprotocol/{name}/dist/index.js")
    return [shutil.which("node"), script, *arguments], script.parents[4]


def filesystem(node, directories):
    argv, files = node_server(directories, "server-filesystem", node.data)
    node.declare("files", argv, LEGACY, [files],
                 {"read_text_file": {"effect": "read", "paths": ["path"]}, "write_file": {"paths": ["path"]}})
    pinned = node.pin("files", "--with", str(node.data))
    need(all(tool["change"] == "new" and "left_out" not in tool for tool in pinned["tools"]), pinned)
    need(not node.pin("files", "--with", str(node.data), "--check")["differs"], "pinned twice")
    (node.data / "a.txt").write_text("hello\n", encoding="utf-8")
    under = {"under": str(node.data)}
    grants = {"files.read_text_file": {"path": under}, "files.write_file": {"path": under, "content": "any"}}
    path = str(node.data / "b.txt")
    told = node.play(node.sign(grants, [
        {"id": "write", "tool": "files.write_file", "args": {"path": path, "content": "by a plan"}},
        {"id": "read", "tool": "files.read_text_file", "args": {"path": path}, "needs": ["write"]}]))
    need(told["steps"][1]["result"]["mcp"]["content"][0]["text"] == "by a plan", told)
    capsule = node.sign(grants)
    for era in CLIENT_ERAS:
        client = Client(node, capsule, era)
        tools = client.tools()
        need(set(tools) == set(grants), tools)
        need(("outputSchema" in tools["files.read_text_file"]) == (era >= "2025-06-18"), tools)
        result = client.call("files.read_text_file", path=str(node.data / "a.txt"))
        need(result["content"] == [{"type": "text", "text": "hello\n"}] and not result["isError"], result)
        structured = {"content": "hello\n"} if era >= "2025-06-18" else None
        need(result.get("structuredContent") == structured, result)
        client.fails("files.read_text_file", "ENOENT", path=str(node.data / "none"))
        client.fails("files.read_text_file", "E504", path="/etc/passwd")
        client.fails("files.read_text_file", "E505", path=path, more=1)
        client.end()


def everything(node, directories):
    argv, files = node_server(directories, "server-everything")
    node.declare("every", argv, LEGACY, [files])
    node.pin("every")
    grants = {"every.echo": {"message": "any"}, "every.get-tiny-image": {}, "every.get-structured-content":
              {"location": {"one_of": ["Chicago"]}}, "every.trigger-long-running-operation":
              {"duration": "any", "steps": "any"}}
    capsule = node.sign(grants)
    for era in (LEGACY, MODERN):
        client = Client(node, capsule, era)
        schema = client.tools()["every.get-structured-content"]["inputSchema"]
        need(schema["properties"]["location"].get("const") == "Chicago", schema)
        need(client.text("every.echo", message="hi\n") == "Echo: hi\n", "echo")
        kinds = {block["type"] for block in client.call("every.get-tiny-image")["content"]}
        need(kinds == {"text", "image"}, kinds)
        need(client.call("every.get-structured-content", location="Chicago")["structuredContent"], "structured")
        client.end()
    # As a task, whose result is handed out by its handle.
    client = Client(node, capsule, LEGACY)
    made = client.ask("tools/call", {"name": "every.echo", "arguments": {"message": "later"}, "task": {}})["result"]
    told = client.ask("tasks/result", {"taskId": made["task"]["taskId"]})["result"]
    need(told["content"] == [{"type": "text", "text": "Echo: later"}] and not told["isError"], told)
    client.end()


def flows(node, directories):
    """Progress and traces of calls, and the words of a failed task."""
    python = find(directories, "py/bin/python3")
    server = node.folder / "flow/server.py"
    server.parent.mkdir()
    shutil.copy(HERE / "python_sdk_server.py", server)
    for server_era in (LEGACY, MODERN):
        node.declare("flow", [python, server], server_era, [python.parents[1], server.parent])
        node.pin("flow")
        capsule = node.sign({"flow.slow": {}, "flow.fail": {"text": "any"}})
        for era in (LEGACY, MODERN):
            client = Client(node, capsule, era)
            meta = {"progressToken": "mine", "traceparent": TRACE, "tracestate": "a=b", "authorization": "Bearer x"}
            answer = client.ask("tools/call", {"name": "flow.slow", "arguments": {}}, **meta)
            told = [message["params"] for message in client.told]
            need([one["progress"] for one in told] == [1, 2, 3], told)
            need(all(one["progressToken"] == "mine" and one["total"] == 3 for one in told), told)
            text = answer["result"]["content"][0]["text"]
            need(TRACE in text and "a=b" in text and "Bearer" not in text, text)
            need(not client.ask("tools/call", {"name": "flow.slow", "arguments": {}})["result"]["isError"], "plain")
            need(len(client.told) == 3, client.told)
            client.end()
        client = Client(node, capsule, LEGACY)
        made = client.ask("tools/call", {"name": "flow.fail", "arguments": {"text": "for a reason"}, "task": {}})
        task = made["result"]["task"]["taskId"]
        for _ in range(2):
            told = client.ask("tasks/result", {"taskId": task})["result"]
            need(told["isError"] and "for a reason" in told["content"][0]["text"], told)
        client.end()


def left_out(node, _):
    """What cannot be pinned is left out by name, also when it is looked at again."""
    server = node.folder / "unfit/server.py"
    server.parent.mkdir()
    shutil.copy(FAKE, server)
    node.declare("unfit", ["/usr/bin/python3", server, LEGACY, "unfit"], LEGACY, [server.parent])
    said = {tool["name"]: tool.get("left_out", "") for tool in node.pin("unfit")["tools"]}
    need("30 deep" in said["unfit.deep"] and "number" in said["unfit.far"] and not said["unfit.echo"], said)
    need(not node.pin("unfit", "--check")["differs"], "pinned twice")
    client = Client(node, node.sign({"unfit.echo": {"text": "any"}}), LEGACY)
    need(client.text("unfit.echo", text="a") == '{"text": "a"}', "echo")
    client.end()


def killed(node, directories):
    """The server is killed in the middle of a call; the next call has a new one."""
    argv, files = node_server(directories, "server-everything")
    node.declare("every", argv, LEGACY, [files])
    node.pin("every")
    client = Client(node, node.sign({"every.echo": {"message": "any"}, "every.trigger-long-running-operation":
                                     {"duration": "any", "steps": "any"}}), LEGACY)
    number = client.send("tools/call", {"name": "every.trigger-long-running-operation",
                                        "arguments": {"duration": 30, "steps": 2}})
    time.sleep(3)
    servers = [pid for pid in processes_below(client.process.pid)
               if "server-everything" in Path("/proc", str(pid), "cmdline").read_text(encoding="utf-8")
               and "taper-upstream" not in Path("/proc", str(pid), "cmdline").read_text(encoding="utf-8")]
    need(len(servers) == 1, servers)
    begin = time.monotonic()
    os.kill(servers[0], signal.SIGKILL)
    result = client.answer(number)["result"]
    need(result["isError"] and "server" in result["content"][0]["text"], result)
    need(time.monotonic() - begin < 5, "the answer waited")
    need(client.text("every.echo", message="again") == "Echo: again", "a new server")
    client.end()


def memory(node, directories):
    argv, files = node_server(directories, "server-memory")
    # Its notes go where the cell lets it write: /tmp, which is this cell's own.
    node.declare("memory", argv, LEGACY, [files], env={"MEMORY_FILE_PATH": "/tmp/notes.jsonl"})
    node.pin("memory")
    capsule = node.sign({"memory.create_entities": {"entities": {"count": {"at_least": 0, "at_most": 2}}},
                         "memory.read_graph": {}})
    client = Client(node, capsule, MODERN)
    entity = {"name": "a", "entityType": "b", "observations": ["c"]}
    client.call("memory.create_entities", entities=[entity])
    client.fails("memory.create_entities", "E504", entities=[entity, entity, entity])
    # Another grant's cell is another server, which has seen nothing of it.
    need("observations" not in client.text("memory.read_graph"), "two grants share a server")
    client.end()


def python_sdk(node, directories):
    python = find(directories, "py/bin/python3")
    server = node.folder / "python/server.py"
    server.parent.mkdir()
    shutil.copy(HERE / "python_sdk_server.py", server)
    for era in ("2025-06-18", MODERN, "auto"):
        node.declare("py", [python, server], era, [python.parents[1], server.parent])
        node.pin("py")
        grants = {"py.add": {"a": {"at_most": 10}, "b": "any"}, "py.count": {}, "py.fail": {"text": "any"},
                  "py.change": {}}
        client = Client(node, node.sign(grants), LEGACY)
        need(client.call("py.add", a=2, b=3)["structuredContent"] == {"result": 5}, "add")
        client.fails("py.add", "E504", a=11, b=3)
        need([client.text("py.count") for _ in range(3)] == ["1", "2", "3"], "one server for all calls of a grant")
        client.fails("py.fail", "for a reason", text="for a reason")
        client.end()


def changed(node, directories):
    """A definition that changes under the same script: in the middle of a call, and between two."""
    python = find(directories, "py/bin/python3")
    server = node.folder / "changed/server.py"
    server.parent.mkdir()
    text = (HERE / "python_sdk_server.py").read_text(encoding="utf-8")
    # A call of `add` itself changes what it says of itself.
    text = text.replace("def add(a: int, b: int) -> int:\n", "async def add(a: int, b: int, context: Context) -> int:\n"
                        "    if a == 9:\n        await change(context)\n")
    server.write_text(text, encoding="utf-8")
    for era in ("2025-11-25", MODERN):
        node.declare("ch", [python, server], era, [python.parents[1], server.parent])
        node.pin("ch")
        grants = {"ch.add": {"a": "any", "b": "any"}}
        client = Client(node, node.sign(grants, drift=False), LEGACY)
        need(client.text("ch.add", a=2, b=3) == "5", "add")
        client.fails("ch.add", "offers", a=9, b=3)
        need(client.text("ch.add", a=2, b=3) == "5", "a new server is as it was pinned")
        client.end()
        # Where the capsule ends on drift, the task does.
        client = Client(node, node.sign(grants), LEGACY)
        client.fails("ch.add", "offers", a=9, b=3)
        over = client.ask("tools/call", {"name": "ch.add", "arguments": {"a": 1, "b": 1}})
        need("E615" in str(over) or "E500" in str(over), over)
        client.end()


def swapped(node, _):
    """The script changes while its server runs."""
    server = node.folder / "swap/server.py"
    server.parent.mkdir()
    shutil.copy(FAKE, server)
    node.declare("swap", ["/usr/bin/python3", server, LEGACY, "ok"], LEGACY, [server.parent])
    node.pin("swap")
    client = Client(node, node.sign({"swap.echo": {"text": "any"}}, drift=False), LEGACY)
    need(client.text("swap.echo", text="a") == '{"text": "a"}', "echo")
    server.write_text(server.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    client.fails("swap.echo", "E509", text="a")
    need("swap.echo" not in client.tools(), "still told of")
    client.end()
    need(not node.pin("swap", "--check")["differs"], "the definitions are the same")


def misbehaving(node, _):
    """Garbage, floods, ends and lies: each call fails, and the node goes on."""
    server = node.folder / "bad/server.py"
    server.parent.mkdir()
    shutil.copy(FAKE, server)
    for mode in ("garbage", "flood", "killed", "exits", "duplicate", "deep", "huge", "wrong-id", "task", "changed"):
        node.declare("bad", ["/usr/bin/python3", server, LEGACY, mode], LEGACY, [server.parent])
        node.pin("bad")
        capsule = node.sign({"bad.echo": {"text": "any"}, "file.stat": {"path": {"under": str(node.data)}}},
                            drift=False)
        client = Client(node, capsule, LEGACY)
        begin = time.monotonic()
        result = client.call("bad.echo", text="a")
        need(result["isError"], (mode, result))
        need(time.monotonic() - begin < 20, (mode, "took too long"))
        need("directory" in client.text("file.stat", path=str(node.data)), mode)
        client.end()
        print(f"  {mode}: {result['content'][0]['text'].splitlines()[0]}")


def speed(node, directories):
    for name, argv, files in (("node", *node_server(directories, "server-everything")),
                              ("python", ["/usr/bin/python3", FAKE, LEGACY, "ok"], FAKE.parent)):
        node.declare("fast", argv, LEGACY, [files])
        node.pin("fast")
        argument = {"message": "x"} if name == "node" else {"text": "x"}
        client = Client(node, node.sign({"fast.echo": {key: "any" for key in argument}}), LEGACY)
        took = []
        for _ in range(51):
            begin = time.monotonic()
            client.text("fast.echo", **argument)
            took.append(time.monotonic() - begin)
        client.end()
        print(f"  {name}: first call {took[0] * 1000:.0f} ms, the others {statistics.median(took[1:]) * 1000:.1f} ms")


def main():
    words = sys.argv[1:]
    only = words[1] if words[0] == "--only" else None
    words = words[2:] if only else words
    directories = [Path(word).resolve() for word in words[1:]]
    bad = 0
    with tempfile.TemporaryDirectory(prefix="taper-servers-") as scratch:
        node = Node(Path(words[0]).resolve(), os.path.realpath(scratch))
        for scenario in (filesystem, everything, flows, left_out, killed, memory, python_sdk, changed, swapped, misbehaving, speed):
            if only not in (None, scenario.__name__):
                continue
            try:
                scenario(node, directories)
                print(f"{scenario.__name__}: ok", flush=True)
            except AssertionError as error:
                node.end_clients()
                bad += 1
                print(f"{scenario.__name__}: FAILED: {error}", flush=True)
    return 1 if bad else 0


sys.exit(main())
