#!/usr/bin/env python3
"""Renewals of a node killed at random moments: at each the old state or the new one stands there whole, and the
next renewal goes on from it.

usage: renew_kills_test.py BIN_DIRECTORY [KILLS]
"""
import os
import random
import shutil
import subprocess
import sys
import time

from renewals import TAPER, make_node, must

KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 40


def incarnation(state):
    with open(state + "/node.pub", encoding="utf-8") as record:
        return next(line.split()[1] for line in record if line.startswith("incarnation "))


def log_of(state):
    """What an auditor gets of it, verified."""
    must("audit", "export", "--state", state, "--out", state + "/../log.tpa")
    must("audit", "verify", state + "/../log.tpa", "--node", state + "/node.pub")


def main():
    folder, state, whole_s = make_node()
    seed = random.randrange(2 ** 32)
    chance = random.Random(seed)
    changed = 0
    for number in range(KILLS):
        what = f"kill {number} of seed {seed}"
        before = incarnation(state)
        renewal = subprocess.Popen([TAPER, "node", "renew", "--state", state],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.random() * whole_s * 1.2)
        renewal.kill()
        renewal.wait()
        if not os.path.exists(state + "/node.pub"):
            sys.exit(f"{what}: no state stands there")
        changed += incarnation(state) != before
        log_of(state)
        if "version 1" not in must("posture", "--state", state):
            sys.exit(f"{what}: the trust root is gone")
        must("node", "renew", "--state", state)
        beside = sorted(set(os.listdir(folder)) - {"state", "log.tpa"})
        ended = [name for name in beside if name.startswith("state.ended-")]
        if "state.renewing" in beside or not ended:
            sys.exit(f"{what}: {beside}")
        for name in ended:
            if not os.path.exists(f"{folder}/{name}/log.tpa") or os.path.exists(f"{folder}/{name}/keys"):
                sys.exit(f"{what}: {name} has no log, or keys")
            must("audit", "verify", f"{folder}/{name}/log.tpa", "--node", f"{folder}/{name}/node.pub")
            shutil.rmtree(f"{folder}/{name}")
    shutil.rmtree(folder)
    print(f"{KILLS} renewals killed, {changed} of them after the states had changed places")


main()
