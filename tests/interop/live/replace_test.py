"""Tasks that replace themselves or add to their chord, in both languages, with workflows of both around them; and stamps."""
import functools
import os
import socket
import sys
import unittest
import uuid

import celery
from celery.result import AsyncResult

import fleet
from harness import PATIENCE, until

tearDownModule = fleet.tear_down


def setUpModule():
    # Where `celery.accumulate` goes, which whoever completes a replaced group sends: one for all, as a fleet has it.
    os.environ["CELERY_TASK_DEFAULT_QUEUE"] = "py"
    fleet.set_up()


# Who replaces itself, and who runs what it is replaced by.
PLACES = (("cpp", "cpp"), ("cpp", "py"), ("py", "cpp"), ("mixed", "mixed"))
STAMPING = celery.VERSION >= (5, 3)
# A worker of Celery 5.2 knows no stamps, and loses them when it sends the next step.
HOPS = (("cpp", "py", "cpp"), ("py", "cpp", "py")) if STAMPING else (("cpp", "cpp", "py"),)


def on(queue, task, *args, **kwargs):
    return getattr(fleet.tasks, task).s(*args, **kwargs).set(queue=queue)


def group(*members):
    return celery.group(list(members), app=fleet.tasks.app)


def replaced(queue, by):
    return fleet.tasks.replace.si(by).set(queue=queue)


def value(canvas):
    return canvas.apply_async().get(timeout=PATIENCE)


def each_place(test):
    """The test for each of PLACES."""
    @functools.wraps(test)
    def run(self):
        for host, inner in PLACES:
            with self.subTest(host=host, inner=inner):
                test(self, host, inner)
    return run


class Replaced(unittest.TestCase):
    @each_place
    def test_by_anything(self, host, inner):
        numbers = [on(inner, "add", i, i) for i in (1, 2, 3)]
        for by, expected in ((on(inner, "add", 20, 22), 42),
                             (on(inner, "add", 1, 2) | on(host, "add", 10) | on(inner, "add", 100), 113),
                             (group(*numbers), [2, 4, 6]),
                             (group(*numbers) | on(inner, "total"), 12)):
            with self.subTest(by=by.get("subtask_type")):
                result = replaced(host, by).apply_async()
                self.assertEqual(result.get(timeout=PATIENCE), expected)

    @each_place
    def test_is_its_own_parent_and_keeps_its_root(self, host, inner):
        result = replaced(host, on(inner, "about", ("parent_id", "replaced_task_nesting"))).apply_async()
        about = result.get(timeout=PATIENCE)
        self.assertEqual((about["id"], about["root_id"]), (result.id, result.id))
        self.assertEqual(fleet.await_record(result.id)["parent_id"], result.id)

    @each_place
    def test_in_a_chain(self, host, inner):
        for by, expected in ((on(inner, "add", 1, 2), 1013), (on(inner, "add", 1, 2) | on(host, "add", 5), 1018),
                             (group(on(inner, "add", 1, 1), on(inner, "add", 2, 2)) | on(inner, "total"), 1016)):
            chain = on(inner, "add", 0, 0) | replaced(host, by) | on(inner, "add", 10) | on(host, "add", 1000)
            self.assertEqual(value(chain), expected)

    @each_place
    def test_by_a_group_that_something_follows(self, host, inner):
        by = group(on(inner, "add", 1, 1), on(inner, "add", 2, 2))
        self.assertEqual(value(replaced(host, by) | on(inner, "total") | on(host, "add", 10)), 16)

    @each_place
    def test_in_a_chord(self, host, inner):
        parts = [replaced(host, on(inner, "add", i, i)) for i in range(5)]
        parts.append(replaced(host, on(inner, "add", 1, 1) | on(host, "add", 100)))
        parts.append(replaced(host, group(on(inner, "add", 1, 1), on(host, "add", 2, 2)) | on(inner, "total")))
        parts.append(on(inner, "add", 1, 1) | replaced(host, on(inner, "add", 7, 7)))
        for body in (host, inner):
            result = celery.chord(parts, app=fleet.tasks.app)(on(body, "echo"))
            self.assertEqual(result.get(timeout=PATIENCE), [0, 2, 4, 6, 8, 102, 6, 14])

    @each_place
    def test_again_and_again(self, host, inner):
        by = on(inner, "add", 20, 22)
        for i in range(4):
            by = replaced((host, inner)[i % 2], by)
        self.assertEqual(value(by | on(host, "add", 1)), 43)

    @each_place
    def test_calls_back_and_fails_under_its_id(self, host, inner):
        done, failed = f"done-{uuid.uuid4()}", f"failed-{uuid.uuid4()}"
        fleet.tasks.replace.apply_async((on(inner, "echo", done),), queue=host, link=on(host, "mark"))
        fleet.await_mark(done)
        result = fleet.tasks.replace.apply_async((on(inner, "fail", "ValueError", "no"),), queue=host, task_id=failed,
                                                 link_error=on(inner, "mark"))
        fleet.await_mark(failed)
        self.assertEqual(fleet.await_record(failed)["result"]["exc_type"], "ValueError")
        with self.assertRaisesRegex(ValueError, "no"):
            result.get(timeout=PATIENCE)


