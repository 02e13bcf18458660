"""Our message protocol against the pinned Celery, in both directions.

Usage: messages_test.py LOVAGE_MESSAGE_TOOL

Celery publishes to kombu's in-memory broker and what arrives is compared with what our encoder writes for
the same call; our messages are read and run by Celery's own request class; our decoder reads Celery's. Random
values come from fixed seeds, so a failure repeats.
"""

import base64
import datetime
import json
import math
import random
import subprocess
import sys
import unittest
import uuid

import celery
from celery import Celery, chain, chord, group
from celery.backends.cache import CacheBackend
from celery.utils.saferepr import saferepr
from celery.utils.time import maybe_iso8601
from celery.worker.request import Request
from kombu.message import Message

TOOL = None  # The running lovage_message_tool.
UTC = datetime.timezone.utc

app = Celery("interop", broker="memory://", backend="cache+memory://", set_as_current=True)
app.conf.update(task_always_eager=False, broker_connection_retry_on_startup=True)


@app.task(name="tasks.add")
def add(x, y=0):
    return x + y


@app.task(name="tasks.identity")
def identity(*args, **kwargs):
    return [args, kwargs]


class Tool:
    """Asks lovage_message_tool, one JSON line a question."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8")

    def ask(self, what, **request):
        print(json.dumps({"do": what, **request}), file=self.process.stdin, flush=True)
        answer = json.loads(self.process.stdout.readline())
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        if self.process.wait(timeout=10) != 0:
            raise AssertionError(f"the tool ended with {self.process.returncode}")


class Sent:
    """A message as it lies in the broker: kombu's own Message class would already have unpacked it."""

    def __init__(self, payload):
        self.properties = payload["properties"]
        self.headers = payload["headers"]
        self.content_type = payload["content-type"]
        self.content_encoding = payload["content-encoding"]
        self.body = base64.b64decode(payload["body"])
        assert self.properties["body_encoding"] == "base64"


def published(send):
    """What `send` puts on the queue `celery`, oldest first."""
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        channel.queue_declare("celery")
        channel.queue_purge("celery")
        send()
        return [Sent(channel._get("celery")) for _ in range(channel._size("celery"))]


def random_text(rng):
    alphabet = "ab '\"\\\n\t{}[],:é☃😀\u2028\u00a0\x00\x7f\ud800"
    return "".join(rng.choice(alphabet) for _ in range(rng.choice((0, 1, 3, 8, 40))))


def random_value(rng, depth=0):
    kind = rng.randrange(10 if depth < 6 else 7)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.randrange(-1000, 1000)
    if kind == 2:
        return rng.choice((1, -1)) * rng.getrandbits(rng.choice((8, 31, 32, 63, 64, 65, 200)))
    if kind == 3:
        return rng.choice((0.1, -0.0, 1e16, 1e22, 5e-324, 1.5, rng.random(), math.inf, -math.inf))
    if kind < 7:
        return random_text(rng)
    size = rng.choice((0, 1, 2, 5))
    if kind < 9:
        return [random_value(rng, depth + 1) for _ in range(size)]
    return {random_text(rng): random_value(rng, depth + 1) for _ in range(size)}


def random_moment(rng):
    seconds = rng.randrange(0, 4_000_000_000)
    return datetime.datetime.fromtimestamp(seconds, UTC).replace(microsecond=rng.choice((0, 1, 500000, 999999)))


def random_call(rng):
    """Arguments of apply_async, and the same call as our TaskMessage."""
    args = [random_value(rng) for _ in range(rng.randrange(4))]
    kwargs = {f"k{i}": random_value(rng) for i in range(rng.randrange(3))}
    task_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    options, fields = {"task_id": task_id}, {"id": task_id, "task": "tasks.identity"}

    def maybe(option, field, value):
        if rng.random() < 0.4:
            options[option] = value
            fields[field] = value

    maybe("group_id", "group", str(uuid.UUID(int=rng.getrandbits(128))))
    maybe("group_index", "group_index", rng.randrange(100))
    maybe("retries", "retries", rng.randrange(20))
    maybe("time_limit", "time_limit", rng.choice((1, 20, 0.5, 300)))
    maybe("soft_time_limit", "soft_time_limit", rng.choice((1, 20, 2.25)))
    maybe("root_id", "root_id", "root-of-it")
    maybe("parent_id", "parent_id", "parent-of-it")
    maybe("shadow", "shadow", "shown as")
    maybe("ignore_result", "ignore_result", True)
    maybe("priority", "priority", rng.randrange(10))
    maybe("reply_to", "reply_to", "somewhere")
    maybe("headers", "user_headers", {"x-trace": "1", "n": rng.randrange(5), "deep": {"a": [1, None]}})
    fields.setdefault("priority", 0)
    if rng.random() < 0.3:
        options["eta"] = random_moment(rng)
        fields["eta"] = options["eta"].isoformat()
    if rng.random() < 0.3:
        options["expires"] = random_moment(rng)
        fields["expires"] = options["expires"].isoformat()
    return args, kwargs, options, {**fields, "args": args, "kwargs": kwargs}


