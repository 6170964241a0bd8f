"""The error of a scenario: what is wrong, and in which line, key or override."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The one error that users of scenarios see, and the problems that it is made of.


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

    def below(self, *path: str | int) -> "Problem":
        """Return the same problem with its path counted from further up."""
        return Problem((*path, *self.path), self.text, self.line)


class ProblemsFound(ValueError):
    """What is wrong with a scenario, before it is known from which file or override it came."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems, and name them all in the message."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{dotted(p.path)}: {p.text}" for p in self.problems))


def refuse(problems: Iterable[Problem]) -> None:
    """Raise ProblemsFound if there are any."""
    found = tuple(problems)
    if found:
        raise ProblemsFound(found)


def dotted(path: KeyPath) -> str:
    """Write a path as a user does, `ground.clusters.0.name`, on one line: odd keys are quoted."""
    keys = map(str, path)
    return ".".join(key if _PLAIN_KEY.fullmatch(key) else shown(key) for key in keys)


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


@dataclass(frozen=True)
class Origin:
    """A file's name with the lines of its keys, and the dotted keys that were overridden."""

    name: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overridden: tuple[str, ...] = ()

    def error(self, problem: Problem, total: int = 1) -> ScenarioError:
        """Return the one line for a problem, with how many more were found.

        There may be others: what is inside a section that is wrong is not looked at.
        """
        more = f" (and at least {total - 1} more)" if total > 1 else ""
        return ScenarioError(f"{self._line(problem)}{more}")

    def _line(self, problem: Problem) -> str:
        key = dotted(problem.path)
        if self.is_overridden(problem.path):
            return f"--set {key}: {problem.text}"
        above = (problem.path[:length] for length in range(len(problem.path), -1, -1))
        line = problem.line or next((self.lines[p] for p in above if p in self.lines), None)
        place = ":".join(str(part) for part in (self.name, line) if part)
        return ": ".join(part for part in (place, key, problem.text) if part)

    def located(self, text: str) -> str:
        """Return ``key: what is wrong`` with the file and line of the key, where it is a key."""
        key, _, wrong = text.partition(": ")
        path = tuple(int(part) if part.isdigit() else part for part in key.split("."))
        known = wrong and (self.is_overridden(path) or path[:2] in self.lines)
        return self._line(Problem(path, wrong)) if known else text

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether a key, or one that it lies in, was overridden.

        So is a section that only overridden keys name.
        """
        parts = [str(part) for part in path]
        keys = [key.split(".") for key in self.overridden]
        inside = any(parts[: len(key)] == key for key in keys)
        named = any(key[: len(parts)] == parts for key in keys) and path not in self.lines
        return inside or (bool(path) and named)
