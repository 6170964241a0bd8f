"""The forms of inputs: what is put in the place of a file, and how many of each there are."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.soak import fuzz_mutations as damage
from tests.soak.fuzz_kinds import Kind, Read

SMALL_BYTES, LARGE_BYTES = 2_000_000, 99_000_000
"""Bombs of a short campaign, and of a long one."""
MANY = 300
"""Inputs of a kind from which on a campaign is a long one."""


class Input(NamedTuple):
    """What is put at a path, told in words; ``put`` takes the path and a folder outside of it."""

    said: str
    put: Callable[[Path, Path], object]
    size: int = 0
    data: bytes = b""

    @classmethod
    def of(cls, said: str, data: bytes) -> Input:
        """A file of these bytes."""
        return cls(said, lambda path, _: path.write_bytes(data), len(data), data)


Inputs = Iterator[tuple[Input, Read]]


def drawn(kind: Kind, count: int, draw: Random) -> Inputs:
    """Files damaged at random."""
    for _ in range(count if kind.whole else 0):
        data = damage.damaged(draw.choice(kind.whole), draw, kind.grammar)
        yield Input.of("damaged", data), draw.choice(kind.reads)


def cuts(kind: Kind, count: int, draw: Random) -> Inputs:
    """The beginning of a file, of any length."""
    for whole in kind.whole:
        for at in sorted(draw.sample(range(len(whole)), min(count // 8 + 1, len(whole)))):
            yield Input.of(f"the first {at} bytes", whole[:at]), draw.choice(kind.reads)


def values(kind: Kind, count: int, draw: Random) -> Inputs:
    """Each value of a document nulled, or of another type; some of them where there are many."""
    for whole in kind.whole if kind.grammar else ():
        every = partial(damage.other_values, whole, kind.grammar)
        total = sum(1 for _ in every())
        chosen = set(draw.sample(range(total), total if count >= MANY else min(count, total)))
        for number, (said, data) in enumerate(every()):
            if number in chosen:
                yield Input.of(said, data), draw.choice(kind.reads)


def objects(kind: Kind, count: int, draw: Random) -> Inputs:
    """What is no regular file, read by each command; some of them in a short campaign."""
    every = [(Input(name, put), read) for name, put in OBJECTS.items() for read in kind.reads]
    yield from every if count >= MANY else draw.sample(every, min(count, len(every)))


def bombs(kind: Kind, count: int, draw: Random) -> Inputs:
    """Files that are large, or become so."""
    size = LARGE_BYTES if count >= MANY else SMALL_BYTES
    for whole in kind.whole:
        if whole.startswith(b"PAR1"):
            for said, data in damage.bombs(whole, size):
                yield Input.of(said, data), draw.choice(kind.reads)
        for _ in range(count // 50 + 1):
            yield Input.of(*damage.swollen(whole, draw, size)), draw.choice(kind.reads)


def controls(kind: Kind, count: int, draw: Random) -> Inputs:
    """Each text of a document or table with control characters; some of them of many."""
    for whole in kind.whole:
        every = list(damage.with_controls(whole, kind.grammar))
        for said, data in every if count >= MANY else draw.sample(every, min(count, len(every))):
            yield Input.of(said, data), draw.choice(kind.reads)


FORMS: dict[str, Callable[[Kind, int, Random], Inputs]] = {
    one.__name__: one for one in (drawn, cuts, values, objects, bombs, controls)
}


# What may be in the place of a file, or of a folder.


def _socket(path: Path, _: Path) -> None:
    # Addresses are short.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)


def _device(path: Path, _: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        path.symlink_to("/dev/zero")


def _full(path: Path, outside: Path) -> None:
    path.mkdir()
    (path / "inner").symlink_to(outside)


def _instead(put: Callable[[Path, Path], object], path: Path, outside: Path) -> None:
    """Put something in the place of a file or folder that may be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    put(path, outside)


OBJECTS: dict[str, Callable[[Path, Path], object]] = {
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
