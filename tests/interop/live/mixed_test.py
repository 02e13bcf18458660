"""Both workers on one queue, and what both kinds write, byte by byte."""
import collections
import datetime
import json
import unittest
import uuid

import celery
import kombu

import fleet
import frames
from harness import PATIENCE, Client, Recorder

UTC = datetime.timezone.utc

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class OneFleet(unittest.TestCase):
    """Both workers on one queue."""

    def test_serves_both_clients(self):
        ours = [fleet.client.send("tasks.who", queue="mixed") for _ in range(150)]
        theirs = [fleet.tasks.who.apply_async(queue="mixed") for _ in range(150)]
        served = collections.Counter(fleet.client.get(task_id) for task_id in ours)
        served.update(result.get(timeout=PATIENCE) for result in theirs)
        self.assertEqual(sum(served.values()), 300)
        if fleet.programs["worker"]:
            self.assertEqual(set(served), {"c++", "python"})

    def test_retries_go_from_one_kind_of_worker_to_the_other(self):
        hops = 8
        results = [fleet.tasks.relay.apply_async(([], hops), queue="mixed") for _ in range(20)]
        steps = collections.Counter()
        for result in results:
            runners = result.get(timeout=PATIENCE)
            self.assertEqual(len(runners), hops)
            steps.update(zip(runners, runners[1:]))
        for step in (("python", "c++"), ("c++", "python")) if fleet.programs["worker"] else ():
            self.assertGreater(steps[step], 0, steps)

    def test_keeps_one_record(self):
        """Key by key: what Python's worker writes for a call, ours writes, too."""
        calls = [("tasks.add", (1, 2)), ("tasks.echo", ({"a": [None, "☃"]},)), ("tasks.echo", (None,)),
                 ("tasks.fail", ("ValueError", "boom")), ("tasks.fail", ("Refused", "boom")), ("tasks.nowhere", ())]
        for name, args in calls:
            with self.subTest(name, args=args):
                theirs, ours = [self.settled(name, args, queue) for queue in ("py", "cpp")]
                self.assertEqual(list(ours), list(theirs))
                self.assertEqual([type(value) for value in ours.values()], [type(value) for value in theirs.values()])
                for meta in (ours, theirs):
                    del meta["task_id"], meta["traceback"]
                    done = datetime.datetime.fromisoformat(meta.pop("date_done"))
                    age = datetime.datetime.now(UTC) - (done if done.tzinfo else done.replace(tzinfo=UTC))
                    self.assertLess(abs(age.total_seconds()), PATIENCE)
                self.assertEqual(json.dumps(ours), json.dumps(theirs))

    def test_keeps_records_as_long(self):
        for queue in ("py", "cpp"):
            meta = self.settled("tasks.add", (1, 2), queue)
            seconds = fleet.tasks.app.backend.client.ttl(f"celery-task-meta-{meta['task_id']}")
            self.assertAlmostEqual(seconds, 86400, delta=PATIENCE)

    def settled(self, name, args, queue):
        result = fleet.tasks.app.send_task(name, args, queue=queue)
        result.get(timeout=PATIENCE, propagate=False)
        return fleet.record(result.id)

    def test_sends_one_message(self):
        """What both clients write to the broker for one call, to the type letter of every header, differs in who sent it,
        in our wish to hear when no queue takes it, and in nothing else."""
        calls = [((1, 2), {}, {}), ((), {"x": 1}, {"priority": 3}), (("☃", None, 2**40, 2**70), {}, {"headers": {"x-n": 1}}),
                 ((), {}, {"expires": 600}), ((), {}, {"ignore_result": True}), (("x" * 200_000,), {}, {}),
                 ((1.5, True), {"k": [1]}, {"eta": "2027-01-02T03:04:05.000006+00:00"}),
                 ((), {}, {"headers": {"x-all": [None, True, -1, 2**31, 2**40, 1.5, "☃", {"a": []}]}})]
        ids = [str(uuid.uuid4()) for _ in calls]
        recorder = Recorder(fleet.stack.broker_url)
        self.addCleanup(recorder.close)

        speaker = Client(fleet.programs["client"], fleet.stack.folder, CELERY_BROKER_URL=recorder.url)
        for task_id, (args, kwargs, options) in zip(ids, calls):
            speaker.send("tasks.add", *args, kwargs=kwargs, queue="kept", task_id=task_id, **options)
        speaker.close()
        ours = self.recorded(recorder, ids)

        recorder.sent.clear()
        with kombu.Connection(recorder.url, transport_options={"confirm_publish": True}) as connection:
            for task_id, (args, kwargs, options) in zip(ids, calls):
                if "eta" in options:
                    options = {"eta": datetime.datetime.fromisoformat(options["eta"])}
                fleet.tasks.app.send_task("tasks.add", args, kwargs, queue="kept", task_id=task_id, connection=connection,
                                          **options)
        theirs = self.recorded(recorder, ids)

        for (args, kwargs, options), our_message, their_message in zip(calls, ours, theirs):
            with self.subTest(args=str(args)[:50], kwargs=kwargs, options=options):
                self.assert_same(our_message, their_message)

    def recorded(self, recorder, ids):
        messages = [message for sent in recorder.sent for message in frames.published(sent)]
        self.assertEqual([message.properties["correlation_id"] for message in messages], ids)
        return messages

    def assert_same(self, ours, theirs):
        self.assertEqual((ours.exchange, ours.routing_key, ours.body), (theirs.exchange, theirs.routing_key, theirs.body))
        if fleet.programs["worker"]:
            self.assertEqual((ours.flags, theirs.flags), (1, 0))
        self.assertEqual(list(ours.properties), list(theirs.properties))
        known = [name for name, _, _ in theirs.properties["headers"]]
        for message in (ours, theirs):
            uuid.UUID(message.properties.pop("reply_to"))
            expiration = message.properties.pop("expiration", None)
            headers = []
            for name, letter, value in message.properties["headers"]:
                if name == "origin":
                    self.assertRegex(value, rb"^gen\d+@")
                    value = b""
                elif name == "expires" and value is not None:
                    due = datetime.datetime.fromisoformat(value.decode())
                    self.assertEqual(due.utcoffset(), datetime.timedelta(0))
                    self.assertAlmostEqual((due - datetime.datetime.now(UTC)).total_seconds(), 600, delta=PATIENCE)
                    self.assertAlmostEqual(int(expiration), 600_000, delta=PATIENCE * 1000)
                    value = b""
                elif name == "ignore_result" and celery.VERSION < (5, 6, 3):
                    value = None  # By message, it can be ignored since 5.6.3 only.
                # Fields that an older Celery does not know yet.
                if name in known:
                    headers.append((name, letter, value))
            message.properties["headers"] = headers
        self.assertEqual(ours.properties, theirs.properties)


