"""What three steps of training on a hundred samples do: a look at the settings before a run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from learning.architecture.costs import architecture
from learning.architecture.kinds import kind_of
from learning.learner import Learner
from learning.settings import LearningConfig
from statements import Code, Lower, Raise, Statement

STEPS, SAMPLES = 3, 100
MOST_FLOPS = 1e12
"""Some ten seconds of one core: models that need more are not tried."""
STILL = 1e-3
"""Three steps that lower the loss by a smaller share of it hardly move anything."""
RISEN = 1.1
"""How many times the loss before may be the loss after: three large steps may begin with a rise."""


@dataclass(frozen=True)
class FirstSteps:
    """The loss in nats ``before`` and ``after`` the steps."""

    before: float
    after: float


def first_steps(config: LearningConfig) -> FirstSteps | None:
    """Take three steps on a hundred samples of a device.

    None where they are not tried: experts of one device each are trained in stages, by rules of
    their own, and a large model takes too long. Raises ValueError, as a run would, for data or a
    model that cannot be trained.
    """
    experts = range(config.model.experts)
    cost = architecture(config).round_cost(experts, experts, gate=True, samples=STEPS * SAMPLES)
    if kind_of(config.model.kind).expert_per_device or cost.flops > MOST_FLOPS:
        return None
    learner = Learner(replace(config, device="auto"))
    before, after = learner.number(
        "learning.training.baselines:losses", steps=STEPS, samples=SAMPLES
    )
    return FirstSteps(before, after)


def doubts(found: FirstSteps) -> Iterator[Statement]:
    """Yield what may be wrong with the steps."""
    before = found.before
    after = found.after
    if not math.isfinite(after) or after - before > abs(before) * (RISEN - 1.0):
        yield _moved(Code.DIVERGING, found, "training may diverge", Lower())
    elif abs(before - after) < abs(before) * STILL:
        yield _moved(Code.LEARNS_LITTLE, found, "hardly anything is learnt", Raise())


def _moved(code: Code, found: FirstSteps, effect: str, remedy: Raise) -> Statement:
    return Statement.doubt(
        code,
        "learning.step_size",
        f"three steps on {SAMPLES} samples take the loss from {{before:.4g}} to {{after:.4g}}, so "
        f"that {effect}",
        remedy,
        before=found.before,
        after=found.after,
    )
