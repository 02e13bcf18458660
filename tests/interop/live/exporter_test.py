"""What celery-prometheus-exporter, which counts Celery's events for Prometheus, says of our worker."""
import importlib.util
import re
import sys
import unittest
import urllib.request

import fleet
from harness import PATIENCE, free_port, until
from stock_flower import EVENTS_ARE_ON

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class Exporter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}/metrics"
        cls.exporter = fleet.stack.start("exporter", [sys.executable, "-B", "-m", "celery_prometheus_exporter", "--enable-events",
                                                      f"--broker={fleet.stack.broker_url}", f"--addr=127.0.0.1:{port}",
                                                      "--queue-list", "cpp"])
        cls.addClassCleanup(fleet.stack.stop_at_once, cls.exporter)
        until(cls.serves, "the exporter serves")

    @classmethod
    def serves(cls):
        cls.exporter.check_alive()
        try:
            return cls.metrics()
        except OSError:
            return None

    @classmethod
    def metrics(cls):
        """A map from a sample's name and labels to its value."""
        with urllib.request.urlopen(cls.url, timeout=PATIENCE) as reply:
            lines = reply.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    def sample(self, sample_name, **labels):
        for sample, value in self.metrics().items():
            if sample.split("{")[0] == sample_name and dict(re.findall(r'(\w+)="([^"]*)"', sample)).items() >= labels.items():
                return value
        return None

    def await_sample(self, expected, sample_name, **labels):
        until(lambda: self.sample(sample_name, **labels) == expected, f"{sample_name}{labels} is {expected}")

    def test_it_counts_our_workers_and_tasks(self):
        self.await_sample(2, "celery_workers")
        (worker,) = (child for child in fleet.stack.children if child.name == "lovage")
        until(lambda: any(text in worker.log.read_text() for text in EVENTS_ARE_ON), "it has asked for events")
        # It has declared its queue before it binds it, and until then it misses events.
        until(lambda: any(queue.startswith("celeryev.") for queue in fleet.stack.bound_to("celeryev")), "it receives events")
        runs = 5
        for _ in range(runs):
            fleet.tasks.who.apply_async(queue="cpp").get(timeout=PATIENCE)
        fleet.tasks.fail.apply_async(("ValueError", "no"), queue="cpp").get(timeout=PATIENCE, propagate=False)
        self.await_sample(runs, "celery_tasks_by_name", name="tasks.who", state="SUCCESS")
        self.await_sample(1, "celery_tasks_by_name", name="tasks.fail", state="FAILURE")
        self.await_sample(runs, "celery_tasks_runtime_seconds_count", name="tasks.who")
        self.await_sample(runs, "celery_tasks", state="SUCCESS")
        self.await_sample(runs + 1, "celery_task_latency_count")
        self.await_sample(0, "celery_queue_length", queue_name="cpp")
        # Registered names, which it asks for once, are shown before anything has run.
        self.await_sample(0, "celery_tasks_by_name", name="tasks.spin", state="STARTED")


if __name__ == "__main__":
    if not importlib.util.find_spec("celery_prometheus_exporter"):
        print(f"skipped: {sys.executable} has no celery-prometheus-exporter; ./dev test installs it", file=sys.stderr)
        sys.exit(77)
    fleet.main()
