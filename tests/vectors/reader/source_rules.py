"""Constraints and rules as the .vec files write them: the source language's tables, as JSON."""
from constraints import Rule

LISTS = ("argv", "all_of", "any_of")


def _seconds(text):
    sign = -1 if text.startswith("-") else 1
    hours, minutes = text.lstrip("+-").split(":")
    return sign * (int(hours) * 3600 + int(minutes) * 60)


def _children(items):
    return [("all_of", table(item)) if len(table(item)) != 1 else table(item)[0] for item in items]


def _operand(kind, value):
    if kind == "url":
        return value["schemes"], value["hosts"], value.get("ports", []), value.get("under", "/")
    if kind == "time_of_day":
        return _seconds(value["from"]), _seconds(value["to"]), _seconds(value["offset"])
    if kind == "each":
        return table(value)
    if kind in LISTS:
        return _children(value)
    if kind == "fields":
        return rules(value)
    return value


def table(written):
    """The constraints of one argument: "any", or a table whose keys all must hold."""
    if written == "any":
        return [("any", None)]
    return [(kind, _operand(kind, value)) for kind, value in written.items()]


def rules(written):
    return [Rule(name.removesuffix("?"), name.endswith("?"), table(value)) for name, value in written.items()]
