"""Lovage and Celery on one RabbitMQ and one Redis, in every combination of client and worker.

Usage: live_test.py LOVAGE_WORKER LOVAGE_CLIENT PROJECT_WORKER [unittest's arguments]
       live_test.py --control [unittest's arguments]

Queue `cpp` is served by a Lovage worker, `py` by a Celery worker, `mixed` by both. With --control a Celery worker and client
take Lovage's places: what fails then is expected wrongly.
"""
import collections
import datetime
import decimal
import json
import math
import os
import pathlib
import subprocess
import sys
import time
import unittest
import uuid

import celery
import kombu
from celery.exceptions import ChordError, NotRegistered, SoftTimeLimitExceeded, TaskRevokedError

import frames
from harness import HERE, PATIENCE, Client, Recorder, Stack, until

UTC = datetime.timezone.utc
TAGGED_JSON = kombu.VERSION >= (5, 3)  # Python's dates and bytes come back as what they were.
BIG = int("123456789" * 33 + "123")
VALUES = [None, True, 0, -1, 2**31, 2**63, BIG, -BIG, 0.1, 1e300, "", "žluťoučký ☃ 😀 \x00\x7f", "\ud800 alone", [], {},
          {"a": [1, {"b": [None, [[]]]}], "ключ": "значение", "": 0}, [[[[1]]]], math.inf]

programs = {}
stack: Stack
client: Client
tasks = None  # tasks.py, which needs the stack's URLs when it is imported.


def setUpModule():
    global stack, client, tasks
    stack = Stack()
    try:
        import tasks as imported
        tasks = imported
        start_celery("python", "py,mixed")
        start_lovage("lovage", "cpp,mixed")
        client = Client(programs["client"], stack.folder)
        for queue, consumers in (("py", 1), ("cpp", 1), ("mixed", 2)):
            await_consumers(queue, consumers)
    except BaseException:
        stack.close(failed=True)
        raise


def tearDownModule():
    client.close()
    tasks.app.close()
    stack.close()


def start_celery(name, queues, slots=2, **environment):
    return stack.start(name, [sys.executable, "-B", "-m", "celery", "-A", "tasks", "worker", "-Q", queues, "-c", slots,
                              "-n", f"{name}@%h", "-l", "info", "--without-gossip", "--without-mingle"], **environment)


def start_lovage(name, queues, slots=2, **environment):
    if programs["worker"] is None:
        return start_celery(name, queues, slots, INTEROP_MAX_PRIORITY=environment.get("LOVAGE_TASK_QUEUE_MAX_PRIORITY", "0"))
    return stack.start(name, [programs["worker"], "worker", "-Q", queues, "-c", slots, "-n", f"{name}@%h"], **environment)


def await_consumers(queue, number):
    """Asked of the broker itself, which counts at once."""
    def consumers():
        for child in stack.children:
            child.check_alive()
        with tasks.app.connection_for_write() as connection:
            try:
                return connection.default_channel.queue_declare(queue, passive=True).consumer_count
            except Exception:  # The client libraries differ in what they raise for a queue that is not there.
                return 0
    until(lambda: consumers() >= number, f"{number} consumers of {queue}")


def record(task_id):
    """The record as it lies in Redis, or None."""
    text = tasks.app.backend.client.get(f"celery-task-meta-{task_id}")
    return None if text is None else json.loads(text)


def await_record(task_id):
    return until(lambda: record(task_id), f"a record of {task_id}")


def await_mark(key):
    until(lambda: key in stack.marks(), f"mark {key}")


