"""Random canvases have one value, whoever sends them and whoever runs them.

Every canvas is made of one associative task, and of chains, groups and chords in one another. It is sent by a Lovage client and by
a Celery client, to Lovage's workers, to Celery's, and to both, and each time must have the value that plain Python computes. What
Celery fails at is left out where it takes part (`canvas_for_celery`), and run by Lovage alone (`any_canvas`):

- A chord whose body holds a chord, when one of the two has chords or groups among the parts of its header, or is a part itself.
  Smallest found, written [parts; body]: [a; [b; [c, d; e]]] and, as a chain, group(a, b) | group(c, d, [e; [f; g]]) | h. A Celery
  worker of 5.2.6 or 5.6.3 that runs it waits for ever, or calls a task without its argument (celery/celery#4681 is one of that kind,
  and open). A canvas that a Celery client sends may say a wrong size of a chord, so that its body comes too early wherever it
  runs: [a; <group(b, c, d) | e | group(f, g) | <group(h, i, j) | group(k) | l> | m>].
- A group in a header that ends a chain, by Celery's workers: workflows_test.py, test_a_header_that_ends_in_a_group.

A group among the parts of a header is turned round by Celery, and so by Lovage: `opened`.

    LOVAGE_PROPERTY_SEED=N    other canvases than those of every day
    LOVAGE_PROPERTY_CASES=N   more of them, or fewer
"""
import collections
import itertools
import os
import random
import unittest

from celery.result import AsyncResult

import fleet
from harness import PATIENCE

SEED = int(os.environ.get("LOVAGE_PROPERTY_SEED", "20261122"))
CASES = int(os.environ.get("LOVAGE_PROPERTY_CASES", "40"))
DEPTH, WIDTH, TASKS, LENGTH = 4, 4, 40, 20_000  # LENGTH: of the value, in characters.

setUpModule, tearDownModule = fleet.set_up, fleet.tear_down


