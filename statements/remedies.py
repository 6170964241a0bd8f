"""What helps, as data: what can be applied to a scenario is, and so it can be tested."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

_FACTOR = 10
"""How far a key is moved where nobody knows which value helps: a factor, of decibels a sum."""


@dataclass(frozen=True)
class Change:
    """A change of one dotted ``key``; of an empty one, the key that the statement is about."""

    key: str = ""

    def words(self, about: str) -> str:
        """Return what to do, in a statement about the key ``about``."""
        raise NotImplementedError

    def overrides(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by dotted key, None to remove one, where keys have the values ``now``.

        Nothing where no value is known.
        """
        raise NotImplementedError

    def below(self, above: str) -> Self:
        """Return the same change of a key that lies in the section ``above``."""
        return replace(self, key=f"{above}.{self.key}".rstrip("."))

    def as_json(self, about: str) -> dict[str, Any]:
        """Return what to ``do``, and which values to ``set``."""
        return {"do": self.words(about), "set": self.overrides({})}

    def _named(self, about: str) -> str:
        """Name the key as it is set, or as ``it``."""
        return "it" if self.key in ("", about) else self.key


@dataclass(frozen=True)
class Set(Change):
    """Give a key this value, or one of these ``others``; ``what`` says what that is to do."""

    value: Any = None
    others: tuple[Any, ...] = ()
    what: str = ""

    def words(self, about: str) -> str:
        """Return ``set link.uplink.rate: fixed``, or ``set it to fixed``.

        With ``what``, ``simulate the timing alone: learning.train: false``.
        """
        key = self._named(about)
        values = " or ".join(map(_plain, (self.value, *self.others)))
        if self.what:
            return f"{self.what}: {self.key or about}: {values}"
        return f"set {key} to {values}" if key == "it" else f"set {key}: {values}"

    def overrides(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return the first value."""
        return {self.key: self.value}


@dataclass(frozen=True)
class Remove(Change):
    """Leave a key out."""

    def words(self, about: str) -> str:
        """Return ``remove it``."""
        return f"remove {self._named(about)}"

    def overrides(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return that the key is removed."""
        return {self.key: None}


@dataclass(frozen=True)
class Give(Change):
    """Give a key whose value nobody else knows: ``what`` it is, and what it looks ``like``."""

    like: Any = None
    what: str = ""

    def words(self, about: str) -> str:
        """Return ``give it, in W, like 5``."""
        parts = [f"give {self._named(about)}", self.what]
        if self.like is not None:
            parts.append(f"like {_plain(self.like)}")
        return ", ".join(part for part in parts if part)

    def overrides(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return the example."""
        return {} if self.like is None else {self.key: self.like}


@dataclass(frozen=True)
class Raise(Change):
    """Take a larger value: ``to`` is one that helps, ``now`` the one in force, where known."""

    now: float | None = None
    to: float | None = None

    def words(self, about: str) -> str:
        """Return ``raise the key (5), to 10``."""
        now = "" if self.now is None else f" ({self.now:.6g})"
        to = "" if self.to is None else f" to {self.to:.6g}"
        return f"{self._verb} {self._named(about)}{now}{to}"

    def overrides(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value that helps, else one that is larger by far."""
        if self.to is not None:
            return {self.key: self.to}
        value = now.get(self.key) if self.now is None else self.now
        if isinstance(value, bool) or not isinstance(value, int | float):
            return {}
        return {self.key: self._moved(value)}

    _verb = "raise"

    def _moved(self, value: float) -> float:
        return value + _FACTOR if "_db" in self.key else value * _FACTOR


@dataclass(frozen=True)
class Lower(Raise):
    """Take a smaller value: ``to`` is one that helps, ``now`` the one in force, where known."""

    _verb = "lower"

    def _moved(self, value: float) -> float:
        if "_db" in self.key:
            return value - _FACTOR
        is_count = isinstance(value, int) and value > 1  # of which 0 is seldom allowed
        return max(1, value // _FACTOR) if is_count else value / _FACTOR


@dataclass(frozen=True)
class Other(Change):
    """What no key does, or more than one: text only."""

    said: str = ""

    def words(self, about: str) -> str:
        """Return the text."""
        return self.said

    def overrides(self, now: Mapping[str, Any]) -> dict[str, Any]:
        """Return nothing: nobody can apply it."""
        return {}

    def below(self, above: str) -> Self:
        """Return the same text."""
        return self


Remedy = Change | str
"""What helps; a text says what no key does, or more than one."""


def _plain(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:g}"
    return words[value] if value is None or isinstance(value, bool) else str(value)
