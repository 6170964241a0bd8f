"""What the clients, and those whose updates were used, hold of the classes of the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from learning.requests.cluster import Ints
from sim.analysis.guess import Guess

if TYPE_CHECKING:
    import pandas as pd


RARE = 0.05
"""The share of its part in the tests below which a class is missing among training samples."""


class Missing(NamedTuple):
    """Classes that are missing, a ``share`` of the tests, and how many samples there are."""

    labels: Sequence[int] = ()
    share: float = 0.0
    samples: int = 0

    @property
    def is_all(self) -> bool:
        """Whether no class of the tests has a sample: nothing that is learnt can show then."""
        return bool(self.labels) and self.share == 1.0 and not self.samples


@dataclass(frozen=True)
class HeldSamples:
    """Training ``samples`` of all clients, and which classes of the tests are missing.

    ``nowhere`` are those that hardly a client has, ``unheard`` those that hardly a client has of
    which an update was used. ``skew`` is how far the classes of a client are from those of all, by
    total variation (0: the same, near 1: nothing in common), the mean over clients by samples.
    """

    samples: int
    nowhere: Missing
    unheard: Missing
    skew: float

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        missing = {"nowhere": self.nowhere._asdict(), "unheard": self.unheard._asdict()}
        return {**vars(self), **missing}


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
    nowhere = _missing(tests, held)
    unheard = Missing()
    if "updates" in tables and len(tables["updates"]):
        used = tables["updates"].select(["cluster", "device"]).to_pandas().drop_duplicates()
        heard = held.merge(used.astype({"cluster": str}), on=["cluster", "device"])
        unheard = _missing(tests, heard, but=nowhere.labels) if len(heard) else unheard
    return HeldSamples(int(total.sum()), nowhere, unheard, skew)


def _missing(tests: Ints, held: pd.DataFrame, but: Sequence[int] = ()) -> Missing:
    """Return the classes of the ``tests`` (C,) that samples ``held`` lack, ``but`` for some."""
    if not tests.sum():
        return Missing()
    counts = np.bincount(held["class"], held["samples"], minlength=len(tests))[: len(tests)]
    lacking = counts / max(counts.sum(), 1) < RARE * tests / tests.sum()
    labels = [int(label) for label in np.flatnonzero(lacking) if label not in but]
    return Missing(labels, float(tests[labels].sum() / tests.sum()), int(counts[labels].sum()))
