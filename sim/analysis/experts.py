"""Figures of experts: gate mass, density, alignment, networked inference."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from learning.policies import model_splitting
from learning.policies.alignment import jain_index, peak, variation
from learning.requests.cluster import Floats, Ints, Mask
from sim.trace.arrow import array, as_numpy, word


def by_cluster(assignments: pa.Table) -> pa.Table:
    """Return the assignments to clusters, which tell of the gate's relevance."""
    return assignments.filter(pc.is_null(assignments.column("device")))


def own_mass(assignments: pa.Table) -> dict[str, float] | None:
    """Mean over clusters of the gate's mass on the cluster's own experts, first and last."""
    if not len(assignments):
        return None
    splits = {name: _split(assignments, place) for name, place in (("start", 0), ("end", -1))}
    return {name: float(model_splitting.own_mass(*split[1:])) for name, split in splits.items()}


def density_ratio(assignments: pa.Table) -> dict[str, float | None] | None:
    """Local over global density of related data by cluster at the start; None without experts."""
    if not len(assignments):
        return None
    clusters, *split = _split(assignments, 0)
    ratios = model_splitting.density_ratio(*split).tolist()
    known = (None if np.isnan(ratio) else ratio for ratio in ratios)
    return dict(zip(clusters, known, strict=True))


def expert_classes(assignments: pa.Table) -> dict[str, list[int]] | None:
    """Experts by their class at the start (Remark 2): shared, domain, seldom."""
    if not len(assignments):
        return None
    first = assignments.filter(pc.equal(assignments["time_s"], assignments["time_s"][0]))
    known = dict(zip(first["expert"].to_pylist(), first["expert_class"].to_pylist(), strict=True))
    return {
        name: sorted(expert for expert, found in known.items() if found == name)
        for name in ("shared", "domain", "seldom")
    }


def _split(assignments: pa.Table, place: int) -> tuple[list[str], Floats, Ints]:
    """Clusters, relevance (C, E) and owner (E,; -1 for none) of the assignment of a row."""
    clusters = sorted(pc.unique(assignments["cluster"]).to_pylist())
    rows = assignments.filter(pc.equal(assignments["time_s"], assignments["time_s"][place]))
    cluster = pc.index_in(rows["cluster"], value_set=array(clusters))
    cluster, expert, given = map(as_numpy, (cluster, rows["expert"], rows["assigned"]))
    relevance, owner = np.zeros((len(clusters), 1 + expert.max())), np.full(1 + expert.max(), -1)
    relevance[cluster, expert] = as_numpy(rows["relevance"])
    owner[expert[given]] = cluster[given]
    return clusters, relevance, owner


class Alignment(NamedTuple):
    """One round's assignment: who trained what (C, E), how fit, and what came of the round before.

    ``samples`` (C, E) are those that each client's experts served in the round before this one.
    """

    time_s: float
    fitness: Floats
    assigned: Mask
    samples: Ints


def alignments(assignments: pa.Table) -> Iterator[Alignment]:
    """Return the assignments to devices that tell what experts have served, in order of time."""
    rows = assignments.filter(
        pc.and_(pc.is_valid(assignments["device"]), pc.is_valid(assignments["samples"]))
    )
    if not len(rows):
        return
    experts = 1 + pc.max(rows["expert"]).as_py()
    times = as_numpy(rows["time_s"])
    for time_s in np.unique(times):
        here = rows.filter(array(times == time_s))
        fitness, assigned, samples = (
            as_numpy(here[key]).reshape(-1, experts) for key in ("relevance", "assigned", "samples")
        )
        yield Alignment(float(time_s), fitness, assigned.astype(bool), samples)