def apply(args, kwargs, options):
    identity.apply_async(tuple(args), kwargs, **options)


def to_decode(message):
    return {"content_type": message.content_type,
            "properties": {name: message.properties.get(name)
                           for name in ("correlation_id", "reply_to", "priority", "delivery_mode")},
            "headers": message.headers, "body_hex": message.body.hex()}


class OurMessages(unittest.TestCase):
    def test_equal_what_celery_publishes_for_the_same_call(self):
        rng = random.Random(1)
        for _ in range(300):
            args, kwargs, options, fields = random_call(rng)
            theirs, = published(lambda: apply(args, kwargs, options))
            fields["origin"] = theirs.headers["origin"]
            fields["reply_to"] = theirs.properties["reply_to"]
            ours = TOOL.ask("encode", task=fields)
            # As text: the order of the fields counts, too.
            self.assertEqual(json.dumps(ours["headers"]), json.dumps(theirs.headers))
            self.assertEqual(ours["body"].encode(), theirs.body)
            self.assertEqual(ours["content_type"], theirs.content_type)
            self.assertEqual(ours["content_encoding"], theirs.content_encoding)
            for name in ("correlation_id", "reply_to", "delivery_mode", "priority"):
                self.assertEqual(ours["properties"][name], theirs.properties[name], name)

    def test_expire_at_the_broker_when_celerys_do(self):
        now = datetime.datetime.now(UTC)
        for seconds in (120, 0.25, -5):
            expires = now + datetime.timedelta(seconds=seconds)
            theirs, = published(lambda: apply([], {}, {"expires": expires}))
            ours = TOOL.ask("encode", now=now.isoformat(),
                            task={"id": "i", "task": "t", "expires": expires.isoformat()})
            sent = int(theirs.properties["expiration"])
            # Celery reads its own clock, a little later than we did.
            self.assertLessEqual(sent, int(ours["properties"]["expiration"]))
            self.assertGreater(sent, int(ours["properties"]["expiration"]) - 5000)

    def test_are_understood_by_celerys_request(self):
        rng = random.Random(2)
        for _ in range(200):
            args, kwargs, _, fields = random_call(rng)
            request = self.request(TOOL.ask("encode", task=fields))
            self.assertEqual(request.id, fields["id"])
            self.assertEqual(request.name, fields.get("shadow", "tasks.identity"))
            self.assertEqual(request.type, "tasks.identity")
            self.assertEqual(request.root_id, fields.get("root_id", fields["id"]))
            self.assertEqual(request.parent_id, fields.get("parent_id"))
            self.assertEqual(list(request.time_limits), [fields.get("time_limit"), fields.get("soft_time_limit")])
            self.assertEqual(request.eta, fields.get("eta") and datetime.datetime.fromisoformat(fields["eta"]))
            self.assertEqual(request.expires,
                             fields.get("expires") and datetime.datetime.fromisoformat(fields["expires"]))
            self.assertEqual(request.group, fields.get("group"))
            self.assertEqual(request.correlation_id, fields["id"])
            self.assertEqual(json.dumps(request.args), json.dumps(args))
            self.assertEqual(json.dumps(request.kwargs), json.dumps(kwargs))

    def test_are_run_by_celery(self):
        for args, kwargs, result in (([2, 3], {}, 5), ([2], {"y": 40}, 42), ([10**300, 10**300], {}, 2 * 10**300),
                                     (["å", "☃"], {}, "å☃"), ([0.1, 0.2], {}, 0.1 + 0.2)):
            fields = {"id": str(uuid.uuid4()), "task": "tasks.add", "args": args, "kwargs": kwargs}
            retval = self.request(TOOL.ask("encode", task=fields)).execute()
            self.assertEqual(retval, result)
            self.assertEqual(app.AsyncResult(fields["id"]).get(timeout=1), result)

    def request(self, ours):
        body = ours["body"].encode()
        message = Message(body=body, channel=None, content_type=ours["content_type"],
                          content_encoding=ours["content_encoding"], headers=ours["headers"],
                          properties=ours["properties"], delivery_info={"routing_key": "celery"},
                          accept={"application/json"})
        message.ack = lambda *_, **__: None
        request = Request(message, app=app, hostname="worker@interop", task=app.tasks[ours["headers"]["task"]])
        return request


