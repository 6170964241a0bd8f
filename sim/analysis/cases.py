"""The cases that are compared: runs that have ended, as they were read or as rows of a sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from learning.settings import CROSS_ENTROPY, NEXT_TOKEN
from sim.analysis.checks import checks_in
from sim.analysis.comparison import MORE_SEEDS, CheckOfRun, Comparison
from sim.analysis.evaluations import (
    TARGETS,
    Judged,
    first_reached,
    given_targets,
    is_measured,
    judged_together,
    levels,
    shared_target,
    target_name,
)
from sim.analysis.figures import (
    GROUP_FIGURES,
    OF_NETWORKS,
    Figure,
    figure_listed,
    figure_of_network,
    figures_of,
)
from sim.analysis.labels import CODE, METHOD, code_label, labels_of
from sim.analysis.methods import known_method
from sim.analysis.numeric import NumericSweep, headline_of, notes_on_numbers
from sim.analysis.ranking import ComparedRun
from sim.analysis.run import Run
from sim.facts.status import COMPLETE, NO_CONTACT_STATUS, how_complete, missing_status
from sim.formatting import as_yaml, counted, duration
from statements import Code, Remedy, Statement

HOURS_TO = "hours_to_"
"""How the columns begin that hold when a target was reached."""


NO_RESULT = ("seed", "description", "learning.targets")
"""Keys by which runs of one group may differ."""
MORE_REPLICATIONS: Remedy = "add --replications 5"
"""What helps where points of one seed were compared."""

SweepRow = Mapping[str, Any]
"""A row of a sweep: values of its keys, status, and figures."""


def case_of(run: Run, folder: Path | None = None) -> ComparedRun:
    """Return what a comparison needs of a run, whose tables may then leave memory."""
    summary, manifest = run.summary, run.manifest
    figures: dict[str, Any] = {"drawn": manifest.get("drawn")}
    if run.of_network:
        figures |= manifest["network"]
    else:
        figures |= {name: summary.get(name) for name in ("method", "judged_by", "trained")}
        for target, reached in summary["targets"].items():
            figures[f"{HOURS_TO}{target}"] = None if reached is None else reached["hours"]
        for column, figure in GROUP_FIGURES.items():
            value: Any = summary
            for key in figure.path or [column]:
                value = None if value is None else value.get(key)
            figures[column] = value
    return ComparedRun("", manifest["seed"], figures, "", run.evaluations, manifest, folder)


def group_runs(runs: Sequence[ComparedRun]) -> dict[str, list[ComparedRun]]:
    """Group runs whose scenarios differ in the seed, or what is said or reported of them, only.

    Groups are by label, in the order in which they came. A run that was done twice counts once.
    Runs with other code of the user's are another group, and so is a run of the same seed with
    another trace, whatever the reason is: it is no further seed.
    Single runs that differ in more keys than a label has room for are called by their folders.
    """
    members: dict[str, list[ComparedRun]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run in runs:
        scenario = flat(run.manifest["scenario"])
        values = {key: None if key in NO_RESULT else value for key, value in scenario.items()}
        # By what they say in full: long values may look alike when they are cut.
        key = json.dumps([values, run.manifest["status"]], sort_keys=True, default=str)
        settings[key] = values
        members.setdefault(key, []).append(run)
    groups: list[tuple[dict[str, Any], list[ComparedRun]]] = []
    for key, alike in members.items():
        by_code: dict[str, list[ComparedRun]] = {}
        for run in alike:
            by_code.setdefault(code_label(run.manifest), []).append(run)
        for code, own in by_code.items():
            repeats = _repeats(own)
            for number, each in enumerate(repeats, 1):
                told = {CODE: code} if len(by_code) > 1 else {}
                again = {"repeat": number} if len(repeats) > 1 else {}
                groups.append((settings[key] | told | again, each))
    order = {id(run): number for number, run in enumerate(runs)}
    groups.sort(key=lambda group: order[id(group[1][0])])
    labels = _labels(
        [own for own, _ in groups],
        [each[0].manifest["status"] for _, each in groups],
        [] if len(runs) > len(groups) else [run.folder.name for run in runs if run.folder],
    )
    return {label: each for label, (_, each) in zip(labels, groups, strict=True)}


def _repeats(runs: Sequence[ComparedRun]) -> list[list[ComparedRun]]:
    """Return runs so that no two of a seed are together, but for those of equal traces: one stays.

    Runs that were done twice have the same trace.
    """
    repeats: list[list[ComparedRun]] = [[]]
    traces: dict[int, list[Any]] = {}
    for run in runs:
        of_seed = traces.setdefault(run.manifest["seed"], [])
        trace = run.manifest.get("trace_sha256")
        if trace in of_seed:
            continue
        if len(of_seed) == len(repeats):
            repeats.append([])
        repeats[len(of_seed)].append(run)
        of_seed.append(trace)
    return repeats


def _labels(
    settings: Sequence[Mapping[str, Any]], statuses: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Return the labels of groups by what they set; those that are not complete say so."""
    keys = [json.dumps(own, sort_keys=True, default=str) for own in settings]
    different = dict(zip(keys, settings, strict=True))
    own_names = names if len(names) == len(different) else ()
    labels = dict(zip(different, labels_of([*different.values()], names=own_names), strict=True))
    return [
        labels[key] if status == COMPLETE else f"{labels[key]} ({status})"
        for key, status in zip(keys, statuses, strict=True)
    ]


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, by dotted keys; lists become JSON."""
    if not isinstance(value, dict):
        return {prefix: value if not isinstance(value, list) else json.dumps(value)}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= flat(inner, f"{prefix}.{key}" if prefix else key)
    return found


def compare_groups(groups: Mapping[str, Sequence[ComparedRun]]) -> Comparison:
    """Compare groups of runs, or of network studies, by label.

    What runs would have reached that have not come to their end, where others have, is not known:
    nobody is ahead of them or behind.
    """
    statuses = {label: runs[0].manifest["status"] for label, runs in groups.items()}
    unended = {label: str(status) for label, status in statuses.items() if status != COMPLETE}
    lacking = unended if len(unended) < len(groups) else {}
    cases = [
        replace(run, group=label, figures={} if label in lacking else run.figures)
        for label, runs in groups.items()
        for run in runs
    ]
    return compare_cases(cases, lacking)


def compare_rows(
    rows: Sequence[SweepRow], swept: Sequence[str], read: Mapping[str, ComparedRun] = {}
) -> Comparison:
    """Compare the combinations of the keys of some rows; ``read`` are runs by the folder of a row.

    Rows say what was found. Runs that were read add what these lack: curves, for levels as targets,
    checks, and figures without a column.
    """
    keys = [key for key in swept if key != "seed"]
    combinations = combinations_in(rows, keys)
    settings = [{key: own[0][key] for key in keys} for own in combinations]
    labels = labels_of(settings) if keys else ["all seeds"]
    by_label = dict(zip(labels, combinations, strict=True))
    done = [row for row in rows if is_complete(row)]
    cases = [*_complete(by_label, read)]
    without, lacking = _without(by_label)
    found = compare_cases([*cases, *without], lacking, more_seeds=MORE_REPLICATIONS)
    varied = [key for key in keys if len({as_yaml(own[key]) for own in settings}) > 1]
    numeric = NumericSweep.of(by_label, varied, found.columns_of_combinations) if done else None
    by_key = _by_key(found, by_label, varied, numeric)
    title, notes = found.headline, [*found.notes]
    if numeric is not None:
        title, notes = headline_of(numeric), [*notes_on_numbers(numeric)]
    elif not title:
        title = f"{counted(len(done), 'complete point')}, and nothing to compare"
    if lacking_points := how_complete([row["status"] for row in rows]):
        notes.append(f"{lacking_points}.")
    notes += [
        f"By {key}, all else equal: {own.headline}." for key, own in by_key.items() if own.headline
    ]
    said = [{"point": row["point"], **told} for row in rows if (told := refusal_of(row))]
    about = {**found.about, "said": [*found.about.get("said", ()), *said]}
    runs: dict[str, list[Path]] = {}
    for case in cases:
        if case.folder is not None:
            runs.setdefault(case.group, []).append(case.folder)
    return replace(
        found,
        headline=title,
        notes=tuple(notes),
        about=about,
        keys_compared=by_key,
        numeric=numeric,
        runs=runs,
    )


def _complete(
    by_label: Mapping[str, Sequence[SweepRow]], read: Mapping[str, ComparedRun]
) -> Iterator[ComparedRun]:
    """Yield the complete points by their rows; runs that were read have what these lack.

    Runs with other custom code are other groups.
    """
    for label, own in by_label.items():
        done = [row for row in own if is_complete(row)]
        if not read:
            yield from (ComparedRun(label, row["seed"], row) for row in done)
            continue
        by_code: dict[str, list[ComparedRun]] = {}
        for folder, row in {row["folder"]: row for row in done}.items():
            run = replace(read[folder], figures={**read[folder].figures, **row})
            by_code.setdefault(code_label(run.manifest), []).append(run)
        for code, runs in by_code.items():
            named = f"{label} {CODE}={code}" if len(by_code) > 1 else label
            yield from (replace(run, group=named) for run in runs)


def is_complete(row: SweepRow) -> bool:
    """Return whether the point of a row has come to its end."""
    return bool(row["status"] == COMPLETE)


def _without(
    by_label: Mapping[str, Sequence[SweepRow]],
) -> tuple[list[ComparedRun], dict[str, str]]:
    """Return the points without figures that count, and why combinations have no others.

    That no satellite is seen is a result; what has failed or is missing leaves the others alone.
    """
    cases: list[ComparedRun] = []
    lacking = {}
    for label, own in by_label.items():
        why = {row["seed"]: missing_status(row) for row in own if not is_complete(row)}
        if len(why) == len(own):
            lacking[label] = " or ".join(sorted({*why.values()}))
        cases += [
            ComparedRun(label, seed, {})
            for seed, status in why.items()
            if label in lacking or status == NO_CONTACT_STATUS
        ]
    return cases, lacking


def _by_key(
    found: Comparison,
    by_label: Mapping[str, Sequence[SweepRow]],
    varied: Sequence[str],
    numeric: NumericSweep | None,
) -> dict[str, Comparison]:
    """Compare the values of each key of names where others vary too."""
    names = [key for key in varied if numeric is None or key in numeric.names]
    asked = names if len(varied) > 1 and found.figures else []
    compared = {}
    for key in asked:
        rest = [other for other in varied if other != key]
        places = {}
        for group in {*found.values["group"]}:
            label, _, code = group.partition(f" {CODE}=")
            row = by_label[group if group in by_label else label][0]
            setting = [*(row[other] for other in rest), code]
            places[group] = (as_yaml(row[key]), as_yaml(setting))
        compared[key] = found.regrouped(places)
    return compared


def refusal_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the statement that refused a point, as JSON; None if nothing refused it."""
    said: dict[str, Any] | None = json.loads(row.get("said") or "null")
    return said


