#!/usr/bin/env python3
"""Writes docs/ERRORS.md from runtime/base/codes.def; with --check, fails when they differ."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXITS = {"ok": 0, "usage": 2, "deny": 3, "stale": 3, "exhausted": 3, "invalid": 4, "corrupt": 4,
         "unavailable": 5, "unknown": 5, "ended": 6, "bug": 1}
GROUPS = {0: "General", 1: "How the command was called", 2: "Form of bytes from outside", 3: "Trust",
          4: "Activation", 5: "Decisions", 6: "How tasks and calls end", 7: "This host",
          8: "Store and audit log", 9: "Internal"}
TEXT = r'"((?:[^"\\]|\\.)*)"'
ROW = re.compile(rf'TAPER_CODE\((\d+), (\w+), (\w+), {TEXT},\s*{TEXT},\s*{TEXT}\)')


def render():
    rows = ROW.findall((ROOT / "runtime/base/codes.def").read_text(encoding="utf-8"))
    out = ["# Errors", "",
           "Every refusal has a number that never changes its meaning. The last line on stderr is",
           "`taper: E<number> <name>: …`; with `--json` it stands in `error`. The exit code follows from the kind:",
           "0 done or allowed · 1 internal · 2 usage · 3 denied, stale or exhausted · 4 invalid, forged or corrupt ·",
           "5 this host cannot, or the state is locked · 6 the task ended before completing.", "",
           "Reserved, and raised by nothing yet: E618.", "",
           "Generated from `runtime/base/codes.def` by `tools/lint/errors.py`.", ""]
    group = None
    for number, name, kind, question, text, fix in rows:
        fix = fix.replace('\\"', '"')
        if int(number) // 100 != group:
            group = int(number) // 100
            out += ["", f"## {GROUPS[group]}", "", "| number | name | exit | asked by | what | how to mend it |",
                    "|---|---|---|---|---|---|"]
        out.append(f"| E{number} | `{name}` | {EXITS[kind]} | {question} | {text} | {fix} |")
    return "\n".join(out) + "\n", len(rows)


def main():
    text, count = render()
    declared = (ROOT / "runtime/base/codes.def").read_text(encoding="utf-8").count("\nTAPER_CODE(")
    if count != declared:
        sys.exit(f"codes.def: {declared} codes, {count} understood")
    page = ROOT / "docs/ERRORS.md"
    if "--check" in sys.argv:
        if page.read_text(encoding="utf-8") != text:
            sys.exit("docs/ERRORS.md is not what codes.def says; run tools/lint/errors.py")
        return
    page.write_text(text, encoding="utf-8")


main()
