"""Talks in which `taper connect` says everything that it can say, in each revision."""
import time

from whole_node import MODERN, TASKS, Talk

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
TASKS_LEGACY = "2025-11-25"
URI = "taper://task"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
CAN_ANSWER = {CAPABILITIES: {"elicitation": {}}}
CAN_ANSWER_TASKS = {CAPABILITIES: {"elicitation": {}, **TASKS}}
RELATED = "io.modelcontextprotocol/related-task"
LONG, SHORT, UNREAD, WRONG = "600", "0.2", "0.3", "wrong"
PATH = {"path": "/etc/passwd"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def pages(talk):
    """Every page of the list of tools; their names."""
    names, params = [], {}
    while True:
        result = talk.ask("tools/list", params)["result"]
        names += [tool["name"] for tool in result["tools"]]
        if "nextCursor" not in result:
            return names
        params = {"cursor": result["nextCursor"]}


def common(talk, host):
    """What all revisions have."""
    assert len(pages(talk)) == 70
    talk.ask("tools/list", {"cursor": "none"})
    good = talk.call("file.read", {"path": str(host.node.data / "a.txt")})["result"]
    assert good["isError"] is False, good
    talk.call("time.now")
    talk.call("rich.everything")
    talk.call("rich.fails", {"why": "it broke"})
    number = talk.send("tools/call", {"name": "rich.slow"}, progressToken="mine", traceparent=TRACE)
    assert talk.told("notifications/progress")["progressToken"] == "mine"
    assert TRACE in str(talk.answer(number)["result"]["content"]), "the trace"
    talk.call("sleep", {"seconds": WRONG})
    denied = talk.call("file.read", PATH)["result"]
    assert denied["isError"] and denied["_meta"]["dev.taper/denial"] == {"code": 504}, denied
    talk.call("no.such")
    talk.ask("tools/call", {"name": 7})
    for method in ("resources/list", "resources/templates/list", "prompts/list"):
        talk.ask(method)
    talk.ask("prompts/get", {"name": "none"})
    talk.ask("resources/read", {"uri": URI})
    talk.ask("resources/read", {"uri": "taper://other"})
    talk.ask("no/such")
    talk.raw("{")
    talk.raw('{"jsonrpc":"2.0","id":null,"method":"ping"}')
    # What is cancelled is never answered; its end is not waited for.
    number = talk.send("tools/call", {"name": "sleep", "arguments": {"seconds": LONG}})
    time.sleep(0.2)
    talk.tell("notifications/cancelled", {"requestId": number, "reason": "enough"})


def opened(host, era, heard):
    talk = Talk(host, era, heard)
    if era != MODERN:
        talk.ask("ping")
        talk.ask("initialize", {"protocolVersion": era, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
        talk.tell("notifications/initialized", {})
    return talk


def legacy(host, era, heard):
    talk = opened(host, era, heard)
    talk.ask("ping")
    common(talk, host)
    talk.ask("resources/subscribe", {"uri": URI})
    talk.send("tools/call", {"name": "time.now"})
    talk.told("notifications/resources/updated")
    talk.ask("resources/unsubscribe", {"uri": URI})
    talk.ask("resources/subscribe", {"uri": "taper://other"})
    talk.ask("initialize", {})
    number, line = talk.request("ping")
    if era == "2025-03-26":
        talk.put(f"[{line}]")
        talk.answer(number)
    else:
        talk.raw(f"[{line}]")
    talk.end()


def waiting_task(host, heard):
    """A task that asks its client for something, and waits; its id."""
    talk = opened(host, MODERN, heard)
    task = talk.call("asker.ask", tasks=True, **CAN_ANSWER_TASKS)["result"]["taskId"]
    while talk.ask("tasks/get", {"taskId": task}, tasks=True)["result"]["status"] == "working":
        pass
    talk.end()
    return task


def answered(requests):
    return {key: {"action": "accept", "content": {"word": "lamp"}} for key in requests}


def legacy_tasks(host, heard):
    talk = opened(host, TASKS_LEGACY, heard)
    made = talk.call("sleep", {"seconds": SHORT}, task={"ttl": 60000})["result"]["task"]
    talk.ask("tasks/get", {"taskId": made["taskId"]})
    talk.told("notifications/tasks/status")
    talk.ask("tasks/result", {"taskId": made["taskId"]})
    talk.ask("tasks/get", {"taskId": made["taskId"]})
    talk.ask("tasks/cancel", {"taskId": made["taskId"]})
    wrong = talk.call("sleep", {"seconds": WRONG}, task={})["result"]["task"]
    assert talk.ask("tasks/result", {"taskId": wrong["taskId"]})["result"]["isError"]
    assert talk.ask("tasks/get", {"taskId": wrong["taskId"]})["result"]["status"] == "failed"
    cut = talk.call("sleep", {"seconds": LONG}, task={})["result"]["task"]
    assert talk.ask("tasks/cancel", {"taskId": cut["taskId"]})["result"]["status"] == "cancelled"
    talk.ask("tasks/result", {"taskId": cut["taskId"]})
    unread = talk.call("sleep", {"seconds": UNREAD}, task={})["result"]["task"]
    assert "error" in talk.ask("tasks/result", {"taskId": unread["taskId"]})
    assert "error" in talk.ask("tasks/cancel", {"taskId": unread["taskId"]})
    rich = talk.call("rich.everything", task={})["result"]["task"]
    talk.ask("tasks/result", {"taskId": rich["taskId"]})
    slow = talk.call("rich.slow", task={}, progressToken=7)["result"]["task"]
    told = talk.told("notifications/progress")
    assert told["progressToken"] == 7 and told["_meta"][RELATED] == {"taskId": slow["taskId"]}, told
    talk.ask("tasks/result", {"taskId": slow["taskId"]})
    fails = talk.call("rich.fails", {"why": "it broke"}, task={})["result"]["task"]
    assert "it broke" in str(talk.ask("tasks/result", {"taskId": fails["taskId"]})["result"]["content"])
    assert talk.ask("tasks/get", {"taskId": waiting_task(host, heard)})["result"]["status"] == "input_required"
    talk.ask("tasks/get", {"taskId": "f" * 32})
    talk.call("time.now", task={})
    talk.call("no.such", task={})
    talk.call("rich.fails", {"why": 7}, task={})
    talk.call("time.now", task=7)
    talk.ask("tasks/list")
    talk.end()


def modern(host, heard):
    talk = opened(host, MODERN, heard)
    talk.ask("server/discover")
    talk.ask("server/discover", **{"io.modelcontextprotocol/protocolVersion": "1900-01-01"})
    talk.ask("server/discover", **{"io.modelcontextprotocol/clientCapabilities": 7})
    common(talk, host)
    asked = talk.call("asker.ask", **CAN_ANSWER)["result"]
    assert asked["resultType"] == "input_required", asked
    said = talk.ask("tools/call", {"name": "asker.ask", "arguments": {}, "requestState": asked["requestState"],
                                   "inputResponses": answered(asked["inputRequests"])}, **CAN_ANSWER)["result"]
    assert said["content"][0]["text"] == "the word is lamp", said
    talk.ask("tools/call", {"name": "asker.ask", "arguments": {}, "requestState": asked["requestState"],
                            "inputResponses": {}}, **CAN_ANSWER)
    listening = talk.send("subscriptions/listen", {"notifications": {
        "toolsListChanged": True, "promptsListChanged": True, "resourceSubscriptions": [URI, "taper://other"]}})
    talk.told("notifications/subscriptions/acknowledged")
    talk.send("tools/call", {"name": "time.now"})
    talk.told("notifications/resources/updated")
    talk.tell("notifications/cancelled", {"requestId": listening})
    talk.ask("subscriptions/listen", {"notifications": 7})
    talk.end()


def modern_tasks(host, heard):
    talk = opened(host, MODERN, heard)

    def made(tool, **arguments):
        return talk.call(tool, arguments, tasks=True)["result"]["taskId"]

    def get(task):
        return talk.ask("tasks/get", {"taskId": task}, tasks=True)["result"]

    short = made("sleep", seconds="1.2")
    talk.send("subscriptions/listen", {"notifications": {"taskIds": [short, "f" * 32]}}, tasks=True)
    talk.told("notifications/subscriptions/acknowledged")
    assert get(short)["status"] == "working"
    assert talk.told("notifications/tasks")["status"] == "completed"
    assert get(short)["result"]["isError"] is False
    rich = made("rich.everything")
    wrong = made("sleep", seconds=WRONG)
    unread = made("sleep", seconds=UNREAD)
    time.sleep(0.5)
    assert get(rich)["result"]["structuredContent"] == {"s": 1}
    assert get(wrong)["result"]["isError"] is True
    assert get(unread)["result"]["_meta"]["dev.taper/denial"], "who may not read is told so"
    waiting = waiting_task(host, heard)
    talk.send("subscriptions/listen", {"notifications": {"taskIds": [waiting]}}, tasks=True)
    requests = get(waiting)["inputRequests"]
    talk.ask("tasks/update", {"taskId": waiting, "inputResponses": {}}, tasks=True)
    talk.ask("tasks/update", {"taskId": waiting, "inputResponses": answered(requests)}, tasks=True)
    while get(waiting)["status"] != "completed":
        pass
    cut = made("sleep", seconds=LONG)
    talk.ask("tasks/update", {"taskId": cut, "inputResponses": {}}, tasks=True)
    talk.ask("tasks/cancel", {"taskId": cut}, tasks=True)
    talk.ask("tasks/cancel", {"taskId": cut}, tasks=True)
    assert get(cut)["status"] == "cancelled"
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        talk.ask(method, {"taskId": "f" * 32, "inputResponses": {}}, tasks=True)
        talk.ask(method, {"taskId": cut, "inputResponses": {}})
    talk.ask("tasks/update", {"taskId": cut}, tasks=True)
    talk.ask("subscriptions/listen", {"notifications": {"taskIds": []}})
    talk.call("file.read", PATH, tasks=True)
    talk.end()


def lost_node(host, heard):
    """The node is killed under tasks and calls, comes back, and ends the task in the end."""
    waiting_on = waiting_task(host, heard)
    talks = {era: opened(host, era, heard) for era in (TASKS_LEGACY, MODERN)}
    old, new = talks[TASKS_LEGACY], talks[MODERN]
    tasks = {old: old.call("sleep", {"seconds": LONG}, task={})["result"]["task"]["taskId"],
             new: new.call("sleep", {"seconds": LONG}, tasks=True)["result"]["taskId"]}
    new.send("subscriptions/listen", {"notifications": {"toolsListChanged": True, "taskIds": [tasks[new]]}}, tasks=True)
    new.told("notifications/subscriptions/acknowledged")
    waiting = {talk: talk.send("tools/call", {"name": "sleep", "arguments": {"seconds": LONG}}) for talk in tasks}
    time.sleep(0.3)
    host.stop(9)
    for talk, number in waiting.items():
        assert talk.answer(number)["error"]["code"] == -32603
    host.start()
    for talk, task in tasks.items():
        talk.call("time.now")
        got = talk.ask("tasks/get", {"taskId": task}, tasks=talk is new)["result"]
        assert got["status"] == "failed", got
    old.ask("tasks/result", {"taskId": tasks[old]})
    for talk in tasks:
        got = talk.ask("tasks/get", {"taskId": waiting_on}, tasks=talk is new)["result"]
        assert got["status"] == "input_required", got
    host.node.taper("task", "cancel", host.task(), "--state", "state")
    for talk in tasks:
        # Until the session has ended too, a call is answered with a refusal.
        answer = talk.call("time.now")
        while "error" not in answer:
            assert answer["result"]["isError"], answer
            answer = talk.call("time.now")
        assert answer["error"]["code"] == -32603, answer
        talk.end()


def all_of_it(host, heard):
    for era in LEGACY:
        legacy(host, era, heard)
    legacy_tasks(host, heard)
    modern(host, heard)
    modern_tasks(host, heard)
    lost_node(host, heard)


def name_of(entry):
    """What a message is, for the list of those that must have been heard."""
    message = entry["message"]
    if "error" in message:
        return f"{entry['method'] or 'no id'} error {message['error']['code']}"
    if "result" not in message:
        status = message.get("params", {}).get("status")
        return message["method"] + (" " + status if status else "")
    result = message["result"]
    if result.get("resultType") == "input_required":
        return f"{entry['method']} input_required"
    status = result.get("status", result.get("task", {}).get("status"))
    kind = "task " + status if status else "is an error" if result.get("isError") else "ok"
    return f"{entry['method']} {kind}"


ALWAYS = {"tools/list ok", "tools/list error -32602", "tools/call ok", "tools/call is an error", "tools/call error -32602",
          "resources/list ok", "resources/templates/list ok", "resources/read ok", "prompts/list ok",
          "prompts/get error -32602", "no/such error -32601", "no id error -32700", "no id error -32600",
          "notifications/resources/updated", "notifications/progress"}
OLD = ALWAYS | {"initialize ok", "initialize error -32602", "ping ok", "resources/subscribe ok", "resources/unsubscribe ok",
                "resources/read error -32002", "resources/subscribe error -32002"}
MUST = {era: OLD for era in LEGACY}
MUST[TASKS_LEGACY] = OLD | {
    "tools/call task working", "tasks/get task working", "tasks/get task completed", "tasks/get task failed",
    "tasks/get task input_required", "tasks/result ok", "tasks/result is an error", "tasks/result error -32603", "tasks/cancel task cancelled",
    "tasks/cancel error -32602", "tasks/get error -32602", "tasks/list error -32601", "tools/call error -32601",
    "tools/call error -32603", "notifications/tasks/status completed",
    "notifications/tools/list_changed"}
MUST[MODERN] = ALWAYS | {
    "server/discover ok", "server/discover error -32022", "server/discover error -32602", "resources/read error -32602",
    "notifications/subscriptions/acknowledged", "subscriptions/listen error -32602", "subscriptions/listen error -32021",
    "tools/call task working", "tasks/get task working", "tasks/get task completed", "tasks/get task failed",
    "tasks/get task cancelled", "tasks/get task input_required", "tools/call input_required",
    "tasks/get error -32602", "tasks/get error -32021", "tasks/update ok",
    "tasks/update error -32602", "tasks/update error -32021", "tasks/cancel ok", "tasks/cancel error -32602",
    "tasks/cancel error -32021", "notifications/tasks completed", "notifications/tools/list_changed",
    "tools/call error -32603"}


def missing(heard):
    seen = {era: set() for era in MUST}
    for entry in heard:
        seen[entry["era"]].add(name_of(entry))
    return [f"{era}: {name}" for era in MUST for name in sorted(MUST[era] - seen[era])]
