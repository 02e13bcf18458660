#!/usr/bin/env python3
"""Measures Lovage against its limits and against Celery: `./dev bench [NAME…]`.

Both sides of a figure run on this machine in this run, in turns; the ratio is what counts. A table goes to the terminal,
every sample to build/bench/NAME.json. README.md beside this file says what each benchmark asks.
"""
import argparse
import contextlib
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import (OUTPUT, ROOT, Child, Figure, Services, address, await_http, free_port, fresh_folder, get_status,  # noqa: E402
                     interleaved, median_ratio, peer_python, print_markdown, print_table, program, resident_mib, resting, run_json, write_figures, wrk)
from canvas import bench_canvas  # noqa: E402
from monitoring import bench_control, bench_events  # noqa: E402
from pools import bench_growth, bench_pools  # noqa: E402

TASK_PATH = "/v1/celery-worker/integer-multiplication/async/?integer=21"
QUEUE = "project-worker"


def api(name: str, port: int, environment: dict | None = None) -> Child:
    """project-api on an empty folder of its own, or on the servers that `environment` names."""
    folder = fresh_folder(name)
    folder.mkdir()
    return Child([program("project-api"), "--port", port], environment or api_environment(folder), folder / "api.log", cwd=folder)


def api_environment(folder: pathlib.Path) -> dict:
    url = f"sqlite:///{folder / 'lovage'}"
    return dict(os.environ, LOVAGE_BROKER_URL=url, LOVAGE_RESULT_BACKEND=url)


LARGE_BATCH = 128  # tasks in one transaction of the bare loop: three operations each