class Priorities(unittest.TestCase):
    """A queue that one side's worker declared, the other side's client sends to, and is worked off by the other side."""

    def check(self, queue, declare, send, work):
        limits = {"LOVAGE_TASK_QUEUE_MAX_PRIORITY": "9", "INTEROP_MAX_PRIORITY": "9"}
        declaring = declare(f"{queue}-declares", queue, slots=1, **limits)
        fleet.await_consumers(queue, 1)
        fleet.stack.stop(declaring)
        for priority in (1, 9, 5, 3, 7):
            send(f"{queue}-{priority}", priority)
        work(f"{queue}-works", queue, slots=1, **limits)
        fleet.await_mark(f"{queue}-1")
        self.assertEqual([mark for mark in fleet.stack.marks() if mark.startswith(queue)],
                         [f"{queue}-{priority}" for priority in (9, 7, 5, 3, 1)])

    def test_from_python_to_lovage(self):
        app = fleet.tasks.make_app(task_queue_max_priority=9)
        self.addCleanup(app.close)
        self.check("urgent-cpp", fleet.start_celery, lambda key, priority: app.send_task(
            "tasks.mark", (key,), queue="urgent-cpp", priority=priority), fleet.start_lovage)

    def test_from_lovage_to_python(self):
        urgent = Client(fleet.programs["client"], fleet.stack.folder, LOVAGE_TASK_QUEUE_MAX_PRIORITY="9", INTEROP_MAX_PRIORITY="9")
        self.addCleanup(urgent.close)
        self.check("urgent-py", fleet.start_lovage, lambda key, priority: urgent.send(
            "tasks.mark", key, queue="urgent-py", priority=priority), fleet.start_celery)


if __name__ == "__main__":
    fleet.main()
