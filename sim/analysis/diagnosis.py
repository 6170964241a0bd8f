"""Why a run took so long, and why it learnt no more: what its folder says, without another run.

A run has a course of learning, and causes that held it back, the one of the largest effect first.
The weight of a cause is the share of accuracy, or of the time of rounds, that it accounts for: it
decides what is tried first. What a changed key brings is found by trying it alone
(:mod:`sim.execution.why`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean
from typing import Any, NamedTuple

import pyarrow as pa

from learning.requests.facts import Cause as Reason
from sim.analysis.caveats import NOTICED, QUANTILE, NothingLearnt, ended_early, nothing_learnt
from sim.analysis.guess import Guess, guess_of
from sim.analysis.held_samples import HeldSamples, Missing, held_samples
from sim.analysis.judged import Judged, judged_by
from sim.analysis.loss_course import GROWN, LossCourse, is_a_guess, loss_course
from sim.analysis.methods import known_method
from sim.analysis.targets import Evaluation, evaluations, server_rounds, steps_of
from sim.analysis.time_spent import TimeSpent, time_spent
from sim.formatting import data_size, listed
from sim.trace.sorting import says
from sim.trace.tables import pieces_of, pooled_metrics
from statements import Code, Statement, as_json

RISING_SHARE = 0.05
"""The share of all that was learnt by which the last quarter of a run is ahead of the one before,
where it was still learning at its end."""
LEAST_RISE = 0.01
"""A smaller rise of the accuracy between quarters is none."""
HALF = 0.5
"""The share of the time of rounds from which on what takes it holds a run back."""
BEFORE_AND_AFTER = 2
"""Different evaluations of a curve that one step makes."""
MANY_PASSES = 2.0
"""Passes that a payload takes on average from which on they are too short for it."""
SLOW = 1.0 / 3000.0
"""The share of its first value by which a loss falls in a gradient step of each device, below which
steps are too small."""
UNLEARNT = 0.9
"""The part of the loss of a uniform guess from which on hardly anything was learnt."""
FEWEST_STEPS = 3.0
"""Gradient steps of each device from which on a loss that did not move says something."""
LIKELY = 0.6
"""The weight of a cause that is likely, and not seen."""
FEW_EPOCHS = 5.0
"""Passes over the samples below which a model that still learns has seen little of them."""
MOST_CLASSES = 5
"""Classes that are named one by one."""


class Course(StrEnum):
    """How learning went, in the order in which it is asked."""

    NO_UPDATE = "no update was used"
    AT_CHANCE = "stayed at chance"
    FELL_BACK = "rose and fell back"
    RISING = "was still rising at the end"
    LEVEL = "had levelled off"


class Held(NamedTuple):
    """What held a run back, as a statement, and its ``weight``: what it accounts for (0 to 1)."""

    cause: Statement
    weight: float


@dataclass(frozen=True)
class Learnt:
    """What was learnt in a run, of what, and how often it was seen.

    Figures are accuracies or, where ``judged`` so, losses in nats, at the ``start``, at ``best``
    and at the end (``final``), None without an evaluation; so are the losses, of which
    ``loss_worst`` is the largest and ``loss_course`` says how they went. ``updates`` were used,
    ``refused`` ones were not finite. ``steps_each`` are the gradient steps of a device in the mean,
    and ``epochs`` the samples that all devices, and the server, processed in each sample that there
    is; None where the method trains by itself.
    """

    course: Course
    judged: Judged
    start: float | None
    best: float | None
    final: float | None
    loss_start: float | None
    loss_best: float | None
    loss_final: float | None
    loss_worst: float | None
    loss_course: LossCourse | None
    guess: Guess | None
    updates: int
    refused: int
    device_rounds: int
    gradient_steps: int | None
    steps_each: float | None
    epochs: float | None
    held: HeldSamples | None
    nothing: NothingLearnt | None

    @property
    def diverged(self) -> bool:
        """Whether steps were too large by what the losses say, or updates were not finite."""
        if self.refused or (self.loss_final is not None and not math.isfinite(self.loss_final)):
            return True
        if self.nothing is not None and self.nothing.loss_fell is False:
            return True
        first, last = self.loss_start, self.loss_final
        return bool(first and last and last > GROWN * first)

    @property
    def is_a_guess(self) -> bool:
        """Whether the loss at the end is no better than that of a uniform guess."""
        return is_a_guess(self.loss_final, None if self.guess is None else self.guess.loss_nats)

    @property
    def fall_a_step(self) -> float | None:
        """The share of its first value by which the loss fell in a gradient step of each device."""
        if not self.loss_start or self.loss_final is None or not self.steps_each:
            return None
        return (1.0 - self.loss_final / self.loss_start) / self.steps_each

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        parts = {
            "guess": None if self.guess is None else self.guess.as_json(),
            "held": None if self.held is None else self.held.as_json(),
        }
        told = {**vars(self), **parts}
        return {key: value for key, value in told.items() if key != "nothing"}


@dataclass(frozen=True)
class Diagnosis:
    """What a run's folder says of why it took so long, and learnt no more.

    ``held`` is what held it back, the largest first; of a run that nothing held back there is none.
    ``early`` says that it ended before its time, None of a complete one.
    """

    time: TimeSpent
    learnt: Learnt
    held: Sequence[Held]
    early: Statement | None = None

    @property
    def causes(self) -> list[Statement]:
        """What held it back; where that is nothing, a note that says so."""
        if self.held:
            return [one.cause for one in self.held]
        return [Statement.note(Code.NO_CAUSE, "", "nothing that was recorded held it back")]

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "course": self.learnt.course,
            "causes": [as_json(cause) for cause in self.causes],
            "weights": [one.weight for one in self.held],
            "time": self.time.as_json(),
            "learning": self.learnt.as_json(),
        }


def diagnosed(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> Diagnosis:
    """Return what the tables of a run that trains say of it."""
    time = time_spent(tables, manifest)
    learnt = _learnt(tables, manifest)
    found = [*_of_learning(learnt, manifest), *_of_time(time, learnt, manifest)]
    held = sorted(found, key=lambda one: -one.weight)
    return Diagnosis(time, learnt, held, ended_early(manifest))


# What was learnt.


def _learnt(tables: Mapping[str, pa.Table], manifest: Mapping[str, Any]) -> Learnt:
    curve = evaluations(pooled_metrics(tables), manifest)
    judged, guess = judged_by(manifest, curve), guess_of(manifest)
    nothing = nothing_learnt([curve], judged, guess) if len(curve) > 1 else None
    updates, aggregates, refused = _used(tables)
    used = bool(updates or aggregates) or _needs_no_update(manifest)
    rounds = int(sum(row["device_rounds"] for row in manifest.get("energy") or ()))
    devices = sum(row["devices"] for row in manifest.get("energy") or ())
    at_server = server_rounds(manifest.get("spent"), -1)
    held = held_samples(tables, guess)
    steps = steps_of(manifest)
    taken = None if steps is None else (rounds + at_server) * steps
    batch = manifest["scenario"]["learning"]["batch_size"]
    figures = [one.figure(judged) for one in curve]
    known = [one for one in figures if one is not None]
    losses = [one.loss for one in curve if one.loss is not None]
    best = min(known, default=None) if judged == Judged.LOSS else max(known, default=None)
    return Learnt(
        course=(
            Course.AT_CHANCE
            if nothing is None and _is_a_guess(curve, judged, guess)
            else _course(curve, known, judged, nothing, used=used)
        ),
        judged=judged,
        start=known[0] if known else None,
        best=best,
        final=known[-1] if known else None,
        loss_start=losses[0] if losses else None,
        loss_best=min(losses, default=None),
        loss_final=losses[-1] if losses else None,
        loss_worst=max(losses, default=None),
        loss_course=loss_course(losses, None if guess is None else guess.loss_nats),
        guess=guess,
        updates=updates,
        refused=refused,
        device_rounds=rounds,
        gradient_steps=taken,
        steps_each=None if taken is None else taken / max(1, devices),
        epochs=None if taken is None or held is None else taken * batch / held.samples,
        held=held,
        nothing=nothing,
    )


def _used(tables: Mapping[str, pa.Table]) -> tuple[int, int, int]:
    """Count the updates that the server used, its aggregations, and what was not finite."""
    updates = len(tables["updates"]) if "updates" in tables else 0
    aggregates = refused = 0
    for events in pieces_of(tables, "events", ["kind", "cause"]):
        aggregates += int(says(events, "kind", "aggregate").sum())
        refused += int(says(events, "cause", Reason.UPDATE_NOT_FINITE).sum())
    return updates, aggregates, refused


def _needs_no_update(manifest: Mapping[str, Any]) -> bool:
    """Whether a method learns without updates of clients, or without telling of them."""
    method = known_method(manifest["method"])
    return bool(manifest.get("own_learning")) or (
        method is not None and (method.traits.sends_nothing or method.traits.trains_at_server)
    )


def _is_a_guess(curve: Sequence[Evaluation], judged: Judged, guess: Guess | None) -> bool:
    """Whether the accuracy at the end is that of a constant answer, where no start is known."""
    share = None if guess is None or judged != Judged.ACCURACY else guess.share
    final = curve[-1].accuracy if curve else None
    return share is not None and final is not None and final - share <= noise_of(curve)


def noise_of(curve: Sequence[Evaluation]) -> float:
    """Return by how much the accuracy at the end may be off by chance of the samples, at 95 %."""
    final = curve[-1].accuracy
    samples = curve[-1].samples
    if not samples or final is None or not 0.0 <= final <= 1.0:  # unknown, or no share of samples
        return 0.0
    return QUANTILE * math.sqrt(final * (1.0 - final) / samples)


def has_trained(tables: Mapping[str, pa.Table]) -> bool:
    """Whether a server has used anything so far."""
    return any(_used(tables)[:2])


def _course(
    curve: Sequence[Evaluation],
    figures: Sequence[float],
    judged: Judged,
    nothing: NothingLearnt | None,
    *,
    used: bool,
) -> Course:
    """Return how learning went; a method that trains at the server, or alone, uses no updates."""
    if nothing is not None and nothing.was_lost:
        return Course.FELL_BACK
    if nothing is not None or not curve:
        return Course.AT_CHANCE if used else Course.NO_UPDATE
    merits = [judged.merit(figure) for figure in figures]
    if max(merits) - merits[-1] > max(NOTICED, HALF * (max(merits) - merits[0])):
        return Course.FELL_BACK
    return Course.RISING if _rises(curve, merits, judged) else Course.LEVEL


def _rises(curve: Sequence[Evaluation], merits: Sequence[float], judged: Judged) -> bool:
    """Whether the last quarter of the time brought a notable part of all that was learnt.

    What was learnt in one step, and evaluated again as it was, is no level.
    """
    if len({(one.accuracy, one.loss) for one in curve}) <= BEFORE_AND_AFTER:
        return merits[-1] > merits[0]
    end = curve[-1].hours
    quarters: list[list[float]] = [[], []]
    for one, merit in zip(curve, merits, strict=True):
        if one.hours > end / 2:
            quarters[one.hours > 0.75 * end].append(merit)
    if not all(quarters):
        return len(merits) > 1 and merits[-1] > merits[0]
    earlier, later = map(mean, quarters)
    least = 0.0 if judged == Judged.LOSS else LEAST_RISE
    return later - earlier > max(least, RISING_SHARE * (merits[-1] - merits[0]))


# What held it back.


def _of_learning(learnt: Learnt, manifest: Mapping[str, Any]) -> Iterator[Held]:
    """Yield causes that no time would have mended."""
    step_size = manifest["scenario"]["learning"]["step_size"]
    if learnt.held is not None and learnt.held.nowhere.is_all:
        yield _missing("clients have", learnt.held.nowhere)
        return
    if text := _unstable(learnt):
        cause = Statement.doubt(
            Code.LARGE_STEP,
            "learning.step_size",
            f"the step size of {{step_size:g}} is too large ({text})",
            step_size=step_size,
            refused=learnt.refused,
            before=learnt.loss_start,
            after=learnt.loss_final,
            worst=learnt.loss_worst,
            guess=None if learnt.guess is None else learnt.guess.loss_nats,
        )
        # A model that gives one answer to all is not one that more passes would have taught.
        yield Held(cause, 1.0 if learnt.diverged or learnt.is_a_guess else LIKELY)
    elif _is_small(learnt):
        still = learnt.loss_course is LossCourse.STILL
        went = "stayed at {before:.3g}" if still else "fell from {before:.4g} to {after:.4g} only"
        cause = Statement.doubt(
            Code.SMALL_STEP,
            "learning.step_size",
            f"the step size of {{step_size:g}} is too small (the loss {went} in {{steps:.0f}} "
            "gradient steps of each device)",
            step_size=step_size,
            before=learnt.loss_start,
            after=learnt.loss_final,
            steps=learnt.steps_each,
        )
        yield Held(cause, 1.0)
    held = learnt.held
    if held is None or learnt.course is Course.NO_UPDATE:
        return
    if held.nowhere.labels:
        yield _missing("clients have", held.nowhere)
    if held.unheard.labels:
        yield _missing("clients whose updates were used have", held.unheard)


def _unstable(learnt: Learnt) -> str:
    """Return by what it is seen that steps were too large; "" where they do not seem to be."""
    if learnt.course not in (Course.AT_CHANCE, Course.FELL_BACK):
        return ""
    if learnt.refused:
        return "{refused} updates were not finite"
    if learnt.diverged:
        return "the loss rose from {before:.3g} to {after:.3g}"
    if learnt.course is Course.FELL_BACK:
        return "what was learnt was lost again"
    if learnt.loss_course is LossCourse.EXPLODED:
        return "the loss rose from {before:.3g} to {worst:.3g}, and ended at {after:.3g}"
    if learnt.loss_course is LossCourse.COLLAPSED:
        of = "where that of a uniform guess is {guess:.3g}"
        return f"the loss went from {{before:.3g}} to {{after:.3g}} and stayed there, {of}"
    if learnt.loss_course in (LossCourse.STILL, LossCourse.STEADY):
        return ""
    seen = learnt.epochs is not None and learnt.epochs >= FEW_EPOCHS
    return "the loss is {after:.3g} after all samples were seen many times" if seen else ""


def _is_small(learnt: Learnt) -> bool:
    """Whether a loss that did not move, or fell steadily, fell too little for the steps taken."""
    if learnt.course not in (Course.AT_CHANCE, Course.RISING):
        return False
    fall, steps = learnt.fall_a_step, learnt.steps_each
    if fall is None or steps is None or steps < FEWEST_STEPS or fall >= SLOW:
        return False
    if learnt.loss_course is LossCourse.STILL:
        return True
    if learnt.loss_course is not LossCourse.STEADY or learnt.guess is None:
        return False
    assert learnt.loss_final is not None
    return learnt.loss_final > UNLEARNT * learnt.guess.loss_nats


def _missing(who: str, missing: Missing) -> Held:
    names = [str(label) for label in missing.labels]
    few = f"class {names[0]}" if len(names) == 1 else f"classes {listed(names)}"
    cause = Statement.doubt(
        Code.MISSING_CLASS,
        "learning.data",
        f"{who} {{samples}} samples of {{classes}} ({{share:.0%}} of the tests)",
        samples=missing.samples or "no",
        classes=few if len(names) <= MOST_CLASSES else f"{len(names)} classes",
        labels=list(missing.labels),
        share=missing.share,
    )
    return Held(cause, missing.share)


def _of_time(time: TimeSpent, learnt: Learnt, manifest: Mapping[str, Any]) -> Iterator[Held]:
    """Yield what took the time of a run, where more of it would have helped."""
    if cut := _short_passes(time):
        yield cut
    starved = learnt.course in (Course.NO_UPDATE, Course.RISING) or (
        learnt.course is Course.AT_CHANCE and not learnt.diverged
    )
    if not starved or time.most_cut.all_cut:
        return
    shares = time.decides
    # Of a payload that takes several passes, one would have been waited for anyway.
    once = 1.0 / max(1.0, time.most_cut.passes_each or 1.0)
    slots = manifest["scenario"]["orbit"].get("source") == "slots"
    if shares.get("waiting", 0.0) >= HALF and not slots:
        cause = Statement.doubt(
            Code.FEW_PASSES,
            "orbit",
            "passes are too few ({passes_a_day:.1f} a day for each client; {waiting:.0%} of the "
            "time went by until the next one)",
            passes_a_day=time.passes_a_day,
            waiting=shares["waiting"],
        )
        yield Held(cause, shares["waiting"] * once)
    if shares.get("queueing", 0.0) >= HALF:
        text = "{queueing:.0%} of the time went by in queues for satellites that were in view"
        cause = Statement.doubt(Code.LONG_QUEUES, "orbit", text, queueing=shares["queueing"])
        yield Held(cause, shares["queueing"])
    if shares.get("training", 0.0) >= HALF:
        text = "devices computed for {training:.0%} of the time"
        cause = Statement.doubt(Code.LONG_ROUNDS, "compute", text, training=shares["training"])
        yield Held(cause, shares["training"])
    few = learnt.epochs is not None and learnt.epochs < FEW_EPOCHS
    if learnt.course is not Course.NO_UPDATE and learnt.epochs and (few or not _limits(shares)):
        cause = Statement.doubt(
            Code.FEW_STEPS,
            "learning.rounds",
            "the samples were seen too seldom ({epochs:.2g} times each)",
            epochs=learnt.epochs,
        )
        yield Held(cause, LIKELY if learnt.epochs < 1.0 else LIKELY / FEW_EPOCHS)


def _limits(shares: Mapping[str, float]) -> bool:
    """Whether something takes half of the time or more."""
    return any(shares.get(part, 0.0) >= HALF for part in ("waiting", "queueing", "training"))


def _short_passes(time: TimeSpent) -> Held | None:
    """Return that passes are too short for a payload; None where they are long enough."""
    sent = time.most_cut
    values = {
        "payload": data_size(sent.payload_bytes),
        "carried": data_size(sent.carried_bytes),
        "way": "an upload" if sent is time.to_server else "a download",
    }
    if sent.all_cut and sent.carried_bytes < sent.payload_bytes:
        text = "passes are too short for {way} of {payload} (none carried more than {carried})"
        return Held(Statement.doubt(Code.SHORT_PASSES, "link", text, **values), 1.0)
    passes = sent.passes_each
    if passes is None or passes < MANY_PASSES:
        return None
    text = "passes are too short for {way} of {payload} (it took {passes:.1f} of them on average)"
    cause = Statement.doubt(Code.SHORT_PASSES, "link", text, passes=passes, **values)
    return Held(cause, 1.0 - 1.0 / passes)
