"""Ways to damage a file: by bytes, by lines, and by what the grammar takes apart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import yaml

Mutation = Callable[[bytes, Random], bytes]

HUGE = [b"9" * 400, b"1e999", b"-1e999", b"1" + b"0" * 5000, b"99999999999999999999", b"1e18"]
WORDS = [
    *HUGE,
    b"-1", b"0", b"nan", b".nan", b"inf", b"null", b"true", b"~", b"''", b'"', b"'", b"[]", b"{}",
    b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", "\u202e\u2028\u0085é漢".encode(),
    b"\x1b]0;x\x07", b"=cmd|'/c calc'!A1", b"<script>alert(1)</script>", b"../../etc/passwd",
    b"/dev/zero", b"/etc", b"os:system", b"&a", b"*a", b"!!python/object:os.system", b"<<",
    b"#", b",", b";", b":", b"\t", b"\n", b"\r", b"\r\n", b"\n\n", b"-", b"%", b"@", b"`",
]  # fmt: skip
TOKEN = re.compile(rb"[A-Za-z0-9_.+-]+")
DEEP = 3000


def flip(data: bytes, draw: Random) -> bytes:
    """Change some bytes."""
    out = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8])):
        if out:
            out[draw.randrange(len(out))] = draw.randrange(256)
    return bytes(out)


def cut(data: bytes, draw: Random) -> bytes:
    """Keep the beginning, or the end."""
    at = draw.randrange(len(data) + 1)
    return data[:at] if draw.random() < 0.7 else data[at:]


def insert(data: bytes, draw: Random) -> bytes:
    """Put a word of ill repute anywhere."""
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(WORDS) + data[at:]


def replace_token(data: bytes, draw: Random) -> bytes:
    """Put another word, or another token of the file, in the place of a token."""
    found = list(TOKEN.finditer(data))
    if not found:
        return insert(data, draw)
    one, other = draw.choice(found), draw.choice(found)
    word = other[0] if draw.random() < 0.4 else draw.choice(WORDS)
    return data[: one.start()] + word + data[one.end() :]


def lines(data: bytes, draw: Random) -> bytes:
    """Drop, double, swap or join lines."""
    parts = data.splitlines(keepends=True)
    if len(parts) < 2:
        return insert(data, draw)
    one, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    match draw.randrange(5):
        case 0:
            del parts[one]
        case 1:
            parts.insert(other, parts[one])
        case 2:
            parts[one], parts[other] = parts[other], parts[one]
        case 3:
            parts[one] = parts[one].rstrip(b"\r\n")
        case _:
            parts[one] = b" " * draw.randrange(1, 9) + parts[one]
    return b"".join(parts)


def repeat(data: bytes, draw: Random) -> bytes:
    """Write a part of the file many times."""
    at = draw.randrange(len(data) + 1)
    part = data[at : at + draw.choice([1, 5, 60])]
    return data[:at] + part * draw.choice([2, 50, 3000]) + data[at:]


def nest(data: bytes, draw: Random) -> bytes:
    """Open brackets, tags or levels without end."""
    opening, closing = draw.choice(
        [(b"[", b"]"), (b"{", b"}"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"<omm>", b"</omm>"),
         (b"- ", b""), (b"? ", b""), (b"(", b")"), (b'"', b'"')]
    )  # fmt: skip
    depth = draw.choice([40, DEEP])
    at = draw.randrange(len(data) + 1)
    inner = b"1" if draw.random() < 0.5 else data[at:]
    rest = data[at:] if draw.random() < 0.5 else b""
    return data[:at] + opening * depth + inner + closing * draw.choice([0, depth]) + rest


GENERAL: list[Mutation] = [flip, cut, insert, replace_token, replace_token, lines, repeat, nest]

ODD: list[Any] = [
    None, True, -1, 0, 1.5, 2**63, -(2**63), 10**400, 1e308, float("nan"), "", " ", "x" * 5000,
    "\u202e", "\x1b[2J", "a\nb", "=1+1", "<b>", "../x", "/etc/passwd", "os:system", [], {}, [[]],
    [1, "a", None], {"a": {"b": []}}, ["x"] * 1000, [2**62, 2**62],
]  # fmt: skip


def mutate_value(value: Any, draw: Random) -> Any:
    """Damage one place in a JSON value: an odd value, a key gone, renamed or new, two swapped."""
    places = _places(value)
    if not places:
        return draw.choice(ODD)
    holder, key = draw.choice(places)
    match draw.randrange(6):
        case 0 if isinstance(holder, dict):
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[draw.choice(["", "x", key.upper(), "\x1b", "a" * 300])] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.append(holder[key])
        case 3:
            other, there = draw.choice(places)
            holder[key] = deepcopy(other[there])
        case _:
            holder[key] = draw.choice(ODD)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found


def json_text(data: bytes, draw: Random) -> bytes:
    """Damage one place of a JSON text, or twice give a key."""
    value = mutate_value(json.loads(data), draw)
    text = json.dumps(value)
    if draw.random() < 0.1 and text.startswith("{") and len(text) > 2:
        text = text[0] + text[1:-1] + "," + text[1:]
    return text.encode(errors="surrogatepass")


def yaml_text(data: bytes, draw: Random) -> bytes:
    """Damage one place of a YAML text."""
    value = mutate_value(yaml.safe_load(data), draw)
    return yaml.safe_dump(value, allow_unicode=True).encode(errors="surrogatepass")


def json_lines(data: bytes, draw: Random) -> bytes:
    """Damage one line of JSON lines."""
    parts = data.splitlines()
    at = draw.randrange(len(parts))
    parts[at] = json_text(parts[at], draw)
    return b"\n".join(parts)


def safetensors(data: bytes, draw: Random) -> bytes:
    """Damage the header of a safetensors file, which keeps its length in front or loses it."""
    size = int.from_bytes(data[:8], "little")
    header = json_text(data[8 : 8 + size], draw)
    if draw.random() < 0.2:
        header = draw.choice(GENERAL)(data[8 : 8 + size], draw)
    length = len(header) if draw.random() < 0.9 else draw.choice([0, 2**63, 2**64 - 1, size])
    return length.to_bytes(8, "little") + header + data[8 + size :]


def damaged(data: bytes, draw: Random, special: tuple[Mutation, ...] = ()) -> bytes:
    """Return ``data`` with one to three mutations, the first of them of its own grammar's."""
    for count in range(draw.choice([1, 1, 1, 2, 3])):
        own = special if count == 0 and draw.random() < 0.6 else ()
        try:
            data = draw.choice(own or GENERAL)(data, draw)
        except (ValueError, TypeError, RecursionError, yaml.YAMLError):  # no longer of that grammar
            data = draw.choice(GENERAL)(data, draw)
    return data
