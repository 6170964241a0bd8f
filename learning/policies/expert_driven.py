"""EMS-FL's Algorithm 1 as a policy: every expert is drawn for one client, by relevance."""

from __future__ import annotations

import numpy as np

from learning.assignment import assign_experts
from learning.policies.problem import InfeasibleAssignment, Problem
from learning.requests import Mask


def expert_driven(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give every expert to one client that has room, drawn as in Algorithm 1; columns sum to 1.

    Scores are relevance in 0 to 1, of which what is below ``problem.threshold`` does not count.
    Raises InfeasibleAssignment where the clients have no room for all experts.
    """
    clients, experts = problem.shape
    if problem.takes.sum() < experts:
        raise InfeasibleAssignment(
            f"each of the {experts} experts is to be given to one client, but the clients have "
            f"room for {int(problem.takes.sum())}; raise their capacity"
        )
    owner = assign_experts(problem.score, problem.threshold, rng, problem.takes)
    assigned: Mask = owner == np.arange(clients)[:, None]
    return assigned
