"""Constraints and the check of a call's arguments: docs/formats/capsule.md, Argument rules and constraints.

A constraint is (kind, operand); a rule is a Rule. The bound on the steps of one call is not kept here: it binds
no vector.
"""
import addresses
from values import same

PATH_BYTES_MAX = 4096


class Rule:
    def __init__(self, name, optional, constraints):
        self.name = name
        self.optional = optional
        self.constraints = constraints


class Moment:
    def __init__(self, wall_s=0, anchored=False):
        self.wall_s = wall_s
        self.anchored = anchored


def is_plain_path(text):
    if not text.startswith("/") or "\0" in text:
        return False
    return text == "/" or all(part not in ("", ".", "..") for part in text[1:].split("/"))


def is_under(path, tree):
    return tree == "/" or path == tree or path.startswith(tree + "/")


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _past_stars(pattern, states):
    out = set(states)
    for at in states:
        while pattern[at:at + 1] == b"*":
            at += 1
            out.add(at)
    return out


def glob_matches(pattern, data):
    """By the states that a reader may be in: one for each place in the pattern."""
    states = _past_stars(pattern, {0})
    for byte in data:
        following = set()
        for at in states:
            head = pattern[at:at + 1]
            if head == b"*" and byte != ord("/"):
                following.add(at)
            elif head == b"?" and byte != ord("/") or head and head not in b"*?" and head[0] == byte:
                following.add(at + 1)
        states = _past_stars(pattern, following)
    return len(pattern) in states


def names_path(constraint):
    kind, operand = constraint
    return kind == "under" or kind in ("all_of", "any_of") and any(names_path(child) for child in operand)


def _path_form(constraints, value):
    """What an `under` among the constraints of a string demands of it."""
    if not isinstance(value, str) or not any(names_path(constraint) for constraint in constraints):
        return True
    return is_plain_path(value) and len(value.encode()) <= PATH_BYTES_MAX


def all_hold(constraints, value, moment):
    return _path_form(constraints, value) and all(holds(one, value, moment) for one in constraints)


def _url(operand, value):
    schemes, hosts, ports, under = operand
    found = addresses.url(value)
    if found is None or found[0] not in schemes or found[1] not in hosts or not is_under(found[3], under):
        return False
    own = addresses.OWN_PORTS.get(found[0])
    return found[2] in ports if ports else found[2] == own


def _fields(rules, value, moment):
    known = {rule.name: rule for rule in rules}
    if any(not rule.optional and rule.name not in value for rule in rules):
        return False
    return all(name in known and all_hold(known[name].constraints, item, moment) for name, item in value.items())


def _text_holds(kind, operand, value):
    data = value.encode()
    if kind == "length":
        return operand[0] <= len(data) <= operand[1]
    if kind == "prefix":
        return data.startswith(operand.encode())
    if kind == "suffix":
        return data.endswith(operand.encode())
    if kind == "glob":
        return glob_matches(operand.encode(), data)
    if kind == "under":
        return is_plain_path(value) and len(data) <= PATH_BYTES_MAX and is_under(value, operand)
    if kind == "url":
        return _url(operand, value)
    found = addresses.address(value)
    return found is not None and any(addresses.in_block(found, addresses.block(text)) for text in operand)


def _array_holds(kind, operand, value, moment):
    if kind == "count":
        return operand[0] <= len(value) <= operand[1]
    if kind == "each":
        return all(all_hold(operand, item, moment) for item in value)
    return len(operand) == len(value) and all(
        isinstance(word, str) and all_hold([child], word, moment) for child, word in zip(operand, value))


def _not_one_of(operand, value):
    if not isinstance(value, (str, int)):
        return False
    alike = [item for item in operand if type(item) is type(value)]
    return bool(alike) and value not in alike


def _time_of_day(operand, moment):
    start, end, offset = operand
    if not moment.anchored:
        return False
    now = (moment.wall_s + offset) % 86_400
    return start <= now < end if start < end else now >= start or now < end


def holds(constraint, value, moment):
    kind, operand = constraint
    if kind == "any":
        return True
    if kind == "equals":
        return same(operand, value)
    if kind == "one_of":
        return any(same(item, value) for item in operand)
    if kind == "not_one_of":
        return _not_one_of(operand, value)
    if kind in ("at_least", "at_most"):
        return is_integer(value) and (value >= operand if kind == "at_least" else value <= operand)
    if kind == "all_of":
        return all_hold(operand, value, moment)
    if kind == "any_of":
        return _path_form(operand, value) and any(holds(child, value, moment) for child in operand)
    if kind == "time_of_day":
        return _time_of_day(operand, moment)
    if kind == "fields":
        return isinstance(value, dict) and _fields(operand, value, moment)
    if kind in ("argv", "each", "count"):
        return isinstance(value, list) and _array_holds(kind, operand, value, moment)
    return isinstance(value, str) and _text_holds(kind, operand, value)


TYPES = {"string": str, "path": str, "integer": int, "boolean": bool}


def _has_type(value, kind):
    return kind == "json" or type(value) is TYPES[kind]


def check_arguments(rules, inputs, arguments, moment):
    """(code's name, argument), or ("ok", None). `inputs` is {name: (type, optional)}."""
    known = {rule.name: rule for rule in rules}
    for name in sorted(arguments, key=str.encode):
        if name not in known:
            return "argument_unknown", name
    for rule in rules:
        if not rule.optional and rule.name not in arguments:
            return "argument_missing", rule.name
    for name, value in arguments.items():
        is_path = inputs.get(name, ("",))[0] == "path"
        constraints = known[name].constraints + ([("under", "/")] if is_path else [])
        if not _path_form(constraints, value):
            return "path_malformed", name
    for name, value in arguments.items():
        if not all_hold(known[name].constraints, value, moment):
            return "argument_refused", name
    for name in arguments:
        if name not in inputs:
            return "tool_input", name
    for name, (kind, optional) in inputs.items():
        if name not in arguments:
            if not optional:
                return "tool_input", name
        elif not _has_type(arguments[name], kind):
            return "tool_input", name
    return "ok", None