class PythonCallsLovage(unittest.TestCase):
    """A stock Celery client; .get() is what its caller would see."""

    def get(self, result):
        return result.get(timeout=PATIENCE)

    def call(self, task, *args, **kwargs):
        return self.get(task.apply_async(args, kwargs, queue="cpp"))

    def test_arguments_by_position_by_name_and_by_default(self):
        self.assertEqual(self.call(tasks.add, 2, 3), 5)
        self.assertEqual(self.call(tasks.add, 2), 12)
        self.assertEqual(self.call(tasks.add, y=1, x=2), 3)
        self.assertEqual(self.call(tasks.add, 1, y=2), 3)

    def test_values_come_back_as_they_went(self):
        results = [tasks.echo.apply_async((value,), queue="cpp") for value in VALUES]
        for value, result in zip(VALUES, results):
            with self.subTest(value=value):
                back = self.get(result)
                self.assertEqual(back, value)
                self.assertIs(type(back), type(value))
        self.assertTrue(math.isnan(self.call(tasks.echo, math.nan)))
        self.assertEqual(math.copysign(1, self.call(tasks.echo, -0.0)), -1)

    def test_a_mebibyte_of_text(self):
        text = "0123456789abcde☃" * (1 << 16)
        self.assertEqual(self.call(tasks.echo, text), text)

    def test_bytes(self):
        self.assertEqual(self.call(tasks.echo_bytes, "plain"), "plain")
        if TAGGED_JSON:  # Before, Python could not send any.
            self.assertIn(self.call(tasks.echo_bytes, b"plain"), (b"plain", "plain"))
            self.assertEqual(self.call(tasks.echo_bytes, b"\xff\x00\xfe"), b"\xff\x00\xfe")
            self.assertEqual(self.call(tasks.echo, {"deep": [b"\xff"]}), {"deep": [b"\xff"]})

    def test_moments_to_a_typed_task(self):
        moment = datetime.datetime(2026, 11, 21, 18, 30, 1, 250000, tzinfo=UTC)
        elsewhere = moment.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
        for sent in (moment, elsewhere, moment.isoformat()):
            back = self.call(tasks.echo_time, sent)
            if isinstance(back, str):
                back = datetime.datetime.fromisoformat(back.replace("Z", "+00:00"))
            self.assertEqual(back, moment)

    def test_what_json_has_no_form_for_passes_through(self):
        values = [datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.date(2026, 1, 2), datetime.time(1, 2, 3),
                  decimal.Decimal("1.50"), uuid.UUID(int=7)]
        back = self.call(tasks.echo, values)
        if TAGGED_JSON:
            self.assertEqual(back, values)
        else:  # Text, which nobody can turn back: the same as between two Python programs.
            self.assertEqual(back, ["2026-01-02T03:04:05.000006", "2026-01-02T00:00:00", "01:02:03", "1.50",
                                    str(uuid.UUID(int=7))])

    def test_failures_are_raised_as_the_right_exception(self):
        for kind, expected in (("ValueError", ValueError), ("IndexError", IndexError), ("RuntimeError", RuntimeError),
                               ("KeyError", KeyError), ("ZeroDivisionError", ZeroDivisionError), ("Refused", tasks.Refused)):
            with self.subTest(kind):
                result = tasks.fail.apply_async((kind, "no ☃ today"), queue="cpp")
                with self.assertRaises(expected) as raised:
                    self.get(result)
                self.assertEqual(raised.exception.args, ("no ☃ today",))
                self.assertEqual(result.state, "FAILURE")
                self.assertTrue(result.failed())
                self.assertIn("Traceback (most recent call last)", result.traceback)
                self.assertIn("no ☃ today", result.traceback)
                self.assertIsInstance(result.get(timeout=PATIENCE, propagate=False), expected)

    @unittest.skipIf("--control" in sys.argv, "a Python program cannot raise what it does not know")
    def test_failures_that_python_does_not_know_keep_their_name(self):
        result = tasks.fail.apply_async(("OutOfStock", "mint"), queue="cpp")
        with self.assertRaises(Exception) as raised:
            self.get(result)
        self.assertEqual((type(raised.exception).__name__, str(raised.exception)), ("OutOfStock", "mint"))
        self.assertEqual(record(result.id)["result"]["exc_module"], "shop.errors")

    def test_arguments_that_do_not_fit_are_a_type_error(self):
        for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})):
            with self.subTest(args=args, kwargs=kwargs), self.assertRaises(TypeError):
                self.get(tasks.app.send_task("tasks.add", args, kwargs, queue="cpp"))

    def test_a_task_nobody_knows(self):
        with self.assertRaises(NotRegistered) as raised:
            self.get(tasks.app.send_task("tasks.nowhere", queue="cpp"))
        self.assertEqual(raised.exception.args, ("tasks.nowhere",))

    def test_ignored_results_are_not_stored(self):
        key = f"quiet-{uuid.uuid4()}"
        result = tasks.quiet.apply_async((key,), queue="cpp")
        await_mark(key)
        # With one more task run, the first one's result would be there.
        self.call(tasks.add, 1)
        self.assertIsNone(record(result.id))
        self.assertEqual(result.state, "PENDING")

    def test_countdown_and_eta(self):
        west = datetime.timezone(datetime.timedelta(hours=-8))
        for options in (lambda: {"countdown": 0.5},
                        lambda: {"eta": datetime.datetime.now(west) + datetime.timedelta(seconds=0.5)}):
            started = time.monotonic()
            self.assertEqual(self.get(tasks.add.apply_async((1,), queue="cpp", **options())), 11)
            self.assertGreater(time.monotonic() - started, 0.45)

    def test_expired_tasks_are_revoked(self):
        key = f"late-{uuid.uuid4()}"
        result = tasks.mark.apply_async((key,), queue="cpp", countdown=0.6, expires=0.2)
        with self.assertRaises(TaskRevokedError) as raised:
            self.get(result)
        self.assertEqual(raised.exception.args, ("expired",))
        self.assertEqual(result.state, "REVOKED")
        self.assertNotIn(key, stack.marks())
        self.assertEqual(self.get(tasks.add.apply_async((1,), queue="cpp", expires=PATIENCE)), 11)

    def test_headers_ids_and_retries_arrive(self):
        task_id = f"order/{uuid.uuid4()}"
        seen = self.get(tasks.about.apply_async((["x-tenant", "x-deep", "x-none"],), queue="cpp", task_id=task_id,
                                                headers={"x-tenant": "č", "x-deep": {"a": [1, None, True]}}))
        self.assertEqual(seen, {"id": task_id, "root_id": task_id, "correlation_id": task_id, "retries": 0,
                                "headers": {"x-tenant": "č", "x-deep": {"a": [1, None, True]}, "x-none": None}})

    def test_protocol_1(self):
        old = tasks.make_app(task_protocol=1)
        self.addCleanup(old.close)
        self.assertEqual(self.get(old.send_task("tasks.add", (2, 3), queue="cpp")), 5)
        with self.assertRaises(ValueError):
            self.get(old.send_task("tasks.fail", ("ValueError", "old"), queue="cpp"))

    def test_compressed_messages(self):
        text = "compressible " * 1000
        self.assertEqual(self.get(tasks.echo.apply_async((text,), queue="cpp", compression="zlib")), text)

    def test_a_retry_is_seen_and_then_succeeds(self):
        result = tasks.flaky.apply_async((2,), {"countdown": 0.5}, queue="cpp")
        until(lambda: result.state == "RETRY", "state RETRY")
        self.assertIsInstance(result.result, RuntimeError)
        self.assertEqual(result.result.args, ("try again",))
        self.assertIn("Retry in 0.5s: RuntimeError('try again')", result.traceback)
        self.assertEqual(self.get(result), 2)
        self.assertEqual(record(result.id)["parent_id"], result.id)

    def test_retries_end_with_their_cause(self):
        with self.assertRaisesRegex(RuntimeError, "try again"):
            self.call(tasks.flaky, 10, 0)

    def test_the_soft_time_limit(self):
        result = tasks.spin.apply_async(queue="cpp", soft_time_limit=1)
        with self.assertRaises(SoftTimeLimitExceeded):
            self.get(result)

    def test_states_and_forgetting(self):
        key = f"gate-{uuid.uuid4()}"
        result = tasks.hold.apply_async((key,), queue="cpp")
        self.assertEqual(result.state, "PENDING")
        self.assertFalse(result.ready())
        stack.open_gate(key)
        self.assertEqual(self.get(result), key)
        self.assertEqual((result.state, result.successful(), result.children), ("SUCCESS", True, []))
        result.forget()
        self.assertIsNone(record(result.id))
        self.assertEqual(tasks.app.AsyncResult(result.id).state, "PENDING")

    def test_children(self):
        result = tasks.spawn.apply_async((5, "py"), queue="cpp")
        child_id = self.get(result)
        self.assertEqual([child.id for child in result.children], [child_id])
        self.assertEqual(self.get(result.children[0]), 15)
        self.assertEqual(record(child_id)["parent_id"], result.id)

    def test_many_at_once(self):
        results = [tasks.add.apply_async((i, i), queue="cpp") for i in range(500)]
        self.assertEqual([self.get(result) for result in results], [2 * i for i in range(500)])

    def test_the_celery_command(self):
        def run(*arguments):
            command = [sys.executable, "-B", "-m", "celery", "-b", stack.broker_url, "--result-backend", stack.redis_url]
            return subprocess.run([*command, *arguments], check=True, text=True, stdout=subprocess.PIPE, cwd=HERE,
                                  stdin=subprocess.DEVNULL, timeout=PATIENCE).stdout.split()[-1]
        task_id = run("call", "tasks.add", "-a", "[20]", "-k", '{"y": 22}', "--queue", "cpp")
        self.assertEqual(self.get(tasks.app.AsyncResult(task_id)), 42)
        self.assertEqual(run("result", task_id), "42")


