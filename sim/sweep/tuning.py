"""Tuning: which settings of each method do best, on samples that nothing else is decided by.

Every combination of the swept keys is run for every method or variant, on the same seeds. The one
with the highest mean validation accuracy at a given time is chosen, or the one with the lowest mean
validation loss where runs are judged by it (``sim.analysis.judged``). Test samples decide nothing.
With halving, only the better half of a method's settings goes on to twice the time (successive
halving: Jamieson and Talwalkar, arXiv 1502.07943); what they have trained so far is reused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import yaml

from sim.analysis.judged import Judged, by_objective
from sim.analysis.labels import METHOD, VARIANT
from sim.analysis.lead import Bounds
from sim.analysis.targets import evaluation_at
from sim.errors import InputError, SimulationError
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.files import check_within, free_folder, write_text
from sim.formatting import as_yaml, last_parts
from sim.sweep.folder import Sweep, read_sweep
from sim.sweep.points import SweepPlan, combinations, combinations_count, scenario_name
from sim.sweep.request import SweepOptions, SweepRequest, workers
from sim.sweep.running import Sweeping, axes_of, run_sweep
from sim.sweep.text import failures_text, no_room
from sim.sweep.variants import Axes
from statements import Code, Statement

if TYPE_CHECKING:
    from scenarios.learning import Learning

OF_THE_DATA = ("learning.data", "ground", "roles", "seed", "stop")
"""Sections that decide what is learnt from, by whom, and until when: nothing to be tuned."""

CHOSEN = "chosen.yaml"
"""The chosen keys by method or variant, as a sweep and ``--set @FILE`` take them."""

BOUNDS = {Judged.ACCURACY: Bounds(0.0, 1.0), Judged.LOSS: Bounds(0.0, math.inf)}
"""What the figures by which settings are judged cannot be below and above."""

MOST_RUNGS = 4
"""Times at which settings are compared with halving: an eighth, a quarter, a half, and all."""


@dataclass(frozen=True)
class Candidate:
    """One combination: of whom, the values of the keys that are tuned, and all keys it sets."""

    contender: str
    settings: Mapping[str, Any]
    keys: Mapping[str, Any]

    @cached_property
    def name(self) -> str:
        """A name that no other candidate has."""
        heads = last_parts(list(self.settings))
        said = zip(heads, self.settings.values(), strict=True)
        return " ".join([self.contender, *(f"{head}={as_yaml(own)}" for head, own in said)])


@dataclass(frozen=True)
class Tried:
    """A candidate with its validation accuracy and loss after ``hours``, by seed.

    They are None of a failed run, the loss also where it is not finite. ``judged`` says by which of
    the two settings are compared.
    """

    candidate: Candidate
    hours: float
    accuracies: Mapping[int, float | None]
    is_chosen: bool = False
    losses: Mapping[int, float | None] = field(default_factory=dict)
    judged: Judged = Judged.ACCURACY

    @property
    def figures(self) -> Mapping[int, float | None]:
        """What settings are compared by, by seed."""
        return self.losses if self.judged == Judged.LOSS else self.accuracies

    @cached_property
    def mean(self) -> float:
        """The mean accuracy over seeds, -inf where one of them has none."""
        return _mean_merit(Judged.ACCURACY, self.accuracies)

    @cached_property
    def mean_loss(self) -> float:
        """The mean loss over seeds, inf where one of them has none."""
        return -_mean_merit(Judged.LOSS, self.losses)

    @property
    def merit(self) -> float:
        """What is the greater the better the setting, -inf where a seed has no figure."""
        return _mean_merit(self.judged, self.figures)


def _mean_merit(judged: Judged, figures: Mapping[int, float | None]) -> float:
    return mean(map(judged.merit, figures.values())) if figures else -math.inf


@dataclass(frozen=True)
class TuningPlan:
    """What is tuned: the sweep of all settings, compared after ``at_days`` or at the common end."""

    scenario: str
    overrides: Mapping[str, Any]
    axes: Axes
    replications: int = 1
    at_days: float | None = None
    halving: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be tuned."""
        self._check_keys()
        if self.at_days is not None and not 0.0 < self.at_days < math.inf:
            raise InputError.of_option(
                f"--at {self.at_days:g}", Code.WRONG_VALUE, "must be above 0 days"
            )
        if self.halving and self.at_days is None:
            raise InputError.of_option(
                "--halving",
                Code.MISSING,
                "name the time at which settings are compared by --at DAYS",
            )
        learning = self._learning
        if not learning.train:
            raise InputError(
                Statement.of(
                    Code.WRONG_VALUE,
                    "learning.train",
                    "nothing is trained, so that nothing can be tuned",
                )
            )
        if learning.data.validation == 0.0:
            raise InputError(
                Statement.of(
                    Code.UNSUPPORTED,
                    "learning.data.validation",
                    "tuning needs samples to choose by; add --set learning.data.validation=0.2",
                )
            )

    @cached_property
    def _learning(self) -> Learning:
        """The learning of any one candidate, which says what the others have in common."""
        plan = self.sweep_of(self.candidates[:1], 1.0)
        return plan.read(next(plan.points()).overrides).learning

    @property
    def judged(self) -> Judged:
        """By what settings are compared: what is learnt from, and how, is the same for all."""
        return by_objective(self._learning.data.objective)

    def _check_keys(self) -> None:
        """Refuse keys that decide what is learnt from, and that there are none to choose from."""
        for key in (*self.axes.specs, *self.axes.variant_keys):
            if any(key == part or key.startswith(f"{part}.") for part in OF_THE_DATA):
                cure = "use --replications N" if key == "seed" else "set it for all by --set"
                raise InputError.of_option(
                    f"-p {key}",
                    Code.WRONG_VALUE,
                    "decides what is learnt from, or until when; {cure}, and tune others",
                    cure=cure,
                )
        tuned = [key for key in self.axes.specs if key not in (VARIANT, METHOD)]
        if not tuned:
            raise InputError.of_option(
                "-p", Code.MISSING, "nothing is tuned; name a key by -p learning.step_size=0.03,0.1"
            )
        combinations_count(self.axes.specs, "grid", None)

    @cached_property
    def candidates(self) -> list[Candidate]:
        """All combinations, in the order of the grid."""
        tuned = [key for key in self.axes.specs if key not in (VARIANT, METHOD)]
        found = []
        for values in combinations(self.axes.specs, "grid", None, lambda: 0):
            who = values.get(VARIANT, values.get(METHOD))
            settings = {key: values[key] for key in tuned}
            contender = self._method if who is None else as_yaml(who)
            found.append(Candidate(contender, settings, self.axes.set_by(values)))
        return found

    @cached_property
    def _method(self) -> str:
        """The method of the scenario."""
        import scenarios

        return str(scenarios.load(self.scenario, self.overrides).learning.method)

    @property
    def rungs(self) -> list[float]:
        """The shares of the time at which settings are compared, each twice the one before."""
        if not self.halving:
            return [1.0]
        counts = [sum(one.contender == who for one in self.candidates) for who in self.contenders]
        halvings = min(MOST_RUNGS - 1, max(counts).bit_length() - 1)
        return [0.5**number for number in range(halvings, -1, -1)]

    @property
    def contenders(self) -> list[str]:
        """The methods or variants, in their order."""
        return list(dict.fromkeys(one.contender for one in self.candidates))

    def sweep_of(self, candidates: Sequence[Candidate], share: float) -> SweepPlan:
        """Return the sweep over some candidates until a share of the time."""
        overrides = dict(self.overrides)
        if self.at_days is not None:
            overrides["stop.days"] = self.at_days * share
        variants = {one.name: one.keys for one in candidates}
        axes = Axes({VARIANT: tuple(variants)}, variants, self.axes.file)
        return SweepPlan(self.scenario, overrides, axes, replications=self.replications)


