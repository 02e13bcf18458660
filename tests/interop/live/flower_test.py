"""Stock Flower on a fleet of ours and of both kinds: its HTTP API, which its pages are made of."""
import json
import sys
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import fleet
from harness import PATIENCE, free_port, until

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class Flower(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.flower = fleet.stack.start(
            "flower", [sys.executable, "-B", "-m", "celery", "-A", "tasks", "flower", f"--port={cls.port}",
                       "--address=127.0.0.1", f"--db={fleet.stack.folder / 'flower'}"],
            FLOWER_UNAUTHENTICATED_API="true")
        cls.addClassCleanup(fleet.stack.stop_at_once, cls.flower)
        until(cls.is_up, "Flower serves")
        cls.node = until(cls.our_node, "Flower sees our worker")
        # It asks workers for events of tasks every five seconds.
        until(lambda: cls.events_flow("cpp") and cls.events_flow("py"), "events of tasks reach Flower")

    @classmethod
    def request(cls, path, method="GET", body=None, **parameters):
        query = urllib.parse.urlencode(parameters)
        data = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
        call = urllib.request.Request(f"http://127.0.0.1:{cls.port}/{path}?{query}", data=data, method=method)
        with urllib.request.urlopen(call, timeout=PATIENCE) as reply:
            return reply.read().decode()

    @classmethod
    def get(cls, path, **parameters):
        return json.loads(cls.request(f"api/{path}", **parameters))

    def post(self, path, **parameters):
        return json.loads(self.request(f"api/{path}", "POST", **parameters))["message"]

    @classmethod
    def is_up(cls):
        cls.flower.check_alive()
        try:
            return cls.request("healthcheck") == "OK"
        except OSError:
            return False

    @classmethod
    def our_node(cls):
        return next((name for name in cls.get("workers", refresh="true") if name.startswith("lovage@")), None)

    @classmethod
    def events_flow(cls, queue):
        result = fleet.tasks.add.apply_async((1, 2), queue=queue)
        result.get(timeout=PATIENCE)
        time.sleep(0.1)  # Events that are not on yet never come.
        return result.id in cls.get("tasks")

    def info(self, task_id, state):
        """What Flower knows of a task, once it has seen that state."""
        def seen():
            try:
                task = self.get(f"task/info/{task_id}")
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, 404)
                return None
            return task if task["state"] == state else None
        return until(seen, f"Flower sees {task_id} as {state}")

    def facts(self):
        return self.get("workers", refresh="true", workername=self.node)[self.node]

    def test_a_worker_has_everything_that_a_python_worker_has(self):
        python = next(name for name in self.get("workers", refresh="true") if name.startswith("python@"))
        theirs = self.get("workers", refresh="true", workername=python)[python]
        ours = self.facts()
        self.assertEqual(set(theirs) - set(ours), set())
        self.assertEqual(set(theirs["stats"]) - set(ours["stats"]), set())
        self.assertEqual(set(theirs["stats"]["pool"]) - set(ours["stats"]["pool"]), set())
        self.assertEqual(set(theirs["stats"]["broker"]) - set(ours["stats"]["broker"]), set())
        self.assertEqual(set(theirs["stats"]["rusage"]) - set(ours["stats"]["rusage"]), set())
        self.assertEqual(sorted(queue["name"] for queue in ours["active_queues"]), ["cpp", "mixed"])
        self.assertEqual(len(ours["stats"]["pool"]["processes"]), 2)
        self.assertTrue(any(name.split()[0] == "tasks.add" for name in ours["registered"]), ours["registered"])
        self.assertTrue(self.get("workers", status="true")[self.node])

    def test_the_list_of_tasks(self):
        good = fleet.tasks.add.apply_async((20,), {"y": 22}, queue="cpp")
        good.get(timeout=PATIENCE)
        task = self.info(good.id, "SUCCESS")
        self.assertEqual((task["name"], task["args"], task["kwargs"], task["result"], task["worker"]),
                         ("tasks.add", "(20,)", "{'y': 22}", "42", self.node))
        self.assertGreaterEqual(task["started"], task["received"])
        self.assertGreaterEqual(task["succeeded"], task["started"])
        self.assertGreaterEqual(task["runtime"], 0)

        bad = fleet.tasks.fail.apply_async(("ValueError", "no"), queue="cpp")
        task = self.info(bad.id, "FAILURE")
        self.assertEqual(task["exception"], "ValueError('no')")
        self.assertIn("no", task["traceback"])

        again = fleet.tasks.flaky.apply_async((1,), queue="cpp")
        again.get(timeout=PATIENCE)
        self.assertIsNotNone(self.info(again.id, "SUCCESS")["retried"])

    def test_revoke_and_terminate(self):
        later = fleet.tasks.add.apply_async((1,), queue="cpp", countdown=3)
        self.info(later.id, "RECEIVED")
        self.assertEqual(self.post(f"task/revoke/{later.id}"), f"Revoked '{later.id}'")
        self.info(later.id, "REVOKED")
        running = fleet.tasks.hold.apply_async(("never",), queue="cpp")
        self.info(running.id, "STARTED")
        self.post(f"task/revoke/{running.id}", terminate="true", signal="SIGKILL")
        self.assertEqual(self.info(running.id, "REVOKED")["worker"], self.node)

    def test_limits(self):
        self.assertEqual(self.post("task/rate-limit/tasks.quiet", workername=self.node, ratelimit="100/m"),
                         "new rate limit set successfully")
        self.assertTrue(any(name.startswith("tasks.quiet") and "rate_limit=100/m" in name
                            for name in self.facts()["registered"]))
        self.post("task/rate-limit/tasks.quiet", workername=self.node, ratelimit="0")
        self.assertEqual(self.post("task/timeout/tasks.quiet", workername=self.node, soft=10, hard=20),
                         "time limits set successfully")

    def test_the_pool_grows_and_shrinks(self):
        def processes(number):
            until(lambda: len(self.facts()["stats"]["pool"]["processes"]) == number, f"{number} slots")
        self.assertIn("Growing", self.post(f"worker/pool/grow/{self.node}", n=2))
        processes(4)
        self.assertIn("Shrinking", self.post(f"worker/pool/shrink/{self.node}", n=2))
        processes(2)

    def test_queues_come_and_go(self):
        self.assertEqual(self.post(f"worker/queue/add-consumer/{self.node}", queue="flowers"), "add consumer flowers")
        self.assertEqual(fleet.tasks.who.apply_async(queue="flowers").get(timeout=PATIENCE),
                         "c++" if fleet.programs["worker"] else "python")
        self.assertEqual(self.post(f"worker/queue/cancel-consumer/{self.node}", queue="flowers"),
                         "no longer consuming from flowers")
        until(lambda: "flowers" not in [queue["name"] for queue in self.facts()["active_queues"]], "the queue is gone")

    def test_metrics_count_our_tasks(self):
        def counted():
            return [line for line in self.request("metrics").splitlines()
                    if line.startswith("flower_events_total") and self.node in line and 'type="task-succeeded"' in line]
        until(counted, "Flower's metrics count our tasks")

    def test_pages_answer(self):
        for page in ("workers", f"worker/{self.node}", "tasks", "broker"):
            with self.subTest(page):
                self.assertIn(self.node if "worker" in page else "Flower", self.request(page))

    def test_a_worker_is_shut_down(self):
        doomed = fleet.start_lovage("doomed", "doomed")
        node = until(lambda: next((name for name in self.get("workers", refresh="true") if name.startswith("doomed@")), None),
                     "Flower sees the new worker")
        self.assertEqual(self.post(f"worker/shutdown/{node}"), "Shutting down!")
        fleet.stack.children.remove(doomed)
        doomed.await_end()
        until(lambda: not self.get("workers", status="true")[node], "Flower sees that it has gone")


if __name__ == "__main__":
    fleet.main()
