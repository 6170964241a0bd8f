"""Which settings do best: of each variant or method of a sweep, by the mean over its seeds.

By validation samples, all runs are compared after the same simulated time: test samples decide
nothing. That is their accuracy, or the loss where runs are judged by it. By a figure, a column of
the sweep's rows with a best value, each run is taken as it ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from sim.analysis.evaluations import Judged, evaluation_at, judged_together
from sim.analysis.figures import Figure, figure_listed
from sim.analysis.labels import METHOD, VARIANT, ending
from sim.analysis.numeric import ROWS, is_number
from sim.analysis.ranking import mean_of
from sim.errors import InputError
from sim.execution.folder import read_manifest
from sim.execution.result import load
from sim.facts.status import COMPLETE
from sim.files import write_text
from sim.formatting import as_yaml, table
from sim.sweep.folder import Sweep
from sim.sweep.rows import TARGET_COLUMNS, failures_text
from statements import Code

VALIDATION = "validation"
"""What settings are chosen by where no figure is named."""
ALL_COMBINATIONS = "all"
"""Whose settings are chosen where neither variants nor methods are swept."""
FIXED_IN_LEARNING = ("learning.data", "ground", "roles", "seed", "stop")
"""Sections that decide what is learnt from, by whom, and until when: nothing to choose among."""
FIXED_IN_STUDIES = ("seed", "stop", "traffic")
"""Those that decide what is asked of a network study."""
OF_TESTS = ("accuracy_", "loss_", *TARGET_COLUMNS)
"""How columns begin that are of test samples."""
VALIDATED = {
    Judged.ACCURACY: Figure("validation accuracy", str, least=0.0, most=1.0, best="highest"),
    Judged.LOSS: Figure("validation loss", str, least=0.0, best="lowest"),
}
"""The figures of validation samples, by what runs are judged by."""
MOST_NAMED_COLUMNS = 6
"""Columns that a refusal names, those with the nearest names."""
UNIT_ROUNDING = 1.0 + 1e-12
"""A time in days may be less than the same one in hours, in its last digit."""


@dataclass(frozen=True)
class Criterion:
    """By what settings are compared: ``validation`` or a column, its figure, and when in hours."""

    column: str
    figure: Figure
    hours: float | None = None

    @property
    def text(self) -> str:
        """What the best has: "highest validation accuracy after 2.00 days"."""
        when = "" if self.hours is None else f" after {self.hours / 24:.2f} days"
        return f"{self.figure.best} {self.figure.name}{when}"

    def merit(self, figures: Mapping[int, float | None]) -> float:
        """Return what is the greater the better; -inf where a seed has no figure."""
        known = [value for value in figures.values() if value is not None]
        if not known or len(known) < len(figures):
            return -math.inf
        return mean(known) if self.figure.rising else -mean(known)


@dataclass(frozen=True)
class Candidate:
    """A combination: of which variant or method, what of it is swept, and all keys that it sets.

    ``figures`` are by seed, None where a run has none.
    """

    name: str
    settings: Mapping[str, Any]
    keys: Mapping[str, Any]
    figures: Mapping[int, float | None]
    is_chosen: bool = False

    @property
    def label(self) -> str:
        """A name that no other combination has."""
        said = (f"{ending(k, self.settings)}={as_yaml(own)}" for k, own in self.settings.items())
        return " ".join([self.name, *said])

    @property
    def known(self) -> list[float]:
        """The figures that there are."""
        return [value for value in self.figures.values() if value is not None]


@dataclass(frozen=True)
class Choice:
    """What is chosen of a sweep, among all that was ``tried``, and by what."""

    sweep: Path
    scenario: str
    basis: Criterion
    tried: Sequence[Candidate]

    @property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """The keys of the best combination of each variant or method, as variants of a sweep."""
        return {one.name: dict(one.keys) for one in self.tried if one.is_chosen}

    def over_seeds(self, one: Candidate) -> dict[str, float | None]:
        """Return the mean of what was tried over its seeds, and its interval."""
        found = (None if math.isnan(end) else end for end in mean_of(one.known, self.basis.figure))
        return dict(zip(("mean", "low", "high"), found, strict=True))

    def as_json(self) -> dict[str, Any]:
        """Return it as ``compare --json`` has it."""
        return {
            "chosen": self.chosen,
            "tried": [
                {
                    "name": one.name,
                    "keys": dict(one.keys),
                    **self.over_seeds(one),
                    "seeds": len(one.known),
                }
                for one in self.tried
            ],
        }

    def notices(self) -> Iterator[str]:
        """Say which combinations tie or lack seeds, and where an end of the grid is best."""
        if self.basis.column.startswith(OF_TESTS):
            yield (
                f"{self.basis.column} is of test samples: they no longer tell how good the chosen "
                "settings are; --best-by validation leaves them out"
            )
        for best in (one for one in self.tried if one.is_chosen):
            own = [one for one in self.tried if one.name == best.name]
            yield from _ends(best, own)
            merit = self.basis.merit(best.figures)
            level = [o for o in own if o is not best and self.basis.merit(o.figures) == merit]
            if level:
                names = ", ".join(one.label for one in level)
                yield f"{best.label} ties with {names}; the first one was taken"
        for one in self.tried:
            if lacking := [seed for seed, value in one.figures.items() if value is None]:
                without = f"no {self.basis.figure.name} with seed {', '.join(map(str, lacking))}"
                yield f"{one.label}: has {without}, and cannot be chosen"

    @property
    def text(self) -> str:
        """What was chosen, and below it what was tried, a line each."""
        lines = []
        for one in self.tried:
            count = f"{len(one.known)}"
            if len(one.known) < len(one.figures):
                count += f" of {len(one.figures)}"
            average, low, high = self.over_seeds(one).values()
            shown = "-" if average is None else f"{average:.4g}"
            if low is not None and low != high:
                shown += f" [{low:.4g}..{high:.4g}]"
            lines.append([one.label, count, shown, "chosen" if one.is_chosen else ""])
        best = "; ".join(
            f"{one.label} ({self.over_seeds(one)['mean']:.4g})"
            for one in self.tried
            if one.is_chosen
        )
        heads = ["", "seeds", f"{self.basis.figure.name} [95 %]", ""]
        return f"{best}: {self.basis.text}.\n{table(heads, lines)}"

    def write(self, path: Path) -> None:
        """Write the chosen keys as a file of variants, with how they were chosen."""
        seeds = max(len(one.figures) for one in self.tried)
        write_text(
            path,
            f"# Chosen by `leomix compare {self.sweep.name} --best-by {self.basis.column}`: the "
            f"{self.basis.text},\n# in the mean of {seeds} seed{'s' * (seeds != 1)}, from "
            f"{len(self.tried)} combinations.\n"
            + yaml.dump(self.chosen, Dumper=_WithoutAnchors, sort_keys=False, allow_unicode=True),
        )


class _WithoutAnchors(yaml.SafeDumper):
    """Write a value wherever it stands: a file of variants may have no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _ends(best: Candidate, own: Sequence[Candidate]) -> Iterator[str]:
    """Say which values of the best are the least or greatest that were tried."""
    for key, value in best.settings.items():
        values = {one.settings[key] for one in own if is_number(one.settings[key])}
        if not is_number(value) or len(values) < 2:
            continue
        for which, end in (("least", min(values)), ("greatest", max(values))):
            if value == end:
                yield (
                    f"{best.name}: {key}={as_yaml(value)} is the {which} value that was tried; "
                    "a better one may lie beyond it"
                )


