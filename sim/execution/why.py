"""Why a run took so long, and learnt no more: what its folder says, and runs beside it that try it.

A run beside another one has the same scenario and seed but for some keys. It begins anew, as keys
of the world cannot change within a run; beside a fork it is a fork, where they can. It takes
trainings from the cache, and is kept in a folder within that of the run: the next time it is there.
It ends when the time for all of them is over, and is then compared by what it had come to.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import scenarios
from scenarios.files import ALLOW_CODE, named_code
from sim.analysis.caveats import NOTICED
from sim.analysis.diagnosis import LEAST_RISE, Course, Diagnosis, Held, noise_of
from sim.analysis.diagnosis_text import finding_text
from sim.analysis.judged import Judged, judged_by
from sim.analysis.loss_course import LossCourse, is_a_guess
from sim.analysis.methods import known_method
from sim.analysis.targets import Evaluation, evaluation_at
from sim.analysis.traffic import Sent
from sim.errors import InputError, Interrupted, SimulationError
from sim.execution.folder import WHY
from sim.execution.forks import can_change, fork
from sim.execution.interrupt import stop_on_interrupt
from sim.execution.result import Result, load
from sim.execution.running import run
from sim.facts.observer import Observer
from sim.files import write_text
from sim.formatting import listed
from sim.plan.remedies import (
    SAMPLES,
    alike_clients,
    faster_links,
    longer_run,
    more_passes,
    more_service,
    other_step_size,
    shorter_rounds,
)
from sim.trace.digest import json_digest
from sim.world.world import World
from statements import Code, Lower, Raise, Refused, Remedy, Statement

MOST_TRIES = 3
"""Keys that are tried at most."""
SMALLER = (0.1, 0.01, 0.001)
"""The parts of a step size that is too large that are tried, one after another."""
LARGER = (10.0, 100.0)
"""How many times a step size that is too small is tried, if the loss does not ask for more."""
MOST_LARGER = 1e6
"""How many times a step size is tried at most."""
LEARNS = 3e-3
"""The share of its first value by which a loss falls in a gradient step that is large enough."""
STEPS = frozenset({Code.LARGE_STEP, Code.SMALL_STEP})
"""Causes for which other step sizes are tried before any other key."""
SIZES_FIRST = 2
"""Step sizes that are tried before any other key."""
APART = 0.5
"""How far the classes of a client are from those of all (0 to 1), from which on they may be why."""
FEWEST_EPOCHS = 1.0
"""Passes over the samples below which too little was seen for central training to say anything."""
LEAST_FASTER = 10.0
"""How many times as fast a link is tried at least."""
ENOUGH = 0.5
"""The share of what is missing to an accuracy of 1 with which a key has helped enough."""
CHEAP_S = 30.0
"""A run that took no longer is run beside others without being asked for."""
COSINE = "gradient_cosine"
"""The metric that says how far the gradients of clusters point the same way."""
REFERENCES: Mapping[str, Mapping[str, Any]] = {
    "centralised": {"learning.method": "centralised", "learning.options": {"batch": "clients"}},
    "local": {"learning.method": "local", "learning.options": {}},
}
"""What bounds a run: all samples in one place, and every device for itself."""


@dataclass(frozen=True)
class Beside:
    """A run beside another one: ``what`` it is, the keys that it ``set``, and what came of it.

    ``code`` is that of the cause that it tries. ``figure`` is its accuracy, or its loss where that
    judges, at the end of the run that it stands beside, or at its own where it is longer on
    purpose; ``gain`` is by how much that is better. It ``beats_guess`` where it is better than a
    constant answer by more than noise, and has ``helped`` where its gain is more than noise too.
    None where it did not run: ``refused`` says why. It differs from ``at_s`` on, None from the
    start. ``days`` are simulated, and ``steps`` of a ``batch`` of so many samples taken, by all
    devices together or by the server. ``cosine`` is that of the gradients of clusters with the
    global one, at the start and at the end.
    """

    what: str
    set: Mapping[str, Any]
    code: str | None = None
    folder: str | None = None
    status: str = ""
    refused: str = ""
    figure: float | None = None
    gain: float | None = None
    helped: bool = False
    beats_guess: bool = False
    days: float | None = None
    longer: bool = False
    at_s: float | None = None
    cycles: int | None = None
    updates: int | None = None
    steps: int | None = None
    batch: int | None = None
    cosine: Sequence[float] | None = None


@dataclass(frozen=True)
class Why:
    """A diagnosis, the runs that bound the run, and the keys that were tried, the best first.

    Where nothing could be run, ``refused`` says why.
    """

    diagnosis: Diagnosis
    bounds: Sequence[Beside] = ()
    tried: Sequence[Beside] = ()
    refused: str = ""

    @property
    def finding(self) -> str:
        """What was found, in a sentence: how learning went, why, and what a changed key brought."""
        tried = [vars(one) for one in self.tried]
        bounds = [vars(one) for one in self.bounds]
        return finding_text(self.diagnosis, tried, bounds, self.refused)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "finding": self.finding,
            "code": self.diagnosis.causes[0].code.value,
            **self.diagnosis.as_json(),
            "bounds": [vars(one) for one in self.bounds],
            "tried": [vars(one) for one in self.tried],
            "refused": self.refused,
        }


@dataclass
class Asked:
    """What is run beside a run: keys that are tried or not, ``bounds`` (None: if they are cheap).

    All of it takes ``max_wall_s`` at most. ``observers`` follow each, and ``begins`` is told what
    is run.
    """

    tries: bool = True
    bounds: bool | None = None
    max_wall_s: float = math.inf
    cache: bool = True
    observers: Sequence[Observer] = ()
    begins: Callable[[str], None] = field(default=lambda _: None)


def why(folder: Path, asked: Asked, place: Path | None = None) -> Why:
    """Return why the run in ``folder`` took so long, and learnt no more.

    Runs beside it, and what was found, are kept in ``place``, by default in the folder ``why`` of
    the run. Raises InputError for a run that trained nothing, and as :func:`load`.
    """
    result = load(folder)
    found = with_remedies(result.diagnosis, result)
    beside = _Besides(result, asked, place or folder / WHY.parent)
    refused = _refusal(result) if asked.tries or beside.bounded else ""
    bounds = [] if refused else beside.bounds()
    found = _against_bounds(found, result, bounds)
    tried = beside.tried(found) if asked.tries and not refused else []
    best = sorted(tried, key=_merit, reverse=True)
    answer = Why(_led_by(found, best), bounds, best, refused)
    beside.place.mkdir(parents=True, exist_ok=True)
    told = answer.as_json() | {"trace_sha256": result.manifest["trace_sha256"]}
    write_text(beside.place / WHY.name, json.dumps(told, indent=2))
    return answer


def _merit(tried: Beside) -> tuple[bool, float]:
    return tried.helped, -math.inf if tried.gain is None else tried.gain


def _refusal(result: Result) -> str:
    """Return why nothing may be run beside a run: it names code that nobody has allowed."""
    try:
        scenarios.from_stored(result.manifest["scenario"], {})
    except Refused as error:
        if error.code is not Code.NO_CONSENT:
            raise
        named = listed(named_code(result.scenario))
        return f"the run names Python code ({named}), which --allow-code or {ALLOW_CODE}=1 lets run"
    return ""


# What helps against a cause.


def with_remedies(found: Diagnosis, result: Result) -> Diagnosis:
    """Return a diagnosis whose causes have remedies, those first that are tried first."""
    world = World(result.scenario)
    longer = tuple(longer_run(world, times=2))
    helps: Mapping[Code, Iterable[Remedy]] = {
        Code.LARGE_STEP: _smaller_steps(world),
        Code.SMALL_STEP: _larger_steps(world, found),
        Code.SHORT_PASSES: _fast_enough(world, found.time.most_cut),
        Code.FEW_PASSES: chain(more_passes(world), _more_rounds(world, times=4), longer),
        Code.LONG_QUEUES: chain(more_service(world), longer),
        Code.LONG_ROUNDS: chain(shorter_rounds(world), longer),
        Code.FEW_STEPS: chain(_more_rounds(world), _if_slow(world, found), longer),
        Code.MISSING_CLASS: chain(alike_clients(world), (SAMPLES,)),
        Code.UNLIKE_CLIENTS: chain(alike_clients(world), (SAMPLES,)),
    }
    if result.manifest.get("own_learning"):  # steps and rounds stand in its code
        smaller = other_step_size(world, Lower, own_learning=True)
        larger = other_step_size(world, Raise, own_learning=True)
        of_code = {Code.LARGE_STEP: (smaller,), Code.SMALL_STEP: (larger,), Code.FEW_STEPS: longer}
        helps = {**helps, **of_code}
    held = [
        one._replace(cause=replace(one.cause, remedies=tuple(helps[one.cause.code])))
        for one in found.held
    ]
    return replace(found, held=held)


def _smaller_steps(world: World) -> Iterator[Remedy]:
    now = world.learning.step_size
    for part in SMALLER:
        yield Lower("learning.step_size", now=now, to=_rounded(now * part))


def _larger_steps(world: World, found: Diagnosis) -> Iterator[Remedy]:
    """Yield larger step sizes: while steps are small, a loss falls in proportion to them."""
    now = world.learning.step_size
    fall = found.learnt.fall_a_step
    times = list(LARGER)
    if fall is not None and fall > 0.0:
        decades = math.floor(math.log10(min(MOST_LARGER, max(1.0, LEARNS / fall))))
        if decades > 1:
            times = [10.0**decades, 10.0 ** (decades + 1), *LARGER]
    for factor in dict.fromkeys(times):
        yield Raise("learning.step_size", now=now, to=_rounded(now * factor))


def _if_slow(world: World, found: Diagnosis) -> Iterator[Remedy]:
    """Yield larger step sizes where the loss fell steadily, and is that of a guess still."""
    if found.learnt.loss_course is LossCourse.STEADY and found.learnt.is_a_guess:
        yield from _larger_steps(world, found)


def _fast_enough(world: World, sent: Sent) -> Iterator[Remedy]:
    """Yield links over which a pass carries a payload twice over, and at least ten times as fast.

    That is by their rate; of power, the decibels that would be needed if the rate followed it.
    """
    times = LEAST_FASTER
    if sent.all_cut and sent.carried_bytes > 0.0:
        times = max(times, 2.0 * sent.payload_bytes / sent.carried_bytes)
    for remedy in faster_links(world, sent.directions):
        if not isinstance(remedy, Raise) or remedy.now is None:
            yield remedy
        elif "_db" in remedy.key:
            yield replace(remedy, to=_rounded(remedy.now + 10.0 * math.log10(times)))
        else:
            yield replace(remedy, to=_rounded(remedy.now * times))


def _rounded(value: float) -> float:
    """Return a value of three digits, as a user would set it."""
    return float(f"{value:.3g}")


def _more_rounds(world: World, times: int = 2) -> Iterator[Remedy]:
    rounds = world.learning.rounds.per_contact
    if isinstance(rounds, int):
        yield Raise("learning.rounds.per_contact", now=rounds, to=times * rounds)


def _against_bounds(found: Diagnosis, result: Result, bounds: Sequence[Beside]) -> Diagnosis:
    """Return a diagnosis that knows whether one model of all data would have come further."""
    central = next((one for one in bounds if one.what == "centralised"), None)
    if central is not None and _no_better(central, found):
        return with_remedies(replace(found, held=_step_first(found, result, central)), result)
    if central is None or central.gain is None or central.gain <= NOTICED:
        return found
    learnt = found.learnt
    is_apart = learnt.held is not None and learnt.held.skew >= APART and central.beats_guess
    if not (learnt.course is Course.LEVEL or is_apart):
        return found
    cause = Statement.doubt(
        Code.UNLIKE_CLIENTS,
        "learning.data",
        "the clients' data differ (one model of all samples comes to {figure:.3f})",
        figure=central.figure,
    )
    others = found.held
    if not learnt.refused:  # with that step size, one model of all samples learns
        others = [one for one in others if one.cause.code not in STEPS]
    held = sorted([*others, Held(cause, central.gain)], key=lambda one: -one.weight)
    return with_remedies(replace(found, held=held), result)


def _no_better(central: Beside, found: Diagnosis) -> bool:
    """Whether one model of all samples stayed at chance as the run did, after as many samples."""
    learnt = found.learnt
    if learnt.course is not Course.AT_CHANCE or central.figure is None:
        return False
    if learnt.held is not None and learnt.held.nowhere.is_all:
        return False  # no step size could teach what is tested
    return not central.beats_guess and (learnt.epochs or 0.0) >= FEWEST_EPOCHS


def _step_first(found: Diagnosis, result: Result, central: Beside) -> list[Held]:
    """Return causes that begin with the step size: without an orbit, it teaches no more."""
    sizes = [one for one in found.held if one.cause.code in STEPS]
    if not sizes:
        steady = found.learnt.loss_course in (LossCourse.STILL, LossCourse.STEADY)
        cause = Statement.doubt(
            Code.SMALL_STEP if steady else Code.LARGE_STEP,
            "learning.step_size",
            "the step size of {step_size:g} may be too " + ("small" if steady else "large"),
            step_size=result.manifest["scenario"]["learning"]["step_size"],
        )
        sizes = [Held(cause, 1.0)]
    first = sizes[0].cause
    text = f"{first.text}; one model of all samples stays at chance too ({{central:.3f}})"
    cause = replace(first, text=text, values={**first.values, "central": central.figure})
    rest = [one for one in found.held if one.cause.code not in STEPS]
    return [Held(cause, 1.0), *rest]


def _led_by(found: Diagnosis, tried: Sequence[Beside]) -> Diagnosis:
    """Return a diagnosis that begins with the cause whose remedy has brought most, if any has."""
    best = next((one for one in tried if one.helped), None)
    if best is None:
        return found
    held = [
        one._replace(cause=replace(one.cause, remedies=_led(one.cause.remedies, best)))
        for one in sorted(found.held, key=lambda one: one.cause.code != best.code)
    ]
    return replace(found, held=held)


def _led(remedies: Sequence[Remedy], best: Beside) -> tuple[Remedy, ...]:
    """Return remedies, that one first which has brought most."""
    return tuple(sorted(remedies, key=lambda remedy: remedy.overrides({}) != best.set))


# Runs beside a run.


class _Besides:
    """Makes runs beside a run, one after another, as long as there is time."""

    def __init__(self, result: Result, asked: Asked, place: Path) -> None:
        self.place = place
        self._result = result
        self._asked = asked
        self._until_s = time.monotonic() + asked.max_wall_s
        self._judged = judged_by(result.manifest, result.evaluations)

    @property
    def _noise(self) -> float:
        """What a gain has to be above: of an accuracy chance of the test samples, of a loss 1 %."""
        curve = self._result.evaluations
        if self._judged == Judged.LOSS:
            return 0.01 * abs(curve[-1].loss or 0.0)
        return max(LEAST_RISE, noise_of(curve))

    @property
    def _is_cheap(self) -> bool:
        """Whether a run like this takes seconds, with all that it took from a cache."""
        manifest = self._result.manifest
        done, reused = (manifest.get(key) or 0 for key in ("trainings", "trainings_reused"))
        wall_s = manifest.get("wall_s")
        return wall_s is not None and wall_s * (1.0 + reused / max(done, 1)) <= CHEAP_S

    @property
    def bounded(self) -> bool:
        """Whether runs that bound the run are wanted: asked for, or cheap."""
        wanted = self._is_cheap if self._asked.bounds is None else self._asked.bounds
        return wanted and not self._result.manifest.get("own_learning")

    def bounds(self) -> list[Beside]:
        """Return what bounds the run, and how its clusters' gradients agree, where wanted."""
        if not self.bounded:
            return []
        own = self._result.manifest["method"]
        found = [self._run(name, self._keys_of(name)) for name in REFERENCES if name != own]
        if len(self._result.manifest.get("energy") or ()) > 1:
            metrics = self._result.manifest["scenario"]["learning"].get("metrics") or []
            found.append(self._run("gradients", {"learning.metrics": [*metrics, COSINE]}))
        return found

    def _keys_of(self, name: str) -> dict[str, Any]:
        """Return the keys of a reference that processes about as many samples as the run.

        Devices alone would train for as long as contacts are apart, and the server for as many
        rounds as one client trains in a contact. Neither sends over links between satellites.
        """
        manifest = self._result.manifest
        keys = dict(REFERENCES[name])
        method = known_method(manifest["method"])
        if name == "centralised":
            devices = sum(row["devices"] for row in manifest.get("energy") or ())
            each = self._result.diagnosis.learnt.device_rounds / max(1, devices)
            cycles = max(1, self._result.summary["cycles"])
            keys["learning.rounds.per_contact"] = max(1, round(each / cycles))
        elif method is not None and not method.traits.trains_in_gaps:
            keys["learning.rounds.per_gap_max"] = 0
        links = manifest["scenario"].get("link") or {}
        return keys | {f"link.{key}": None for key in ("isl", "feeder") if links.get(key)}

    def tried(self, found: Diagnosis) -> list[Beside]:
        """Return what remedies bring, until one has helped enough."""
        tries: list[Beside] = []
        for code, changes in self._candidates(found):
            one = self._run("tried", changes, code)
            tries.append(one)
            if one.helped and (one.gain or 0.0) >= self._enough(found):
                break
            if sum(not one.refused for one in tries) == MOST_TRIES:
                break
        return tries

    def _enough(self, found: Diagnosis) -> float:
        final = found.learnt.final or 0.0
        return ENOUGH * (final if self._judged == Judged.LOSS else 1.0 - final)

    def _candidates(self, found: Diagnosis) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what can be tried: the first remedy of each cause, then the second ones, ...

        Where the step size is the first cause, two others come before all that.
        """
        stored = self._result.manifest["scenario"]
        each = [
            [
                (one.cause.code.value, changes)
                for remedy in one.cause.remedies
                if (changes := remedy.overrides({remedy.key: _at(stored, remedy.key)}))
                and not self._ends_otherwise(remedy)
            ]
            for one in found.held
        ]
        seen: list[dict[str, Any]] = []
        first = found.held[0].cause.code if found.held else None
        sizes = each[0][:SIZES_FIRST] if first in STEPS else []
        for candidate in (*sizes, *chain.from_iterable(zip_longest(*each))):
            if candidate is not None and candidate[1] not in seen:
                seen.append(candidate[1])
                yield candidate

    def _ends_otherwise(self, remedy: Remedy) -> bool:
        """Whether a remedy moves an end that the run has not come to."""
        if not isinstance(remedy, Raise) or remedy.now is None:
            return False
        if remedy.key == "stop.days":
            simulated_s: float = self._result.manifest["simulated_s"]
            return simulated_s < 86400.0 * remedy.now * (1.0 - 1e-9)
        return remedy.key == "stop.cycles" and bool(self._result.summary["cycles"] < remedy.now)

    def _run(self, what: str, changes: Mapping[str, Any], code: str | None = None) -> Beside:
        """Return what comes of the scenario with some keys changed, from its start."""
        about = Beside(what, dict(changes), code)
        if time.monotonic() >= self._until_s:
            return replace(about, refused="there was no time left for it (--max-wall)")
        manifest = self._result.manifest
        name = json_digest([manifest["identity"], what, dict(changes)], 6)
        folder = self.place / f"{what}-{name}"
        self._asked.begins(_named(what, changes))
        try:
            start, at_s = self._start(changes, folder, tries=code is not None)
            result = self._result_of(start, folder)
        except SimulationError as error:
            return replace(about, refused=f"it failed: {error}", folder=str(folder))
        except ValueError as error:
            return replace(about, refused=str(error))
        return self._compared(replace(about, folder=str(folder), at_s=at_s), result)

    def _start(
        self, changes: Mapping[str, Any], folder: Path, *, tries: bool
    ) -> tuple[Callable[..., Result], float | None]:
        """Return what makes the run, and from when on it differs: None from the start.

        A fork's own past is that of another scenario: a key that can change within a run is tried
        by a fork of it from the same time on.
        """
        forked = self._result.manifest.get("fork")
        parent = self._result.folder
        if tries and forked and parent is not None and all(map(can_change, changes)):
            at_s = float(forked["at_s"])
            return partial(fork, parent, at_s, changes, folder, resume=True), at_s
        wanted = scenarios.from_stored(self._result.manifest["scenario"], changes)
        return partial(run, wanted, folder, resume=True), None

    def _result_of(self, start: Callable[..., Result], folder: Path) -> Result:
        """Return the run that is kept there; made now if it is not, or is of another version."""

        def made() -> Result:
            left_s = self._until_s - time.monotonic()
            with stop_on_interrupt(left_s, patient=False) as stop:
                return start(observers=(*self._asked.observers, stop), cache=self._asked.cache)

        try:
            try:
                return made()
            except InputError:
                if not folder.exists():
                    raise
                shutil.rmtree(folder)
                return made()
        except Interrupted:
            if time.monotonic() < self._until_s:
                raise
            return load(folder)

    def _compared(self, about: Beside, result: Result) -> Beside:
        """Return a run beside with its figures at the time at which the run ended."""
        ends_s = self._result.manifest["simulated_s"]
        longer = any(key.startswith("stop.") for key in about.set)
        reference = not about.code
        hours = math.inf if longer or reference else ends_s / 3600
        here = evaluation_at(self._result.evaluations)
        there = evaluation_at(result.evaluations, hours)
        figures = [None if one is None else one.figure(self._judged) for one in (here, there)]
        gain = None
        if None not in figures:
            gain = self._judged.merit(figures[1]) - self._judged.merit(figures[0])
            gain = gain if math.isfinite(gain) else None
        beats = there is not None and self._beats_guess(there)
        helped = beats and gain is not None and gain > self._noise
        return replace(
            about,
            status=str(result.manifest["status"]),
            figure=figures[1],
            gain=gain,
            helped=helped,
            beats_guess=beats,
            days=result.manifest["simulated_s"] / 86400.0,
            longer=longer,
            cycles=result.summary["cycles"],
            updates=result.summary["updates_used"],
            steps=result.summary["gradient_steps"],
            batch=self._batch(about.what),
            cosine=_cosines(result) if about.what == "gradients" else None,
        )

    def _beats_guess(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation is better than a guess at the tests; True if that is not known."""
        guess = self._result.diagnosis.learnt.guess
        if guess is None:
            return True
        if self._judged == Judged.LOSS:
            return evaluation.loss is not None and not is_a_guess(evaluation.loss, guess.loss_nats)
        noise = max(LEAST_RISE, noise_of([evaluation]))
        accuracy = evaluation.accuracy or 0.0
        return guess.share is None or accuracy - guess.share > noise

    def _batch(self, what: str) -> int:
        """Return the samples of a step: of all devices where all samples are in one place."""
        manifest = self._result.manifest
        size: int = manifest["scenario"]["learning"]["batch_size"]
        devices = sum(row["devices"] for row in manifest.get("energy") or ())
        return size * devices if what == "centralised" else size


def _named(what: str, changes: Mapping[str, Any]) -> str:
    keys = " ".join(f"{key}={value}" for key, value in changes.items())
    return keys if what == "tried" else what


def _cosines(result: Result) -> list[float] | None:
    """Return the mean cosine of clusters' gradients with the global one, at start and end."""
    rows = result.metrics
    rows = rows[(rows["scope"] == "cluster") & rows[COSINE].notna()]
    means = rows.groupby("time_s")[COSINE].mean()
    return None if means.empty else [float(means.iloc[0]), float(means.iloc[-1])]


def _at(stored: Mapping[str, Any], key: str) -> Any:
    value: Any = stored
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
