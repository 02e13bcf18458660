"""Processes that outlive the command that started them, and can be found again without mistaking another for them.

A server writes its own pid file between fork and exec, so however the starting command ends, what runs is on record.
A record holds the process's start time beside its pid: a pid that the kernel has given to somebody else is never
signalled.
"""
import contextlib
import ctypes
import os
import pathlib
import select
import signal
import subprocess
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def die_with_parent(signal_number: int) -> None:
    """The kernel sends this process `signal_number` when the thread that started it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal_number)


def _stat(pid: int | str) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the state on; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the command's name in parentheses, and may itself contain spaces and parentheses.
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


STATE, PARENT, START_TIME = 0, 1, 19  # Indices into _stat's list; proc(5) counts from the pid, which is its 1.


def _boot() -> str:
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class Account:
    """Whom a process runs as, when not as ourselves."""
    uid: int
    gid: int


class ServerProcess:
    """One long-running process: `folder/NAME.pid` is its record, `folder/NAME.log` its output."""

    def __init__(self, name: str, folder: pathlib.Path, work: pathlib.Path | None = None):
        """`work` is its working directory: by default, that is `folder`."""
        self.name = name
        self.folder = folder
        self.work = work or folder
        self.pid_file = folder / f"{name}.pid"
        self.log = folder / f"{name}.log"

    def pid(self) -> int | None:
        """The pid while the recorded process lives."""
        try:
            pid, start_time, boot = self.pid_file.read_text().split()
        except (OSError, ValueError):
            return None
        found = _stat(pid)
        if boot != _boot() or found is None or found[START_TIME] != start_time.encode() or found[STATE] in b"ZX":
            return None
        return int(pid)

    def start(self, command: list, environment: dict, account: Account | None = None, temporary: bool = False) -> None:
        """Starts it in a session of its own. A `temporary` one is killed when the calling process ends."""
        record = os.open(self.pid_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        parent, boot = os.getpid(), _boot().encode()

        def before_exec():  # Imports nothing: the account may not be able to read Python's modules.
            if temporary:
                die_with_parent(signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(1)
            os.write(record, b"%d %s %s\n" % (os.getpid(), _stat("self")[START_TIME], boot))

        identity = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
        try:
            with open(self.log, "ab") as log:
                # Deliberately not waited for: it may outlive us. stop() reaps it when it does not.
                subprocess.Popen([str(word) for word in command], env=environment, cwd=self.work, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, start_new_session=True, preexec_fn=before_exec, **identity)
        finally:
            os.close(record)

    def stop(self, signal_number: int = signal.SIGTERM, seconds: float = 20) -> bool:
        """Ends the process and what it started; kills what has not gone after `seconds`. False when nothing ran."""
        pid = self.pid()
        if pid is None:
            self.pid_file.unlink(missing_ok=True)
            return False
        family = _descendants(pid)
        _end(pid, self.pid_file.read_text().split()[1].encode(), signal_number, seconds)
        for helper, start_time in family:
            # Most notice by themselves that their server is gone, but not at once.
            _end(helper, start_time, None, 3)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self.pid_file.unlink(missing_ok=True)
        return True


def _end(pid: int, start_time: bytes, signal_number: int | None, seconds: float) -> None:
    """Signals that process, waits for its end, and kills it after `seconds`."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            # The descriptor keeps meaning one process, even if the pid changed hands before it was opened.
            found = _stat(pid)
            if found is None or found[START_TIME] != start_time:
                return
            if signal_number is not None:
                signal.pidfd_send_signal(descriptor, signal_number)
                signal.pidfd_send_signal(descriptor, signal.SIGCONT)
            if not select.select([descriptor], [], [], seconds)[0]:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                select.select([descriptor], [], [], 10)
        finally:
            os.close(descriptor)


def _descendants(ancestor: int) -> list[tuple[int, bytes]]:
    """Pids and start times."""
    children: dict[int, list[tuple[int, bytes]]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := _stat(entry)):
            children.setdefault(int(found[PARENT]), []).append((int(entry), found[START_TIME]))
    family, parents = [], [ancestor]
    while parents:
        born = children.get(parents.pop(), [])
        family += born
        parents += [pid for pid, _ in born]
    return family