class LovageCallsPython(unittest.TestCase):
    """A stock Celery worker."""

    def call(self, task, *args, **options):
        return client.call(task, *args, queue="py", **options)

    def failure(self, task_id):
        with self.assertRaises(Client.Failed) as raised:
            client.get(task_id)
        return raised.exception.args[0]

    def test_arguments_by_position_by_name_and_by_default(self):
        self.assertEqual(self.call("tasks.add", 2, 3), 5)
        self.assertEqual(self.call("tasks.add", 2), 12)
        self.assertEqual(self.call("tasks.add", kwargs={"y": 1, "x": 2}), 3)
        self.assertEqual(self.call("tasks.add", 1, kwargs={"y": 2}), 3)

    def test_values_come_back_as_they_went(self):
        ids = [client.send("tasks.echo", value, queue="py") for value in VALUES]
        for value, task_id in zip(VALUES, ids):
            with self.subTest(value=value):
                self.assertEqual(client.get(task_id), value)
        self.assertTrue(math.isnan(self.call("tasks.echo", math.nan)))

    def test_a_mebibyte_of_text(self):
        text = "0123456789abcde☃" * (1 << 16)
        self.assertEqual(self.call("tasks.echo", text), text)

    def test_bytes_and_moments(self):
        moment = "2026-11-21T18:30:01.250000+00:00"
        for task, args in (("tasks.moment", ()), ("tasks.echo_time", (moment,))):
            self.assertEqual(client.ask("get", id=client.send(task, *args, queue="py"), timeout=PATIENCE, kind="moment"), moment)
        if TAGGED_JSON:
            for task, args in (("tasks.some_bytes", ()), ("tasks.echo_bytes", ({"__type__": "base64", "__value__": "/wD+"},))):
                task_id = client.send(task, *args, queue="py")
                self.assertEqual(client.ask("get", id=task_id, timeout=PATIENCE, kind="bytes"), [255, 0, 254])

    def test_failures(self):
        for kind, module in (("ValueError", "builtins"), ("KeyError", "builtins"), ("Refused", "tasks")):
            with self.subTest(kind):
                task_id = client.send("tasks.fail", kind, "no ☃ today", queue="py")
                failure = self.failure(task_id)
                self.assertEqual((failure["exc_type"], failure["message"], failure["module"]), (kind, "no ☃ today", module))
                self.assertIn("in fail\n", failure["traceback"])
                self.assertEqual(client.ask("state", id=task_id), "FAILURE")

    def test_arguments_that_do_not_fit(self):
        failure = self.failure(client.send("tasks.add", 1, 2, 3, queue="py"))
        self.assertEqual(failure["exc_type"], "TypeError")

    def test_a_task_nobody_knows(self):
        failure = self.failure(client.send("tasks.nowhere", queue="py"))
        self.assertEqual((failure["exc_type"], failure["message"]), ("NotRegistered", "tasks.nowhere"))

    def test_ignored_results_are_not_stored(self):
        key = f"quiet-{uuid.uuid4()}"
        task_id = client.send("tasks.quiet", key, queue="py", ignore_result=True)
        await_mark(key)
        self.call("tasks.add", 1)
        self.assertIsNone(record(task_id))
        self.assertEqual(client.ask("state", id=task_id), "PENDING")

    def test_countdown_and_eta(self):
        for options in (lambda: {"countdown": 0.5},
                        lambda: {"eta": (datetime.datetime.now(UTC) + datetime.timedelta(seconds=0.5)).isoformat()}):
            started = time.monotonic()
            self.assertEqual(self.call("tasks.add", 1, **options()), 11)
            self.assertGreater(time.monotonic() - started, 0.45)

    def test_expired_tasks_are_revoked(self):
        key = f"late-{uuid.uuid4()}"
        task_id = client.send("tasks.mark", key, queue="py", countdown=0.6, expires=0.2)
        failure = self.failure(task_id)
        self.assertEqual((failure["exc_type"], failure["message"]), ("TaskRevokedError", "expired"))
        self.assertEqual(client.ask("state", id=task_id), "REVOKED")
        self.assertNotIn(key, stack.marks())

    def test_headers_ids_and_retries_arrive(self):
        task_id = f"order/{uuid.uuid4()}"
        seen = self.call("tasks.about", ["x-tenant", "x-deep"], task_id=task_id,
                         headers={"x-tenant": "č", "x-deep": {"a": [1, None, True]}})
        self.assertEqual(seen, {"id": task_id, "root_id": task_id, "correlation_id": task_id, "retries": 0,
                                "headers": {"x-tenant": "č", "x-deep": {"a": [1, None, True]}}})

    def test_states_of_its_own_and_forgetting(self):
        key = f"gate-{uuid.uuid4()}"
        task_id = client.send("tasks.progress", key, queue="py")
        until(lambda: client.ask("state", id=task_id) == "PROGRESS", "PROGRESS")
        stack.open_gate(key)
        self.assertIsNone(client.get(task_id))
        self.assertEqual(client.ask("state", id=task_id), "SUCCESS")
        client.ask("forget", id=task_id)
        self.assertIsNone(record(task_id))
        self.assertEqual(client.ask("state", id=task_id), "PENDING")

    def test_children(self):
        task_id = client.send("tasks.spawn", 5, "cpp", queue="py")
        child_id = client.get(task_id)
        self.assertEqual(client.ask("children", id=task_id)[0][0][0], child_id)
        self.assertEqual(client.get(child_id), 15)
        self.assertEqual(record(child_id)["parent_id"], task_id)


