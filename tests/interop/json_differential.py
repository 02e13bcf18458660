#!/usr/bin/env python3
"""Compares Lovage's JSON with Python's `json`, text by text.

    json_differential.py path/to/json_roundtrip [--count N] [--seed N]

Half of the texts are written by Python from random values; the others are laid out oddly, made of
number-like pieces, nested deeply, or damaged. For each the two sides must agree on whether it is JSON, and
on what it looks like after reading and writing it again, as `json.dumps` does by default and as FastAPI
does (compact, UTF-8).

Where Lovage differs on purpose, and how the comparison allows for it:

* integers of more than 4,300 digits are read; Python's guard against them is switched off here;
* nesting deeper than the limit (512 by default) is `too_large`; Python gives up near 1,000 levels.
  Texts between the two are skipped;
* a lone surrogate stays an escape in compact output; Python's text then cannot be encoded as UTF-8, so
  the expected text gets the escape put in.
"""

import argparse
import json
import random
import re
import struct
import subprocess
import sys

DEPTH_LIMIT = 512


class Generator:
    """Random values and texts from one seed."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.makers = {
            "plain": self.plain_text,
            "odd": self.odd_text,
            "number": self.number_text,
            "damaged": self.damaged_text,
            "deep": self.deep_text,
        }
        self.weights = [50, 20, 10, 19, 1]

    def text(self):
        kind = self.rng.choices(list(self.makers), self.weights)[0]
        return kind, self.makers[kind]()

    # Values.

    def value(self, depth=0):
        rng = self.rng
        makers = [self.integer, self.real, self.string, lambda: rng.choice([None, True, False])]
        if depth < 4:
            makers += [lambda: self.array(depth), lambda: self.object(depth)]
        return rng.choice(makers)()

    def integer(self):
        rng = self.rng
        edge = rng.choice([2**31, 2**32, 2**53, 2**63, 2**64, 10**18, 10**19])
        return rng.choice([
            lambda: rng.randint(-10, 10),
            lambda: rng.choice([-1, 1]) * edge + rng.randint(-2, 2),
            lambda: rng.randint(-(10**30), 10**30),
            lambda: rng.choice([-1, 1]) * rng.getrandbits(rng.choice([64, 65, 200, 1000])),
        ])()

    def real(self):
        rng = self.rng
        return rng.choice([
            lambda: struct.unpack("<d", rng.randbytes(8))[0],
            lambda: rng.uniform(-1000, 1000),
            lambda: float(rng.randint(-10**6, 10**6)) / 100,
            lambda: rng.choice([-1, 1]) * 10.0 ** rng.randint(-320, 308),
            lambda: rng.choice([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324,
                                1.7976931348623157e308, 2.2250738585072014e-308, 1e15, 1e16, 1e17,
                                0.0001, 0.00001, 9007199254740993.0]),
        ])()

    def string(self):
        rng = self.rng
        alphabets = [
            lambda: chr(rng.randint(0x20, 0x7E)),
            lambda: chr(rng.randint(0, 0x1F)),
            lambda: rng.choice('"\\/\b\f\n\r\t\x7f\u2028\u2029\ufeff\ufffd\uffff'),
            lambda: chr(rng.randint(0x80, 0x7FF)),
            lambda: chr(rng.randint(0x800, 0xFFFF)),  # Surrogates are among them.
            lambda: chr(rng.randint(0xD800, 0xDFFF)),
            lambda: chr(rng.randint(0x10000, 0x10FFFF)),
        ]
        weights = rng.choice([[1, 0, 0, 0, 0, 0, 0], [20, 1, 2, 2, 2, 1, 2]])
        length = rng.choice([0, 1, 3, 8, 9, 20])
        return "".join(rng.choices(alphabets, weights)[0]() for _ in range(length))

    def array(self, depth):
        return [self.value(depth + 1) for _ in range(self.rng.randint(0, 4))]

    def object(self, depth):
        size = self.rng.choice([0, 1, 2, 3, 20])
        return {self.string(): self.value(depth + 1 if size < 20 else 9) for _ in range(size)}

    # Texts.

    def plain_text(self):
        rng = self.rng
        text = json.dumps(
            self.value(),
            ensure_ascii=rng.random() < 0.7,
            indent=rng.choice([None, None, None, 0, 2]),
            separators=rng.choice([None, None, (",", ":"), (" , ", " : ")]),
        )
        return text.encode("utf-8", "backslashreplace")

    def space(self):
        if self.rng.random() < 0.7:
            return ""
        return "".join(self.rng.choices(" \t\n\r", k=self.rng.randint(1, 3)))

    def odd_text(self):
        return (self.space() + self.odd(self.value()) + self.space()).encode("utf-8", "backslashreplace")

    def odd(self, value):
        """Another spelling of a value's JSON, sometimes with members doubled."""
        rng = self.rng
        if isinstance(value, str):
            return '"' + "".join(self.odd_character(c) for c in value) + '"'
        if isinstance(value, list):
            items = ",".join(self.space() + self.odd(item) + self.space() for item in value)
            return f"[{items or self.space()}]"
        if isinstance(value, dict):
            members = list(value.items())
            if members and rng.random() < 0.5:
                members += [(rng.choice(members)[0], self.integer()) for _ in range(rng.randint(1, 3))]
            text = ",".join(
                f"{self.space()}{self.odd(name)}{self.space()}:{self.space()}{self.odd(item)}{self.space()}"
                for name, item in members)
            return f"{{{text or self.space()}}}"
        if isinstance(value, float) and value == value and abs(value) != float("inf"):
            precision = rng.randint(0, 30)
            return rng.choice(["%.*e", "%.*E", "%#.*f"]) % (precision, value) if precision else repr(value)
        return json.dumps(value)

    def odd_character(self, c):
        rng = self.rng
        code = ord(c)
        if c in '"\\' or code < 0x20 or 0xD800 <= code <= 0xDFFF or rng.random() < 0.3:
            short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n",
                     "\r": "\\r", "\t": "\\t"}
            if c in short and rng.random() < 0.5:
                return short[c]
            digits = rng.choice(["%04x", "%04X"])
            if code < 0x10000:
                return "\\u" + digits % code
            code -= 0x10000
            return "\\u" + digits % (0xD800 + (code >> 10)) + "\\u" + digits % (0xDC00 + (code & 0x3FF))
        return c

    def number_text(self):
        rng = self.rng
        if rng.random() < 0.02:
            return rng.choice(["", "-"]).encode() + b"7" * rng.choice([4299, 4301, 20000])
        digits = lambda most: "".join(rng.choices("0123456789", k=rng.randint(0, most)))
        text = rng.choice(["", "", "-", "+", "--"])
        text += rng.choice(["0", "1", "", digits(3), digits(25), "0" * rng.randint(0, 3) + digits(5)])
        if rng.random() < 0.6:
            text += "." + rng.choice([digits(3), digits(30), "0" * rng.randint(0, 340) + digits(5)])
        if rng.random() < 0.6:
            text += rng.choice("eE") + rng.choice(["", "-", "+"]) + rng.choice([digits(1), digits(3), digits(25)])
        return text.encode()

    def damaged_text(self):
        rng = self.rng
        text = bytearray(rng.choice([self.plain_text, self.odd_text])())
        for _ in range(rng.randint(1, 3)):
            at = rng.randint(0, len(text))
            damage = rng.randrange(5)
            if damage == 0:
                del text[at:at + rng.randint(1, 3)]
            elif damage == 1:
                text[at:at] = rng.choice([b",", b":", b"[", b"]", b"{", b"}", b'"', b"\\", b"0", b"-", b".",
                                          b"e", b" ", b"\0", b"\x0b", b"NaN", b"Infinity", b"null", b"\\u",
                                          b"\\ud800", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf",
                                          b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xc2\xa0", b"/**/"])
            elif damage == 2:
                text[at:at] = text[at // 2:at // 2 + rng.randint(1, 10)]
            elif damage == 3:
                del text[at:]
            elif text:
                text[min(at, len(text) - 1)] = rng.randrange(256)
        return bytes(text)

    def deep_text(self):
        depth = self.rng.choice([100, 500, 511, 512, 513, 3000, 20_000])
        opening, closing = self.rng.choice([("[", "]"), ('{"a":', "}"), ('[{"":', "}]")])
        levels = depth // len(closing)
        inner = "" if opening == "[" else "1"
        text = opening * levels + inner + closing * levels
        return text[:self.rng.choice([len(text), len(text), len(text) - 1])].encode()


def compact(value):
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff]", lambda c: "\\u%04x" % ord(c[0]), text).encode()


def python_answer(text):
    """What Python makes of `text`: both layouts, or None twice when it is no JSON."""
    try:
        value = json.loads(text.decode())
    except ValueError:
        return None, None
    return json.dumps(value).encode(), compact(value)


def depth_of(text):
    """How deep the containers of a generated deep text go, strings aside."""
    depth = deepest = 0
    for c in re.sub(rb'"(\\.|[^"\\])*"?', b"", text, flags=re.S):
        depth += (c in b"[{") - (c in b"]}")
        deepest = max(deepest, depth)
    return deepest


def lovage_answers(program, texts):
    """A generator of pairs."""
    request = b"".join(b"%d\n%s" % (len(text), text) for text in texts)
    reply = subprocess.run([program], input=request, stdout=subprocess.PIPE, check=True).stdout
    at = 0

    def record():
        nonlocal at
        end = reply.index(b"\n", at)
        start, at = end + 1, end + 1 + int(reply[at:end])
        return reply[start:at]

    for _ in texts:
        yield record(), record()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=20261121)
    options = parser.parse_args()
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)

    generator = Generator(options.seed)
    counts = dict.fromkeys(["the same", "refused by both", "deeper than the limit", "different"], 0)
    for begin in range(0, options.count, 10_000):  # In pieces, to bound memory.
        texts = [generator.text() for _ in range(min(10_000, options.count - begin))]
        answers = lovage_answers(options.program, [text for _, text in texts])
        for (kind, text), ours in zip(texts, answers):
            if kind == "deep" and depth_of(text) > DEPTH_LIMIT:
                agreed = ours[0].startswith(b"ERROR ")
                outcome = "deeper than the limit"
            else:
                theirs = python_answer(text)
                agreed = ours[0] == b"ERROR malformed" if theirs[0] is None else ours == theirs
                outcome = "refused by both" if theirs[0] is None else "the same"
            counts[outcome if agreed else "different"] += 1
            if not agreed and counts["different"] <= 10:
                print(f"{kind}: {text[:500]!r}\n  python: {python_answer(text)!r}\n  lovage: {ours!r}")
    print(f"seed {options.seed}:", ", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
