"""The one error a user of scenarios meets, and the findings it is made of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]

_LONGEST_SHOWN = 60
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")


class ScenarioError(ValueError):
    """A scenario file, mapping or override that cannot be used; the message is one line.

    It reads `file:line: key: what is wrong; what is allowed`, or `--set key: ...` for an override.
    """


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the key's path, the sentence, and the line where that is known."""

    path: KeyPath
    text: str
    line: int | None = None


class ProblemsFound(ValueError):
    """What is wrong with a scenario, before it is known from which file or override it came."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems, and tell them all in the message."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{dotted(p.path)}: {p.text}" for p in self.problems))


def dotted(path: KeyPath) -> str:
    """Write a path as a user does, `ground.clusters.0.name`, on one line: odd keys are quoted."""
    return ".".join(_key(str(part)) for part in path)


def _key(part: str) -> str:
    return part if _PLAIN_KEY.fullmatch(part) else shown(part)


def shown(value: object) -> str:
    """Return a value for a message: on one line, shortened, and for every value."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python is willing to print
        return f"a very large {type(value).__name__}"
    text = {"None": "nothing", "True": "true", "False": "false"}.get(text, text)
    text = " ".join(text.split("\n"))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
