"""Runs the benchmarks: all of them, or those that are named.

Run: `python -m benchmarks [NAME …]`; see README.md beside this file.
"""

import asyncio
import sys

from benchmarks import allowed, authorization, backends, decision, gated, openapi, storage, waiting

BENCHMARKS = {
    "decision": decision.run,
    "allowed": allowed.run,
    "waiting": waiting.run,
    "gated": gated.run,
    "authorization": authorization.run,
    "storage": storage.run,
    "backends": backends.run,
    "openapi": openapi.run,
}


def main(names: list[str]) -> None:
    """Run them one after another."""
    if unknown := set(names) - BENCHMARKS.keys():
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        about, _, _ = (sys.modules[f"benchmarks.{name}"].__doc__ or "").partition("\n")
        print(f"\n{name}: {about}")
        asyncio.run(BENCHMARKS[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
