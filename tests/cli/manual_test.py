#!/usr/bin/env python3
"""The manual against the command: every verb of `taper --help` has a heading in docs/CLI.md, every option of
its --help stands under that heading, and nothing else does.

usage: manual_test.py BIN_DIRECTORY docs/CLI.md
"""
import os
import re
import subprocess
import sys


def help_of(taper, words):
    return subprocess.run([taper, *words, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def names_under(text, title):
    found = re.search(rf"^{title}:\n((?:  .*\n)+)", text, re.MULTILINE)
    lines = found.group(1).split("\n") if found else []
    return [line.split()[0] for line in lines if re.match(r"  \S", line)]


def verbs(taper, words=()):
    inner = names_under(help_of(taper, words), "Subcommands")
    if not inner:
        yield list(words)
    for name in inner:
        yield from verbs(taper, (*words, name))


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) - {"--help"}


def main():
    taper = os.path.join(sys.argv[1], "taper")
    with open(sys.argv[2], encoding="utf-8") as page:
        sections = dict(re.findall(r"^### `taper ([a-z -]+)`\n(.*?)(?=^##|\Z)", page.read(),
                                   re.MULTILINE | re.DOTALL))
    problems = []
    seen = set()
    for words in verbs(taper):
        verb = " ".join(words)
        seen.add(verb)
        shown = help_of(taper, words)
        if "Example:" not in shown:
            problems.append(f"taper {verb} --help has no example")
        if verb not in sections:
            problems.append(f"no heading for taper {verb}")
            continue
        listed = options("\n".join(re.findall(r"^  (-.*?)(?:  |$)", shown, re.MULTILINE)))
        documented = options("\n".join(re.findall(r"^\| (`.*?) \|", sections[verb], re.MULTILINE)))
        documented.add("--json")
        for name in sorted(listed ^ documented):
            where = "the manual" if name in listed else "--help"
            problems.append(f"taper {verb}: {name} is missing in {where}")
        if f"taper {verb}" not in sections[verb]:
            problems.append(f"taper {verb}: the manual has no example")
    problems += [f"the manual describes taper {verb}, which is none" for verb in set(sections) - seen]
    print("\n".join(problems) or f"{len(seen)} verbs")
    return 1 if problems else 0


sys.exit(main())
