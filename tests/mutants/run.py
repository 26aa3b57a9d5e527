#!/usr/bin/env python3
"""Mutants: each patch switches one rule off, and some test must fail because of it.

usage: run.py --check              every patch applies to the tree as it is
       run.py --all | NAME...      apply, build, run the test, take back; one line each
       run.py --today N            N of them, others each day
       run.py --sim NAME...        those, by histories of taper-sim in place of their own tests
options: --preset dev  the build to copy (it must have been configured)
         --jobs N      compilers at once

Works on a copy of the tree and its build, bound over the tree's own path in a mount namespace of its
own, so nothing of the tree is touched and only what a patch changes is built again.
"""
import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
PATCHES = TREE / "tests/mutants"
TEST_SECONDS = 300
HISTORIES = "--seeds 1..1000 --first"


by_histories = False


def read(path):
    """The rule, the program and the arguments of the test that must fail."""
    head = {}
    for line in path.read_text(encoding="utf-8").split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(": ")
        head[key] = value
    if by_histories:
        head |= {"program": "taper-sim", "tests": HISTORIES}
    return head


def arguments_of(head):
    # crash_sweep and taper-sim take words; the others are Catch2 programs, take one test specification
    # and stop at the first failure.
    if head["program"] in ("crash_sweep", "taper-sim"):
        return head["tests"].split()
    return ["--abort", *([head["tests"]] if head.get("tests") else [])]


def caught_by(output):
    """The test that failed, as Catch2 heads its report; the history, as taper-sim tells it."""
    history = re.search(r"^(seed .+?)(?: \(.*)?\n(?:.*\n)*caught in (history \d+) of", output, re.MULTILINE)
    if history:
        return f'caught in {history[2]}: {history[1]}'
    found = re.search(r"^-{70,}\n(.+)\n", output, re.MULTILINE)
    return f'caught by "{found[1]}"' if found else "caught"


def apply(path, *options):
    return subprocess.run(["git", "apply", *options, str(path)], cwd=TREE, check=False,
                          capture_output=True, text=True)


def check(patches):
    bad = 0
    for path in patches:
        head = read(path)
        done = apply(path, "--check")
        if done.returncode == 0 and {"rule", "program"} <= head.keys():
            continue
        bad += 1
        print(f"{path.stem}: does not apply: {done.stderr.strip()}")
    print(f"{len(patches)} mutants, {bad} do not apply")
    return bad


def enter_copy(preset):
    """Continues in a mount namespace where a copy lies over the tree."""
    scratch = tempfile.mkdtemp(prefix="taper-mutants-")
    copy = Path(scratch) / "tree"
    skip = {str(TREE / "build" / name) for name in os.listdir(TREE / "build") if name != preset}
    command = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    inside = ["sh", "-c", 'mount --bind "$0" "$1" && cd "$1" && shift && exec "$@"', str(copy),
              str(TREE), sys.executable, __file__, "--inside", *sys.argv[1:]]
    try:
        shutil.copytree(TREE, copy, symlinks=True,
                        ignore=lambda folder, names: [n for n in names if f"{folder}/{n}" in skip
                                                      or n.endswith(".tmp")])
        return subprocess.run(command + inside, check=False).returncode
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def build(preset, jobs, program):
    beside = [] if program == "taper-sim" else ["taper-spawnd", "taper-upstream", "taper-agent"]
    return subprocess.run(["ninja", "-C", str(TREE / "build" / preset), f"-j{jobs}", program, *beside],
                          check=False, capture_output=True, text=True)


def verdict_of(path, options):
    head = read(path)
    applied = apply(path)
    if applied.returncode != 0:
        return "DOES NOT APPLY"
    try:
        built = build(options.preset, options.jobs, head["program"])
        if built.returncode != 0:
            return "DOES NOT BUILD"
        program = TREE / "build" / options.preset / "bin" / head["program"]
        try:
            ran = subprocess.run([str(program), *arguments_of(head)], check=False, cwd="/", text=True,
                                 errors="replace", capture_output=True, timeout=TEST_SECONDS)
        except subprocess.TimeoutExpired:
            return "caught (no end)"
        return caught_by(ran.stdout + ran.stderr) if ran.returncode != 0 else "ESCAPED"
    finally:
        apply(path, "-R")
        touch(path)


def touched(path):
    return [line[6:] for line in path.read_text(encoding="utf-8").splitlines()
            if line.startswith("+++ b/")]


def touch(path):
    # Taken back within a second, a source must still look newer than what was built of it.
    for name in touched(path):
        os.utime(TREE / name)


def whole_programs_pass(patches, options):
    """Without any patch: a program that fails by itself would catch everything."""
    heads = [read(path) for path in patches]
    for program, arguments in sorted({(h["program"], tuple(arguments_of(h))) for h in heads}):
        if build(options.preset, options.jobs, program).returncode != 0:
            return print(f"{program}: DOES NOT BUILD")
        path = TREE / "build" / options.preset / "bin" / program
        if subprocess.run([str(path), *arguments], check=False, cwd="/", capture_output=True,
                          timeout=TEST_SECONDS).returncode != 0:
            return print(f"{program} {' '.join(arguments)}: FAILS WITHOUT A PATCH")
    return True


def run(patches, options):
    if not whole_programs_pass(patches, options):
        return 1
    wrong = 0
    for path in patches:
        start = time.monotonic()
        verdict = verdict_of(path, options)
        wrong += not verdict.startswith("caught")
        print(f"{path.stem}: {verdict} ({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{datetime.date.today()}: {len(patches)} mutants, {len(patches) - wrong} caught")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sim", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--today", type=int, default=0)
    parser.add_argument("--preset", default="dev")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    global by_histories
    by_histories = options.sim
    patches = sorted(PATCHES.glob("*.patch"))
    if options.check:
        sys.exit(1 if check(patches) or not patches else 0)
    if options.names:
        patches = [PATCHES / f"{name}.patch" for name in options.names]
    elif options.today:
        first = datetime.date.today().toordinal() * options.today % len(patches)
        patches = (patches + patches)[first:first + options.today]
    elif not options.all:
        parser.error("--check, --all, --today N or names")
    # Neighbours share a program and a source, so little is built again between them.
    patches.sort(key=lambda path: (read(path)["program"], touched(path), path.stem))
    if not options.inside:
        sys.exit(enter_copy(options.preset))
    sys.exit(1 if run(patches, options) else 0)


main()
