"""tools/services: what it does when commands, servers and machines end in the middle of things.

Usage: services_test.py [Processes|Servers]
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
SERVICES = pathlib.Path(__file__).resolve().parent.parent.parent / "tools" / "services"
sys.path.insert(0, str(SERVICES))

import process  # noqa: E402
import servers  # noqa: E402


def is_alive(pid: int) -> bool:
    found = process._stat(pid)
    return found is not None and found[process.STATE] not in b"ZX"


def until(condition):
    """Waits for a condition that nothing announces."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("still not so after 30 s")
        time.sleep(0.01)


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))


class Processes(InFolder):
    def start(self, *command, name="sleeper", **options) -> process.ServerProcess:
        server = process.ServerProcess(name, self.folder)
        server.start(command, dict(os.environ), **options)
        self.addCleanup(server.stop, signal.SIGKILL)
        return server

    def test_are_found_again_by_another_command(self):
        started = self.start("sleep", "60")
        found = process.ServerProcess("sleeper", self.folder)
        self.assertEqual(found.pid(), started.pid())
        self.assertTrue(found.stop())
        self.assertIsNone(started.pid())
        self.assertFalse(found.stop())

    def test_are_on_record_before_their_program_runs(self):
        record = self.folder / "sleeper.pid"
        self.start("sh", "-c", f"cut -d' ' -f1 {record} >seen; echo $$ >>seen; exec sleep 60")
        seen = self.folder / "seen"
        until(lambda: seen.exists() and len(seen.read_text().split()) == 2)
        recorded, own = seen.read_text().split()
        self.assertEqual(recorded, own)

    def test_with_a_reused_pid_are_left_alone(self):
        stranger = self.start("sleep", "60", name="stranger")
        pid, start_time, boot = stranger.pid_file.read_text().split()
        for record in (f"{pid} {int(start_time) - 1} {boot}", f"{pid} {start_time} another-boot", f"{pid}", ""):
            ours = process.ServerProcess("ours", self.folder)
            ours.pid_file.write_text(record)
            self.assertIsNone(ours.pid())
            self.assertFalse(ours.stop())
            self.assertEqual(stranger.pid(), int(pid))

    def test_that_do_not_listen_are_killed(self):
        stubborn = self.start("sh", "-c", "trap '' TERM; echo ready >ready; while :; do sleep 1; done")
        until((self.folder / "ready").exists)
        pid = stubborn.pid()
        self.assertTrue(stubborn.stop(seconds=0.1))
        self.assertFalse(is_alive(pid))

    def test_that_are_stopped_in_their_tracks_still_end(self):
        sleeper = self.start("sleep", "60")
        os.kill(sleeper.pid(), signal.SIGSTOP)
        self.assertTrue(sleeper.stop(seconds=5))

    def test_end_with_their_helpers(self):
        server = self.start("sh", "-c", "(setsid sh -c 'echo $$ >helper; exec sleep 60' & ) ; setsid sleep 60 & "
                            "echo $! >child; wait")
        files = [self.folder / "child", self.folder / "helper"]
        # A file is there before what is written to it.
        until(lambda: all(file.exists() and file.read_text().endswith("\n") for file in files))
        child, helper = (int(file.read_text()) for file in files)
        server.stop()
        self.assertFalse(is_alive(child))
        # A process that left the family is nobody's helper.
        self.assertTrue(is_alive(helper))
        os.kill(helper, signal.SIGKILL)

    def test_that_are_temporary_end_with_their_starter(self):
        code = ("import os, pathlib, process, sys\n"
                "server = process.ServerProcess('sleeper', pathlib.Path(sys.argv[1]))\n"
                "server.start(['sleep', '60'], dict(os.environ), temporary=True)\n"
                "print(server.pid(), flush=True)\n"
                "os.kill(os.getpid(), 9)\n")
        done = subprocess.run([sys.executable, "-c", code, self.folder], cwd=SERVICES, stdout=subprocess.PIPE, text=True,
                              check=False)
        self.assertEqual(done.returncode, -signal.SIGKILL)
        pid = int(done.stdout)
        until(lambda: not is_alive(pid))


class Servers(InFolder):
    """With Redis, since it starts in no time."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.services, "down", "--wipe")

    def services(self, *arguments, expect=0) -> str:
        done = subprocess.run([sys.executable, "-B", SERVICES, "--state", self.folder / "state", *arguments], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, expect, done.stdout)
        return done.stdout

    @property
    def redis(self) -> servers.Redis:
        return servers.Redis(self.folder / "state")

    def up(self) -> int:
        self.services("up", "--only", "redis")
        return self.redis.main.pid()

    def test_up_and_down_can_be_repeated(self):
        first = self.up()
        self.assertEqual(self.up(), first)
        self.assertIn("running", self.services("status", "--only", "redis"))
        self.assertIn("stopped redis", self.services("down"))
        self.assertIn("no server was running", self.services("down"))
        self.assertIn("stopped", self.services("status", "--only", "redis", expect=1))

    def test_a_server_that_was_killed_comes_back_on_its_port(self):
        pid, ports = self.up(), self.redis.ports
        os.kill(pid, signal.SIGKILL)
        self.assertNotEqual(self.up(), pid)
        self.assertEqual(self.redis.ports, ports)

    def test_a_port_that_is_taken_for_a_moment_is_waited_for(self):
        self.up()
        ports = self.redis.ports
        self.services("down", "--only", "redis")
        with socket.create_server(("127.0.0.1", ports["redis"])) as dying:
            threading.Timer(0.5, dying.close).start()
            self.up()
        self.assertEqual(self.redis.ports, ports)

    def test_the_environment_names_what_runs(self):
        self.up()
        environment = self.folder / "state" / "env"
        url = subprocess.run(["bash", "-c", f"source {environment}; printf %s $LOVAGE_TEST_REDIS_URL"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        self.assertEqual(url, f"redis://127.0.0.1:{self.redis.ports['redis']}/0")
        self.services("down")
        self.assertEqual(environment.read_text(), "")

    def test_run_gives_its_command_a_server_and_takes_it_away(self):
        done = self.services("run", "--only", "redis", "--", "sh", "-c", "echo pid $(cut -d' ' -f1 "
                             f"{self.folder}/state/redis/redis.pid) $LOVAGE_TEST_REDIS_URL; exit 7", expect=7)
        pid = int(done.partition("pid ")[2].split()[0])
        self.assertIn("redis://127.0.0.1:", done)
        self.assertFalse(is_alive(pid))
        self.assertFalse((self.folder / "state").exists())

    def test_run_that_is_told_to_end_takes_everything_with_it(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            running = subprocess.Popen([sys.executable, "-B", SERVICES, "--state", self.folder / "state", "run", "--only",
                                        "redis", "--", "sh", "-c", "echo command $$; sleep 60 & wait"],
                                       stdout=subprocess.PIPE, text=True)
            while not (line := running.stdout.readline()).startswith("command"):
                self.assertNotEqual(line, "", "it ended too soon")
            command, redis = int(line.split()[1]), self.redis.main.pid()
            running.send_signal(number)
            running.stdout.close()  # Nor does it mind that nobody listens any more.
            self.assertEqual(running.wait(20), -signal.SIGINT)
            self.assertFalse(is_alive(command))
            self.assertFalse(is_alive(redis))

    def test_unknown_names_are_named(self):
        self.assertIn('no server "radis"; there are: rabbitmq, redis, postgresql',
                      self.services("up", "--only", "radis", expect=1))


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # Servers are meant to outlive the Popen objects that started them.
