"""What Celery's own monitors see of our workers and clients, and what `events` sees of Celery's."""
import json
import subprocess
import sys
import threading
import unittest

from celery.events.state import State

import fleet
from harness import HERE, PATIENCE, Client, until

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down

ENDS = {"SUCCESS", "FAILURE", "REVOKED"}


class Follower:
    """Celery's receiver and state, from the moment at which events arrive."""

    def __init__(self):
        self.events = []
        self.state = State()
        self.lock = threading.Lock()
        self.connection = fleet.tasks.app.connection_for_read()
        self.receiver = fleet.tasks.app.events.Receiver(self.connection, handlers={"*": self.on_event})
        self.thread = threading.Thread(target=self.capture, daemon=True)
        self.thread.start()
        self.until(lambda: self.of_type("worker-heartbeat"), "a heartbeat")

    def capture(self):
        self.receiver.capture(limit=None, timeout=None, wakeup=True)

    def on_event(self, event):
        with self.lock:
            self.state.event(event)
            self.events.append(event)

    def until(self, condition, what):
        def met():
            with self.lock:
                return condition()
        return until(met, what)

    def of_type(self, kind, hostname=None):
        return [event for event in self.events if event["type"] == kind and hostname in (None, event["hostname"])]

    def types_of(self, task_id):
        return [event["type"] for event in self.events if event.get("uuid") == task_id]

    def ended(self, task_id):
        """The task, once it has ended."""
        def task():
            known = self.state.tasks.get(task_id)
            return known if known is not None and known.state in ENDS else None
        return self.until(task, f"the end of {task_id}")

    def close(self):
        self.receiver.should_stop = True
        self.thread.join(PATIENCE)
        self.connection.close()


