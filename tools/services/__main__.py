#!/usr/bin/env python3
"""RabbitMQ, Redis and PostgreSQL for development and tests: `./dev services`.

Debian's packages, started as processes of the calling user on free loopback ports, with all their state in one folder.
"""
import argparse
import contextlib
import fcntl
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from process import die_with_parent  # noqa: E402
from servers import SERVERS, Fault, RabbitMq, Server, Unready, own_environment  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def say(text: str) -> None:
    # Who reads our output may be gone; the servers are to be stopped all the same.
    with contextlib.suppress(BrokenPipeError):
        print(f"==> {text}", flush=True)


def interrupt(*_) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def locked(state: pathlib.Path):
    """One command at a time changes what runs. The kernel drops the lock of a command that is killed."""
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def await_answer(server: Server) -> float:
    """Waits until a started server answers; returns the seconds that took."""
    started = time.monotonic()
    why = "it does not listen"
    while time.monotonic() - started < server.start_seconds:
        if not server.is_running():
            raise Fault(f"{server.name} ended while it started; the end of {server.main.log}:\n{log_end(server)}")
        try:
            server.probe()
            return time.monotonic() - started
        except (OSError, Unready) as error:
            why = str(error) or why
            time.sleep(0.05)
    raise Fault(f"{server.name} does not answer after {server.start_seconds} s: {why}; the end of {server.main.log}:\n"
                f"{log_end(server)}")


def log_end(server: Server) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(server.main.log.read_text(errors="replace").splitlines()[-20:])
    return "(there is no log)"


def bring_up(servers: list[Server], temporary: bool = False) -> None:
    """Starts what does not run. When it fails, everything that it started is stopped again."""
    started = []
    try:
        for server in servers:
            if server.is_running():
                continue
            server.stop()  # a helper that outlived its server
            server.prepare()
            started.append(server)
            server.start(temporary)
        for server in servers:
            seconds = await_answer(server)
            say(f"{server.name} " + (f"answers after {seconds:.1f} s" if server in started else "already runs"))
    except BaseException:
        for server in reversed(started):
            server.stop(at_once=True)
        raise


def running(state: pathlib.Path) -> list[Server]:
    return [server for kind in SERVERS.values() if (server := kind(state)).is_running()]


def variables(servers: list[Server]) -> dict[str, str]:
    return {name: value for server in servers for name, value in server.variables().items()}


