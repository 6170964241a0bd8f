"""What the evaluations of a run have measured: by what it is judged, and the targets it reached.

The loss judges where each next token is learnt, as a model of texts is right about a share of
tokens only, which hardly moves while its loss falls; and where there is a loss and no accuracy, as
of a regression. Of next tokens both are known, of other runs that the loss judges no accuracy is.
Targets are accuracies; when, and at what cost, a run first reached them is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from learning.settings import judged_by_loss

if TYPE_CHECKING:
    import pyarrow as pa


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


def judged_of(loss: str | None, objective: str | None, curve: Sequence[Evaluation] = ()) -> Judged:
    """Return by what a run is judged: by its keys, and by what its evaluations have measured.

    These are ``learning.loss`` and ``learning.data.objective``.
    """
    alone = bool(curve) and curve[0].accuracy is None
    return Judged.LOSS if judged_by_loss(loss, objective) or alone else Judged.ACCURACY


def judged_by(manifest: Mapping[str, Any], curve: Sequence[Evaluation]) -> Judged:
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

    ``samples`` are those of each class in the tests (C,), empty where there are no classes. The
    best constant answers are right about ``constant`` of them; where clients are tested with models
    of their own, each client has its own constant answer. So many are ``distinct``, as several
    clusters may be tested on the same; 0 if unknown.
    """

    choices: int
    samples: Sequence[int] = ()
    constant: int = 0
    distinct: int = 0

    @property
    def counted_once(self) -> float:
        """The share of the tests of all clusters that is left where each sample counts once."""
        return self.distinct / sum(self.samples) if self.distinct else 1.0

    @property
    def share(self) -> float | None:
        """The accuracy of the best constant answers; None without classes.

        It is the share of the most frequent class. Where clients are tested with models of their
        own, it is the mean of the clients' shares, weighted by their samples.
        """
        total = sum(self.samples)
        return self.constant / total if total else None

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
    counts = (int(found.get(key, 0)) for key in ("constant", "distinct"))
    return Guess(int(found["choices"]), tuple(found["samples"]), *counts)


TARGETS = (0.75, 0.80, 0.85, 0.88, 0.90)
"""Global accuracies whose first crossing is reported, unless ``learning.targets`` names others."""

LEVEL_STEPS_PERCENT = (5, 2, 1)
"""Steps between levels in percent, the coarsest first."""
FEWEST_LEVELS = 3
"""Levels with which a step is fine enough."""
MOST_LEVELS = 5
"""Levels up to which the highest are taken."""


class Evaluation(NamedTuple):
    """A pooled evaluation that measured something, and what all devices had spent by then.

    ``accuracy`` and ``loss`` are of test samples; ``validation`` and ``validation_loss`` are the
    accuracy and the loss on the samples that ``learning.data.validation`` sets aside. These, the
    loss, what was spent and how many test ``samples`` there were are None where they are not known,
    and so is the accuracy of all evaluations of a run that measures a loss alone;
    a sample on which several clusters are tested counts once, as its luck is that of all of them.
    """

    accuracy: float | None
    loss: float | None
    cycles: int
    hours: float
    device_rounds: int | None
    gradient_steps: int | None
    energy_j: float | None
    validation: float | None = None
    samples: int | None = None
    validation_loss: float | None = None

    def is_at(self, target: float) -> bool:
        """Return whether the accuracy is at a target, or above."""
        return self.accuracy is not None and self.accuracy >= target

    def figure(self, judged: str) -> float | None:
        """Return the figure of test samples by which runs are judged."""
        return self.loss if judged == Judged.LOSS else self.accuracy

    def validated(self, judged: str) -> float | None:
        """Return the figure of validation samples by which runs are judged."""
        return self.validation_loss if judged == Judged.LOSS else self.validation


OF_MODEL = ("accuracy", "loss", "validation", "validation_loss", "samples")
"""What an evaluation says of the model; all else is of when it was, and what was spent by then."""


def evaluations(pooled: pa.Table, manifest: Mapping[str, Any]) -> list[Evaluation]:
    """Return the evaluations of a run in order of time.

    ``pooled`` are the rows of its metrics on all clusters together.
    """
    # `leomix validate` has texts of this package, and no tables.
    import pyarrow.compute as pc

    apart = ["validation_accuracy", "samples", "validation_loss"]
    columns = ["accuracy", "loss", "cycle", "time_s", *apart]
    has_accuracy = pooled["accuracy"].null_count < len(pooled)
    measured = pooled["accuracy" if has_accuracy else "loss"]
    rows = pooled.select(columns).filter(pc.is_valid(measured)).to_pylist()
    spent = manifest.get("spent")
    steps = steps_per_round(manifest)
    guess = guess_of(manifest)
    once = 1.0 if guess is None else guess.counted_once

    def spent_by(time_s: float) -> tuple[int | None, int | None, float | None]:
        if spent is None or time_s not in spent["time_s"]:  # it failed while it was tested
            return None, None, None
        place = spent["time_s"].index(time_s)
        rounds = spent["device_rounds"][place]
        energy_j = sum_if_known(spent["training_j"][place], spent["transmit_j"][place])
        taken = None if steps is None else (rounds + server_rounds(spent, place)) * steps
        return rounds, taken, energy_j

    return [
        Evaluation(
            accuracy,
            loss,
            cycle,
            time_s / 3600,
            *spent_by(time_s),
            validation,
            samples and max(round(samples * once), 1),
            validation_loss,
        )
        for accuracy, loss, cycle, time_s, validation, samples, validation_loss in map(
            dict.values, rows
        )
    ]