def alignment_figures(assignments: pa.Table) -> dict[str, Any] | None:
    """Return how evenly experts were used, as means over the rounds; None for other methods.

    The coefficient of variation (standard deviation over mean) of an expert's assignments and of
    its samples; Jain's index of the samples and the largest load over the mean, both 1 for even
    use; the mean fitness of assigned pairs.
    """
    rounds = list(alignments(assignments))
    if not rounds:
        return None
    served = [round_.samples.sum(axis=0) for round_ in rounds if round_.samples.any()]
    given = [round_.assigned.sum(axis=0) for round_ in rounds if round_.assigned.any()]
    fit = [round_.fitness[round_.assigned].mean() for round_ in rounds if round_.assigned.any()]
    return {
        "rounds": len(given),
        "assignment_variation": _mean([variation(load) for load in given]),
        "sample_variation": _mean([variation(load) for load in served]),
        "jain_index": _mean([jain_index(load) for load in served]),
        "sample_peak": _mean([peak(load) for load in served]),
        "fitness_mean": _mean(fit),
        "fitness_last": float(fit[-1]) if fit else None,
    }


def _mean(values: list[Any]) -> float | None:
    return float(np.mean(values)) if values else None


# Figures of networked experts: who answers for whom, how well, and how fast.


MEASURED = ("f1", "local_ratio", "local_count_share", "local_weight_share", "local_reach_ratio")
"""Columns of the metrics table that only networked experts fill."""


def networked_figures(tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Return the last measured F1 and local shares, and the figures of inference; None for none."""
    metrics = tables["metrics"]
    last = metrics.filter(pc.equal(metrics.column("scope"), word("global")))
    known = {key: last.column(key).drop_null().to_pylist() for key in MEASURED}
    return {
        **{f"{key}_final": values[-1] if values else None for key, values in known.items()},
        "utilisation": utilisation(tables["assignments"]),
        "inference": inference_figures(tables.get("inferences")),
    }


def utilisation(assignments: pa.Table) -> dict[str, Any] | None:
    """Return the share of all clients' samples that each expert gets first, and how it varies.

    ``variation`` is the coefficient of variation over experts, ``unused`` how many get nothing.
    """
    found = gating_pattern(assignments)
    if found is None:
        return None
    share = found[1].mean(axis=0)
    return {
        "share": share.tolist(),
        "variation": variation(share),
        "unused": int((share == 0.0).sum()),
    }


def inference_figures(inferences: pa.Table | None) -> dict[str, Any] | None:
    """Return samples by outcome, latency (mean and 95th percentile) and bytes; None without any.

    The latency is that of answered samples: each counts once, however many went the same way.
    """
    if inferences is None or not len(inferences):
        return None
    samples, latency_s = (as_numpy(inferences.column(key)) for key in ("samples", "latency_s"))
    outcomes = np.array(inferences.column("outcome").to_pylist())
    answered = (outcomes != "failed") & np.isfinite(latency_s)
    each_s = np.sort(np.repeat(latency_s[answered], samples[answered]))
    last = (95 * len(each_s) + 99) // 100 - 1
    counts = {name: int(samples[outcomes == name].sum()) for name in sorted(set(outcomes.tolist()))}
    return {
        "samples": int(samples.sum()),
        "outcomes": counts,
        "latency_mean_s": float(each_s.mean()) if len(each_s) else None,
        "latency_p95_s": float(each_s[last]) if len(each_s) else None,
        "sent_bytes": float(pc.sum(inferences.column("sent_bytes")).as_py() or 0.0),
    }


def gating_pattern(assignments: pa.Table) -> tuple[list[str], Floats] | None:
    """Return the clients' names and P (N, N): the share of client i's samples that go to expert e.

    The last pattern that was measured; None where there is none.
    """
    rows = assignments.filter(
        pc.and_(pc.is_valid(assignments["device"]), pc.is_valid(assignments["probability"]))
    )
    if not len(rows):
        return None
    last = rows.filter(pc.equal(rows["time_s"], pc.max(rows["time_s"])))
    clients = [
        f"{row['cluster']}/{row['device']}"
        for row in last.select(["cluster", "device", "expert"]).to_pylist()
        if row["expert"] == 0
    ]
    pattern = as_numpy(last["relevance"]).reshape(len(clients), -1)
    return clients, pattern
