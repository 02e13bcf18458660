"""Every kind of call, from a Celery client to a Lovage worker and from a Lovage client to a Celery worker."""
import datetime
import decimal
import math
import subprocess
import sys
import time
import unittest
import uuid

import kombu
from celery.exceptions import NotRegistered, SoftTimeLimitExceeded, TaskRevokedError

import fleet
from harness import HERE, PATIENCE, Client, until

UTC = datetime.timezone.utc
TAGGED_JSON = kombu.VERSION >= (5, 3)  # Python's dates and bytes come back as what they were.
BIG = int("123456789" * 33 + "123")
VALUES = [None, True, 0, -1, 2**31, 2**63, BIG, -BIG, 0.1, 1e300, "", "žluťoučký ☃ 😀 \x00\x7f", "\ud800 alone", [], {},
          {"a": [1, {"b": [None, [[]]]}], "ключ": "значение", "": 0}, [[[[1]]]], math.inf]

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class PythonCallsLovage(unittest.TestCase):
    """A stock Celery client; .get() is what its caller would see."""

    def get(self, result):
        return result.get(timeout=PATIENCE)

    def call(self, task, *args, **kwargs):
        return self.get(task.apply_async(args, kwargs, queue="cpp"))

    def test_arguments_by_position_by_name_and_by_default(self):
        self.assertEqual(self.call(fleet.tasks.add, 2, 3), 5)
        self.assertEqual(self.call(fleet.tasks.add, 2), 12)
        self.assertEqual(self.call(fleet.tasks.add, y=1, x=2), 3)
        self.assertEqual(self.call(fleet.tasks.add, 1, y=2), 3)

    def test_values_come_back_as_they_went(self):
        results = [fleet.tasks.echo.apply_async((value,), queue="cpp") for value in VALUES]
        for value, result in zip(VALUES, results):
            with self.subTest(value=value):
                back = self.get(result)
                self.assertEqual(back, value)
                self.assertIs(type(back), type(value))
        self.assertTrue(math.isnan(self.call(fleet.tasks.echo, math.nan)))
        self.assertEqual(math.copysign(1, self.call(fleet.tasks.echo, -0.0)), -1)

    def test_a_mebibyte_of_text(self):
        text = "0123456789abcde☃" * (1 << 16)
        self.assertEqual(self.call(fleet.tasks.echo, text), text)

    def test_bytes(self):
        self.assertEqual(self.call(fleet.tasks.echo_bytes, "plain"), "plain")
        if TAGGED_JSON:  # Before, Python could not send any.
            self.assertIn(self.call(fleet.tasks.echo_bytes, b"plain"), (b"plain", "plain"))
            self.assertEqual(self.call(fleet.tasks.echo_bytes, b"\xff\x00\xfe"), b"\xff\x00\xfe")
            self.assertEqual(self.call(fleet.tasks.echo, {"deep": [b"\xff"]}), {"deep": [b"\xff"]})

    def test_moments_to_a_typed_task(self):
        moment = datetime.datetime(2026, 11, 21, 18, 30, 1, 250000, tzinfo=UTC)
        elsewhere = moment.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
        for sent in (moment, elsewhere, moment.isoformat()):
            back = self.call(fleet.tasks.echo_time, sent)
            if isinstance(back, str):
                back = datetime.datetime.fromisoformat(back.replace("Z", "+00:00"))
            self.assertEqual(back, moment)

    def test_what_json_has_no_form_for_passes_through(self):
        values = [datetime.datetime(2026, 1, 2, 3, 4, 5, 6), datetime.date(2026, 1, 2), datetime.time(1, 2, 3),
                  decimal.Decimal("1.50"), uuid.UUID(int=7)]
        back = self.call(fleet.tasks.echo, values)
        if TAGGED_JSON:
            self.assertEqual(back, values)
        else:  # Text, which nobody can turn back: the same as between two Python fleet.programs.
            self.assertEqual(back, ["2026-01-02T03:04:05.000006", "2026-01-02T00:00:00", "01:02:03", "1.50",
                                    str(uuid.UUID(int=7))])

    def test_failures_are_raised_as_the_right_exception(self):
        for kind, expected in (("ValueError", ValueError), ("IndexError", IndexError), ("RuntimeError", RuntimeError),
                               ("KeyError", KeyError), ("ZeroDivisionError", ZeroDivisionError), ("Refused", fleet.tasks.Refused)):
            with self.subTest(kind):
                result = fleet.tasks.fail.apply_async((kind, "no ☃ today"), queue="cpp")
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
        result = fleet.tasks.fail.apply_async(("OutOfStock", "mint"), queue="cpp")
        with self.assertRaises(Exception) as raised:
            self.get(result)
        self.assertEqual((type(raised.exception).__name__, str(raised.exception)), ("OutOfStock", "mint"))
        self.assertEqual(fleet.record(result.id)["result"]["exc_module"], "shop.errors")

    def test_arguments_that_do_not_fit_are_a_type_error(self):
        for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"z": 1}), ((1,), {"x": 1})):
            with self.subTest(args=args, kwargs=kwargs), self.assertRaises(TypeError):
                self.get(fleet.tasks.app.send_task("tasks.add", args, kwargs, queue="cpp"))

    def test_a_task_nobody_knows(self):
        with self.assertRaises(NotRegistered) as raised:
            self.get(fleet.tasks.app.send_task("tasks.nowhere", queue="cpp"))
        self.assertEqual(raised.exception.args, ("tasks.nowhere",))

    def test_ignored_results_are_not_stored(self):
        key = f"quiet-{uuid.uuid4()}"
        result = fleet.tasks.quiet.apply_async((key,), queue="cpp")
        fleet.await_mark(key)
        # With one more task run, the first one's result would be there.
        self.call(fleet.tasks.add, 1)
        self.assertIsNone(fleet.record(result.id))
        self.assertEqual(result.state, "PENDING")

    def test_countdown_and_eta(self):
        west = datetime.timezone(datetime.timedelta(hours=-8))
        for options in (lambda: {"countdown": 0.5},
                        lambda: {"eta": datetime.datetime.now(west) + datetime.timedelta(seconds=0.5)}):
            started = time.monotonic()
            self.assertEqual(self.get(fleet.tasks.add.apply_async((1,), queue="cpp", **options())), 11)
            self.assertGreater(time.monotonic() - started, 0.45)

    def test_expired_tasks_are_revoked(self):
        key = f"late-{uuid.uuid4()}"
        result = fleet.tasks.mark.apply_async((key,), queue="cpp", countdown=1.2, expires=0.8)
        with self.assertRaises(TaskRevokedError) as raised:
            self.get(result)
        self.assertEqual(raised.exception.args, ("expired",))
        self.assertEqual(result.state, "REVOKED")
        self.assertNotIn(key, fleet.stack.marks())
        self.assertEqual(self.get(fleet.tasks.add.apply_async((1,), queue="cpp", expires=PATIENCE)), 11)

    def test_headers_ids_and_retries_arrive(self):
        task_id = f"order/{uuid.uuid4()}"
        seen = self.get(fleet.tasks.about.apply_async((["x-tenant", "x-deep", "x-none"],), queue="cpp", task_id=task_id,
                                                headers={"x-tenant": "č", "x-deep": {"a": [1, None, True]}}))
        self.assertEqual(seen, {"id": task_id, "root_id": task_id, "correlation_id": task_id, "retries": 0,
                                "headers": {"x-tenant": "č", "x-deep": {"a": [1, None, True]}, "x-none": None}})

    def test_protocol_1(self):
        old = fleet.tasks.make_app(task_protocol=1)
        self.addCleanup(old.close)
        self.assertEqual(self.get(old.send_task("tasks.add", (2, 3), queue="cpp")), 5)
        with self.assertRaises(ValueError):
            self.get(old.send_task("tasks.fail", ("ValueError", "old"), queue="cpp"))

    def test_compressed_messages(self):
        text = "compressible " * 1000
        self.assertEqual(self.get(fleet.tasks.echo.apply_async((text,), queue="cpp", compression="zlib")), text)

    def test_a_retry_is_seen_and_then_succeeds(self):
        result = fleet.tasks.flaky.apply_async((2,), {"countdown": 1.5}, queue="cpp")

        def retried():  # Its record as it is at one moment; the next may be that of success.
            meta = result.backend.get_task_meta(result.id)
            return meta if meta["status"] == "RETRY" else None
        meta = until(retried, "state RETRY")
        self.assertIsInstance(meta["result"], RuntimeError)
        self.assertEqual(meta["result"].args, ("try again",))
        self.assertIn("Retry in 1.5s: RuntimeError('try again')", meta["traceback"])
        self.assertEqual(self.get(result), 2)
        self.assertEqual(fleet.record(result.id)["parent_id"], result.id)

    def test_retries_end_with_their_cause(self):
        with self.assertRaisesRegex(RuntimeError, "try again"):
            self.call(fleet.tasks.flaky, 10, 0)

    def test_the_soft_time_limit(self):
        result = fleet.tasks.spin.apply_async(queue="cpp", soft_time_limit=1)
        with self.assertRaises(SoftTimeLimitExceeded):
            self.get(result)

    def test_states_and_forgetting(self):
        key = f"gate-{uuid.uuid4()}"
        result = fleet.tasks.hold.apply_async((key,), queue="cpp")
        self.assertEqual(result.state, "PENDING")
        self.assertFalse(result.ready())
        fleet.stack.open_gate(key)
        self.assertEqual(self.get(result), key)
        self.assertEqual((result.state, result.successful(), result.children), ("SUCCESS", True, []))
        result.forget()
        self.assertIsNone(fleet.record(result.id))
        self.assertEqual(fleet.tasks.app.AsyncResult(result.id).state, "PENDING")

    def test_children(self):
        result = fleet.tasks.spawn.apply_async((5, "py"), queue="cpp")
        child_id = self.get(result)
        self.assertEqual([child.id for child in result.children], [child_id])
        self.assertEqual(self.get(result.children[0]), 15)
        self.assertEqual(fleet.record(child_id)["parent_id"], result.id)

    def test_many_at_once(self):
        results = [fleet.tasks.add.apply_async((i, i), queue="cpp") for i in range(500)]
        self.assertEqual([self.get(result) for result in results], [2 * i for i in range(500)])

    def test_the_celery_command(self):
        def run(*arguments):
            command = [sys.executable, "-B", "-m", "celery", "-b", fleet.stack.broker_url,
                       "--result-backend", fleet.stack.redis_url]
            return subprocess.run([*command, *arguments], check=True, text=True, stdout=subprocess.PIPE, cwd=HERE,
                                  stdin=subprocess.DEVNULL, timeout=PATIENCE).stdout.split()[-1]
        task_id = run("call", "tasks.add", "-a", "[20]", "-k", '{"y": 22}', "--queue", "cpp")
        self.assertEqual(self.get(fleet.tasks.app.AsyncResult(task_id)), 42)
        self.assertEqual(run("result", task_id), "42")


