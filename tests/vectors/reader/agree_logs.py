#!/usr/bin/env python3
"""Has make_vectors write logs and receipts, and reads them with audit.py.

usage: agree_logs.py MAKE_VECTORS
"""
import subprocess
import sys
import tempfile

import audit

with tempfile.TemporaryDirectory(prefix="taper-logs-") as folder:
    subprocess.run([sys.argv[1], "logs", folder], check=True)
    sys.exit(audit.agree(folder))
