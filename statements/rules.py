"""Rules between keys: of which keys something is said, when, what, and what helps."""

import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from statements.code import Code
from statements.remedies import Give, Remedy, Remove
from statements.statement import Statement

Case = TypeVar("Case")
"""What rules look at: a section, a direction of a link, a scenario with its method."""


@dataclass(frozen=True)
class Rule(Generic[Case]):
    """Says ``text`` of each of the ``keys`` where ``when`` holds.

    With ``given``, which returns the keys that the case has of those named (``lora.*``: any of the
    section), only of these, but for those whose last parts are ``but``; None of ``but`` is all.
    ``text`` names attributes of the case, or keys of a mapping, and so tells their values.
    """

    keys: tuple[str, ...]
    when: Callable[[Case], Any]
    text: str
    remedies: tuple[Remedy, ...] = ()
    code: Code = Code.CONFLICT
    but: Collection[str] | Callable[[Case], Collection[str] | None] = ()

    def about(self, case: Case, given: Callable[[str], Iterable[str]] | None) -> Iterator[str]:
        """Yield the keys of which something is said."""
        if not self.when(case):
            return
        if self.code is not Code.UNUSED or given is None:
            yield from self.keys
            return
        but = self.but(case) if callable(self.but) else self.but
        if but is not None:
            keys = (key for named in self.keys for key in given(named))
            yield from sorted(key for key in keys if key.rpartition(".")[2] not in but)

    def of(self, key: str, case: Case) -> Statement:
        """Return what is said of one of the keys."""
        values = values_in(self.text, case)
        return Statement.of(self.code, key, self.text, *self.remedies, **values)


def unused(
    *keys: str,
    when: Callable[[Case], Any] = lambda _: True,
    by: str,
    but: Collection[str] | Callable[[Case], Collection[str] | None] = (),
    remedies: tuple[Remedy, ...] = (Remove(),),
) -> Rule[Case]:
    """Return the rule that keys change nothing; ``by`` says what does not use them."""
    return Rule(keys, when, f"is not used {by}", remedies, Code.UNUSED, but)


def needed(
    key: str, when: Callable[[Case], Any], by: str, like: Any = None, what: str = ""
) -> Rule[Case]:
    """Return the rule that a key is missing; ``by`` says what needs it, ``like`` is an example."""
    give = Give(like=like, what=what)
    return Rule((key,), when, f"is missing; {by} needs it", (give,), Code.MISSING)


def said(
    rules: Iterable[Rule[Case]],
    case: Case,
    given: Callable[[str], Iterable[str]] | None = None,
) -> Iterator[Statement]:
    """Yield what is said of each key, in order; that a key is not used is said once."""
    seen = set[str]()
    for rule in rules:
        for key in rule.about(case, given):
            if rule.code is not Code.UNUSED or key not in seen:
                seen.add(key)
                yield rule.of(key, case)


def values_in(text: str, case: Any) -> Mapping[str, Any]:
    """Return the values that a template names, by their names."""
    names = [name for _, name, _, _ in string.Formatter().parse(text) if name]
    return {name: _value(case, name) for name in names}


def _value(case: Any, name: str) -> Any:
    if isinstance(case, Mapping):
        return case[name]
    for part in name.split("."):
        case = getattr(case, part)
    return case