class LovageCallsPython(unittest.TestCase):
    """A stock Celery worker."""

    def call(self, task, *args, **options):
        return fleet.client.call(task, *args, queue="py", **options)

    def failure(self, task_id):
        with self.assertRaises(Client.Failed) as raised:
            fleet.client.get(task_id)
        return raised.exception.args[0]

    def test_arguments_by_position_by_name_and_by_default(self):
        self.assertEqual(self.call("tasks.add", 2, 3), 5)
        self.assertEqual(self.call("tasks.add", 2), 12)
        self.assertEqual(self.call("tasks.add", kwargs={"y": 1, "x": 2}), 3)
        self.assertEqual(self.call("tasks.add", 1, kwargs={"y": 2}), 3)

    def test_values_come_back_as_they_went(self):
        ids = [fleet.client.send("tasks.echo", value, queue="py") for value in VALUES]
        for value, task_id in zip(VALUES, ids):
            with self.subTest(value=value):
                self.assertEqual(fleet.client.get(task_id), value)
        self.assertTrue(math.isnan(self.call("tasks.echo", math.nan)))

    def test_a_mebibyte_of_text(self):
        text = "0123456789abcde☃" * (1 << 16)
        self.assertEqual(self.call("tasks.echo", text), text)

    def test_bytes_and_moments(self):
        moment = "2026-11-21T18:30:01.250000+00:00"
        for task, args in (("tasks.moment", ()), ("tasks.echo_time", (moment,))):
            task_id = fleet.client.send(task, *args, queue="py")
            self.assertEqual(fleet.client.ask("get", id=task_id, timeout=PATIENCE, kind="moment"), moment)
        if TAGGED_JSON:
            for task, args in (("tasks.some_bytes", ()), ("tasks.echo_bytes", ({"__type__": "base64", "__value__": "/wD+"},))):
                task_id = fleet.client.send(task, *args, queue="py")
                self.assertEqual(fleet.client.ask("get", id=task_id, timeout=PATIENCE, kind="bytes"), [255, 0, 254])

    def test_failures(self):
        for kind, module in (("ValueError", "builtins"), ("KeyError", "builtins"), ("Refused", "tasks")):
            with self.subTest(kind):
                task_id = fleet.client.send("tasks.fail", kind, "no ☃ today", queue="py")
                failure = self.failure(task_id)
                self.assertEqual((failure["exc_type"], failure["message"], failure["module"]), (kind, "no ☃ today", module))
                self.assertIn("in fail\n", failure["traceback"])
                self.assertEqual(fleet.client.ask("state", id=task_id), "FAILURE")

    def test_arguments_that_do_not_fit(self):
        failure = self.failure(fleet.client.send("tasks.add", 1, 2, 3, queue="py"))
        self.assertEqual(failure["exc_type"], "TypeError")

    def test_a_task_nobody_knows(self):
        failure = self.failure(fleet.client.send("tasks.nowhere", queue="py"))
        self.assertEqual((failure["exc_type"], failure["message"]), ("NotRegistered", "tasks.nowhere"))

    def test_ignored_results_are_not_stored(self):
        key = f"quiet-{uuid.uuid4()}"
        task_id = fleet.client.send("tasks.quiet", key, queue="py", ignore_result=True)
        fleet.await_mark(key)
        self.call("tasks.add", 1)
        self.assertIsNone(fleet.record(task_id))
        self.assertEqual(fleet.client.ask("state", id=task_id), "PENDING")

    def test_countdown_and_eta(self):
        for options in (lambda: {"countdown": 0.5},
                        lambda: {"eta": (datetime.datetime.now(UTC) + datetime.timedelta(seconds=0.5)).isoformat()}):
            started = time.monotonic()
            self.assertEqual(self.call("tasks.add", 1, **options()), 11)
            self.assertGreater(time.monotonic() - started, 0.45)

    def test_expired_tasks_are_revoked(self):
        key = f"late-{uuid.uuid4()}"
        task_id = fleet.client.send("tasks.mark", key, queue="py", countdown=1.2, expires=0.8)
        failure = self.failure(task_id)
        self.assertEqual((failure["exc_type"], failure["message"]), ("TaskRevokedError", "expired"))
        self.assertEqual(fleet.client.ask("state", id=task_id), "REVOKED")
        self.assertNotIn(key, fleet.stack.marks())

    def test_headers_ids_and_retries_arrive(self):
        task_id = f"order/{uuid.uuid4()}"
        seen = self.call("tasks.about", ["x-tenant", "x-deep"], task_id=task_id,
                         headers={"x-tenant": "č", "x-deep": {"a": [1, None, True]}})
        self.assertEqual(seen, {"id": task_id, "root_id": task_id, "correlation_id": task_id, "retries": 0,
                                "headers": {"x-tenant": "č", "x-deep": {"a": [1, None, True]}}})

    def test_states_of_its_own_and_forgetting(self):
        key = f"gate-{uuid.uuid4()}"
        task_id = fleet.client.send("tasks.progress", key, queue="py")
        until(lambda: fleet.client.ask("state", id=task_id) == "PROGRESS", "PROGRESS")
        fleet.stack.open_gate(key)
        self.assertIsNone(fleet.client.get(task_id))
        self.assertEqual(fleet.client.ask("state", id=task_id), "SUCCESS")
        fleet.client.ask("forget", id=task_id)
        self.assertIsNone(fleet.record(task_id))
        self.assertEqual(fleet.client.ask("state", id=task_id), "PENDING")

    def test_children(self):
        task_id = fleet.client.send("tasks.spawn", 5, "cpp", queue="py")
        child_id = fleet.client.get(task_id)
        self.assertEqual(fleet.client.ask("children", id=task_id)[0][0][0], child_id)
        self.assertEqual(fleet.client.get(child_id), 15)
        self.assertEqual(fleet.record(child_id)["parent_id"], task_id)


if __name__ == "__main__":
    fleet.main()
