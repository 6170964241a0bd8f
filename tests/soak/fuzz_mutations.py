"""Ways to damage a file: by bytes, by lines, by what the grammar takes apart, and by its size."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
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
    one = draw.choice(found)
    other = draw.choice(found)
    word = other[0] if draw.random() < 0.4 else draw.choice(WORDS)
    return data[: one.start()] + word + data[one.end() :]


def lines(data: bytes, draw: Random) -> bytes:
    """Drop, double, swap or join lines."""
    parts = data.splitlines(keepends=True)
    if len(parts) < 2:
        return insert(data, draw)
    one = draw.randrange(len(parts))
    other = draw.randrange(len(parts))
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


@dataclass(frozen=True)
class Grammar:
    """How a document is taken apart and written."""

    parse: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode(errors="surrogatepass")


def _with_length(parts: list[Any]) -> bytes:
    header = _json(parts[0])
    return len(header).to_bytes(8, "little") + header + parts[1]


JSON = Grammar(json.loads, _json)
LINES = Grammar(
    lambda data: [json.loads(line) for line in data.splitlines()],
    lambda rows: b"\n".join(map(_json, rows)),
)
YAML = Grammar(
    yaml.safe_load,
    lambda value: yaml.safe_dump(value, allow_unicode=True).encode(errors="surrogatepass"),
)
TENSORS = Grammar(
    lambda data: [
        json.loads(data[8 : (end := 8 + int.from_bytes(data[:8], "little"))]),
        data[end:],
    ],
    _with_length,
)
GRAMMARS = {".json": JSON, ".jsonl": LINES, ".yaml": YAML, ".safetensors": TENSORS}
BROKEN = (ValueError, TypeError, IndexError, RecursionError, yaml.YAMLError)
"""Errors of a document that is no longer of its grammar."""
OTHERS: list[Any] = [None, True, -1, 1.5, "x", [], {}, [None], {"x": None}]


def damaged(data: bytes, draw: Random, grammar: Grammar | None = None) -> bytes:
    """Return ``data`` with one to three mutations, the first of them perhaps of its grammar."""
    for count in range(draw.choice([1, 1, 1, 2, 3])):
        try:
            if grammar and count == 0 and draw.random() < 0.6:
                data = grammar.write(mutate_value(grammar.parse(data), draw))
                continue
        except BROKEN:
            pass
        data = draw.choice(GENERAL)(data, draw)
    return data


def other_values(data: bytes, grammar: Grammar) -> Iterator[tuple[str, bytes]]:
    """Replace each value of a document in turn by null and by values of other types."""
    whole = grammar.parse(data)
    for holder, key in _places(whole):
        was = holder[key]
        for other in OTHERS:
            if type(other) is not type(was) or other == [None]:
                holder[key] = other
                try:
                    yield f"{key!r}: {other!r}", grammar.write(whole)
                except BROKEN:
                    continue
        holder[key] = was


# Texts that a terminal would obey.


CONTROLS = "\x1b]0;x\x07\x9b2J\u202e\x7f\r\x00"
"""Sets the title, rings, clears the screen, turns the direction of text, and so on."""


def with_controls(data: bytes, grammar: Grammar | None) -> Iterator[tuple[str, bytes]]:
    """Add control characters to each text of a document in turn, or to a column of a table."""
    if data.startswith(b"PAR1"):
        table = pq.read_table(io.BytesIO(data))
        for number, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                texts = [f"{text or ''}{CONTROLS}" for text in table.column(number).to_pylist()]
                out = io.BytesIO()
                pq.write_table(table.set_column(number, field, pa.array(texts, field.type)), out)
                yield f"{field.name} with control characters", out.getvalue()
    elif grammar is not None:
        whole = grammar.parse(data)
        for holder, key in _places(whole):
            if isinstance(was := holder[key], str):
                holder[key] = was + CONTROLS
                yield f"{key!r} with control characters", grammar.write(whole)
                holder[key] = was


# Files that are large, or become so when they are read.


UNITS = [
    b"<a>", b"<a/>", b"<omm/>", b"[", b"[],", b"{", b'{"a":', b'{"a":1},', b"1,", b",", b'"', b" ",
    b"\n", b"\n\n", b"x", b"x\n", b"a,b\n", b"1 x\n", b"- ", b"- a\n", b"? ", b"a: b\n", b"#\n",
    b'"\n",', b"\\u0041", b"&lt;", b"\xc3\xa9", b"0",
]  # fmt: skip


def swollen(data: bytes, draw: Random, size: int) -> tuple[str, bytes]:
    """Repeat a unit of some format, or a part of the file, up to so many bytes."""
    own = [line + b"\n" for line in data.splitlines()[:9]] + [data[:2000], data[-2000:]]
    unit = draw.choice([*UNITS, *(one for one in own if one)])
    at = draw.choice([0, len(data), draw.randrange(len(data) + 1), data.rfind(b"\n") + 1])
    text = data[:at] + unit * ((size - len(data)) // len(unit)) + data[at:]
    return f"{unit[:40]!r} up to {size} bytes, at {at}", text


def _column(kind: pa.DataType, rows: int, text: str) -> pa.Array:
    if pa.types.is_string(kind):
        return pa.repeat(text, rows)
    return pa.nulls(rows, kind) if text == "null" else pa.repeat(pa.scalar(0).cast(kind), rows)


def _equal_rows(table: pa.Table, rows: int, text: str = "x") -> pa.Table:
    columns = [_column(field.type, rows, text) for field in table.schema]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _words(table: pa.Table, words: list[str]) -> pa.Table:
    """A table of as many rows, whose texts are large and each is another."""
    rows = _equal_rows(table, len(words))
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            rows = rows.set_column(number, field, pa.array(words))
    return rows


def _wide(table: pa.Table, columns: int) -> pa.Table:
    extra = [f"x{number}" for number in range(columns)]
    arrays = [*table.columns, *(pa.nulls(len(table), pa.int8()) for _ in extra)]
    return pa.Table.from_arrays(arrays, names=[*table.column_names, *extra])


def _deep(table: pa.Table, levels: int) -> pa.Table:
    kind = pa.int8()
    for _ in range(levels):
        kind = pa.list_(kind)
    return table.append_column("deep", pa.nulls(len(table), kind))


LONG = "x" * 10_000
PLAIN = {"use_dictionary": False}
BOMBS: list[tuple[str, Callable[[pa.Table, int], pa.Table], dict[str, Any]]] = [
    ("equal rows", _equal_rows, {}),
    ("rows of null", lambda table, n: _equal_rows(table, n, "null"), {}),
    ("rows that may be a run's", lambda table, n: _equal_rows(table, 1 << 20), {}),
    ("one long text", lambda table, n: _equal_rows(table, 1, "x" * n), {}),
    ("a long text in many rows", lambda table, n: _equal_rows(table, n // 2000, LONG), {}),
    ("the same, plain", lambda table, n: _equal_rows(table, n // 2000, LONG), PLAIN),
    ("long texts", lambda table, n: _words(table, [str(k) * 2000 for k in range(n // 9000)]), {}),
    ("many columns", lambda table, n: _wide(table, n // 2000), {}),
    ("many groups", lambda table, n: _equal_rows(table, n // 1000), {"row_group_size": 1}),
    ("deep lists", lambda table, n: _deep(table, 200), {}),
]


def bombs(data: bytes, size: int) -> Iterator[tuple[str, bytes]]:
    """Tables that are small in their file and large in memory."""
    table = pq.ParquetFile(io.BytesIO(data)).read()
    for name, make, how in BOMBS:
        out = io.BytesIO()
        pq.write_table(
            make(table, size), out, compression="zstd", **{"row_group_size": 1 << 18, **how}
        )
        yield f"{name} ({size})", out.getvalue()