class CelerysMessages(unittest.TestCase):
    def decode(self, message):
        answer = TOOL.ask("decode", **to_decode(message))
        self.assertNotIn("reason", answer, answer.get("detail"))
        return answer

    def check(self, task, args, kwargs, options, protocol=2):
        self.assertEqual(task["protocol"], protocol)
        self.assertEqual(task["id"], options["task_id"])
        self.assertEqual(task["task"], "tasks.identity")
        self.assertEqual(json.dumps(task["args"]), json.dumps(args))
        self.assertEqual(json.dumps(task["kwargs"]), json.dumps(kwargs))
        for field, option in (("group", "group_id"), ("group_index", "group_index"), ("time_limit", "time_limit"),
                              ("soft_time_limit", "soft_time_limit")):
            self.assertEqual(task[field], options.get(option), field)
        self.assertEqual(task["retries"], options.get("retries", 0))
        for field in ("eta", "expires"):
            moment = task[field] and datetime.datetime.fromisoformat(task[field])
            self.assertEqual(moment, options.get(field), field)
        if protocol == 2:
            self.assertEqual(task["shadow"], options.get("shadow"))
            self.assertEqual(task["root_id"], options.get("root_id", options["task_id"]))
            self.assertEqual(task["parent_id"], options.get("parent_id"))
            self.assertEqual(task["ignore_result"], options.get("ignore_result", False))
            self.assertEqual(task["user_headers"], options.get("headers", {}))

    def test_of_protocol_2_are_read(self):
        rng = random.Random(3)
        for _ in range(300):
            args, kwargs, options, _ = random_call(rng)
            message, = published(lambda: apply(args, kwargs, options))
            self.check(self.decode(message), args, kwargs, options)

    def test_of_protocol_1_are_read(self):
        rng = random.Random(4)
        sender = Celery("old", broker="memory://", set_as_current=False)
        sender.conf.task_protocol = 1
        for _ in range(100):
            args, kwargs, options, _ = random_call(rng)
            for name in ("headers", "shadow", "root_id", "parent_id", "ignore_result"):
                options.pop(name, None)
            message, = published(lambda: sender.send_task("tasks.identity", args, kwargs, **options))
            self.assertEqual(message.headers, {})
            self.check(self.decode(message), args, kwargs, options, protocol=1)

    def test_that_are_compressed_are_read(self):
        for name in ("gzip", "zlib"):
            message, = published(lambda: apply([1, "x" * 5000], {}, {"task_id": "i", "compression": name}))
            self.assertLess(len(message.body), 1000)
            self.check(self.decode(message), [1, "x" * 5000], {}, {"task_id": "i"})

    def test_of_canvases_keep_their_embedded_parts(self):
        for send in (lambda: chain(add.s(1, 2), add.s(3), add.s(4)).apply_async(),
                     lambda: chord([add.s(1, 1), add.s(2, 2)], identity.s()).apply_async(),
                     lambda: group(add.s(i, i) for i in range(3)).apply_async(),
                     lambda: add.apply_async((1, 2), link=add.s(1), link_error=identity.si("error"))):
            messages = published(send)
            self.assertTrue(messages)
            for message in messages:
                args, kwargs, embed = json.loads(message.body)
                task = self.decode(message)
                self.assertEqual([task["args"], task["kwargs"], task["embed"]], [args, kwargs, embed])
                again = TOOL.ask("encode", task=task)
                self.assertEqual(json.dumps(again["headers"]), json.dumps(message.headers))
                self.assertEqual(again["body"].encode(), message.body)

    def test_of_other_serializers_are_refused_with_their_name(self):
        message, = published(lambda: apply([1], {}, {"task_id": "i", "serializer": "pickle"}))
        answer = TOOL.ask("decode", **to_decode(message))
        self.assertEqual((answer["reason"], answer["task_id"], answer["task"]),
                         ("content-disallowed", "i", "tasks.identity"))
        self.assertIn("application/x-python-serialize", answer["detail"])


