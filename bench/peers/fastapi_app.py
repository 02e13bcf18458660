"""The task endpoint of a FastAPI + Celery project, as such projects write it: the other side of bench/run.py tasks.

BROKER_URL names the broker. THREAD_SENSITIVE chooses how asgiref runs Celery's blocking publish: "1", its default, puts
all of them on one thread; "0" uses a thread pool. The benchmark measures both and compares with the faster.
"""
import os

from asgiref.sync import sync_to_async
from celery import Celery
from fastapi import FastAPI

QUEUE = "project-worker"

producer = Celery("project-api", broker=os.environ["BROKER_URL"])
producer.conf.update(
    broker_transport_options={"confirm_publish": True, "max_retries": 5},
    task_default_queue=QUEUE,
    task_ignore_result=True,
)
send_task = sync_to_async(producer.send_task, thread_sensitive=os.environ.get("THREAD_SENSITIVE", "1") == "1")
app = FastAPI()


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/celery-worker/integer-multiplication/async/")
async def integer_multiplication(integer: int) -> dict[str, str]:
    result = await send_task("integer-multiplication", kwargs={"integer": integer}, queue=QUEUE)
    return {"taskId": result.id}