def figures_over_hours(curve: Sequence[Evaluation], judged: Judged) -> list[tuple[float, float]]:
    """Return the hours of each evaluation that has the figure by which runs are judged, and it."""
    known = ((one.hours, one.figure(judged)) for one in curve)
    return [(hours, figure) for hours, figure in known if figure is not None]


def accuracies(curve: Sequence[Evaluation]) -> list[float]:
    """Return the accuracies of a curve, none of one that has a loss alone."""
    return [one.accuracy for one in curve if one.accuracy is not None]


def time_averaged(curve: Sequence[Evaluation], until_hours: float) -> float | None:
    """Return the mean accuracy over the time from 0 to ``until_hours``, which is finite.

    The accuracy is that of the latest evaluation: it is held until the next one, and the last one
    until the end. None where it is not known from the start on, or where no time passes.
    """
    if not curve or curve[0].hours > 0.0 or until_hours <= 0.0 or curve[0].accuracy is None:
        return None
    seen = [evaluation for evaluation in curve if evaluation.hours < until_hours]
    edges = [*(evaluation.hours for evaluation in seen), until_hours]
    lasted = (end - begin for begin, end in pairwise(edges))
    held = zip(accuracies(seen), lasted, strict=True)
    return math.fsum(accuracy * hours for accuracy, hours in held) / until_hours


def steps_per_round(manifest: Mapping[str, Any]) -> int | None:
    """Return the gradient steps of a round; None where only the method knows what a round is."""
    if manifest.get("own_learning"):
        return None
    steps: int = manifest["scenario"]["learning"]["steps_per_round"]
    return steps


def server_rounds(spent: Mapping[str, list[Any]] | None, place: int) -> int:
    """Return the local rounds of the server itself by an evaluation; runs of before have none."""
    counted = (spent or {}).get("server_rounds")
    return int(counted[place]) if counted else 0


def sum_if_known(one: float | None, other: float | None) -> float | None:
    """Return the sum of two figures; None where one is not known."""
    return None if one is None or other is None else one + other


def first_reached(curve: Sequence[Evaluation], target: float) -> dict[str, Any] | None:
    """Return when a target was first reached, and what had been spent by then; None if never.

    It is reached on test samples.
    """
    return next((_spent(one) for one in curve if one.is_at(target)), None)


def _spent(evaluation: Evaluation) -> dict[str, Any]:
    """Return when an evaluation was made, and what had been spent by then."""
    when = evaluation._asdict()
    return {key: when[key] for key in when if key not in OF_MODEL}


def by_validation(
    curve: Sequence[Evaluation], judged: Judged = Judged.ACCURACY
) -> Evaluation | None:
    """Return the evaluation that is best on validation samples, the earliest of equals.

    That is the one of the highest accuracy, or of the lowest loss where this judges the run. None
    where nothing is validated.
    """
    validated = (one for one in curve if one.validated(judged) is not None)
    return max(validated, key=lambda one: judged.merit(one.validated(judged)), default=None)


def evaluation_at(curve: Sequence[Evaluation], hours: float = math.inf) -> Evaluation | None:
    """Return the last evaluation by so many simulated hours; None where there was none by then."""
    return next((one for one in reversed(curve) if one.hours <= hours), None)


def given_targets(manifest: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the targets of a run's scenario; none where it leaves them open."""
    learning = manifest["scenario"]["learning"]  # null of a network study
    return tuple((learning or {}).get("targets") or ())


def target_name(target: float) -> str:
    """Write a target with two digits behind the point, with more where it has more."""
    return f"{target:.2f}" if round(target, 2) == target else f"{target:g}"


def targets_of(curve: Sequence[Evaluation], manifest: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the targets of one run: those given, or ``TARGETS``.

    A run that stays below all of these has some of its own levels too. One that is judged by its
    loss has none.
    """
    if own := given_targets(manifest):
        return own
    if judged_by(manifest, curve) != Judged.ACCURACY:
        return ()
    best = max(accuracies(curve), default=0.0)
    return TARGETS if best >= TARGETS[0] else (*levels([curve]), *TARGETS)


def times_reached(
    curves: Sequence[Sequence[Evaluation]], targets: Iterable[float]
) -> dict[str, int]:
    """Return how many of some runs have reached each target."""
    return {
        target_name(target): sum(any(one.is_at(target) for one in curve) for curve in curves)
        for target in targets
    }


def shared_target(reached: Mapping[str, int], runs: int) -> str | None:
    """Return the one target at which runs are compared, by how many of them have reached each.

    It is the highest that all have reached; where there is none, the highest that half of them
    have, else that any has. None where no run has reached any.
    """
    for fewest in (runs, (runs + 1) // 2, 1):
        found = [target for target, count in reached.items() if count >= max(fewest, 1)]
        if found:
            return max(found, key=float)
    return None


def levels(curves: Sequence[Sequence[Evaluation]]) -> tuple[float, ...]:
    """Return round accuracies above every start that at least one of the runs has reached.

    These are the highest few multiples of 5 %, or of 2 or 1 % where the runs lie closer together,
    and the highest that all runs have reached. Runs that measured nothing do not count.
    """
    known = [own for curve in curves if (own := accuracies(curve))]
    if not known:
        return ()
    start = max(curve[0] for curve in known)
    best = [max(curve) for curve in known]
    found: list[float] = []
    for step in LEVEL_STEPS_PERCENT:
        found = [n / 100 for n in range(step, 101, step) if start < n / 100 <= max(best)]
        if len(found) >= FEWEST_LEVELS:
            break
    common = [level for level in found if level <= min(best)]
    return tuple(sorted({*found[-MOST_LEVELS:], *common[-1:]}))
