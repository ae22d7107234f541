"""Runs schemathesis over the server's own document and prints how it went."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,unsupported_method"
)
if "BEARER" in os.environ:
    # Those that manage: a token opens them, and a client's secret nothing but that token.
    proof = ["--header", f"Authorization: Bearer {os.environ['BEARER']}"]
    proof += ["--include-path-regex", "^/m2m/"]
else:
    proof = ["--auth", f"{os.environ['CLIENT_ID']}:{os.environ['CLIENT_SECRET']}"]
run = subprocess.run(
    [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{os.environ['ISSUER']}/openapi.json",
        "--checks",
        CHECKS,
        *proof,
        "--max-examples",
        "40",
        "--seed",
        "7",
        "--no-color",
    ],
    capture_output=True,
    text=True,
    check=False,
)
found = re.search(r"(\d+) generated, (\d+) passed", run.stdout)
generated, passed = (int(found[1]), int(found[2])) if found else (0, -1)
failures = "" if run.returncode == 0 else run.stdout[-4000:]
sys.stdout.write(json.dumps({"generated": generated, "passed": passed, "failures": failures}))
