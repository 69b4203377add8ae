"""Reads access tokens from standard input, and prints a line for each: `ok <sub>` or `rejected <why>`.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    ISSUER=http://localhost:8080 AUDIENCE=latchkey .venv/bin/python main.py pyjwt <<< "$ACCESS"
"""

import importlib
import os
import sys

module = importlib.import_module(f"{sys.argv[1]}_verify")
verify = module.verifier(os.environ["ISSUER"], os.environ["AUDIENCE"])

for line in sys.stdin:
    try:
        print("ok", verify(line.rstrip("\n"))["sub"], flush=True)
    except Exception as error:
        print("rejected", *str(error).splitlines()[:1], flush=True)
