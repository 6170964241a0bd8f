"""What a sweep answers: which combination of keys is best, by how much, is it noise, and why.

Points are compared as they were made: a combination by the mean over its seeds, a value of one key
with another at the same values of all other keys and the same seed. Nothing is pooled over keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sim.analysis.caveats import Caveat, other_losses, other_versions, timing_only
from sim.analysis.comparison import Comparison
from sim.analysis.figures import OF_NETWORKS, figure_of_network
from sim.analysis.judged import is_measured, judged_together
from sim.analysis.labels import code_label, labels_of
from sim.analysis.lead import Figures
from sim.analysis.measure import Measure, measure_of, measures_of_time
from sim.analysis.pair_tests import PairTests, pair_tests
from sim.analysis.rows import Answer, Standing, answer_of
from sim.analysis.rows_json import rows_json
from sim.analysis.targets import shared_target
from sim.analysis.verdict import Verdict, verdict_of
from sim.execution.result import Result, load
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml
from sim.sweep.axis import OverNumbers
from sim.sweep.by_key import KeyAnswer, by_key
from sim.sweep.common_target import MOST_RUNS, with_common_target
from sim.sweep.differences import Reason, Row, Runs, reasons
from sim.sweep.folder import Sweep
from sim.sweep.points import labelled
from sim.sweep.rows import missing_status, said_of
from sim.sweep.text import combinations_in
from statements import Code, Other, Statement, as_json

if TYPE_CHECKING:
    import pandas as pd

COMBINATION = "combination"
"""What the rows of a sweep are of."""
EVERY = "all points"
"""The label of the only combination."""


@dataclass(frozen=True)
class FigureAnswer:
    """What a sweep says of one figure: of the combinations of its keys, and of each key.

    Keys are compared by the figures that matter most only. ``reasons`` are in what the first
    combination differs from the last, where no key can be told from the others.
    """

    combinations: Answer
    keys: tuple[KeyAnswer, ...] = ()
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class SweepAnswers:
    """What a sweep says, by figure; the first one is what a sweep is for.

    ``complete`` of ``points`` are complete; ``values`` counts the values of each key. ``drawn``
    says that something is drawn at random, or may be. ``said`` is what refused points, and what
    the runs that were looked into have warned of, as JSON with the number of the point.
    ``over_numbers`` is what was measured over keys with numbers, where one of them is an axis.
    """

    points: int
    complete: int
    values: Mapping[str, int]
    figures: tuple[FigureAnswer, ...]
    caveats: tuple[Caveat, ...]
    drawn: bool = True
    said: tuple[Mapping[str, Any], ...] = ()
    over_numbers: OverNumbers | None = None

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The rows of combinations by each figure, and of values of each key by some."""
        of_keys = (one.answer for figure in self.figures for one in figure.keys)
        return (*(figure.combinations for figure in self.figures), *of_keys)

    @property
    def rows(self) -> pd.DataFrame:
        """One row per figure and combination as a pandas table, and per figure and value of a key.

        Of combinations, the values of the keys that vary have columns of their own.
        """
        import pandas as pd

        flat = [{**row.pop("values"), **row} for row in rows_json(self.answers)]
        return pd.DataFrame(flat)


def answers_of(sweep: Sweep, beside: Comparison | None = None) -> SweepAnswers:
    """Return what a sweep says; runs are read where they are few.

    ``beside`` is the comparison of its combinations, if there is one.
    """
    runs = runs_of(sweep)
    return answers(with_common_target(sweep, runs).to_pylist(), sweep.keys, runs, beside)


def runs_of(sweep: Sweep) -> dict[str, Result]:
    """Return the runs of complete points by the folders in their rows; none where they are many.

    Nor of network studies, whose figures are all that there is.
    """
    if sweep.points[0].of_network:
        return {}
    done = (row for row in sweep.rows.to_pylist() if row["status"] == COMPLETE)
    folders = dict.fromkeys(row["folder"] for row in done)
    few = folders if len(folders) <= MOST_RUNS else ()
    return {folder: load(sweep.folder / folder) for folder in few}


