"""Our replies to good and bad requests against the pinned FastAPI's, byte for byte.

Usage: http_validation_test.py HTTP_VALIDATION_TOOL

Both sides have the same routes; every request below goes to both. Where we differ on purpose, the case stands in
its own test that says how.
"""

import enum
import json
import subprocess
import sys
import unittest
import warnings
from typing import Annotated, List, Optional
from urllib.parse import urlsplit
from uuid import UUID

warnings.filterwarnings("ignore")  # Starlette would like another HTTP client for its tests.

from fastapi import FastAPI, Path, Query  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from pydantic import BaseModel  # noqa: E402

TOOL = None  # The running http_validation_tool.

app = FastAPI()


class Color(str, enum.Enum):
    red = "red"
    green = "green"


class Inner(BaseModel):
    price: float


class Item(BaseModel):
    name: str
    quantity: int = 1
    inner: Optional[Inner] = None
    tags: List[str] = []


@app.post("/int/")
def integer_(integer: int):
    return integer


@app.post("/list/")
def list_(integers: List[int] = Query(...)):
    return sum(integers)


@app.get("/bounds")
def bounds(n: Annotated[int, Query(ge=1, le=10)], f: Annotated[Optional[float], Query(gt=0, lt=360)] = None,
           s: Annotated[str, Query(min_length=2, max_length=4)] = "aa",
           l: Annotated[List[int], Query(min_length=1, max_length=2)] = [1]):
    return None


@app.get("/tasks/{taskId}")
def task(taskId: UUID):
    return taskId


@app.get("/tasks/{taskId}/result/")
def result(taskId: UUID, forget: bool = True):
    return forget


@app.get("/scalars")
def scalars(b: bool = False, f: float = 1.5, c: Color = Color.red, s: Optional[str] = None):
    return [f, c, s]


@app.post("/item")
def item_(item: Item):
    return item


@app.get("/p/{n}")
def p(n: Annotated[int, Path(ge=3)]):
    return n


@app.get("/void")
def void():
    pass


theirs = TestClient(app, follow_redirects=False, raise_server_exceptions=True)

JSON = "application/json"
ID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

INTEGERS = ["", "integer=", "integer=abc", "integer=1.0", "integer=1.5", "integer=%2B5", "integer=%201%20", "integer=1_000",
            "integer=_1", "integer=1__0", "integer=0x1", "integer=-0", "integer=007", "integer=1&integer=2",
            "integer=" + "9" * 300, "integer=-" + "7" * 300, "integer=1e3", "integer=1.00", "integer=1.",
            "integer=%D9%A3", "integer=-", "integer=nan", "integer=true", "integer=1%00", "integer=-1_0.0",
            "integer=--1", "integer=%2B-1", "integer=%FF", "integer=1.0.0", "integer=1_0.0_0", "integer=_",
            "integer=0_1", "integer=00", "integer=-007", "integer=-%201", "integer=+7", "other=1", "integer", "&&integer=3&"]
LISTS = ["", "integers=", "integers=1&integers=2", "integers=1&integers=b&integers=c", "integers=1,2"]
BOUNDS = ["", "n=0", "n=11&f=0&s=a&l=1&l=2&l=3", "n=5&f=360&s=aaaaa", "n=1&f=abc&s=", "n=1&f=nan", "n=1&f=inf",
          "n=1&l=", "n=99999999999999999999999", "n=1&s=%C3%A9%C3%A9%C3%A9%C3%A9", "n=1&s=%C3%A9", "n=10&f=359.9&s=aaa&l=1"]
UUIDS = ["abc", ID, ID.replace("-", ""), "%7B" + ID + "%7D", "urn:uuid:" + ID, ID[:-1] + "X", ID[:23], "%20",
         ID.upper(), "3fa85f64-5717-45623-b3fc-2c963f66afa", "3fa85f64571-74562b3fc2c963f66afa612", ID + "-11", "%C3%A9"]
BOOLEANS = ["true", "True", "TRUE", "1", "on", "yes", "y", "t", "false", "0", "off", "no", "n", "f", "2", "", "tRuE",
            "%20true", "oN", "none"]
SCALARS = ["f=1", "f=1.5e3", "f=abc", "f=", "f=%2B1.5", "f=1_0.5", "f=%201.5%20", "f=.5", "f=5.", "f=0x1p3", "f=1e", "c=blue",
           "c=green", "s=", "s=a+b%20c%2B", "s=%FF", "s=%zz", "s", "s=1;b=true", "s=%E2%82%AC", "s=%22%5C%0A%7F"]
