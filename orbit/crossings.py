"""Crossings of the elevation mask: where windows open and close."""

from dataclasses import dataclass

import numpy as np

from orbit.arrays import BoolArray, FloatArray, IntArray
from orbit.roots import newton_roots
from orbit.samples import Samples
from orbit.turns import ROUGH, TOLERANCE_S, Turns


@dataclass(frozen=True)
class Crossings:
    """Mask crossings after samples `left` at fractions x of the step; `rises` or sets."""

    left: IntArray
    x: FloatArray
    rises: BoolArray


def crossings(samples: Samples, turns: Turns) -> Crossings:
    """All crossings, in no order: one where visibility changes between a sample and a turn.

    A pass or a dip shorter than a step shows as two changes, before and after its turning point.
    """
    seen, left = samples.visible, turns.left
    whole = samples.linked[:-1] & (seen[:-1] != seen[1:])
    whole[left] = False
    plain = np.flatnonzero(whole)
    early, late = seen[left] != turns.visible, turns.visible != seen[left + 1]
    steps = np.concatenate([plain, left[early], left[late]])
    zero, one = np.zeros(len(plain)), np.ones(len(plain))
    low = np.concatenate([zero, np.zeros(early.sum()), turns.x[late]])
    high = np.concatenate([one, turns.x[early], np.ones(late.sum())])
    rises = ~np.concatenate([seen[plain], seen[left[early]], turns.visible[late]])
    return Crossings(steps, _solved(samples, steps, low, high, rises), rises)


def _solved(
    samples: Samples, left: IntArray, low: FloatArray, high: FloatArray, rises: BoolArray
) -> FloatArray:
    sin_mask, cubics, arcs = samples.sin_mask(left), samples.cubics(left), samples.arcs(left)
    middle = 0.5 * (low + high)
    rough = newton_roots(
        lambda which, x: cubics.view(which, x).excess_and_rate(sin_mask[which]),
        low, high, middle, rises, ROUGH,
    )  # fmt: skip
    return newton_roots(
        lambda which, x: arcs.view(which, x).excess_and_rate(sin_mask[which]),
        low, high, rough, rises, TOLERANCE_S / samples.tracks.step_s,
    )  # fmt: skip
