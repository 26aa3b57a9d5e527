#!/usr/bin/env python3
"""Renewals of a node in pairs, begun at almost the same moment: one of them renews, the other renews after it or is
refused (E707); keys, trust root and each log that ended are whole.

usage: renew_pairs_test.py BIN_DIRECTORY [PAIRS]
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

TAPER = os.path.join(os.path.abspath(sys.argv[1]), "taper")
PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 40


def begin(*words):
    return subprocess.Popen([TAPER, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def must(*words):
    done = begin(*words)
    out, err = done.communicate()
    if done.returncode != 0:
        sys.exit(f"taper {' '.join(words)}: exit {done.returncode}\n{err}")
    return out


def keys_of(state):
    keys = {}
    for name in os.listdir(state + "/keys"):
        with open(f"{state}/keys/{name}", "rb") as key:
            keys[name] = key.read()
    return keys


def main():
    folder = tempfile.mkdtemp(prefix="taper-renew-")
    state = folder + "/state"
    must("key", "new", "--role", "root", "--out", folder + "/root.key", "--no-passphrase")
    must("key", "new", "--role", "issuer", "--out", folder + "/issuer.key", "--no-passphrase")
    must("root", "init", "--key", folder + "/root.key", "--issuer", folder + "/issuer.pub", "--out", folder + "/root.tpr")
    must("node", "init", "--state", state)
    must("import", "--state", state, folder + "/root.tpr")
    keys = keys_of(state)
    begun = time.monotonic()
    must("node", "renew", "--state", state)
    whole_s = time.monotonic() - begun
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