class OneFleet(unittest.TestCase):
    """Both workers on one queue."""

    def test_serves_both_clients(self):
        ours = [client.send("tasks.who", queue="mixed") for _ in range(150)]
        theirs = [tasks.who.apply_async(queue="mixed") for _ in range(150)]
        served = collections.Counter(client.get(task_id) for task_id in ours)
        served.update(result.get(timeout=PATIENCE) for result in theirs)
        self.assertEqual(sum(served.values()), 300)
        if programs["worker"]:
            self.assertEqual(set(served), {"c++", "python"})

    def test_retries_go_from_one_kind_of_worker_to_the_other(self):
        hops = 8
        results = [tasks.relay.apply_async(([], hops), queue="mixed") for _ in range(20)]
        steps = collections.Counter()
        for result in results:
            runners = result.get(timeout=PATIENCE)
            self.assertEqual(len(runners), hops)
            steps.update(zip(runners, runners[1:]))
        for step in (("python", "c++"), ("c++", "python")) if programs["worker"] else ():
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
            self.assertAlmostEqual(tasks.app.backend.client.ttl(f"celery-task-meta-{meta['task_id']}"), 86400, delta=PATIENCE)

    def settled(self, name, args, queue):
        result = tasks.app.send_task(name, args, queue=queue)
        result.get(timeout=PATIENCE, propagate=False)
        return record(result.id)

    def test_sends_one_message(self):
        """What both clients write to the broker for one call, to the type letter of every header, differs in who sent it,
        in our wish to hear when no queue takes it, and in nothing else."""
        calls = [((1, 2), {}, {}), ((), {"x": 1}, {"priority": 3}), (("☃", None, 2**40, 2**70), {}, {"headers": {"x-n": 1}}),
                 ((), {}, {"expires": 600}), ((), {}, {"ignore_result": True}), (("x" * 200_000,), {}, {}),
                 ((1.5, True), {"k": [1]}, {"eta": "2027-01-02T03:04:05.000006+00:00"}),
                 ((), {}, {"headers": {"x-all": [None, True, -1, 2**31, 2**40, 1.5, "☃", {"a": []}]}})]
        ids = [str(uuid.uuid4()) for _ in calls]
        recorder = Recorder(stack.broker_url)
        self.addCleanup(recorder.close)

        speaker = Client(programs["client"], stack.folder, CELERY_BROKER_URL=recorder.url)
        for task_id, (args, kwargs, options) in zip(ids, calls):
            speaker.send("tasks.add", *args, kwargs=kwargs, queue="kept", task_id=task_id, **options)
        speaker.close()
        ours = self.recorded(recorder, ids)

        recorder.sent.clear()
        with kombu.Connection(recorder.url, transport_options={"confirm_publish": True}) as connection:
            for task_id, (args, kwargs, options) in zip(ids, calls):
                if "eta" in options:
                    options = {"eta": datetime.datetime.fromisoformat(options["eta"])}
                tasks.app.send_task("tasks.add", args, kwargs, queue="kept", task_id=task_id, connection=connection, **options)
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
        if programs["worker"]:
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


