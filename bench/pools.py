"""./dev bench pools: what slots of their own cost in time and memory, and how soon work goes on after a kill.

Every figure is taken from `pool_tasks worker`, a worker as users start it; its tasks write into a page of memory that this
side reads.
"""
import functools
import json
import mmap
import os
import pathlib
import re
import signal
import statistics
import struct
import subprocess
import sys
import time

from harness import (ROOT, Child, Figure, Services, fresh_folder, interleaved, median_ratio, peer_python, program, resident_mib, run_json)

SLOTS = 2  # as many as bench/peers/celery_tasks.py has children
TASKS = 40_000
CELERY_TASKS = 6_000
HOP_ROUNDS = 500
HOP_MOST = 60
MEMORY_SLOTS = 8
NAPS = 10_000
KILLS = 100
GROWTH_TASKS = 1_000_000
GROWTH_SLICE = 50_000
PATIENCE = 120


class Page:
    """What the tasks of pool_tasks.cpp tell."""
    FIELDS = {"started": 0, "ended": 8, "first_start": 16, "first_redelivered_start": 24}

    def __init__(self, folder: pathlib.Path):
        self.path = folder / "page"
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 4096)

    def __getattr__(self, name: str) -> int:
        return struct.unpack_from("<q", self.memory, Page.FIELDS[name])[0]

    def clear(self):
        self.memory[:32] = bytes(32)

    def wait(self, condition, child: Child):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            child.check_alive()
            if time.monotonic() > deadline:
                sys.exit(f"pool_tasks: {self.ended} tasks ended within {PATIENCE} s; see {child.log}")
            time.sleep(0.0005)


