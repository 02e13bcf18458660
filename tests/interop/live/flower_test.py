"""Stock Flower on a fleet of ours and on one of both kinds: its HTTP API, which its pages are made of, and its metrics.
What the pages themselves look like is flower_pages_test.py's affair."""
import re

import fleet
from harness import HERE, PATIENCE, until
from stock_flower import ANSWERS, TOO_LATE, Refused, Watched


def setUpModule():
    fleet.set_up(python=False)


tearDownModule = fleet.tear_down


class OnlyOurs(Watched):
    def own_worker(self, name, *arguments):
        """One for a single test; returns its name, once Flower knows it, and its process."""
        child = fleet.start_lovage(name, name, 2, *arguments)
        self.addCleanup(lambda: child in fleet.stack.children and fleet.stack.stop(child))
        node = until(lambda: next((node for node in self.get("workers", refresh="true") if node.startswith(f"{name}@")), None),
                     f"Flower sees {name}")
        return node, child

    def slots(self, node, number):
        until(lambda: len(self.facts(node)["stats"]["pool"]["processes"]) == number, f"{number} slots of {node}")

    def test_a_worker_answers_whatever_flower_asks(self):
        facts = self.facts()
        self.assertEqual(ANSWERS - set(facts), set())
        self.assertEqual(sorted(queue["name"] for queue in facts["active_queues"]), ["cpp", "mixed"])
        self.assertEqual(len(facts["stats"]["pool"]["processes"]), 2)
        self.assertTrue(any(name.split()[0] == "tasks.add" for name in facts["registered"]), facts["registered"])
        # It is alive for Flower when a heartbeat is four seconds old at most.
        until(lambda: self.get("workers", status="true")[self.node], "Flower says that it is alive")
        self.assertIn("cpp", [queue["name"] for queue in self.get("queues/length")["active_queues"]])

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
        later = fleet.tasks.add.apply_async((1,), queue="cpp", countdown=20)
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
        if fleet.programs["worker"]:  # A Celery worker has this one, too.
            self.assertIn("unknown task", self.refused("task/rate-limit/tasks.moment", workername=self.node, ratelimit="1/s"))

    def test_the_pool_grows_and_shrinks(self):
        for verb, said, number in (("grow", "Growing", 4), ("shrink", "Shrinking", 2)):
            try:  # Once: when the answer is late, a second one would come on top.
                self.assertIn(said, self.post_once(f"worker/pool/{verb}/{self.node}", n=2))
            except Refused as refused:
                self.assertIn(TOO_LATE, str(refused))
            self.slots(self.node, number)

    def test_a_pool_scales_within_new_bounds(self):
        node, _ = self.own_worker("scaled", "--autoscale=2,1")
        self.assertEqual(self.post(f"worker/pool/autoscale/{node}", min=3, max=5), f"Autoscaling '{node}' worker (min=3, max=5)")
        self.slots(node, 3)
        bounds = self.facts(node)["stats"]["autoscaler"]
        self.assertEqual((bounds["min"], bounds["max"]), (3, 5))
        self.assertIn("Autoscale not enabled", self.refused(f"worker/pool/autoscale/{self.node}", min=3, max=5))

    def test_a_pool_restarts(self):
        if not fleet.programs["worker"]:
            self.skipTest("Celery wants a setting for it")
        node, _ = self.own_worker("restarted")
        before = set(self.facts(node)["stats"]["pool"]["processes"])
        self.assertEqual(self.post(f"worker/pool/restart/{node}"), f"Restarting '{node}' worker's pool")
        until(lambda: len(now := set(self.facts(node)["stats"]["pool"]["processes"])) == 2 and not now & before, "two new slots")

    def test_queues_come_and_go(self):
        self.assertEqual(self.post(f"worker/queue/add-consumer/{self.node}", queue="flowers"), "add consumer flowers")
        self.assertEqual(fleet.tasks.who.apply_async(queue="flowers").get(timeout=PATIENCE),
                         "c++" if fleet.programs["worker"] else "python")
        self.assertEqual(self.post(f"worker/queue/cancel-consumer/{self.node}", queue="flowers"),
                         "no longer consuming from flowers")
        until(lambda: "flowers" not in [queue["name"] for queue in self.facts()["active_queues"]], "the queue is gone")

    def test_metrics_count_our_tasks(self):
        for _ in range(3):
            fleet.tasks.who.apply_async(queue="cpp").get(timeout=PATIENCE)

        def counted(name, *labels):
            found = [float(line.split()[-1]) for line in self.request("metrics").splitlines()
                     if line.startswith(f"flower_{name}{{") and all(f'="{label}"' in line for label in (self.node, *labels))]
            return sum(found)
        for kind in ("task-received", "task-started", "task-succeeded"):
            until(lambda: counted("events_total", kind, "tasks.who") >= 3, f"Flower's metrics count {kind}")
        self.assertGreaterEqual(counted("task_runtime_seconds_count", "tasks.who"), 3)
        self.assertEqual(counted("worker_online"), 1)

    def test_the_tree_of_a_workflow(self):
        for start in (self.start_with_celery, self.start_with_lovage):
            for queues in (self.queues, self.queues[::-1]):
                with self.subTest(start.__name__, queues=queues):
                    root, header, body, last = self.tree(start(*queues))
                    self.assertEqual(sorted(task["result"] for task in header), ["3", "4"])
                    self.assertEqual(sorted(task["args"] for task in header), ["(2, 1)", "(2, 2)"])
                    self.assertEqual((body["args"], body["result"]), ("([3, 4],)", "7"))
                    self.assertEqual((last["args"], last["result"]), ("(7, 1000)", "1007"))
                    self.assertEqual(last["children"], [])
                    for task, parent in ((root, None), *((part, root) for part in header), (last, body)):
                        self.assertEqual(task["parent_id"], parent and parent["uuid"])
                    # Ours makes one chain of a chord's body and what follows it. Of that the caller is the parent, Celery finds.
                    parents = (root,) if start == self.start_with_celery else (root, *header)
                    self.assertIn(body["parent_id"], [parent["uuid"] for parent in parents])
                    self.assertEqual({task["root_id"] for task in (*header, body, last)}, {root["uuid"]})

    def test_pages_answer(self):
        for page in ("workers", f"worker/{self.node}", "tasks", "broker"):
            with self.subTest(page):
                self.assertIn(self.node if "worker" in page else "Flower", self.request(page))

    def test_a_worker_is_shut_down(self):
        node, doomed = self.own_worker("doomed")
        self.assertEqual(self.post(f"worker/shutdown/{node}"), "Shutting down!")
        fleet.stack.children.remove(doomed)
        doomed.await_end()
        until(lambda: not self.get("workers", status="true")[node], "Flower sees that it has gone")


