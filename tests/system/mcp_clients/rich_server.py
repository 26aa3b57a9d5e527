#!/usr/bin/python3
"""An MCP server with enough tools for two pages of a list, one of which answers with every kind of content."""
import json
import sys

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
TOOLS = [{"name": f"spare-{number:02}", "inputSchema": NONE} for number in range(64)] + [
    {"name": "everything", "title": "Everything", "description": "Every kind of content", "inputSchema": NONE,
     "outputSchema": {"type": "object", "properties": {"s": {"type": "integer"}}, "required": ["s"]},
     "annotations": {"title": "All", "readOnlyHint": True, "destructiveHint": False, "idempotentHint": True,
                     "openWorldHint": False}},
    {"name": "fails", "inputSchema": {"type": "object", "properties": {"why": {"type": "string"}}}},
]


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
    return call(params["name"], params.get("arguments", {})) if method == "tools/call" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        reply = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