class Workflows(unittest.TestCase):
    """Canvases of a stock Celery client whose tasks run in both languages, in any position."""

    def get(self, result):
        return result.get(timeout=PATIENCE)

    @staticmethod
    def on(queue, task, *args, **kwargs):
        return task.s(*args, **kwargs).set(queue=queue)

    def visits(self, *queues):
        return [self.on(queue, tasks.visit) for queue in queues]

    @staticmethod
    def runners(*queues):
        if "--control" in sys.argv:
            return ["python" for _ in queues]
        return [{"cpp": "c++", "py": "python"}[queue] for queue in queues]

    def test_chains_go_to_and_fro(self):
        for queues in (("cpp", "py", "cpp"), ("py", "cpp", "py"), ("cpp", "cpp"), ("cpp",), ("py", "cpp") * 10):
            with self.subTest(queues):
                result = celery.chain(*self.visits(*queues), app=tasks.app).apply_async()
                self.assertEqual(self.get(result), self.runners(*queues))
                steps = [result]
                while steps[-1].parent is not None:
                    steps.append(steps[-1].parent)
                for step, before in zip(steps, steps[1:]):
                    # Celery stores a step's record after it has sent the next one.
                    self.assertEqual(await_record(step.id)["parent_id"], before.id)
                    self.assertEqual(await_record(before.id)["children"], [[[step.id, None], None]])
                self.assertEqual(len(steps), len(queues))

    def test_immutable_steps_take_no_result(self):
        first, second = self.on("cpp", tasks.add, 1, 2), tasks.add.si(10, 20).set(queue="cpp")
        self.assertEqual(self.get((first | second | self.on("cpp", tasks.add, y=5)).apply_async()), 35)

    def test_groups_of_both(self):
        result = celery.group([self.on(("cpp", "py")[i % 2], tasks.add, i, i) for i in range(40)], app=tasks.app).apply_async()
        self.assertEqual(self.get(result), [2 * i for i in range(40)])
        self.assertEqual({record(part.id)["group_id"] for part in result.results}, {result.id})

    def test_chords_of_either_and_of_both(self):
        for header, body in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp"), ("mixed", "mixed"), ("mixed", "cpp")):
            with self.subTest(header=header, body=body):
                parts = [self.on(header, tasks.add, i, i) for i in range(100)]
                self.assertEqual(self.get(celery.chord(parts, app=tasks.app)(self.on(body, tasks.echo))),
                                 [2 * i for i in range(100)])

    def test_a_finished_chord_leaves_no_keys(self):
        result = celery.chord([self.on("cpp", tasks.add, 1, 1), self.on("cpp", tasks.add, 2, 2)],
                              app=tasks.app)(self.on("cpp", tasks.total))
        self.assertEqual(self.get(result), 6)
        until(lambda: not tasks.app.backend.client.keys(f"celery-taskset-meta-{result.parent.id}.*"), "the keys are gone")

    def test_a_task_then_a_group_then_a_task(self):
        for first, middle, last in (("cpp", "cpp", "cpp"), ("cpp", "py", "cpp"), ("py", "cpp", "py"), ("cpp", "mixed", "mixed")):
            with self.subTest(first=first, middle=middle, last=last):
                canvas = (self.on(first, tasks.add, 1, 1) |
                          celery.group([self.on(middle, tasks.add, 10 * i) for i in range(5)], app=tasks.app) |
                          self.on(last, tasks.total) | self.on(first, tasks.add, 1000))
                self.assertEqual(self.get(canvas.apply_async()), 1110)

    def test_canvases_in_canvases(self):
        for one, other in (("cpp", "cpp"), ("cpp", "py"), ("py", "cpp"), ("mixed", "mixed")):
            with self.subTest(one=one, other=other):
                def numbers(queue):
                    return [self.on(queue, tasks.add, i, i) for i in (1, 2, 3)]
                inner = celery.chord(numbers(one), self.on(other, tasks.total), app=tasks.app)
                stepwise = self.on(one, tasks.add, 1, 1) | self.on(other, tasks.add, 5)
                outer = celery.chord([inner, stepwise, self.on(other, tasks.add, 4, 4)], app=tasks.app)
                self.assertEqual(self.get(outer(self.on(one, tasks.echo))), [12, 7, 8])
                deep = celery.chain(self.on(one, tasks.add, 1, 1),
                                    celery.group([self.on(other, tasks.add, 1), self.on(one, tasks.add, 2)], app=tasks.app),
                                    self.on(other, tasks.total),
                                    celery.group([self.on(one, tasks.add, 1), self.on(other, tasks.add, 2)], app=tasks.app),
                                    self.on(one, tasks.echo), app=tasks.app)
                self.assertEqual(self.get(deep.apply_async()), [8, 9])

    @unittest.skipIf("--control" in sys.argv, "its workers overwrite the chord's size: [[3, 4], None]")
    def test_a_header_that_ends_in_a_group(self):
        group = celery.group([self.on("cpp", tasks.add, 1), self.on("cpp", tasks.add, 2)], app=tasks.app)
        parts = [self.on("py", tasks.add, 1, 1) | group, self.on("cpp", tasks.add, 4, 4)]
        self.assertEqual(self.get(celery.chord(parts, app=tasks.app)(self.on("cpp", tasks.echo))), [[3, 4], 8])

    def test_callbacks_and_errbacks(self):
        for queue, other in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp")):
            with self.subTest(queue=queue, other=other):
                done, failed = f"done-{uuid.uuid4()}", f"failed-{uuid.uuid4()}"
                result = tasks.echo.apply_async((done,), queue=queue, link=self.on(other, tasks.mark))
                await_mark(done)
                [[[callback, _], _]] = await_record(result.id)["children"]
                self.assertEqual(await_record(callback)["parent_id"], result.id)
                both = [tasks.mark.si(f"{done}-{i}").set(queue=other) for i in range(2)]
                result = tasks.echo.apply_async((1,), queue=queue, link=both)
                await_mark(f"{done}-0")
                await_mark(f"{done}-1")
                [[_, members]] = await_record(result.id)["children"]
                self.assertEqual(len(members), 2)
                tasks.fail.apply_async(("ValueError", "no"), queue=queue, task_id=failed,
                                       link_error=self.on(other, tasks.mark))
                await_mark(failed)

    def test_a_failure_ends_the_chain(self):
        for queue, other in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp")):
            with self.subTest(queue=queue, other=other):
                result = celery.chain(self.on(other, tasks.add, 1, 1), tasks.fail.si("ValueError", "no").set(queue=queue),
                                      self.on(other, tasks.echo), self.on(queue, tasks.echo), app=tasks.app).apply_async()
                with self.assertRaisesRegex(ValueError, "no"):
                    self.get(result)
                for step in (result, result.parent):
                    self.assertEqual(await_record(step.id)["result"]["exc_type"], "ValueError")

    def test_a_failed_part_fails_the_chord(self):
        for queue, other in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp")):
            with self.subTest(queue=queue, other=other):
                body = self.on(other, tasks.total).set(task_id=f"body-{uuid.uuid4()}")
                body.link_error(self.on(other, tasks.mark))
                result = celery.chord([self.on(other, tasks.add, 1, 1), self.on(queue, tasks.fail, "ValueError", "part"),
                                       self.on(queue, tasks.add, 2, 2)], app=tasks.app)(body)
                await_mark(result.id)
                failure = await_record(result.id)["result"]
                self.assertEqual((failure["exc_type"], failure["exc_module"]), ("ChordError", "celery.exceptions"))
                self.assertRegex(failure["exc_message"][0], r"Dependency .* raised ValueError\('part'\)")
                self.assertEqual(stack.marks().count(result.id), 1)

    def test_a_retried_part_counts_once(self):
        parts = [self.on("cpp", tasks.flaky, 2, 0.05), self.on("py", tasks.flaky, 1, 0.05)]
        self.assertEqual(self.get(celery.chord(parts, app=tasks.app)(self.on("cpp", tasks.total))), 3)

    @unittest.skipIf("--control" in sys.argv, "Celery's workers lose what they run when they are killed")
    def test_killed_workers_break_no_workflow(self):
        """Whatever was sent, stored or counted when a worker died is done again, under the same ids."""
        survivor = start_lovage("survivor", "victims")
        await_consumers("victims", 1)
        for number in range(5):
            victim = start_lovage(f"victim-{number}", "victims", 4)
            await_consumers("victims", 2)
            chords = [celery.chord([self.on("victims", tasks.add, i, i) for i in range(20)], app=tasks.app)
                      (self.on("victims", tasks.total)) for _ in range(20)]
            chains = [celery.chain(*self.visits(*["victims"] * 10), app=tasks.app).apply_async() for _ in range(20)]
            until(lambda: sum(result.ready() for result in chords) >= 2 + 3 * number, "some are done")
            victim.kill()
            stack.children.remove(victim)
            self.assertEqual([self.get(result) for result in chords], [380] * 20)
            self.assertEqual([len(self.get(result)) for result in chains], [10] * 20)
        stack.stop(survivor)

    def test_protocol_1_chains(self):
        old = tasks.make_app(task_protocol=1)
        self.addCleanup(old.close)
        steps = [old.signature("tasks.add", args, queue="cpp") for args in ((1, 2), (10,), (100,))]
        self.assertEqual(self.get(celery.chain(*steps, app=old).apply_async()), 113)