def combinations_in(
    rows: Sequence[Mapping[str, Any]], keys: Sequence[str]
) -> list[list[Mapping[str, Any]]]:
    """Return the rows of each combination of values of the keys, in the order of points."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(json.dumps([row[key] for key in keys]), []).append(row)
    return list(groups.values())


def compare_cases(
    cases: Sequence[ComparedRun],
    lacking: Mapping[str, str] = {},
    *,
    more_seeds: Remedy = MORE_SEEDS,
) -> Comparison:
    """Compare runs, or network studies, by their figures; ``lacking`` says why groups have none.

    Times are those to the targets that the scenarios name, or else to one that runs share: the
    highest that all have reached, or half, or any. For runs that were read, a note says how far
    their evaluations are apart, and what manifests say is said.
    """
    known = [case for case in cases if case.figures]
    manifests = [case.manifest for case in cases if case.manifest]
    losses = _other_losses(manifests)
    about: dict[str, Any] = {
        "said": [
            {"group": case.group, "seed": case.seed, **said}
            for case in cases
            for said in case.manifest.get("said", ())
        ],
        "groups": _groups_of(cases, lacking),
    }
    every = [case.figures for case in known]
    leading, exactness = "", ""
    if every and any(map(figure_of_network, every[0])):
        figures, beside = _figures_of_studies(every)
    else:
        judged = judged_together(every)
        targets, shared = _targets(known, judged)
        cases = [_with_hours(case, targets) for case in cases]
        leading = f"{HOURS_TO}{shared}" if shared else ""
        exactness = _exactness(known, targets)
        figures, beside = _figures_of_runs(every, targets, judged, ranks_loss=losses is None)
        about = {"judged_by": judged, "shared_target": shared} | about
    found = Comparison.of(
        cases,
        figures,
        leading=leading,
        untrained={case.group for case in known if case.figures.get("trained") is False},
        limits=[said for said in (losses, _other_versions(manifests)) if said],
        drawn=not every or any(one.get("drawn") is not False for one in every),
        lacking=lacking,
        beside=beside,
        more_seeds=more_seeds,
        checks=tuple(
            CheckOfRun(case.group, case.seed, check)
            for case in cases
            for check in checks_in(case.manifest)
        ),
        about=about,
    )
    return replace(found, notes=(*found.notes, exactness)) if exactness else found


COARSE = 0.05
"""Share of a time to a target from which on the gap between evaluations is worth a note."""


def _exactness(cases: Sequence[ComparedRun], targets: Sequence[str]) -> str:
    """Say how exactly times to targets are known, by the longest gap before their evaluations.

    Empty where no gap is notable beside its time.
    """
    gaps_h = []
    for case, target in product(cases, targets):
        hours = [one.hours for one in case.evaluations]
        reached_h = _hours(case, target) if hours else None
        if reached_h:  # not at the start
            before_h = max(hour for hour in [0.0, *hours] if hour < reached_h)
            gaps_h.append((reached_h - before_h, reached_h))
    if not any(gap_h >= COARSE * reached_h for gap_h, reached_h in gaps_h):
        return ""
    longest = duration(3600.0 * max(gap_h for gap_h, _ in gaps_h))
    return (
        f"Accuracy is measured at complete cycles: a target may have been reached up to {longest} "
        "before its time."
    )


def _groups_of(cases: Sequence[ComparedRun], lacking: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what ``compare --json`` says of groups."""
    by_label: dict[str, list[ComparedRun]] = {}
    for case in cases:
        by_label.setdefault(case.group, []).append(case)
    found = []
    for label, own in by_label.items():
        ended = [case for case in own if case.figures or case.manifest]
        manifest = next((case.manifest for case in ended), {})
        found.append(
            {
                "label": label,
                "status": manifest.get("status", lacking.get(label, COMPLETE)),
                "seeds": [case.seed for case in ended],
                "stand_in": manifest.get("stand_in"),
            }
        )
    return found


