"""The plan of a payload: docs/formats/capsule.md, Plan."""
import re

import values
from fields import DAYS_90_MS, NAME

PAYLOAD_BYTES_MAX = 65_536
POINTER = re.compile(r"(/([^~]|~[01])*)?", re.S)


def _canonical(fields, name, text):
    try:
        value = values.parse(text.encode(), PAYLOAD_BYTES_MAX)
    except values.Malformed:
        fields.refuse(204, name)
    if values.canonical(value) != text:
        fields.refuse(204, name)
    return value


def _is_reference(value, inputs, earlier):
    if set(value) == {"$input"}:
        return value["$input"] in inputs if isinstance(value["$input"], str) else False
    if set(value) != {"$step", "at"} or not all(isinstance(part, str) for part in value.values()):
        return False
    return value["$step"] in earlier and POINTER.fullmatch(value["at"]) is not None


def _is_item(value):
    if value.get("$item") is not True or not set(value) <= {"$item", "at"}:
        return False
    return "at" not in value or isinstance(value["at"], str) and POINTER.fullmatch(value["at"]) is not None


def _references_hold(value, inputs, earlier, items):
    if isinstance(value, list):
        return all(_references_hold(item, inputs, earlier, items) for item in value)
    if not isinstance(value, dict):
        return True
    if any(key.startswith("$") for key in value):
        return _is_reference(value, inputs, earlier) or items and _is_item(value)
    return all(_references_hold(item, inputs, earlier, items) for item in value.values())


def _for_each(step, inputs, earlier):
    if not step.has("for_each"):
        if step.has("for_each_max"):
            step.refuse(204, "for_each_max")
        return False
    value = _canonical(step, "for_each", step.text("for_each", PAYLOAD_BYTES_MAX))
    is_list = isinstance(value, list) or isinstance(value, dict) and _is_reference(value, inputs, earlier)
    if not is_list or not _references_hold(value, inputs, earlier, False):
        step.refuse(204, "for_each")
    step.number("for_each_max", 1, 10_000)
    return True


def _step(step, inputs, earlier):
    step.unenforced("approval")
    name = step.text("id", NAME)
    if name in earlier or "[" in name:
        step.refuse(204, "id")
    step.text("tool", NAME)
    if not set(step.names("needs", 32)) <= set(earlier):
        step.refuse(204, "needs")
    items = _for_each(step, inputs, earlier)
    arguments = _canonical(step, "args", step.text("args", PAYLOAD_BYTES_MAX))
    if not isinstance(arguments, dict) or any(key.startswith("$") for key in arguments):
        step.refuse(204, "args")
    if not _references_hold(arguments, inputs, earlier, items):
        step.refuse(204, "args")
    if step.enum("on_error", 3) == 3:
        step.number("retries", 1, 100)
        step.number("backoff_ms", 0, DAYS_90_MS)
    else:
        for field in ("retries", "backoff_ms"):
            if step.has(field):
                step.refuse(204, field)
    return name


def check(fields):
    """Raises Refused where the plan breaks a rule."""
    inputs, earlier = fields.names("inputs", 32), []
    for step in fields.each("steps", 256):
        earlier.append(_step(step, inputs, earlier))
    if not earlier:
        fields.refuse(203, "steps")
