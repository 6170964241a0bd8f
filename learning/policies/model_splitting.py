"""Algorithm 1 of EMS-FL: relevance (32), probability (33), density ratio, who is at home."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.policies.problem import InfeasibleAssignment, Problem
from statements.arrays import Mask

SHARED_SHARE = 0.9
"""Share of the clusters from which on an expert that is relevant to them counts as shared."""

ROUNDING = 1e-9
"""Relative slack of the threshold: an expert whose relevance is even over all clusters is relevant
to all of them, though shares that are worked out differ in their last digits."""


def assignment_probability(relevance: ArrayLike, threshold: float) -> NDArray[np.float64]:
    """Return P(cluster | expert), shape (C, E); every column sums to 1.

    Relevance (C, E) below ``threshold`` is truncated to 0, equation (32), and what is left of a
    column is divided by its sum, equation (33). A column that is all below the threshold goes to
    the cluster of its largest relevance (the first of equals).
    """
    share = _checked(relevance, threshold)
    kept = np.where(_related(share, threshold), share, 0.0)
    seldom = kept.sum(axis=0) == 0.0
    kept[share[:, seldom].argmax(axis=0), np.flatnonzero(seldom)] = 1.0
    return np.asarray(kept / kept.sum(axis=0))


def assign_experts(
    relevance: ArrayLike,
    threshold: float,
    rng: np.random.Generator,
    capacity: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Return the cluster of each expert, shape (E,), drawn from the assignment probability.

    Experts are drawn in order of decreasing largest relevance. Their clusters are restricted so
    that as many clusters as possible, min(C, E), receive one: an expert goes to a cluster without
    experts while one with relevance to it is left, or when the experts left are just enough. Where
    no eligible cluster reaches ``threshold``, the one of largest relevance is taken. A cluster
    that has ``capacity`` (C,) experts gets no more; together they have room for all.
    """
    share = _checked(relevance, threshold)
    kept = np.where(_related(share, threshold), share, 0.0)
    clusters, experts = share.shape
    room = np.full(clusters, experts) if capacity is None else np.array(capacity)
    served = np.zeros(clusters, dtype=bool)
    owner = np.full(experts, -1, dtype=np.int64)
    for position, expert in enumerate(np.argsort(-share.max(axis=0), kind="stable")):
        eligible = room > 0
        unserved = ~served & eligible
        related = unserved & (kept[:, expert] > 0.0)
        if related.any():
            eligible = related
        elif 0 < np.count_nonzero(unserved) >= experts - position:
            eligible = unserved
        weight = np.where(eligible, kept[:, expert], 0.0)
        if weight.sum() == 0.0:
            cluster = int(np.where(eligible, share[:, expert], -1.0).argmax())
        else:
            cluster = int(rng.choice(clusters, p=weight / weight.sum()))
        owner[expert], served[cluster] = cluster, True
        room[cluster] -= 1
    return owner


def own_mass(relevance: ArrayLike, owner: ArrayLike) -> float:
    """Return the share of all clusters' activations that falls on the cluster's own experts.

    1 means that data activate only experts trained on them; well below 0.9, the asynchronous
    training of experts works on a gate that sends the data elsewhere.
    """
    share = _checked(relevance, 0.0)
    own = _own(share, owner)
    return float(share[own].sum() / share.sum())


def home_mass(relevance: ArrayLike) -> float:
    """Return what the own mass would be if every expert were at home.

    An expert is at home with the cluster whose data select it most. No assignment has a larger own
    mass; where it is clearly larger than that of an assignment, it is the assignment and not the
    gate that keeps experts from their data.
    """
    share = _checked(relevance, 0.0)
    return own_mass(share, share.argmax(axis=0))


def at_home(relevance: ArrayLike, owner: ArrayLike) -> Mask:
    """Return (E,): whether no cluster's data select an expert more than those of its owner do."""
    share = _checked(relevance, 0.0)
    most = _own(share, owner) & (share >= share.max(axis=0) * (1 - ROUNDING))
    return np.asarray(most.any(axis=0))


