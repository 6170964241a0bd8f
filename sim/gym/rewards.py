"""Rewards: what an agent is paid for, each with a weight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real

from sim.engine.simulation import Simulation
from sim.errors import InputError
from sim.facts.energy import total
from statements import Code


@dataclass(frozen=True)
class Standing:
    """What a run has come to, or the weights of its figures.

    ``accuracy`` of the server's model; ``merged``, how often the samples of all devices have been
    merged; ``hours`` of simulated time; ``kilojoules`` that all devices have spent.
    """

    accuracy: float = 0.0
    merged: float = 0.0
    hours: float = 0.0
    kilojoules: float = 0.0


def weights_of(given: Mapping[str, float] | None, *, trains: bool) -> Standing:
    """Return the weights of a reward: by default 1 of what is learnt, accuracy or merged.

    Raises InputError for other figures, for weights that are no numbers, and for the accuracy of a
    run without training.
    """
    if given is None:
        return Standing(accuracy=1.0) if trains else Standing(merged=1.0)
    if not isinstance(given, Mapping):
        raise InputError.of(
            Code.WRONG_VALUE,
            "reward",
            "{given!r} has no weights",
            "give a mapping such as {'hours': -1}",
            given=given,
        )
    known = [field.name for field in fields(Standing)]
    for name, weight in given.items():
        if name not in known:
            raise InputError.of(
                Code.WRONG_VALUE,
                "reward",
                f"no figure {{name!r}}; known are {', '.join(known)}",
                name=name,
            )
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not is_number or not math.isfinite(weight):
            raise InputError.of(
                Code.WRONG_VALUE,
                f"reward.{name}",
                "{weight!r} is no finite number",
                weight=weight,
            )
    if given.get("accuracy") and not trains:
        raise InputError.of(
            Code.UNSUPPORTED,
            "reward.accuracy",
            "is never measured with learning.train=false",
            "weigh merged, or train",
        )
    return Standing(**{name: float(weight) for name, weight in given.items()})


def standing(simulation: Simulation, weights: Standing, accuracy: float, merged: float) -> Standing:
    """Return what a run has come to by now; figures without a weight that take work are 0.

    Raises InputError where energy is weighed and the scenario does not say what devices draw.
    """
    kilojoules = 0.0
    if weights.kilojoules:
        spent = simulation.energy()
        parts_j = [total(spent, key) for key in ("training_j", "transmit_j")]
        known_j = [part_j for part_j in parts_j if part_j is not None]
        if not known_j:
            raise InputError.of(
                Code.MISSING,
                "reward.kilojoules",
                "set compute.power_w, or the power of the uplink",
            )
        kilojoules = sum(known_j) / 1000.0
    return Standing(
        accuracy=0.0 if math.isnan(accuracy) else accuracy,
        merged=merged,
        hours=simulation.end_s / 3600.0,
        kilojoules=kilojoules,
    )


def gained(weights: Standing, before: Standing, after: Standing) -> float:
    """Return the weighted sum of what has been added to each figure."""
    return sum(
        getattr(weights, field.name) * (getattr(after, field.name) - getattr(before, field.name))
        for field in fields(Standing)
    )
