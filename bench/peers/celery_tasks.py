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
import threading
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
    """A worker process of its own; entered, it has its first tasks behind it."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "worker"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        noop.apply_async((PAYLOAD,)).get(timeout=START_SECONDS)
        return self

    def cpu_seconds(self) -> float:
        return tree_cpu_seconds(self.process.pid)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_SECONDS)


def drained(first: int) -> float:
    """Waits until 95 % of `first` waiting tasks are gone; returns how many that were."""
    while (left := waiting()) > first * 0.05:
        time.sleep(0.02)
    return first - left


def measure() -> dict:
    app.control.purge()  # declares the queue, too
    if mode == "publish":
        start, cpu = time.monotonic(), time.process_time()
        send_all(tasks)
        return {"per_second": tasks / (time.monotonic() - start), "cpu_us": (time.process_time() - cpu) / tasks * 1e6}
    if mode == "drain":
        send_all(tasks)
        process = subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while (first := waiting()) > tasks * 0.98:
                time.sleep(0.02)
            start, cpu = time.monotonic(), tree_cpu_seconds(process.pid)
            done = drained(first)
            return {"per_second": done / (time.monotonic() - start),
                    "cpu_us": (tree_cpu_seconds(process.pid) - cpu) / done * 1e6}
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_SECONDS)
    with Worker() as worker:
        start, cpu = time.monotonic(), worker.cpu_seconds()
        sender = threading.Thread(target=send_all, args=(tasks,))
        sender.start()
        sender.join()
        while waiting() > 0:
            time.sleep(0.02)
        return {"per_second": tasks / (time.monotonic() - start), "cpu_us": (worker.cpu_seconds() - cpu) / tasks * 1e6}


if sys.argv[-1] == "worker":
    app.worker_main(["worker", "-Q", QUEUE, "-c", "2", "-P", "prefork", "-l", "WARNING"])
else:
    print(json.dumps(measure()))