@dataclass(frozen=True)
class Tuning:
    """What tuning found: all that was tried, the folder, and what is worth a notice."""

    folder: Path
    tried: Sequence[Tried]
    judged: Judged = Judged.ACCURACY

    @property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """The keys that the chosen setting of each method or variant sets."""
        return {
            one.candidate.contender: dict(one.candidate.keys) for one in self.tried if one.is_chosen
        }

    def notices(self) -> Iterator[str]:
        """Say where the grid may be too narrow, and which settings tie or have failed."""
        for best in (one for one in self.tried if one.is_chosen):
            own = [one for one in self.tried if one.candidate.contender == best.candidate.contender]
            for key, value in best.candidate.settings.items():
                values = {one.candidate.settings[key] for one in own if _is_number(value)}
                ends = {"least": min(values), "greatest": max(values)} if len(values) > 1 else {}
                for which, end in ends.items():
                    if value == end:
                        yield (
                            f"{best.candidate.contender}: {key}={as_yaml(value)} is the {which} "
                            "value that was tried; a better one may lie beyond it"
                        )
            level = [one for one in own if one is not best and one.merit == best.merit]
            if level:
                names = ", ".join(one.candidate.name for one in level)
                yield f"{best.candidate.name} ties with {names}; the first one was taken"
        for one in self.tried:
            if failed := [seed for seed, x in one.figures.items() if x is None]:
                lacks = f"no {one.judged.on_validation} with seed {', '.join(map(str, failed))}"
                yield f"{one.candidate.name}: has {lacks}: see its run's log"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def tune(  # noqa: PLR0913 (a documented signature)
    scenario: str | Path,
    keys: Mapping[str, str | Sequence[Any]],
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    variants: str | Path | Mapping[str, Mapping[str, Any]] | None = None,
    at_days: float | None = None,
    halving: bool = False,
    replications: int = 1,
    jobs: int = 1,
    resume: bool = False,
    cache: bool = True,
    quiet: bool = True,
) -> Tuning:
    """Choose among values of ``keys`` for each method or variant, as ``leomix tune`` does.

    ``scenario``, ``keys``, ``overrides``, ``variants``, ``replications`` and ``jobs`` are what they
    are for a sweep. The settings are compared by their mean validation accuracy (by their mean
    validation loss where each next token is learnt) after ``at_days``, or when the shortest run
    ends; with ``halving``, only the better half of the settings goes on to
    twice the time. ``out`` is a new folder (default: a free one in ``runs``), or with ``resume``
    that of a tuning to continue. Raises InputError for wrong input, before anything runs, and where
    all settings of a method fail.
    """
    plan = TuningPlan(
        scenario_name(scenario),
        dict(overrides or {}),
        axes_of(keys, variants),
        replications,
        at_days,
        halving,
    )
    options = SweepOptions(
        out=Path(out) if out else None, workers=workers(jobs), resume=resume, cache=cache
    )
    return run_tuning(plan, options, quiet=quiet)


