"""Judges kept messages by the models of the Python SDK, which may drop no member of them, and by the schemas of the
specification, with nothing beside what they name.

usage: strict_python.py FILE PACKAGES   (of FILE each line is {"era", "method", "task", "message"})

The schemas are PACKAGES/modelcontextprotocol and PACKAGES/ext-tasks, checkouts of the repositories of these names; without
them they do not judge.
"""
import copy
import json
import sys
from pathlib import Path

import jsonschema
import mcp_types as types
from mcp_types import methods
from mcp_types.jsonrpc import jsonrpc_message_adapter
from pydantic import TypeAdapter, ValidationError

MODERN = "2026-07-28"
TASK_MODELS = {"tools/call": types.CreateTaskResult, "tasks/get": types.GetTaskResult,
               "tasks/cancel": types.CancelTaskResult, "notifications/tasks/status": types.TaskStatusNotification}
DEFINITIONS = {
    "initialize": "InitializeResult", "server/discover": "DiscoverResult", "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult", "resources/list": "ListResourcesResult", "prompts/list": "ListPromptsResult",
    "resources/templates/list": "ListResourceTemplatesResult", "resources/read": "ReadResourceResult",
    "tasks/result": "CallToolResult", "tasks/get": "GetTaskResult", "tasks/cancel": "CancelTaskResult",
    "tasks/update": "UpdateTaskResult", "subscriptions/listen": "SubscriptionsListenResult",
    "ping": "EmptyResult", "resources/subscribe": "EmptyResult", "resources/unsubscribe": "EmptyResult",
    "notifications/tools/list_changed": "ToolListChangedNotification", "notifications/tasks": "TaskStatusNotification",
    "notifications/resources/updated": "ResourceUpdatedNotification", "notifications/progress": "ProgressNotification",
    "notifications/resources/list_changed": "ResourceListChangedNotification",
    "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledgedNotification",
    "notifications/tasks/status": "TaskStatusNotification",
}


# Of the specification's definitions those that are put together in `allOf`.
PARTS = ("Result", "NotificationParams", "Task", "BaseMetadata", "Icons")


class Refused(Exception):
    pass


def without_extension(message):
    """An acknowledgement as it is without the member that the extension of tasks adds to it."""
    filter_ = message.get("params", {}).get("notifications")
    if not isinstance(filter_, dict) or "taskIds" not in filter_:
        return message
    if not all(isinstance(task, str) for task in filter_["taskIds"]):
        raise Refused("taskIds")
    rest = {key: value for key, value in filter_.items() if key != "taskIds"}
    return {**message, "params": {**message["params"], "notifications": rest}}


def is_task(entry):
    result = entry["message"].get("result", {})
    return (entry["method"].startswith(("tasks/", "notifications/tasks")) or "task" in result or
            result.get("resultType") == "task")


def same(given, kept):
    if given != kept:
        raise Refused(f"kept only {json.dumps(kept)}")


def dumped(model, value):
    adapter = TypeAdapter(model)
    return adapter.dump_python(adapter.validate_python(value, by_name=False), by_alias=True, mode="json",
                               exclude_unset=True)


def by_models(entry):
    era, method, message = entry["era"], entry["method"], without_extension(entry["message"])
    # An error to a line whose id could not be read: the specification leaves the id out and allows no null, JSON-RPC
    # and this SDK want the null, the TypeScript SDKs refuse it.
    framed = {"id": None, **message} if "error" in message else message
    jsonrpc_message_adapter.validate_python(framed, by_name=False)
    if "error" in message:
        return
    if is_task(entry) and method != "tasks/result":
        body = message.get("result", message)
        same(body, {"jsonrpc": "2.0", **dumped(TASK_MODELS[method], body)} if "method" in body
             else dumped(TASK_MODELS[method], body))
    elif "result" in message:
        called = "tools/call" if method == "tasks/result" else method
        same(message["result"], methods.serialize_server_result(called, era, message["result"]))
        methods.parse_server_result(called, era, message["result"])
    else:
        methods.parse_server_notification(method, era, message.get("params"))
        same(message, dumped(methods.SERVER_NOTIFICATIONS[method, era], message))