def best_of(sweep: Sweep, best_by: str, at_days: float | None = None) -> Choice:
    """Return the best combination of each variant (else method, else of all) of a sweep."""
    _check_keys(sweep)
    rows = sweep.rows.to_pylist()
    done = [row for row in rows if row["status"] == COMPLETE]
    if not done:
        why = f"none of the sweep's points is complete; {failures_text(sweep.rows, sweep.keys)[0]}"
        raise InputError.of_file(sweep.folder, Code.NOT_RECORDED, "{why}", why=why)
    if best_by == VALIDATION:
        basis = _by_validation(sweep, done, at_days)
        found = {row["folder"]: _validated(sweep, row, basis) for row in done}
    else:
        basis = _by_column(sweep, best_by, at_days)
        spent = basis.figure.spent
        values = {row["folder"]: _if_finite(row[best_by]) for row in done}
        # Who spends nothing is not the best.
        found = {key: None if spent and not value else value for key, value in values.items()}
    tried = _tried(sweep, [found.get(row["folder"]) for row in rows])
    best: dict[str, Candidate] = {}
    for one in tried:
        merit = basis.merit(one.figures)
        if merit > -math.inf and (
            one.name not in best or merit > basis.merit(best[one.name].figures)
        ):
            best[one.name] = one
    if without := [name for name in dict.fromkeys(o.name for o in tried) if name not in best]:
        failed = failures_text(sweep.rows, sweep.keys)
        raise InputError.of_file(
            sweep.folder,
            Code.NOT_RECORDED,
            "{names}: no combination has {figure} with every seed; {why}",
            names=", ".join(without),
            figure=basis.figure.name,
            why=failed[0] if failed else "see the logs of the runs",
        )
    return Choice(
        sweep.folder,
        str(sweep.about.get("scenario", "")),
        basis,
        [replace(one, is_chosen=one is best[one.name]) for one in tried],
    )


