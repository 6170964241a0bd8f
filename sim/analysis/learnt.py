"""Whether a run has learnt: its test figures at the end against those at the start, and a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any

from sim.analysis.evaluations import (
    Evaluation,
    Guess,
    Judged,
    accuracies,
    figures_over_hours,
    guess_of,
    judged_by,
)

QUANTILE = 1.96
"""Standard errors within which a difference of accuracies may be chance, at 95 %."""
LEAST_LOST = 0.05
"""What the best accuracy has to be above that at the start for something to be lost."""
GROWN = 1.1
"""How many times its first value a loss comes to whose steps are too large."""
STILL = 0.002
"""The share of its first value by which a loss has to change to have moved."""
AT_GUESS = 0.99
"""The part of the loss of a uniform guess from which on a loss is that of a guess."""
STILL_RISING_SHARE = 0.05
"""The part of all that was learnt which the last quarter adds to a run that still learns."""
MOST_LEARNT_SHARE = 0.75
"""The part of what can be learnt from which on a run that still learns has learnt enough."""
LEAST_RISE = 0.01
"""A smaller rise of the accuracy between quarters is none."""


@dataclass(frozen=True)
class Learnt:
    """The evaluations of a run in order of time, held against its start and a ``guess``."""

    curve: Sequence[Evaluation]
    judged: Judged
    guess: Guess | None

    @classmethod
    def of(cls, curve: Sequence[Evaluation], manifest: Mapping[str, Any]) -> Learnt:
        """Return what the evaluations of the run of a manifest say."""
        return cls(curve, judged_by(manifest, curve), guess_of(manifest))

    @cached_property
    def figures(self) -> list[float]:
        """Test figures by which the run is judged."""
        return [figure for _, figure in figures_over_hours(self.curve, self.judged)]

    @cached_property
    def losses(self) -> list[float]:
        """Losses on test samples, in nats where labels or tokens are learnt."""
        return [one.loss for one in self.curve if one.loss is not None]

    @property
    def floor(self) -> float:
        """Accuracy that takes no learning: of the start model, or of a constant answer."""
        share = None if self.guess is None else self.guess.share
        return max(self.figures[0], share or 0.0)

    @cached_property
    def chance(self) -> float:
        """Rise of the accuracy that the test samples cannot tell from none, at 95 %.

        The standard error of an accuracy p of n samples is sqrt(p (1 - p) / n). Start and end count
        as independent.
        """
        ends = self.curve[0], self.curve[-1]
        variances = [p * (1.0 - p) for p in accuracies(ends)]
        return QUANTILE * math.sqrt(math.fsum(variances) / (ends[1].samples or 1))

    @cached_property
    def has_learnt(self) -> bool | None:
        """Whether the model is better at the end than at the start, and than a guess.

        None where that is not known: not tested since the start, or not at the start, or by a
        figure that is no share of samples.
        """
        shares = accuracies(self.curve)
        if len(self.figures) < 2 or self.curve[0].hours > 0.0 or not self.curve[-1].samples:
            return None
        if not all(0.0 <= share <= 1.0 for share in shares):
            return None
        if self.judged == Judged.LOSS:
            return change(self.losses[0], self.losses[-1]) < -STILL
        return self.figures[-1] - self.floor > self.chance

    @property
    def was_lost(self) -> bool:
        """Whether the accuracy had risen, and fell again; or the loss fallen, and risen again."""
        if self.has_learnt is not False:
            return False
        if self.judged == Judged.LOSS:
            return change(self.losses[0], min(self.losses)) < -STILL
        return max(self.figures) - self.floor > max(self.chance, LEAST_LOST)

    @property
    def loss_grew(self) -> bool:
        """Whether the loss has become larger by a tenth or more at any time."""
        return len(self.losses) > 1 and change(self.losses[0], max(self.losses)) > GROWN - 1.0

    @property
    def loss_stayed(self) -> bool:
        """Whether the loss has hardly moved."""
        changes = [abs(change(self.losses[0], loss)) for loss in self.losses[1:]]
        return bool(changes) and max(changes) < STILL

    @property
    def is_a_guess(self) -> bool:
        """Whether the loss at the end is no better than that of a uniform guess."""
        if self.guess is None or not self.losses:
            return False
        return not self.losses[-1] < AT_GUESS * self.guess.loss_nats

    @property
    def still_rises(self) -> bool:
        """Whether the last quarter of the time brought a notable part of all that was learnt."""
        if not self.has_learnt:
            return False
        end = self.curve[-1].hours
        quarters: list[list[float]] = [[], []]
        for one in self.curve:
            if one.hours > end / 2.0:
                merit = self.judged.merit(one.figure(self.judged))
                quarters[one.hours > 0.75 * end].append(merit)
        if not all(quarters):
            return False
        earlier, later = map(mean, quarters)
        least = 0.0 if self.judged == Judged.LOSS else LEAST_RISE
        return later - earlier > max(
            least, STILL_RISING_SHARE * abs(self.figures[-1] - self.figures[0])
        )

    @property
    def is_most(self) -> bool:
        """Whether the accuracy at the end is most of what lies above a constant answer."""
        return self.judged == Judged.ACCURACY and (
            self.figures[-1] - self.floor >= MOST_LEARNT_SHARE * (1.0 - self.floor)
        )

    @property
    def course(self) -> str:
        """The figures in words."""
        if self.judged == Judged.LOSS:
            first, last = self.losses[0], self.losses[-1]
            return f"loss {first:.4g} to {last:.4g}, best {min(self.losses):.4g}"
        first, last = self.figures[0], self.figures[-1]
        share = None if self.guess is None else self.guess.share
        guessed = "" if share is None else f"a constant answer {share:.3f}, "
        noise = f"{guessed}noise {self.chance:.3f}"
        return f"accuracy {first:.3f} to {last:.3f}, best {max(self.figures):.3f} ({noise})"


def change(before: float, after: float) -> float:
    """Return by which share of a loss another one is larger, of 0 inf; nan where one is nan."""
    if before == 0.0:
        return math.copysign(math.inf, after) if after else 0.0
    # The same as a quotient where losses are positive; a loss of one's own need not be.
    return (after / before - 1.0) * math.copysign(1.0, before)
