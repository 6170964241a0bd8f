"""What a reader has to know before the figures: untrained, nothing learnt, ended early."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Protocol

from learning.settings import CROSS_ENTROPY, NEXT_TOKEN
from sim.analysis.guess import Guess, guess_of
from sim.analysis.judged import Judged, judged_by
from sim.analysis.loss_course import STILL
from sim.analysis.targets import Evaluation, accuracies
from sim.facts.status import COMPLETE, INTERRUPTED
from statements import Code, Other, Statement, filled

QUANTILE = 1.96
"""Standard errors within which a difference of accuracies may be chance, at 95 %."""
SECONDS_A_DAY = 86400.0


NOTICED = 0.05
"""What the best accuracy of a run has to be above that at the start for something to be lost."""


class Ended(Protocol):
    """What is needed of a run: its manifest, and its evaluations in order of time."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What was run."""

    @property
    def evaluations(self) -> Sequence[Evaluation]:
        """Its accuracy over time."""


@dataclass(frozen=True)
class Caveat:
    """What has to be known of a ``group`` before its figures: what is ``said``, a note."""

    group: str
    said: Statement


def timing_only(group: str) -> Caveat:
    """Return the caveat of a group that trained nothing."""
    text = "only the timing was simulated: when models move, not what they learn"
    return Caveat(group, Statement.note(Code.TIMING_ONLY, "learning.train", text))


def ended_early(*manifests: Mapping[str, Any]) -> Statement | None:
    """Return the note of runs of one scenario that ended before their time; None of complete ones.

    It says what the shortest has simulated, of how many days where these end it.
    """
    status = str(manifests[0]["status"])
    if status == COMPLETE:
        return None
    days = min(float(one.get("simulated_s", 0.0)) for one in manifests) / SECONDS_A_DAY
    of_days = manifests[0]["scenario"]["stop"].get("days")
    text = "{status} after {days:.2f}" + ("" if of_days is None else " of {of_days:g}") + " days"
    helps = [Other(said="it goes on with --resume")] if status == INTERRUPTED else []
    values = {"status": status, "days": days, "of_days": of_days}
    return Statement.note(Code.STOPPED_EARLY, "stop", text, *helps, **values)


def other_versions(manifests: Iterable[Mapping[str, Any]]) -> Statement | None:
    """Return the note of runs that were made with different versions; None where all had the same.

    What a run of an earlier version does not tell is not compared.
    """
    known: dict[str, set[str]] = {}
    for manifest in manifests:
        for name, number in manifest.get("versions", {}).items():
            known.setdefault(name, set()).add(str(number))
    differ = [f"{name} {' or '.join(sorted(one))}" for name, one in known.items() if len(one) > 1]
    if not differ:
        return None
    text = "these runs were made with different versions: {versions}"
    helps = Other(said="run those of the older ones anew to rule that out as a cause")
    return Statement.note(Code.OTHER_VERSIONS, "", text, helps, versions=", ".join(differ))


def other_losses(manifests: Iterable[Mapping[str, Any]]) -> Statement | None:
    """Return the note of runs that minimise different losses; None where all have one."""
    learning = [manifest["scenario"].get("learning") or {} for manifest in manifests]
    names = sorted({one.get("loss") or _loss_of_the_data(one) for one in learning})
    if len(names) < 2:
        return None
    text = "these runs minimise different losses, whose values do not compare: {losses}"
    helps = Other(said="compare what learning.metrics measures of all of them")
    return Statement.note(
        Code.OTHER_LOSSES, "learning.loss", text, helps, losses=" or ".join(names)
    )


def _loss_of_the_data(learning: Mapping[str, Any]) -> str:
    data = learning.get("data") or {}
    return NEXT_TOKEN if data.get("objective") == NEXT_TOKEN else CROSS_ENTROPY


