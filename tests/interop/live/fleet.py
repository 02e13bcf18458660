"""The fleet of one test module: a Celery worker (queues `py` and `mixed`), a Lovage worker (`cpp` and `mixed`), a client of
each kind, one RabbitMQ and one Redis.

A test module says `setUpModule, tearDownModule = fleet.set_up, fleet.tear_down`, ends with `fleet.main()`, and is called with

    LOVAGE_WORKER LOVAGE_CLIENT PROJECT_WORKER [unittest's arguments]
    --control [unittest's arguments]

With --control a Celery worker and client take Lovage's places: what fails then is expected wrongly.
"""
import json
import os
import pathlib
import sys
import unittest

import celery
import kombu

from harness import HERE, Client, Stack, until

programs = {}  # worker, client, project; with --control worker and project are None.
stack: Stack
client: Client  # Lovage's.
tasks = None  # tasks.py, which needs the stack's URLs when it is imported; tasks.app is Celery's client.


def set_up(python=True, **environment):
    """Without `python`, a fleet of only ours, which Celery's workers may join later. The environment is our worker's."""
    global stack, client, tasks
    stack = Stack()
    try:
        import tasks as imported
        tasks = imported
        if python:
            start_celery("python", "py,mixed")
        start_lovage("lovage", "cpp,mixed", **environment)
        client = Client(programs["client"], stack.folder)
        for queue, consumers in (("py", 1), ("cpp", 1), ("mixed", 2)) if python else (("cpp", 1), ("mixed", 1)):
            await_consumers(queue, consumers)
    except BaseException:
        stack.close(failed=True)
        raise


def tear_down():
    client.close()
    tasks.app.close()
    stack.close()


def start_celery(name, queues, slots=2, *arguments, **environment):
    child = stack.start(name, [sys.executable, "-B", "-m", "celery", "-A", "tasks", "worker", "-Q", queues, "-c", slots,
                               "-n", f"{name}@%h", "-l", "info", "--without-gossip", "--without-mingle", *arguments],
                        **environment)
    child.ours = False
    return child


def start_lovage(name, queues, slots=2, *arguments, **environment):
    if programs["worker"] is None:
        return start_celery(name, queues, slots, *arguments,
                            INTEROP_MAX_PRIORITY=environment.get("LOVAGE_TASK_QUEUE_MAX_PRIORITY", "0"))
    return stack.start(name, [programs["worker"], "worker", "-Q", queues, "-c", slots, "-n", f"{name}@%h", *arguments],
                       **environment)


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
