"""Every sub-command of Celery's `inspect` and `control` on our worker, and what they say of one whose slots are busy or stuck."""
import json
import os
import re
import signal
import socket
import time
import unittest
import uuid

from celery.bin.celery import celery as program
from celery.worker.control import Panel
from click.testing import CliRunner

import fleet
from harness import PATIENCE, until

LOVAGE, PYTHON = (f"{name}@{socket.gethostname()}" for name in ("lovage", "python"))


def setUpModule():
    fleet.set_up()
    until(lambda: {LOVAGE, PYTHON} <= set(ping()), "both workers answer")


tearDownModule = fleet.tear_down


def run(*words):
    """Celery's program, without the second that Python takes to start it."""
    done = CliRunner().invoke(program, ["-A", "tasks", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def ping():
    done = run("inspect", "-t", "1", "-j", "ping")
    return json.loads(done.output) if done.exit_code == 0 else {}


def ask(*words, node=LOVAGE):
    """The answer of one worker, however `inspect` and `control` wrap it."""
    done = run(words[0], "-t", "10", "-j", "-d", node, *words[1:])
    if done.exit_code != 0:
        raise AssertionError(f"celery {' '.join(map(str, words))} ended with {done.exit_code}:\n{done.output}")
    reply = json.loads(done.output.splitlines()[0])
    return (reply[0] if isinstance(reply, list) else reply)[node]


def listed(group):
    """The names of the sub-commands that this Celery has."""
    return {name for name, command in Panel.meta.items() if command.type == group and command.visible}


class Held(unittest.TestCase):
    def hold(self, number, queue="cpp"):
        """Tasks that run until the test ends, and ignore whatever they are told; their ids."""
        gate = str(uuid.uuid4())
        self.addCleanup(fleet.stack.open_gate, gate)
        return [fleet.tasks.hold.apply_async((gate,), queue=queue).id for _ in range(number)]

    def await_active(self, node, *ids):
        until(lambda: set(ids) <= {task["id"] for task in ask("inspect", "active", node=node)}, f"{ids} run")

    def own_worker(self, *arguments):
        name = f"own-{uuid.uuid4().hex[:8]}"
        child = fleet.start_lovage(name, name, 2, *arguments)
        # Celery's hang at times when slots of theirs were killed.
        end = fleet.stack.stop if fleet.programs["worker"] else fleet.stack.stop_at_once
        self.addCleanup(lambda: child in fleet.stack.children and end(child))
        until(child.says_ready, f"{name} is ready")
        return f"{name}@{socket.gethostname()}", name, child


class SubCommands(Held):
    """The tables name every sub-command of the Celery that runs this; a new one fails the test until it is looked at."""

    # Python's memory, which ours does not have.
    PYTHONS_OWN = {"memdump", "objgraph"}
    # Sent by workers to each other.
    WITHOUT_A_CALLER = {"hello", "election"}

    def test_every_inspect(self):
        running, waiting = self.hold(2), self.hold(1)
        node = LOVAGE
        self.await_active(node, *running)
        shapes = {"active": list, "active_queues": list, "clock": dict, "conf": dict, "memsample": (str, type(None)), "ping": dict,
                  "query_task": dict, "registered": list, "report": dict, "reserved": list, "revoked": list, "scheduled": list,
                  "stats": dict}
        self.assertEqual(listed("inspect") - self.PYTHONS_OWN - self.WITHOUT_A_CALLER, set(shapes))
        for command, shape in shapes.items():
            with self.subTest(command):
                arguments = (*running, *waiting) if command == "query_task" else ()
                ours = ask("inspect", command, *arguments)
                self.assertIsInstance(ours, shape)
                theirs = ask("inspect", command, *arguments, node=PYTHON)
                if command != "memsample":  # Text, or nothing where a library is missing.
                    self.assertIsInstance(ours, type(theirs))
        if fleet.programs["worker"]:  # Celery's own need libraries for them that are not there.
            # With the sample that `memsample` took.
            self.assertRegex(ask("inspect", "memdump"), r"^- rss \(sample\):\n(?:-    > [0-9.]+MB,\n)+- rss \(end\): [0-9.]+MB\.$")
            self.assertIn("objgraph", ask("inspect", "objgraph")["error"])

    def test_every_control(self):
        node, queue, child = self.own_worker("--autoscale=3,2")
        fixed, _, _ = self.own_worker()
        (doomed,) = self.hold(1, queue)
        self.await_active(node, doomed)
        unknown = str(uuid.uuid4())
        steps = {
            "add_consumer": (node, (f"{queue}-more",), f"add consumer {queue}-more"),
            "cancel_consumer": (node, (f"{queue}-more",), f"no longer consuming from {queue}-more"),
            "autoscale": (node, ("4", "1"), "autoscale now max=4 min=1"),
            "enable_events": (node, (), "task events enabled"),
            "disable_events": (node, (), "task events disabled"),
            "heartbeat": (node, (), None),
            "pool_grow": (fixed, ("1",), "pool will grow"),
            "pool_shrink": (fixed, ("1",), "pool will shrink"),
            "pool_restart": (fixed, (), "reload started"),
            "rate_limit": (node, ("tasks.add", "10/m"), "new rate limit set successfully"),
            "time_limit": (node, ("tasks.add", "5", "10"), "time limits set successfully"),
            "revoke": (node, (unknown,), f"tasks {{'{unknown}'}} flagged as revoked"),
            "revoke_by_stamped_headers": (node, ("order=7",), "flagged as revoked"),
            "terminate": (node, ("SIGKILL", doomed), f"terminate: {doomed}"),
        }
        there = listed("control")
        self.assertEqual(there - set(steps) - self.WITHOUT_A_CALLER - {"shutdown"}, set())
        for command, (name, arguments, words) in steps.items():
            if command not in there or (command == "pool_restart" and not fleet.programs["worker"]):
                continue  # Celery 5.2 knows no stamps, and wants a setting for new pools.
            with self.subTest(command):
                answer = ask("control", command, *arguments, node=name)
                if words is None:
                    self.assertIsNone(answer)
                else:
                    self.assertIn(words, answer["ok"])
        until(lambda: (fleet.record(doomed) or {}).get("status") == "REVOKED", "the task is revoked")
        fleet.stack.children.remove(child)
        run("control", "-t", "1", "-d", node, "shutdown")
        child.await_end()


class Stats(Held):
    """`celery inspect stats`: everything that Python's has."""
    KEYS = {
        "": {"total", "pid", "clock", "uptime", "pool", "broker", "prefetch_count", "rusage"},
        "pool": {"implementation", "max-concurrency", "processes", "max-tasks-per-child", "put-guarded-by-semaphore", "timeouts",
                 "writes"},
        "pool.writes": {"total", "avg", "all", "raw", "strategy", "inqueues"},
        "pool.writes.inqueues": {"total", "active"},
        "broker": {"hostname", "userid", "virtual_host", "port", "insist", "ssl", "transport", "connect_timeout", "transport_options",
                   "login_method", "uri_prefix", "heartbeat", "failover_strategy", "alternates"},
        "rusage": {"utime", "stime", "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd",
                   "msgrcv", "nsignals", "nvcsw", "nivcsw"},
    }

    @staticmethod
    def part(stats, path):
        for name in filter(None, path.split(".")):
            stats = stats[name]
        return stats

    def test_it_has_every_key(self):
        theirs, ours = (ask("inspect", "stats", node=node) for node in (PYTHON, LOVAGE))
        for path, keys in self.KEYS.items():
            with self.subTest(path):
                self.assertLessEqual(keys, set(self.part(ours, path)))
                for key, value in self.part(theirs, path).items():
                    mine = self.part(ours, path)[key]
                    # Ours has no login before it has connected; whole seconds and others are both numbers.
                    kinds = [(int, float) if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value)]
                    self.assertIsInstance(mine, *kinds, f"{path}.{key}: {value!r} is Python's")

    def test_its_values_are_of_this_worker(self):
        (running,) = self.hold(1)
        self.await_active(LOVAGE, running)
        before = ask("inspect", "stats")
        for _ in range(3):
            fleet.tasks.add.apply_async((1, 2), queue="cpp").get(timeout=PATIENCE)
        until(lambda: ask("inspect", "stats")["total"].get("tasks.add", 0) == before["total"].get("tasks.add", 0) + 3,
              "three more are counted")
        stats = ask("inspect", "stats")
        (worker,) = (child for child in fleet.stack.children if child.name == "lovage")
        pool, broker, usage = stats["pool"], stats["broker"], stats["rusage"]
        self.assertEqual(stats["pid"], worker.process.pid)
        self.assertGreater(int(stats["clock"]), int(before["clock"]))
        self.assertGreaterEqual(stats["uptime"], before["uptime"])
        self.assertLess(stats["uptime"], 600)
        self.assertGreaterEqual(stats["prefetch_count"], 2)
        self.assertEqual((pool["max-concurrency"], len(pool["processes"]), pool["timeouts"]), (2, 2, [0, 0]))
        for process in pool["processes"]:  # Its children.
            self.assertIn(f"PPid:\t{worker.process.pid}\n", open(f"/proc/{process}/status").read())
        writes = pool["writes"]
        self.assertEqual(writes["inqueues"]["total"], 2)
        if fleet.programs["worker"]:  # Celery counts what it has written and not what runs.
            self.assertEqual(writes["inqueues"]["active"], 1)
        self.assertGreaterEqual(writes["total"], 3)
        self.assertEqual(sum(map(int, writes["raw"].split(", "))), writes["total"])
        theirs = ask("inspect", "stats", node=PYTHON)["broker"]
        for key in ("hostname", "port", "userid", "virtual_host", "transport", "ssl"):
            self.assertEqual(broker[key], theirs[key], key)
        self.assertGreater(usage["utime"] + usage["stime"], 0)
        self.assertLess(usage["utime"] + usage["stime"], 600)  # seconds
        self.assertLess(1000, usage["maxrss"])  # KiB
        self.assertLess(usage["maxrss"], 1 << 20)


class Trouble(Held):
    def answers_within_a_second(self, node):
        for command in ("ping", "active", "reserved", "scheduled", "stats", "registered", "active_queues", "revoked"):
            with self.subTest(command):
                self.assertTrue(any(self.is_quick(command, node) for _ in range(5)), "not one of five times")

    @staticmethod
    def is_quick(command, node):
        """The machine may hold up one answer, or two; if the slots did, it would be every one."""
        began = time.monotonic()
        ask("inspect", command, node=node)
        return time.monotonic() - began < 1

    def test_busy_slots(self):
        node, queue, _ = self.own_worker()
        ids = self.hold(6, queue)
        until(lambda: len(ask("inspect", "active", node=node)) == 2, "both slots run")
        self.answers_within_a_second(node)
        self.assertLess({task["id"] for task in ask("inspect", "active", node=node)}, set(ids))
        self.assertEqual(ask("control", "pool_grow", "1", node=node), {"ok": "pool will grow"})
        until(lambda: len(ask("inspect", "active", node=node)) == 3, "the new slot runs another one")

    def test_a_stopped_slot(self):
        """It does not even hear a signal that asks."""
        node, queue, _ = self.own_worker()
        stuck, other = self.hold(2, queue)
        self.await_active(node, stuck, other)
        process = next(task["worker_pid"] for task in ask("inspect", "active", node=node) if task["id"] == stuck)
        os.kill(process, signal.SIGSTOP)
        self.answers_within_a_second(node)
        self.assertIn(process, ask("inspect", "stats", node=node)["pool"]["processes"])
        self.assertEqual(ask("control", "terminate", "SIGKILL", stuck, node=node), {"ok": f"terminate: {stuck}"})
        until(lambda: (fleet.record(stuck) or {}).get("status") == "REVOKED", "the stuck task is revoked")
        self.assertEqual(fleet.tasks.who.apply_async(queue=queue).get(timeout=PATIENCE), "c++" if fleet.programs["worker"] else "python")
        until(lambda: process not in ask("inspect", "stats", node=node)["pool"]["processes"], "the slot has been replaced")
        until(lambda: [task["id"] for task in ask("inspect", "active", node=node)] == [other], "only the other one runs")

    def test_a_task_that_ignores_everything(self):
        node, queue, _ = self.own_worker("--time-limit=6")
        (deaf,) = self.hold(1, queue)
        self.await_active(node, deaf)
        self.answers_within_a_second(node)
        until(lambda: (fleet.record(deaf) or {}).get("status") == "FAILURE", "its time limit has ended it")
        self.assertEqual(fleet.record(deaf)["result"]["exc_type"], "TimeLimitExceeded")
        until(lambda: not ask("inspect", "active", node=node), "nothing runs")

    def test_status_lists_a_fleet_whose_slots_are_all_busy(self):
        ids = self.hold(2), self.hold(2, "py")
        self.await_active(LOVAGE, *ids[0])
        self.await_active(PYTHON, *ids[1])
        said = run("status", "-t", "5").output
        for node in (LOVAGE, PYTHON):
            self.assertRegex(said, rf"{re.escape(node)}: OK")
        self.assertRegex(said, r"(?m)^\d+ nodes online\.")


if __name__ == "__main__":
    fleet.main()
