"""RabbitMQ is restarted under both workers; after that, Celery's own tools see and steer ours as before."""
import json
import os
import socket
import subprocess
import sys
import unittest
import uuid

import fleet
from harness import HERE, PATIENCE, until
from own_rabbitmq import OwnRabbitMq

LOVAGE, PYTHON = (f"{name}@{socket.gethostname()}" for name in ("lovage", "python"))
server: OwnRabbitMq


def setUpModule():
    global server
    server = OwnRabbitMq()
    try:
        server.use()
        fleet.set_up()
    except BaseException:
        server.close()
        raise


def tearDownModule():
    try:
        fleet.tear_down()
    finally:
        server.close()


def celery(*words):
    """What Celery's program says, as one that knows nothing but the URL; None when nobody answered it."""
    done = subprocess.run([sys.executable, "-B", "-m", "celery", "-b", fleet.stack.broker_url, *words], cwd=HERE, env=os.environ,
                          capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout if done.returncode == 0 else None


def asked(*words, wait=30):
    """Of our worker, as JSON; None when it did not answer. As it is one that is asked, its answer is the end of waiting."""
    said = celery(*words[:1], "-j", "-t", str(wait), "-d", LOVAGE, *words[1:])
    if said is None:
        return None
    reply = json.loads(said)
    return (reply[0] if isinstance(reply, list) else reply).get(LOVAGE)


class Restart(unittest.TestCase):
    def test_tools_work_after_a_restart_of_the_broker(self):
        gate = str(uuid.uuid4())
        self.addCleanup(fleet.stack.open_gate, gate)
        held = [fleet.tasks.hold.apply_async((gate,), queue="cpp").id for _ in range(2)]
        until(lambda: {task["id"] for task in asked("inspect", "active")} == set(held), "two tasks run")
        self.assertEqual(asked("control", "add_consumer", "extra"), {"ok": "add consumer extra"})
        self.assertEqual(asked("control", "enable_events"), {"ok": "task events enabled"})
        dump = fleet.stack.start("dump", [sys.executable, "-B", "-u", "-m", "celery", "-b", fleet.stack.broker_url, "events", "--dump"])
        self.addCleanup(fleet.stack.stop_at_once, dump)
        before = asked("inspect", "stats")

        server.stop()
        server.start()

        until(lambda: asked("inspect", "ping", wait=3) == {"ok": "pong"}, "our worker answers again")
        self.assertEqual({queue["name"] for queue in asked("inspect", "active_queues")}, {"cpp", "mixed", "extra"})
        after = asked("inspect", "stats")
        self.assertEqual((after["pid"], after["pool"]["processes"]), (before["pid"], before["pool"]["processes"]))
        self.assertLessEqual(set(held), {task["id"] for task in asked("inspect", "active")})
        self.assertEqual(asked("control", "rate_limit", "tasks.quiet", "5/m"), {"ok": "new rate limit set successfully"})
        self.assertIn("tasks.quiet [rate_limit=5/m]", asked("inspect", "registered"))
        self.assertEqual(asked("control", "pool_grow", "1"), {"ok": "pool will grow"})
        until(lambda: asked("inspect", "stats")["pool"]["max-concurrency"] == 3, "it has grown")
        self.assertEqual(asked("control", "pool_shrink", "1"), {"ok": "pool will shrink"})
        until(lambda: LOVAGE in (said := celery("status", "-t", "3") or "") and PYTHON in said, "status lists both workers")
        self.assertIn("OK", celery("status", "-t", "30", "-d", LOVAGE))

        # What ran goes on, and what comes runs.
        fleet.stack.open_gate(gate)
        for task_id in held:
            self.assertEqual(fleet.await_record(task_id)["status"], "SUCCESS")
        until(lambda: fleet.tasks.add.apply_async((2, 3), queue="extra").get(timeout=PATIENCE) == 5, "tasks run")

        key = str(uuid.uuid4())

        def shown():
            fleet.tasks.echo.apply_async((key,), queue="cpp").get(timeout=PATIENCE)
            return key in dump.log.read_text()
        until(shown, "celery events --dump, which has been there all the time, shows what runs")


if __name__ == "__main__":
    fleet.main()