class Bench:
    """Workers and senders on one pair of servers, or on a folder."""

    def __init__(self, name: str, broker: str = "", results: str = ""):
        self.folder = fresh_folder(name)
        self.folder.mkdir()
        self.page = Page(self.folder)
        folder_url = f"sqlite:///{self.folder / 'lovage'}"
        self.environment = dict(os.environ, BENCH_PAGE=str(self.page.path), LOVAGE_BROKER_URL=broker or folder_url,
                                LOVAGE_RESULT_BACKEND=results or folder_url, LOVAGE_TASK_DEFAULT_QUEUE=f"bench-{name}",
                                LOVAGE_RESULT_EXPIRES="60", LOVAGE_TASK_PUBLISH_TIMEOUT="60")

    def send(self, task: str, count: int):
        subprocess.run([program("pool_tasks"), "send", task, str(count)], check=True, env=self.environment, timeout=PATIENCE)

    def worker(self, pool: str, slots: int, *options) -> Child:
        return Child([program("pool_tasks"), "worker", "--pool", pool, "-c", slots, "--loglevel", "warning", *options],
                     self.environment, self.folder / "worker.log", cwd=self.folder)

    def drain(self, pool: str, *options) -> dict:
        """Tasks a second from the 5th to the 95th hundredth, so that neither start nor end counts."""
        self.page.clear()
        self.send("noop", TASKS)
        with self.worker(pool, SLOTS, *options) as worker:
            first = TASKS // 20
            self.page.wait(lambda: self.page.ended >= first, worker)
            begun, before = time.monotonic(), self.page.ended
            self.page.wait(lambda: self.page.ended >= TASKS - first, worker)
            rate = (self.page.ended - before) / (time.monotonic() - begun)
            self.page.wait(lambda: self.page.ended >= TASKS, worker)
        return {"per_second": rate}

    def memory(self, pool: str) -> dict:
        """MiB after some tasks: proportional set size, every page shared by n processes counted as 1/n of it in each."""
        self.page.clear()
        self.send("noop", 2_000)
        with self.worker(pool, MEMORY_SLOTS) as worker:
            self.page.wait(lambda: self.page.ended >= 2_000, worker)
            time.sleep(2)
            return {"mib": sum(proportional_mib(pid) for pid in family(worker.pid)), "processes": len(family(worker.pid))}

    def naps(self) -> dict:
        """From the start of the first of many sleeping coroutines to the end of the last."""
        self.page.clear()
        self.send("nap", NAPS)
        with self.worker("coroutine", NAPS) as worker:
            self.page.wait(lambda: self.page.ended >= NAPS, worker)
            return {"seconds": time.monotonic() - self.page.first_start * 1e-9}

    def recoveries(self) -> list[float]:
        """Seconds from kill -9 of a busy worker to the start of the first of its tasks in its successor, started at once."""
        self.send("work", 400)
        worker = self.worker("prefork", SLOTS)
        seconds = []
        try:
            for _ in range(KILLS):
                busy = self.page.started + 2 * SLOTS
                self.page.wait(lambda busy=busy: self.page.started >= busy, worker)
                self.page.clear()
                os.kill(worker.pid, signal.SIGKILL)
                killed = time.monotonic()
                worker.stop()
                worker = self.worker("prefork", SLOTS)
                self.page.wait(lambda: self.page.first_redelivered_start != 0, worker)
                seconds.append(self.page.first_redelivered_start * 1e-9 - killed)
                self.send("work", 50)
        finally:
            worker.stop()
        return seconds

    def growth(self) -> dict:
        """MiB of the worker and of its largest slot after a tenth of the tasks, and after all."""
        self.page.clear()
        seen = {}
        with self.worker("prefork", SLOTS) as worker:
            for sent in range(GROWTH_SLICE, GROWTH_TASKS + 1, GROWTH_SLICE):
                self.send("noop", GROWTH_SLICE)
                self.page.wait(lambda sent=sent: self.page.ended >= sent, worker)
                if sent in (GROWTH_TASKS // 10, GROWTH_TASKS):
                    time.sleep(1)
                    slots = [resident_mib(pid) for pid in family(worker.pid)[1:]]
                    seen[sent] = {"worker": resident_mib(worker.pid), "slots": max(slots)}
        return seen


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = [child for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
    return [pid, *map(int, children)]


def proportional_mib(pid: int) -> float:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) / 1024


def rate_figures(bench: Bench, services: Services, repetitions: int) -> list[Figure]:
    python = peer_python()
    samples = interleaved({
        "prefork": lambda: bench.drain("prefork"),
        "threads": lambda: bench.drain("threads"),
        "celery": lambda: run_json(python, ROOT / "bench" / "peers" / "celery_tasks.py", services.amqp, services.redis, "drain",
                                   CELERY_TASKS),
    }, repetitions)
    rates = {side: [sample["per_second"] for sample in runs] for side, runs in samples.items()}
    figures = []
    for side, promise in (("threads", 0.7), ("celery", 6)):
        ratio = median_ratio(rates["prefork"], rates[side])
        figures.append(Figure(f"no-ops in {SLOTS} prefork slots ({side})", "", statistics.median(rates["prefork"]),
                              statistics.median(rates[side]), "tasks/s", f"ratio >= {promise:g}", ratio >= promise,
                              {"median_ratio": ratio, "samples": samples}))
    return figures


def threads_of(process: int) -> list[int]:
    return [int(thread) for thread in os.listdir(f"/proc/{process}/task")]


def slot_threads(worker: int) -> set[int]:
    """Those that run tasks: of the slot's process, or the worker's own."""
    own = threads_of(worker)
    children = [int(child) for thread in own for child in pathlib.Path(f"/proc/{worker}/task/{thread}/children").read_text().split()]
    named = [thread for thread in own if pathlib.Path(f"/proc/{worker}/task/{thread}/comm").read_text().startswith("lovage-slot")]
    return {thread for child in children for thread in threads_of(child)} | set(named)


def hop(pool: str, place: str) -> dict:
    """Medians of round trips, the threads being where `place` says: on "one" processor, the slot's and the others' on "two", or
    wherever the kernel wants them ("free")."""
    with subprocess.Popen([str(program("pool_tasks")), "hop", pool, str(HOP_ROUNDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as child:
        if child.stdout.readline() != "ready\n":
            sys.exit("pool_tasks hop: the worker did not start")
        processors = sorted(os.sched_getaffinity(0))
        slot = slot_threads(child.pid)
        if not slot:
            sys.exit("pool_tasks hop: no thread of the slot is to be seen")
        for thread in slot | set(threads_of(child.pid)) if place != "free" else ():
            os.sched_setaffinity(thread, {processors[1 if place == "two" and thread in slot else 0]})
        said, _ = child.communicate("\n", timeout=PATIENCE)
    if child.returncode != 0:
        sys.exit(f"pool_tasks hop: it ended with {child.returncode}")
    return json.loads(said)


def hop_figures(repetitions: int) -> list[Figure]:
    places = ("one", "two", "free") if len(os.sched_getaffinity(0)) > 1 else ("one", "free")
    samples = interleaved({(pool, place): functools.partial(hop, pool, place) for place in places for pool in ("prefork", "threads")},
                          repetitions)
    figures = []
    for name, place, field, most in (("on one processor", "one", "closed_us", HOP_MOST),
                                     ("on one, 3 ms between", "one", "alone_us", HOP_MOST),
                                     ("on two processors", "two", "closed_us", HOP_MOST),
                                     ("on two, 3 ms between", "two", "alone_us", HOP_MOST),
                                     ("placed by the kernel", "free", "closed_us", None),
                                     ("placed by the kernel, 3 ms", "free", "alone_us", None),
                                     ("the same, asked from a thread", "free", "thread_us", None)):
        if place not in places:
            continue
        sides = {pool: [sample[field] for sample in samples[pool, place]] for pool in ("prefork", "threads")}
        added = statistics.median(ours - theirs for ours, theirs in zip(sides["prefork"], sides["threads"], strict=True))
        figures.append(Figure(f"a slot hop adds, {name}", "", added, None, "us (median round trip)", "" if most is None else f"<= {most}",
                              most is None or added <= most, {"samples": sides}))
    return figures


def single(name: str, value: float, unit: str, most: float, details) -> Figure:
    return Figure(name, "", value, None, unit, f"<= {most:g}", value <= most, {"samples": details})


def bench_pools(repetitions: int) -> list[Figure]:
    """(g) What do slots that are processes cost, against threads and against Celery's; and how soon does work go on after a kill?"""
    figures = hop_figures(repetitions)
    with Services("rabbitmq", "redis") as services:
        bench = Bench("pools", services.amqp, services.redis)
        figures += rate_figures(bench, services, repetitions)
        for pool, most in (("prefork", 40), ("threads", 20)):
            taken = [bench.memory(pool) for _ in range(3)]
            figures.append(single(f"{MEMORY_SLOTS} slots: {pool}", statistics.median(one["mib"] for one in taken), "MiB PSS", most, taken))
        naps = [bench.naps() for _ in range(repetitions)]
        figures.append(single(f"{NAPS:,} coroutines sleep 1 s", statistics.median(one["seconds"] for one in naps), "s", 1.5, naps))
        figures.append(recovery_figure("RabbitMQ", bench))
    figures.append(recovery_figure("SQLite", Bench("pools-sqlite")))
    for figure in figures:
        figure.question = bench_pools.__doc__
    return figures


def recovery_figure(broker: str, bench: Bench) -> Figure:
    seconds = sorted(bench.recoveries())
    p99 = seconds[min(len(seconds) - 1, round(len(seconds) * 0.99) - 1)]
    return single(f"after kill -9, p99 of {len(seconds)} ({broker})", p99, "s", 2, seconds)


def bench_growth(_repetitions: int) -> list[Figure]:
    """(h) Does a prefork worker grow over a million tasks?"""
    with Services("rabbitmq", "redis") as services:
        seen = Bench("growth", services.amqp, services.redis).growth()
    (_, early), (_, late) = sorted(seen.items())
    return [Figure(f"{who} after {GROWTH_TASKS:,} tasks, and after a tenth", bench_growth.__doc__, late[who], early[who], "MiB",
                   "growth <= 1 MiB", late[who] - early[who] <= 1, {"median_ratio": late[who] / early[who]}) for who in ("worker", "slots")]