def write_env(state: pathlib.Path) -> None:
    """The file to be sourced; it names the servers that run."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables(running(state)).items()]
    fresh = state / "env.new"
    fresh.touch(mode=0o600)
    fresh.write_text("".join(lines))
    fresh.replace(state / "env")


def up(state: pathlib.Path, servers: list[Server]) -> int:
    with locked(state):
        try:
            bring_up(servers)
        finally:
            write_env(state)
    lines = [f"    {name}={value}\n" for name, value in variables(servers).items()]
    with contextlib.suppress(BrokenPipeError):
        print(*lines, f"    (source {os.path.relpath(state)}/env)", sep="", flush=True)
    return 0


def down(state: pathlib.Path, servers: list[Server], wipe: bool) -> int:
    if not state.exists():
        say("no server was running")
        return 0
    with locked(state):
        stopped = [server.name for server in reversed(servers) if server.stop()]
        if wipe:
            for server in servers:
                server.wipe()
        write_env(state)
    say(f"stopped {', '.join(stopped)}" if stopped else "no server was running")
    return 0


def status(state: pathlib.Path, servers: list[Server]) -> int:
    """0 when every server asked about runs and answers."""
    healthy = True
    for server in servers:
        word, shown = "stopped", ""
        if server.is_running():
            word, shown = "running", f"pid {server.main.pid()}  " + "  ".join(server.variables().values())
            try:
                server.probe()
            except (OSError, Unready) as error:
                word, shown = "silent", f"pid {server.main.pid()}  {error}"
        healthy = healthy and word == "running"
        print(f"{server.name:<11} {word:<8} {shown}".rstrip())
    return 0 if healthy else 1


def control_rabbitmq(state: pathlib.Path, arguments: list[str]) -> int:
    """rabbitmqctl, told where our node is."""
    server = RabbitMq(state)
    if not server.is_running():
        raise Fault("rabbitmq is not running; ./dev services up starts it")
    program = pathlib.Path(server.program).with_name("rabbitmqctl")
    return subprocess.run([program, *arguments], env=server.environment(), check=False).returncode


def run(state: pathlib.Path, servers: list[Server], command: list[str]) -> int:
    """Runs a command with fresh servers, which end with it, whatever happens to it or to us."""
    environment = dict(os.environ)
    ended_by = None
    with locked(state):
        # What a run before us left, if the machine failed under it.
        for server in servers:
            server.stop(at_once=True)
            server.wipe()
        try:
            die_with_parent(signal.SIGTERM)
            signal.signal(signal.SIGTERM, interrupt)
            signal.signal(signal.SIGHUP, interrupt)
            bring_up(servers, temporary=True)
            environment.update(variables(servers))
            result, ended_by = run_command(command, environment)
        except KeyboardInterrupt:
            result, ended_by = 130, signal.SIGINT
        finally:
            for number in ENDINGS:
                signal.signal(number, signal.SIG_IGN)
            started = time.monotonic()
            for server in reversed(servers):
                server.stop(at_once=True)
                server.wipe()
            say(f"stopped {', '.join(server.name for server in servers)} in {time.monotonic() - started:.1f} s")
    shutil.rmtree(state, ignore_errors=True)
    if ended_by:
        # So that the shell above knows, too.
        signal.signal(ended_by, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)
        os.kill(os.getpid(), ended_by)
    return result


ENDINGS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def run_command(command: list[str], environment: dict) -> tuple[int, int | None]:
    """Its status, and the signal that broke it off. It has a process group of its own, so that a signal for us leaves
    the order of things to us: first the command and its children end, then the servers."""
    def before_exec():
        die_with_parent(signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())

    # Signals are fetched, not handled: a handler's exception could strike when the child exists but has no name yet.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS | {signal.SIGCHLD})
    child = subprocess.Popen(command, env=environment, process_group=0, preexec_fn=before_exec)
    while (status := child.poll()) is None:
        if signal.sigwait(ENDINGS | {signal.SIGCHLD}) == signal.SIGCHLD:
            continue
        for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
        return 130, signal.SIGINT
    return (status, None) if status >= 0 else (128 - status, None)


def chosen(names: str | None, state: pathlib.Path) -> list[Server]:
    wanted = names.split(",") if names else list(SERVERS)
    for name in wanted:
        if name not in SERVERS:
            raise Fault(f"there is no server \"{name}\"; there are: {', '.join(SERVERS)}")
    return [kind(state) for name, kind in SERVERS.items() if name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev services", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=pathlib.Path, default=ROOT / "build" / "services", metavar="FOLDER",
                        help="where everything is kept (default: build/services)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|status|ctl|run")
    only = argparse.ArgumentParser(add_help=False)
    only.add_argument("--only", metavar="NAME,…", help="these of rabbitmq, redis, postgresql")
    commands.add_parser("up", parents=[only], help="start what does not run, wait until it answers, print the URLs")
    down_parser = commands.add_parser("down", parents=[only], help="stop what runs; data are kept for the next `up`")
    down_parser.add_argument("--wipe", action="store_true", help="remove the data, too")
    commands.add_parser("status", parents=[only], help="what runs, and whether it answers")
    ctl_parser = commands.add_parser("ctl", help="rabbitmqctl for our RabbitMQ: ctl list_queues")
    ctl_parser.add_argument("arguments", nargs=argparse.REMAINDER)
    run_parser = commands.add_parser("run", parents=[only], help="run -- COMMAND: with empty servers that end with the command")
    run_parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    state = options.state.absolute()
    if options.command == "ctl":
        return control_rabbitmq(state, options.arguments)
    servers = chosen(options.only, state)
    if options.command == "up":
        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGHUP, interrupt)
        return up(state, servers)
    if options.command == "down":
        return down(state, servers, options.wipe)
    if options.command == "status":
        return status(state, servers)
    command = options.arguments[1:] if options.arguments[:1] == ["--"] else options.arguments
    if not command:
        parser.error("run: which command?")
    return run(state, servers, command)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Fault as fault:
        sys.exit(f"services: {fault}")
    except KeyboardInterrupt:
        sys.exit("services: interrupted; what was being started is stopped again")