def answers(
    rows: Sequence[Row], keys: Sequence[str], runs: Runs, beside: Comparison | None = None
) -> SweepAnswers:
    """Return what the points show; ``runs`` are those of them that may be looked into.

    With a comparison ``beside`` them, combinations are tested as it has tested them: a test that
    stands in both has one p value, corrected for the same others.
    """
    done = [row for row in rows if row["status"] == COMPLETE]
    values = {key: len({as_yaml(row[key]) for row in rows}) for key in keys}
    varied = [key for key, count in values.items() if key != "seed" and count > 1]
    drawn = any(row.get("drawn") is not False for row in done)
    along = [replace(one, drawn=drawn) for one in (measures(done) if done else ())]
    # Figures of one station are drawn over numbers; names are compared by those of the network.
    asked = [one for one in along if ":" not in one.column]
    groups = {_label(group[0], varied): group for group in combinations_in(rows, varied)}
    candidates = {measure.column: _figures(groups, measure) for measure in asked}
    settings = {label: {key: own[0][key] for key in varied} for label, own in groups.items()}
    if beside is None:
        tests = pair_tests({m.column: m.asked(candidates[m.column]) for m in asked})
    else:
        tests = _tests_beside(beside, settings)
    names = {} if beside is None else beside.tests.tested
    numbers = OverNumbers.of(rows, varied, along)
    words = [key for key in varied if numbers is None or key in numbers.names]
    found = []
    for measure in asked:
        answer = answer_of(
            measure,
            candidates[measure.column],
            tests,
            group=COMBINATION,
            name=names.get(measure.column, ""),
            values=settings,
            lacking=_lacking(groups, measure),
        )
        if measure is not asked[0] and not measure.target:
            found.append(FigureAnswer(answer))
            continue
        each = tuple(by_key(rows, varied, measure, runs, words))
        why = () if each or numbers else tuple(_apart_from_last(groups, answer, runs))
        found.append(FigureAnswer(answer, each, why))
    learns = bool(done) and figure_of_network(asked[0].column) is None
    untrained = learns and not asked[0].figure.learnt
    manifests = [run.manifest for run in runs.values()]
    mixed = [own for own in map(_other_code, _runs_in(groups, runs)) if own]
    every = [
        *([timing_only("").said] if untrained else []),
        *(said for said in (other_losses(manifests), other_versions(manifests)) if said),
        *mixed[:1],
    ]
    caveats = tuple(Caveat("every point", said) for said in every)
    said = tuple(_said(rows, runs))
    return SweepAnswers(len(rows), len(done), values, tuple(found), caveats, drawn, said, numbers)


def _runs_in(groups: Mapping[str, Sequence[Row]], runs: Runs) -> Iterator[list[Result]]:
    """Yield the runs of each combination that were looked into."""
    for group in groups.values():
        yield [runs[row["folder"]] for row in group if row.get("folder", "") in runs]


def _other_code(runs: Sequence[Result]) -> Statement | None:
    """Return the note of runs of one combination with other code of the user's; else None."""
    codes = sorted({code_label(run.manifest) for run in runs})
    if len(codes) < 2:
        return None
    text = "points of one combination were run with other code of yours: {codes}"
    helps = Other(said="sweep again into another folder")
    return Statement.note(Code.OWN_CODE, "", text, helps, codes=" and ".join(codes))


def _tests_beside(beside: Comparison, settings: Mapping[str, Mapping[str, Any]]) -> PairTests:
    """Return the tests of a comparison by the labels that combinations of these settings have."""
    labels = dict(zip(labels_of([*settings.values()]), settings, strict=True))
    return beside.tests.tests.labelled(labels)


