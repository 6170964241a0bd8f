"""A statement, the place where its key stands, and the one error that carries refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from statements import words
from statements.code import Code, Severity
from statements.remedies import Change, Other, Remedy

KeyPath = tuple[str | int, ...]
_KEY = re.compile(r"[a-z_][a-z0-9_]*(\.[A-Za-z0-9_-]+)*")


def as_key(dotted_key: str) -> KeyPath:
    """Return the path of a key that is written with dots; a number is an index of a list."""
    parts = dotted_key.split(".") if dotted_key else []
    return tuple(int(part) if part.isdigit() else part for part in parts)


@dataclass(frozen=True)
class Statement:
    """One thing that is said: refused, doubted or noted.

    ``keys`` are what it is about; it stands at the first one. ``text`` says what is wrong, without
    keys and remedies; with ``values`` it is a template of :meth:`str.format` that names them.
    ``line`` is that of its file, where the statement knows it itself.
    """

    code: Code
    keys: tuple[KeyPath, ...]
    text: str
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    remedies: tuple[Change, ...] = ()
    severity: Severity = Severity.REFUSAL
    line: int | None = None

    @classmethod
    def of(
        cls, code: Code, key: str | KeyPath, text: str, /, *remedies: Remedy, **values: Any
    ) -> Self:
        """Return the statement about one key, with dots or as a path; "" for none.

        Remedies without a key are of this one; what no key does is a text that says what to do.
        """
        path = as_key(key) if isinstance(key, str) else key
        changes = (Other(said=one) if isinstance(one, str) else one for one in remedies)
        own = tuple(one if one.key else replace(one, key=words.dotted(path)) for one in changes)
        return cls(code, (path,) if path else (), text, values, own)

    @classmethod
    def doubt(
        cls, code: Code, key: str | KeyPath, text: str, /, *remedies: Remedy, **values: Any
    ) -> Self:
        """Return what makes a result less certain, or smaller, than it may look; as :meth:`of`."""
        said = cls.of(code, key, text, *remedies, **values)
        return replace(said, severity=Severity.DOUBT)

    @classmethod
    def note(
        cls, code: Code, key: str | KeyPath, text: str, /, *remedies: Remedy, **values: Any
    ) -> Self:
        """Return what is right as it is, and good to know; as :meth:`of`."""
        said = cls.of(code, key, text, *remedies, **values)
        return replace(said, severity=Severity.NOTE)

    @classmethod
    def told(cls, told: Mapping[str, Any]) -> Self:
        """Return what :func:`statements.words.as_json` has told of, in words: its line is its text.

        Raises KeyError and ValueError for what is no statement.
        """
        return cls(Code(told["code"]), (), str(told["text"]), severity=Severity(told["severity"]))

    @property
    def path(self) -> KeyPath:
        """Where it stands."""
        return self.keys[0] if self.keys else ()

    def below(self, *path: str | int) -> Self:
        """Return the same with its keys counted from further up; so are those of its remedies."""
        if not path:
            return self
        above = ".".join(map(str, path))
        return replace(
            self,
            keys=tuple((*path, *key) for key in self.keys or ((),)),
            remedies=tuple(one.below(above) for one in self.remedies),
        )

    def __str__(self) -> str:
        """Return one line."""
        return words.line(self)


@dataclass(frozen=True)
class Place:
    """Where a key was given: by an option of the command line (``--set``), or in a file.

    What is wrong with an option or a file itself has its place there, and no key.

    ``at`` tells the point of a sweep.
    """

    option: str = ""
    file: str = ""
    line: int | None = None
    at: str = ""


class Refused(ValueError):
    """What is refused, and where it stands: the error of wrong input. As text it is one line.

    A plain text is a statement of which nothing else is known. ``more`` others were found.
    """

    def __init__(
        self, said: Statement | str | Iterable[Statement], place: Place | None = None, more: int = 0
    ) -> None:
        """Keep what is refused; errors are pickled, and rebuilt by their arguments."""
        if isinstance(said, str):
            said = Statement(Code.OTHER, (), said)
        self.statements = (said,) if isinstance(said, Statement) else tuple(said)
        self.place = place
        self.more = more
        super().__init__(self.statements, place, more)

    @property
    def statement(self) -> Statement:
        """The first of what is refused."""
        return self.statements[0]

    @property
    def code(self) -> Code:
        """Of which kind the first is."""
        return self.statement.code

    def __str__(self) -> str:
        """Return one line."""
        if self.place is None and len(self.statements) > 1:
            return "; ".join(map(words.line, self.statements))
        more = f" (and at least {self.more} more)" if self.more else ""
        return f"{words.line(self.statement, self.place)}{more}"


def statement_of(error: ValueError, key: str = "") -> Statement:
    """Return what an error says: its statement, or that of somebody else's text, about ``key``.

    The one place where a text is read: ``key: what is wrong`` is how code of one's own, which knows
    no statements, names a key.
    """
    if isinstance(error, Refused):
        said = error.statement
        if key and error.place is not None and error.place.file:  # the key's place replaces it
            text = f"{error.place.file}: {words.filled(said.text, said.values)}"
            said = replace(said, text=text, values={})
        return said.below(*as_key(key))
    text = str(error)
    head, colon, wrong = text.partition(": ")
    if not key and colon and _KEY.fullmatch(head):
        return Statement.of(Code.OTHER, head, wrong)
    return Statement.of(Code.OTHER, key, text)


def error_code(error: BaseException) -> Code:
    """Return of which kind an error is."""
    return error.code if isinstance(error, Refused) else Code.OTHER
