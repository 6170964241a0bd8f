"""The cells of one row, by what they are for: text, label, question, ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Role of a column -> names that it has where the configuration gives none.
NAMES = {
    "text": ("text", "text_a"),
    "text_pair": ("text_pair", "text_b"),
    "label": ("label",),
    "question": ("question",),
    "options": ("options",),
    "answer": ("answer",),
    "domain": ("domain",),
    "split": ("split",),
}
ROLES = tuple(NAMES)


class Row:
    """One row: its cells by role. Every error names the row and the column."""

    def __init__(self, place: str, cells: Mapping[str, Any], columns: Mapping[str, str]) -> None:
        self.place = place
        self._cells = cells
        self._columns = columns

    def column(self, role: str) -> str | None:
        """Return the name of the column of ``role`` that the row has, None for none."""
        return next((name for name in self._names(role) if name in self._cells), None)

    def _names(self, role: str) -> tuple[str, ...]:
        return (self._columns[role],) if role in self._columns else NAMES[role]

    def columns(self) -> str:
        """Name the first of the row's columns, for a message."""
        names = [f"{name!r:.40}" for name in self._cells]
        return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "no columns"

    def has(self, *roles: str) -> bool:
        """Whether the row has a column for each of ``roles``."""
        return all(self.column(role) is not None for role in roles)

    def need(self, role: str) -> tuple[Any, str]:
        """Return the cell of ``role``, and what to call it in a message."""
        name = self.column(role)
        if name is None:
            wanted = " or ".join(map(repr, self._names(role)))
            raise ValueError(
                f"{self.place}: no column {wanted}; add it, or name another one in "
                f"learning.data.columns.{role}"
            )
        return self._cells[name], f"{self.place}: {name}"

    def string(self, role: str) -> str:
        """Return the text of ``role``."""
        return check_text(*self.need(role))

    def pair(self) -> str:
        """Return the second text, "" where the row has none."""
        name = self.column("text_pair")
        value = None if name is None else self._cells[name]
        return "" if value is None or value == "" else self.string("text_pair")


def check_text(value: Any, where: str) -> str:
    """Return a text. Raises :class:`ValueError` for one that is blank or no text."""
    if not isinstance(value, str):
        raise ValueError(f"{where} is {value!r:.60}; it must be a string")
    if not value.strip():
        raise ValueError(f"{where} is blank; fill it in, or remove the row")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} holds half a surrogate pair; write it as UTF-8") from None
    return value
