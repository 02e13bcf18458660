"""RabbitMQ, Redis and PostgreSQL as Debian packages them, each in a folder of its own on loopback ports of its own."""
import base64
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from process import Account, ServerProcess


class Unready(Exception):
    """Why a server does not answer yet."""


class Fault(Exception):
    """What a person has to know; ends the command."""


def own_environment(**more: str) -> dict:
    """Ours without what would point a server, or a server's tools, at another installation."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_", "PG", "LOVAGE_TEST_"))}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


# How long a port of ours may stay taken before another is chosen.
PORT_SECONDS = 10


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def claim(port: int) -> socket.socket | None:
    """Until that is closed, or its process ends, no other of the project's programs chooses the port: a server that starts takes
    seconds to listen. None when another has claimed it. The same name is used by tests/support/free_port.cpp and
    tests/interop/live/harness.py."""
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0lovage-port-{port}")
        return mark
    except OSError:
        mark.close()
        return None


claims: list[socket.socket] = []  # They last as long as this command, which waits until its servers answer.


def free_port() -> int:
    """A port below the kernel's ephemeral range. Within it, a client that connects again and again to a server that is
    down ends up connected to itself, and an outgoing connection may hold the port when the server comes back."""
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        mark = claim(port)
        if mark and is_free(port):
            claims.append(mark)
            return port
        if mark:
            mark.close()
    raise Fault("no port between 20000 and 32000 is free on 127.0.0.1")


class Server:
    """One server. Its ports are chosen once and kept, so that it comes back where its clients look for it."""
    name: str
    package: str
    program: str
    port_names: tuple[str, ...]
    start_seconds = 30

    def __init__(self, state: pathlib.Path):
        self.folder = state / self.name
        self.main = ServerProcess(self.name, self.folder)
        self.ports: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError):
            self.ports = json.loads((self.folder / "ports.json").read_text())

    def is_running(self) -> bool:
        return self.main.pid() is not None

    def prepare(self) -> None:
        """Makes folder and ports; called when nothing of ours runs."""
        if not pathlib.Path(self.program).exists():
            raise Fault(f"{self.program} is missing; the Debian package {self.package} has it (./dev setup services)")
        self.folder.mkdir(parents=True, exist_ok=True)
        if set(self.ports) != set(self.port_names) or not self._ports_come_free():
            self.ports = {}
            for name in self.port_names:
                self.ports[name] = free_port()
            (self.folder / "ports.json").write_text(json.dumps(self.ports))

    def _ports_come_free(self) -> bool:
        """A server that was just killed holds its ports until the kernel has taken it apart, a second or more on a busy
        machine. Only what somebody else keeps is given up."""
        deadline = time.monotonic() + PORT_SECONDS
        while not all(map(is_free, self.ports.values())):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def start(self, temporary: bool) -> None:
        raise NotImplementedError

    def stop(self, at_once: bool = False) -> bool:
        """`at_once` is for servers whose data nobody will look at again."""
        return self.main.stop(signal.SIGKILL if at_once else signal.SIGTERM)

    def wipe(self) -> None:
        """Removes its data; only when it is stopped."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def probe(self) -> None:
        """Raises Unready unless the server answers on every port."""
        raise NotImplementedError

    def variables(self) -> dict[str, str]:
        """What tests find it by."""
        raise NotImplementedError


