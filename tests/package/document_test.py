#!/usr/bin/env python3
"""Does what the README or a guide tells a stranger to do, with the page's own text.

On the page, a comment `<!-- example: NAME -->` marks the fenced block that follows it. Blocks named after a file are
written to that file in an empty folder outside the repository; the block named `console` is a session there: a line
that starts with "$ " is run by bash, one that ends with "&" in the background, and the lines below a command are
what it must print.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n+```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND_SECONDS = 600


def session(text):
    """"$ a\\nb\\n$ c\\n" -> [("a", "b\\n"), ("c", "")]"""
    commands = []
    for line in text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], ""))
        else:
            command, output = commands.pop()
            commands.append((command, output + line + "\n"))
    return commands


def run_session(commands, folder, environment):
    background = []
    try:
        for command, expected in commands:
            print("$", command, flush=True)
            if command.endswith("&"):
                background.append(subprocess.Popen(
                    ["bash", "-c", "exec " + command[:-1]], cwd=folder, env=environment, stdin=subprocess.DEVNULL))
                continue
            done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, text=True, timeout=COMMAND_SECONDS)
            print(done.stdout, end="", flush=True)
            if done.returncode != 0:
                sys.exit(f"exit status {done.returncode}: {command}")
            if expected and done.stdout != expected:
                sys.exit(f"the page promises {expected!r}")
        for process in background:
            process.send_signal(signal.SIGTERM)
            if process.wait(timeout=120) != 0:
                sys.exit(f"after SIGTERM, exit status {process.returncode}: {process.args[-1]}")
    finally:
        for process in background:
            if process.poll() is None:
                process.kill()
                process.wait()


def celery_environment(python):
    """The two URLs a reader exports, for the servers of ./dev test. Nobody else uses that database: workers of other tests would
    look after the chords in it, too."""
    if not (python.parent / "celery").exists():
        sys.exit(f"there is no Celery beside {python}; ./dev test makes it")
    for variable in ("LOVAGE_TEST_AMQP_URL", "LOVAGE_TEST_REDIS_URL"):
        if not os.environ.get(variable):
            sys.exit(f"{variable} is not set: run this test through ./dev test")
    return {"PATH": f"{python.parent}:{os.environ['PATH']}",
            "CELERY_BROKER_URL": os.environ["LOVAGE_TEST_AMQP_URL"].replace("amqp://", "pyamqp://"),
            "CELERY_RESULT_BACKEND_URL": os.environ["LOVAGE_TEST_REDIS_URL"].rpartition("/")[0] + "/15"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--build", required=True, help="the build folder to install from")
    parser.add_argument("--page", required=True, type=pathlib.Path)
    parser.add_argument("--python", type=pathlib.Path,
                        help="a Python with Celery: its folder comes first in PATH, and RabbitMQ and Redis are needed")
    args = parser.parse_args()

    examples = dict(EXAMPLE.findall(args.page.read_text(encoding="utf-8")))
    commands = session(examples.pop("console"))
    if "main.cpp" not in examples or "CMakeLists.txt" not in examples or not commands:
        sys.exit(f"{args.page} lacks a marked example: main.cpp, CMakeLists.txt and console are needed")

    home = pathlib.Path(tempfile.mkdtemp(prefix="lovage-package-"))
    try:
        subprocess.run([args.cmake, "--install", args.build, "--prefix", home / "lovage"],
                       check=True, stdout=subprocess.DEVNULL, timeout=COMMAND_SECONDS)
        folder = home / "stranger"
        folder.mkdir()
        for name, text in examples.items():
            (folder / name).write_text(text, encoding="utf-8")
        environment = dict(os.environ, HOME=str(home), CXX=args.compiler)
        if args.python:
            environment |= celery_environment(args.python)
        run_session(commands, folder, environment)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
