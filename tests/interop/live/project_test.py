"""What the API of the original project sends, to project-worker."""
import unittest

import celery
from celery.exceptions import ChordError

import fleet
from harness import PATIENCE, until

BIG = int("123456789" * 33 + "123")

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class FastApiProject(unittest.TestCase):
    """The calls of the original project's API (FastAPI and Celery) to project-worker."""

    @classmethod
    def setUpClass(cls):
        if fleet.programs["project"] is None:
            raise unittest.SkipTest("there is no project-worker in Python here")
        cls.worker = fleet.stack.start("project", [fleet.programs["project"], "worker", "-Q", "project-worker", "-c", 2,
                                                   "-n", "project-worker@%h"])
        # The settings of the original producer.
        cls.app = fleet.tasks.make_app(broker_transport_options={"confirm_publish": True, "max_retries": 5},
                                       redis_socket_keepalive=True, accept_content=["json", "pickle"])
        cls.addClassCleanup(cls.app.close)
        fleet.await_consumers("project-worker", 1)

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
        self.assertRegex(fleet.await_record(body.id)["result"]["exc_message"][0], "Dependency .* raised TypeError")

    def test_failures_reach_the_api(self):
        result = self.send("integer-multiplication", "many")
        with self.assertRaises(TypeError):
            result.get(timeout=PATIENCE)
        self.assertIn("integer", result.traceback)


if __name__ == "__main__":
    fleet.main()
