"""Where the parts of a scenario came from, so that a finding can point at a line or an override."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scenarios.errors import KeyPath, Problem, ScenarioError, dotted


@dataclass(frozen=True)
class Origin:
    """A file's name with the lines of its keys, and the dotted keys that were overridden."""

    name: str = ""
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    overridden: tuple[str, ...] = ()

    def error(self, problem: Problem, total: int = 1) -> ScenarioError:
        """Return the one line for a problem, with how many more there are if it is not the only."""
        more = f" (and {total - 1} more)" if total > 1 else ""
        return ScenarioError(f"{self._line(problem)}{more}")

    def _line(self, problem: Problem) -> str:
        key = dotted(problem.path)
        if self.is_overridden(problem.path):
            return f"--set {key}: {problem.text}"
        line = problem.line or self._nearest_line(problem.path)
        place = ":".join(str(part) for part in (self.name, line) if part)
        return ": ".join(part for part in (place, key, problem.text) if part)

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether a key, or one that it lies in, was overridden."""
        parts = [str(part) for part in path]
        keys = (key.split(".") for key in self.overridden)
        return any(parts[: len(key)] == key for key in keys)

    def _nearest_line(self, path: KeyPath) -> int | None:
        above = (path[:length] for length in range(len(path), -1, -1))
        return next((self.lines[part] for part in above if part in self.lines), None)
