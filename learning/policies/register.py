"""The register of assignment policies."""

from __future__ import annotations

from learning.policies.problem import Policy
from learning.registers import Register

POLICIES: Register[Policy] = Register(
    "policy",
    "leomix.policies",
    {
        "random": "learning.policies.unbounded:at_random",
        "greedy": "learning.policies.unbounded:greedy",
        "balanced-random": "learning.policies.balanced:balanced_random",
        "balanced-fitness": "learning.policies.balanced:balanced_fitness",
        "expert-driven": "learning.policies.expert_driven:expert_driven",
        "identity": "learning.policies.identity:identity",
    },
)
"""Policies by name. A policy of one's own is ``MODULE:NAME``, or an entry point of the group."""
