"""What the tests against running workers share: a virtual host and a database of their own, processes that end with the
test, and a Lovage client to ask things of."""
import contextlib
import ctypes
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import redis

PATIENCE = 60  # Nothing here takes that long unless it hangs.
HERE = pathlib.Path(__file__).resolve().parent
_libc = ctypes.CDLL(None)
_claims: list[socket.socket] = []


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def until(condition, what: str):
    """Waits for a condition that nothing announces; returns what it returned."""
    deadline = time.monotonic() + PATIENCE
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {PATIENCE} s: {what}")
        time.sleep(0.01)
    return met


def free_port() -> int:
    """Below those that the kernel lends to outgoing connections: one of these would be gone at times, when the server that is to
    listen there has at last been started. Claimed until this process ends, as tools/services/servers.py does it."""
    while True:
        port, claim = random.randrange(20000, 32000), socket.socket(socket.AF_UNIX)
        with contextlib.suppress(OSError):
            claim.bind(f"\0lovage-port-{port}")
            socket.create_server(("127.0.0.1", port)).close()
            _claims.append(claim)
            return port
        claim.close()


def _service(variable: str) -> str:
    if not os.environ.get(variable):
        sys.exit(f"{variable} is not set; ./dev test starts the servers that tests need, and for a test run by hand there is:\n"
                 "    ./dev services up && source build/services/env")
    return os.environ[variable]


class Database:
    """A database of the tests' Redis, empty, and nobody else's until it is closed: ours keep there whatever was revoked, and all
    chords that a worker looks after, of whichever virtual host."""

    def __init__(self, url: urllib.parse.SplitResult, owner: str):
        self.common = redis.Redis.from_url(url.geturl())
        self.number = until(lambda: next((number for number in range(1, 15) if self._claim(number, owner)), None),
                            "one of Redis' databases is nobody's")
        self.url = url._replace(path=f"/{self.number}").geturl()
        self._empty()

    def close(self):
        self._empty()
        self.common.delete(self._name(self.number))
        self.common.close()

    def _claim(self, number, owner):
        # A test that was killed keeps its one for an hour.
        return self.common.set(self._name(number), owner, nx=True, ex=3600)

    def _empty(self):
        with contextlib.closing(redis.Redis.from_url(self.url)) as own:
            own.flushdb()

    @staticmethod
    def _name(number):
        return f"interop-database-{number}"


