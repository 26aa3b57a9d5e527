#!/usr/bin/python3
"""An MCP server on stdio that behaves, or misbehaves in one way.

usage: fake_server.py ERAS MODE [LOG]

ERAS: the revisions that it speaks, with commas. MODE: see the functions below; "ok" behaves. Each line
that comes in is appended to LOG. One tool, "echo", answers with its arguments as text.
"""
import json
import os
import signal
import sys
import time

MODERN = "2026-07-28"
ERAS = sys.argv[1].split(",")
MODE = sys.argv[2]
LOG = open(sys.argv[3], "a", encoding="utf-8") if len(sys.argv) > 3 else None
CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
NOISE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}


class State:
    era = ""            # agreed on with initialize
    version = 1         # of the tool's definition
    calls = 0
    lists = 0
    listening = None    # the id of subscriptions/listen
    waiting = []        # questions that came while an answer was awaited


state = State()


def write(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def send(message):
    if state.listening is not None and message.get("method") == CHANGED["method"]:
        message = dict(message, params={"_meta": {
            "io.modelcontextprotocol/subscriptionId": state.listening}})
    batch = MODE == "batch" and "id" in message
    write(json.dumps([NOISE, message] if batch else message).replace('"@1e400"', "1e400"))


def answer(ident, result, modern=False):
    if modern:
        result = {"resultType": "complete", **result,
                  "_meta": {**result.get("_meta", {}), "io.modelcontextprotocol/serverInfo":
                            {"name": "fake", "version": "1"}}}
    send({"jsonrpc": "2.0", "id": ident, "result": result})


def refuse(ident, code, text):
    send({"jsonrpc": "2.0", "id": ident, "error": {"code": code, "message": text}})


def read():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    if LOG:
        LOG.write(line)
        LOG.flush()
    return json.loads(line)


def tool():
    return {"name": "echo", "title": "Echo", "icons": [],
            "description": "Says it again." if state.version == 1 else "Says it to everybody.",
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
            "annotations": {"readOnlyHint": True}}


def list_tools(ident, params, modern):
    state.lists += 1
    if MODE == "list-grows" and state.lists == 1:
        send(CHANGED)
    if MODE == "list-never-rests":
        send(CHANGED)
    others = [{"name": f"t{i}", "inputSchema": {"type": "object"}} for i in range(3)]
    if MODE == "gone":
        return answer(ident, {"tools": others}, modern)
    if MODE == "many":
        return answer(ident, {"tools": [dict(tool(), name=f"t{i}") for i in range(300)]}, modern)
    if MODE == "twice":
        return answer(ident, {"tools": [tool(), tool()]}, modern)
    if MODE == "unfit":
        schema = {"type": "object"}
        for _ in range(40):
            schema = {"type": "object", "properties": {"a": schema}}
        far = {"type": "object", "properties": {"n": {"type": "number", "maximum": "@1e400"}}}
        return answer(ident, {"tools": [tool(), {"name": "deep", "inputSchema": schema},
                                        {"name": "far", "inputSchema": far}]}, modern)
    if MODE == "list-error":
        return refuse(ident, -32603, "cannot list")
    if MODE in ("pages", "endless"):
        page = int(params.get("cursor", "0"))
        if MODE == "endless":
            return answer(ident, {"tools": [], "nextCursor": str(page)}, modern)
        tools = [others[page]] if page < 3 else [tool()]
        more = {"nextCursor": str(page + 1)} if page < 3 else {}
        return answer(ident, {"tools": tools, **more}, modern)
    answer(ident, {"tools": [tool()]}, modern)
    if MODE == "deaf":
        time.sleep(600)
    return None


def ask(method, ident):
    """Asks the client, and returns what it answers."""
    send({"jsonrpc": "2.0", "id": ident, "method": method, "params": {}})
    while "method" in (reply := read()):
        state.waiting.append(reply)
    assert reply["id"] == ident, reply
    return reply


def call(ident, params, modern):
    state.calls += 1
    if "progressToken" in params.get("_meta", {}):
        tell_progress(params["_meta"]["progressToken"])
    text = json.dumps(params["arguments"], sort_keys=True)
    good = {"content": [{"type": "text", "text": text}]}
    raw = {
        "garbage": "Loading plugins... done",
        "not-rpc": '{"hello": 1}',
        "wrong-version": '{"jsonrpc":"1.0","id":%d,"result":{"content":[]}}' % ident,
        "two-kinds": '{"jsonrpc":"2.0","id":%d,"result":{},"error":{"code":1,"message":""}}' % ident,
        "wrong-id": '{"jsonrpc":"2.0","id":%d,"result":{"content":[]}}' % (ident + 1),
        "text-id": '{"jsonrpc":"2.0","id":"%d","result":{"content":[]}}' % ident,
        "duplicate": '{"jsonrpc":"2.0","id":%d,"result":{"content":[],"isError":false,"isError":true}}' % ident,
        "duplicate-deep": '{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"a","text":"b"}]}}' % ident,
        "deep": '{"jsonrpc":"2.0","id":%d,"result":{"content":[],"structuredContent":%s}}' % (ident, "[" * 256 + "]" * 256),
        "null-id": '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
        "batch-refused": '[{"jsonrpc":"2.0","id":%d,"result":{"content":[]}}]' % ident,
    }
    if MODE in raw:
        return write(raw[MODE])
    if MODE.startswith("asks-"):
        return ask_by_result(ident, params, modern)
    results = {
        "no-list": {"content": "x"},
        "no-type": {"content": [{"text": "x"}]},
        "odd-flag": {"content": [], "isError": "no"},
        "task": {"resultType": "task", "taskId": "1"} if modern else {"task": {"taskId": "1"}},
        "failed": {"content": [{"type": "text", "text": "no such"}, {"type": "image", "data": "", "mimeType": "a/b"},
                               {"type": "text", "text": "file"}], "isError": True},
        "meta": {**good, "_meta": {"a": 1, "io.modelcontextprotocol/x": 1, "dev.taper/denial": {"code": 1},
                                   "com.mcp.tools/x": 1, "com.example.mcp/y": 2},
                 "structuredContent": {"b": [1, 2.50]}, "surplus": 1},
    }
    if MODE in results:
        result = results[MODE]
        if modern:
            return send({"jsonrpc": "2.0", "id": ident, "result": {"resultType": "complete", **result}})
        return send({"jsonrpc": "2.0", "id": ident, "result": result})
    return misbehave(ident, good, modern)


def progress(token, done, **more):
    send({"jsonrpc": "2.0", "method": "notifications/progress",
          "params": {"progressToken": token, "progress": done, **more}})


def tell_progress(token):
    """What is told of a call: what is worth telling, with what is not in between."""
    if MODE == "progress":
        progress("another", 0.1)
        progress(token, 0.5, total=4, message="one\ntwo")
        time.sleep(0.15)
        progress(token, 0.5, total=4)       # does not rise
        progress(token, "x")
        progress(token, "@1e400")
        progress(token, 2.5, message="é" * 1000)
        progress(token, 2.75)               # too soon
        time.sleep(0.15)
        progress(token, 3, total="many")
    for i in range({"progress-much": 900, "progress-flood": 100_000}.get(MODE, 0)):
        progress(token, i)


FORM = {"method": "elicitation/create", "params": {
    "mode": "form", "message": "Who asks?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}}
QUESTIONS = {
    "form": {"inputRequests": {"who": FORM}, "requestState": "s\u00e9cret \"1\""},
    "url": {"inputRequests": {"go": {"method": "elicitation/create", "params": {
        "mode": "url", "message": "Look", "url": "https://x.example", "elicitationId": "1"}}}},
    "state": {"requestState": "later"},
    "sampling": {"inputRequests": {"s": {"method": "sampling/createMessage", "params": {}}}},
    "nothing": {},
    "odd": {"inputRequests": ["who"]},
    "many": {"inputRequests": {f"k{i}": FORM for i in range(17)}},
    "long": {"requestState": "x" * 70_000},
}


def ask_by_result(ident, params, modern):
    """Asks as the mode says until it is answered; says then what it was answered with."""
    if "inputResponses" in params or "requestState" in params:
        told = {key: params.get(key) for key in ("arguments", "inputResponses", "requestState")}
        told["offered"] = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        if MODE == "asks-form-twice" and params["requestState"] != "2":
            return send({"jsonrpc": "2.0", "id": ident, "result": {
                "resultType": "input_required", "inputRequests": {"who": FORM}, "requestState": "2"}})
        return answer(ident, {"content": [{"type": "text", "text": json.dumps(told, sort_keys=True)}]}, modern)
    if MODE == "asks-form-changed":
        state.version += 1
        send(CHANGED)
    return send({"jsonrpc": "2.0", "id": ident, "result": {
        "resultType": "input_required", **QUESTIONS[MODE.split("-")[1]]}})


def misbehave(ident, good, modern):
    if MODE == "error":
        return refuse(ident, -32000, "the disk\nis full")
    if MODE == "invalid":
        return refuse(ident, -32602, "text is required")
    if MODE == "changed-same":
        send(CHANGED)
    if MODE in ("changed", "silent"):
        state.version += 1
        if MODE == "changed":
            send(CHANGED)
    if MODE == "killed":
        sys.stderr.write("about to go\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if MODE == "exits":
        sys.stderr.write("first line\nno licence\n")
        sys.exit(3)
    if MODE == "babbles":
        sys.stderr.write("e" * 10_000)
        sys.exit(3)
    if MODE == "slow":
        time.sleep(600)
    if MODE == "noisy":
        for _ in range(9000):
            send(NOISE)
    if MODE == "flood":
        while True:
            send(NOISE)
    if MODE == "huge" and state.calls == 1:
        good = {"content": [{"type": "text", "text": "x" * 5_000_000}]}
    if MODE == "huge-change":
        state.version += 1
        send(dict(CHANGED, params={"_meta": {"x": "x" * 5_000_000}}))
    if MODE == "wordy":
        sys.stderr.write("e" * 1_000_000)
    if MODE == "asks":
        sampling, ping = ask("sampling/createMessage", "s-1"), ask("ping", 7)
        good = {"content": [{"type": "text", "text": json.dumps([sampling, ping], sort_keys=True)}]}
    if MODE == "descriptors":
        fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
        good = {"content": [{"type": "text", "text": json.dumps(fds)}]}
    answer(ident, good, modern)
    if MODE == "twice-answered":
        answer(ident, good, modern)
    if MODE == "idle-changed":
        state.version += 1
        send(CHANGED)
    if MODE == "huge-idle-change" and state.calls == 1:
        state.version += 1
        send(dict(CHANGED, params={"_meta": {"x": "x" * 5_000_000}}))
    if MODE == "idle-noise":
        for _ in range(5000):
            send(NOISE)
        assert ask("ping", "p")["result"] == {}
    if MODE == "idle-exit":
        sys.exit(0)


def handshake(message):
    method, ident = message["method"], message["id"]
    modern = method == "server/discover"
    if MODE == "mute-before-initialize" and modern:
        return
    if MODE == "exits-before-initialize" and modern:
        sys.exit(1)
    if MODE == "broken-handshake":
        return refuse(ident, -32603, "no database")
    if modern and MODERN not in ERAS:
        return refuse(ident, -32601, "Method not found")
    if modern:
        tools = {"listChanged": True} if MODE != "silent" else {}
        versions = [MODERN] if MODE != "other-modern" else ["2027-01-01"]
        return answer(ident, {"supportedVersions": versions, "capabilities": {"tools": tools},
                              "ttlMs": 0, "cacheScope": "private"}, True)
    legacy = [era for era in ERAS if era != MODERN]
    if not legacy:
        return refuse(ident, -32022, "Unsupported protocol version")
    asked = message["params"]["protocolVersion"]
    state.era = asked if asked in legacy else legacy[0]
    tools = {"listChanged": True} if MODE != "silent" else {}
    return answer(ident, {"protocolVersion": state.era, "capabilities": {"tools": tools},
                          "serverInfo": {"name": "fake", "version": "1"}})


def listen(message):
    ident = message["id"]
    if MODE == "no-subscriptions":
        return refuse(ident, -32601, "Method not found")
    state.listening = ident
    send({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
          "params": {"notifications": message["params"]["notifications"],
                     "_meta": {"io.modelcontextprotocol/subscriptionId": ident}}})
    if MODE == "subscription-ends":
        answer(ident, {}, True)


def handle(message):
    if "id" not in message:
        return None
    params = message.get("params", {})
    modern = params.get("_meta", {}).get("io.modelcontextprotocol/protocolVersion") == MODERN
    if message["method"] in ("initialize", "server/discover"):
        return handshake(message)
    if not modern and not state.era:
        return refuse(message["id"], -32602, "not initialized")
    if message["method"] == "subscriptions/listen" and modern:
        return listen(message)
    if message["method"] == "tools/list":
        return list_tools(message["id"], params, modern)
    if message["method"] == "tools/call":
        return call(message["id"], params, modern)
    return refuse(message["id"], -32601, "Method not found")


if MODE == "greets":
    write("Welcome to fake 1.0")
if MODE == "stuffed":
    # More than a pipe holds, before it reads anything.
    for _ in range(5000):
        send(NOISE)
while True:
    handle(state.waiting.pop(0) if state.waiting else read())
