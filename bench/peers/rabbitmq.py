"""A RabbitMQ of our own: Debian's package, started as child processes on free loopback ports, state in one folder."""
import os
import pathlib
import socket
import subprocess
import time

from harness import Child, free_port

SCRIPT = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper in PATH insists on users root or rabbitmq
START_SECONDS = 90


class RabbitMq:
    """Use as a context manager: entered, it accepts connections at `url`; left, none of its processes remain."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.children: list[Child] = []

    def __enter__(self):
        self.folder.mkdir(parents=True)
        epmd_port = free_port()
        (self.folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\nlog.console = false\n")
        (self.folder / "enabled_plugins").write_text("[].\n")
        environment = dict(
            os.environ,
            HOME=str(self.folder),  # the Erlang cookie is written here
            ERL_EPMD_PORT=str(epmd_port),
            ERL_EPMD_ADDRESS="127.0.0.1",
            RABBITMQ_NODENAME=f"lovage-bench-{os.getpid()}@localhost",
            RABBITMQ_DIST_PORT=str(free_port()),
            RABBITMQ_MNESIA_BASE=str(self.folder / "mnesia"),
            RABBITMQ_LOG_BASE=str(self.folder / "log"),
            RABBITMQ_CONFIG_FILE=str(self.folder / "rabbitmq.conf"),
            RABBITMQ_CONF_ENV_FILE="/dev/null",
            RABBITMQ_ENABLED_PLUGINS_FILE=str(self.folder / "enabled_plugins"),
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            # The script then becomes the Erlang machine instead of waiting beside it.
            RUNNING_UNDER_SYSTEMD="1",
        )
        try:
            self.children.append(Child(["epmd"], environment, self.folder / "epmd.log"))
            self.children.append(Child([str(SCRIPT)], environment, self.folder / "rabbitmq.log"))
            self._await_start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.stop(timeout=30)

    def _await_start(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.children[-1].check_alive()
            try:
                # A broker that is ready to talk answers the protocol header with Connection.Start.
                with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                    connection.settimeout(5)
                    connection.sendall(b"AMQP\x00\x00\x09\x01")
                    if connection.recv(1) == b"\x01":
                        return
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"RabbitMQ did not start within {START_SECONDS} s; see {self.folder / 'rabbitmq.log'}")


def queue_length(python: pathlib.Path, url: str, queue: str) -> int:
    """Messages ready in the queue, asked of the broker itself."""
    code = (f"from kombu import Connection\nwith Connection({url!r}) as c:\n"
            f"    print(c.default_channel.queue_declare({queue!r}, passive=True).message_count)")
    return int(subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True, timeout=30).stdout)