class Texts(unittest.TestCase):
    def test_argsrepr_is_celerys(self):
        rng = random.Random(5)
        for i in range(5000):
            args = [random_value(rng) for _ in range(rng.randrange(4))]
            if i % 5 == 0:
                filler = rng.choice(("x", "x ", "'", "☃")) * 1100
                args.insert(0, filler[:rng.randrange(990, 1030)])
            self.assertEqual(TOOL.ask("celery_repr", value=args, as_tuple=True), saferepr(tuple(args), maxlen=1024))
            self.assertEqual(TOOL.ask("celery_repr", value=args, as_tuple=False), saferepr(args, maxlen=1024))
            kwargs = {random_text(rng): args}
            self.assertEqual(TOOL.ask("celery_repr", value=kwargs, as_tuple=False), saferepr(kwargs, maxlen=1024))

    def test_repr_is_pythons(self):
        rng = random.Random(6)
        for _ in range(3000):
            value = random_value(rng)
            self.assertEqual(TOOL.ask("python_repr", value=value), repr(value))

    def test_moments_are_the_same_for_both(self):
        rng = random.Random(7)
        for _ in range(2000):
            moment = random_moment(rng)
            offset = datetime.timezone(datetime.timedelta(minutes=rng.randrange(-14 * 60, 14 * 60)))
            ours = TOOL.ask("iso8601", value=moment.astimezone(offset).isoformat())
            self.assertEqual(ours, moment.isoformat())
            self.assertEqual(maybe_iso8601(ours), moment)

    def test_uuid5_is_pythons(self):
        for name in ("", "python.org", "å☃😀", "callback/0"):
            self.assertEqual(TOOL.ask("uuid5", namespace=str(uuid.NAMESPACE_DNS), value=name),
                             str(uuid.uuid5(uuid.NAMESPACE_DNS, name)))


class Results(unittest.TestCase):
    def setUp(self):
        self.backend = CacheBackend(app=app, backend="memory://", url="memory://")

    def test_ours_are_read_by_celery(self):
        text = TOOL.ask("write_meta", task_id="i", status="SUCCESS", result=[1, 10**40],
                        date_done="2026-11-21T16:39:11.531697+00:00")
        meta = self.backend.decode_result(text)
        self.assertEqual((meta["status"], meta["result"], meta["task_id"]), ("SUCCESS", [1, 10**40], "i"))

        text = TOOL.ask("write_meta", task_id="i", status="FAILURE", failure=["ValueError", "boom", "builtins"],
                        traceback="Traceback")
        meta = self.backend.decode_result(text)
        self.assertIsInstance(meta["result"], ValueError)
        self.assertEqual(meta["result"].args, ("boom",))

    def test_celerys_are_written_back_byte_for_byte(self):
        rng = random.Random(8)
        for state, result, traceback in (("SUCCESS", {"a": [1, None]}, None), ("STARTED", {"pid": 1}, None),
                                         ("PROGRESS", "half", None), ("FAILURE", ValueError("boom"), "Traceback"),
                                         ("RETRY", KeyError("key"), "Traceback"),
                                         *[("SUCCESS", random_value(rng), None) for _ in range(200)]):
            if isinstance(result, Exception):
                result = self.backend.prepare_exception(result)
            meta = self.backend._get_result_meta(result, state, traceback, None)
            meta["task_id"] = "i"
            text = self.backend.encode(meta)
            answer = TOOL.ask("read_meta", text=text)
            self.assertEqual(answer["text"], text)
            if state == "FAILURE":
                self.assertEqual(answer["failure"], ["ValueError", "boom", "builtins", "Traceback"])


def main():
    global TOOL
    TOOL = Tool(sys.argv.pop(1))
    print(f"against celery {celery.__version__}", flush=True)
    program = unittest.main(exit=False)
    TOOL.close()
    sys.exit(not program.result.wasSuccessful())


if __name__ == "__main__":
    main()
