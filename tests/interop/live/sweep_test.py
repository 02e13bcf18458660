"""Chords of both languages that would wait for ever, and the graph of a workflow of both."""
import json
import os
import subprocess
import sys
import time
import unittest
import uuid

from celery import chord
from celery.result import AsyncResult

import fleet
from harness import PATIENCE, until

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down

ENDS_WITHIN = 60  # seconds, whatever has happened


def on(queue, task, *args, **more):
    return {"task": f"tasks.{task}", "args": list(args), "queue": queue, **more}


def ended(task_id):
    """How a task ended, and after how long."""
    begun = time.monotonic()
    result = AsyncResult(task_id, app=fleet.tasks.app)
    until_then = begun + ENDS_WITHIN
    while not result.ready() and time.monotonic() < until_then:
        time.sleep(0.1)
    return result, time.monotonic() - begun


@unittest.skipIf("--control" in sys.argv, "Celery's own chords wait for ever")
class Stuck(unittest.TestCase):
    def doomed(self):
        """A Celery worker for one task."""
        name = f"doomed-{uuid.uuid4()}"
        worker = fleet.start_celery(name, name, slots=1)
        fleet.await_consumers(name, 1)
        return name, worker

    def test_a_python_worker_that_died_between_result_and_count(self):
        queue, worker = self.doomed()
        header = [on("cpp", "add", 1, 1), on("py", "add", 2, 2), on(queue, "vanish_uncounted", 30)]
        body = fleet.client.ask("canvas", canvas={"chord": [header, on("py", "total")]})["id"]
        until(lambda: worker.process.poll() is not None, "the worker's death")
        fleet.stack.stop_at_once(worker)
        result, took = ended(body)
        self.assertEqual((result.state, result.result), ("SUCCESS", 36))
        print(f"a chord whose part was stored and not counted ended after {took:.0f} s", flush=True)

    def test_a_python_worker_that_died_before_it_sent_the_body(self):
        """Of a chord that Python has begun: what a part of ours was told of it is enough."""
        queue, worker = self.doomed()
        vanish = fleet.tasks.app.signature("tasks.vanish_complete", args=(30,), queue=queue)
        add = fleet.tasks.add.s
        mark = f"errback-{uuid.uuid4()}"
        total = fleet.tasks.total.s().set(queue="py").on_error(fleet.tasks.mark.si(mark).set(queue="cpp"))
        header = [add(1, 1).set(queue="cpp"), add(2, 2).set(queue="py"), vanish]
        body = chord(header, total, app=fleet.tasks.app).apply_async()
        until(lambda: worker.process.poll() is not None, "the worker's death")
        fleet.stack.stop_at_once(worker)
        result, took = ended(body.id)
        self.assertEqual((result.state, result.result), ("SUCCESS", 36))
        print(f"a complete chord whose body was not sent ended after {took:.0f} s", flush=True)
        self.assertNotIn(mark, fleet.stack.marks())

    def test_a_size_that_was_lost_fails_the_chord_once(self):
        mark = f"errback-{uuid.uuid4()}"
        gate = f"gate-{uuid.uuid4()}"
        header = [on("py", "add", 1, 1), on("cpp", "hold", gate)]
        body = on("cpp", "echo", link_error=on("py", "mark_once", mark, immutable=True))
        started = fleet.client.ask("canvas", canvas={"chord": [header, body]})["id"]
        redis = fleet.tasks.app.backend.client
        prefix = b"lovage-chord-watch-"
        group, = [key[len(prefix):].decode() for key in redis.keys(prefix + b"*")
                  if started.encode() in (redis.hget(key, "watch") or b"")]  # Others end meanwhile.
        until(lambda: redis.exists(f"celery-taskset-meta-{group}.j"), "the first part's return")
        # What a Redis that was restarted without its data does to it.
        redis.delete(prefix.decode() + group, *redis.keys(f"celery-taskset-meta-{group}*"))
        redis.zrem("lovage-chords", group)
        fleet.stack.open_gate(gate)
        result, took = ended(started)
        self.assertEqual(result.state, "FAILURE")
        self.assertEqual(type(result.result).__name__, "ChordError")
        self.assertIn("the number of its parts is not known", str(result.result))
        print(f"a chord whose size was lost ended after {took:.0f} s", flush=True)
        fleet.await_mark(mark)
        time.sleep(1)
        self.assertEqual(fleet.stack.marks().count(mark), 1)

    def test_a_slow_part_is_waited_for(self):
        gate = f"gate-{uuid.uuid4()}"
        header = [on("py", "add", 1, 1), on("cpp", "add", 2, 2), on("py", "hold", gate)]
        body = fleet.client.ask("canvas", canvas={"chord": [header, on("cpp", "echo")]})["id"]
        time.sleep(25)  # longer than a chord that is stuck has to be quiet
        self.assertEqual(AsyncResult(body, app=fleet.tasks.app).state, "PENDING")
        fleet.stack.open_gate(gate)
        self.assertEqual(AsyncResult(body, app=fleet.tasks.app).get(timeout=PATIENCE), [2, 4, gate])


@unittest.skipIf("--control" in sys.argv, "the command is ours")
class Graph(unittest.TestCase):
    def graph(self, task_id, *options):
        command = [fleet.programs["worker"], "graph", task_id, *options]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE,
                              env=os.environ).stdout

    def test_a_workflow_of_both(self):
        pair = {"group": [on("py", "add", 1), on("cpp", "add", 2), {"chain": [on("py", "add", 3), on("cpp", "add", 4)]}]}
        steps = [on("cpp", "add", 1, 1), pair, on("py", "total"), on("cpp", "add", 100)]
        last = fleet.client.ask("canvas", canvas={"chain": steps})["id"]
        self.assertEqual(AsyncResult(last, app=fleet.tasks.app).get(timeout=PATIENCE), 116)
        root = fleet.await_record(last)  # a step is stored after what follows it was sent
        while root.get("parent_id"):
            root = fleet.await_record(root["parent_id"])

        graph = until(lambda: self.whole(root["task_id"]), "a graph of the whole workflow")
        nodes = {node["id"]: node for node in graph["nodes"]}
        tasks = [node for node in nodes.values() if node["type"] == "task"]
        self.assertEqual(len(tasks), 7)
        self.assertEqual({node["state"] for node in tasks}, {"SUCCESS"})
        edges = {(edge["from"], edge["to"]) for edge in graph["edges"]}
        group, = [node["id"] for node in nodes.values() if node["type"] == "group"]
        self.assertIn((root["task_id"], group), edges)
        self.assertEqual(len([edge for edge in edges if edge[0] == group]), 3)
        self.assertEqual(len([edge for edge in edges if edge[1] == last]), 1)
        dot = self.graph(root["task_id"])
        self.assertTrue(dot.startswith("digraph workflow {"))
        self.assertEqual(dot.count(" -> "), len(edges))
        if os.environ.get("LOVAGE_KEEP_GRAPH"):
            with open(os.environ["LOVAGE_KEEP_GRAPH"], "w") as kept:
                kept.write(dot)
        self.assertEqual(sorted(self.graph(last).splitlines()), sorted(dot.splitlines()))

    def whole(self, root):
        graph = json.loads(self.graph(root, "--format", "json"))
        return graph if len(graph["nodes"]) == 8 else None


if __name__ == "__main__":
    fleet.main()
