"""What an evaluation gives: scores, and figures of logits and labels, or of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from learning.own.raised import ANYTHING
from learning.registry import Register
from learning.values.lazy import OURS, place_of


class Score(TypedDict):
    """One cluster's test result: ``accuracy`` 0..1, None without classes, and mean ``loss``.

    Methods whose clients answer together add the macro ``f1`` over all classes, and the shares of
    samples, of selected experts, and of their weight that stay with a client's own expert. Where
    samples are set aside for it, the same model is also validated on ``validation_samples``.
    ``figure_weights`` are by how much figures weigh in those of all clusters, where these are not
    the numbers of samples. Where clients are tested for themselves, ``clients`` are the scores of
    the cluster's devices, each with its number as ``device``.
    """

    cluster: str
    accuracy: float | None
    loss: float | None
    samples: int
    f1: NotRequired[float | None]
    local_ratio: NotRequired[float]
    local_count_share: NotRequired[float]
    local_weight_share: NotRequired[float]
    local_reach_ratio: NotRequired[float]
    reach_accuracy: NotRequired[float]
    validation_accuracy: NotRequired[float | None]
    validation_loss: NotRequired[float | None]
    validation_samples: NotRequired[int]
    figure_weights: NotRequired[dict[str, float]]
    device: NotRequired[int]
    clients: NotRequired[list[Score]]


VALIDATED = ("validation_accuracy", "validation_loss")
"""Figures of a score that are means over validation samples; all others are over test samples."""
COUNTS = ("samples", "validation_samples")
"""Numbers of test and of validation samples in a score."""
FIGURE_WEIGHTS = "figure_weights"
CLIENTS = "clients"
NOT_FIGURES = frozenset({"cluster", "device", *COUNTS, FIGURE_WEIGHTS, CLIENTS})
"""What a score has beside its figures."""


def is_share(value: float) -> bool:
    """Whether a value can be an accuracy: it is from 0 to 1, or nan where there is none."""
    return bool(np.isnan(value)) or 0.0 <= value <= 1.0


def count_of(figure: str) -> str:
    """Return the name of the number of samples that a figure of a score is a mean over."""
    return COUNTS[figure in VALIDATED]


def as_validation(score: Score) -> Score:
    """Return what a score on validation samples adds to the score of a cluster."""
    of = {"accuracy": score["accuracy"], "loss": score["loss"], "samples": score["samples"]}
    return cast("Score", {f"validation_{name}": value for name, value in of.items()})


def with_validation(score: Score, validated: Score) -> Score:
    """Return the score of a cluster with what its validation samples add, and its weights."""
    weights = dict(score.get("figure_weights", {}))
    for figure, weight in validated.get("figure_weights", {}).items():
        weights[f"validation_{figure}"] = weight
    more = {FIGURE_WEIGHTS: weights} if weights else {}
    return cast("Score", {**score, **as_validation(validated), **more})


def figures_in(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of all figures that scores have, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row if name not in NOT_FIGURES))


def pooled_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of all clusters' samples together, from a score of each cluster.

    A figure is a mean over the clusters that have it (:func:`having`).
    """
    pooled: dict[str, Any] = {
        figure: _mean(having(figure, [(row.get(figure), _weight(row, figure)) for row in rows]))
        for figure in figures_in(rows)
    }
    for count in COUNTS:
        if any(count in row for row in rows):
            pooled[count] = sum(row.get(count, 0) for row in rows)
    return pooled


def _weight(row: Mapping[str, Any], figure: str) -> float:
    """Return by how much a cluster's figure weighs in that of all clusters."""
    samples: float = row.get(count_of(figure), row["samples"])
    return row.get(FIGURE_WEIGHTS, {}).get(figure, samples)


def having(figure: str, values: Iterable[tuple[float | None, float]]) -> list[tuple[float, float]]:
    """Return the values of a figure that count in its mean, of pairs of a value and its weight.

    What is no number is left out, as of a class of which a cluster has no samples, unless nothing
    else is there; not so of a loss, by its name, of which it says that training diverged.
    """
    found = [(value, weight) for value, weight in values if value is not None and weight]
    numbers = [pair for pair in found if not math.isnan(pair[0])]
    return found if "loss" in figure.lower() else numbers or found


def _mean(found: Sequence[tuple[float, float]]) -> float | None:
    """Mean by weight of what was measured, None if nothing was."""
    total = sum(weight for _, weight in found)
    return sum(value * weight for value, weight in found) / total if total else None


# Metrics: figures beside accuracy and loss, by name.


