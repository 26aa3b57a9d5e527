#!/usr/bin/env python3
"""Reads every vector with the reader of this folder, which was written from docs/formats.

usage: check.py FOLDER      prints how many it agrees with; 1 when it disagrees with one
"""
import os
import sys

import capsule
import constraints
import root
import secrets_of
import signatures
import source_rules
import values
from framing import blake2b
from vec import cases
from wire import Refused

DEVICES = {"none": signatures.NO_DEVICE, "touched": signatures.TOUCHED, "verified": signatures.VERIFIED}


def raw(text):
    return text.encode("utf-8", "surrogateescape")


def json(text):
    return values.parse(raw(text))


def moment(setting):
    text = setting.get("moment", "0")
    return constraints.Moment(int(text.split(" ")[0]), text.endswith(" anchored"))


def value_verdict(_, verdict, rest):
    source, _, wanted = rest.partition(" -> ")
    data = bytes.fromhex(source) if verdict.endswith("-hex") else raw(source)
    try:
        got = values.canonical(values.parse(data))
    except values.Malformed:
        return verdict.startswith("refuses")
    return verdict.startswith("accepts") and raw(got) == raw(wanted)


def constraint_verdict(setting, verdict, rest):
    rule = source_rules.table(json(setting["constraint"]))
    return constraints.all_hold(rule, json(rest), moment(setting)) == (verdict == "holds")


def argument_verdict(setting, verdict, rest):
    inputs = {}
    for word in setting["inputs"].split():
        name, _, kind = word.partition("=")
        inputs[name.removesuffix("?")] = (kind, name.endswith("?"))
    name, arguments = (None, rest) if verdict == "ok" else rest.split(" ", 1)
    rules = source_rules.rules(json(setting["grant"]))
    return constraints.check_arguments(rules, inputs, json(arguments), moment(setting)) == (verdict, name)


def signature_verdict(setting, verdict, rest):
    try:
        signatures.check(int(setting["kind"]), bytes.fromhex(setting["key"]), DEVICES[setting["device"]],
                         setting["type"].encode(), bytes.fromhex(setting["payload"]), bytes.fromhex(rest))
    except Refused as refusal:
        return verdict == str(refusal.number)
    return verdict == "ok"


# The inputs of the builtins: docs/formats/tools.md and the manual name them.
BUILTINS = {
    "file.read": {"path": ("path", False), "offset": ("integer", True), "max_bytes": ("integer", True)},
    "file.list": {"path": ("path", False), "max_entries": ("integer", True)},
    "file.stat": {"path": ("path", False)},
    "file.write": {"path": ("path", False), "content": ("string", False), "encoding": ("string", True)},
    "file.append": {"path": ("path", False), "content": ("string", False), "encoding": ("string", True)},
    "time.now": {}}
NUMBERS = {"verb_not_granted": 503, "argument_refused": 504, "argument_unknown": 505, "argument_missing": 506,
           "path_malformed": 508, "tool_input": 513}


def call_verdict(opened, tool, text):
    """The number of the refusal; None: allowed."""
    try:
        arguments = json(text)
    except values.Malformed:
        return 507

    def matches(rules):
        return constraints.check_arguments(rules, BUILTINS[tool], arguments, constraints.Moment())[0]

    said = opened.line(tool, matches)
    return None if said == "ok" else 502 if said is None else NUMBERS[said]


def chain_verdict(setting, verdict, rest):
    try:
        opened = capsule.Capsule(bytes.fromhex(setting["file"]), root.Root(bytes.fromhex(setting["root"])))
    except Refused as refusal:
        return verdict == "refuses" and rest == str(refusal.number)
    if verdict == "opens":
        return rest.split() == [str(len(opened.blocks)), opened.id.hex(), opened.chain.hex(), opened.holder.hex()]
    number, _, call = rest.partition(" ") if verdict == "denies" else (None, None, rest)
    tool, _, arguments = call.partition(" ")
    got = call_verdict(opened, tool, arguments)
    return verdict in ("allows", "denies") and got == (int(number) if number else None)


def payload_verdict(setting, verdict, rest):
    kind, data = next((kind, bytes.fromhex(setting[kind])) for kind in ("block", "capsule") if kind in setting)
    try:
        capsule.Block(data) if kind == "block" else capsule.Payload(data)
    except Refused as refusal:
        number, _, field = rest.partition(" ")
        return verdict == "refuses" and number == str(refusal.number) and field in ("", refusal.field)
    return verdict == "accepts" and rest == blake2b(data).hex()


def secret_verdict(setting, verdict, rest):
    name, wanted = rest.split(" ")
    payload = capsule.Payload(bytes.fromhex(setting["capsule"]))
    value, fault = secrets_of.open_secret(payload, name, bytes.fromhex(setting["key"]))
    return (verdict, wanted) == (("opens", value.hex()) if fault is None else ("refuses", fault))


def root_verdict(setting, verdict, rest):
    try:
        opened = root.Root(bytes.fromhex(setting["file"]))
    except Refused as refusal:
        return verdict == "refuses" and rest == str(refusal.number)
    return verdict == "opens" and rest == f"{opened.version} {opened.fleet.hex()}"


READERS = {"chains.vec": chain_verdict, "openings.vec": chain_verdict, "payloads.vec": payload_verdict,
           "roots.vec": root_verdict, "secrets.vec": secret_verdict, "values.vec": value_verdict, "constraints.vec": constraint_verdict,
           "arguments.vec": argument_verdict, "signatures.vec": signature_verdict}


def main():
    folder = sys.argv[1]
    files = sorted(name for name in os.listdir(folder) if name.endswith(".vec"))
    agreed, wrong = 0, []
    for name in files:
        for line, setting, verdict, rest in cases(os.path.join(folder, name)):
            if READERS[name](setting, verdict, rest):
                agreed += 1
            else:
                wrong.append(f"{name}:{line}: expect: {verdict} {rest}"[:200])
    print("\n".join(wrong))
    print(f"{agreed} agree, {len(wrong)} do not, in {', '.join(files)}")
    return 1 if wrong or not agreed else 0


if __name__ == "__main__":
    sys.exit(main())
