"""By which figure learning is judged: the accuracy, or the loss where each next token is learnt.

A model of texts is right about a share of tokens only, which hardly moves while its loss falls.
"""

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any


class Judged(StrEnum):
    """The figure by which it is judged whether, and how well, a run has learnt."""

    ACCURACY = "accuracy"
    LOSS = "loss"
    """Of the next token, in nats; the accuracy is the share of tokens held for the likeliest."""

    @property
    def on_validation(self) -> str:
        """How the figure is called where it is of validation samples."""
        return "validation loss" if self == Judged.LOSS else "validation accuracy"

    @property
    def best(self) -> str:
        """How its best value is called."""
        return "lowest" if self == Judged.LOSS else "highest"

    def merit(self, figure: float | None) -> float:
        """Return what is the greater the better a figure is; -inf if it is None or no number."""
        if figure is None or math.isnan(figure):
            return -math.inf
        return -figure if self == Judged.LOSS else figure


def followed(scores: Mapping[str, Any], judged: Judged, *, of_validation: bool, digits: int) -> str:
    """Return by what a run is followed while it goes on: "validation accuracy 0.812".

    ``scores`` is the pooled row of an evaluation. The figures are of validation samples or of test
    samples. Empty where nothing is measured.
    """
    key, of = ("validation_", "validation ") if of_validation else ("", "")
    names = {"loss": f"{of}loss", "accuracy": "tokens right"}
    shown = names if judged == Judged.LOSS else {"accuracy": f"{of}accuracy"}
    values = {name: scores.get(key + figure) for figure, name in shown.items()}
    return ", ".join(f"{k} {v:.{digits}f}" for k, v in values.items() if v is not None)


def by_objective(objective: str | None) -> Judged:
    """Return by what runs are judged that have this ``learning.data.objective``."""
    return Judged.LOSS if objective == "next_token" else Judged.ACCURACY


def judged_by(manifest: Mapping[str, Any]) -> Judged:
    """Return by what the run of a manifest is judged."""
    data = manifest.get("scenario", {}).get("learning", {}).get("data", {})
    return by_objective(data.get("objective"))


def judged_together(each: Iterable[str | None]) -> Judged:
    """Return by what several runs are judged beside each other: by the loss if each of them is."""
    found = set(each)
    return Judged.LOSS if found == {Judged.LOSS} else Judged.ACCURACY
