"""The assignment problem: scores, room of clients, bounds of experts; policies that solve it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from learning.own.raised import ANYTHING
from learning.registry import Register
from statements.arrays import Floats, Ints, Mask


class InfeasibleAssignment(ValueError):
    """No assignment keeps all bounds; the message says which numbers conflict."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Which of E experts each of C clients shall train.

    ``score`` (C, E) is what a pair is worth; ``capacity`` (C,) the most experts that a client takes
    (0: it sits out). Expert e is to be given to at least ``least`` (E,) and at most ``most`` (E,)
    clients: 0 and C by default. ``deficit`` (E,) is what the score of an expert is raised by for
    every client, since it has fallen behind. ``threshold`` is the score below which a pair does not
    count; of the shipped policies only ``expert-driven`` uses it.

    Raises ValueError for arrays that do not fit each other and for scores that are not finite,
    InfeasibleAssignment for bounds that contradict each other.
    """

    score: Floats
    capacity: Ints
    least: Ints | None = None
    most: Ints | None = None
    deficit: Floats | None = None
    threshold: float = 0.0

    def __post_init__(self) -> None:
        # A copy, and for reading only: a policy must not change what its method goes on with.
        score = np.array(self.score, np.float64)
        score.flags.writeable = False
        object.__setattr__(self, "score", score)
        if self.score.ndim != 2 or self.score.size == 0:
            raise ValueError(f"score has shape {self.score.shape}; give one row per client")
        clients, experts = self.shape
        self._check("capacity", self.capacity, clients)
        for name in ("least", "most", "deficit"):
            self._check(name, getattr(self, name), experts)
        for client, expert in np.argwhere(~np.isfinite(self.score)).tolist():
            value = self.score[client, expert]
            raise ValueError(
                f"the score of client {client} for expert {expert} is {value}; give finite scores"
            )
        (least, most), room = self.bounds, int((self.takes > 0).sum())
        for expert in np.flatnonzero(least > np.minimum(most, room)).tolist():
            raise InfeasibleAssignment(
                f"expert {expert} is to be given to at least {least[expert]} clients, but at most "
                f"{most[expert]} may have it and {room} have room for an expert; lower `least`"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Clients and experts, (C, E)."""
        clients, experts = self.score.shape
        return clients, experts

    @property
    def takes(self) -> Ints:
        """Experts (C,) that each client has room for: its capacity, and at most all."""
        return np.minimum(self.capacity, self.shape[1])

    @property
    def bounds(self) -> tuple[Ints, Ints]:
        """Clients (E,) that each expert is to be given to at least and at most."""
        clients, experts = self.shape
        least = np.zeros(experts, np.int64) if self.least is None else self.least
        most = np.full(experts, clients) if self.most is None else self.most
        return least, most

    @property
    def worth(self) -> Floats:
        """Score and deficit (C, E) together."""
        return self.score if self.deficit is None else self.score + self.deficit

    def _check(self, name: str, values: object, length: int) -> None:
        if values is None:
            return
        given = np.asarray(values, np.float64)
        if given.shape != (length,):
            raise ValueError(f"{name} has shape {given.shape}; give ({length},)")
        if not np.isfinite(given).all() or (given < 0).any():
            raise ValueError(f"{name} is {given.tolist()}; give numbers that are 0 or more")
        object.__setattr__(self, name, np.asarray(values))  # lists do as well


Policy = Callable[[Problem, np.random.Generator], Mask]
"""Returns who trains what, (C, E); draws come from the generator alone."""

POLICIES: Register[Policy] = Register(
    "policy",
    "leomix.policies",
    {
        "random": "learning.policies.problem:at_random",
        "greedy": "learning.policies.problem:greedy",
        "balanced-random": "learning.policies.problem:balanced_random",
        "balanced-fitness": "learning.policies.problem:balanced_fitness",
        "expert-driven": "learning.policies.model_splitting:expert_driven",
    },
    "a function of a problem and a random generator",
)
"""Policies by name. A policy of one's own is ``MODULE:NAME``, or an entry point of the group."""


def even_bounds(capacity: Ints, experts: int) -> tuple[Ints, Ints]:
    """Return ``floor(K / E)`` and ``ceil(K / E)`` for every expert (E,), K = sum k_c."""
    total = int(np.minimum(capacity, experts).sum())
    return np.full(experts, total // experts), np.full(experts, -(-total // experts))


def asked(policy: Policy, name: str, problem: Problem, rng: np.random.Generator) -> Mask:
    """Return what ``policy`` assigns; raise ValueError that names it if that is no answer.

    Bounds of experts are the policy's own affair; what a client has no room for is not.
    """
    try:
        found = np.asarray(policy(problem, rng))
    except InfeasibleAssignment as error:
        raise InfeasibleAssignment(f"policy {name!r}: {error}") from None
    except ANYTHING as error:  # a policy of one's own may raise anything
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"policy {name!r} failed ({text})") from None
    if found.dtype != bool or found.shape != problem.shape:
        raise ValueError(
            f"policy {name!r} returned {found.dtype} of shape {found.shape}; "
            f"give bool of shape {problem.shape}"
        )
    given = found.sum(axis=1)
    for client in np.flatnonzero(given > problem.capacity).tolist():
        raise ValueError(
            f"policy {name!r} gave client {client} {given[client]} experts; it has room for "
            f"{problem.capacity[client]}"
        )
    return found


# Assignment without bounds of experts: greedy, and at random.


def greedy(problem: Problem, _rng: np.random.Generator) -> Mask:
    """Give every client the experts of its highest score, as many as it has room for.

    Of equal scores the first expert is taken. Without bounds this is the best there is.
    """
    return _lowest(problem, -problem.score)


def at_random(problem: Problem, rng: np.random.Generator) -> Mask:
    """Give every client experts drawn evenly, without replacement, as many as it has room for."""
    return _lowest(problem, rng.random(problem.shape))


def _lowest(problem: Problem, order: Floats) -> Mask:
    """Give every client the experts of its lowest ``order`` (C, E), as many as it has room for."""
    ranks = order.argsort(axis=1, kind="stable").argsort(axis=1)
    return np.asarray(ranks < problem.takes[:, None])


# Assignment within bounds of experts: an integer program.


def balanced_fitness(problem: Problem, _rng: np.random.Generator) -> Mask:
    """Give experts so that the sum of scores is highest, each within its bounds.

        max  sum_ce x_ce (Q_ce + D_e)   subject to   sum_e x_ce = k_c,   L_e <= sum_c x_ce <= U_e

    with x binary. The constraints are the incidence matrix of a bipartite graph, which is totally
    unimodular, so that the relaxation is whole already. Raises InfeasibleAssignment
    where no assignment keeps the bounds.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import eye_array, kron

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
