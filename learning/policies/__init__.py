"""Policies by name: who trains which expert."""

from __future__ import annotations

from learning.policies.problem import InfeasibleAssignment, Policy, Problem
from learning.registry import Register

__all__ = ["POLICIES", "InfeasibleAssignment", "Policy", "Problem"]


POLICIES: Register[Policy] = Register(
    "policy",
    "leomix.policies",
    {
        "random": "learning.policies.problem:at_random",
        "greedy": "learning.policies.problem:greedy",
        "balanced-random": "learning.policies.problem:balanced_random",
        "balanced-fitness": "learning.policies.problem:balanced_fitness",
        "expert-driven": "learning.policies.model_splitting:expert_driven",
        "identity": "learning.policies.problem:identity",
    },
    "a function of a problem and a random generator",
)
"""Policies by name. A policy of one's own is ``MODULE:NAME``, or an entry point of the group."""
