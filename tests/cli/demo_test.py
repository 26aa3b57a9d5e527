#!/usr/bin/env python3
"""Plays `taper demo`: it must hold, say so line by line, take less than a minute, leave nothing behind, and
print `fail` or `not ok` nowhere.

usage: demo_test.py BIN_DIRECTORY
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

PROOFS_LEAST = 9


def main():
    taper = os.path.join(sys.argv[1], "taper")
    with tempfile.TemporaryDirectory(prefix="taper-cli-") as here:
        environment = dict(os.environ, TMPDIR=here)
        began = time.monotonic()
        text = subprocess.run([taper, "demo"], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        took = time.monotonic() - began
        print(text.stdout)
        assert text.returncode == 0, text.returncode
        assert took < 60, took
        assert not re.search(r"fail|not ok", text.stdout, re.IGNORECASE)
        assert "ALLOW" in text.stdout and "DENY" in text.stdout
        assert len(re.findall(r"^ok ", text.stdout, re.MULTILINE)) >= PROOFS_LEAST
        kept = subprocess.run([taper, "demo", "--json", "--keep"], env=environment,
                              stdout=subprocess.PIPE, check=True)
        shown = json.loads(kept.stdout)
        assert all(proof["held"] for proof in shown["proofs"]), shown
        assert os.listdir(here) == [os.path.basename(shown["directory"])], os.listdir(here)


main()
