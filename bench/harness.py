"""What every benchmark needs: child processes that never outlive it, wrk, medians, figures on disk."""
import contextlib
import ctypes
import datetime
import http.client
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench"
RELEASE = ROOT / "build" / "release"
_libc = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A process in a group of its own that ends with us, whatever happens to us."""

    def __init__(self, command, environment=None, log=None, cwd=None):
        self.command = [str(word) for word in command]
        self.log = log
        with open(log, "ab") if log else contextlib.nullcontext(subprocess.DEVNULL) as output:
            self.process = subprocess.Popen(
                self.command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def check_alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.command[0]} ended with status {self.process.returncode}; see {self.log}")

    def signal(self, number):
        """To the whole group."""
        os.killpg(self.process.pid, number)

    def stop(self, timeout=10):
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGCONT)
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Services:
    """RabbitMQ and Redis of our own (tools/services), empty, for the length of a `with`."""

    def __init__(self, *names: str):
        self.names = names
        self.folder = fresh_folder("services")
        self.command = [sys.executable, str(ROOT / "tools" / "services"), "--state", str(self.folder)]

    def __enter__(self):
        subprocess.run([*self.command, "up", "--only", ",".join(self.names)], check=True, stdout=subprocess.DEVNULL)
        text = (self.folder / "env").read_text()
        variables = dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)  # the others are "export"
        self.amqp = variables.get("LOVAGE_TEST_AMQP_URL", "")
        self.redis = variables.get("LOVAGE_TEST_REDIS_URL", "")
        return self

    def __exit__(self, *_):
        self.signal(signal.SIGCONT)
        subprocess.run([*self.command, "down", "--wipe"], check=True, stdout=subprocess.DEVNULL)

    def _pids(self) -> list[int]:
        return [int((self.folder / name / f"{name}.pid").read_text().split()[0]) for name in self.names]

    def signal(self, number):
        """To each server."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def await_rest(self, patience: float = 10):
        """Until the servers have used less than a tenth of a processor for half a second: what they were given is put away."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            used, began = sum(map(processor_seconds, self._pids())), time.monotonic()
            time.sleep(0.5)
            if sum(map(processor_seconds, self._pids())) - used < 0.1 * (time.monotonic() - began):
                return


def address(url: str) -> str:
    """host:port of a URL."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


@contextlib.contextmanager
def resting(children: list):
    """Stops other sides' processes while one side is measured: the machine is that side's alone."""
    for child in children:
        child.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for child in children:
            child.signal(signal.SIGCONT)


def peer_python() -> pathlib.Path:
    """A Python that has FastAPI and Celery, in an environment under build/."""
    wanted = (ROOT / "bench" / "peers" / "requirements.txt").read_text()
    folder = OUTPUT / "venv"
    stamp = folder / ".requirements"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("preparing FastAPI and Celery in", folder, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
                        ROOT / "bench" / "peers" / "requirements.txt"], check=True, stdin=subprocess.DEVNULL)
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def run_json(*command, environment=None) -> dict:
    done = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, timeout=600, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name: str) -> pathlib.Path:
    """A program of the release build."""
    found = [p for p in RELEASE.rglob(name) if p.is_file() and os.access(p, os.X_OK) and "CMakeFiles" not in p.parts]
    if not found:
        sys.exit(f"{name} is not in {RELEASE}; ./dev bench builds it")
    return found[0]


def fresh_folder(name: str) -> pathlib.Path:
    folder = OUTPUT / "state" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def get_status(port: int, path: str) -> int:
    """The status of one GET, or 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def await_http(child: Child, port: int, path: str, seconds: float = 30, pause: float = 0.05):
    deadline = time.monotonic() + seconds
    while get_status(port, path) != 200:
        child.check_alive()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{child.command[0]}: no 200 from {path} within {seconds} s; see {child.log}")
        time.sleep(pause)


def wrk(port: int, path: str, *, method: str = "GET", seconds: int = 5, connections: int = 32, script: str = "") -> dict:
    """One run of wrk on one thread: requests a second, requests in all, 99th percentile. Every reply must be 2xx."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    if method != "GET":
        command += ["-s", ROOT / "bench" / (script or f"wrk_{method.lower()}.lua")]
    command.append(f"http://127.0.0.1:{port}{path}")
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=seconds + 60).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"the run is void, some requests failed:\n{text}")
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
    return {
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
        "requests": int(re.search(r"(\d+) requests in", text).group(1)),
        "p99_ms": float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit],
    }


def processor_seconds(pid: int) -> float:
    """What a process has used, its threads included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


@dataclass
class Figure:
    """One answer: what was asked, both sides, and what we promise."""
    name: str
    question: str
    ours: float
    limit: float | None  # the other side; None for figures that stand alone
    unit: str
    target: str
    met: bool
    details: dict = field(default_factory=dict)

    def row(self):
        ratio = f"{self.details['median_ratio']:.2f}" if self.limit else ""
        other = f"{self.limit:,.1f}" if self.limit else ""
        return [self.name, f"{self.ours:,.1f}", other, self.unit, ratio, self.target, "yes" if self.met else "NO"]


def interleaved(sides: dict, repetitions: int) -> dict:
    """Calls each side in turn, `repetitions` times, so that a noisy neighbour disturbs all alike."""
    samples = {name: [] for name in sides}
    for _ in range(repetitions):
        for name, measure in sides.items():
            samples[name].append(measure())
    return samples


def median_ratio(ours: list, theirs: list) -> float:
    """The median of the pairwise ratios: what ran side by side is compared with each other."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def machine() -> dict:
    cpu = re.search(r"model name\s+: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True).stdout.strip()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "cpu": cpu.group(1) if cpu else "unknown",
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
    }


def write_figures(name: str, figures: list):
    OUTPUT.mkdir(parents=True, exist_ok=True)
    content = {"command": f"./dev bench {name}", "machine": machine(), "figures": [vars(f) for f in figures]}
    (OUTPUT / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


HEAD = ["figure", "Lovage", "other side", "unit", "ratio", "target", "met"]


def print_markdown(figures: list, command: str):
    """The table as README.md quotes it."""
    here = machine()
    print(f"`{command}`, {here['date'][:10]}, {here['cores']} cores ({here['cpu']}), commit {here['commit']}:\n")
    for row in [HEAD, ["---"] * len(HEAD), *(figure.row() for figure in figures)]:
        print(f"| {' | '.join(row)} |")


def print_table(figures: list):
    rows = [HEAD] + [figure.row() for figure in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
