#!/usr/bin/env python3
"""Renewals of a node in pairs, begun at almost the same moment: one of them renews, the other renews after it or is
refused (E707); keys, trust root and each log that ended are whole.

usage: renew_pairs_test.py BIN_DIRECTORY [PAIRS]
"""
import os
import random
import shutil
import sys
import time

from renewals import begin, make_node, must

PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 40


def keys_of(state):
    keys = {}
    for name in os.listdir(state + "/keys"):
        with open(f"{state}/keys/{name}", "rb") as key:
            keys[name] = key.read()
    return keys


def main():
    folder, state, whole_s = make_node()
    keys = keys_of(state)
    seed = random.randrange(2 ** 32)
    chance = random.Random(seed)
    refused = 0
    for number in range(PAIRS):
        what = f"pair {number} of seed {seed}"
        first = begin("node", "renew", "--state", state)
        time.sleep(chance.random() * whole_s * 1.2)
        pair = [first, begin("node", "renew", "--state", state)]
        said = [renewal.communicate()[1] for renewal in pair]
        renewed = sum(renewal.returncode == 0 for renewal in pair)
        refused += 2 - renewed
        if renewed == 0 or any(words and "E707" not in words for words in said):
            sys.exit(f"{what}: {said}")
        if keys_of(state) != keys or "version 1" not in must("posture", "--state", state):
            sys.exit(f"{what}: a key or the trust root is gone")
        ended = [name for name in os.listdir(folder) if name.startswith("state.ended-")]
        if os.path.exists(state + ".renewing") or len(ended) < renewed:
            sys.exit(f"{what}: {sorted(os.listdir(folder))}")
        for name in ended:
            must("audit", "verify", f"{folder}/{name}/log.tpa", "--node", f"{folder}/{name}/node.pub")
            shutil.rmtree(f"{folder}/{name}")
    shutil.rmtree(folder)
    print(f"{PAIRS} pairs of renewals, {refused} of them refused beside another")


main()
