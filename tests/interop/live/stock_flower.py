"""Stock Flower on a fleet of only our workers or of both kinds, and what its HTTP API says."""
import json
import sys
import unittest
import urllib.error
import urllib.parse
import urllib.request

import celery

import fleet
from harness import PATIENCE, _service, free_port, until

# What workers log once Flower, which does so every five seconds, has asked them for events of tasks.
EVENTS_ARE_ON = ("Events of group {task} enabled by remote.", "remote control: events of tasks are sent")

# What Flower asks every worker, and shows in the tabs of its page.
ANSWERS = {"stats", "active_queues", "registered", "scheduled", "active", "reserved", "revoked", "conf"}


# Flower's words when a worker's answer did not come within the second that it waits. That is no refusal.
TOO_LATE = "Unknown reason"


class Refused(Exception):
    """The words in which Flower says that it did not do what it was asked."""


class Watched(unittest.TestCase):
    """A Flower of its own, which sees every event of the fleet from the first test on."""

    mixed = False  # Whether a Celery worker (queues `py` and `mixed`) is in the fleet, too.
    queues = ("cpp", "cpp")  # Where the parts of workflows run.

    @classmethod
    def setUpClass(cls):
        workers = [child for child in fleet.stack.children if child.name == "lovage"]
        if cls.mixed:
            workers.append(fleet.start_celery("python", "py,mixed"))
            cls.addClassCleanup(fleet.stack.stop_at_once, workers[-1])  # Celery's hang at times when slots of theirs were killed.
        cls.port = free_port()
        cls.flower = fleet.stack.start(
            "flower", [sys.executable, "-B", "-m", "celery", *cls.command(f"{_service('LOVAGE_TEST_AMQP_MANAGEMENT_URL')}/api/"),
                       f"--port={cls.port}", "--address=127.0.0.1", f"--db={fleet.stack.folder / f'flower-{cls.port}'}"],
            PYTHONPATH=str(fleet.stack.folder), FLOWER_UNAUTHENTICATED_API="true")
        cls.addClassCleanup(fleet.stack.stop_at_once, cls.flower)
        until(cls.is_up, "Flower serves")
        nodes = {worker.name: until(lambda: cls.node_of(worker.name), f"Flower has heard {worker.name}") for worker in workers}
        cls.node, cls.python = nodes["lovage"], nodes.get("python")
        for worker in workers:
            until(lambda: any(text in worker.log.read_text() for text in EVENTS_ARE_ON), f"{worker.name} sends events of tasks")
            until(lambda: "active_queues" in cls.get("workers", refresh="true").get(nodes[worker.name], {}),
                  f"Flower knows all about {worker.name}")

    @classmethod
    def command(cls, management_url):
        return ["-A", "tasks", "flower", f"--broker-api={management_url}"]

    @classmethod
    def request(cls, path, method="GET", **parameters):
        query = urllib.parse.urlencode(parameters)
        call = urllib.request.Request(f"http://127.0.0.1:{cls.port}/{path}?{query}", data=b"" if method == "POST" else None, method=method)
        with urllib.request.urlopen(call, timeout=PATIENCE) as reply:
            return reply.read().decode()

    @classmethod
    def get(cls, path, **parameters):
        return json.loads(cls.request(f"api/{path}", **parameters))

    @classmethod
    def post_once(cls, path, **parameters):
        try:
            return json.loads(cls.request(f"api/{path}", "POST", **parameters))["message"]
        except urllib.error.HTTPError as error:
            raise Refused(error.read().decode()) from None

    @classmethod
    def post(cls, path, **parameters):
        """For what may be done twice: again, while the answer is late."""
        def answered():
            try:
                return cls.post_once(path, **parameters)
            except Refused as refused:
                if TOO_LATE not in str(refused):
                    raise
                return None
        return until(answered, f"an answer to {path}")

    @classmethod
    def refused(cls, path, **parameters):
        """The words in which Flower says that a worker refused."""
        try:
            cls.post(path, **parameters)
        except Refused as refused:
            return str(refused)
        raise AssertionError(f"{path} was not refused")

    @classmethod
    def is_up(cls):
        cls.flower.check_alive()
        try:
            return cls.request("healthcheck") == "OK"
        except OSError:
            return False

    @classmethod
    def node_of(cls, name):
        """Of a worker whose events have reached Flower."""
        online = json.loads(cls.request("workers", json="1"))["data"]
        return next((worker["hostname"] for worker in online if worker["hostname"].startswith(f"{name}@")), None)

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

    def facts(self, node=None):
        """What a worker has just answered. Flower waits a second for that, which is short on a busy machine: then it shows what it
        knew before, and its log says so."""
        node = node or self.node

        def complaints():
            return self.flower.log.read_text(errors="replace").count("Inspect method")

        def answered():
            before = complaints()
            try:
                said = self.get("workers", refresh="true", workername=node)[node]
            except urllib.error.HTTPError as error:
                self.assertEqual(error.code, 404)
                return None
            return said if ANSWERS <= set(said) and complaints() == before else None
        return until(answered, f"{node} answers Flower")

    # A workflow: a task, a chord of two, its body and another task.

    @staticmethod
    def start_with_celery(one, two):
        """Returns the id of its last task."""
        add, total = fleet.tasks.add, fleet.tasks.total
        header = celery.group([add.s(1).set(queue=one), add.s(2).set(queue=two)], app=fleet.tasks.app)
        steps = (add.s(1, 1).set(queue=two), header, total.s().set(queue=one), add.s(1000).set(queue=two))
        return celery.chain(*steps, app=fleet.tasks.app).apply_async().id

    @staticmethod
    def start_with_lovage(one, two):
        def on(queue, task, *args):
            return {"task": f"tasks.{task}", "args": list(args), "queue": queue}
        header = {"group": [on(one, "add", 1), on(two, "add", 2)]}
        steps = [on(two, "add", 1, 1), header, on(one, "total"), on(two, "add", 1000)]
        return fleet.client.ask("canvas", canvas={"chain": steps})["id"]

    def tree(self, last_id):
        """What Flower knows of its tasks, found from the last one upwards and from the first one downwards. The events of a part that
        runs on another worker may come after all of the others."""
        last = self.info(last_id, "SUCCESS")
        body = self.info(last["parent_id"], "SUCCESS")

        def header_of(root):
            return [child for child in root["children"] if child != body["uuid"]]
        root = until(lambda: len(header_of(seen := self.info(last["root_id"], "SUCCESS"))) == 2 and seen, "Flower sees both parts")
        self.assertIn(last_id, body["children"])
        self.assertIn(body["uuid"], self.get(f"task/info/{body['parent_id']}")["children"])
        return root, [self.info(child, "SUCCESS") for child in header_of(root)], body, last
