#!/usr/bin/python3
"""An MCP server with enough tools for two pages of a list, one of which answers with every kind of content."""
import json
import sys
import time

SOME = "AAAA"  # base64
BLOCKS = [
    {"type": "text", "text": "é\n\"", "annotations": {"audience": ["user"], "priority": 0.5}},
    {"type": "image", "data": SOME, "mimeType": "image/png"},
    {"type": "audio", "data": SOME, "mimeType": "audio/wav"},
    {"type": "resource_link", "uri": "plant://7", "name": "seven", "mimeType": "text/plain", "size": 3},
    {"type": "resource", "resource": {"uri": "plant://8", "mimeType": "text/plain", "text": "x"}},
    {"type": "resource", "resource": {"uri": "plant://9", "blob": SOME}},
]
NONE = {"type": "object", "properties": {}}
TOOLS = [{"name": f"spare-{number:02}", "inputSchema": NONE} for number in range(63)] + [
    {"name": "everything", "title": "Everything", "description": "Every kind of content", "inputSchema": NONE,
     "outputSchema": {"type": "object", "properties": {"s": {"type": "integer"}}, "required": ["s"]},
     "annotations": {"title": "All", "readOnlyHint": True, "destructiveHint": False, "idempotentHint": True,
                     "openWorldHint": False}},
    {"name": "slow", "description": "Tells how far it is, and what its request said of itself", "inputSchema": NONE},
    {"name": "fails", "inputSchema": {"type": "object", "properties": {"why": {"type": "string"}}}},
]


def slow(meta):
    for step in (1, 2, 3):
        if "progressToken" in meta:
            print(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": {
                "progressToken": meta["progressToken"], "progress": step, "total": 3, "message": f"step {step}"}}), flush=True)
        time.sleep(0.15)
    told = {key: meta[key] for key in sorted(meta) if key != "progressToken"}
    return {"content": [{"type": "text", "text": json.dumps(told)}]}


def call(name, arguments):
    if name == "fails":
        return {"isError": True, "content": [{"type": "text", "text": arguments.get("why", "")}]}
    return {"content": BLOCKS, "structuredContent": {"s": 1}, "_meta": {"plant.example/a": {"b": [1]}}}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "rich", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call" and params["name"] == "slow":
        return slow(params.get("_meta", {}))
    return call(params["name"], params.get("arguments", {})) if method == "tools/call" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        reply = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
