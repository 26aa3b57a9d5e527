"""A node that is renewed again and again, for the tests that kill or pair renewals."""
import os
import subprocess
import sys
import tempfile
import time

TAPER = os.path.join(os.path.abspath(sys.argv[1]), "taper")


def begin(*words):
    return subprocess.Popen([TAPER, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def must(*words):
    done = begin(*words)
    out, err = done.communicate()
    if done.returncode != 0:
        sys.exit(f"taper {' '.join(words)}: exit {done.returncode}\n{err}")
    return out


def make_node():
    """Its folder, its state, and how many seconds a renewal takes, of which one is done."""
    folder = tempfile.mkdtemp(prefix="taper-renew-")
    state = folder + "/state"
    must("key", "new", "--role", "root", "--out", folder + "/root.key", "--no-passphrase")
    must("key", "new", "--role", "issuer", "--out", folder + "/issuer.key", "--no-passphrase")
    must("root", "init", "--key", folder + "/root.key", "--issuer", folder + "/issuer.pub", "--out", folder + "/root.tpr")
    must("node", "init", "--state", state)
    must("import", "--state", state, folder + "/root.tpr")
    begun = time.monotonic()
    must("node", "renew", "--state", state)
    return folder, state, time.monotonic() - begun