def _check_keys(sweep: Sweep) -> None:
    """Refuse swept keys that decide what is learnt from: figures of these are of other tasks."""
    fixed = FIXED_IN_STUDIES if sweep.points[0].of_network else FIXED_IN_LEARNING
    for key in sweep.keys:
        if any(key == part or key.startswith(f"{part}.") for part in fixed):
            cure = "use --replications N" if key == "seed" else "set it for all by --set"
            raise InputError.of_option(
                f"--best-by: {key}",
                Code.UNSUPPORTED,
                "is swept, and decides what is learnt from, by whom or until when",
                f"{cure}, and sweep other keys",
            )


def _by_validation(
    sweep: Sweep, done: Sequence[Mapping[str, Any]], at_days: float | None
) -> Criterion:
    manifest = read_manifest(sweep.folder / done[0]["folder"])
    learning = manifest["scenario"]["learning"]  # null of a network study
    if learning is None:
        raise InputError.of_option(
            "--best-by validation",
            Code.UNSUPPORTED,
            "is of runs that learn, and these are network studies",
            "name a column of sweep.parquet, like down_gb_a_day",
        )
    if not (learning["data"] or {}).get("validation"):
        raise InputError.of_option(
            "--best-by validation",
            Code.UNSUPPORTED,
            "the runs have no validation samples",
            "sweep anew with --set learning.data.validation=0.2",
        )
    end = min(row["hours"] for row in done)
    if at_days is not None and not 0.0 < at_days < math.inf:
        raise InputError.of_option(f"--at {at_days:g}", Code.WRONG_VALUE, "must be above 0 days")
    hours = end if at_days is None else 24.0 * at_days
    if hours > end * UNIT_ROUNDING:
        raise InputError.of_option(
            f"--at {at_days:g}",
            Code.WRONG_VALUE,
            "a run that is compared ends after {days} days",
            "name that time, or leave --at out",
            days=f"{end / 24:.6g}",
        )
    return Criterion(VALIDATION, VALIDATED[judged_together(done)], hours)


def _validated(sweep: Sweep, row: Mapping[str, Any], basis: Criterion) -> float | None:
    """Return the validation figure of a run by the hours of a basis."""
    assert basis.hours is not None  # of validation
    curve = load(sweep.folder / row["folder"]).evaluations
    found = evaluation_at(curve, basis.hours * UNIT_ROUNDING)
    if found is None:
        return None
    return _if_finite(found.validated(Judged.ACCURACY if basis.figure.rising else Judged.LOSS))


def _if_finite(figure: float | None) -> float | None:
    """Return a figure, but None of a training that has diverged: its mean would tell nothing."""
    return figure if figure is not None and math.isfinite(figure) else None


def _by_column(sweep: Sweep, column: str, at_days: float | None) -> Criterion:
    if at_days is not None:
        raise InputError.of_option(
            "--at", Code.CONFLICT, "goes with --best-by validation; a column is of the run's end"
        )
    known = {name: figure_listed(name) for name in sweep.rows.column_names}
    ranked = {name: figure for name, figure in known.items() if figure is not None and figure.best}
    if column not in ranked:
        others = max(0, len(ranked) - MOST_NAMED_COLUMNS)
        raise InputError.of_option(
            f"--best-by {column}",
            Code.WRONG_VALUE,
            "must be validation, or one of {columns}{others}",
            columns=", ".join(get_close_matches(column, ranked, n=MOST_NAMED_COLUMNS, cutoff=0.0)),
            others=f"; or of {others} others in {ROWS}" if others else "",
        )
    return Criterion(column, ranked[column]._replace(ratios=False))


def _tried(sweep: Sweep, figures: Sequence[float | None]) -> list[Candidate]:
    """Return the combinations of a sweep with the figures of its points, in the grid's order."""
    who = next((key for key in (VARIANT, METHOD) if key in sweep.keys), None)
    variants: Mapping[str, Mapping[str, Any]] = sweep.about.get("variants", {})
    found: dict[str, Candidate] = {}
    seeds: dict[str, dict[int, float | None]] = {}
    for point, figure in zip(sweep.points, figures, strict=True):
        label = as_yaml(point.values)
        seeds.setdefault(label, {})[point.seed] = figure
        found.setdefault(label, _of_values(point.values, who, variants))
    return [replace(one, figures=seeds[label]) for label, one in found.items()]


def _of_values(
    values: Mapping[str, Any], who: str | None, variants: Mapping[str, Mapping[str, Any]]
) -> Candidate:
    """Return the combination of a point with these swept values, without figures."""
    settings = {key: value for key, value in values.items() if key != who}
    if who is None:
        return Candidate(ALL_COMBINATIONS, settings, settings, {})
    name = values[who]
    own = variants[name] if who == VARIANT else {METHOD: name}
    return Candidate(as_yaml(name), settings, {**own, **settings}, {})
