#!/usr/bin/env python3
"""Looks at every state of the model with SPIN, and at every model with one rule off, which must fail.

usage: run.py [--large]    larger bounds for the model with all its rules

Needs spin and a C compiler; works in a directory of its own.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "task.pml"
SMALL = [{}, {"ACTIVATIONS": 2}]
LARGE = [{"ACTIVATIONS": 2, "BUDGET": 3, "CRASHES": 3, "RESTORES": 2}]
LEAST_STATES = 10_000
SECONDS = 600


def explore(folder, bounds):
    """How many states there are, and the assertion that does not hold in one of them, or none."""
    words = [f"-D{name}={value}" for name, value in bounds.items()]
    subprocess.run(["spin", "-a", *words, str(MODEL)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cc", "-O2", "-DSAFETY", "-w", "-o", "pan", "pan.c"], cwd=folder, check=True)
    # -E: a node that is down for good is no fault.
    shown = subprocess.run(["./pan", "-m1000000", "-E"], cwd=folder, check=True, stdout=subprocess.PIPE,
                           text=True, timeout=SECONDS).stdout
    if "max search depth too small" in shown or "out of memory" in shown:
        raise RuntimeError("not every state was looked at:\n" + shown)
    states = int(re.search(r"^\s*(\d+) states, stored", shown, re.MULTILINE)[1])
    broken = re.search(r"assertion violated (.*) \(at depth", shown)
    if not broken and not re.search(r"errors: 0$", shown, re.MULTILINE):
        raise RuntimeError("failed, but not on an assertion:\n" + shown)
    return states, broken and broken[1].strip()


def rules():
    """The rules that can be switched off, by the model's own list."""
    text = MODEL.read_text(encoding="utf-8")
    named = dict(re.findall(r"^#define ([A-Z_]+) (\d+)$", text, re.MULTILINE))
    used = set(re.findall(r"ON\(([A-Z_]+)\)", text)) - {"rule"}
    return {name: int(named[name]) for name in sorted(used)}


def main():
    bad = 0
    with tempfile.TemporaryDirectory(prefix="taper-model-") as folder:
        for bounds in SMALL + (LARGE if "--large" in sys.argv[1:] else []):
            states, broken = explore(folder, bounds)
            fine = broken is None and states >= LEAST_STATES
            bad += not fine
            print(f"{'ok  ' if fine else 'FAIL'} all rules {bounds or ''}: {states} states"
                  + (f", {broken}" if broken else ""))
        for name, number in rules().items():
            # With one activation a budget cannot refill.
            bounds = {"MUTANT": number, "ACTIVATIONS": 2 if name == "BUDGET_NEVER_REFILLS" else 1}
            states, broken = explore(folder, bounds)
            bad += broken is None
            print(f"{'ok  ' if broken else 'FAIL'} without {name}: {broken or 'nothing fails'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
