"""Canvases that a Lovage client or task starts, whose tasks run in both languages; and what Celery's maps ask of a Lovage
worker."""
import sys
import unittest
import uuid

import celery.canvas
from celery.result import AsyncResult, GroupResult

import fleet
from harness import PATIENCE, until

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down

PLACES = (("cpp", "cpp"), ("cpp", "py"), ("py", "cpp"), ("py", "py"), ("mixed", "mixed"))


def on(queue, task, *args, **more):
    return {"task": f"tasks.{task}", "args": list(args), "queue": queue, **more}


class Canvases(unittest.TestCase):
    """From a Lovage client; what comes of them is read with Celery."""

    def start(self, canvas, **options):
        return fleet.client.ask("canvas", canvas=canvas, **options)

    def value(self, canvas, **options):
        """Of what ends in one task."""
        return self.read(self.start(canvas, **options)["id"])

    def values(self, canvas):
        """Of what ends in a group."""
        return [self.read(member) for member in self.start(canvas)["members"]]

    @staticmethod
    def read(task_id):
        return AsyncResult(task_id, app=fleet.tasks.app).get(timeout=PATIENCE)

    def test_chains_go_to_and_fro(self):
        for queues in (("cpp", "py", "cpp"), ("py", "cpp", "py"), ("cpp",), ("py", "cpp") * 10):
            with self.subTest(queues):
                runners = self.value({"chain": [on(queue, "visit") for queue in queues]})
                if "--control" not in sys.argv:
                    self.assertEqual(runners, [{"cpp": "c++", "py": "python"}[queue] for queue in queues])
                self.assertEqual(len(runners), len(queues))

    def test_immutable_steps_take_no_result(self):
        for one, other in PLACES:
            with self.subTest(one=one, other=other):
                steps = [on(one, "add", 1, 2), on(other, "add", 10, 20, immutable=True), on(one, "add", 5)]
                self.assertEqual(self.value({"chain": steps}), 35)

    def test_groups_of_both(self):
        members = [on(("cpp", "py")[i % 2], "add", i, i) for i in range(40)]
        started = self.start({"group": members})
        self.assertEqual([self.read(member) for member in started["members"]], [2 * i for i in range(40)])
        self.assertEqual({fleet.record(member)["group_id"] for member in started["members"]}, {started["id"]})

    def test_chords_of_either_and_of_both(self):
        for one, other in PLACES:
            with self.subTest(header=one, body=other):
                header = [on(one, "add", i, i) for i in range(50)]
                self.assertEqual(self.value({"chord": [header, on(other, "echo")]}), [2 * i for i in range(50)])

    def test_a_task_then_a_group_then_tasks(self):
        for one, other in PLACES:
            with self.subTest(one=one, other=other):
                steps = [on(one, "add", 1, 1), {"group": [on(other, "add", 10 * i) for i in range(5)]},
                         on(one, "total"), on(other, "add", 1000)]
                self.assertEqual(self.value({"chain": steps}), 1110)

    def test_canvases_in_canvases(self):
        for one, other in PLACES:
            with self.subTest(one=one, other=other):
                numbers = [on(one, "add", i, i) for i in (1, 2, 3)]
                header = [{"chord": [numbers, on(other, "total")]},
                          {"chain": [on(one, "add", 1, 1), on(other, "add", 5)]}, on(other, "add", 4, 4)]
                self.assertEqual(self.value({"chord": [header, on(one, "echo")]}), [12, 7, 8])
                pair = {"group": [on(other, "add", 1), on(one, "add", 2)]}
                deep = {"chain": [on(one, "add", 1, 1), pair, on(other, "total"), pair, on(one, "echo")]}
                self.assertEqual(self.value(deep), [8, 9])
                self.assertEqual(self.values({"chain": [on(one, "add", 1, 1), pair]}), [3, 4])

    def test_maps(self):
        rows = [[i, i] for i in range(5)]
        for queue in ("cpp", "py"):
            with self.subTest(queue):
                self.assertEqual(self.value({"map": [on(queue, "echo"), [1, 2, 3]], "queue": queue}), [1, 2, 3])
                self.assertEqual(self.value({"starmap": [on(queue, "add"), rows], "queue": queue}), [0, 2, 4, 6, 8])
                self.assertEqual(self.values({"chunks": [on(queue, "add"), rows, 2], "queue": queue}), [[0, 2], [4, 6], [8]])

    def test_callbacks_and_errbacks(self):
        for one, other in PLACES:
            with self.subTest(one=one, other=other):
                done = f"done-{uuid.uuid4()}"
                self.start(on(one, "echo", done, link=on(other, "mark")))
                fleet.await_mark(done)
                failed = self.start(on(one, "fail", "ValueError", "no", link_error=on(other, "mark")))["id"]
                fleet.await_mark(failed)

    def test_a_failed_part_fails_the_chord(self):
        for one, other in PLACES:
            with self.subTest(header=one, body=other):
                header = [on(one, "add", 1, 1), on(one, "fail", "ValueError", "part")]
                body = self.start({"chord": [header, on(other, "total", link_error=on(other, "mark"))]})["id"]
                failure = fleet.await_record(body)["result"]
                self.assertRegex(failure["exc_message"][0], r"Dependency .* raised ValueError\('part'\)")
                fleet.await_mark(body)
                self.assertEqual(fleet.stack.marks().count(body), 1)

    def test_saved_groups_are_found_by_the_other_side(self):
        members = [on("cpp", "add", i, i) for i in range(3)]
        saved = self.start({"group": members}, save=True)
        restored = GroupResult.restore(saved["id"], app=fleet.tasks.app)
        self.assertEqual(restored.get(timeout=PATIENCE), [0, 2, 4])
        theirs = celery.group([fleet.tasks.add.s(i).set(queue="py") for i in range(3)], app=fleet.tasks.app).apply_async()
        theirs.save()
        self.assertEqual(fleet.client.ask("restore", id=theirs.id), [part.id for part in theirs.results])

    def test_workers_of_both_hear_what_is_revoked(self):
        """Python's cannot look it up anywhere."""
        started = self.start({"group": [on(queue, "echo", 1, countdown=600) for queue in ("py", "cpp")]})
        fleet.client.ask("revoke", id=started["id"], members=started["members"])
        refused = fleet.tasks.app.control.inspect().revoked
        until(lambda: all(set(started["members"]) <= set(ids) for ids in (refused() or {"nobody": []}).values()),
              "both workers refuse them")

    def test_it_has_the_id_it_is_sent_under(self):
        task_id = str(uuid.uuid4())
        steps = [on("cpp", "add", 1, 1), on("py", "add", 5)]
        self.assertEqual(self.value({"chain": steps}, task_id=task_id), 7)
        self.assertTrue(fleet.record(task_id))


