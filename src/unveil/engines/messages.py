"""Reading and writing Protocol Buffers, in which ONNX graphs are written: fields by their number, nothing assumed.

Raises ValueError or IndexError for what is cut short or no such message.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields of one number that are messages, texts or bytes."""
    return (value for number, value in fields(data) if number == wanted and isinstance(value, memoryview))


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Every field of a message with its number: a whole number, or a view of its bytes."""
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        at += 1
        # Nearly all numbers are of one byte, and a call for each would be most of the time.
        if tag > 0x7F:
            tag, at = _varint(data, at - 1)
        kind = tag & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            length = data[at]
            at += 1
            if length > 0x7F:
                length, at = _varint(data, at - 1)
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind}")
        if at + length > end:
            raise ValueError("it ends too early")
        yield tag >> 3, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")


def varints(data: memoryview) -> Iterator[int]:
    """The numbers of a packed field."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def text_of(data: memoryview) -> str:
    """The text of a field."""
    return bytes(data).decode("utf-8")


def text_in(data: memoryview, field: int) -> str:
    """The text in a field of a message; nothing where it has no such field."""
    return "".join(map(text_of, messages(data, field)))


def number(field: int, value: int) -> bytes:
    """A field that is a whole number of at least 0."""
    return _as_varint(field << 3 | VARINT) + _as_varint(value)


def message(field: int, value: bytes | memoryview) -> bytes:
    """A field that is a message, a text or bytes."""
    return b"".join((_as_varint(field << 3 | BYTES), _as_varint(len(value)), value))


def _as_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
