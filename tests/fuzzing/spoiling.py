"""Spoiling files while keeping enough of their structure that the spoilt part is reached.

Every function takes a `random.Random` and gives the same file for the same state of it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

# Sizes, places and depths of pixels, orientation, and pointers to further directories.
_TAGS = (0x100, 0x101, 0x102, 0x103, 0x106, 0x111, 0x112, 0x115, 0x117, 0x142, 0x14A, 0x8769, 0x8825, 0xA005)

Spoil = Callable[[Random, bytes], bytes]

_SMALL = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF)
NUMBERS = (*_SMALL, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)
TEXTS = ("", "restore", "weights.bin", "../x", "/etc/passwd", "a" * 5000, "\0", "\u202e", "com.example", "*", "16*rows")
_EMPTY: tuple[Any, ...] = ("", [], {}, None, [[]] * 9)
VALUES = (*_EMPTY, True, -1, 0, 1, 2**31, 2**63, 1e308, 0.5, "x", [1], ["a", "a"], {"a": {}})


def spoil_bytes(random: Random, data: bytes) -> bytes:
    """Changes anywhere: bits, numbers, parts left out, doubled, moved or cut off."""
    spoilt = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        if not spoilt:
            return b""
        at = min(random.randrange(len(spoilt)), random.choice((len(spoilt), 64, 600)) - 1)
        length = random.choice((1, 2, 4, 8, 16, 100))
        match random.randrange(6):
            case 0:
                spoilt[at] ^= 1 << random.randrange(8)
            case 1:
                width, order = random.choice(
                    ((1, "little"), (2, "little"), (2, "big"), (4, "little"), (4, "big"), (8, "big"))
                )
                number = random.choice(NUMBERS) % (1 << 8 * width)
                spoilt[at : at + width] = number.to_bytes(width, order)
            case 2:
                del spoilt[at : at + length]
            case 3:
                spoilt[at:at] = spoilt[at : at + length] * random.choice((1, 1, 9, 300))
            case 4:
                spoilt[at : at + length] = random.randbytes(length)
            case _:
                if random.random() < 0.3:
                    del spoilt[at:]
    return bytes(spoilt)


def spoil_parts(random: Random, parts: list[bytes], spoil: Spoil = spoil_bytes) -> list[bytes]:
    """Parts of a file spoilt, left out, doubled or in another order."""
    changed = list(parts)
    for _ in range(random.choice((1, 1, 2, 3))):
        if not changed:
            return changed
        at = random.randrange(len(changed))
        match random.randrange(5):
            case 0:
                del changed[at]
            case 1:
                changed.insert(random.randrange(len(changed) + 1), changed[at])
            case 2:
                random.shuffle(changed)
            case _:
                changed[at] = spoil(random, changed[at])
    return changed


def spoil_png(random: Random, data: bytes) -> bytes:
    """A PNG of other chunks, whose check sums are right, so that what they say is believed."""
    chunks, at = list[bytes](), 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append(data[at + 4 : at + 8 + length])
        at += 12 + length
    changed = spoil_parts(random, chunks, _behind(4))
    return data[:8] + b"".join(
        struct.pack(">I", max(len(chunk) - 4, 0)) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in changed
    )


def spoil_jpeg(random: Random, data: bytes) -> bytes:
    """A JPEG of other segments, whose lengths are right."""
    segments, at = list[bytes](), 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append(data[at : at + length])
        at += length
    changed = spoil_parts(random, segments, _behind(4))
    fitted = (part[:2] + struct.pack(">H", min(len(part) - 2, 65_535)) + part[4:] for part in changed if len(part) > 4)
    rest = data[at:] if random.random() < 0.7 else spoil_bytes(random, data[at:])
    return data[:2] + b"".join(fitted) + rest


def spoil_webp(random: Random, data: bytes) -> bytes:
    """A WebP of other chunks, whose lengths are right."""
    chunks, at = list[bytes](), 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append(data[at : at + 4] + data[at + 8 : at + 8 + length])
        at += 8 + length + length % 2
    changed = spoil_parts(random, chunks, _behind(4))
    body = b"".join(
        part[:4] + struct.pack("<I", len(part) - 4) + part[4:] + b"\0" * (len(part) % 2)
        for part in changed
        if len(part) >= 4
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def spoil_tiff(random: Random, data: bytes) -> bytes:
    """A TIFF, or an EXIF block, with other tags, types, counts and places in its directories."""
    if len(data) < 16 or data[:4] not in (b"II*\0", b"MM\0*"):
        return spoil_bytes(random, data)
    order, spoilt = "<" if data[:2] == b"II" else ">", bytearray(data)
    at = struct.unpack_from(order + "I", data, 4)[0]
    if at + 14 > len(data):
        return spoil_bytes(random, data)
    count = struct.unpack_from(order + "H", data, at)[0]
    for _ in range(random.choice((1, 2, 3))):
        entry = at + 2 + 12 * random.randrange(max(count, 1))
        where, width = random.choice(((0, 2), (2, 2), (4, 4), (8, 4)))
        if entry + 12 > len(data):
            continue
        tags = (
            0x0100,
            0x0101,
            0x0102,
            0x0103,
            0x0106,
            0x0111,
            0x0112,
            0x0115,
            0x0117,
            0x0142,
            0x014A,
            0x8769,
            0x8825,
            0xA005,
        )
        number = random.choice(tags if where == 0 else (*NUMBERS, 8, at, len(data)))
        struct.pack_into(order + ("H" if width == 2 else "I"), spoilt, entry + where, number % (1 << 8 * width))
    return bytes(spoilt) if random.random() < 0.8 else spoil_bytes(random, bytes(spoilt))


def spoil_boxes(random: Random, data: bytes) -> bytes:
    """An AVIF or HEIC of other boxes at the top and within `meta`, whose lengths are right."""
    changed: list[bytes] = []
    for box in spoil_parts(random, _boxes(data), _behind(4)) if random.random() < 0.3 else _boxes(data):
        if box[:4] == b"meta" and len(box) > 8:
            inner = spoil_parts(random, _boxes(box[8:]), _behind(4))
            box = box[:8] + b"".join(struct.pack(">I", len(part) + 4) + part for part in inner)
        changed.append(box)
    return b"".join(struct.pack(">I", len(box) + 4) + box for box in changed)


def _boxes(data: bytes) -> list[bytes]:
    boxes, at = list[bytes](), 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        if length < 8:
            break
        boxes.append(data[at + 4 : at + length])
        at += length
    return boxes


def _behind(length: int) -> Spoil:
    """Spoils what lies behind the first so many bytes, which say what a part is."""
    return lambda random, part: part[:length] + spoil_bytes(random, part[length:])


def spoil_value(random: Random, value: Any) -> Any:
    """JSON with one place in it changed, left out, or of another kind."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(sorted(value))
        match random.randrange(8):
            case 0:
                return {name: kept for name, kept in value.items() if name != key}
            case 1:
                return {**value, random.choice(TEXTS): value[key]}
            case _:
                return {**value, key: spoil_value(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.8:
        at = random.randrange(len(value))
        return [*value[:at], spoil_value(random, value[at]), *value[at + 1 :]]
    return random.choice((*VALUES, random.choice(NUMBERS), -random.choice(NUMBERS), random.choice(TEXTS)))


def spoil_message(random: Random, data: bytes, depth: int = 5) -> bytes:
    """A Protocol Buffer with fields changed, left out, doubled, moved; deep inside as well, with right lengths."""
    try:
        fields = _fields(data)
    except (IndexError, ValueError):
        return spoil_bytes(random, data)
    if not fields:
        return random.randbytes(random.randrange(9))
    at = random.randrange(len(fields))
    number, kind, value = fields[at]
    match random.randrange(10):
        case 0:
            del fields[at]
        case 1:
            fields.insert(random.randrange(len(fields) + 1), fields[at])
        case 2:
            fields[at] = (random.choice((number + 1, number ^ 1, 5, 7, 8, 11, 15, 25)) or 1, kind, value)
        case 3 if kind == 2:
            fields[at] = (number, kind, random.choice(TEXTS).encode())
        case _ if kind == 0:
            fields[at] = (number, kind, _varint(random.choice(NUMBERS)))
        case _:
            deeper = depth and kind == 2 and len(value) > 2
            fields[at] = (
                number,
                kind,
                spoil_message(random, value, depth - 1) if deeper else spoil_bytes(random, value),
            )
    return b"".join(
        _varint(number << 3 | kind) + (_varint(len(value)) if kind == 2 else b"") + value
        for number, kind, value in fields
    )


def _fields(data: bytes) -> list[tuple[int, int, bytes]]:
    fields, at = list[tuple[int, int, bytes]](), 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind, start = tag & 7, at
        if kind == 0:
            _, at = _read_varint(data, at)
        elif kind == 2:
            length, start = _read_varint(data, at)
            at = start + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(kind)
        if at > len(data) or not tag >> 3:
            raise ValueError(at)
        fields.append((tag >> 3, kind, data[start:at]))
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError(at)


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))


def spoil_model(random: Random, data: bytes) -> bytes:
    """A model file with its card, its header, a graph or its arrays spoilt; half of them with right check sums."""
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    match random.randrange(6):
        case 0 | 1:
            card = spoil_value(random, json.loads(header["__metadata__"]["unveil"]))
            header["__metadata__"]["unveil"] = json.dumps(card)
        case 2:
            header = spoil_value(random, header)
        case 3 | 4:
            name = random.choice([name for name in header if name.startswith("graphs/")])
            start, end = header[name]["data_offsets"]
            graph = spoil_message(random, bytes(body[start:end]))
            body[start:end] = graph
            grown = len(graph) - (end - start)
            for other, entry in header.items():
                if other != "__metadata__":
                    entry["data_offsets"] = [
                        offset + grown if offset >= end else offset for offset in entry["data_offsets"]
                    ]
            header[name] |= {"shape": [len(graph)], "data_offsets": [start, start + len(graph)]}
        case _:
            return spoil_bytes(random, data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(body)
