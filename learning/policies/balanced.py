"""Assignment as an integer program: the highest score under bounds of clients and of experts.

    max  sum_ce x_ce (Q_ce + D_e)   subject to   sum_e x_ce = k_c,   L_e <= sum_c x_ce <= U_e

with x binary. With equal sizes the constraints are the incidence matrix of a bipartite graph, which
is totally unimodular, so that the relaxation is whole already; with experts of several sizes
(sum_e m_e x_ce <= M_c, and then sum_e x_ce <= k_c) it is not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, kron

from learning.policies.problem import InfeasibleAssignment, Problem
from learning.requests.cluster import Floats, Mask


def balanced_fitness(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give experts so that the sum of scores is highest, each within its bounds.

    Raises InfeasibleAssignment where no assignment keeps the bounds.
    """
    return _solved(problem, problem.worth)


def balanced_random(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give experts within their bounds, whoever they fit: the scores are drawn evenly in 0 to 1.

    The deficit counts all the same, since it speaks of the load of an expert and not of who fits.
    Raises InfeasibleAssignment where no assignment keeps the bounds.
    """
    drawn = replace(problem, score=rng.random(problem.shape))
    return _solved(drawn, drawn.worth)


def _solved(problem: Problem, worth: Floats) -> Mask:
    _check_sums(problem)
    found = milp(
        -worth.ravel(),
        integrality=np.ones(worth.size),
        bounds=Bounds(0, 1),
        constraints=_constraints(problem),
        options={"mip_rel_gap": 0},
    )
    if found.x is None:
        raise InfeasibleAssignment(f"no assignment keeps {_numbers(problem)}: {found.message}")
    assigned: Mask = found.x.reshape(problem.shape) > 0.5
    return assigned


def _constraints(problem: Problem) -> list[LinearConstraint]:
    clients, experts = problem.shape
    least, most = problem.bounds
    rows = kron(eye_array(clients), np.ones((1, experts)), format="csr")
    columns = kron(np.ones((1, clients)), eye_array(experts), format="csr")
    fewest = problem.takes if problem.expert_bytes is None else np.zeros(clients)
    found = [
        LinearConstraint(rows, fewest, problem.takes),
        LinearConstraint(columns, least, most),
    ]
    if problem.expert_bytes is not None and problem.memory_bytes is not None:
        found.append(_memory(problem.expert_bytes, problem.memory_bytes))
    return found


def _memory(expert_bytes: Floats, memory_bytes: Floats) -> LinearConstraint:
    """Return ``sum_e m_e x_ce <= M_c``, in units of the largest expert for the sake of rounding."""
    unit = max(float(expert_bytes.max()), 1.0)
    sizes = csr_array(expert_bytes[None, :] / unit)
    rows = kron(eye_array(len(memory_bytes)), sizes, format="csr")
    return LinearConstraint(rows, -np.inf, memory_bytes / unit)


def _check_sums(problem: Problem) -> None:
    """Refuse bounds of experts that do not go with the sum of the clients' capacities."""
    least, most = problem.bounds
    total, exact = int(problem.takes.sum()), problem.expert_bytes is None
    if total < least.sum() or (exact and total > most.sum()):
        raise InfeasibleAssignment(
            f"no assignment keeps {_numbers(problem)}: K must lie between the sums of the experts' "
            "bounds; widen these, or change the clients' capacity"
        )


def _numbers(problem: Problem) -> str:
    least, most = problem.bounds
    total = int(problem.takes.sum())
    return f"K={total} (sum of capacities), sum of least={least.sum()}, sum of most={most.sum()}"