class Priorities(unittest.TestCase):
    """A queue that one side's worker declared, the other side's client sends to, and is worked off by the other side."""

    def check(self, queue, declare, send, work):
        limits = {"LOVAGE_TASK_QUEUE_MAX_PRIORITY": "9", "INTEROP_MAX_PRIORITY": "9"}
        declaring = declare(f"{queue}-declares", queue, slots=1, **limits)
        await_consumers(queue, 1)
        stack.stop(declaring)
        for priority in (1, 9, 5, 3, 7):
            send(f"{queue}-{priority}", priority)
        work(f"{queue}-works", queue, slots=1, **limits)
        await_mark(f"{queue}-1")
        self.assertEqual([mark for mark in stack.marks() if mark.startswith(queue)],
                         [f"{queue}-{priority}" for priority in (9, 7, 5, 3, 1)])

    def test_from_python_to_lovage(self):
        app = tasks.make_app(task_queue_max_priority=9)
        self.addCleanup(app.close)
        self.check("urgent-cpp", start_celery, lambda key, priority: app.send_task(
            "tasks.mark", (key,), queue="urgent-cpp", priority=priority), start_lovage)

    def test_from_lovage_to_python(self):
        urgent = Client(programs["client"], stack.folder, LOVAGE_TASK_QUEUE_MAX_PRIORITY="9", INTEROP_MAX_PRIORITY="9")
        self.addCleanup(urgent.close)
        self.check("urgent-py", start_lovage, lambda key, priority: urgent.send(
            "tasks.mark", key, queue="urgent-py", priority=priority), start_celery)


