"""What a guess is worth: the accuracy of a constant answer, the loss of a uniform guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Guess:
    """A guess at the test samples, between so many ``choices``: classes, or tokens.

    ``samples`` are those of each class in the tests (C,), empty where there are no classes. Of
    these, so many are ``distinct`` as several clusters may be tested on the same; 0 if unknown.
    """

    choices: int
    samples: Sequence[int] = ()
    distinct: int = 0

    @property
    def counted_once(self) -> float:
        """The share of the tests of all clusters that is left where each sample counts once."""
        return self.distinct / sum(self.samples) if self.distinct else 1.0

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

    None where it is not recorded: of one whose method trains by itself.
    """
    found = manifest.get("tests")
    if not found:
        return None
    return Guess(int(found["choices"]), tuple(found["samples"]), int(found.get("distinct", 0)))
