"""LaTeX: text of names and numbers, and tables with the rules of booktabs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "\u2013": "--",
    "\u2026": r"\ldots{}",
    "\u2212": "$-$",
}
"""What stands for a character that means something else to LaTeX, or that joins with the next."""
LAST_KNOWN = 0x17F
"""The last character that pdfLaTeX has without a package: Latin letters with accents."""


def escaped(text: str) -> str:
    """Return LaTeX that shows a text as it is; of letters that it lacks, their numbers."""
    parts = " ".join(text.split()).split("--")
    return "-{}-".join("".join(map(_letter, part)) for part in parts)


def _letter(letter: str) -> str:
    if letter in ESCAPED:
        return ESCAPED[letter]
    known = 0x20 <= ord(letter) < 0x7F or 0xA1 <= ord(letter) <= LAST_KNOWN
    return letter if known else f"[U+{ord(letter):04X}]"


class Cell(NamedTuple):
    """What stands in a field: a text, and a small one below it, such as an interval."""

    text: str
    below: str = ""
    best: bool = False


class Laid(NamedTuple):
    """A table: heads of two lines each, and rows; the first column is set to the left."""

    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Cell]]

    def without(self, column: int) -> Laid:
        """Return it without one column."""
        rows = [[*row[:column], *row[column + 1 :]] for row in self.rows]
        return Laid([*self.heads[:column], *self.heads[column + 1 :]], rows)

    @property
    def letters(self) -> int:
        """How many letters it is about wide."""
        return sum(max(map(len, words)) + 2 for words in self._columns())

    def _columns(self) -> list[list[str]]:
        columns = [list(head) for head in self.heads]
        for row in self.rows:
            for column, cell in zip(columns, row, strict=True):
                # An interval is set smaller.
                column += [cell.text, cell.below[: -(-3 * len(cell.below) // 4)]]
        return columns


def tabular(table: Laid) -> str:
    """Return a table as a ``tabular`` of booktabs, to stand in ``table`` or ``table*``."""
    form = "l" + "r" * (len(table.heads) - 1)
    lines = [rf"\begin{{tabular}}{{@{{}}{form}@{{}}}}", r"\toprule"]
    heads = (line for line in zip(*table.heads, strict=True) if any(line))
    lines += [_row([escaped(word) for word in line]) for line in heads]
    lines.append(r"\midrule")
    spaced = any(cell.below for row in table.rows for cell in row)
    for number, row in enumerate(table.rows):
        if number and spaced:
            lines.append(r"\addlinespace")
        bold = (rf"\textbf{{{escaped(c.text)}}}" if c.best else escaped(c.text) for c in row)
        lines.append(_row(list(bold)))
        if any(cell.below for cell in row):
            lines.append(_row([rf"\scriptsize {escaped(c.below)}" if c.below else "" for c in row]))
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"