@dataclass(frozen=True)
class NothingLearnt:
    """Runs whose accuracy at the end is not above that at the start by more than chance.

    ``start``, ``best`` and ``final`` are means over its runs; ``samples`` are those of the test set
    of one run, and ``chance`` is the rise that these samples cannot tell from none at 95 %. The
    losses are those of start, end and best, None where they are not known. Runs that are
    ``judged`` by their loss are those whose loss at the end is not below that at the start; of
    these the accuracies are None where nothing measures one.
    ``guessed`` is the accuracy of a constant answer, None where it is not known: an accuracy that
    is above that at the start, and not above this by more than chance, is no better than a guess.
    """

    start: float | None
    best: float | None
    final: float | None
    samples: int
    chance: float
    loss_start: float | None
    loss_final: float | None
    loss_best: float | None = None
    judged: Judged = Judged.ACCURACY
    guessed: float | None = None

    @property
    def was_lost(self) -> bool:
        """Whether the accuracy had risen, and fell again; or the loss fallen, and risen again.

        The best of many evaluations is above the start by luck, and by more than chance of samples
        where a model gives all of them one class.
        """
        if self.judged == Judged.LOSS:
            return bool(_change(self.loss_start, self.loss_best) < -STILL)
        by_guess = max(self.start or 0.0, self.guessed or 0.0)
        return (self.best or 0.0) - by_guess > max(self.chance, NOTICED)

    @property
    def loss_fell(self) -> bool | None:
        """Whether the loss has become less; None where it has hardly moved, or is not known."""
        change = _change(self.loss_start, self.loss_final)
        return change < 0.0 if abs(change) >= STILL else None

    @property
    def what(self) -> str:
        """What has come of the training, in a few words."""
        if self.was_lost:
            return "what was learnt was lost again"
        if self.judged == Judged.LOSS:
            return "nothing was learnt"
        if (self.final or 0.0) - (self.start or 0.0) > self.chance:
            return "nothing was learnt beyond a constant answer"
        if self.loss_fell:
            return "the accuracy has not risen beyond noise"
        return "nothing was learnt beyond noise"

    @property
    def course(self) -> str:
        """How accuracy and loss went, and what could be chance; or the loss by itself."""
        return filled(self._course, asdict(self))

    @property
    def _course(self) -> str:
        """The same as a template of the fields."""
        if self.judged == Judged.LOSS and self.final is None:
            loss = "{loss_start:.4g} at the start, {loss_best:.4g} at best"
            return f"loss {loss}, {{loss_final:.4g}} at the end"
        if self.judged == Judged.LOSS:
            loss = "{loss_start:.3f} at the start, {loss_best:.3f} at best"
            return f"loss of the next token {loss}, {{loss_final:.3f}} nats at the end"
        accuracy = "{start:.3f} at the start, {best:.3f} at best, {final:.3f}"
        noise = "of {samples:,} test samples {chance:.3f} could be chance"
        if self.guessed is not None:
            noise = f"{noise}, and a constant answer is right about {{guessed:.3f}}"
        text = f"accuracy {accuracy} at the end; {noise}"
        if self.loss_start is None or self.loss_final is None:
            return text
        went = {None: "went", True: "fell", False: "rose"}[self.loss_fell]
        return f"{text}; the loss {went} from {{loss_start:.4g}} to {{loss_final:.4g}}"

    @property
    def said(self) -> Statement:
        """What is said of it: a note."""
        text = f"{self.what}: {self._course}"
        return Statement.note(Code.NOTHING_LEARNT, "", text, **asdict(self))


def caveats_of(group: str, runs: Sequence[Ended]) -> Iterator[Caveat]:
    """Yield what has to be known of a group of runs before its figures."""
    if early := ended_early(*(run.manifest for run in runs)):
        yield Caveat(group, early)
    if not runs[0].manifest["scenario"]["learning"].get("train", True):
        yield timing_only(group)
        return
    curves = [run.evaluations for run in runs]
    judged = judged_by(runs[0].manifest, next(filter(None, curves), ()))
    guess = guess_of(runs[0].manifest)
    if found := nothing_learnt(curves, judged, guess):
        yield Caveat(group, found.said)


def nothing_learnt(
    curves: Sequence[Sequence[Evaluation]],
    judged: Judged = Judged.ACCURACY,
    guess: Guess | None = None,
) -> NothingLearnt | None:
    """Return that the runs of these curves have not learnt; None if they have, or if unknown.

    The accuracy at the end is held against that at the start: what rose on the way and fell again
    was lost. It is also held against a ``guess``, as start weights may be worse than a constant
    answer. What runs began with is unknown where there was nothing to measure at the start, as of a
    method whose clients answer once they have been given experts.

    The standard error of an accuracy p of n samples is sqrt(p (1 - p) / n). Start and end count as
    independent; runs with different seeds are. Of runs that are ``judged`` by their loss, that says
    whether anything was learnt: the share of tokens counts many tokens of few texts.
    """
    pairs = [(curve[0], curve[-1]) for curve in curves if curve]
    samples = [final.samples for _, final in pairs if final.samples]
    if not pairs or len(samples) < len(curves) or any(first.hours > 0.0 for first, _ in pairs):
        return None
    if any(len(curve) < 2 for curve in curves):
        return None  # what was trained since the start was not evaluated
    if any(not 0.0 <= accuracy <= 1.0 for pair in pairs for accuracy in accuracies(pair)):
        return None  # no share of samples, as of a Flower app that gives percent
    variances = [
        sum(accuracy * (1.0 - accuracy) for accuracy in accuracies(pair)) / count
        for pair, count in zip(pairs, samples, strict=True)
    ]
    chance = QUANTILE * math.sqrt(math.fsum(variances)) / len(pairs)
    start, final = (_mean_if_known([pair[place].accuracy for pair in pairs]) for place in (0, 1))
    guessed = None if guess is None or judged != Judged.ACCURACY else guess.share
    by_guess = max(start or 0.0, guessed or 0.0)
    if judged == Judged.ACCURACY and (final or 0.0) - by_guess > chance:
        return None
    best = _mean_if_known([max(accuracies(curve), default=None) for curve in curves])
    first, last = (_mean_if_known([pair[place].loss for pair in pairs]) for place in (0, 1))
    each = [[one.loss for one in curve if one.loss is not None] for curve in curves]
    lowest = _mean_if_known([min(losses, default=None) for losses in each])
    found = NothingLearnt(
        start, best, final, samples[0], chance, first, last, lowest, judged, guessed
    )
    if judged == Judged.LOSS and (None in (first, last, lowest) or found.loss_fell):
        return None
    return found


def _change(before: float | None, after: float | None) -> float:
    """Return by which share of a loss another one is larger, of 0 inf; nan where one is unknown."""
    if before is None or after is None:
        return math.nan
    if before == 0.0:
        return math.copysign(math.inf, after) if after else 0.0
    # The same as a quotient where losses are positive; a loss of one's own need not be.
    return (after / before - 1.0) * math.copysign(1.0, before)


def _mean_if_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None