class Stack:
    """An empty broker and result store for one run of tests. Sets the variables by which Celery and Lovage find them."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lovage-interop-"))
        self.virtual_host = f"interop-{os.getpid()}-{random.randrange(1 << 32):08x}"
        self._manage("PUT", f"vhosts/{self.virtual_host}")
        self._manage("PUT", f"permissions/{self.virtual_host}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
        broker = urllib.parse.urlsplit(_service("LOVAGE_TEST_AMQP_URL"))
        self.broker_url = broker._replace(path="/" + self.virtual_host).geturl()
        self.database = Database(urllib.parse.urlsplit(_service("LOVAGE_TEST_REDIS_URL")), self.virtual_host)
        self.redis_url = self.database.url
        os.environ.update(CELERY_BROKER_URL=self.broker_url, CELERY_RESULT_BACKEND_URL=self.redis_url,
                          INTEROP_FOLDER=str(self.folder))
        self.children: list[Child] = []

    def start(self, name: str, command: list, **environment: str) -> "Child":
        child = Child(name, command, self.folder, environment)
        self.children.append(child)
        return child

    def stop(self, worker: "Child"):
        """Ends a worker, once it is ready. Celery's hangs at times when it is told to stop while it starts, or soon after."""
        until(worker.says_ready, f"{worker.name} is ready")
        self.children.remove(worker)
        worker.process.terminate()
        if worker.ours:
            worker.await_end()
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(10)
        worker.kill()

    def stop_at_once(self, child: "Child"):
        """Whatever it makes of that."""
        self.children.remove(child)
        child.kill()

    def close(self, failed: bool = False):
        """Stops everything; when nothing has `failed`, workers of ours must end by themselves, with 0. Celery's hang at times."""
        try:
            for child in self.children:
                child.process.terminate()
            for child in self.children:
                if child.ours and not failed:
                    child.await_end()
                child.kill()
        finally:
            self._manage("DELETE", f"vhosts/{self.virtual_host}")
            self.database.close()
            until(self._removed, f"{self.folder} is removed")

    def _removed(self) -> bool:
        """A process that was killed may be about to write its last file there."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)
        return not self.folder.exists()

    def marks(self) -> list[str]:
        """What tasks.mark wrote, in order."""
        path = self.folder / "marks"
        return path.read_text().split() if path.exists() else []

    def open_gate(self, key: str):
        (self.folder / key).touch()

    def queue_names(self) -> set[str]:
        with self._open("GET", f"queues/{self.virtual_host}?columns=name") as reply:
            return {queue["name"] for queue in json.load(reply)}

    def bound_to(self, exchange: str) -> set[str]:
        """The names of queues."""
        with self._open("GET", f"bindings/{self.virtual_host}") as reply:
            return {binding["destination"] for binding in json.load(reply) if binding["source"] == exchange}

    def _manage(self, method: str, path: str, body=None):
        self._open(method, path, body).close()

    @staticmethod
    def _open(method: str, path: str, body=None):
        url = urllib.parse.urlsplit(_service("LOVAGE_TEST_AMQP_MANAGEMENT_URL"))
        plain = url._replace(netloc=f"{url.hostname}:{url.port}").geturl()
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        passwords.add_password(None, plain, url.username, url.password, is_authenticated=True)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
        return opener.open(urllib.request.Request(f"{plain}/api/{path}", method=method, headers={"Content-Type": "application/json"},
                                                  data=json.dumps(body or {}).encode()), timeout=PATIENCE)


class Recorder:
    """A relay in front of a server that keeps what clients send."""

    def __init__(self, url: str):
        parts = urllib.parse.urlsplit(url)
        self.upstream = (parts.hostname, parts.port)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = parts._replace(
            netloc=f"{parts.username}:{parts.password}@127.0.0.1:{self.listening.getsockname()[1]}").geturl()
        self.sent: list[bytearray] = []  # One a connection.
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listening.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listening.accept()
                server = socket.create_connection(self.upstream)
                self.sent.append(bytearray())
                for source, target, record in ((client, server, self.sent[-1]), (server, client, bytearray())):
                    threading.Thread(target=self._relay, args=(source, target, record), daemon=True).start()

    @staticmethod
    def _relay(source, target, record):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                record += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


class Child:
    """A process in a group of its own."""

    def __init__(self, name, command, folder, environment, **pipes):
        self.name, self.ours = name, True
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], cwd=HERE, env=dict(os.environ, **environment),
                                            start_new_session=True, preexec_fn=_die_with_parent,
                                            **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **pipes})

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log_end()}")

    def says_ready(self) -> bool:
        """Of a worker, Celery's or ours."""
        self.check_alive()
        return " ready." in self.log.read_text(errors="replace")

    def log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def await_end(self):
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = "nothing: it does not end"
        if status != 0:
            log = self.log_end()
            self.kill()
            raise AssertionError(f"{self.name} ended with {status}:\n{log}")

    def kill(self):
        """And everything it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


class Client:
    """The Lovage client under test (client.cpp), or client.py."""

    class Failed(Exception):
        """The task ended in FAILURE or REVOKED; the argument is exc_type, message, module, traceback."""

    def __init__(self, command, folder, **environment: str):
        self.child = Child("client", command, folder, environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process = self.child.process

    def ask(self, do: str, **request):
        self.process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(PATIENCE)
            self.child.check_alive()
        answer = json.loads(line)
        if "failure" in answer:
            raise self.Failed(answer["failure"])
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def send(self, task: str, *args, kwargs=None, **options) -> str:
        return self.ask("send", task=task, args=list(args), kwargs=kwargs or {}, **options)

    def get(self, task_id: str):
        return self.ask("get", id=task_id, timeout=PATIENCE)

    def call(self, task: str, *args, kwargs=None, **options):
        return self.get(self.send(task, *args, kwargs=kwargs, **options))

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        status = self.process.wait(PATIENCE)
        if status != 0:
            raise AssertionError(f"the client ended with {status}:\n{self.child.log_end()}")
