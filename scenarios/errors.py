"""The error of a scenario, and where its keys stand: in which line, or by which override."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from statements import Code, KeyPath, Place, Refused, Remedy, Statement, dotted


class ScenarioError(Refused):
    """A scenario file, mapping or override that cannot be used; as text it is one line.

    It reads `file:line: key: what is wrong; what is allowed`, or `--set key: ...` for an override.
    """


SET = Place(option="--set")
"""The place of what an override gives."""


def wrong(key: str | KeyPath, text: str, code: Code, *remedies: Remedy) -> Statement:
    """Return what is wrong with a key, dotted or as a path, both counted from its section."""
    return Statement.of(code, key, text, *remedies)


def refuse(problems: Iterable[Statement]) -> None:
    """Raise Refused if there are any."""
    found = tuple(problems)
    if found:
        raise Refused(found)


def no_file(label: str, text: str) -> ScenarioError:
    """Return the error of a file that is none, or none that can be read."""
    return ScenarioError(Statement(Code.NO_FILE, (), text), Place(file=label))


@dataclass(frozen=True)
class Origin:
    """A file's name with the lines of its keys, and the dotted keys that were overridden."""

    name: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overridden: tuple[str, ...] = ()

    def error(self, problem: Statement, total: int = 1) -> ScenarioError:
        """Return the error of a problem, with how many more were found.

        There may be others: what is inside a section that is wrong is not looked at.
        """
        return ScenarioError(problem, self.place(problem.path), total - 1)

    def place(self, path: KeyPath) -> Place:
        """Return where a key, or one that it lies in, was given."""
        if self.is_overridden(path):
            return SET
        # The line on which the whole begins is that of another key.
        above = (path[:length] for length in range(len(path), -1 if not path else 0, -1))
        return Place("", self.name, next((self.lines[p] for p in above if p in self.lines), None))

    def knows(self, path: KeyPath) -> bool:
        """Whether a key, or the one that it lies in, was given at all."""
        return bool(path) and (self.is_overridden(path) or path[:2] in self.lines)

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether a key, or one that it lies in, was overridden.

        So is a section that only overridden keys name.
        """
        parts = [str(part) for part in path]
        keys = [key.split(".") for key in self.overridden]
        inside = any(parts[: len(key)] == key for key in keys)
        named = any(key[: len(parts)] == parts for key in keys) and path not in self.lines
        return inside or (bool(path) and named)


__all__ = ["SET", "KeyPath", "Origin", "ScenarioError", "dotted", "no_file", "refuse", "wrong"]
