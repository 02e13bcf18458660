"""./dev bench events and ./dev bench control: what it costs to be watched, and how soon a busy worker answers."""
import functools
import json
import statistics
import subprocess
import sys
import time

from harness import Child, Figure, Services, address, interleaved, median_ratio, program, run_json
from pools import SLOTS, TASKS, Bench, single

EVENTS_A_TASK = 3  # received, started, succeeded
MONITORED_TASKS = 200_000
PINGS = 300
PROCESSES = 20
BACKLOG = 120_000  # tasks that wait while a worker is asked
WARM = 5_000  # so many it has run before
NODE = "bench@localhost"


def drain_watched(bench: Bench, services: Services, *options) -> dict:
    """Tasks a second with somebody who listens to all events, and how many events a task came to him."""
    counts = bench.folder / "events.json"
    with Child([program("event_listener"), address(services.amqp), counts], log=bench.folder / "listener.log") as listener:
        run = bench.drain("prefork", *options)
        time.sleep(0.5)  # what is on its way arrives
        listener.check_alive()
    heard = json.loads(counts.read_text())
    return run | {"events_per_task": heard["events"] / TASKS, "messages": heard["messages"]}


def state_figures() -> list[Figure]:
    runs = [run_json(program("event_state"), MONITORED_TASKS) for _ in range(3)]
    rate = statistics.median(run["applied_per_second"] for run in runs)
    size = statistics.median(run["bytes_per_task"] for run in runs)
    return [Figure("EventState, one core", "", rate, None, "events/s", ">= 200,000", rate >= 200_000, {"samples": runs}),
            single("EventState, a finished task", size, "bytes", 1_200, runs)]


def bench_events(repetitions: int) -> list[Figure]:
    """(j) What do events cost a worker, and what does following them cost a monitor?"""
    with Services("rabbitmq", "redis") as services:
        bench = Bench("events", services.amqp, services.redis)
        samples = interleaved({"on": functools.partial(drain_watched, bench, services, "-E"),
                               "off": functools.partial(drain_watched, bench, services)}, repetitions)
    rates = {side: [run["per_second"] for run in runs] for side, runs in samples.items()}
    ratio = median_ratio(rates["on"], rates["off"])
    heard = min(run["events_per_task"] for run in samples["on"])
    figures = [Figure(f"no-ops in {SLOTS} prefork slots, events on (off)", "", statistics.median(rates["on"]), statistics.median(rates["off"]),
                      "tasks/s", "ratio >= 0.85", ratio >= 0.85, {"median_ratio": ratio, "samples": samples}),
               Figure("events that came to the listener", "", heard, EVENTS_A_TASK, "a task, the fewest", "ratio >= 0.99",
                      heard >= 0.99 * EVENTS_A_TASK, {"median_ratio": heard / EVENTS_A_TASK, "samples": samples["on"]}),
               *state_figures()]
    for figure in figures:
        figure.question = bench_events.__doc__
    return figures


class BusyWorker:
    """A worker with more no-ops than it runs while it is asked, for the length of a `with`."""

    def __init__(self, bench: Bench, services: Services):
        self.bench = bench
        self.services = services

    def __enter__(self):
        self.bench.page.clear()
        self.bench.send("noop", BACKLOG)
        self.services.await_rest()
        self.worker = self.bench.worker("prefork", SLOTS, "-n", NODE)
        self.bench.page.wait(lambda: self.bench.page.ended >= WARM, self.worker)
        return self

    def check(self):
        """Ends the program when the worker had nothing left to do."""
        if self.bench.page.ended >= BACKLOG:
            sys.exit("the worker had run out of tasks: the figure is void")

    def __exit__(self, *_):
        self.worker.stop()
        subprocess.run([program("pool_tasks"), "purge", "-f"], check=True, env=self.bench.environment, stdout=subprocess.DEVNULL)


def ask_connected(bench: Bench) -> dict:
    return run_json(program("pool_tasks"), "ping", NODE, PINGS, environment=bench.environment)


def ask_anew(bench: Bench) -> dict:
    """Milliseconds of whole `inspect ping` processes."""
    times = []
    for _ in range(PROCESSES):
        start = time.monotonic()
        subprocess.run([program("pool_tasks"), "inspect", "ping", "-d", NODE, "--timeout", "10"], check=True,
                       env=bench.environment, stdout=subprocess.DEVNULL)
        times.append((time.monotonic() - start) * 1000)
    return {"p50_ms": statistics.median(times), "max_ms": max(times)}


def ask_busy(bench: Bench, services: Services) -> tuple[dict, dict]:
    with BusyWorker(bench, services) as busy:
        asked = ask_connected(bench), ask_anew(bench)
        busy.check()
    return asked


def bench_control(repetitions: int) -> list[Figure]:
    """(k) How soon does a worker that is kept busy answer?"""
    with Services("rabbitmq", "redis") as services:
        bench = Bench("control", services.amqp, services.redis)
        connected, anew = zip(*(ask_busy(bench, services) for _ in range(repetitions)), strict=True)
    p99 = max(run["p99_ms"] for run in connected)
    whole = statistics.median(run["p50_ms"] for run in anew)
    figures = [single(f"p99 of {PINGS} pings to a saturated worker, the slowest run's", p99, "ms", 50, connected),
               Figure("a whole `inspect ping` process", "", whole, None, "ms (median)", "none", True, {"samples": anew})]
    for figure in figures:
        figure.question = bench_control.__doc__
    return figures