def bench_queue(repetitions: int) -> list[Figure]:
    """(a) What does Lovage add to the SQLite statements that a durable queue cannot do without?"""
    def run(name, *arguments):
        folder = fresh_folder("queue")
        folder.mkdir()
        done = subprocess.run([program(name), folder, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True, timeout=300)
        return json.loads(done.stdout)

    def same_batches():
        """The bare loop commits as often as Lovage did just before it."""
        last = taken["lovage"]
        return run("sqlite_limit", last["tasks"], max(1, round(last["tasks"] / last["broker_commits"])))

    def ours():
        taken["lovage"] = run("sqlite_tasks")
        return taken["lovage"]
    taken = {}
    samples = interleaved({"lovage": ours, "same batches": same_batches,
                           "large batches": lambda: run("sqlite_limit", taken["lovage"]["tasks"], LARGE_BATCH)}, repetitions)
    rates = {side: [sample["tasks_per_second"] for sample in runs] for side, runs in samples.items()}
    figures = []
    for side, target in (("same batches", "ratio >= 0.50"), ("large batches", "none")):
        ratio = median_ratio(rates["lovage"], rates[side])
        figures.append(Figure(f"send, run, store, ack on SQLite ({side})", bench_queue.__doc__, statistics.median(rates["lovage"]),
                              statistics.median(rates[side]), "tasks/s", target, target == "none" or ratio >= 0.5,
                              {"median_ratio": ratio, "samples": {"lovage": samples["lovage"], side: samples[side]}}))
    return figures


def bench_http(repetitions: int) -> list[Figure]:
    """(b) What do router and default middleware cost, against a bare Asio loop that answers the same bytes?"""
    ports = {"lovage": free_port(), "limit": free_port()}
    with api("http", ports["lovage"]) as ours, Child([program("http_limit"), ports["limit"]]) as limit:
        await_http(ours, ports["lovage"], "/health/live")
        await_http(limit, ports["limit"], "/health/live")
        for port in ports.values():
            wrk(port, "/health/live", seconds=2)
        samples = interleaved({side: lambda port=port: wrk(port, "/health/live") for side, port in ports.items()}, repetitions)
    rates = {side: [sample["per_second"] for sample in runs] for side, runs in samples.items()}
    ratio = median_ratio(rates["lovage"], rates["limit"])
    return [Figure("GET /health/live", bench_http.__doc__, statistics.median(rates["lovage"]),
                   statistics.median(rates["limit"]), "requests/s", "ratio >= 0.70", ratio >= 0.7,
                   {"median_ratio": ratio, "samples": samples})]


def checked_wrk(port: int, path: str, count, **options) -> dict:
    """A POST run that is void unless every answered request is in the queue that `count` looks at."""
    before = count()
    result = wrk(port, path, method="POST", **options)
    arrived = count() - before
    # wrk hangs up in the middle of its last requests: they may have arrived unanswered.
    if not result["requests"] <= arrived <= result["requests"] + 64:
        sys.exit(f"the run is void: {result['requests']} tasks were accepted, {arrived} are in the queue")
    return result


def ask_rabbitmq(python: pathlib.Path, url: str, question: str) -> int:
    code = f"from kombu import Connection\nwith Connection({url!r}) as c:\n    print(c.default_channel.{question})"
    return int(subprocess.run([python, "-c", code], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout)


def queue_length(python: pathlib.Path, url: str, queue: str) -> int:
    """Messages ready in RabbitMQ's queue, asked of the broker itself."""
    return ask_rabbitmq(python, url, f"queue_declare({queue!r}, passive=True).message_count")


def sqlite_queue_length(folder: pathlib.Path) -> int:
    """Messages ready in the queue, as the worker program reports them."""
    done = subprocess.run([program("project-worker"), "status", "--json"], env=api_environment(folder), check=True,
                          stdout=subprocess.PIPE, text=True, timeout=30)
    return sum(queue["ready"] for queue in json.loads(done.stdout)["queues"] if queue["name"] == QUEUE)


def bench_tasks(repetitions: int) -> list[Figure]:
    """(c) How many tasks a second does an asynchronous endpoint accept, against FastAPI + Celery + RabbitMQ?"""
    python = peer_python()
    processes, ports = {}, {}
    with contextlib.ExitStack() as stack:
        services = stack.enter_context(Services("rabbitmq", "redis"))
        # As the original demonstration installs and writes it: plain uvicorn, asgiref's one thread. And the best we could make of it.
        for side, environment, options in (("celery, as written", {"THREAD_SENSITIVE": "1"}, ["--loop", "asyncio", "--http", "h11"]),
                                           ("celery, tuned", {"THREAD_SENSITIVE": "0"}, ["--loop", "uvloop", "--http", "httptools"])):
            ports[side] = free_port()
            uvicorn = stack.enter_context(Child(
                [python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", ROOT / "bench" / "peers", "--workers", 2,
                 "--port", ports[side], *options],  # both sides keep their access log, as by default
                dict(os.environ, BROKER_URL=services.amqp, **environment), OUTPUT / "state" / "uvicorn.log"))
            processes[side] = [uvicorn, services]
        ports["lovage"] = free_port()
        processes["lovage"] = [stack.enter_context(api("tasks", ports["lovage"]))]
        ports["lovage, RabbitMQ"] = free_port()
        processes["lovage, RabbitMQ"] = [stack.enter_context(api("tasks-rabbitmq", ports["lovage, RabbitMQ"], dict(
            os.environ, CELERY_BROKER_URL=services.amqp, CELERY_RESULT_BACKEND_URL=services.redis))), services]
        everybody = {child for children in processes.values() for child in children}
        for side, port in ports.items():
            await_http(processes[side][0], port, "/health/live")
            wrk(port, TASK_PATH, method="POST", seconds=2)

        def measure(side):
            count = (lambda: sqlite_queue_length(OUTPUT / "state" / "tasks")) if side == "lovage" else (
                lambda: queue_length(python, services.amqp, QUEUE))
            with resting(everybody.difference(processes[side])):
                return checked_wrk(ports[side], TASK_PATH, count)
        samples = interleaved({side: functools.partial(measure, side) for side in ports}, repetitions)
        rates = {side: [sample["per_second"] for sample in runs] for side, runs in samples.items()}
        half = statistics.median(rates["lovage, RabbitMQ"]) / 2
        with resting(everybody.difference(processes["lovage, RabbitMQ"])):
            ask_rabbitmq(python, services.amqp, f"queue_purge({QUEUE!r})")  # the bare publish, too, begins with an empty queue
            pairs = [(paced_wrk(ports["lovage, RabbitMQ"], TASK_PATH, half),
                      run_json(program("rabbitmq_limit"), address(services.amqp), address(services.redis), "paced", round(half * 3), round(half)))
                     for _ in range(repetitions)]
    figures = []
    for ours, side, promise in (("lovage", "celery, as written", 20), ("lovage", "celery, tuned", None),
                                ("lovage, RabbitMQ", "celery, as written", 8), ("lovage, RabbitMQ", "celery, tuned", None)):
        ratio = median_ratio(rates[ours], rates[side])
        figures.append(Figure(f"async endpoint ({ours}; {side})", bench_tasks.__doc__, statistics.median(rates[ours]),
                              statistics.median(rates[side]), "tasks/s", f"ratio >= {promise}" if promise else "none",
                              not promise or ratio >= promise,
                              {"median_ratio": ratio, "samples": {ours: samples[ours], side: samples[side]}}))
    ratio = statistics.median(ours["p99_ms"] / bare["p99_ms"] for ours, bare in pairs)
    figures.append(Figure(f"its p99 on RabbitMQ at {half:.0f} req/s", bench_tasks.__doc__, statistics.median(ours["p99_ms"] for ours, _ in pairs),
                          statistics.median(bare["p99_ms"] for _, bare in pairs), "ms (bare confirmed publish)", "ratio <= 2", ratio <= 2,
                          {"median_ratio": ratio, "samples": pairs}))
    return figures


def paced_wrk(port: int, path: str, rate: float) -> dict:
    """wrk with pauses between a connection's requests, so that about `rate` a second are sent."""
    os.environ["WRK_PAUSE_MS"] = str(1000 * PACED_CONNECTIONS / rate)
    return wrk(port, path, method="POST", seconds=3, connections=PACED_CONNECTIONS, script="wrk_paced_post.lua")


PACED_CONNECTIONS = 32


# What is measured, Lovage's promises: part of the bare loop's rate, times Celery's rate, times less CPU than Celery.
RABBITMQ_MODES = {
    "publish": ("confirmed persistent send", 0.85, None, 40),
    "drain": ("drain: run, store in Redis, ack", 0.70, 7, 30),
    "together": ("send, run and store at once", 0.70, 5, None),
}
RABBITMQ_TASKS = 40_000
CELERY_TASKS = 6_000


def bench_rabbitmq(repetitions: int) -> list[Figure]:
    """(f) What does a task cost through RabbitMQ and Redis, against a bare loop that moves its bytes, and against Celery?"""
    python = peer_python()
    figures = []
    with Services("rabbitmq", "redis") as services:
        sides = {
            "lovage": lambda mode: run_json(program("rabbitmq_tasks"), services.amqp, services.redis, mode, RABBITMQ_TASKS),
            "limit": lambda mode: run_json(program("rabbitmq_limit"), address(services.amqp), address(services.redis), mode, RABBITMQ_TASKS),
            "celery": lambda mode: run_json(python, ROOT / "bench" / "peers" / "celery_tasks.py", services.amqp, services.redis,
                                            mode, CELERY_TASKS),
        }
        for mode, (title, of_limit, of_celery, less_cpu) in RABBITMQ_MODES.items():
            sides["limit"](mode)  # not measured: a server that has done nothing yet is slower for whom it meets first
            samples = interleaved({side: functools.partial(run, mode) for side, run in sides.items()}, repetitions)
            for side, promise, key in (("limit", of_limit, "per_second"), ("celery", of_celery, "per_second"), ("celery", less_cpu, "cpu_us")):
                if promise is None:
                    continue
                ours, theirs = ([sample[key] for sample in samples[name]] for name in ("lovage", side))
                ratio = median_ratio(ours, theirs) if key == "per_second" else median_ratio(theirs, ours)
                unit, of = ("tasks/s", side) if key == "per_second" else ("us CPU/task", f"{side}, times less CPU")
                figures.append(Figure(f"{title} ({of})", bench_rabbitmq.__doc__, statistics.median(ours), statistics.median(theirs),
                                      unit, f"ratio >= {promise:g}", ratio >= promise,
                                      {"median_ratio": ratio, "samples": {"lovage": samples["lovage"], side: samples[side]}}))
    return figures


IDLE_SECONDS = 5


def start_and_idle(name: str, arguments: list, is_ready) -> dict:
    """Milliseconds from exec until is_ready(child), then MiB after some seconds with nothing to do."""
    folder = fresh_folder("idle")
    folder.mkdir()
    started = time.monotonic()
    with Child([program(name), *arguments], api_environment(folder), folder / "log", cwd=folder) as child:
        while not is_ready(child):
            child.check_alive()
            if time.monotonic() - started > 10:
                raise TimeoutError(f"{name} was not ready within 10 s; see {child.log}")
            time.sleep(0.0005)
        ready = time.monotonic() - started
        time.sleep(IDLE_SECONDS)
        return {"ready_ms": ready * 1000, "resident_mib": resident_mib(child.pid)}


def bench_idle(repetitions: int) -> list[Figure]:
    """(d) How soon is a program ready, and how much memory does it hold when it has nothing to do?"""
    port = free_port()
    runs = interleaved({
        "API": lambda: start_and_idle("project-api", ["--port", port], lambda _: get_status(port, "/health/ready") == 200),
        "worker": lambda: start_and_idle("project-worker", ["worker"], lambda child: b" ready." in child.log.read_bytes()),
    }, repetitions)
    figures = []
    for side, samples in runs.items():
        ready = statistics.median(sample["ready_ms"] for sample in samples)
        memory = statistics.median(sample["resident_mib"] for sample in samples)
        figures.append(Figure(f"{side} ready", bench_idle.__doc__, ready, None, "ms", "<= 100", ready <= 100, {"samples": samples}))
        figures.append(Figure(f"{side} idle memory", bench_idle.__doc__, memory, None, "MiB", "<= 15", memory <= 15))
    return figures


def bench_build(_repetitions: int) -> list[Figure]:
    """(e) How long does a clean release build take, without ccache, tests and benchmarks included?"""
    folder = fresh_folder("clean-build")
    started = time.monotonic()
    for command in (["cmake", "--preset", "release", "-B", folder, "-D", "LOVAGE_CCACHE="],
                    ["ninja", "-C", folder, "-j", str(os.cpu_count())]):
        subprocess.run(command, cwd=ROOT, check=True, env=dict(os.environ, CCACHE_DISABLE="1"))
    minutes = (time.monotonic() - started) / 60
    return [Figure("clean release build", bench_build.__doc__, minutes, None, "minutes", "<= 8 on two cores", minutes <= 8,
                   {"cores": os.cpu_count()})]


BENCHMARKS = {"queue": bench_queue, "http": bench_http, "tasks": bench_tasks, "rabbitmq": bench_rabbitmq, "pools": bench_pools, "growth": bench_growth,
              "canvas": bench_canvas, "events": bench_events, "control": bench_control, "idle": bench_idle, "build": bench_build}
BY_DEFAULT = ["queue", "http", "tasks", "idle"]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n".join(f"  {name:8} {run.__doc__}" for name, run in BENCHMARKS.items()))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (default: {' '.join(BY_DEFAULT)})")
    parser.add_argument("--repetitions", type=int, default=5, help="runs of each side (default: 5)")
    parser.add_argument("--markdown", action="store_true", help="print the table as README.md quotes it")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    figures = []
    for name in args.names or BY_DEFAULT:
        print(f"{name}: {BENCHMARKS[name].__doc__}", flush=True)
        measured = BENCHMARKS[name](args.repetitions)
        write_figures(name, measured)
        figures += measured
    print()
    if args.markdown:
        print_markdown(figures, " ".join(["./dev bench", *args.names]))
    else:
        print_table(figures)
    sys.exit(0 if all(figure.met for figure in figures) else 1)


if __name__ == "__main__":
    main()