BODIES = ["", "{}", '{"name":1}', '{"name":"a","quantity":"x","inner":{"price":"y"},"tags":[1,"b",null]}', "[]", "1", "null",
          '"x"', '{"name":"a","quantity":2.5}', '{"name":"a","quantity":2.0}', '{"name":"a","quantity":"7"}',
          '{"name":"a","quantity":true}', '{"name":null}', '{"name":"a","inner":3}', '{"name":"a","tags":3}',
          '{"name":"a","tags":{}}', '{"name":"a","extra":1}', '{"name":"a","inner":{}}', '{"name":"a","inner":{"price":2}}',
          '{"name":"a","quantity":' + "9" * 400 + "}", '{"name":"\\u00e9\\u20ac","tags":["\\n"]}']
PATHS = [("GET", "/p/2"), ("GET", "/p/3"), ("GET", "/p/x"), ("GET", "/nope"), ("GET", "/void"), ("GET", "/void/"),
         ("POST", "/int?integer=1"), ("POST", "/void/"), ("GET", "//void"), ("GET", "/p/3/?x=1&y=%20"), ("GET", "/p/%33"),
         ("GET", "/tasks/"), ("GET", "/tasks"), ("GET", "/tasks/x/result"), ("GET", "/tasks/x/result/?forget=z"),
         ("GET", f"/tasks/{ID}/")]


def requests():
    yield from (("POST", "/int/?" + query, None, None) for query in INTEGERS)
    yield from (("POST", "/list/?" + query, None, None) for query in LISTS)
    yield from (("GET", "/bounds?" + query, None, None) for query in BOUNDS)
    yield from (("GET", "/tasks/" + text, None, None) for text in UUIDS)
    yield from (("GET", f"/tasks/{ID}/result/?forget={text}", None, None) for text in BOOLEANS)
    yield from (("GET", "/scalars?" + query, None, None) for query in SCALARS)
    yield from (("POST", "/item", body, JSON) for body in BODIES)
    yield from (("POST", "/item", '{"name":"a"}', kind)
                for kind in ("text/plain", "application/vnd.x+json; charset=utf-8", "application/json; charset=utf-8", "APPLICATION/JSON", ""))
    yield from ((method, target, None, None) for method, target in PATHS)


def ours(method, target, body=None, content_type=None):
    request = {"method": method, "target": target}
    if body is not None:
        request.update(body=body, content_type=content_type)
    TOOL.stdin.write(json.dumps(request) + "\n")
    TOOL.stdin.flush()
    return json.loads(TOOL.stdout.readline())


def fastapi(method, target, body=None, content_type=None):
    headers = {"content-type": content_type} if content_type else {}
    return theirs.request(method, target, content=body, headers=headers)


class Replies(unittest.TestCase):
    def test_are_fastapis(self):
        for request in requests():
            with self.subTest(request=request):
                reply, expected = ours(*request), fastapi(*request)
                self.assertEqual((reply["status"], reply["body"]), (expected.status_code, expected.text))
                location = expected.headers.get("location")
                if location:  # Theirs is absolute, with the client's Host field in it.
                    parts = urlsplit(location)
                    location = parts.path + ("?" + parts.query if parts.query else "")
                self.assertEqual(reply["location"], location)

    def test_json_syntax_errors_have_fastapis_shape_in_our_words(self):
        for body in ['{"name":"a"', "nope", '{"name":"a",}', '{"name":"a"} x', '{"name" 1}', "{1:2}", "[1,", " "]:
            with self.subTest(body=body):
                reply, expected = ours("POST", "/item", body, JSON), fastapi("POST", "/item", body, JSON)
                self.assertEqual(reply["status"], 422)
                [mine], [other] = json.loads(reply["body"])["detail"], expected.json()["detail"]
                for error in (mine, other):
                    error["ctx"]["error"] = ""
                self.assertEqual(mine, other)

    def test_get_routes_answer_head_and_say_so(self):
        self.assertEqual(fastapi("HEAD", "/p/3").status_code, 405)
        self.assertEqual(ours("HEAD", "/p/3")["status"], 200)
        self.assertEqual(ours("DELETE", "/p/3")["status"], fastapi("DELETE", "/p/3").status_code)

    def test_an_escaped_slash_is_part_of_a_value(self):
        self.assertEqual(fastapi("GET", "/tasks/a%2Fb").status_code, 404)
        self.assertEqual(ours("GET", "/tasks/a%2Fb")["status"], 422)


if __name__ == "__main__":
    with subprocess.Popen([sys.argv.pop()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as TOOL:
        program = unittest.main(exit=False)
        TOOL.stdin.close()
    sys.exit(not program.result.wasSuccessful())