def _said(rows: Sequence[Row], runs: Runs) -> Iterator[dict[str, Any]]:
    for row in rows:
        if refusal := said_of(row):
            yield {"point": row["point"], **refusal}
        run = runs.get(row.get("folder", ""))
        for warning in () if run is None else run.warnings:
            yield {"point": row["point"], **as_json(warning)}


def _label(row: Row, varied: Sequence[str]) -> str:
    return labelled(row, varied) or EVERY


def _figures(groups: Mapping[str, Sequence[Row]], measure: Measure) -> dict[str, Figures]:
    """Return the figure of each combination by seed; inf where it never got there."""
    return {
        label: {
            ("", row["seed"]): math.inf
            if row[measure.column] is None
            else float(row[measure.column])
            for row in group
        }
        for label, group in groups.items()
    }


def _lacking(groups: Mapping[str, Sequence[Row]], measure: Measure) -> dict[str, Standing]:
    """Say why combinations lack a figure; seeds that never got there are said by their count."""
    found = {}
    for label, group in groups.items():
        none = [row for row in group if row[measure.column] is None]
        why = {missing_status(row, measure.column) for row in none}
        if not why or (len(none) < len(group) and why == {Standing.NEVER}):
            continue
        found[label] = why.pop() if len(why) == 1 else Standing.NOT_COMPLETE
    return found


def best_target(done: Sequence[Row]) -> str | None:
    """Return the one target accuracy of these complete points: see :func:`shared_target`.

    It is one above the start of all of them, as far as there is one.
    """
    every = [name for name in (done[0] if done else ()) if name.startswith("hours_to_")]
    names = [name for name in every if all(row[name] != 0.0 for row in done)] or every
    count = {name: sum(row[name] is not None for row in done) for name in names}
    reached = {name.removeprefix("hours_to_"): found for name, found in count.items()}
    return shared_target(reached, len(done))


def measures(done: Sequence[Row]) -> list[Measure]:
    """Return what can be asked of these complete points; the first one is what a sweep is for."""
    if networks := [name for name in done[0] if (found := figure_of_network(name)) and found.best]:
        known = [name for name in networks if all(row[name] is not None for row in done)]
        # What is judged first, then payloads, and behind them single places.
        rank = {name: place for place, name in enumerate(OF_NETWORKS)}
        known.sort(key=lambda name: rank.get(name, len(rank) + (":" in name)))
        return [measure_of(name) for name in known]
    if not any(map(is_measured, done)):
        methods = {str(row["learning.method"]) for row in done if row.get("learning.method")}
        rounds = all(row.get("round_mean_s") is not None for row in done)
        return measures_of_time(methods, rounds=rounds)
    judged = judged_together(done)
    tokens = any(row["accuracy_final"] is not None for row in done)
    target = best_target(done)
    columns = [f"{judged}_final", *([f"hours_to_{target}"] if target else [])]
    columns += [c for c in ("uplink_bytes", "isl_bytes") if any(row.get(c) for row in done)]
    return [measure_of(column, judged, tokens=tokens) for column in columns]


def leading(rows: Sequence[Row], found: SweepAnswers) -> Sequence[Row]:
    """Return the rows of the combination that no other one is ahead of; else of the first one."""
    varied = [key for key, count in found.values.items() if key != "seed" and count > 1]
    groups = {_label(group[0], varied): group for group in combinations_in(rows, varied)}
    first = found.figures[0].combinations.reference if found.figures else None
    return groups.get(str(first)) or next(iter(groups.values()))


def _apart_from_last(
    groups: Mapping[str, Sequence[Row]], answer: Answer, runs: Runs
) -> Iterator[Reason]:
    """Yield what sets the first one apart from the last, unless that may be noise."""
    ranking = answer.ranking
    if ranking.first is None or not ranking.behind:
        return
    last = list(ranking.leads)[-1]
    if verdict_of(ranking.leads[last]) is not Verdict.WITHIN_NOISE:
        yield from reasons(groups[ranking.first], groups[last], answer.measure.column, runs)
