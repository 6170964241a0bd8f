"""What the program says, as values: what is refused, doubted or noted, of which keys, and the cure.

A :class:`Statement` has a code, which code compares, the keys that it is about, a text with values,
and remedies that can be applied. :class:`Refused` is the error of wrong input that carries them. A
:class:`Rule` says something of keys where a condition holds. :mod:`statements.words` makes lines,
and JSON, of them: nobody else makes text of a statement, and nobody reads one out of a text.
In which order things are said follows from the rank of their codes (:mod:`statements.ranks`).

It uses the standard library only, so that every other package can say something.
"""

from statements.code import NO_CONTACT, UNSERVABLE, Code, Severity
from statements.ranks import by_rank, in_turn
from statements.remedies import Change, Give, Lower, Other, Raise, Remedy, Remove, Set
from statements.rules import Rule, needed, said, unused
from statements.statement import (
    KeyPath,
    Place,
    Refused,
    Statement,
    as_key,
    error_code,
    statement_of,
)
from statements.words import (
    as_json,
    dotted,
    filled,
    line,
    refused_json,
    remedies_text,
    sentence,
    shown,
)

__all__ = [
    "as_json",
    "as_key",
    "by_rank",
    "Change",
    "Code",
    "error_code",
    "dotted",
    "filled",
    "Give",
    "in_turn",
    "KeyPath",
    "line",
    "Lower",
    "needed",
    "NO_CONTACT",
    "Other",
    "Place",
    "Raise",
    "Refused",
    "refused_json",
    "remedies_text",
    "Remedy",
    "Remove",
    "Rule",
    "said",
    "sentence",
    "Set",
    "Severity",
    "shown",
    "Statement",
    "statement_of",
    "UNSERVABLE",
    "unused",
]