class Mixed(OnlyOurs):
    mixed = True
    queues = ("py", "cpp")

    def test_a_worker_has_everything_that_a_python_worker_has(self):
        theirs, ours = self.facts(self.python), self.facts()
        self.assertEqual(set(theirs) - set(ours), set())
        self.assertEqual(set(theirs["stats"]) - set(ours["stats"]), set())
        for part in ("pool", "broker", "rusage"):
            self.assertEqual(set(theirs["stats"][part]) - set(ours["stats"][part]), set())


class FromTheGuide(Watched):
    """As docs/guides/operating.md says, with a task that is there in the place of the guide's."""

    @classmethod
    def command(cls, management_url):
        text = (HERE.parents[2] / "docs/guides/operating.md").read_text()
        (code,) = re.findall(r"```python\n# shop_tasks\.py.*?\n(.*?)```", text, re.DOTALL)
        (fleet.stack.folder / "shop_tasks.py").write_text(code.replace("mail.send", "tasks.quiet"))
        (line,) = re.findall(r"(?m)^\$ celery (.+ flower .+)$", text)
        meant = {"$BROKER_URL": fleet.stack.broker_url, "$MANAGEMENT_URL/api/": management_url}
        for name, value in meant.items():
            line = line.replace(name, value)
        return line.split()

    def test_it_sees_and_limits(self):
        self.assertEqual(ANSWERS - set(self.facts()), set())
        self.assertEqual(self.post("task/rate-limit/tasks.quiet", workername=self.node, ratelimit="100/m"),
                         "new rate limit set successfully")
        self.assertEqual(self.post("task/rate-limit/tasks.quiet", workername=self.node, ratelimit="0"),
                         "new rate limit set successfully")


if __name__ == "__main__":
    fleet.main()
