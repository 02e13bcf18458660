"""Canvases of a Celery client whose tasks run in both languages."""
import sys
import unittest
import uuid

import celery
from celery.exceptions import ChordError

import fleet
from harness import PATIENCE, until

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class Workflows(unittest.TestCase):
    """Canvases of a stock Celery client whose tasks run in both languages, in any position."""

    def get(self, result):
        return result.get(timeout=PATIENCE)

    @staticmethod
    def on(queue, task, *args, **kwargs):
        return getattr(fleet.tasks, task).s(*args, **kwargs).set(queue=queue)

    def visits(self, *queues):
        return [self.on(queue, "visit") for queue in queues]

    @staticmethod
    def runners(*queues):
        if "--control" in sys.argv:
            return ["python" for _ in queues]
        return [{"cpp": "c++", "py": "python"}[queue] for queue in queues]

    def test_chains_go_to_and_fro(self):
        for queues in (("cpp", "py", "cpp"), ("py", "cpp", "py"), ("cpp", "cpp"), ("cpp",), ("py", "cpp") * 10):
            with self.subTest(queues):
                result = celery.chain(*self.visits(*queues), app=fleet.tasks.app).apply_async()
                self.assertEqual(self.get(result), self.runners(*queues))
                steps = [result]
                while steps[-1].parent is not None:
                    steps.append(steps[-1].parent)
                for step, before in zip(steps, steps[1:]):
                    # Celery stores a step's record after it has sent the next one.
                    self.assertEqual(fleet.await_record(step.id)["parent_id"], before.id)
                    self.assertEqual(fleet.await_record(before.id)["children"], [[[step.id, None], None]])
                self.assertEqual(len(steps), len(queues))

    def test_immutable_steps_take_no_result(self):
        first, second = self.on("cpp", "add", 1, 2), fleet.tasks.add.si(10, 20).set(queue="cpp")
        self.assertEqual(self.get((first | second | self.on("cpp", "add", y=5)).apply_async()), 35)

    def test_groups_of_both(self):
        result = celery.group([self.on(("cpp", "py")[i % 2], "add", i, i) for i in range(40)], app=fleet.tasks.app).apply_async()
        self.assertEqual(self.get(result), [2 * i for i in range(40)])
        self.assertEqual({fleet.record(part.id)["group_id"] for part in result.results}, {result.id})

    def test_chords_of_either_and_of_both(self):
        for header, body in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp"), ("mixed", "mixed"), ("mixed", "cpp")):
            with self.subTest(header=header, body=body):
                parts = [self.on(header, "add", i, i) for i in range(100)]
                self.assertEqual(self.get(celery.chord(parts, app=fleet.tasks.app)(self.on(body, "echo"))),
                                 [2 * i for i in range(100)])

    def test_chords_of_a_hundred_both_ways_and_in_a_chain(self):
        for here, there in (("cpp", "py"), ("py", "cpp")):
            with self.subTest(header=here, body=there):
                parts = [self.on(here, "add", i, 1) for i in range(100)]
                self.assertEqual(self.get(celery.chord(parts, self.on(there, "total"), app=fleet.tasks.app)()), 5050)
                one = celery.chord([self.on(here, "add", i) for i in range(100)], self.on(there, "total"), app=fleet.tasks.app)
                other = celery.chord([self.on(there, "add", i) for i in range(100)], self.on(here, "total"), app=fleet.tasks.app)
                both = celery.chain(self.on(there, "add", 1, 1), one, other, self.on(here, "add", 1), app=fleet.tasks.app)
                first = 100 * 2 + 4950
                self.assertEqual(self.get(both.apply_async()), 100 * first + 4950 + 1)

    def test_a_finished_chord_leaves_no_keys(self):
        result = celery.chord([self.on("cpp", "add", 1, 1), self.on("cpp", "add", 2, 2)],
                              app=fleet.tasks.app)(self.on("cpp", "total"))
        self.assertEqual(self.get(result), 6)
        until(lambda: not fleet.tasks.app.backend.client.keys(f"celery-taskset-meta-{result.parent.id}.*"), "the keys are gone")

    def test_a_task_then_a_group_then_a_task(self):
        for first, middle, last in (("cpp", "cpp", "cpp"), ("cpp", "py", "cpp"), ("py", "cpp", "py"), ("cpp", "mixed", "mixed")):
            with self.subTest(first=first, middle=middle, last=last):
                canvas = (self.on(first, "add", 1, 1) |
                          celery.group([self.on(middle, "add", 10 * i) for i in range(5)], app=fleet.tasks.app) |
                          self.on(last, "total") | self.on(first, "add", 1000))
                self.assertEqual(self.get(canvas.apply_async()), 1110)

    def test_canvases_in_canvases(self):
        for one, other in (("cpp", "cpp"), ("cpp", "py"), ("py", "cpp"), ("mixed", "mixed")):
            with self.subTest(one=one, other=other):
                def numbers(queue):
                    return [self.on(queue, "add", i, i) for i in (1, 2, 3)]
                inner = celery.chord(numbers(one), self.on(other, "total"), app=fleet.tasks.app)
                stepwise = self.on(one, "add", 1, 1) | self.on(other, "add", 5)
                outer = celery.chord([inner, stepwise, self.on(other, "add", 4, 4)], app=fleet.tasks.app)
                self.assertEqual(self.get(outer(self.on(one, "echo"))), [12, 7, 8])
                deep = celery.chain(self.on(one, "add", 1, 1),
                                    celery.group([self.on(other, "add", 1), self.on(one, "add", 2)], app=fleet.tasks.app),
                                    self.on(other, "total"),
                                    celery.group([self.on(one, "add", 1), self.on(other, "add", 2)], app=fleet.tasks.app),
                                    self.on(one, "echo"), app=fleet.tasks.app)
                self.assertEqual(self.get(deep.apply_async()), [8, 9])

    @unittest.skipIf("--control" in sys.argv, "its workers overwrite the chord's size: [[3, 4], None]")
    def test_a_header_that_ends_in_a_group(self):
        group = celery.group([self.on("cpp", "add", 1), self.on("cpp", "add", 2)], app=fleet.tasks.app)
        parts = [self.on("py", "add", 1, 1) | group, self.on("cpp", "add", 4, 4)]
        self.assertEqual(self.get(celery.chord(parts, app=fleet.tasks.app)(self.on("cpp", "echo"))), [[3, 4], 8])

    def test_callbacks_and_errbacks(self):
        for queue, other in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp")):
            with self.subTest(queue=queue, other=other):
                done, failed = f"done-{uuid.uuid4()}", f"failed-{uuid.uuid4()}"
                result = fleet.tasks.echo.apply_async((done,), queue=queue, link=self.on(other, "mark"))
                fleet.await_mark(done)
                [[[callback, _], _]] = fleet.await_record(result.id)["children"]
                self.assertEqual(fleet.await_record(callback)["parent_id"], result.id)
                both = [fleet.tasks.mark.si(f"{done}-{i}").set(queue=other) for i in range(2)]
                result = fleet.tasks.echo.apply_async((1,), queue=queue, link=both)
                fleet.await_mark(f"{done}-0")
                fleet.await_mark(f"{done}-1")
                [[_, members]] = fleet.await_record(result.id)["children"]
                self.assertEqual(len(members), 2)
                fleet.tasks.fail.apply_async(("ValueError", "no"), queue=queue, task_id=failed,
                                       link_error=self.on(other, "mark"))
                fleet.await_mark(failed)

    def test_a_failure_ends_the_chain(self):
        for queue, other in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp")):
            with self.subTest(queue=queue, other=other):
                result = celery.chain(self.on(other, "add", 1, 1), fleet.tasks.fail.si("ValueError", "no").set(queue=queue),
                                      self.on(other, "echo"), self.on(queue, "echo"), app=fleet.tasks.app).apply_async()
                with self.assertRaisesRegex(ValueError, "no"):
                    self.get(result)
                for step in (result, result.parent):
                    self.assertEqual(fleet.await_record(step.id)["result"]["exc_type"], "ValueError")

    def test_a_failed_part_fails_the_chord(self):
        for queue, other in (("cpp", "py"), ("py", "cpp"), ("cpp", "cpp")):
            with self.subTest(queue=queue, other=other):
                body = self.on(other, "total").set(task_id=f"body-{uuid.uuid4()}")
                body.link_error(self.on(other, "mark"))
                result = celery.chord([self.on(other, "add", 1, 1), self.on(queue, "fail", "ValueError", "part"),
                                       self.on(queue, "add", 2, 2)], app=fleet.tasks.app)(body)
                fleet.await_mark(result.id)
                failure = fleet.await_record(result.id)["result"]
                self.assertEqual((failure["exc_type"], failure["exc_module"]), ("ChordError", "celery.exceptions"))
                self.assertRegex(failure["exc_message"][0], r"Dependency .* raised ValueError\('part'\)")
                self.assertEqual(fleet.stack.marks().count(result.id), 1)

    def test_a_retried_part_counts_once(self):
        parts = [self.on("cpp", "flaky", 2, 0.05), self.on("py", "flaky", 1, 0.05)]
        self.assertEqual(self.get(celery.chord(parts, app=fleet.tasks.app)(self.on("cpp", "total"))), 3)

    @unittest.skipIf("--control" in sys.argv, "Celery's workers lose what they run when they are killed")
    def test_killed_workers_break_no_workflow(self):
        """Whatever was sent, stored or counted when a worker died is done again, under the same ids."""
        survivor = fleet.start_lovage("survivor", "victims")
        fleet.await_consumers("victims", 1)
        for number in range(5):
            victim = fleet.start_lovage(f"victim-{number}", "victims", 4)
            fleet.await_consumers("victims", 2)
            chords = [celery.chord([self.on("victims", "add", i, i) for i in range(20)], app=fleet.tasks.app)
                      (self.on("victims", "total")) for _ in range(20)]
            chains = [celery.chain(*self.visits(*["victims"] * 10), app=fleet.tasks.app).apply_async() for _ in range(20)]
            until(lambda: sum(result.ready() for result in chords) >= 2 + 3 * number, "some are done")
            victim.kill()
            fleet.stack.children.remove(victim)
            self.assertEqual([self.get(result) for result in chords], [380] * 20)
            self.assertEqual([len(self.get(result)) for result in chains], [10] * 20)
        fleet.stack.stop(survivor)

    def test_protocol_1_chains(self):
        old = fleet.tasks.make_app(task_protocol=1)
        self.addCleanup(old.close)
        steps = [old.signature("tasks.add", args, queue="cpp") for args in ((1, 2), (10,), (100,))]
        self.assertEqual(self.get(celery.chain(*steps, app=old).apply_async()), 113)


if __name__ == "__main__":
    fleet.main()
