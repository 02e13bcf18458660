"""Published messages as they are on the wire: enough of AMQP 0-9-1 to compare two publishers byte by byte."""
import struct
from dataclasses import dataclass

PROPERTIES = ("content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
              "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id")
SHORT_TEXTS = {"content_type", "content_encoding", "correlation_id", "reply_to", "expiration", "message_id", "type", "user_id",
               "app_id", "cluster_id"}


@dataclass
class Published:
    exchange: str
    routing_key: str
    flags: int  # Bit 0: mandatory, bit 1: immediate.
    properties: dict  # In the order of the wire; the headers as (name, type letter, value), in theirs.
    body: bytes


class Reader:
    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    def take(self, form: str):
        value, = struct.unpack_from(f">{form}", self.data, self.position)
        self.position += struct.calcsize(f">{form}")
        return value

    def bytes(self, size: int) -> bytes:
        self.position += size
        return bytes(self.data[self.position - size:self.position])

    def short_text(self) -> str:
        return self.bytes(self.take("B")).decode()

    def field(self):
        letter = chr(self.take("B"))
        if letter in "Sx":
            return letter, self.bytes(self.take("I"))
        if letter == "F":
            return letter, self.table()
        if letter == "A":
            inner = Reader(self.bytes(self.take("I")))
            items = []
            while inner.position < len(inner.data):
                items.append(inner.field())
            return letter, items
        if letter == "V":
            return letter, None
        return letter, self.take({"t": "?", "b": "b", "B": "B", "U": "h", "u": "H", "I": "i", "i": "I", "L": "q", "l": "q",
                                  "f": "f", "d": "d", "T": "Q"}[letter])

    def table(self) -> list:
        inner = Reader(self.bytes(self.take("I")))
        fields = []
        while inner.position < len(inner.data):
            fields.append((inner.short_text(), *inner.field()))
        return fields


def published(stream: bytes) -> list[Published]:
    """What a client published on a connection, from all the bytes that it sent."""
    messages, reader = [], Reader(stream)
    assert reader.bytes(8) == b"AMQP\x00\x00\x09\x01"
    while reader.position < len(stream):
        kind, _channel, payload = reader.take("B"), reader.take("H"), Reader(reader.bytes(reader.take("I")))
        assert reader.take("B") == 0xCE
        if kind == 1 and (payload.take("H"), payload.take("H")) == (60, 40):
            payload.take("H")  # Reserved.
            messages.append(Published(payload.short_text(), payload.short_text(), payload.take("B"), {}, b""))
        elif kind == 2:
            payload.bytes(4)  # Class and weight.
            payload.take("Q")  # The body's size.
            flags = payload.take("H")
            for bit, name in enumerate(PROPERTIES):
                if flags & 0x8000 >> bit:
                    messages[-1].properties[name] = (payload.table() if name == "headers" else
                                                     payload.short_text() if name in SHORT_TEXTS else payload.take("B"))
            assert payload.position == len(payload.data)
        elif kind == 3:
            messages[-1].body += payload.data
    return messages
