"""Inputs of a campaign: a file damaged, cut, swollen, or something else in its place.

A file is damaged by bytes, by lines, by what its grammar takes apart, and by its size.
"""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import chain, product, starmap
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

SMALL_BYTES, LARGE_BYTES = 2_000_000, 99_000_000
"""Bombs of a short campaign, and of a long one."""
MANY = 300
"""Inputs of a kind from which on a campaign is a long one."""


class Input(NamedTuple):
    """What is put at a path, told in words; ``put`` takes the path and a folder outside of it."""

    said: str
    put: Callable
    size: int = 0
    data: bytes = b""

    @classmethod
    def of(cls, said, data):
        """A file of these bytes."""
        return cls(said, lambda path, _: path.write_bytes(data), len(data), data)


# The forms of inputs: what is put in the place of a file for one of the commands that read it.


def _some(every, count, draw):
    """All that ``every()`` yields, or as many as ``count`` of it in a short campaign."""
    total = sum(1 for _ in every())
    chosen = range(total) if count >= MANY else draw.sample(range(total), min(count, total))
    chosen = {*chosen}
    return (one for number, one in enumerate(every()) if number in chosen)


def drawn(kind, count, draw):
    """Files damaged at random."""
    for _ in range(count if kind.whole else 0):
        data = damaged(draw.choice(kind.whole), draw, kind.grammar)
        yield Input.of("damaged", data), draw.choice(kind.reads)


