"""What celery-prometheus-exporter, which counts Celery's events for Prometheus, says of our worker."""
import importlib.util
import re
import sys
import unittest
import urllib.request

import fleet
from harness import PATIENCE, free_port, until

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class Exporter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        port = free_port()
        cls.url = f"http://127.0.0.1:{port}/metrics"
        cls.exporter = fleet.stack.start("exporter", [sys.executable, "-B", "-m", "celery_prometheus_exporter", "--enable-events",
                                                      f"--broker={fleet.stack.broker_url}", f"--addr=127.0.0.1:{port}",
                                                      "--queue-list", "cpp", "held-back"])
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

    def counted(self, sample_name, at_least=1.0, **labels):
        def value():
            for sample, value in self.metrics().items():
                if sample.split("{")[0] == sample_name and dict(re.findall(r'(\w+)="([^"]*)"', sample)).items() >= labels.items():
                    return value if value >= at_least else None
            return None
        return until(value, f"{sample_name}{labels} is {at_least} at least")

    def test_it_counts_our_workers_and_tasks(self):
        self.assertEqual(self.counted("celery_workers", 2), 2)
        (worker,) = (child for child in fleet.stack.children if child.name == "lovage")
        until(lambda: "events of" in worker.log.read_text().lower(), "it has asked for events")
        runs = 5
        for _ in range(runs):
            fleet.tasks.who.apply_async(queue="cpp").get(timeout=PATIENCE)
        fleet.tasks.fail.apply_async(("ValueError", "no"), queue="cpp").get(timeout=PATIENCE, propagate=False)
        self.assertEqual(self.counted("celery_tasks_by_name", runs, name="tasks.who", state="SUCCESS"), runs)
        self.assertEqual(self.counted("celery_tasks_by_name", name="tasks.fail", state="FAILURE"), 1)
        self.assertEqual(self.counted("celery_tasks_runtime_seconds_count", runs, name="tasks.who"), runs)
        self.assertEqual(self.counted("celery_tasks", runs, state="SUCCESS"), runs)
        self.assertEqual(self.counted("celery_task_latency_count", runs + 1), runs + 1)
        # Registered names, which it asks for once, are shown before anything has run.
        self.assertEqual(self.counted("celery_tasks_by_name", 0, name="tasks.spin", state="STARTED"), 0)


if __name__ == "__main__":
    if not importlib.util.find_spec("celery_prometheus_exporter"):
        print(f"skipped: {sys.executable} has no celery-prometheus-exporter; ./dev test installs it", file=sys.stderr)
        sys.exit(77)
    fleet.main()
