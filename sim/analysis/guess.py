"""What a guess is worth: the accuracy of a constant answer, the loss of a uniform guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Guess:
    """A guess at the test samples, between so many ``choices``: classes, or tokens.

    ``samples`` are those of each class in the tests (C,), empty where there are no classes.
    """

    choices: int
    samples: Sequence[int] = ()

    @property
    def share(self) -> float | None:
        """The accuracy of the best constant answer, the most frequent class; None without any."""
        total = sum(self.samples)
        return max(self.samples) / total if total else None

    @property
    def loss_nats(self) -> float:
        """The cross-entropy of a guess that holds all choices for equally likely."""
        return math.log(self.choices)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {"choices": self.choices, "share": self.share, "loss_nats": self.loss_nats}


def guess_of(manifest: Mapping[str, Any]) -> Guess | None:
    """Return what a guess is worth in the tests of a run.

    None where it is not recorded: of a run of before, or one whose method trains by itself.
    """
    found = manifest.get("tests")
    return None if not found else Guess(int(found["choices"]), tuple(found["samples"]))