class Gradient(NamedTuple):
    """Gradient of a mean loss over training samples by the weights of the server's model.

    ``experts`` has a vector (n_e,) for each expert, and ``gate`` (n,) is that by what is trained
    with the gate: the gates of all layers and, where it is trained, the backbone. Matrices that are
    trained through low-rank factors count as the matrices that they are.
    """

    experts: Sequence[NDArray[Any]]
    gate: NDArray[Any]


Metric = Callable[[Any, Any], float]
"""Called with the logits (n, classes) and the labels (n,) of a test set, as arrays.

One that looks at gradients (:func:`of_gradients`) is called with two of :class:`Gradient`: that of
a cluster's loss over the samples of its devices, and that of the global loss over all samples.
"""

OF_GRADIENTS = "looks_at_gradients"
"""Attribute of a function that :func:`of_gradients` has declared."""


def of_gradients(function: Metric) -> Metric:
    """Declare that a metric looks at gradients: it is called with (cluster's, global).

    Each evaluation of a run with such a metric computes the gradient of the loss of all training
    samples at the server's model once.
    """
    setattr(function, OF_GRADIENTS, True)
    return function


@of_gradients
def squared_gradient_norm(_own: Gradient, whole: Gradient) -> float:
    """Return the squared norm of the gradient of the global loss, by all that is trained.

    It is that of the model, and the same in the rows of all clusters.
    """
    return sum(map(_square, (*whole.experts, whole.gate)))


@of_gradients
def squared_gradient_norm_experts(_own: Gradient, whole: Gradient) -> float:
    """Return the part of :func:`squared_gradient_norm` by the experts; nan without any."""
    return sum(map(_square, whole.experts)) if len(whole.experts) else float("nan")


@of_gradients
def squared_gradient_norm_gate(_own: Gradient, whole: Gradient) -> float:
    """Return the part of :func:`squared_gradient_norm` by what is trained with the gate."""
    return _square(whole.gate)


@of_gradients
def gradient_cosine(own: Gradient, whole: Gradient) -> float:
    """Return the cosine of the angle between a cluster's gradient and the global one.

    It is by all that is trained: 1 where the cluster's data ask for the same change of the model as
    all data, 0 or less where they ask for another one; nan where a gradient is 0.
    """
    pairs = zip((*own.experts, own.gate), (*whole.experts, whole.gate), strict=True)
    product = sum(float(np.vdot(one.astype(np.float64), other)) for one, other in pairs)
    length = np.sqrt(
        sum(map(_square, (*own.experts, own.gate))) * squared_gradient_norm(own, whole)
    )
    return product / float(length) if length else float("nan")


def _square(vector: NDArray[Any]) -> float:
    return float(np.square(vector, dtype=np.float64).sum())


METRICS: Register[Metric] = Register(
    "metric",
    "leomix.metrics",
    {
        "gradient_cosine": "learning.metrics:gradient_cosine",
        "squared_gradient_norm": "learning.metrics:squared_gradient_norm",
        "squared_gradient_norm_experts": "learning.metrics:squared_gradient_norm_experts",
        "squared_gradient_norm_gate": "learning.metrics:squared_gradient_norm_gate",
    },
    "a function of logits and labels, or of gradients",
)
"""Metrics by what ``learning.metrics`` calls them."""


def column_of(name: str) -> str:
    """Return the column of a metric: its name, of ``MODULE:FUNCTION`` the function's."""
    return name.rpartition(":")[2]


def check_metrics(names: Sequence[str], taken: Collection[str]) -> None:
    """Raise ValueError for a metric that is none, and for one of a column that is taken."""
    columns = [*taken]
    for name in names:
        METRICS.find(name)
        if (column := column_of(name)) in columns:
            raise ValueError(f"{name!r} is called as another column, {column}; call it otherwise")
        columns.append(column)


def looking_at_gradients(names: Sequence[str]) -> list[str]:
    """Return which of these metrics look at gradients."""
    return [name for name in names if getattr(METRICS.find(name), OF_GRADIENTS, False)]


def place_outside(names: Sequence[str]) -> str:
    """Return where one of these functions is found that is none of ours: their figures are foreign.

    It is empty if all are shipped.
    """
    places = (place_of(METRICS.find(name)) for name in names)
    return next((place for place in places if not place.startswith(OURS)), "")


def measured(name: str, *given: Any) -> float:
    """Return what a metric makes of what it looks at; raise ValueError, in one line, if it fails.

    It is ``given`` the logits and labels of a test set or, if it looks at them, two gradients.
    """
    try:
        value = float(METRICS.find(name)(*given))
    except ANYTHING as error:  # a function of one's own may raise anything
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"learning.metrics: {name!r} fails: {what}") from error
    return value if np.isfinite(value) else float("nan")