class Seen(unittest.TestCase):
    """Workers that send events of their tasks, one of each kind."""

    @classmethod
    def setUpClass(cls):
        cls.workers = {"told-py": fleet.start_celery("told-py", "told-py", 2, "-E"),
                       "told-cpp": fleet.start_lovage("told-cpp", "told-cpp", 2, "-E")}
        for queue in cls.workers:
            fleet.await_consumers(queue, 1)
        cls.follower = Follower()
        cls.addClassCleanup(cls.follower.close)
        for name in cls.workers:
            cls.follower.until(lambda: cls.hostname(name), f"a heartbeat of {name}")

    @classmethod
    def hostname(cls, name):
        return next((event["hostname"] for event in cls.follower.events if event["hostname"].startswith(name + "@")), None)

    def run_all(self, queue):
        """One task of each ending; its id by the ending's name."""
        send = fleet.tasks.app.send_task
        ids = {"succeeded": send("tasks.add", (2, 3), queue=queue).id,
               "failed": send("tasks.fail", ("ValueError", "boom"), queue=queue).id,
               "retried": send("tasks.flaky", (1, 0.5), queue=queue).id}
        for task_id in ids.values():
            self.follower.ended(task_id)
        return ids

    def test_tasks_are_rebuilt(self):
        ids = self.run_all("told-cpp")
        state = self.follower.state
        added, failed, retried = (state.tasks[ids[key]] for key in ("succeeded", "failed", "retried"))
        self.assertEqual((added.state, added.name, added.args, added.kwargs, added.result),
                         ("SUCCESS", "tasks.add", "(2, 3)", "{}", "5"))
        self.assertEqual(added.worker.hostname, self.hostname("told-cpp"))
        self.assertEqual(added.root_id, ids["succeeded"])
        self.assertGreater(added.runtime, 0)
        self.assertTrue(added.received and added.started and added.succeeded)
        self.assertEqual((failed.state, failed.exception), ("FAILURE", "ValueError('boom')"))
        self.assertIn("ValueError: boom", failed.traceback)
        self.assertEqual((retried.state, retried.retries), ("SUCCESS", 1))
        self.assertEqual(self.follower.types_of(ids["succeeded"]), ["task-received", "task-started", "task-succeeded"])
        self.assertEqual(self.follower.types_of(ids["failed"]), ["task-received", "task-started", "task-failed"])
        self.assertIn("task-retried", self.follower.types_of(ids["retried"]))

    def test_every_event_has_the_keys_of_celerys(self):
        """Key by key and in their order, with the same types of values."""
        theirs, ours = (self.run_all(queue) for queue in ("told-py", "told-cpp"))
        pairs = [(theirs[ending], ours[ending]) for ending in theirs]
        for kind in ("task-received", "task-started", "task-succeeded", "task-failed", "task-retried"):
            for their_id, our_id in pairs:
                found = [next((event for event in self.follower.events
                               if event["type"] == kind and event["uuid"] == task_id), None) for task_id in (their_id, our_id)]
                with self.subTest(kind, ids=(their_id, our_id)):
                    self.assertEqual(*[None if event is None else list(event) for event in found])
                    if found[0]:
                        self.assertEqual(*[[type(value) for value in event.values()] for event in found])

    def test_the_programs_own_events_have_the_keys_of_celerys(self):
        told = {}
        for queue in self.workers:
            task_id = fleet.tasks.app.send_task("tasks.tell", (3,), queue=queue).id
            told[queue] = self.follower.until(lambda: self.progress_of(task_id, 3), f"the events of {queue}")
            self.assertEqual([event["done"] for event in told[queue]], [1, 2, 3])
            self.assertEqual(told[queue][0]["hostname"], self.hostname(queue))
        theirs, ours = (told[queue][0] for queue in ("told-py", "told-cpp"))
        self.assertEqual(list(ours), list(theirs))
        self.assertEqual([type(value) for value in ours.values()], [type(value) for value in theirs.values()])

    def progress_of(self, task_id, count):
        found = [event for event in self.follower.of_type("task-progress") if event["uuid"] == task_id]
        return found if len(found) == count else None

    def test_heartbeats_have_the_keys_of_celerys(self):
        theirs, ours = (self.follower.until(
            lambda: [event for event in self.follower.of_type("worker-heartbeat", self.hostname(name)) if "active" in event],
            f"a heartbeat of {name}")[-1] for name in ("told-py", "told-cpp"))
        self.assertEqual(list(ours), list(theirs))
        self.assertEqual([type(value) for value in ours.values()], [type(value) for value in theirs.values()])
        self.assertEqual(ours["freq"], 2.0)
        # The last heartbeat is four seconds old at most; that its successor comes late is not the worker's doing.
        self.follower.until(lambda: self.follower.state.workers[self.hostname("told-cpp")].alive, "it counts as alive")

    def test_an_unknown_task_fails(self):
        task_id = fleet.tasks.app.send_task("tasks.nowhere", queue="told-cpp").id
        self.assertEqual(self.follower.ended(task_id).exception, "NotRegistered('tasks.nowhere')")

    def test_revoked_tasks_are_seen(self):
        held = fleet.tasks.app.send_task("tasks.spin", queue="told-cpp").id
        self.follower.until(lambda: "task-started" in self.follower.types_of(held), "the start")
        if fleet.programs["worker"]:
            subprocess.run([fleet.programs["worker"], "revoke", "--terminate", held], check=True, timeout=PATIENCE)
        else:
            fleet.tasks.app.control.revoke(held, terminate=True)
        task = self.follower.ended(held)
        self.assertEqual((task.state, task.terminated, task.expired, task.signum), ("REVOKED", True, False, 15))

    def test_a_worker_says_when_it_goes(self):
        going = fleet.start_lovage("going", "going", 1)
        self.follower.until(lambda: [event for event in self.follower.of_type("worker-online")
                                     if event["hostname"].startswith("going@")], "worker-online")
        fleet.stack.stop(going)
        self.follower.until(lambda: [event for event in self.follower.of_type("worker-offline")
                                     if event["hostname"].startswith("going@")], "worker-offline")

    def test_clients_say_what_they_send(self):
        speaker = Client(fleet.programs["client"], fleet.stack.folder, CELERY_TASK_SEND_SENT_EVENT="true")
        try:
            task_id = speaker.send("tasks.add", 2, 3, queue="nobody-listens")
        finally:
            speaker.close()
        if not fleet.programs["worker"]:
            self.skipTest("client.py does not read CELERY_TASK_SEND_SENT_EVENT")
        sent = self.follower.until(lambda: [event for event in self.follower.of_type("task-sent") if event["uuid"] == task_id],
                                   "task-sent")[0]
        self.assertEqual([sent[key] for key in ("name", "args", "kwargs", "retries", "queue", "exchange", "routing_key")],
                         ["tasks.add", "(2, 3)", "{}", 0, "nobody-listens", "", "nobody-listens"])
        self.assertRegex(sent["hostname"], r"^gen\d+@")

    def test_celerys_dump_shows_them(self):
        dump = subprocess.Popen([sys.executable, "-B", "-u", "-m", "celery", "-A", "tasks", "events", "--dump"], cwd=HERE,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(dump.kill)
        lines = []
        threading.Thread(target=lambda: lines.extend(iter(dump.stdout.readline, "")), daemon=True).start()

        def shown():
            task_id = fleet.tasks.app.send_task("tasks.add", (20, 1), queue="told-cpp").id
            self.follower.ended(task_id)
            return [line for line in list(lines) if "tasks.add" in line and "(20, 1)" in line]
        until(shown, "a line of celery events --dump")
        fleet.tasks.app.send_task("tasks.tell", (1,), queue="told-cpp")
        until(lambda: [line for line in list(lines) if "task progress" in line and "done=1" in line], "an event of a task's own")
        dump.terminate()
        dump.wait(PATIENCE)
        dump.stdout.close()

    def test_lovages_monitor_shows_celerys_workers(self):
        if not fleet.programs["worker"]:
            self.skipTest("there is no Lovage")
        monitor = subprocess.Popen([fleet.programs["worker"], "events", "--json", "--type", "task-succeeded", "--worker", "told-*",
                                    "-n", "40"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(monitor.kill)
        while monitor.poll() is None:
            for queue in ("told-py", "told-cpp"):
                self.follower.ended(fleet.tasks.app.send_task("tasks.add", (1, 2), queue=queue).id)
        events = [json.loads(line) for line in monitor.stdout]
        monitor.stdout.close()
        self.assertEqual((len(events), monitor.returncode), (40, 0))
        self.assertEqual({event["hostname"].split("@")[0] for event in events}, {"told-py", "told-cpp"})
        self.assertEqual({event["result"] for event in events}, {"3"})


if __name__ == "__main__":
    fleet.main()
