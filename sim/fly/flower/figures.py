"""Figures: what an app's clients and its server have measured, as scores of clusters.

A figure is a mean over the nodes that have it, each by the weight that its reply names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, cast

from learning.metrics import FIGURE_WEIGHTS, Score, having, is_share
from sim.engine.evaluation import TAKEN
from sim.formatting import listed
from statements import Code, Statement

SERVER = "server_"
"""How names of figures begin that the server has measured."""
KINDS = ("evaluate", "train")
"""Types of messages whose replies have figures; a name that both use is that of the first."""
MAIN = {
    main: re.compile(rf"(.*[^a-z0-9])?({words})", re.IGNORECASE)
    for main, words in {"accuracy": "acc|accuracy", "loss": "loss"}.items()
}
"""Figures that every run has, and the names of those that are meant: their last word says so."""
TRAINED = re.compile(r"(.*[^a-z0-9])?train", re.IGNORECASE)
"""How names of figures begin that say themselves that they are of training."""

Source = tuple[str, str]
"""The kind of replies that a figure is of, or SERVER, and its name there."""
Measured = Mapping[str, tuple[float, float | None]]
"""Figures by name, each with the weight of its reply, None where it names none."""


class Figures:
    """The figures of the last round of replies of each kind, and of the server."""

    def __init__(self) -> None:
        self.server: dict[str, float] = {}
        self._samples: dict[int, int] = {}
        self._latest: dict[str, dict[int, Measured]] = {kind: {} for kind in KINDS}
        self._past: set[str] = set()
        self._no_shares: dict[Source, float] = {}

    def new_round(self) -> None:
        """Pool no reply from now on with those that are there: the model is another one."""
        self._past = set(KINDS)

    def add(
        self,
        node: int,
        kind: str,
        figures: Mapping[str, float],
        weight: float | None,
        examples: float | None,
    ) -> None:
        """Take the figures of a reply; those of one in the same round that it has not got stay."""
        if kind not in self._latest:
            return
        if kind in self._past:
            self._past.remove(kind)
            self._latest[kind] = {}
            if kind == KINDS[0]:
                self._samples = {}
        if kind == KINDS[0]:
            self._samples[node] = 1 if examples is None else int(examples)
        known = self._latest[kind].get(node, {})
        self._latest[kind][node] = {**known, **{k: (v, weight) for k, v in figures.items()}}
        self._note_shares(kind, figures)

    def told(self, metrics: Mapping[str, Any]) -> None:
        """Take what the server has evaluated by itself."""
        numbers = {name: float(v) for name, v in metrics.items() if isinstance(v, Real)}
        self.server = {f"{SERVER}{name}": value for name, value in numbers.items()}
        self._note_shares(SERVER, self.server)

    def _note_shares(self, source: str, figures: Mapping[str, float]) -> None:
        """Keep which figures have had a value that no accuracy has, and the first of these."""
        for name, value in figures.items():
            if not is_share(value):
                self._no_shares.setdefault((source, name), value)

    def scores(self, clusters: Mapping[str, Sequence[int]]) -> list[Score]:
        """Return the score of each cluster, whose nodes are given."""
        by_name = self._by_name()
        sources = self._sources()
        names = list(sources)
        main = {one: next(iter(_meant(one, sources)), "") for one in MAIN}
        if sources.get(main["accuracy"]) in self._no_shares:
            main["accuracy"] = ""
        columns = {name: _column(name, main) for name in names}
        rows: list[Score] = []
        for number, (cluster, nodes) in enumerate(clusters.items()):
            # What the server says is of no cluster: it is taken once.
            means: dict[str, tuple[float | None, float]] = {
                name: (value, float(not number)) for name, value in self.server.items()
            }
            for name, (_, _, of) in by_name.items():
                means[name] = _mean(name, [of[node] for node in nodes if node in of])
            row: dict[str, Any] = {
                "cluster": cluster,
                "accuracy": None,
                "loss": None,
                "samples": sum(self._samples.get(node, 0) for node in nodes),
            }
            row |= {columns[name]: means[name][0] for name in names}
            row[FIGURE_WEIGHTS] = {columns[name]: means[name][1] for name in names}
            for one, name in main.items():
                if name:
                    row[one], row[FIGURE_WEIGHTS][one] = means[name]
            rows.append(cast("Score", row))
        return rows

    def doubts(self) -> list[Statement]:
        """Say which figures are renamed, and which are the accuracy and the loss if one may ask."""
        sources = self._sources()
        return [*_renamed(sources), *self._chosen(sources)]

    def _chosen(self, sources: Mapping[str, Source]) -> Iterator[Statement]:
        """Say which of several figures is the accuracy, or the loss, and that one is none."""
        for main in MAIN:
            name, *others = _meant(main, sources) or [""]
            value = self._no_shares.get(sources.get(name, (SERVER, name)))
            if main == "accuracy" and value is not None:
                yield Statement.doubt(
                    Code.OWN_CODE,
                    "",
                    "the metric {name!r} of the app is {value:g}, and an accuracy is a share from "
                    "0 to 1: it is in the column {column}, and no accuracy from then on",
                    "divide it",
                    "rename it",
                    name=name,
                    value=value,
                    column=_column(name, {"accuracy": ""}),
                )
            elif others := [other for other in others if not _is_trained(other, sources)]:
                yield Statement.note(
                    Code.OWN_CODE,
                    "",
                    "the {main} of the run is the metric {name!r} of the app, and not {others}",
                    main=main,
                    name=name,
                    others=listed([repr(other) for other in others]),
                )

    def _sources(self) -> dict[str, Source]:
        """Return for each figure where it comes from."""
        own = {name: (kind, called) for name, (kind, called, _) in self._by_name().items()}
        return {**own, **{name: (SERVER, name) for name in self.server}}

    def _by_name(self) -> dict[str, tuple[str, str, dict[int, tuple[float, float]]]]:
        """Return for each figure its kind of reply, its name there, and value and weight by node.

        Where one of the nodes does not say how much it weighs, or all weigh nothing, all weigh the
        same.
        """
        found: dict[str, tuple[str, str, dict[int, tuple[float, float]]]] = {}
        for kind in KINDS:
            latest = self._latest[kind]
            for name in sorted({name for own in latest.values() for name in own}):
                of = {node: own[name] for node, own in latest.items() if name in own}
                weights = [weight for _, weight in of.values()]
                weighted = None not in weights and any(weights)
                called = name if name not in found else f"{kind}_{name}"
                found[called] = (
                    kind,
                    name,
                    {
                        node: (value, cast("float", weight) if weighted else 1.0)
                        for node, (value, weight) in of.items()
                    },
                )
        return dict(sorted(found.items()))


def _mean(figure: str, values: Sequence[tuple[float, float]]) -> tuple[float | None, float]:
    """Return the mean of a figure over some nodes, and the sum of their weights."""
    found = having(figure, values)
    total = sum(weight for _, weight in found)
    if not found:
        return None, 0.0
    return sum(value * weight for value, weight in found) / total, total


def _meant(main: str, sources: Mapping[str, Source]) -> list[str]:
    """Return which figures may be the accuracy, or the loss: the first one is.

    They are of evaluation, of the server, of training; among these the one that is called so is the
    first.
    """
    return sorted(
        (name for name in sources if MAIN[main].fullmatch(name)),
        key=lambda name: (
            _is_trained(name, sources),
            name.startswith(SERVER),
            name != main,
            name,
        ),
    )


def _is_trained(name: str, sources: Mapping[str, Source]) -> bool:
    return sources[name][0] == "train" or bool(TRAINED.match(name))


def _renamed(names: Iterable[str]) -> Iterator[Statement]:
    """Say which figures have another column than their name, which is taken."""
    for name in names:
        if name in TAKEN:
            yield Statement.note(
                Code.OWN_CODE,
                "",
                "the metric {name!r} of the app is in the column {column}: every run has a column "
                "{name} of its own",
                name=name,
                column=_column(name, {}),
            )


def _column(name: str, main: Mapping[str, str]) -> str:
    """Return the column of a figure: another one where its name is that of something else."""
    is_other = name in TAKEN or main.get(name, name) != name
    return f"client_{name}" if is_other else name
