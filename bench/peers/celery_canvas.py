"""Celery's side of bench/canvas.py: the same tasks under the same names, results in Redis.

    celery_canvas.py BROKER_URL RESULT_URL chord MEMBERS          a group of no-ops and a body, with a worker of two prefork children
    celery_canvas.py BROKER_URL RESULT_URL bytes QUEUE PROGRAM    what canvases take on the wire, from Celery and from PROGRAM

One line of JSON. `bytes` sends each canvas with Celery and with `PROGRAM send CANVAS` (which is to use QUEUE), reads the messages back
and counts body and properties, headers among them. The header `origin` is left out: it has a process id, of however many digits.
"""
import json
import signal
import subprocess
import sys
import time

from celery import Celery, chain, chord, group

QUEUE = "celery-canvas"
START_SECONDS = 60
PATIENCE = 300

broker, backend, mode = sys.argv[1:4]
app = Celery("bench", broker=broker, backend=backend)
app.conf.update(task_default_queue=QUEUE)


@app.task(name="noop")
def noop(number):
    pass


@app.task(name="step")
def step(value):
    return value + 1


@app.task(name="total")
def total(values):
    return len(values)


def send_chord(members: int) -> dict:
    worker = subprocess.Popen([sys.executable, __file__, broker, backend, "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        noop.delay(0).get(timeout=START_SECONDS)
        start = time.monotonic()
        result = chord([noop.s(number) for number in range(members)], total.s()).apply_async()
        sent = time.monotonic() - start
        if result.get(timeout=PATIENCE) != members:
            sys.exit("the chord's body did not get what its parts returned")
        return {"seconds": time.monotonic() - start, "send_seconds": sent}
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(START_SECONDS)


CANVASES = {
    "group of 10": lambda: group([noop.s(number) for number in range(10)]),
    "chord of 10": lambda: chord([noop.s(number) for number in range(10)], total.s()),
    "chain of 100": lambda: chain(step.s(0), *[step.s() for _ in range(99)]),
    "chord in a chain": lambda: step.s(1) | group([step.s() for _ in range(10)]) | total.s() | step.s(),
    "map of 100": lambda: step.map(list(range(100))),
}


def taken(queue: str) -> dict:
    """What is in the queue: messages, and bytes of their bodies and properties."""
    messages = size = 0
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        while (message := channel.basic_get(queue, no_ack=True)) is not None:
            message.properties["application_headers"].pop("origin")
            messages += 1
            size += len(message.body) + len(message._serialize_properties())
    return {"messages": messages, "bytes": size}


def count_bytes(queue: str, program: str) -> dict:
    counts = {}
    for name, canvas in CANVASES.items():
        canvas().apply_async()
        subprocess.run([program, "send", name], check=True)
        counts[name] = {"celery": taken(QUEUE), "lovage": taken(queue)}
    return counts


if mode == "worker":
    app.worker_main(["worker", "-Q", QUEUE, "-c", "2", "-P", "prefork", "-l", "WARNING"])
else:
    app.control.purge()  # declares the queue, too
    print(json.dumps(send_chord(int(sys.argv[4])) if mode == "chord" else count_bytes(*sys.argv[4:6])))
    app.control.purge()