class Specification:
    """The schemas of each revision, closed: an object may only have what they name."""

    def __init__(self, packages):
        self.schemas = {path.parent.name: closed(json.loads(path.read_text(encoding="utf-8")))
                        for path in (packages / "modelcontextprotocol/schema").glob("20*/schema.json")}
        tasks = packages / "ext-tasks/schema/draft/schema.json"
        if tasks.exists():
            self.schemas["tasks"] = closed(json.loads(tasks.read_text(encoding="utf-8")))

    def judge(self, entry):
        era, method, message = entry["era"], entry["method"], without_extension(entry["message"])
        schema = self.schemas["tasks" if era == MODERN and is_task(entry) and "error" not in message else era]
        if "error" in message:
            # Before 2025-11-25 no error was without an id; nor was there another answer to what has none.
            name = "JSONRPCErrorResponse" if era >= "2025-11-25" else "JSONRPCError"
            message = {"id": 0, **message} if era < "2025-11-25" else message
            return check(schema, name, message)
        if "result" not in message:
            # Older definitions leave the frame out.
            if era < "2025-11-25":
                message = {key: value for key, value in message.items() if key != "jsonrpc"}
            return check(schema, DEFINITIONS[method], message)
        body = message["result"]
        if body.get("resultType") == "input_required":
            return check(schema, "InputRequiredResult", body)
        created = "task" in body or body.get("resultType") == "task"
        check(schema, "CreateTaskResult" if created else DEFINITIONS[method], body)
        if era == MODERN and method == "tasks/get" and body["status"] == "completed":
            check(self.schemas[era], "CallToolResult", body["result"])
        return None


def closed(schema):
    """Definitions of metadata, and those that others are put together from, stay open; check() closes the whole."""
    schema = copy.deepcopy(schema)
    schema.pop("$schema", None)
    definitions = schema.get("$defs") or schema["definitions"]
    for name, one in definitions.items():
        one.pop("$schema", None)
        if "Meta" in name or name.startswith("JSON"):
            continue
        if one.get("additionalProperties") == {}:
            del one["additionalProperties"]
        if name not in PARTS and one.get("properties") and "additionalProperties" not in one:
            one["unevaluatedProperties"] = False
    return schema


def check(schema, name, value):
    where = "$defs" if "$defs" in schema else "definitions"
    if name not in schema[where]:
        raise Refused(f"the revision has no {name}")
    whole = {**schema, "$ref": f"#/{where}/{name}", "unevaluatedProperties": False}
    whole.pop("$id", None)
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(whole).iter_errors(value))
    if error is not None:
        raise Refused(f"{list(error.absolute_path)}: {error.message}")


def spoilt(entry):
    """Each member of the message's body once as something of another type, and one member too many."""
    message = entry["message"]
    name = next((one for one in ("result", "params", "error") if one in message), "params")
    body = message.get(name, {})
    bodies = [{**body, key: 7 if isinstance(body[key], (str, dict, list)) else "x"} for key in body]
    bodies += [{**body, "_meta": 7}, {**body, "surplus": 7}]
    return [{**entry, "message": {**message, name: one}} for one in bodies]


def accepts(judge, entry):
    try:
        judge(entry)
    except (Refused, ValidationError, KeyError):
        return False
    return True


def run(name, judge, entries):
    failed, variants, refused = False, 0, 0
    for entry in entries:
        what = f"{entry['era']} {entry['method']}"
        try:
            judge(entry)
        except (Refused, ValidationError, KeyError) as error:
            failed = True
            print(f"{name} refuses {what}: {json.dumps(entry['message'])}\n{error}")
        others = spoilt(entry)
        left = sum(not accepts(judge, one) for one in others)
        variants, refused = variants + len(others), refused + left
        if left == 0:
            failed = True
            print(f"{name} takes every spoilt {what}")
    print(f"{name}: {len(entries)} messages; of {variants} spoilt ones {refused} refused", flush=True)
    return failed


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        entries = [json.loads(line) for line in file]
    known = [one for one in entries if "error" in one["message"] or not (one["era"] == MODERN and is_task(one))]
    failed = run("Python SDK, models", by_models, known)
    specification = Specification(Path(sys.argv[2]))
    if "tasks" in specification.schemas and MODERN in specification.schemas:
        failed = run("the specification's schemas, closed", specification.judge, entries) or failed
    else:
        print("the specification's schemas are not there: not judged by them")
    sys.exit(1 if failed else 0)


main()