class Certificates:
    """A certificate authority of our own in a folder: ca.pem, and signed by it server.pem (for localhost and 127.0.0.1) and
    client.pem (in the name of RabbitMQ's user guest), each with its .key."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    def make(self) -> None:
        if (self.folder / "client.pem").exists():
            return
        self.folder.mkdir(exist_ok=True)
        self._request("ca", "/CN=lovage services", "basicConstraints=critical,CA:TRUE")
        signed = ("-CA", self["ca.pem"], "-CAkey", self["ca.key"])
        self._request("server", "/CN=server", "subjectAltName=DNS:localhost,IP:127.0.0.1", *signed)
        self._request("client", "/CN=guest", "subjectAltName=DNS:guest", *signed)

    def _request(self, name: str, subject: str, extension: str, *more: str) -> None:
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                               "-days", "3650", "-subj", subject, "-addext", extension, *more,
                               "-keyout", self[f"{name}.key"], "-out", self[f"{name}.pem"]],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if made.returncode != 0:
            raise Fault(f"openssl could not make a certificate:\n{made.stdout}")


class RabbitMq(Server):
    name = "rabbitmq"
    package = "rabbitmq-server"
    # The wrapper in PATH insists on the users root and rabbitmq; this is what it wraps.
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    port_names = ("amqp", "amqps", "management", "metrics", "distribution", "epmd")
    start_seconds = 90

    def __init__(self, state: pathlib.Path):
        super().__init__(state)
        self.epmd = ServerProcess("epmd", self.folder)
        self.certificates = Certificates(self.folder / "tls")

    def prepare(self) -> None:
        super().prepare()
        self.certificates.make()
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self.ports['amqp']}\n"
            f"listeners.ssl.local = 127.0.0.1:{self.ports['amqps']}\n"
            f"ssl_options.cacertfile = {self.certificates['ca.pem']}\n"
            f"ssl_options.certfile = {self.certificates['server.pem']}\n"
            f"ssl_options.keyfile = {self.certificates['server.key']}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n"
            "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = AMQPLAIN\nauth_mechanisms.3 = EXTERNAL\n"
            "ssl_cert_login_from = common_name\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.ports['management']}\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {self.ports['metrics']}\n"
            "log.console = false\nlog.file.level = info\n")
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus,rabbitmq_auth_mechanism_ssl].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)

    def environment(self) -> dict:
        """For the server and for its tools. Erlang's port mapper is our own, too: one that the machine has would be shared
        with others, and one that Erlang starts by itself would stay behind."""
        return own_environment(
            HOME=str(self.folder),  # where Erlang looks for its cookie
            ERL_EPMD_PORT=str(self.ports["epmd"]),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME="lovage@localhost",
            RABBITMQ_DIST_PORT=str(self.ports["distribution"]),
            RABBITMQ_MNESIA_BASE=str(self.folder / "data"),
            RABBITMQ_LOG_BASE=str(self.folder / "log"),
            RABBITMQ_CONFIG_FILE=str(self.folder / "rabbitmq.conf"),
            RABBITMQ_CONF_ENV_FILE="/dev/null",
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.folder / "enabled_plugins"),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            # The script then becomes the Erlang machine instead of waiting beside it.
            RUNNING_UNDER_SYSTEMD="1",
        )

    def start(self, temporary: bool) -> None:
        environment = self.environment()
        if self.epmd.pid() is None:
            self.epmd.start(["epmd"], environment, temporary=temporary)
        self.main.start([self.program], environment, temporary=temporary)

    def stop(self, at_once: bool = False) -> bool:
        stopped = super().stop(at_once)
        return self.epmd.stop() or stopped

    def probe(self) -> None:
        # A broker that is ready to talk answers the protocol header with a method frame, Connection.Start.
        with socket.create_connection(("127.0.0.1", self.ports["amqp"]), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if connection.recv(1) != b"\x01":
                raise Unready("no Connection.Start")
        self._expect_http("management", "/api/overview")
        self._expect_http("metrics", "/metrics")

    def _expect_http(self, port: str, path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port], timeout=5)
        with contextlib.closing(connection):
            credentials = base64.b64encode(b"guest:guest").decode()
            connection.request("GET", path, headers={"Authorization": f"Basic {credentials}"})
            if (status := connection.getresponse().status) != 200:
                raise Unready(f"{port} answers {status}")

    def variables(self) -> dict[str, str]:
        return {"LOVAGE_TEST_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{self.ports['amqp']}//",
                "LOVAGE_TEST_AMQPS_HOST": f"localhost:{self.ports['amqps']}",
                "LOVAGE_TEST_AMQPS_CERTIFICATES": str(self.certificates.folder),
                "LOVAGE_TEST_AMQP_MANAGEMENT_URL": f"http://guest:guest@127.0.0.1:{self.ports['management']}",
                "LOVAGE_TEST_AMQP_METRICS_URL": f"http://127.0.0.1:{self.ports['metrics']}/metrics"}


class Redis(Server):
    name = "redis"
    package = "redis-server"
    program = "/usr/bin/redis-server"
    port_names = ("redis",)

    def start(self, temporary: bool) -> None:
        (self.folder / "redis.conf").write_text(
            f"bind 127.0.0.1\nport {self.ports['redis']}\ndir {json.dumps(str(self.folder))}\n"
            "save \"\"\nappendonly no\nenable-debug-command local\n")
        self.main.start([self.program, "redis.conf"], own_environment(), temporary=temporary)

    def probe(self) -> None:
        with socket.create_connection(("127.0.0.1", self.ports["redis"]), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            if (answer := connection.recv(100)) != b"+PONG\r\n":
                raise Unready(answer.decode(errors="replace").strip())

    def variables(self) -> dict[str, str]:
        return {"LOVAGE_TEST_REDIS_URL": f"redis://127.0.0.1:{self.ports['redis']}/0"}


class PostgreSql(Server):
    name = "postgresql"
    package = "postgresql-15"
    programs = pathlib.Path("/usr/lib/postgresql/15/bin")
    program = str(programs / "postgres")
    port_names = ("postgresql",)

    def __init__(self, state: pathlib.Path):
        super().__init__(state)
        self.account = self._account()
        self.data = self.folder / "data"  # a link, when the account may not come here
        self.main.work = self.data

    @staticmethod
    def _account() -> Account | None:
        """PostgreSQL refuses to run as root, so root lends it to an account that exists anyway."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam(name)
                return Account(user.pw_uid, user.pw_gid)
        raise Fault("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")

    def _run(self, *command) -> subprocess.CompletedProcess:
        identity = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []} if self.account else {}
        return subprocess.run([str(word) for word in command], env=own_environment(), cwd="/", stdin=subprocess.DEVNULL,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **identity)

    def prepare(self) -> None:
        super().prepare()
        password = self.folder / "password"
        if (self.data / "PG_VERSION").exists() and password.exists():
            # Left by a server that was killed. Should its pid be another's now, the next server would refuse to start.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return
        self._remove_data()
        self._make_data()
        secret = secrets.token_hex(16)
        with tempfile.NamedTemporaryFile("w", prefix="lovage-") as given:
            print(secret, file=given, flush=True)
            if self.account:
                os.fchown(given.fileno(), self.account.uid, self.account.gid)
            made = self._run(self.programs / "initdb", "-D", self.data.resolve(), "-U", "lovage", f"--pwfile={given.name}",
                             "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        if made.returncode != 0:
            self._remove_data()
            raise Fault(f"initdb failed:\n{made.stdout}")
        password.touch(mode=0o600)
        password.write_text(secret)

    def _make_data(self) -> None:
        if self.account is None:
            self.data.mkdir(mode=0o700)
            return
        if self._run("/usr/bin/test", "-x", self.folder.resolve()).returncode == 0:
            place = self.data
        else:
            # A clone in /root, say. The name tells whose it is; another's folder of that name is never used.
            place = self._data_elsewhere()
            shutil.rmtree(place, ignore_errors=True)
            self.data.symlink_to(place)
        place.mkdir(mode=0o700)
        os.chown(place, self.account.uid, self.account.gid)

    def _data_elsewhere(self) -> pathlib.Path:
        mark = hashlib.sha256(str(self.folder.resolve()).encode()).hexdigest()[:16]
        return pathlib.Path(f"/var/tmp/lovage-postgresql-{mark}")

    def _remove_data(self) -> None:
        if self.data.is_symlink():
            shutil.rmtree(self.data.resolve(), ignore_errors=True)
            self.data.unlink()
        shutil.rmtree(self.data, ignore_errors=True)

    def wipe(self) -> None:
        self._remove_data()
        super().wipe()

    def start(self, temporary: bool) -> None:
        # Nobody relies on these data after a power cut, so nothing waits for the disk.
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
                   "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
        command = [self.program, "-D", self.data.resolve(), "-p", self.ports["postgresql"]]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self.main.start(command, own_environment(), self.account, temporary)

    def stop(self, at_once: bool = False) -> bool:
        # SIGINT hangs up on clients; SIGTERM would wait for them. SIGQUIT does not even write a checkpoint.
        return self.main.stop(signal.SIGQUIT if at_once else signal.SIGINT)

    def probe(self) -> None:
        asked = self._run(self.programs / "pg_isready", "-h", "127.0.0.1", "-p", self.ports["postgresql"], "-U", "lovage",
                          "-d", "postgres")
        if asked.returncode != 0:
            raise Unready(asked.stdout.strip())

    def variables(self) -> dict[str, str]:
        password = (self.folder / "password").read_text()
        return {"LOVAGE_TEST_POSTGRES_URL": f"postgresql://lovage:{password}@127.0.0.1:{self.ports['postgresql']}/postgres"}


SERVERS = {server.name: server for server in (RabbitMq, Redis, PostgreSql)}