class FastApiProject(unittest.TestCase):
    """The calls of the original project's API (FastAPI and Celery) to project-worker."""

    @classmethod
    def setUpClass(cls):
        if programs["project"] is None:
            raise unittest.SkipTest("there is no project-worker in Python here")
        cls.worker = stack.start("project", [programs["project"], "worker", "-Q", "project-worker", "-c", 2,
                                             "-n", "project-worker@%h"])
        # The settings of the original producer.
        cls.app = tasks.make_app(broker_transport_options={"confirm_publish": True, "max_retries": 5},
                                 redis_socket_keepalive=True, accept_content=["json", "pickle"])
        cls.addClassCleanup(cls.app.close)
        await_consumers("project-worker", 1)

    def send(self, name, *args, **kwargs):
        return self.app.send_task(name, args, kwargs, queue="project-worker", retry=True,
                                  retry_policy={"max_retries": 3, "interval_start": 3, "interval_step": 1, "interval_max": 6})

    def get(self, result):
        """As the API does: wait until it is ready, then fetch and forget it."""
        until(result.ready, "the task is ready")
        value = result.get(timeout=0.5)
        result.forget()
        return value

    def test_integer_multiplication(self):
        self.assertEqual(self.get(self.send("integer-multiplication", integer=21)), 42)
        self.assertEqual(self.get(self.send("integer-multiplication", integer=-3, multiply_by=5)), -15)
        self.assertEqual(self.get(self.send("integer-multiplication", 7, 6)), 42)

    def test_integers_sum(self):
        self.assertEqual(self.get(self.send("integers-sum", integers=[1, 2, 3])), 6)
        self.assertEqual(self.get(self.send("integers-sum", [])), 0)

    def test_integers_beyond_64_bits(self):
        product = 1
        for _ in range(70):  # The original's chain endpoint doubles that often.
            product = self.get(self.send("integer-multiplication", product))
        self.assertEqual(product, 2**70)
        self.assertEqual(self.get(self.send("integers-sum", [BIG, BIG])), 2 * BIG)

    def signature(self, name, *args, **kwargs):
        return self.app.signature(name, args, kwargs, queue="project-worker")

    def chain(self, integer, number):
        return celery.chain(self.signature("integer-multiplication", integer=integer),
                            *(self.signature("integer-multiplication") for _ in range(number)), app=self.app)

    def group(self, integer, number):
        return celery.group([self.signature("integer-multiplication", integer=integer, multiply_by=place)
                             for place in range(number)], app=self.app)

    def test_chain_integers_multiplication(self):
        for number in (0, 1, 5, 100):  # 2 ** 101 has 31 digits.
            with self.subTest(number):
                self.assertEqual(self.get(self.chain(3, number).apply_async()), 3 * 2**(number + 1))

    def test_group_integers_multiplication(self):
        for number in (1, 5, 50):
            with self.subTest(number):
                result = self.group(7, number).apply_async()
                result.save()
                self.assertEqual(self.get(self.app.GroupResult.restore(result.id)), [7 * place for place in range(number)])

    def test_chord_integers_multiplication(self):
        for number in (0, 1, 5, 50):
            with self.subTest(number):
                result = celery.chord(self.group(7, number), app=self.app)(self.signature("integers-sum"))
                self.assertEqual(self.get(result), sum(7 * place for place in range(number)))

    def test_a_failing_workflow_reaches_the_api(self):
        many = self.signature("integer-multiplication", "many")
        number = self.signature("integer-multiplication")
        with self.assertRaises(TypeError):
            celery.chain(many, number, number, app=self.app).apply_async().get(timeout=PATIENCE)
        body = celery.chord([many, self.signature("integer-multiplication", 1)],
                            app=self.app)(self.signature("integers-sum"))
        with self.assertRaises((ChordError, TypeError)):  # Python raises a parent's failure when it sees that first.
            body.get(timeout=PATIENCE)
        self.assertRegex(await_record(body.id)["result"]["exc_message"][0], "Dependency .* raised TypeError")

    def test_failures_reach_the_api(self):
        result = self.send("integer-multiplication", "many")
        with self.assertRaises(TypeError):
            result.get(timeout=PATIENCE)
        self.assertIn("integer", result.traceback)


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["--control"]:
        programs.update(worker=None, client=[sys.executable, "-B", HERE / "client.py"], project=None)
        arguments = arguments[1:]
    else:
        worker, lovage_client, project = (pathlib.Path(path).resolve() for path in arguments[:3])
        programs.update(worker=worker, client=[lovage_client], project=project)
        arguments = arguments[3:]
    print(f"celery {celery.__version__}, kombu {kombu.__version__}", flush=True)
    os.chdir(HERE)
    unittest.main(argv=[sys.argv[0], *arguments], warnings="ignore")


if __name__ == "__main__":
    main()
