#!/usr/bin/python3
"""An MCP server that writes down what it is asked to, in a file; and one call that takes its time.

usage: ledger_server.py
"""
import json
import os
import sys
import time

PATH = {"type": "string"}
TOOLS = [
    {"name": "append", "inputSchema": {"type": "object", "required": ["path", "text"], "properties": {
        "path": PATH, "text": {"type": "string"}}}},
    {"name": "nap", "inputSchema": {"type": "object", "required": ["ms"], "properties": {"ms": {"type": "integer"}}}},
]


def call(name, arguments):
    if name == "nap":
        time.sleep(arguments["ms"] / 1000)
    else:
        file = os.open(arguments["path"], os.O_WRONLY | os.O_APPEND)
        os.write(file, arguments["text"].encode())
        os.close(file)
    return {"content": [{"type": "text", "text": "done"}]}


def answer(method, params):
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "ledger", "version": "1"}}
    if method == "tools/list":
        return {"tools": TOOLS}
    return call(params["name"], params["arguments"]) if method == "tools/call" else None


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params", {}))
        reply = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
