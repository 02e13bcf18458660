"""The tasks of worker.cpp in Python, and the Celery app that tests send from."""
import builtins
import datetime
import os
import pathlib
import signal
import time

from celery import Celery, Signature, chord, signature

QUEUE_PY, QUEUE_CPP, QUEUE_MIXED = "py", "cpp", "mixed"


def make_app(**settings) -> Celery:
    made = Celery("interop", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_RESULT_BACKEND_URL"],
                  set_as_current=False)
    made.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=True, **settings)
    return made


app = make_app(task_default_queue=QUEUE_PY,
               task_queue_max_priority=int(os.environ.get("INTEROP_MAX_PRIORITY", "0")) or None)


def folder() -> pathlib.Path:
    return pathlib.Path(os.environ["INTEROP_FOLDER"])


class Refused(Exception):
    """An exception that Python knows when it is named."""


@app.task(name="tasks.add")
def add(x, y=10):
    return x + y


@app.task(name="tasks.echo")
def echo(value):
    return value


@app.task(name="tasks.echo_bytes")
def echo_bytes(data):
    return data


@app.task(name="tasks.echo_time")
def echo_time(moment):
    return moment


@app.task(name="tasks.about", bind=True)
def about(self, header_names=()):
    request = self.request
    return {"id": request.id, "root_id": request.root_id, "correlation_id": request.correlation_id,
            "retries": request.retries, "headers": {name: request.get(name) for name in header_names}}


@app.task(name="tasks.fail")
def fail(kind, message):
    raise (Refused if kind == "Refused" else getattr(builtins, kind))(message)


@app.task(name="tasks.mark")
def mark(key):
    with open(folder() / "marks", "ab", buffering=0) as marks:
        marks.write(f"{key}\n".encode())


@app.task(name="tasks.quiet", ignore_result=True)
def quiet(key):
    mark(key)


@app.task(name="tasks.hold")
def hold(key):
    while not (folder() / key).exists():
        time.sleep(0.005)
    return key


@app.task(name="tasks.flaky", bind=True)
def flaky(self, failures, countdown=0.2):
    if self.request.retries >= failures:
        return self.request.retries
    raise self.retry(exc=RuntimeError("try again"), countdown=countdown)


@app.task(name="tasks.relay", bind=True, max_retries=None)
def relay(self, runners, hops):
    runners.append("python")
    if len(runners) < hops:
        raise self.retry(args=(runners, hops), countdown=0)
    return runners


@app.task(name="tasks.tell", bind=True)
def tell(self, steps):
    """Tells how far it is, in events of its own."""
    for done in range(1, steps + 1):
        self.send_event("task-progress", done=done)


@app.task(name="tasks.spin")
def spin():
    while True:
        time.sleep(0.005)


@app.task(name="tasks.who")
def who():
    return "python"


@app.task(name="tasks.visit")
def visit(visited=()):
    return [*visited, "python"]


@app.task(name="tasks.total")
def total(numbers):
    return sum(numbers)


def flat(value):
    return value if isinstance(value, str) else "".join(map(flat, value))


@app.task(name="tasks.append")
def append(value, word):
    """Associative: how results lie in lists makes no difference, in which order they come does."""
    return flat(value) + word


@app.task(name="tasks.spawn", bind=True)
def spawn(self, x, queue):
    return add.apply_async((x,), queue=queue).id


@app.task(name="tasks.spawn_chord")
def spawn_chord(queues):
    header = [add.s(i, i).set(queue=queue) for i, queue in enumerate(queues[:-1])]
    return chord(header, total.s().set(queue=queues[-1]), app=app).apply_async().id


def end_this_worker(*_, **__):
    """With everything it holds: as a machine does that loses its power."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="tasks.vanish_uncounted", bind=True)
def vanish_uncounted(self, value):
    """Its result is stored; its worker dies before it has counted the return to the chord."""
    self.backend.on_chord_part_return = end_this_worker
    return value


@app.task(name="tasks.vanish_complete", bind=True)
def vanish_complete(self, value):
    """Completes its chord; its worker dies before it has sent the body."""
    client = self.backend.client
    while client.zcard(f"celery-taskset-meta-{self.request.group}.j") < 2:
        time.sleep(0.01)
    Signature.delay = end_this_worker
    return value


@app.task(name="tasks.mark_once")
def mark_once(key):
    mark(key)


@app.task(name="tasks.replace", bind=True)
def replace(self, by):
    return self.replace(signature(by, app=app))


@app.task(name="tasks.add_to_chord", bind=True)
def add_to_chord(self, added, value):
    for one in added:
        self.add_to_chord(signature(one, app=app))
    return value


@app.task(name="tasks.stamps", bind=True)
def stamps(self, before=None):
    return [*(before or []), self.request.get("stamps") or {}]


# The rest has no twin in C++: what Python's own types become on their way.

@app.task(name="tasks.moment")
def moment():
    return datetime.datetime(2026, 11, 21, 18, 30, 1, 250000, tzinfo=datetime.timezone.utc)


@app.task(name="tasks.some_bytes")
def some_bytes():
    return b"\xff\x00\xfe"


@app.task(name="tasks.progress", bind=True)
def progress(self, key):
    self.update_state(state="PROGRESS", meta={"done": 1, "of": 3})
    hold(key)
