"""Tables on a screen of 79 columns: columns, dots on an axis, sentences, and what to do next."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from sim.formatting import WIDTH, counted

DOTS = 21
"""Places of the axis on which a table shows a figure."""
LONGEST_HEAD = 24
"""Letters of a name above a column, or of the names of a row together."""
LONGEST_HEADLINE = 90
"""Letters of a headline at most."""


def is_writable(text: str) -> bool:
    """Return whether the terminal can write a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def marks() -> tuple[str, ...]:
    """Return what a table draws with: a seed or value, between seeds, an empty place."""
    return ("●", "─", "·") if is_writable("●─·") else ("o", "-", ".")


@dataclass(frozen=True)
class ScreenColumn:
    """A column of text: its head, and its cells; words and pictures stand to the left of it.

    The cells of the rows that are ``best`` have a mark, and the others room for it.
    """

    head: str
    cells: Sequence[str]
    left: bool = False
    best: Collection[int] = ()

    @property
    def marked(self) -> list[str]:
        """The cells with their marks."""
        if not self.best:
            return [*self.cells]
        return [f"{cell}{'*' if row in self.best else ' '}" for row, cell in enumerate(self.cells)]

    @property
    def heads(self) -> tuple[str, str]:
        """The head in two lines, as narrow as it can be."""
        if "\n" in self.head:
            first, second = self.head.split("\n")
            return first, second
        for width in range(max(map(len, self.marked), default=1), len(self.head) + 1):
            lines = wrap(self.head, max(width, 1), break_long_words=False)
            if len(lines) <= 2 and max(map(len, lines)) <= max(width, 1):
                return ("", *lines)[-2], lines[-1]
        return "", self.head

    @property
    def width(self) -> int:
        """Letters of its longest line."""
        return max(map(len, [*self.heads, *self.marked]))

    def lines(self) -> list[str]:
        """Its lines, all as wide."""
        aligned = str.ljust if self.left else str.rjust
        return [aligned(text, self.width) for text in (*self.heads, *self.marked)]


def block(columns: Sequence[ScreenColumn], fixed: int = 1) -> tuple[list[str], int]:
    """Return as many columns side by side as a screen holds, and how many that are.

    The first ``fixed`` ones stand there in any case.
    """
    room = WIDTH + 2
    held = 0
    for column in columns:
        room -= column.width + 2
        if room < 0 and held >= fixed:
            break
        held += 1
    lines = [
        "  ".join(parts).rstrip()
        for parts in zip(*(c.lines() for c in columns[:held]), strict=True)
    ]
    return (lines if lines[0] else lines[1:]), held


def dots(own: Sequence[Sequence[float]]) -> ScreenColumn:
    """Draw each row's values on an axis: a dot a seed, and a line from least to greatest."""
    values = [value for row in own for value in row]
    low, high, digits = round_ends(min(values), max(values))
    dot, between, empty = marks()
    cells = []
    for row in own:
        places = sorted(round((value - low) / (high - low) * (DOTS - 1)) for value in row)
        cells.append(
            "".join(
                dot if n in places else between if places and places[0] < n < places[-1] else empty
                for n in range(DOTS)
            )
        )
    ends = f"{low:,.{digits}f}", f"{high:,.{digits}f}"
    gap = DOTS - len(ends[0]) - len(ends[1])
    return ScreenColumn(f"{ends[0]}{' ' * gap}{ends[1]}\n|{' ' * (DOTS - 2)}|", cells, left=True)


def round_ends(low: float, high: float) -> tuple[float, float, int]:
    """Return round numbers about two values, and their digits behind the point."""
    raw = (high - low or abs(high) or 1.0) / 4
    if float(low).is_integer() and float(high).is_integer():  # of counts
        raw = max(raw, 1.0)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(n * power for n in (1, 2, 5, 10) if n * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, max(last, first + 1) * step, digits


def cut(name: str, most: int = LONGEST_HEAD) -> str:
    """Return a name without its end where it is long."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def steps_lines(steps: Sequence[tuple[str, str]]) -> list[str]:
    """Return commands that go on from here, each with what it gives."""
    held = [len(command) for command, said in steps if len(command) + len(said) + 4 <= WIDTH]
    wide = max(held, default=0)
    lines = []
    for command, said in steps:
        if len(command) + len(said) + 4 > WIDTH:
            lines += [f"  {command}", f"      {said}"]
        elif wide + len(said) + 4 <= WIDTH:
            lines.append(f"  {command:<{wide}}  {said}")
        else:
            lines.append(f"  {command}  {said}")
    return lines


def wrapped(sentences: Iterable[str]) -> list[str]:
    """Return sentences as lines of a screen."""
    return wrap(" ".join(sentences), WIDTH, break_long_words=False, break_on_hyphens=False)


def fitted_headline(head: str, parts: Mapping[str, int]) -> str:
    """Return a headline of as many parts as it has room for, and of how many groups it has none.

    ``parts`` are texts, with how many groups each is of.
    """
    shown, left = head, sum(parts.values())
    for text, count in parts.items():
        longer = f"{shown}{', ' if shown != head else ''}{text}"
        others = f"; and {counted(left - count, 'other')}" if left > count else ""
        if shown != head and len(longer + others) > LONGEST_HEADLINE:
            break
        shown, left = longer, left - count
    return f"{shown}; and {counted(left, 'other')}" if left else shown
