#!/usr/bin/env python3
"""The manual's reference against the command: every verb of `taper --help` has a heading in docs/CLI.md, an
example, and under it the table that its --help makes.

usage: manual_test.py BIN_DIRECTORY docs/CLI.md            compare
       manual_test.py BIN_DIRECTORY docs/CLI.md --write    make the tables anew; text and examples stay
"""
import os
import re
import subprocess
import sys

# What every verb has, and the page's top says once.
COMMON = {"--help", "--json"}


def help_of(taper, words):
    return subprocess.run([taper, *words, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def entries_under(text, title):
    """(left column, meaning) of each entry; a long left column has its meaning on the next line."""
    found = re.search(rf"^{title}:\n((?:  .*\n)+)", text, re.MULTILINE)
    entries = []
    for line in found.group(1).splitlines() if found else []:
        new = re.match(r"  (\S.*?)(?:  +(\S.*))?$", line)
        if new:
            entries.append([new.group(1), new.group(2) or ""])
        else:
            entries[-1][1] = (entries[-1][1] + " " + line.strip()).strip()
    return entries


def verbs(taper, words=()):
    inner = entries_under(help_of(taper, words), "Subcommands")
    if not inner:
        yield list(words)
    for name, _ in inner:
        yield from verbs(taper, (*words, name))


def row(left, meaning):
    words = left.split()
    name = words[0].split(",")[-1]
    if name in COMMON:
        return ""
    more = " …" if "..." in words else ""
    default = re.search(r"^\S+ [A-Z]+=(\S+)", left)
    if default:
        meaning += f" (default {default.group(1)})"
    required = "; required" if "REQUIRED" in words and name.startswith("-") else ""
    optional = "; optional" if "REQUIRED" not in words and not name.startswith("-") else ""
    return f"| `{name}{more}` | {meaning}{required}{optional} |\n"


def table(shown):
    rows = "".join(row(*entry) for title in ("Positionals", "Options") for entry in entries_under(shown, title))
    return f"| option | meaning |\n|---|---|\n{rows}" if rows else ""


TABLE = re.compile(r"\| option \| meaning \|\n\|---\|---\|\n(?:\|.*\n)*")


def with_table(section, wanted):
    if TABLE.search(section):
        return TABLE.sub(lambda _: wanted, section, count=1)
    return section.rstrip("\n") + "\n" + ("\n" + wanted if wanted else "") + "\n"


def main():
    taper = os.path.join(sys.argv[1], "taper")
    with open(sys.argv[2], encoding="utf-8") as file:
        page = file.read()
    heading = re.compile(r"^### `taper ([a-z -]+)`\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
    sections = dict(heading.findall(page))
    shown = {" ".join(words): help_of(taper, words) for words in verbs(taper)}
    problems = [f"the manual describes taper {verb}, which is none" for verb in set(sections) - set(shown)]
    for verb, text in shown.items():
        section = sections.get(verb, "")
        if "Example:" not in text:
            problems.append(f"taper {verb} --help has no example")
        if f"taper {verb}" not in section:
            problems.append(f"taper {verb} has no heading or no example in the manual")
        if "--write" not in sys.argv and section and with_table(section, table(text)) != section:
            problems.append(f"taper {verb}: the table is not that of --help (run with --write)")
    if "--write" in sys.argv:
        made = heading.sub(lambda found: f"### `taper {found.group(1)}`\n" +
                           with_table(found.group(2), table(shown.get(found.group(1), ""))), page)
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            file.write(made)
    print("\n".join(problems) or f"{len(shown)} verbs")
    return 1 if problems else 0


sys.exit(main())