class AddedToAChord(unittest.TestCase):
    @each_place
    def test_counts_with_the_others(self, host, inner):
        added = [on(inner, "add", 5, 5), on(inner, "add", 100, 100) | on(host, "add", 1000)]
        parts = [fleet.tasks.add_to_chord.s(added, 1).set(queue=host), on(inner, "add", 2, 2)]
        result = celery.chord(parts, app=fleet.tasks.app)(on(inner, "total"))
        self.assertEqual(result.get(timeout=PATIENCE), 1 + 10 + 1200 + 4)
        keys = f"celery-taskset-meta-{result.parent.id}.*"
        until(lambda: not fleet.tasks.app.backend.client.keys(keys), "the chord's keys are gone")

    @each_place
    def test_by_several_parts(self, host, inner):
        parts = [fleet.tasks.add_to_chord.s([on(inner, "add", i, 0)] * 2, 1).set(queue=(host, inner)[i % 2])
                 for i in range(10)]
        result = celery.chord(parts, app=fleet.tasks.app)(on(host, "total"))
        self.assertEqual(result.get(timeout=PATIENCE), 10 + 2 * 45)


@unittest.skipIf("--control" in sys.argv and not STAMPING, "its Celery has no stamps")
class Stamps(unittest.TestCase):
    """Of a Lovage client, and, where Celery has them, of a Python one."""

    def sent_by_lovage(self, queues, stamps):
        steps = [{"task": "tasks.stamps", "args": [], "queue": queue} for queue in queues]
        id = fleet.client.ask("canvas", canvas={"chain": steps}, stamps=stamps)["id"]
        return AsyncResult(id, app=fleet.tasks.app)

    @staticmethod
    def sent_by_celery(queues, stamps):
        chain = celery.chain(*(on(queue, "stamps") for queue in queues), app=fleet.tasks.app)
        chain.stamp(**stamps)
        return chain.apply_async()

    def senders(self):
        return [self.sent_by_lovage] + ([self.sent_by_celery] if STAMPING else [])

    def test_reach_every_step(self):
        for send in self.senders():
            for queues in HOPS:
                with self.subTest(send=send.__name__, queues=queues):
                    stamps = {"order": "o-1", "tags": ["a", "b"]}
                    self.assertEqual(send(queues, stamps).get(timeout=PATIENCE), [stamps] * 3)

    def test_stay_with_what_replaces_a_task(self):
        by = {"task": "tasks.stamps", "args": [], "kwargs": {},
              "options": {"queue": "py", "stamped_headers": ["order"], "order": "o-2"}}
        self.assertEqual(value(fleet.tasks.replace.s(by).set(queue="cpp")), [{"order": "o-2"}])

    @unittest.skipIf("--control" in sys.argv, "its workers leave what follows a revoked step without a word")
    def test_are_what_tasks_are_revoked_by(self):
        for send in self.senders():
            with self.subTest(send=send.__name__):
                order = f"o-{uuid.uuid4()}"
                node = f"lovage@{socket.gethostname()}"
                [reply] = fleet.tasks.app.control.broadcast(
                    "revoke_by_stamped_headers", arguments={"headers": {"order": [order]}}, destination=[node],
                    reply=True, timeout=PATIENCE, limit=1)
                self.assertIn("flagged as revoked", reply[node]["ok"])
                result = send(HOPS[-1], {"order": [order]})
                self.assertEqual(fleet.await_record(result.id)["status"], "REVOKED")
                other = {"order": [f"o-{uuid.uuid4()}"]}
                self.assertEqual(send(("cpp", "py"), other).get(timeout=PATIENCE), [other] * 2)


if __name__ == "__main__":
    fleet.main()