def home_threshold(relevance: ArrayLike) -> float:
    """Return the least threshold, in hundredths, at which no draw keeps an expert from its home.

    Above it an expert is relevant to the clusters that select it most, or to none, and then goes
    to these too. That every cluster gets an expert may still take one from its home.
    """
    share = _checked(relevance, 0.0)
    elsewhere = np.where(share >= share.max(axis=0) * (1 - ROUNDING), 0.0, share)
    return min((int(100 * elsewhere.max()) + 1) / 100, 1.0)


def home_clusters(experts: int, clusters: int) -> Mask:
    """Return (E, C): expert ``e`` is at home in cluster ``e mod C``.

    With fewer experts than clusters each cluster ``c`` is at home with expert ``c mod E``.
    """
    e, c = np.ogrid[:experts, :clusters]
    return np.asarray(e % clusters == c % experts)


def density_ratio(relevance: ArrayLike, owner: ArrayLike) -> NDArray[np.float64]:
    """Return (C,): how much denser data related to a cluster's own experts lie with it than at all.

    The Local Expert Relevant Ratio of section III-B over the Global one, which the convergence
    rate of EMS-FL depends on (Theorem 1), estimated from relevance (C, E): the mass of a cluster's
    trial data on its own experts, over the mean of that mass over all clusters, which weigh the
    same. 1 with uniform data; C where all related data are at home. A cluster without experts, or
    whose experts no data select, has nan.
    """
    share = _checked(relevance, 0.0)
    own = _own(share, owner)
    overall = np.full(len(share), 1.0 / len(share)) @ share
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan
        return np.asarray((own * share).sum(axis=1) / (own * overall).sum(axis=1))


def expert_classes(relevance: ArrayLike, threshold: float) -> list[str]:
    """Return the class of each expert (E,) as in Remark 2: ``shared``, ``domain`` or ``seldom``.

    An expert is relevant to a cluster whose data select it with at least ``threshold``. It is
    shared if it is relevant to at least `SHARED_SHARE` of the clusters and to two of them,
    domain-specific if it is relevant to any, and seldom activated otherwise.
    """
    share = _checked(relevance, threshold)
    related = _related(share, threshold).sum(axis=0)
    shared = (related / len(share) >= SHARED_SHARE) & (related >= 2)
    classes = np.where(shared, "shared", np.where(related > 0, "domain", "seldom"))
    return classes.tolist()


def _related(share: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Return (C, E): which experts are strongly correlated with a cluster's data (32)."""
    return (share >= threshold * (1 - ROUNDING)) & (share > 0.0)


def _own(share: NDArray[np.float64], owner: ArrayLike) -> NDArray[np.bool_]:
    """Return (C, E): which experts are a cluster's own."""
    clusters = np.asarray(owner)
    count, experts = share.shape
    if clusters.shape != (experts,) or not np.isin(clusters, np.arange(-1, count)).all():
        raise ValueError(
            f"owner is {clusters.tolist()}; give {experts} clusters of 0 to {count - 1}, or -1 for "
            "nobody"
        )
    return np.asarray(clusters == np.arange(count)[:, None])


def _checked(relevance: ArrayLike, threshold: float) -> NDArray[np.float64]:
    share = np.asarray(relevance, dtype=np.float64)
    if share.ndim != 2 or share.size == 0:
        raise ValueError(f"relevance has shape {share.shape}; give one row per cluster, (C, E)")
    within = (share >= 0.0) & (share <= 1.0)
    if not within.all():
        raise ValueError(f"relevance holds {share[~within][0]}; every entry lies in 0 to 1")
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold is {threshold}; it lies in 0 to 1")
    return share


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
    return np.asarray(owner == np.arange(clients)[:, None])
