#!/usr/bin/env python3
"""The tools of an MCP server of somebody else, as `taper connect` tells of them and hands their results on, in every
revision of MCP. The server is the one of docs/examples/mcp-server.

usage: upstream_test.py BIN_DIRECTORY
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/system/mcp_servers"))
from node_of_ours import MODERN, Client, Node  # noqa: E402 pylint: disable=wrong-import-position

ERAS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN)


def need(condition, what):
    if not condition:
        raise AssertionError(what)


def tools(client, era, meters):
    listed = client.tools()
    need(set(listed) == {"meters.read_meter"}, listed)
    tool = listed["meters.read_meter"]
    need(tool["description"] == "Tells the last numbers of a meter.", tool)
    properties = tool["inputSchema"]["properties"]
    # One rule of the capsule, one property as it was pinned, with what the server says of both.
    need(properties["path"]["description"].startswith("The meter's file. "), tool)
    need(meters in properties["path"]["pattern"], tool)
    need(properties["last"] == {"type": "integer", "minimum": 1, "description": "At most so many."}, tool)
    need(tool["inputSchema"]["required"] == ["path"], tool)
    need(tool.get("title") == ("Read a meter" if era >= "2025-06-18" else None), tool)
    need(("outputSchema" in tool) == (era >= "2025-06-18"), tool)
    hints = {"readOnlyHint": True} if era >= "2025-03-26" else None
    need(tool.get("annotations") == hints, tool)


def results(client, era, meters):
    path = meters + "/pump-07"
    result = client.call("meters.read_meter", path=path, last=2)
    need(result["content"] == [{"type": "text", "text": "41.0 40.5"}], result)
    structured = {"numbers": [41.0, 40.5]} if era >= "2025-06-18" else None
    need(result.get("structuredContent") == structured, result)
    need(result["isError"] is False and result.get("resultType") == ("complete" if era == MODERN else None), result)
    need(result["_meta"]["dev.taper/remaining"]["lease_ms"] > 0, result)
    client.fails("meters.read_meter", "No such file or directory", path=meters + "/none")
    client.fails("meters.read_meter", "E504", path="/etc/passwd")
    unknown = client.ask("tools/call", {"name": "meters.reset_meter", "arguments": {"path": path}})["error"]
    need(unknown["code"] == -32602, unknown)


def flows(node, server, mode):
    """What goes beside arguments and results: progress, its environment, the words of a failed task."""
    node.declare("fake", ["/usr/bin/python3", server / "fake_server.py", "2025-11-25", mode], "2025-11-25", [server],
                 env={"PYTHONDONTWRITEBYTECODE": "1"})
    node.pin("fake")
    return node.sign({"fake.echo": {"text": {"any": True, "optional": True}}})


def progress(client, era):
    answer = client.ask("tools/call", {"name": "fake.echo", "arguments": {}}, progressToken="mine")
    need(answer["result"]["isError"] is False, answer)
    told = [message["params"] for message in client.told]
    need([one["progress"] for one in told] == [0.5, 2.5, 3], told)
    need(all(one["progressToken"] == "mine" for one in told), told)
    need(told[0].get("message") == (None if era == "2024-11-05" else "one two"), told)
    need(not client.ask("tools/call", {"name": "fake.echo", "arguments": {}})["result"]["isError"], "no token")
    need(len(client.told) == 3, client.told)


def failed_task(client):
    made = client.ask("tools/call", {"name": "fake.echo", "arguments": {}, "task": {}})["result"]
    told = client.ask("tasks/result", {"taskId": made["task"]["taskId"]})["result"]
    need(told["isError"] and "no such" in told["content"][0]["text"], told)


def talk(node, capsule, era, *say):
    client = Client(node, capsule, era)
    try:
        for one in say:
            one(client)
    finally:
        client.end()


def main():
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as scratch:
        node = Node(Path(sys.argv[1]).resolve(), os.path.realpath(scratch))
        server = node.folder / "server"
        server.mkdir()
        shutil.copy(TREE / "docs/examples/mcp-server/server.py", server)
        meters = node.folder / "meters"
        meters.mkdir()
        (meters / "pump-07").write_text("41.5\n41.0\n40.5\n", encoding="utf-8")
        node.declare("meters", ["/usr/bin/python3", server / "server.py"], "2025-11-25", [server],
                     {"read_meter": {"effect": "read", "paths": ["path"]}})
        node.pin("meters")
        capsule = node.sign({"meters.read_meter": {"path": {"under": str(meters)}, "last": {"any": True, "optional": True}}})
        for era in ERAS:
            client = Client(node, capsule, era)
            try:
                tools(client, era, str(meters))
                results(client, era, str(meters))
            finally:
                client.end()
            print(f"{era}: ok")
        shutil.copy(TREE / "tests/unit/upstream/fake_server.py", server)
        capsule = flows(node, server, "progress")
        for era in ERAS:
            talk(node, capsule, era, lambda client, era=era: progress(client, era))
        talk(node, flows(node, server, "failed"), "2025-11-25", failed_task)
        print("progress, failed task: ok")


main()
