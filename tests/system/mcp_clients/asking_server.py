#!/usr/bin/python3
"""An MCP server of 2026-07-28 whose one tool asks a question before it answers, and says what it was told."""
import json
import sys

MODERN = "2026-07-28"
QUESTION = {"inputRequests": {"word": {"method": "elicitation/create", "params": {
    "mode": "form", "message": "Which word?", "requestedSchema": {
        "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}}}}, "requestState": "later"}
TOOL = {"name": "ask", "description": "Asks for a word", "inputSchema": {"type": "object", "properties": {}},
        "annotations": {"readOnlyHint": True}}


def answer(method, params):
    if method == "server/discover":
        return {"supportedVersions": [MODERN], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}
    if method == "tools/list":
        return {"tools": [TOOL], "ttlMs": 0, "cacheScope": "private"}
    if "inputResponses" not in params:
        return {"resultType": "input_required", **QUESTION}
    word = params["inputResponses"].get("word", {}).get("content", {}).get("word", "nothing")
    return {"content": [{"type": "text", "text": f"the word is {word}"}], "isError": False}


for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") in ("server/discover", "tools/list", "tools/call"):
        result = {"resultType": "complete", **answer(message["method"], message.get("params", {})),
                  "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "asker", "version": "1"}}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
    elif "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"],
                          "error": {"code": -32601, "message": "Method not found"}}), flush=True)
