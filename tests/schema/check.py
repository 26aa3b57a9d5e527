#!/usr/bin/env python3
"""Holds schemas against arguments with Debian's python3-jsonschema, which knows nothing of Taper.

usage: check.py PROGRAM random COUNT [SEED]
       check.py PROGRAM vectors SOURCE_DIR

Every schema is one by the meta-schema of 2020-12. What the authority allows is valid, also where formats are
asserted. What it refuses is not valid, of the rules that a schema can say exactly.
"""
import json
import re
import subprocess
import sys
import time

try:
    import jsonschema
except ImportError:
    sys.exit("check.py: no module jsonschema: tools/setup installs python3-jsonschema")
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators


def same(a, b):
    """Equality of JSON: true is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def enum(_validator, values, instance, _schema):
    if not any(same(value, instance) for value in values):
        yield ValidationError(f"{instance!r} is none of {values!r}")


def whole(pattern):
    """The `$` of ECMA 262, which does not stop before a line feed at the end."""
    out = re.sub(r"\\.|\[(?:\\.|[^\]\\])*\]|\$", lambda m: r"\Z" if m[0] == "$" else m[0], pattern, flags=re.S)
    return re.compile(out)


def pattern(_validator, text, instance, _schema):
    if isinstance(instance, str) and not whole(text).search(instance):
        yield ValidationError(f"{instance!r} is not as {text!r}")


Exact = validators.extend(Draft202012Validator, {"enum": enum, "pattern": pattern})
FORBIDDEN_AT_TOP = {"anyOf", "oneOf", "allOf", "enum", "const", "if"}


def check(line, counts):
    sample = json.loads(line)
    schema = sample["schema"]
    Draft202012Validator.check_schema(schema)
    problems = [f"at the top of the schema: {key}" for key in FORBIDDEN_AT_TOP & schema.keys()]
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        problems.append("not a closed object")
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    exact = Exact(schema, format_checker=FormatChecker())
    for arguments in sample["allowed"]:
        for which in (validator, exact):
            problems += [f"shuts out {json.dumps(arguments)}: {error.message}" for error in which.iter_errors(arguments)]
    for arguments in sample["refused"]:
        if exact.is_valid(arguments):
            problems.append(f"lets in {json.dumps(arguments)}")
    counts["schemas"] += 1
    counts["allowed"] += len(sample["allowed"])
    counts["refused"] += len(sample["refused"])
    return [f"{problem}\n  {json.dumps(schema)}" for problem in problems]


def main():
    program, kind, what = sys.argv[1:4]
    words = [program, kind, what]
    if kind == "random":
        seed = sys.argv[4] if len(sys.argv) > 4 else str(time.time_ns())
        words.append(seed)
        print(f"seed {seed}")
    counts = {"schemas": 0, "allowed": 0, "refused": 0}
    problems = []
    lines = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.decode().strip("\n").split("\n")
    for line in lines:
        problems += check(line, counts)
    print(counts)
    for problem in problems[:20]:
        print(problem)
    # Samples of which none is allowed, or none refused, would show nothing.
    enough = counts["allowed"] >= counts["schemas"] / 8 and counts["refused"] >= counts["schemas"] / 8
    if not enough:
        print("too few samples")
    return 1 if problems or not enough or not lines else 0


sys.exit(main())
