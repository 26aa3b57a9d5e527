#!/usr/bin/python3
"""A small MCP server on stdio, such as others write: it knows nothing of Taper.

usage: server.py

Meters are files of one number a line. read_meter tells the last numbers of one, reset_meter empties it.
"""
import json
import sys

METER = {"type": "string", "description": "The meter's file."}
TOOLS = [
    {"name": "read_meter", "title": "Read a meter", "description": "Tells the last numbers of a meter.",
     "inputSchema": {"type": "object", "required": ["path"], "properties": {
         "path": METER, "last": {"type": "integer", "minimum": 1, "description": "At most so many."}}},
     "outputSchema": {"type": "object", "required": ["numbers"], "properties": {
         "numbers": {"type": "array", "items": {"type": "number"}}}},
     "annotations": {"readOnlyHint": True}},
    {"name": "reset_meter", "title": "Empty a meter", "description": "Forgets all numbers of a meter.",
     "inputSchema": {"type": "object", "required": ["path"], "properties": {"path": METER}},
     "annotations": {"destructiveHint": True}},
]


def call(name, arguments):
    if name == "reset_meter":
        open(arguments["path"], "w", encoding="utf-8").close()
        return {"content": [{"type": "text", "text": "empty"}]}
    with open(arguments["path"], encoding="utf-8") as meter:
        numbers = [float(line) for line in meter][-arguments.get("last", 10):]
    return {"content": [{"type": "text", "text": " ".join(map(str, numbers))}],
            "structuredContent": {"numbers": numbers}}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "meters", "version": "1.0"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "tools/call":
        try:
            return call(params["name"], params["arguments"])
        except (OSError, ValueError) as error:
            return {"isError": True, "content": [{"type": "text", "text": str(error)}]}
    return None


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message["method"], message.get("params", {}))
    reply = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
