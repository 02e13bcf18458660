#!/usr/bin/env python3
"""Takes each safety line out of the programs under test, and wants its targeted run to fail.

A test that passes without the line it is there for proves nothing. The lines are those of
lovage/runtime/failpoint.hpp; their runs are in safety_line_test.cpp and must pass when nothing is left out.

usage: reverts.py PATH_OF_lovage_chaos_safety_tests [LINE...]
"""
import os
import pathlib
import re
import subprocess
import sys
import time

HEADER = pathlib.Path(__file__).resolve().parents[2] / "lovage/runtime/failpoint.hpp"
LONGEST_S = 120


def safety_lines():
    names = re.search(r"kLineNames\{(.*?)\};", HEADER.read_text(encoding="utf-8"), re.DOTALL)
    return re.findall(r'"([a-z-]+)"', names.group(1))


def runs_of(program, line):
    """The tests named after a line: "late-ack" -> SqliteSafetyLine.LateAck."""
    test = "".join(word.capitalize() for word in line.split("-"))
    listed = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True, check=True).stdout
    suite, found = "", []
    for entry in listed.splitlines():
        if not entry.startswith(" "):
            suite = entry.split()[0] if entry.strip() else suite
        elif entry.strip() == test:
            found.append(suite + test)
    return found


def fails_without(program, line, test):
    """Whether the run fails, and what it says first."""
    started = time.monotonic()
    try:
        done = subprocess.run([program, "--gtest_filter=" + test], env=os.environ | {"LOVAGE_LEAVE_OUT": line},
                              capture_output=True, text=True, timeout=LONGEST_S, check=False,
                              cwd=program.parent)  # servers of its own keep their state where they are started
        failed, text = done.returncode == 1 and "[  FAILED  ]" in done.stdout, done.stdout
    except subprocess.TimeoutExpired:
        failed, text = False, "did not end"
    reason = re.search(r": Failure\n(.*?)(?=\n\S+:\d+: Failure|\n\[)", text, re.DOTALL)
    words = " ".join(reason.group(1).split()) if reason else ""
    return failed, time.monotonic() - started, words.split("Expected: true ")[-1][:150]


def main():
    program, chosen = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    wrong = 0
    for line in chosen or safety_lines():
        tests = runs_of(program, line)
        if not tests:
            print(f"{line:18} NO RUN IS NAMED AFTER IT")
            wrong += 1
        for test in tests:
            failed, seconds, words = fails_without(program, line, test)
            verdict = "fails, as it must" if failed else "PASSES WITHOUT THE LINE"
            wrong += 0 if failed else 1
            print(f"{line:18} {test:38} {verdict}, {seconds:.0f} s: {words}", flush=True)
    print("every safety line is missed" if wrong == 0 else f"{wrong} of them are not missed by their runs")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
