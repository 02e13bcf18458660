"""Celery's own tools on both workers: `celery inspect`, `celery control`, `celery status`, and the same through its API."""
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import uuid

import fleet
from harness import HERE, PATIENCE, until

LOVAGE, PYTHON = (f"{name}@{socket.gethostname()}" for name in ("lovage", "python"))


def setUpModule():
    fleet.set_up()
    # They listen for commands a moment after they consume.
    for node in (LOVAGE, PYTHON):
        until(lambda: fleet.tasks.app.control.ping(destination=[node], timeout=1), f"{node} answers")


tearDownModule = fleet.tear_down


def celery(*words, node=LOVAGE):
    """What the command line says, as JSON."""
    arguments = [sys.executable, "-B", "-m", "celery", "-A", "tasks", words[0], "-t", "10", "-j", "-d", node, *words[1:]]
    done = subprocess.run(arguments, cwd=HERE, env=os.environ, capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise AssertionError(f"celery {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def inspect(command, *arguments, node=LOVAGE):
    return celery("inspect", command, *arguments, node=node)[node]


def control(command, *arguments, node=LOVAGE):
    replies = celery("control", command, *arguments, node=node)
    return replies[0][node]


def ask(command, node=LOVAGE, **arguments):
    """Through Celery's API, which takes any command."""
    replies = fleet.tasks.app.control.broadcast(command, arguments=arguments, reply=True, destination=[node], timeout=10)
    return replies[0][node]


def hold(number):
    """Tasks that fill Lovage's slots until the gate is opened."""
    gate = f"gate-{uuid.uuid4()}"
    return gate, [fleet.tasks.hold.apply_async((gate,), queue="cpp") for _ in range(number)]


def await_running(number):
    return until(lambda: len(running := ask("active")) == number and running, f"{number} tasks run")


def members(value):
    """The names in a map, and in maps in it."""
    return {name: members(part) if isinstance(part, dict) and name != "total" else type(part).__name__
            for name, part in value.items()}


MANY = 10_000


def revoke(ids):
    """The answer when all are stored: on a busy machine it may name some that are not, in time, for the asker to ask again."""
    def answer():
        replies = fleet.tasks.app.control.revoke(ids, reply=True, destination=[LOVAGE], timeout=30)
        return "ok" in replies[0][LOVAGE] and replies[0][LOVAGE]
    return until(answer, "all are stored")


class Pings:
    """Asks a worker all the time, over a connection of its own: once before it begins, and then as long as it lasts."""

    def __enter__(self):
        self.seconds, self.missed, self.over = [], 0, threading.Event()
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()
        until(lambda: self.seconds, "the first answer")
        return self

    def ask(self):
        with fleet.tasks.app.connection_for_write() as connection:
            while not self.over.wait(0.02):
                began = time.monotonic()
                answered = fleet.tasks.app.control.ping(destination=[LOVAGE], timeout=10, connection=connection)
                self.missed += not answered
                self.seconds.append(time.monotonic() - began)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def check(self, test):
        test.assertEqual(self.missed, 0)
        test.assertGreater(len(self.seconds), 1)
        test.assertLess(statistics.median(self.seconds), 1)


def quick(question):
    """Its answer, which takes less than a second. A machine may hold up one, or two; if stuck slots did, it would be every one."""
    for _ in range(5):
        began = time.monotonic()
        answer = question()
        took = time.monotonic() - began
        if took < 1:
            return answer
    raise AssertionError(f"the answer took {took:.1f} s, for the fifth time")


class Inspect(unittest.TestCase):
    def test_every_worker_is_online(self):
        done = subprocess.run([sys.executable, "-B", "-m", "celery", "-A", "tasks", "status", "-t", "5"], cwd=HERE, env=os.environ,
                              capture_output=True, text=True, timeout=PATIENCE)
        for expected in (f"{LOVAGE}: OK", f"{PYTHON}: OK", "2 nodes online."):
            self.assertIn(expected, done.stdout)
        self.assertEqual(inspect("ping"), {"ok": "pong"})

    def test_active_queues_looks_as_pythons_does(self):
        ours, theirs = (inspect("active_queues", node=node) for node in (LOVAGE, PYTHON))
        self.assertEqual([queue["name"] for queue in ours], ["cpp", "mixed"])
        self.assertEqual(members(ours[0]), members(theirs[0]))

    def test_registered_names_every_task(self):
        names = {line.split(" ")[0] for line in inspect("registered")}
        self.assertLessEqual({"tasks.add", "tasks.hold", "tasks.who"}, names)

    def test_conf_and_report_keep_the_password(self):
        password = fleet.stack.broker_url.split(":")[2].split("@")[0]
        for said in (inspect("conf"), inspect("report")):
            self.assertIn(":********@", json.dumps(said))
            self.assertNotIn(f":{password}@", json.dumps(said))
        self.assertIn("worker_concurrency", inspect("conf", "true"))

    def test_clock_and_memsample_answer(self):
        self.assertLess(inspect("clock")["clock"], inspect("clock")["clock"])

    def test_memory_is_sampled(self):
        inspect("memdump")  # others' samples
        taken = [inspect("memsample") for _ in range(3)]
        for size in taken:
            self.assertRegex(size, r"^[0-9.]+MB$")
            self.assertTrue(1 < float(size.removesuffix("MB")) < 1000, size)
        lines = inspect("memdump", "10").splitlines()
        self.assertEqual(lines[:-1], ["- rss (sample):", *(f"-    > {size}," for size in taken)])
        self.assertRegex(lines[-1], r"^- rss \(end\): [0-9.]+MB\.$")
        self.assertRegex(inspect("memdump"), r"^- rss \(end\): [0-9.]+MB\.\n$")

    def test_what_looks_into_python_is_answered_politely(self):
        self.assertEqual(ask("objgraph", num=5), {"error": "ImportError('Requires the objgraph library')"})

    def test_a_worker_whose_slots_are_stuck_answers_within_a_second(self):
        gate, results = hold(6)
        try:
            await_running(2)
            ids = {result.id for result in results}
            tasks = quick(lambda: ask("active"))
            self.assertLessEqual({task["id"] for task in tasks}, ids)
            for task in tasks:
                self.assertEqual((task["name"], task["args"], task["hostname"]), ("tasks.hold", [gate], LOVAGE))
                self.assertAlmostEqual(task["time_start"], time.time(), delta=PATIENCE)
                os.kill(task["worker_pid"], 0)
            said = [sorted(answer, key=lambda task: task["id"]) for answer in (tasks, inspect("active"))]
            self.assertEqual(*map(len, said))
            for task, again in zip(*said):
                self.assertAlmostEqual(task.pop("time_start"), again.pop("time_start"), delta=1)  # Counted back from now each time.
                self.assertEqual(task, again)
            found = inspect("query_task", tasks[0]["id"], "nobody")
            self.assertEqual({task_id: where for task_id, (where, _) in found.items()}, {tasks[0]["id"]: "active"})
            self.assertIsInstance(inspect("reserved"), list)
        finally:
            fleet.stack.open_gate(gate)
        self.assertEqual([result.get(timeout=PATIENCE) for result in results], [gate] * 6)

    def test_scheduled_lists_tasks_until_their_time(self):
        later = fleet.tasks.add.apply_async((1, 2), queue="cpp", countdown=25)
        scheduled = until(lambda: ask("scheduled"), "a task is scheduled")
        self.assertEqual(scheduled[0]["request"]["id"], later.id)
        self.assertEqual(members(scheduled[0]).keys(), {"eta", "priority", "request"})
        self.assertEqual(inspect("scheduled"), scheduled)
        later.revoke()
        until(lambda: later.id in ask("revoked"), "it is revoked")
        until(lambda: later.id in inspect("revoked"), "Celery's program says so, too")


class Control(unittest.TestCase):
    def test_the_pool_grows_and_shrinks(self):
        def slots():
            return ask("stats")["pool"]["max-concurrency"]
        before = slots()
        self.assertEqual(control("pool_grow", "2"), {"ok": "pool will grow"})
        until(lambda: slots() == before + 2, "it has grown")
        self.assertEqual(control("pool_shrink", "2"), {"ok": "pool will shrink"})
        until(lambda: slots() == before, "it has shrunk")

    def test_limits_are_set_and_refused(self):
        self.assertEqual(control("rate_limit", "tasks.add", "5/m"), {"ok": "new rate limit set successfully"})
        self.assertEqual(control("rate_limit", "tasks.add", "0"), {"ok": "new rate limit set successfully"})
        self.assertEqual(ask("rate_limit", task_name="tasks.add", rate_limit=0), {"ok": "rate limit disabled successfully"})
        self.assertEqual(ask("rate_limit", task_name="no.such", rate_limit="1/s"), {"error": "unknown task"})
        self.assertEqual(control("time_limit", "tasks.spin", "10", "20"), {"ok": "time limits set successfully"})
        self.assertEqual(ask("time_limit", task_name="tasks.spin", soft=None, hard=None), {"ok": "time limits set successfully"})

    def test_a_new_hard_limit_ends_tasks(self):
        self.assertEqual(ask("time_limit", task_name="tasks.spin", soft=None, hard=1), {"ok": "time limits set successfully"})
        with self.assertRaises(Exception) as raised:
            fleet.tasks.spin.apply_async(queue="cpp").get(timeout=PATIENCE)
        self.assertEqual(type(raised.exception).__name__, "TimeLimitExceeded")
        ask("time_limit", task_name="tasks.spin", soft=None, hard=None)

    def test_a_queue_is_added_and_cancelled(self):
        self.assertEqual(control("add_consumer", "extra"), {"ok": "add consumer extra"})
        self.assertEqual(fleet.tasks.add.apply_async((2, 3), queue="extra").get(timeout=PATIENCE), 5)
        self.assertIn("extra", [queue["name"] for queue in ask("active_queues")])
        self.assertEqual(control("cancel_consumer", "extra"), {"ok": "no longer consuming from extra"})
        until(lambda: "extra" not in [queue["name"] for queue in ask("active_queues")], "it is cancelled")

    def test_a_queue_behind_an_exchange_of_another_type_is_added(self):
        for name, options in (("figures", {}), ("sums", {"durable": False, "queue_arguments": {"x-max-length": 100}})):
            for node in (LOVAGE, PYTHON):  # Both declare it alike, or the second one is refused.
                with self.subTest(name, node=node):
                    self.assertEqual(ask("add_consumer", node=node, queue=name, exchange=name, exchange_type="topic",
                                         routing_key=f"{name}.#", **options), {"ok": f"add consumer {name}"})
                    until(lambda: name in [queue["name"] for queue in ask("active_queues", node=node)], "it is consumed")
            ours, theirs = ([queue for queue in ask("active_queues", node=node) if queue["name"] == name] for node in (LOVAGE, PYTHON))
            self.assertEqual(ours, theirs)
            control("cancel_consumer", name, node=PYTHON)
            sent = fleet.tasks.who.apply_async(exchange=name, routing_key=f"{name}.daily")
            self.assertEqual(sent.get(timeout=PATIENCE), "c++" if fleet.programs["worker"] else "python")
            control("cancel_consumer", name)

    def test_what_runs_is_terminated(self):
        spinning = fleet.tasks.spin.apply_async(queue="cpp")
        await_running(1)
        self.assertEqual(control("terminate", "SIGKILL", spinning.id), {"ok": f"terminate: {spinning.id}"})
        until(lambda: spinning.state == "REVOKED", "it is revoked")

    def test_what_waits_is_revoked(self):
        gate, results = hold(2)
        await_running(2)
        waiting = fleet.tasks.mark.apply_async((f"never-{gate}",), queue="cpp")
        waiting.revoke()
        until(lambda: waiting.id in ask("revoked"), "it is revoked")
        fleet.stack.open_gate(gate)
        for result in results:
            result.get(timeout=PATIENCE)
        until(lambda: waiting.state == "REVOKED", "its state says so")
        self.assertNotIn(f"never-{gate}", fleet.stack.marks())

    def test_ten_thousand_are_revoked_by_one_command(self):
        ids = [str(uuid.uuid4()) for _ in range(MANY)]
        with Pings() as pings:
            answer = revoke(ids)
        self.assertIn(ids[-1], answer["ok"])
        pings.check(self)
        self.all_revoked(ids)
        if fleet.programs["worker"]:
            words = [fleet.programs["worker"], "control", "revoke", "-j", "-t", "30", "-d", LOVAGE, *ids]

            def again():
                done = subprocess.run(words, cwd=HERE, env=os.environ, capture_output=True, text=True, timeout=PATIENCE)
                return done.returncode == 0 and done
            self.assertEqual(json.loads(until(again, "all are stored").stdout), [{LOVAGE: answer}])

    def test_ten_thousand_are_revoked_one_by_one(self):
        ids = [str(uuid.uuid4()) for _ in range(MANY)]
        with Pings() as pings, fleet.tasks.app.connection_for_write() as connection:
            for task_id in ids:
                fleet.tasks.app.control.revoke(task_id, destination=[LOVAGE], connection=connection)
            # What comes behind them in the mailbox is looked at behind them.
            until(lambda: set(ids) <= set(ask("revoked")), "all are revoked")
        pings.check(self)
        self.all_revoked(ids)

    def all_revoked(self, ids):
        # A list that cannot be read from the store within a second, as the machine is busy, is said to be an error.
        until(lambda: set(ids) <= set(ask("revoked")), "all are listed")
        gate = str(uuid.uuid4())
        for task_id in (ids[0], ids[MANY // 2], ids[-1]):
            fleet.tasks.mark.apply_async((f"{gate}-{task_id}",), queue="cpp", task_id=task_id)
        for task_id in (ids[0], ids[MANY // 2], ids[-1]):
            until(lambda: (fleet.record(task_id) or {}).get("status") == "REVOKED", "its record says so")
        self.assertEqual(fleet.tasks.add.apply_async((1, 2), queue="cpp").get(timeout=PATIENCE), 3)
        self.assertEqual([mark for mark in fleet.stack.marks() if mark.startswith(gate)], [])
        if fleet.programs["worker"]:  # Celery's worker stores it when the task comes, or, in 5.6, at once.
            def records():
                """It gives each command 0.8 s: on a busy machine some records may be missing, and whoever asked asks again."""
                found = fleet.tasks.app.backend.client.mget([f"celery-task-meta-{task_id}" for task_id in ids])
                missing = [task_id for task_id, record in zip(ids, found) if record is None]
                self.assertLess(len(missing), MANY / 100)
                return found if not missing else revoke(missing) and None
            records = until(records, "all have a record")
            self.assertEqual({json.loads(record)["status"] for record in records}, {"REVOKED"})

    def test_errors_have_celerys_words(self):
        self.assertEqual(ask("no_such_command"), {"error": "KeyError('no_such_command')"})
        self.assertEqual(ask("autoscale", max=4, min=1), {"error": "ValueError('Autoscale not enabled')"})
        for command, arguments in (("enable_events", {"x": 1}), ("revoke", {}), ("active_queues", {"x": 1})):
            self.assertEqual(ask(command, **arguments), ask(command, node=PYTHON, **arguments))

    def test_patterns_choose_workers(self):
        def names(expected, **who):
            """Those who answer within a second, which is short on a busy machine; nobody else does at any time."""
            found = {name for reply in fleet.tasks.app.control.broadcast("ping", reply=True, timeout=1, **who) for name in reply}
            self.assertLessEqual(found, expected)
            return found == expected
        until(lambda: names({LOVAGE}, pattern="lov*", matcher="glob"), "ours answers to a glob")
        until(lambda: names({LOVAGE, PYTHON}, pattern="^(lov|py)", matcher="pcre"), "both answer to an expression")
        self.assertTrue(names(set(), pattern="nobody*", matcher="glob"))

    def test_neighbours_that_mingle_start(self):
        def synced():
            """It waits a second for their answers, which is short on a busy machine."""
            mingler = fleet.stack.start(f"mingler-{uuid.uuid4()}", [sys.executable, "-B", "-m", "celery", "-A", "tasks", "worker",
                                                                    "-Q", "none", "-c", 1, "-n", "mingler@%h", "-l", "info"])
            until(mingler.says_ready, "the neighbour is ready")
            fleet.stack.stop_at_once(mingler)
            return "sync with 2 nodes" in mingler.log.read_text()
        until(synced, "the neighbour has heard both")
        self.assertEqual(set(ask("hello", from_node="mingler", revoked=None)), {"revoked", "clock"})
        self.assertIsNone(ask("election", id="e", topic="task", action=None))

    def test_neighbours_hold_an_election_with_workers_that_do_not_stand(self):
        """Two that gossip stand; they wait for as many acknowledgements as there are others: six, and Celery's third one gives none."""
        voters = [fleet.start_lovage(f"voter{number}", f"nobody{number}", 1) for number in range(3)]
        names = [f"candidate{number}" for number in range(2)]
        candidates = [fleet.stack.start(name, [sys.executable, "-B", "-m", "celery", "-A", "tasks", "worker", "-Q", name, "-c", 1, "-n",
                                               f"{name}@%h", "-l", "debug", "--without-mingle"]) for name in names]
        for child in (*voters, *candidates):
            self.addCleanup(fleet.stack.stop_at_once, child)
        alive = {f"{name}@{socket.gethostname()}" for name in ("lovage", "python", "voter0", "voter1", "voter2", *names)}
        for candidate in candidates:
            others = alive - {f"{candidate.name}@{socket.gethostname()}"}
            until(lambda: all(f"{node} joined the party" in candidate.log.read_text() for node in others), "it has heard of all")
        election = str(uuid.uuid4())
        action = {"task": "tasks.add", "args": [40, 2], "kwargs": {}, "options": {"task_id": election, "queue": "cpp"},
                  "subtask_type": None, "immutable": False}
        fleet.tasks.app.control.election(election, "task", action)
        self.assertEqual(fleet.await_record(election)["result"], 42)
        winners = [candidate for candidate in candidates if "I won the election" in candidate.log.read_text()]
        self.assertEqual(len(winners), 1)

    def test_shutdown_ends_a_worker(self):
        other = fleet.start_lovage("other", "elsewhere")
        until(other.says_ready, "it is ready")
        fleet.stack.children.remove(other)
        fleet.tasks.app.control.shutdown(destination=[f"other@{socket.gethostname()}"])
        other.await_end()

    def test_it_answers_again_after_its_connections_were_closed(self):
        def connections():
            with fleet.stack._open("GET", f"vhosts/{fleet.stack.virtual_host}/connections") as answer:
                return [c["name"] for c in json.load(answer) if c.get("client_properties", {}).get("product") == "lovage"]
        if fleet.programs["worker"] is None:
            self.skipTest("its connections are not ours")
        for name in until(connections, "RabbitMQ lists the connections"):
            try:
                fleet.stack._manage("DELETE", "connections/" + name.replace(" ", "%20").replace(">", "%3E"))
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, 404)  # Its other end was quicker.
        until(lambda: fleet.tasks.app.control.broadcast("ping", reply=True, destination=[LOVAGE], timeout=1), "it answers")
        until(lambda: ask("active_queues"), "it consumes")


if __name__ == "__main__":
    fleet.main()
