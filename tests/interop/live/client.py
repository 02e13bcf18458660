"""What client.cpp does, with Celery: for a run of the tests with Python in both roles (harness.py, --control)."""
import datetime
import json
import sys
import traceback

import celery
import celery.canvas
from celery.result import AsyncResult, GroupResult

import tasks


def canvas(wanted):
    """A canvas as tests describe it; see client.cpp."""
    options = {name: wanted[name] for name in ("queue", "task_id", "countdown") if name in wanted}
    if "chain" in wanted:
        return celery.chain(*map(canvas, wanted["chain"]), app=tasks.app)
    if "group" in wanted:
        return celery.group([canvas(one) for one in wanted["group"]], app=tasks.app)
    if "chord" in wanted:
        return celery.chord([canvas(one) for one in wanted["chord"][0]], canvas(wanted["chord"][1]), app=tasks.app)
    for name, kind in (("map", celery.canvas.xmap), ("starmap", celery.canvas.xstarmap)):
        if name in wanted:
            return kind(canvas(wanted[name][0]), wanted[name][1], app=tasks.app, **options)
    if "chunks" in wanted:
        made = celery.canvas.chunks(canvas(wanted["chunks"][0]), *wanted["chunks"][1:], app=tasks.app).group()
        for member in made.tasks:
            member.set(**options)
        return made
    made = tasks.app.signature(wanted["task"], tuple(wanted.get("args", ())), immutable="immutable" in wanted, **options)
    for name in ("link", "link_error"):
        if name in wanted:
            getattr(made, name)(canvas(wanted[name]))
    return made


def answer(request):
    if request["do"] == "canvas":
        made = canvas(request["canvas"])
        if "stamps" in request:
            made.stamp(**request["stamps"])
        result = made.apply_async(**({"task_id": request["task_id"]} if "task_id" in request else {}))
        if "save" in request:
            result.save(backend=tasks.app.backend)
        return {"id": result.id, "members": [part.id for part in getattr(result, "results", None) or [result]]}
    if request["do"] == "send":
        options = {name: request[name] for name in ("queue", "task_id", "countdown", "expires", "priority", "headers",
                                                    "ignore_result") if name in request}
        if "eta" in request:
            options["eta"] = datetime.datetime.fromisoformat(request["eta"])
        return tasks.app.send_task(request["task"], tuple(request["args"]), request["kwargs"], **options).id
    if request["do"] == "restore":
        return [part.id for part in GroupResult.restore(request["id"], app=tasks.app).results]
    if request["do"] == "revoke":
        return GroupResult(request["id"], [AsyncResult(one, app=tasks.app) for one in request["members"]], app=tasks.app).revoke()
    result = AsyncResult(request["id"], app=tasks.app)
    if request["do"] == "get":
        value = result.get(timeout=request["timeout"])
        if request.get("kind") == "bytes":
            return list(value)
        if request.get("kind") == "moment":
            return value.isoformat() if isinstance(value, datetime.datetime) else value.replace("Z", "+00:00")
        return value
    if request["do"] == "state":
        return result.state
    if request["do"] == "children":
        return [child.as_tuple() for child in result.children]
    if request["do"] == "forget":
        return result.forget()
    raise ValueError(f"no such request: {request['do']}")


def reply(line):
    request = json.loads(line)
    try:
        return {"value": answer(request)}
    except Exception as error:
        if request["do"] == "get" and AsyncResult(request["id"], app=tasks.app).ready():
            return {"failure": {"exc_type": type(error).__name__, "message": str(error.args[0]) if error.args else "",
                                "module": type(error).__module__,
                                "traceback": AsyncResult(request["id"], app=tasks.app).traceback or ""}}
        return {"error": traceback.format_exc()}


if __name__ == "__main__":
    for request_line in sys.stdin:
        print(json.dumps(reply(request_line), default=str), flush=True)
