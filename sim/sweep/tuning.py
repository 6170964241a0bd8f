"""Tuning: which settings of each method do best, on samples that nothing else is decided by.

Every combination of the swept keys is run for every method or variant, on the same seeds. The one
with the highest mean validation accuracy at a given time is chosen. Test samples decide nothing.
With halving, only the better half of a method's settings goes on to twice the time (successive
halving: Jamieson and Talwalkar, arXiv 1502.07943); what they have trained so far is reused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from sim.analysis.lead import Bounds
from sim.errors import InputError, SimulationError
from sim.execution.result import load
from sim.execution.status import COMPLETE
from sim.files import check_within, free_folder, write_text
from sim.formatting import as_yaml, last_parts
from sim.sweep.folder import Sweep, read_sweep
from sim.sweep.points import SweepPlan, combinations, combinations_count, scenario_name
from sim.sweep.request import SweepOptions, SweepRequest, workers
from sim.sweep.running import Sweeping, axes_of, run_sweep
from sim.sweep.text import failures_text, no_room
from sim.sweep.variants import METHOD, VARIANT, Axes
from statements import Code, Statement

OF_THE_DATA = ("learning.data", "ground", "roles", "seed", "stop")
"""Sections that decide what is learnt from, by whom, and until when: nothing to be tuned."""

CHOSEN = "chosen.yaml"
"""The chosen keys by method or variant, as a sweep and ``--set @FILE`` take them."""

ACCURACY = Bounds(0.0, 1.0)
"""What an accuracy cannot be below and above."""

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
    """A candidate with its validation accuracy after ``hours``, by seed; None of a failed run."""

    candidate: Candidate
    hours: float
    accuracies: Mapping[int, float | None]
    is_chosen: bool = False

    @cached_property
    def mean(self) -> float:
        """The mean over seeds, -inf where one of them has none."""
        values = [-math.inf if x is None else x for x in self.accuracies.values()]
        return mean(values) if values else -math.inf


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
        # Any one candidate says what the others have in common.
        plan = self.sweep_of(self.candidates[:1], 1.0)
        learning = plan.read(next(plan.points()).overrides).learning
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
        axes = Axes({VARIANT: tuple(variants)}, variants, self.axes.are_of_a_file)
        return SweepPlan(self.scenario, overrides, axes, replications=self.replications)


@dataclass(frozen=True)
class Tuning:
    """What tuning found: all that was tried, the folder, and what is worth a notice."""

    folder: Path
    tried: Sequence[Tried]

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
            level = [one for one in own if one is not best and one.mean == best.mean]
            if level:
                names = ", ".join(one.candidate.name for one in level)
                yield f"{best.candidate.name} ties with {names}; the first one was taken"
        for one in self.tried:
            if failed := [seed for seed, x in one.accuracies.items() if x is None]:
                seeds = ", ".join(map(str, failed))
                yield f"{one.candidate.name}: has no accuracy with seed {seeds}: see its run's log"


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
    are for a sweep. The settings are compared by their mean validation accuracy after ``at_days``,
    or when the shortest run ends; with ``halving``, only the better half of the settings goes on to
    twice the time. ``out`` is a new folder (default: a free one in ``runs``), or with ``resume``
    that of a tuning to continue. Raises InputError for wrong input, before anything runs, and where
    all settings of a method fail.
    """
    plan = TuningPlan(
        scenario_name(str(scenario)),
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
        done = run_sweep(SweepRequest(plan.sweep_of(left, share), own, many=True), quiet=quiet)
        if done.trouble or no_room(done.rows()):
            trouble = done.trouble or failures_text(done.rows(), [VARIANT])[0]
            again = f"free some space, and go on by leomix tune ... --resume -o {folder}"
            raise SimulationError(f"{trouble}; {again}")
        if not done.kept:
            raise InputError(_why_all_failed(done))
        found = _measured(read_sweep(place), left, plan.at_days, share)
        tried |= {one.candidate.name: one for one in found}
        if share < 1.0:
            left = [one.candidate for one in _better_half(found)]
    failures = failures_text(done.rows(), [VARIANT])
    names = [one.name for one in left]
    tuning = Tuning(folder, _with_choice(plan, list(tried.values()), names, failures))
    write_text(folder / CHOSEN, chosen_text(plan, tuning))
    return tuning


def _why_all_failed(done: Sweeping) -> str:
    """Return one line on a sweep of which no point is done: how the first one failed."""
    first = failures_text(done.rows(), list(done.points[0].values))[0]
    return f"none of {len(done.tasks)} runs is done; {first}"


def _measured(
    sweep: Sweep, candidates: Sequence[Candidate], at_days: float | None, share: float
) -> list[Tried]:
    """Return the validation accuracies of the runs of a sweep, at the time or the common end.

    A time after the end of all runs is the end of the last one.
    """
    rows = sweep.rows.to_pylist()
    done = [row for row in rows if row["status"] == COMPLETE]
    ends = [row["hours"] for row in done]
    if at_days is None:
        hours = min(ends, default=0.0)
    else:
        hours = min(24.0 * at_days * share, max(ends, default=0.0))
    accuracies = {
        row["folder"]: load(sweep.folder / row["folder"]).validation_at(hours) for row in done
    }
    return [
        Tried(
            one,
            hours,
            {
                row["seed"]: accuracies.get(row["folder"])
                for row in rows
                if row[VARIANT] == one.name
            },
        )
        for one in candidates
    ]


def _better_half(tried: Sequence[Tried]) -> Iterator[Tried]:
    """Yield the better half of each contender's candidates, one at least, in their order."""
    own: dict[str, list[Tried]] = {}
    for one in tried:
        own.setdefault(one.candidate.contender, []).append(one)
    for candidates in own.values():
        kept = sorted(candidates, key=lambda one: -one.mean)[: -(-len(candidates) // 2)]
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
        is_better = name not in best or one.mean > best[name].mean
        if one.candidate.name in last and one.mean > -math.inf and is_better:
            best[name] = one
    if without := [name for name in plan.contenders if name not in best]:
        raise InputError(
            Statement.of(
                Code.NOT_RECORDED,
                "",
                "{contenders}: no setting has a validation accuracy with every seed; {why}",
                contenders=", ".join(without),
                why=failures[0] if failures else "see the logs of the runs",
            )
        )
    return [replace(one, is_chosen=one is best[one.candidate.contender]) for one in tried]


def chosen_text(plan: TuningPlan, tuning: Tuning) -> str:
    """Return the file of chosen keys, with how they were chosen."""
    [hours, *_] = {one.hours for one in tuning.tried if one.is_chosen}
    seeds = plan.replications
    return (
        f"# Chosen by `leomix tune {Path(plan.scenario).name}` on validation accuracy after "
        f"{hours / 24:.2f} days,\n# in the mean of {seeds} seed{'s' * (seeds != 1)}, from "
        f"{len(plan.candidates)} settings.\n"
        + yaml.dump(tuning.chosen, Dumper=_WithoutAnchors, sort_keys=False, allow_unicode=True)
    )


class _WithoutAnchors(yaml.SafeDumper):
    """Write a value wherever it stands: a file of variants may have no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
