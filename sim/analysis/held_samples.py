"""What the clients, and those whose updates were used, hold of the classes of the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sim.analysis.guess import Guess


@dataclass(frozen=True)
class HeldSamples:
    """Training ``samples`` of all clients, and which classes of the tests are missing.

    ``nowhere`` are classes that no client has, ``unheard`` those that only clients have of which no
    update was used; ``nowhere_share`` and ``unheard_share`` are the shares of the tests that they
    make up. ``skew`` is how far the classes of a client are from those of all, by total variation
    (0: the same, near 1: nothing in common), the mean over clients by samples.
    """

    samples: int
    nowhere: Sequence[int]
    unheard: Sequence[int]
    nowhere_share: float
    unheard_share: float
    skew: float

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        lists = {"nowhere": list(self.nowhere), "unheard": list(self.unheard)}
        return {**vars(self), **lists}


def held_samples(tables: Mapping[str, pa.Table], guess: Guess | None) -> HeldSamples | None:
    """Return what clients hold; None of a run whose clients' samples are not recorded."""
    rows = tables.get("clients")
    if rows is None or not len(rows):
        return None
    held = rows.to_pandas().astype({"cluster": str})
    by_client = held.pivot_table("samples", ["cluster", "device"], "class", "sum", fill_value=0)
    counts = by_client.to_numpy()
    total = counts.sum(axis=0)
    each = counts.sum(axis=1, keepdims=True)
    apart = 0.5 * np.abs(counts / np.maximum(each, 1) - total / total.sum()).sum(axis=1)
    skew = float(np.average(apart, weights=each[:, 0]))
    tests = np.array(guess.samples if guess is not None else (), np.int64)
    tested = {int(label) for label in np.flatnonzero(tests)}
    everywhere = {int(label) for label in by_client.columns[total > 0]}
    nowhere = tested - everywhere
    unheard: set[int] = set()
    if "updates" in tables and len(tables["updates"]):
        used = tables["updates"].select(["cluster", "device"]).to_pandas().drop_duplicates()
        heard = held.merge(used.astype({"cluster": str}), on=["cluster", "device"])
        through = {int(label) for label in heard.loc[heard["samples"] > 0, "class"]}
        unheard = tested - through - nowhere if len(heard) else set()
    return HeldSamples(
        int(total.sum()),
        sorted(nowhere),
        sorted(unheard),
        _share(tests, nowhere),
        _share(tests, unheard),
        skew,
    )


def _share(tests: np.ndarray, labels: set[int]) -> float:
    return float(tests[sorted(labels)].sum() / tests.sum()) if labels else 0.0