def _other_versions(manifests: Iterable[Mapping[str, Any]]) -> Statement | None:
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
    helps = "run those of the older ones anew to rule that out as a cause"
    return Statement.note(Code.OTHER_VERSIONS, "", text, helps, versions=", ".join(differ))


def _other_losses(manifests: Iterable[Mapping[str, Any]]) -> Statement | None:
    """Return the note of runs that minimise different losses; None where all have one."""
    learning = [manifest["scenario"].get("learning") or {} for manifest in manifests]
    names = sorted({one.get("loss") or _loss_of_the_data(one) for one in learning})
    if len(names) < 2:
        return None
    text = "these runs minimise different losses, whose values do not compare: {losses}"
    helps = "compare what learning.metrics measures of all of them"
    return Statement.note(
        Code.OTHER_LOSSES, "learning.loss", text, helps, losses=" or ".join(names)
    )


def _loss_of_the_data(learning: Mapping[str, Any]) -> str:
    data = learning.get("data") or {}
    return NEXT_TOKEN if data.get("objective") == NEXT_TOKEN else CROSS_ENTROPY


def _figures_of_studies(
    known: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the figures that some network study has, but for those of one place.

    Those by which some study is the best come first, then the others.
    """
    every = dict.fromkeys((*OF_NETWORKS, *(name for one in known for name in one)))
    of_all = (name for name in every if ":" not in name)
    found = {
        name: figure
        for name in of_all
        if (figure := figure_of_network(name)) is not None
        and any(one.get(name) is not None for one in known)
    }
    table = {name: figure for name, figure in found.items() if figure.best}
    return table, {name: figure for name, figure in found.items() if not figure.best}


def _figures_of_runs(
    known: Sequence[Mapping[str, Any]], targets: Sequence[str], judged: Judged, *, ranks_loss: bool
) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Return the figures of the table of runs that learn, the first ones first, and all others.

    ``known`` are the figures of runs by column. Of runs that are judged by accuracy the loss is
    none by which somebody is best, nor is any loss where these are of several kinds.
    """
    trained = any(map(is_measured, known))
    # A cycle may be a part of a round: where all runs have rounds, these are counted.
    progress = "cycles" if all(one.get("rounds") is not None for one in known) else "rounds"
    tokens = any(one.get("accuracy_final") is not None for one in known)
    listed = figures_of(judged, tokens=tokens)
    other = Judged.LOSS if judged == Judged.ACCURACY else Judged.ACCURACY
    unranked = {f"{other}_final", progress} | (set() if ranks_loss else {"loss_final"})
    methods = {str(one.get("method") or one.get(METHOD)) for one in known}
    if trained:
        unranked |= {"round_mean_s", "contacts_served"}
    elif len(methods) > 1 and any(map(_is_asynchronous, methods)):
        unranked.add("round_mean_s")  # rounds of an asynchronous method are not those of others
    table: dict[str, Figure] = {}
    for target in targets:
        figure = figure_listed(f"{HOURS_TO}{target}")
        assert figure is not None  # of every target
        table[f"{HOURS_TO}{target}"] = figure
    others: dict[str, Figure] = {}
    for column in GROUP_FIGURES:
        figure = listed[column]
        values = [one.get(column) for one in known]
        if not figure.head or all(value is None for value in values):
            continue
        if not figure.best or column in unranked:
            others[column] = figure
        elif figure.learnt or any(values):
            table[column] = figure
    return table, others


def _is_asynchronous(name: str) -> bool:
    method = known_method(name)
    return method is not None and method.traits.asynchronous


def _targets(known: Sequence[ComparedRun], judged: Judged) -> tuple[list[str], str | None]:
    """Return the targets of the table, rising; and the one that runs share.

    Where scenarios name none, they are levels above the start of all runs that were read, or those
    of the columns of rows, as far as they are above it.
    """
    curves = [case.evaluations for case in known if case.evaluations]
    columns = () if curves or not known else known[0].figures
    of_rows = [name.removeprefix(HOURS_TO) for name in columns if name.startswith(HOURS_TO)]
    asked = [target for case in known if case.manifest for target in given_targets(case.manifest)]
    names = [*map(target_name, sorted({*asked}))]
    if of_rows != [*map(target_name, TARGETS)]:
        names = names or of_rows
    rest = [*names]  # all that were asked for are shown
    if not names and judged == Judged.ACCURACY:
        above = [name for name in of_rows if all(_hours(case, name) != 0.0 for case in known)]
        names = [*map(target_name, levels(curves))] or above or of_rows
    count = {name: sum(_hours(case, name) is not None for case in known) for name in names}
    shared = shared_target(count, len(curves) or len(known))
    if shared is None:
        return [], None
    shown = [name for name in {shared, *rest} if count.get(name)]
    return sorted(shown, key=float), shared


def _hours(case: ComparedRun, target: str) -> float | None:
    """Return when a run has reached a target, as its summary or its row has it; None if never.

    Where these have other targets, its evaluations tell.
    """
    column = f"{HOURS_TO}{target}"
    if column in case.figures or not case.evaluations:
        hours: float | None = case.figures.get(column)
        return hours
    reached = first_reached(case.evaluations, float(target))
    return None if reached is None else float(reached["hours"])


def _with_hours(case: ComparedRun, targets: Sequence[str]) -> ComparedRun:
    """Return a case with the hours to some targets among its figures, if it has any."""
    hours = {f"{HOURS_TO}{target}": _hours(case, target) for target in targets}
    return replace(case, figures={**case.figures, **hours}) if case.figures else case
