"""Celery's side of bench/run.py rabbitmq: the same no-op with the same payload, confirmed sends, results in Redis.

    celery_tasks.py BROKER_URL RESULT_URL publish|drain|together TASKS

One line of JSON: tasks a second and CPU microseconds a task (the producer's for publish, the whole worker's for drain).
The worker is started by this script: prefork with two children, Celery's own defaults otherwise.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from celery import Celery

QUEUE = "celery-bench"
PAYLOAD = "x" * 256
START_SECONDS = 60

broker, backend, mode, tasks = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
app = Celery("bench", broker=broker, backend=backend)
app.conf.update(task_default_queue=QUEUE, broker_transport_options={"confirm_publish": True})


@app.task(name="noop")
def noop(payload):
    pass


def send_all(count: int):
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(count):
            noop.apply_async((PAYLOAD,), producer=producer)


def waiting() -> int:
    with app.connection_for_read() as connection:
        return connection.default_channel.queue_declare(QUEUE, passive=True).message_count


def tree_cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children."""
    ticks = 0
    for process in [pid, *map(int, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Worker:
    """A worker process of its own, for the length of a `with`."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "worker"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        return self

    def cpu_seconds(self) -> float:
        return tree_cpu_seconds(self.process.pid)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_SECONDS)


def wait_while(condition):
    while condition():
        time.sleep(0.02)


def publish() -> dict:
    start, cpu = time.monotonic(), time.process_time()
    send_all(tasks)
    return per_task(tasks, start, time.process_time() - cpu)


def drain() -> dict:
    """From the worker's first tasks until 95 % are done, so that neither its start nor its last batch counts."""
    send_all(tasks)
    with Worker() as worker:
        wait_while(lambda: waiting() > tasks * 0.98)
        first, start, cpu = waiting(), time.monotonic(), worker.cpu_seconds()
        wait_while(lambda: waiting() > tasks * 0.05)
        return per_task(first - waiting(), start, worker.cpu_seconds() - cpu)


def together() -> dict:
    with Worker() as worker:
        noop.apply_async((PAYLOAD,)).get(timeout=START_SECONDS)
        start, cpu = time.monotonic(), worker.cpu_seconds()
        send_all(tasks)
        wait_while(lambda: waiting() > 0)
        return per_task(tasks, start, worker.cpu_seconds() - cpu)


def per_task(done: int, start: float, cpu: float) -> dict:
    return {"per_second": done / (time.monotonic() - start), "cpu_us": cpu / done * 1e6}


if sys.argv[-1] == "worker":
    app.worker_main(["worker", "-Q", QUEUE, "-c", "2", "-P", "prefork", "-l", "WARNING"])
else:
    app.control.purge()  # declares the queue, too
    print(json.dumps({"publish": publish, "drain": drain, "together": together}[mode]()))
    app.control.purge()  # and leaves nothing for the broker to carry while the other sides run
