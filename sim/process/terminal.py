"""Streams to the terminal: control characters in what is printed are shown, and not obeyed.

Text from files (names, warnings of a manifest, words of an error) may hold any character. Commands
print all of it through these streams, so that no print has to think of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

LAYOUT = str.maketrans("", "", "\n\t")
"""Removes what lays out text, which a terminal may obey."""


def escaped(text: str) -> str:
    """Return ``text`` with escapes such as ``\\x1b`` for what cannot be printed.

    These are control characters, and those that turn the direction of text or hide in it. Line
    breaks and tabs stay.
    """
    if text.translate(LAYOUT).isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)


def drop_unwritten(stream: TextIO) -> None:
    """Drop what a stream holds and cannot write, which Python would try again at its end."""
    try:
        stream.flush()
    except OSError:
        number = stream.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)


class Escaping:
    """A stream that escapes what is written to it, and is else the one that it writes to.

    Who reads it and goes away, like ``head``, has what he wanted: the rest is dropped.
    """

    def __init__(self, stream: TextIO) -> None:
        self.obeyed = stream
        """Takes control characters as they are, for what draws with them."""

    def write(self, text: str) -> int:
        """Write ``text`` without control characters."""
        with self._reader_may_leave():
            self.obeyed.write(escaped(text))
        return len(text)

    def flush(self) -> None:
        """Write out what is held."""
        with self._reader_may_leave():
            self.obeyed.flush()

    @contextmanager
    def _reader_may_leave(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            drop_unwritten(self.obeyed)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some text without control characters."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.obeyed, name)


def escaping(stream: TextIO) -> TextIO:
    """Return ``stream`` as one that escapes what is written to it."""
    return cast("TextIO", Escaping(stream))


def obeyed(stream: TextIO) -> TextIO:
    """Return the stream behind one that escapes, for what draws with control characters."""
    return stream.obeyed if isinstance(stream, Escaping) else stream


@contextmanager
def escaped_streams(out: TextIO, err: TextIO) -> Iterator[None]:
    """Escape what is printed on stdout and stderr meanwhile."""
    with redirect_stdout(escaping(out)), redirect_stderr(escaping(err)):
        yield
