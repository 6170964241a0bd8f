"""Figures: what an app's clients and its server have measured, as scores of clusters.

A figure is a mean over the nodes that have it, each by the weight that its reply names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, cast

from learning.metrics import FIGURE_WEIGHTS, Score, having
from sim.engine.evaluation import TAKEN
from statements import Code, Statement

SERVER = "server_"
"""How names of figures begin that the server has measured."""
KINDS = ("evaluate", "train")
"""Types of messages whose replies have figures; a name that both use is that of the first."""
MAIN = {"accuracy": "acc", "loss": "loss"}
"""Figures that every run has, and what the name of one that is meant has in it."""

Measured = Mapping[str, tuple[float, float | None]]
"""Figures by name, each with the weight of its reply, None where it names none."""


class Figures:
    """The figures of the last replies of each node, and of the server."""

    def __init__(self) -> None:
        self.server: dict[str, float] = {}
        self._samples: dict[int, int] = {}
        self._latest: dict[str, dict[int, Measured]] = {kind: {} for kind in KINDS}

    def add(
        self,
        node: int,
        kind: str,
        figures: Mapping[str, float],
        weight: float | None,
        examples: float | None,
    ) -> None:
        """Take the figures of a reply; those of an earlier one that it has not got stay."""
        if kind == KINDS[0]:
            self._samples[node] = 1 if examples is None else int(examples)
        if kind in self._latest:
            known = self._latest[kind].get(node, {})
            self._latest[kind][node] = {**known, **{k: (v, weight) for k, v in figures.items()}}

    def told(self, metrics: Mapping[str, Any]) -> None:
        """Take what the server has evaluated by itself."""
        numbers = {name: float(v) for name, v in metrics.items() if isinstance(v, Real)}
        self.server = {f"{SERVER}{name}": value for name, value in numbers.items()}

    def scores(self, clusters: Mapping[str, Sequence[int]]) -> list[Score]:
        """Return the score of each cluster, whose nodes are given."""
        by_name = self._by_name()
        trained = {name for name, of in by_name.items() if of[0] == "train"}
        names = [*by_name, *self.server]
        main = {one: _meant(names, one, trained) for one in MAIN}
        columns = {name: _column(name, main) for name in names}
        rows: list[Score] = []
        for number, (cluster, nodes) in enumerate(clusters.items()):
            # What the server says is of no cluster: it is taken once.
            means: dict[str, tuple[float | None, float]] = {
                name: (value, float(not number)) for name, value in self.server.items()
            }
            for name, (_, of) in by_name.items():
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

    def renamed(self) -> list[Statement]:
        """Say which figures have another column than their name, which is taken."""
        return [
            Statement.note(
                Code.OWN_CODE,
                "",
                "the metric {name!r} of the app is in the column {column}: every run has a column "
                "{name} of its own",
                name=name,
                column=_column(name, {}),
            )
            for name in (*self._by_name(), *self.server)
            if name in TAKEN
        ]

    def _by_name(self) -> dict[str, tuple[str, dict[int, tuple[float, float]]]]:
        """Return for each figure its kind of reply, and value and weight by node.

        Where one of the nodes does not say how much it weighs, or all weigh nothing, all weigh the
        same.
        """
        found: dict[str, tuple[str, dict[int, tuple[float, float]]]] = {}
        for kind in KINDS:
            latest = self._latest[kind]
            for name in sorted({name for own in latest.values() for name in own}):
                of = {node: own[name] for node, own in latest.items() if name in own}
                weights = [weight for _, weight in of.values()]
                weighted = None not in weights and any(weights)
                called = name if name not in found else f"{kind}_{name}"
                found[called] = (
                    kind,
                    {
                        node: (value, cast("float", weight) if weighted else 1.0)
                        for node, (value, weight) in of.items()
                    },
                )
        return dict(sorted(found.items()))


def _mean(figure: str, values: Sequence[tuple[float, float]]) -> tuple[float | None, float]:
    """Return the mean of a figure over some nodes, and the sum of their weights."""
    found = having(figure, values)
    total = math.fsum(weight for _, weight in found)
    if not found:
        return None, 0.0
    return math.fsum(value * weight for value, weight in found) / total, total


def _meant(names: Sequence[str], main: str, trained: set[str]) -> str:
    """Return which figure is the accuracy, or the loss: of evaluation, of the server, of training.

    Among these the one that is called so is the first; "" where none has the word in its name.
    """
    ranked = sorted(
        (name for name in names if MAIN[main] in name.lower()),
        key=lambda name: (
            name in trained or "train" in name,
            name.startswith(SERVER),
            name != main,
            name,
        ),
    )
    return ranked[0] if ranked else ""


def _column(name: str, main: Mapping[str, str]) -> str:
    """Return the column of a figure: another one where its name is that of something else."""
    is_other = name in TAKEN or main.get(name, name) != name
    return f"client_{name}" if is_other else name
