"""./dev bench canvas: what workflows cost, against Celery and against RabbitMQ itself."""
import functools
import os
import statistics

from harness import ROOT, Child, Figure, Services, address, fresh_folder, interleaved, median_ratio, peer_python, program, run_json

SLOTS = 2  # as many as peers/celery_canvas.py has children
MEMBERS = 10_000
BURST = 1_000
BURST_ROUNDS = 15
ALONE_ROUNDS = 2
STEPS = 100
CHAIN_ROUNDS = 20
QUEUE = "lovage-canvas"


class Canvas:
    """canvas_tasks on one pair of servers."""

    def __init__(self, services: Services):
        self.folder = fresh_folder("canvas")
        self.folder.mkdir()
        self.environment = dict(os.environ, LOVAGE_BROKER_URL=services.amqp, LOVAGE_RESULT_BACKEND=services.redis,
                                LOVAGE_TASK_DEFAULT_QUEUE=QUEUE, LOVAGE_TASK_PUBLISH_TIMEOUT="60")

    def run(self, *arguments) -> dict:
        return run_json(program("canvas_tasks"), *arguments, environment=self.environment)

    def with_worker(self, *arguments) -> dict:
        """A measurement beside a worker as users start it."""
        command = [program("canvas_tasks"), "worker", "-c", SLOTS, "--loglevel", "warning"]
        with Child(command, self.environment, self.folder / "worker.log", cwd=self.folder):
            return self.run(*arguments)


def compared(name: str, samples: dict, ours: str, theirs: str, scale: float, unit: str, promise: float | None,
             more_is_better: bool) -> Figure:
    """Seconds of two sides as one figure: how many times as fast as theirs, or how many times as long; without a promise it is
    only told."""
    times = {side: [sample["seconds"] * scale for sample in samples[side]] for side in (ours, theirs)}
    if promise is None:
        ratio, target = median_ratio(times[ours], times[theirs]), ""
    elif more_is_better:
        ratio, target = median_ratio(times[theirs], times[ours]), f"times as fast >= {promise:g}"
    else:
        ratio, target = median_ratio(times[ours], times[theirs]), f"ratio <= {promise:g}"
    met = promise is None or (ratio >= promise if more_is_better else ratio <= promise)
    return Figure(name, "", statistics.median(times[ours]), statistics.median(times[theirs]), unit, target, met,
                  {"median_ratio": ratio, "samples": {side: samples[side] for side in (ours, theirs)}})


def chord_figure(canvas: Canvas, services: Services, repetitions: int) -> Figure:
    peer = [peer_python(), ROOT / "bench" / "peers" / "celery_canvas.py", services.amqp, services.redis]
    samples = interleaved({"lovage": lambda: canvas.with_worker("chord", MEMBERS),
                           "celery": lambda: run_json(*peer, "chord", MEMBERS)}, repetitions)
    return compared(f"chord of {MEMBERS:,} no-ops, to its body's result (celery)", samples, "lovage", "celery", 1, "s", 5, True)


def burst_figures(canvas: Canvas, services: Services, repetitions: int) -> list[Figure]:
    limit = functools.partial(run_json, program("canvas_limit"), address(services.amqp))
    samples = interleaved({"lovage": lambda: canvas.run("burst", BURST, BURST_ROUNDS),
                           "bare": lambda: limit("burst", BURST, BURST_ROUNDS),
                           "one by one": lambda: limit("alone", BURST, ALONE_ROUNDS)}, repetitions)
    title = f"group of {BURST:,} sent"
    return [compared(f"{title} (bare, pipelined)", samples, "lovage", "bare", 1e3, "ms", 1.5, False),
            compared(f"{title} (bare, a round trip each)", samples, "lovage", "one by one", 1e3, "ms", 5, True)]


def chain_figures(canvas: Canvas, services: Services, repetitions: int) -> list[Figure]:
    limit = functools.partial(run_json, program("canvas_limit"), address(services.amqp))
    samples = interleaved({"lovage": lambda: canvas.with_worker("chain", STEPS, CHAIN_ROUNDS),
                           "same bytes": lambda: limit("chain", STEPS, CHAIN_ROUNDS),
                           "1 KiB": lambda: limit("hop", STEPS, CHAIN_ROUNDS)}, repetitions)
    return [compared(f"hop in a chain of {STEPS} (bare round trip, {side})", samples, "lovage", side, 1e6 / STEPS, "us", most, False)
            for side, most in (("same bytes", 3), ("1 KiB", None))]


def bytes_figures(canvas: Canvas, services: Services) -> list[Figure]:
    counts = run_json(peer_python(), ROOT / "bench" / "peers" / "celery_canvas.py", services.amqp, services.redis, "bytes", QUEUE,
                      program("canvas_tasks"), environment=canvas.environment)
    figures = []
    for name, sides in counts.items():
        ours, theirs = sides["lovage"], sides["celery"]
        met = ours["bytes"] <= theirs["bytes"] and ours["messages"] == theirs["messages"]
        figures.append(Figure(f"{name}, messages' bytes (celery)", "", ours["bytes"], theirs["bytes"], "bytes", "ratio <= 1", met,
                              {"median_ratio": ours["bytes"] / theirs["bytes"], "samples": sides}))
    return figures


def bench_canvas(repetitions: int) -> list[Figure]:
    """(i) What do workflows cost, against Celery's and against bare publishes and consumes?"""
    with Services("rabbitmq", "redis") as services:
        canvas = Canvas(services)
        figures = bytes_figures(canvas, services)  # declares the queues, too
        figures += burst_figures(canvas, services, repetitions)
        figures += chain_figures(canvas, services, repetitions)
        figures.append(chord_figure(canvas, services, repetitions))
    for figure in figures:
        figure.question = bench_canvas.__doc__
    return figures
