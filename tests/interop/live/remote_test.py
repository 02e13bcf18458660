"""Every sub-command of `inspect` and `control` of ours, and `status` and `revoke`, to a Celery worker; the same words given to
Celery's own program must say the same. What our worker answers is looked at by control_test.py."""
import json
import os
import re
import subprocess
import sys
import unittest
import uuid

import celery

import fleet
from harness import HERE, PATIENCE, until

NEW = tuple(map(int, celery.__version__.split(".")[:2])) >= (5, 3)
WAIT = ["-t", "30"]  # Every call names its nodes, so that it ends when they have answered.
CELERY = [sys.executable, "-B", "-m", "celery", "-A", "tasks"]
node = None  # The Celery worker's name.


def setUpModule():
    global node
    if fleet.programs["worker"] is None:
        raise unittest.SkipTest("its tests give the same words to Celery's program anyway")
    fleet.set_up()
    # It listens for commands a moment after it consumes.
    node = until(lambda: next((name for name in ping() if name.startswith("python@")), None), "the Celery worker answers")


def tearDownModule():
    fleet.tear_down()


def ping():
    return json.loads(run("inspect", "ping", "-j", "-t", "0.5").stdout or "{}")


def run(*words, program=None):
    return subprocess.run([str(word) for word in (*(program or [fleet.programs["worker"]]), *words)], cwd=HERE, text=True, timeout=PATIENCE,
                          env=dict(os.environ, NO_COLOR="1"), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Remote(unittest.TestCase):
    def ours(self, *words, code=0):
        done = run(*words)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def json(self, *words, code=0, destination=None):
        return json.loads(self.ours(*words, "-j", "-d", destination or node, *WAIT, code=code))

    def inspect(self, *words, **options):
        """What the worker answered."""
        ((_, reply),) = self.json("inspect", *words, **options).items()
        return reply

    def control(self, *words, **options):
        (reply,) = self.json("control", *words, **options)
        ((_, value),) = reply.items()
        return value

    def as_celery(self, *words):
        """The worker's answer, after Celery's program got the same one."""
        mine = json.loads(self.ours(*words, "-j", "-d", node, *WAIT))
        done = run(*words, "-j", "-d", node, *WAIT, program=CELERY)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(mine, json.loads(done.stdout.splitlines()[0]))
        return mine

    def held(self, queue="py"):
        """A task that runs until the test ends; returns its key and id."""
        key = str(uuid.uuid4())
        sent = fleet.tasks.hold.apply_async((key,), queue=queue)
        self.holding[key] = sent.id
        return key, sent.id

    def setUp(self):
        self.holding = {}
        self.addCleanup(self.release)

    def release(self):
        for key in self.holding:
            fleet.stack.open_gate(key)
        for task_id in self.holding.values():
            fleet.await_record(task_id)

    def much_later(self):
        return fleet.tasks.add.apply_async((1,), queue="py", countdown=600).id

    def await_active(self, task_id, **options):
        until(lambda: task_id in [task["id"] for task in self.inspect("active", **options)], "the task runs")

    def await_scheduled(self, task_id):
        until(lambda: task_id in [entry["request"]["id"] for entry in self.inspect("scheduled")], "the task waits for its time")

    def own_worker(self, *arguments, start=fleet.start_celery):
        """A worker for one test that changes it for good, on a queue of its own. Returns its name, queue and process."""
        queue = f"own-{uuid.uuid4().hex[:8]}"
        child = start(queue, queue, 2, *arguments)

        def end():  # Celery's hang at times when slots of theirs were killed.
            if child in fleet.stack.children:
                fleet.stack.children.remove(child)
            child.kill()
        self.addCleanup(end)
        name = until(lambda: next((found for found in ping() if found.startswith(queue)), None), f"{queue} answers")
        return name, queue, child


class Inspect(Remote):
    def test_ping(self):
        self.assertEqual(self.as_celery("inspect", "ping"), {node: {"ok": "pong"}})

    def test_ping_without_destination_reaches_every_worker_that_answers(self):
        until(lambda: node in ping(), "it answers within the half second in which others could")

    def test_active_shows_what_runs(self):
        key, task_id = self.held()
        until(lambda: [task["id"] for task in self.inspect("active")] == [task_id], "only that task runs")
        (task,) = self.as_celery("inspect", "active")[node]
        self.assertEqual((task["id"], task["name"], task["args"]), (task_id, "tasks.hold", [key]))
        table = self.ours("inspect", "active", "-d", node, *WAIT)
        self.assertRegex(table, rf"(?m)^{node} +{task_id} +tasks\.hold +\[.*\] +{{}} +\d.* +\d+$")
        self.assertIn("1 node online.", table)

    def test_reserved_scheduled_and_query_task(self):
        running = [self.held()[1] for _ in range(2)]
        for task_id in running:
            self.await_active(task_id)
        _, waiting = self.held()
        later = self.much_later()
        until(lambda: waiting in [task["id"] for task in self.inspect("reserved")], "the third task waits")
        self.await_scheduled(later)
        self.as_celery("inspect", "reserved")
        self.as_celery("inspect", "scheduled")
        found = self.as_celery("inspect", "query_task", running[0], waiting, "unknown")[node]
        self.assertEqual({task_id: where for task_id, (where, _) in found.items()}, {running[0]: "active", waiting: "reserved"})
        self.assertIn(waiting, self.ours("inspect", "reserved", "-d", node, *WAIT))
        self.assertIn(later, self.ours("inspect", "scheduled", "-d", node, *WAIT))
        self.ours("revoke", later)

    def test_registered(self):
        self.assertIn("tasks.add", self.as_celery("inspect", "registered")[node])
        self.assertIn("tasks.add [max_retries=3]", self.as_celery("inspect", "registered", "max_retries")[node])
        self.assertRegex(self.ours("inspect", "registered", "max_retries", "-d", node, *WAIT),
                         rf"(?m)^{node} +tasks\.add +max_retries=3$")

    def test_stats(self):
        stats = self.inspect("stats")
        self.assertEqual(stats["pool"]["max-concurrency"], 2)
        self.assertRegex(self.ours("inspect", "stats", "-d", node, *WAIT), rf"(?m)^{node} .* {stats['pid']} +amqp$")

    def test_active_queues(self):
        queues = self.as_celery("inspect", "active_queues")[node]
        self.assertEqual({queue["name"] for queue in queues}, {"py", "mixed"})
        self.assertRegex(self.ours("inspect", "active_queues", "-d", node, *WAIT), rf"(?m)^{node} +py +py +direct +py$")

    def test_conf_and_report(self):
        conf = self.inspect("conf")
        self.assertEqual(conf["task_default_queue"], "py")
        self.assertLess(len(conf), len(self.inspect("conf", "yes")))
        self.assertIn("software -> celery", self.ours("inspect", "report", "-d", node, *WAIT))

    def test_clock_revoked_and_memory(self):
        self.assertGreater(self.inspect("clock")["clock"], 0)
        task_id = str(uuid.uuid4())
        self.control("revoke", task_id)
        self.assertIn(task_id, self.as_celery("inspect", "revoked")[node])
        self.inspect("memsample")
        self.inspect("memdump", "3")

    def test_objgraph_arrives(self):
        # It needs a package that is not there; what counts is that the worker took the arguments.
        self.assertIn("error", self.inspect("objgraph", "Request", "5", "2", code=1))


class Control(Remote):
    def test_rate_limit(self):
        self.assertEqual(self.control("rate_limit", "tasks.quiet", "5/m"), {"ok": "new rate limit set successfully"})
        self.assertIn("tasks.quiet [rate_limit=5/m]", self.inspect("registered"))
        self.assertEqual(self.control("rate_limit", "tasks.quiet", "0"), {"ok": "new rate limit set successfully"})
        for key in ("once", "twice"):  # The second one would have to wait for minutes.
            fleet.tasks.quiet.delay(key)
            fleet.await_mark(key)
        self.assertEqual(self.control("rate_limit", "tasks.nowhere", "5/m", code=1), {"error": "unknown task"})
        self.assertIn("Invalid rate limit", self.control("rate_limit", "tasks.quiet", "often", code=1)["error"])

    def test_time_limit(self):
        # That is all it does: Celery's worker applies the limits of when it began to consume.
        self.assertEqual(self.control("time_limit", "tasks.spin", "0.5", "30"), {"ok": "time limits set successfully"})
        self.assertIn("tasks.spin [soft_time_limit=0.5 time_limit=30.0]",
                      self.inspect("registered", "soft_time_limit", "time_limit"))
        self.assertEqual(self.control("time_limit", "tasks.spin", "2"), {"ok": "time limits set successfully"})
        self.assertIn("tasks.spin [soft_time_limit=2.0]", self.inspect("registered", "soft_time_limit", "time_limit"))
        self.assertEqual(self.control("time_limit", "tasks.nowhere", "1", code=1), {"error": "unknown task"})

    def test_revoke(self):
        task_id = self.much_later()
        self.await_scheduled(task_id)
        self.assertIn("flagged as revoked", self.control("revoke", task_id)["ok"])
        self.assertIn(task_id, self.inspect("revoked"))

    def test_terminate(self):
        name, queue, _ = self.own_worker()
        _, task_id = self.held(queue)
        self.await_active(task_id, destination=name)
        self.assertIn(task_id, self.control("terminate", "KILL", task_id, destination=name)["ok"])
        until(lambda: (fleet.record(task_id) or {}).get("status") == "REVOKED", "the task is revoked")

    @unittest.skipUnless(NEW, "Celery 5.2 has no stamps")
    def test_revoke_by_stamped_headers(self):
        self.assertIn("flagged as revoked", self.control("revoke_by_stamped_headers", "order=7")["ok"])

    def test_consumers(self):
        self.assertEqual(self.control("add_consumer", "extra"), {"ok": "add consumer extra"})
        fleet.await_consumers("extra", 1)
        self.assertEqual(self.call_on("extra"), 11)
        self.assertIn("extra", {queue["name"] for queue in self.inspect("active_queues")})
        self.assertEqual(self.control("cancel_consumer", "extra"), {"ok": "no longer consuming from extra"})
        until(lambda: "extra" not in {queue["name"] for queue in self.inspect("active_queues")}, "the queue is left")
        self.assertEqual(self.control("add_consumer", "routed", "routes", "topic", "to.#"), {"ok": "add consumer routed"})
        queue = until(lambda: next((queue for queue in self.inspect("active_queues") if queue["name"] == "routed"), None),
                      "the routed queue is consumed")
        self.assertEqual((queue["exchange"]["name"], queue["exchange"]["type"], queue["routing_key"]), ("routes", "topic", "to.#"))
        self.control("cancel_consumer", "routed")

    def call_on(self, queue):
        return fleet.tasks.app.send_task("tasks.add", (1,), queue=queue).get(timeout=PATIENCE)

    def test_pool(self):
        name, _, _ = self.own_worker()

        def slots():
            return len(self.inspect("stats", destination=name)["pool"]["processes"])
        self.assertEqual(slots(), 2)
        self.assertEqual(self.control("pool_grow", destination=name), {"ok": "pool will grow"})
        self.assertEqual(self.control("pool_grow", "2", destination=name), {"ok": "pool will grow"})
        until(lambda: slots() == 5, "three more slots")
        self.assertEqual(self.control("pool_shrink", "3", destination=name), {"ok": "pool will shrink"})
        until(lambda: slots() == 2, "three slots less")

    def test_what_a_worker_refuses_is_a_failure(self):
        self.assertEqual(self.control("autoscale", "4", "1", code=1), {"error": "ValueError('Autoscale not enabled')"})
        self.assertEqual(self.control("pool_restart", code=1), {"error": "ValueError('Pool restarts not enabled')"})
        self.assertIn("ERROR\n    ValueError", self.ours("control", "pool_restart", "-d", node, *WAIT, code=1))

    def test_events(self):
        self.assertEqual(self.control("enable_events"), {"ok": "task events enabled"})
        self.assertEqual(self.control("enable_events"), {"ok": "task events already enabled"})
        self.assertEqual(self.control("disable_events"), {"ok": "task events disabled"})
        self.assertIsNone(self.control("heartbeat"))

    def test_autoscale_and_shutdown(self):
        name, _, child = self.own_worker("--autoscale=2,1")
        self.assertEqual(self.control("autoscale", "4", "2", destination=name), {"ok": "autoscale now max=4 min=2"})
        self.assertIn("told to shut down", self.ours("control", "shutdown", "-d", name, *WAIT))
        child.await_end()
        self.assertEqual(self.ours("inspect", "ping", "-d", name, "-t", "0.5", code=69), "")


class StatusAndRevoke(Remote):
    def test_status(self):
        self.assertRegex(self.ours("status", "-d", node, *WAIT), rf"(?m)^{node} +pong$")
        both = f"{node},{node.replace('python@', 'lovage@')}"
        status = json.loads(self.ours("status", "--json", "-d", both, *WAIT))
        self.assertEqual(status["nodes"][node], {"ok": "pong"})
        self.assertTrue(status["broker"]["reachable"])
        # Queues of which only the workers know.
        self.assertLessEqual({"py", "mixed", "cpp"}, {queue["name"] for queue in status["queues"]})

    def test_nobody_there(self):
        for words in (["status"], ["inspect", "ping"], ["control", "heartbeat"]):
            done = run(*words, "-d", "nobody@nowhere", "-t", "0.3")
            self.assertEqual(done.returncode, 69)
            self.assertIn("No nodes replied within time constraint", done.stderr)

    def test_revoke_ends_a_task_that_runs_on_a_python_worker(self):
        name, queue, _ = self.own_worker()
        _, task_id = self.held(queue)
        self.await_active(task_id, destination=name)
        self.assertIn("revoked", self.ours("revoke", "--terminate", task_id))
        until(lambda: not self.inspect("active", destination=name), "the task has ended")
        self.assertEqual(fleet.await_record(task_id)["status"], "REVOKED")

    def test_nothing_is_left_on_the_broker(self):
        self.ours("inspect", "ping", "-d", node, *WAIT)
        names = fleet.stack.queue_names()
        self.assertIn(f"{node}.celery.pidbox", names)
        self.assertEqual([name for name in names if name.endswith("reply.celery.pidbox")], [])


class OperatingGuide(Remote):
    """What docs/guides/operating.md tells people to type."""
    COMMANDS = re.findall(r"^\$ shop (.+)$", (HERE / "../../../docs/guides/operating.md").read_text(), re.MULTILINE)

    def type_all(self, start):
        self.assertGreater(len(self.COMMANDS), 15)
        name, queue, _ = self.own_worker(start=start)
        for command in self.COMMANDS:
            if command.startswith("result "):  # nothing ran; see test_a_stuck_task_is_found_and_ended
                continue
            with self.subTest(command):
                meant = {"$ID": str(uuid.uuid4()), "w1@host": name, "mail.send": "tasks.quiet", "reports": f"{queue}-more"}
                words = [meant.get(word, word) for word in command.split()]
                if "-d" not in words and words[0] in ("inspect", "control", "status"):
                    words += ["-d", name, *WAIT]
                self.ours(*words)

    def type_one(self, command, task_id, name):
        """One of the guide's commands, about one task."""
        self.assertIn(command, self.COMMANDS)
        words = command.replace("$ID", task_id).split()
        return self.ours(*words, *(["-d", name, *WAIT] if words[0] == "inspect" else []))

    def test_a_stuck_task_is_found_and_ended(self):
        name, queue, _ = self.own_worker(start=fleet.start_lovage)
        task_id = fleet.tasks.hold.apply_async((str(uuid.uuid4()),), queue=queue).id  # nobody opens its gate
        self.await_active(task_id, destination=name)
        process = self.inspect("active", destination=name)[0]["worker_pid"]
        self.assertIn(process, self.inspect("stats", destination=name)["pool"]["processes"])
        self.assertRegex(self.type_one("inspect active", task_id, name), rf"(?m)^{name} +{task_id} .* {process}$")
        self.assertRegex(self.type_one("inspect query_task $ID", task_id, name), rf"{task_id}.*active")
        self.assertIn("revoked", self.type_one("revoke --terminate $ID", task_id, name))

        def place():
            return (fleet.record(task_id) or {}).get("traceback")
        until(place, "where the task was")
        self.assertIn("result --traceback $ID", self.COMMANDS)
        said = run("result", "--traceback", task_id)
        self.assertIn("hold(std::", said.stdout + said.stderr)
        until(lambda: not self.inspect("active", destination=name), "the slot is free")

    def test_its_commands_work_with_a_celery_worker(self):
        self.type_all(fleet.start_celery)

    def test_its_commands_work_with_a_lovage_worker(self):
        self.type_all(fleet.start_lovage)


if __name__ == "__main__":
    fleet.main()