def cuts(kind, count, draw):
    """The beginning of a file, of any length."""
    for whole in kind.whole:
        for at in sorted(draw.sample(range(len(whole)), min(count // 8 + 1, len(whole)))):
            yield Input.of(f"the first {at} bytes", whole[:at]), draw.choice(kind.reads)


def values(kind, count, draw):
    """Each value of a document nulled, or of another type; some of them where there are many."""

    def others(was):
        return [other for other in OTHERS if type(other) is not type(was) or other == [None]]

    for whole in kind.whole if kind.grammar else ():
        for given in _some(partial(each_value, whole, kind.grammar, others), count, draw):
            yield Input.of(*given), draw.choice(kind.reads)


def objects(kind, count, draw):
    """What is no regular file, read by each command; some of them in a short campaign."""
    yield from _some(lambda: product(starmap(Input, OBJECTS.items()), kind.reads), count, draw)


def bombs(kind, count, draw):
    """Files that are large, or become so."""
    size = LARGE_BYTES if count >= MANY else SMALL_BYTES
    for whole in kind.whole:
        tables = tables_that_swell(whole, size) if whole.startswith(b"PAR1") else ()
        others = (swollen(whole, draw, size) for _ in range(count // 50 + 1))
        for given in chain(tables, others):
            yield Input.of(*given), draw.choice(kind.reads)


def controls(kind, count, draw):
    """Each text of a document or table with control characters; some of them of many."""
    for whole in kind.whole:
        for given in _some(partial(with_controls, whole, kind.grammar), count, draw):
            yield Input.of(*given), draw.choice(kind.reads)


FORMS = {one.__name__: one for one in (drawn, cuts, values, objects, bombs, controls)}


# What may be in the place of a file, or of a folder.


def _socket(path, _):
    # Addresses are short.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)


def _device(path, _):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        path.symlink_to("/dev/zero")


def _full(path, outside):
    path.mkdir()
    (path / "inner").symlink_to(outside)


def _instead(put, path, outside):
    """Put something in the place of a file or folder that may be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    put(path, outside)


OBJECTS = {
    name: partial(_instead, put)
    for name, put in {
        "nothing": lambda path, outside: None,
        "a pipe": lambda path, outside: os.mkfifo(path),
        "a socket": _socket,
        "a device": _device,
        "a folder": _full,
        "a file": lambda path, outside: path.write_bytes(b"x"),
        "an empty file": lambda path, outside: path.touch(),
        "a link to a device": lambda path, outside: path.symlink_to("/dev/zero"),
        "a link to a pipe": lambda path, outside: path.symlink_to(outside / "pipe"),
        "a link to a file outside": lambda path, outside: path.symlink_to(outside / "file"),
        "a link to a folder outside": lambda path, outside: path.symlink_to(outside),
        "a dangling link": lambda path, outside: path.symlink_to(outside / "none"),
        "a link to itself": lambda path, outside: path.symlink_to(path.name),
    }.items()
}


# How a file is damaged.

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


def flip(data, draw):
    """Change some bytes."""
    out = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8])):
        if out:
            out[draw.randrange(len(out))] = draw.randrange(256)
    return bytes(out)


def cut(data, draw):
    """Keep the beginning, or the end."""
    at = draw.randrange(len(data) + 1)
    return data[:at] if draw.random() < 0.7 else data[at:]


def insert(data, draw):
    """Put a word of ill repute anywhere."""
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.choice(WORDS) + data[at:]


def replace_token(data, draw):
    """Put another word, or another token of the file, in the place of a token."""
    found = list(TOKEN.finditer(data))
    if not found:
        return insert(data, draw)
    one = draw.choice(found)
    other = draw.choice(found)
    word = other[0] if draw.random() < 0.4 else draw.choice(WORDS)
    return data[: one.start()] + word + data[one.end() :]


def lines(data, draw):
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


def repeat(data, draw):
    """Write a part of the file many times."""
    at = draw.randrange(len(data) + 1)
    part = data[at : at + draw.choice([1, 5, 60])]
    return data[:at] + part * draw.choice([2, 50, 3000]) + data[at:]


def nest(data, draw):
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


GENERAL = [flip, cut, insert, replace_token, replace_token, lines, repeat, nest]

ODD = [
    None, True, -1, 0, 1.5, 2**63, -(2**63), 10**400, 1e308, float("nan"), "", " ", "x" * 5000,
    "\u202e", "\x1b[2J", "a\nb", "=1+1", "<b>", "../x", "/etc/passwd", "os:system", [], {}, [[]],
    [1, "a", None], {"a": {"b": []}}, ["x"] * 1000, [2**62, 2**62],
]  # fmt: skip


def mutate_value(value, draw):
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


def _places(value):
    found = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict | list):
            keys = holder.keys() if isinstance(holder, dict) else range(len(holder))
            found += [(holder, key) for key in keys]
            waiting += [holder[key] for key in keys]
    return found


class Grammar(NamedTuple):
    """How a document is taken apart and written."""

    parse: Callable
    write: Callable


def _json(value):
    return json.dumps(value).encode(errors="surrogatepass")


def _with_length(parts):
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
OTHERS = [None, True, -1, 1.5, "x", [], {}, [None], {"x": None}]


def damaged(data, draw, grammar=None):
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


def each_value(data, grammar, others):
    """Replace each value of a document in turn by what is ``others`` of it."""
    whole = grammar.parse(data)
    for holder, key in _places(whole):
        was = holder[key]
        for other in others(was):
            holder[key] = other
            try:
                yield f"{key!r}: {other!r}", grammar.write(whole)
            except BROKEN:
                continue
        holder[key] = was


# Texts that a terminal would obey.


CONTROLS = "\x1b]0;x\x07\x9b2J\u202e\x7f\r\x00"
"""Sets the title, rings, clears the screen, turns the direction of text, and so on."""


def with_controls(data, grammar):
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
        yield from each_value(
            data, grammar, lambda was: [was + CONTROLS] if isinstance(was, str) else []
        )


# Files that are large, or become so when they are read.


UNITS = [
    b"<a>", b"<a/>", b"<omm/>", b"[", b"[],", b"{", b'{"a":', b'{"a":1},', b"1,", b",", b'"', b" ",
    b"\n", b"\n\n", b"x", b"x\n", b"a,b\n", b"1 x\n", b"- ", b"- a\n", b"? ", b"a: b\n", b"#\n",
    b'"\n",', b"\\u0041", b"&lt;", b"\xc3\xa9", b"0",
]  # fmt: skip


def swollen(data, draw, size):
    """Repeat a unit of some format, or a part of the file, up to so many bytes."""
    own = [line + b"\n" for line in data.splitlines()[:9]] + [data[:2000], data[-2000:]]
    unit = draw.choice([*UNITS, *(one for one in own if one)])
    at = draw.choice([0, len(data), draw.randrange(len(data) + 1), data.rfind(b"\n") + 1])
    text = data[:at] + unit * ((size - len(data)) // len(unit)) + data[at:]
    return f"{unit[:40]!r} up to {size} bytes, at {at}", text


def _column(kind, rows, text):
    if pa.types.is_string(kind):
        return pa.repeat(text, rows)
    return pa.nulls(rows, kind) if text == "null" else pa.repeat(pa.scalar(0).cast(kind), rows)


def _equal_rows(table, rows, text="x"):
    columns = [_column(field.type, rows, text) for field in table.schema]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _words(table, words):
    """A table of as many rows, whose texts are large and each is another."""
    rows = _equal_rows(table, len(words))
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            rows = rows.set_column(number, field, pa.array(words))
    return rows


def _wide(table, columns):
    extra = [f"x{number}" for number in range(columns)]
    arrays = [*table.columns, *(pa.nulls(len(table), pa.int8()) for _ in extra)]
    return pa.Table.from_arrays(arrays, names=[*table.column_names, *extra])


def _deep(table, levels):
    kind = pa.int8()
    for _ in range(levels):
        kind = pa.list_(kind)
    return table.append_column("deep", pa.nulls(len(table), kind))


LONG = "x" * 10_000
PLAIN = {"use_dictionary": False}
BOMBS = [
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


def tables_that_swell(data, size):
    """Tables that are small in their file and large in memory."""
    table = pq.ParquetFile(io.BytesIO(data)).read()
    for name, make, how in BOMBS:
        out = io.BytesIO()
        pq.write_table(
            make(table, size), out, compression="zstd", **{"row_group_size": 1 << 18, **how}
        )
        yield f"{name} ({size})", out.getvalue()