class Generator:
    """Canvases as client.cpp and client.py read them, without queues yet. All take nothing and end in one task."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = itertools.count()

    def any_canvas(self):
        return self.bounded(lambda: {"chain": [self.single(DEPTH, True), self.task(False)]})

    def canvas_for_celery(self):
        """None of those at which Celery is known to fail."""
        make = self.random.choice([self.deep, self.long])
        return self.bounded(lambda: make(DEPTH, True))

    @staticmethod
    def bounded(make):
        while True:
            made = make()
            if len(list(tasks_in(made))) <= TASKS and len(value_of(made)) <= LENGTH:
                return made

    def some(self, make, first):
        """A list of one or more; the first one of a chain takes nothing if the chain does."""
        return [make(first and number == 0) for number in range(self.random.randint(1, WIDTH))]

    def task(self, first):
        word = f"{next(self.words)}."
        if first:
            return {"task": "tasks.append", "args": ["", word]}
        if self.random.random() < 0.1:
            return {"task": "tasks.append", "args": ["", word], "immutable": True}
        return {"task": "tasks.append", "args": [word]}

    def steps(self, first):
        """A task, or a chain of tasks."""
        return self.task(first) if self.random.random() < 0.5 else {"chain": self.some(self.task, first)}

    def single(self, depth, first):
        kind = self.random.choice(["task", "chain", "chord", "chord"]) if depth > 0 else "task"
        if kind == "task":
            return self.task(first)
        if kind == "chord":
            return {"chord": [self.members(depth - 1, first), self.single(depth - 1, False)]}
        steps = self.some(lambda begins: {"group": self.members(depth - 1, begins)} if self.random.random() < 0.3 else
                          self.single(depth - 1, begins), first)
        return {"chain": [*steps, self.task(False)]}  # What follows a group makes it a chord.

    def members(self, depth, first):
        made = [self.member(depth, first) for _ in range(self.random.randint(1, WIDTH))]
        # A group of one group is that group in some places, where it is not turned round then.
        return made if len(made) > 1 or "group" not in made[0] else [self.task(first)]

    def member(self, depth, first):
        if depth > 0 and self.random.random() < 0.1:
            return {"group": self.members(depth - 1, first)}
        return self.single(depth, first)

    def deep(self, depth, first):
        """Chords in headers of chords; their bodies are tasks and chains of tasks."""
        if depth == 0 or self.random.random() < 0.2:
            return self.steps(first)
        header = [self.deep(depth - 1, first) for _ in range(self.random.randint(1, WIDTH))]
        return {"chord": [header, self.steps(False)]}

    def long(self, depth, first):
        """Groups one after another, with tasks between them; their members are tasks and chains of tasks."""
        steps = []
        for _ in range(self.random.randint(1, depth)):
            steps += self.some(self.task, first and not steps)
            steps.append({"group": [self.steps(False) for _ in range(self.random.randint(1, WIDTH))]})
        return {"chain": [*steps, self.task(False)]}


def tasks_in(canvas):
    if "task" in canvas:
        yield canvas
    for part in canvas.get("chain") or canvas.get("group") or ():
        yield from tasks_in(part)
    if "chord" in canvas:
        for part in [*canvas["chord"][0], canvas["chord"][1]]:
            yield from tasks_in(part)


def value_of(canvas, before=()):
    """What plain Python computes; `before` is what comes before it, if anything does."""
    if "task" in canvas:
        args = [*([] if "immutable" in canvas else before), *canvas["args"]]
        return args[0] + args[1]
    if "group" in canvas:
        return "".join(value_of(member, before) for member in opened(canvas["group"]))
    steps = canvas["chain"] if "chain" in canvas else [{"group": canvas["chord"][0]}, canvas["chord"][1]]
    for step in steps:
        before = (value_of(step, before),)
    return before[0]


def shape_of(canvas):
    """The canvas as this page writes them."""
    if "task" in canvas:
        return ("!" if "immutable" in canvas else "") + canvas["args"][-1].rstrip(".")
    if "chord" in canvas:
        header, body = canvas["chord"]
        return f"[{', '.join(map(shape_of, header))}; {shape_of(body)}]"
    if "group" in canvas:
        return f"group({', '.join(map(shape_of, canvas['group']))})"
    return f"<{' | '.join(map(shape_of, canvas['chain']))}>"


def opened(members):
    """A header without the groups in it, which Celery turns round, as Lovage then does."""
    rest = collections.deque(members)
    while rest:
        member = rest.popleft()
        if "group" in member:
            rest.extendleft(member["group"])
        else:
            yield member


def placed(canvas, queue_of):
    """The canvas with a queue for each task."""
    if "task" in canvas:
        return {**canvas, "queue": queue_of()}
    if "chord" in canvas:
        header, body = canvas["chord"]
        return {"chord": [[placed(part, queue_of) for part in header], placed(body, queue_of)]}
    [(kind, parts)] = canvas.items()
    return {kind: [placed(part, queue_of) for part in parts]}


FLEETS = {"C++": ["cpp"], "Python": ["py"], "both": ["cpp", "py", "mixed"]}


class Canvases(unittest.TestCase):
    """All are sent before the first result is read."""

    def check(self, make, senders, fleets):
        print(f"LOVAGE_PROPERTY_SEED={SEED}, {CASES} canvases", flush=True)
        places = random.Random(SEED)
        started = []
        for number in range(CASES):
            canvas = make()
            for (run_by, queues), (sent_by, send) in itertools.product(fleets.items(), senders.items()):
                result = send(placed(canvas, lambda queues=queues: places.choice(queues)))
                started.append((number, canvas, sent_by, run_by, result))
        for number, canvas, sent_by, run_by, result in started:
            with self.subTest(seed=SEED, canvas=number, sent_by=sent_by, run_by=run_by, shape=shape_of(canvas)):
                value = AsyncResult(result, app=fleet.tasks.app).get(timeout=PATIENCE)
                self.assertEqual(value, value_of(canvas))

    def test_of_every_kind_among_ourselves(self):
        self.check(Generator(SEED).any_canvas, {"Lovage": send_with_lovage}, {"C++": FLEETS["C++"]})

    def test_that_celery_can_run_too(self):
        senders = {"Lovage": send_with_lovage, "Celery": send_with_celery}
        self.check(Generator(SEED).canvas_for_celery, senders, FLEETS)


def send_with_lovage(canvas):
    return fleet.client.ask("canvas", canvas=canvas)["id"]


def send_with_celery(canvas):
    from client import canvas as celery_canvas  # needs the stack that set_up makes
    return celery_canvas(canvas).apply_async().id


if __name__ == "__main__":
    fleet.main()
