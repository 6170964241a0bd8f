"""By which figure learning is judged, the accuracy or the loss; and what a guess is worth.

The loss judges where each next token is learnt, as a model of texts is right about a share of
tokens only, which hardly moves while its loss falls; and where there is a loss and no accuracy, as
of a regression. Of next tokens both are known, of other runs that the loss judges no accuracy is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from learning.settings import judged_by_loss


class Judged(StrEnum):
    """The figure by which it is judged whether, and how well, a run has learnt."""

    ACCURACY = "accuracy"
    LOSS = "loss"
    """Of the next token, in nats, beside the share of tokens held for the likeliest; or any other
    loss, alone."""

    def merit(self, figure: float | None) -> float:
        """Return what is the greater the better a figure is; -inf if it is None or no number."""
        if figure is None or math.isnan(figure):
            return -math.inf
        return -figure if self == Judged.LOSS else figure


def followed(scores: Mapping[str, Any], judged: Judged, *, of_validation: bool, digits: int) -> str:
    """Return by what a run is followed while it goes on: "validation accuracy 0.812".

    ``scores`` is the pooled row of an evaluation. The figures are of validation samples or of test
    samples. Empty where nothing is measured.
    """
    key, of = ("validation_", "validation ") if of_validation else ("", "")
    accuracy, loss = scores.get(f"{key}accuracy"), scores.get(f"{key}loss")
    shown = {f"{of}loss": loss, "tokens right": accuracy}
    if judged == Judged.ACCURACY and accuracy is not None:
        shown = {f"{of}accuracy": accuracy}
    return ", ".join(f"{k} {v:.{digits}f}" for k, v in shown.items() if v is not None)


class Measured(Protocol):
    """What is needed of an evaluation."""

    @property
    def accuracy(self) -> float | None:
        """The accuracy, None of a run that measures a loss alone."""


def judged_of(loss: str | None, objective: str | None, curve: Sequence[Measured] = ()) -> Judged:
    """Return by what a run is judged: by its keys, and by what its evaluations have measured.

    These are ``learning.loss`` and ``learning.data.objective``.
    """
    alone = bool(curve) and curve[0].accuracy is None
    return Judged.LOSS if judged_by_loss(loss, objective) or alone else Judged.ACCURACY


def judged_by(manifest: Mapping[str, Any], curve: Sequence[Measured]) -> Judged:
    """Return by what the run of a manifest, with these evaluations, is judged."""
    learning = manifest.get("scenario", {}).get("learning") or {}
    return judged_of(learning.get("loss"), learning.get("data", {}).get("objective"), curve)


def is_measured(figures: Mapping[str, Any]) -> bool:
    """Return whether a run, of which these are the figures, has an accuracy or a loss."""
    return any(figures.get(f"{judged}_final") is not None for judged in Judged)


def judged_together(runs: Iterable[Mapping[str, Any]]) -> Judged:
    """Return by what several runs are judged beside each other: by the loss if each of them is.

    Of each run these are the figures. Runs that have measured nothing do not count, if others have.
    """
    every = [*runs]
    found = {run.get("judged_by") for run in [*filter(is_measured, every)] or every}
    return Judged.LOSS if found == {Judged.LOSS} else Judged.ACCURACY


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


def guess_of(manifest: Mapping[str, Any]) -> Guess | None:
    """Return what a guess is worth in the tests of a run.

    None where it is not recorded: of one whose method trains by itself.
    """
    found = manifest.get("tests")
    if not found:
        return None
    return Guess(int(found["choices"]), tuple(found["samples"]), int(found.get("distinct", 0)))
