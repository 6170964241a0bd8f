"""Assignment as an integer program: the highest score under bounds of clients and of experts.

    max  sum_ce x_ce (Q_ce + D_e)   subject to   sum_e x_ce = k_c,   L_e <= sum_c x_ce <= U_e

with x binary. The constraints are the incidence matrix of a bipartite graph, which is totally
unimodular, so that the relaxation is whole already.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import eye_array, kron

from learning.policies.problem import InfeasibleAssignment, Problem
from learning.requests.cluster import Mask


def balanced_fitness(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give experts so that the sum of scores is highest, each within its bounds.

    Raises InfeasibleAssignment where no assignment keeps the bounds.
    """
    clients, experts = problem.shape
    (least, most), takes = problem.bounds, problem.takes
    total = int(takes.sum())
    numbers = f"K={total} (sum of capacities), sum of least={least.sum()}, sum of most={most.sum()}"
    if not least.sum() <= total <= most.sum():
        raise InfeasibleAssignment(
            f"no assignment keeps {numbers}: K must lie between the sums of the experts' "
            "bounds; widen these, or change the clients' capacity"
        )
    rows = kron(eye_array(clients), np.ones((1, experts)), format="csr")
    columns = kron(np.ones((1, clients)), eye_array(experts), format="csr")
    found = milp(
        -problem.worth.ravel(),
        integrality=np.ones(clients * experts),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(rows, takes, takes), LinearConstraint(columns, least, most)],
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        raise InfeasibleAssignment(f"no assignment keeps {numbers}: {found.message}")
    return np.asarray(found.x.reshape(problem.shape) > 0.5)


def balanced_random(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give experts within their bounds, whoever they fit: the scores are drawn evenly in 0 to 1.

    The deficit counts all the same, since it speaks of the load of an expert and not of who fits.
    Raises InfeasibleAssignment where no assignment keeps the bounds.
    """
    return balanced_fitness(replace(problem, score=rng.random(problem.shape)), rng)