def run_tuning(plan: TuningPlan, options: SweepOptions, *, quiet: bool) -> Tuning:
    """Run the settings, choose, and write :data:`CHOSEN` into the folder of the options.

    Raises InputError for wrong input, and where every setting of a method has failed.
    """
    usual = Path("runs") / f"tune-{Path(plan.scenario).stem}"
    folder = options.out or free_folder(usual)
    left = list(plan.candidates)
    tried: dict[str, Tried] = {}
    for number, share in enumerate(plan.rungs, 1):
        # The folder of a rung that is there holds the same settings, or is refused.
        place = folder / f"rung-{number}"
        check_within(folder, place)
        own = replace(options, out=place, resume=options.resume, keep_going=True)
        request = SweepRequest(plan.sweep_of(left, share), own, many=True)
        done = run_sweep(request, quiet=quiet, doubts=not quiet)
        if done.trouble or no_room(done.rows()):
            trouble = done.trouble or failures_text(done.rows(), [VARIANT])[0]
            again = f"free some space, and go on by leomix tune ... --resume -o {folder}"
            raise SimulationError(f"{trouble}; {again}")
        if not done.kept:
            raise InputError(_why_all_failed(plan, done))
        found = _measured(plan, read_sweep(place), left, share)
        tried |= {one.candidate.name: one for one in found}
        if share < 1.0:
            left = [one.candidate for one in _better_half(found)]
    failures = failures_text(done.rows(), [VARIANT])
    names = [one.name for one in left]
    chosen = _with_choice(plan, list(tried.values()), names, failures)
    tuning = Tuning(folder, chosen, plan.judged)
    write_text(folder / CHOSEN, chosen_text(plan, tuning))
    return tuning