class FromPython(unittest.TestCase):
    """From a Celery client: parts in one language, the body in the other."""

    @staticmethod
    def chord(parts, body, *first):
        """Of 100 parts; each adds its number to `first`, or to what it is called with."""
        header = [fleet.tasks.add.s(*first, i).set(queue=parts) for i in range(100)]
        return celery.chord(header, fleet.tasks.total.s().set(queue=body), app=fleet.tasks.app)

    def test_a_chord_of_a_hundred(self):
        for parts, body in (("cpp", "py"), ("py", "cpp")):
            with self.subTest(parts=parts, body=body):
                result = self.chord(parts, body, 1000).apply_async()
                self.assertEqual(result.get(timeout=PATIENCE), 100 * 1000 + sum(range(100)))

    def test_both_in_a_chain(self):
        add = fleet.tasks.add
        for one, other in (("cpp", "py"), ("py", "cpp")):
            with self.subTest(one=one, other=other):
                steps = [add.s(1, 0).set(queue=one), self.chord(one, other), self.chord(other, one), add.s(1).set(queue=other)]
                value = 100 * 1 + sum(range(100))
                value = 100 * value + sum(range(100))
                self.assertEqual(celery.chain(*steps, app=fleet.tasks.app).apply_async().get(timeout=PATIENCE), value + 1)


class Tasks(unittest.TestCase):
    """What tasks start, and what Celery's maps ask of workers."""

    def test_a_task_starts_a_chord(self):
        for queue, others in (("cpp", ["py", "cpp", "py"]), ("cpp", ["cpp", "py", "cpp"]), ("py", ["cpp", "cpp", "cpp"])):
            with self.subTest(queue=queue, others=others):
                started = fleet.tasks.spawn_chord.apply_async((others,), queue=queue)
                body = started.get(timeout=PATIENCE)
                self.assertEqual(AsyncResult(body, app=fleet.tasks.app).get(timeout=PATIENCE), 2)

    def test_celerys_maps_run_here(self):
        rows = [(i, i) for i in range(5)]
        add, app = fleet.tasks.add, fleet.tasks.app
        self.assertEqual(fleet.tasks.echo.map([1, 2]).apply_async(queue="cpp").get(timeout=PATIENCE), [1, 2])
        self.assertEqual(add.starmap(rows).apply_async(queue="cpp").get(timeout=PATIENCE), [0, 2, 4, 6, 8])
        self.assertEqual(add.chunks(rows, 2).apply_async(queue="cpp").get(timeout=PATIENCE), [[0, 2], [4, 6], [8]])
        body = fleet.tasks.echo.s().set(queue="cpp")
        chord = celery.chord([add.starmap(rows[:2]).set(queue="cpp"), add.starmap(rows[2:]).set(queue="cpp")], body, app=app)
        self.assertEqual(chord.apply_async().get(timeout=PATIENCE), [[0, 2], [4, 6, 8]])

    def test_a_map_of_what_is_not_there(self):
        mapped = celery.canvas.xmap(fleet.tasks.app.signature("tasks.nowhere"), [1], app=fleet.tasks.app)
        failed = mapped.apply_async(queue="cpp").id
        failure = until(lambda: fleet.record(failed), "a failure")["result"]
        self.assertEqual((failure["exc_type"], failure["exc_message"]), ("NotRegistered", ["tasks.nowhere"]))


if __name__ == "__main__":
    fleet.main()
