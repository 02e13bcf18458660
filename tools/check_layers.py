#!/usr/bin/env python3
"""Checks that modules include only what their place in the architecture allows.

A module uses only modules above it in ORDER, and only `cli` names a concrete driver. Unit tests may name
drivers (the in-memory ones are their fakes), but not modules below their own.
"""
import pathlib
import re
import sys

ORDER = ["core", "runtime", "net", "clients", "brokers", "results", "control", "events", "app", "worker",
         "beat", "http", "db", "cache", "monitor", "cli", "testing"]
# Headers directly under lovage/ belong to no module. awaitable.hpp is for everybody; the umbrellas are for users.
UMBRELLAS = {"lovage/lovage.hpp", "lovage/testing.hpp"}
# The modules whose sub-folders are drivers behind one interface.
DRIVER_MODULES = {"brokers", "results"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"](lovage/[^>"]+)[>"]')


def driver(parts):
    """("lovage", "brokers", "sqlite", "x.hpp") -> "brokers/sqlite"; None for what is no driver."""
    if len(parts) > 3 and parts[1] in DRIVER_MODULES and parts[2] != "detail":
        return f"{parts[1]}/{parts[2]}"
    return None


def fault(source, header):
    """Why `source` may not include `header`; None if it may. Both are paths from the repository's root."""
    here, there = pathlib.PurePosixPath(source).parts, pathlib.PurePosixPath(header).parts
    if len(here) < 3:
        return None
    if header in UMBRELLAS:
        return "the umbrella header is for users, not for modules"
    if len(there) < 3:
        return None
    module, used = here[1], there[1]
    if module not in ORDER or used not in ORDER:
        return f"unknown module {used if module in ORDER else module}; tools/check_layers.py lists them"
    if ORDER.index(used) > ORDER.index(module):
        return f"{used} lies below {module}"
    is_test = source.endswith(("_test.cpp", "_fixture.hpp"))
    if driver(there) and driver(there) != driver(here) and module != "cli" and not is_test:
        return "only cli names a concrete driver"
    return None


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    faults = 0
    for path in sorted((root / "lovage").rglob("*.[ch]pp")):
        source = path.relative_to(root).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            reason = match and fault(source, match.group(1))
            if reason:
                print(f"{source}:{number}: includes {match.group(1)}: {reason}")
                faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
