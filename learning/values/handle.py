"""A lazy value: a learning result that is named by what it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from learning.values.store import Tensors


@dataclass(eq=False, repr=False, slots=True, weakref_slot=True)
class Handle:
    """A learning result that may not have been computed yet: of the function at a ``place``.

    One that ``trains`` takes gradient steps. ``foreign`` is a place outside leomix that it depends
    on, empty if there is none.
    """

    key: str
    place: str
    parents: tuple[Handle, ...]
    arguments: dict[str, Any]
    trains: bool
    foreign: str
    value: Tensors | None = None

    @property
    def name(self) -> str:
        """Name of the function that makes it."""
        return self.place.rpartition(":")[2]

    def __float__(self) -> NoReturn:
        raise TypeError(
            f"the result of {self.name!r} is not a number yet; "
            "take numbers out with `yield Measure(name, compute, default)`"
        )

    __bool__ = __float__

    def __repr__(self) -> str:
        return f"<{self.name} {self.key[:8]}{'' if self.value is None else ' ready'}>"
