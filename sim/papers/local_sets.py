"""The form of bars: accuracy of several models on each cluster's test set and on all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean
from typing import Any

import numpy as np

from sim.engine.learning_task import learner_of
from sim.papers.forms import PaperRun, Shown, grouped, mean_and_range, panels
from sim.plots.colours import COLOURS, of_method
from sim.plots.names import legend, name_ticks
from sim.world.world import World

GLOBAL = "global"
ALONE, START = "most related expert", "start model"
OF_NO_METHOD = {ALONE: COLOURS[-1], START: COLOURS[-2]}
"""Colours of models that no method has made; they are the same in every figure."""

Accuracies = dict[str, float]
"""By cluster, and of all of them as ``global``."""


def accuracy_by_set(runs: Sequence[PaperRun], *, alone: bool = False, start: bool = False) -> Shown:
    """Show the accuracy of final models on every test set: means over seeds, with the range.

    With ``alone`` also of the one expert that each cluster's trial data select most, all by itself,
    and with ``start`` of the model before the first round.
    """
    models: dict[str, list[Accuracies]] = {}
    firsts = [own[0] for own in grouped(runs, lambda run: run.seed).values()]
    if alone:
        models[ALONE] = [experts_alone(learner_of(World(run.result.scenario))) for run in firsts]
    if start:
        models[START] = [accuracies_of(run.result, first=True) for run in firsts]
    for name, own in grouped(runs, lambda run: run.variant).items():
        models[name] = [accuracies_of(run.result) for run in own]
    sets = [name for name in models[runs[0].variant][0] if name != GLOBAL] + [GLOBAL]
    by_set = {
        model: {name: [one[name] for one in each if name in one] for name in sets}
        for model, each in models.items()
    }
    rows = [[model, *map(mean_and_range, own.values())] for model, own in by_set.items()]
    measured = {
        f"{model} on {name}": mean(values)
        for model, own in by_set.items()
        for name, values in own.items()
        if values
    }
    methods = {run.variant: run.result.manifest["method"] for run in runs}
    return Shown(("", *sets), rows, _bars(by_set, sets, _colours(by_set, methods)), measured)


def experts_alone(learner: Any) -> Accuracies:
    """Return the accuracy of each cluster's most related expert on the cluster's own test set."""
    from learning.training.evaluation import evaluate

    start = learner.start()
    relevance, server = learner.relevance(start), learner.force(start)
    alone: Accuracies = {}
    for place, (cluster, row) in enumerate(zip(learner.config.clusters, relevance, strict=True)):
        expert = max(range(len(row)), key=row.__getitem__)
        accuracy = evaluate(learner.task, server, only=(expert,))[place]["accuracy"]
        assert accuracy is not None  # every cluster has test samples
        alone[cluster] = accuracy
    return alone


def accuracies_of(result: Any, *, first: bool = False) -> Accuracies:
    """Return the accuracies of the model at the end of a run, or of its first evaluation."""
    rows = result.metrics
    time_s = rows.time_s.min() if first else rows.time_s.max()
    return {
        GLOBAL if row.scope == "global" else row.cluster: row.accuracy
        for row in rows[rows.time_s == time_s].itertuples()
    }


def _colours(models: Iterable[str], methods: Mapping[str, str]) -> list[str]:
    """Return the colours of models: those that curves of their methods have, as far as they differ.

    Bars have no dashes, so that a second variant of a method takes a colour that is free.
    """
    taken: dict[str, str] = {}
    for model in models:
        own = OF_NO_METHOD.get(model) or of_method(methods[model])
        free = (each for each in (own, *COLOURS) if each not in taken.values())
        taken[model] = next(free, own)
    return list(taken.values())


def _bars(
    by_set: Mapping[str, Mapping[str, Sequence[float]]],
    sets: Sequence[str],
    colours: Sequence[str],
) -> Any:
    figure, [axes] = panels(1, (1.4 + 1.2 * len(sets), 3.0))
    width = 0.8 / len(by_set)
    handles = []
    for number, (own, colour) in enumerate(zip(by_set.values(), colours, strict=True)):
        x = np.arange(len(sets)) + (number - (len(by_set) - 1) / 2) * width
        centre = np.array([mean(own[name]) if own[name] else np.nan for name in sets])
        ends = np.array([(min(own[n]), max(own[n])) if own[n] else (np.nan,) * 2 for n in sets])
        reach = np.abs(ends.T - centre)
        handles.append(axes.bar(x, centre, width, yerr=reach, capsize=2, color=colour))
    name_ticks(axes, "x", range(len(sets)), sets)
    axes.set(ylabel="accuracy", xlabel="test set", ylim=(0, 1))
    legend(axes, handles, list(by_set))
    return figure