def _why_all_failed(plan: TuningPlan, done: Sweeping) -> str:
    """Return one line on a sweep of which no point is done: how the first one failed.

    What its refusal says of ``stop.days`` is of the time that the plan has set.
    """
    first = failures_text(done.rows(), list(done.points[0].values))[0]
    sets = " and --halving" if plan.halving else ""
    line = f"none of {len(done.tasks)} runs is done; {first}"
    return line if plan.at_days is None else f"{line} (stop.days is set by --at{sets})"


def _measured(
    plan: TuningPlan, sweep: Sweep, candidates: Sequence[Candidate], share: float
) -> list[Tried]:
    """Return the validation figures of the runs of a sweep, at the time or the common end.

    A time after the end of all runs is the end of the last one.
    """
    rows = sweep.rows.to_pylist()
    done = [row for row in rows if row["status"] == COMPLETE]
    ends = [row["hours"] for row in done]
    if plan.at_days is None:
        hours = min(ends, default=0.0)
    else:
        hours = min(24.0 * plan.at_days * share, max(ends, default=0.0))
    evaluated = {
        row["folder"]: evaluation_at(load(sweep.folder / row["folder"]).evaluations, hours)
        for row in done
    }
    tried = []
    for one in candidates:
        own = [row for row in rows if row[VARIANT] == one.name]
        by_seed = {row["seed"]: evaluated.get(row["folder"]) for row in own}
        accuracies = {seed: x and x.validation for seed, x in by_seed.items()}
        losses = {seed: x and _if_finite(x.validation_loss) for seed, x in by_seed.items()}
        tried.append(Tried(one, hours, accuracies, losses=losses, judged=plan.judged))
    return tried


def _if_finite(loss: float | None) -> float | None:
    """Return a loss, but None of a training that has diverged: its mean would tell nothing."""
    return loss if loss is not None and math.isfinite(loss) else None


def _better_half(tried: Sequence[Tried]) -> Iterator[Tried]:
    """Yield the better half of each contender's candidates, one at least, in their order."""
    own: dict[str, list[Tried]] = {}
    for one in tried:
        own.setdefault(one.candidate.contender, []).append(one)
    for candidates in own.values():
        kept = sorted(candidates, key=lambda one: -one.merit)[: -(-len(candidates) // 2)]
        yield from (one for one in candidates if one in kept)


def _with_choice(
    plan: TuningPlan, tried: Sequence[Tried], last: Sequence[str], failures: Sequence[str]
) -> list[Tried]:
    """Return all that was tried, with the best of each contender's ``last`` candidates chosen.

    ``failures`` say how the last runs failed.
    """
    best: dict[str, Tried] = {}
    for one in tried:
        name = one.candidate.contender
        is_better = name not in best or one.merit > best[name].merit
        if one.candidate.name in last and one.merit > -math.inf and is_better:
            best[name] = one
    if without := [name for name in plan.contenders if name not in best]:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "{contenders}: no setting has a {figure} with every seed; {why}",
                contenders=", ".join(without),
                figure=plan.judged.on_validation,
                why=failures[0] if failures else "see the logs of the runs",
            )
        )
    return [replace(one, is_chosen=one is best[one.candidate.contender]) for one in tried]


def basis(judged: Judged) -> str:
    """Return what the chosen settings have: "highest validation accuracy"."""
    return f"{judged.best} {judged.on_validation}"


def chosen_text(plan: TuningPlan, tuning: Tuning) -> str:
    """Return the file of chosen keys, with how they were chosen."""
    [hours, *_] = {one.hours for one in tuning.tried if one.is_chosen}
    seeds = plan.replications
    return (
        f"# Chosen by `leomix tune {Path(plan.scenario).name}`: the {basis(plan.judged)} after "
        f"{hours / 24:.2f} days,\n# in the mean of {seeds} seed{'s' * (seeds != 1)}, from "
        f"{len(plan.candidates)} settings.\n"
        + yaml.dump(tuning.chosen, Dumper=_WithoutAnchors, sort_keys=False, allow_unicode=True)
    )


class _WithoutAnchors(yaml.SafeDumper):
    """Write a value wherever it stands: a file of variants may have no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
