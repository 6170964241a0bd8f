"""Figures of experts: who is at home with whom, how evenly they are used, how they answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from learning.policies import model_splitting
from sim.trace.arrow import array, as_numpy
from sim.trace.tables import pooled_metrics
from statements.arrays import Floats, Ints, Mask

# Load of the experts: how evenly they are given to clients, and how evenly they are used.


Load = NDArray[np.float64] | NDArray[np.int64]


def variation(load: Load) -> float:
    """Coefficient of variation of the experts' ``load`` (E,): std / mean, ddof 0; 0 if unused."""
    return float(np.std(load) / np.mean(load)) if np.any(load) else 0.0


def peak(load: Load) -> float:
    """Largest load over the mean of ``load`` (E,), 1 for even use; 1 if unused."""
    return float(np.max(load) / np.mean(load)) if np.any(load) else 1.0


def jain_index(load: Load) -> float:
    """Jain's index of ``load`` (E,): (sum l)^2 / (E sum l^2), from 1/E to 1; 1 if unused."""
    squares = len(load) * float(np.sum(np.square(load, dtype=np.float64)))
    return float(np.sum(load)) ** 2 / squares if squares else 1.0


def by_cluster(assignments: pa.Table) -> pa.Table:
    """Return the assignments to clusters, which tell of the gate's relevance."""
    return assignments.filter(pc.is_null(assignments.column("device")))


@dataclass(frozen=True, eq=False)
class Split:
    """One assignment: which of the ``clusters`` (C,) has which expert, and who uses it how much.

    ``relevance`` is (C, E); ``owner`` (E,) is the number of a cluster, -1 for none. An expert is at
    home with the cluster that uses it most.
    """

    clusters: list[str]
    relevance: Floats
    owner: Ints

    @property
    def own_mass(self) -> float:
        """Mean over clusters of the gate's mass on the cluster's own experts."""
        return model_splitting.own_mass(self.relevance, self.owner)

    @property
    def home_mass(self) -> float:
        """What the own mass would be if every expert were at home."""
        return model_splitting.home_mass(self.relevance)

    @property
    def at_home(self) -> int:
        """How many experts are at home."""
        return int(model_splitting.at_home(self.relevance, self.owner).sum())


RUN_ENDS = {"start": 0, "end": -1}
"""The first and the last assignment of a run, by the place of one of their rows."""


def split_figures(assignments: pa.Table) -> dict[str, Any]:
    """Return the figures of a summary on who is at home, of assignments to clusters.

    Masses and experts at home are of both ends of a run. Experts by their class (Remark 2: shared,
    domain, seldom), and local over global density of related data by cluster, are of its start.
    None without experts.
    """
    if not len(assignments):
        return dict.fromkeys(
            ("own_mass", "home_mass", "experts_home", "expert_classes", "density_ratio")
        )
    ends = {name: split_at(assignments, place) for name, place in RUN_ENDS.items()}
    first = assignments.filter(pc.equal(assignments["time_s"], assignments["time_s"][0]))
    classes = dict(zip(first["expert"].to_pylist(), first["expert_class"].to_pylist(), strict=True))
    start = ends["start"]
    ratios = model_splitting.density_ratio(start.relevance, start.owner).tolist()
    known = (None if np.isnan(ratio) else ratio for ratio in ratios)
    return {
        "own_mass": {name: split.own_mass for name, split in ends.items()},
        "home_mass": {name: split.home_mass for name, split in ends.items()},
        "experts_home": {
            **{name: split.at_home for name, split in ends.items()},
            "of": len(start.owner),
        },
        "expert_classes": {
            name: sorted(expert for expert, own in classes.items() if own == name)
            for name in ("shared", "domain", "seldom")
        },
        "density_ratio": dict(zip(start.clusters, known, strict=True)),
    }


def split_at(assignments: pa.Table, place: int) -> Split:
    """Return the assignment of a row: 0 is the first, -1 the last."""
    clusters = sorted(pc.unique(assignments["cluster"]).to_pylist())
    rows = assignments.filter(pc.equal(assignments["time_s"], assignments["time_s"][place]))
    cluster = pc.index_in(rows["cluster"], value_set=array(clusters))
    cluster, expert, given = map(as_numpy, (cluster, rows["expert"], rows["assigned"]))
    relevance = np.zeros((len(clusters), 1 + expert.max()))
    owner = np.full(1 + expert.max(), -1)
    relevance[cluster, expert] = as_numpy(rows["relevance"])
    owner[expert[given]] = cluster[given]
    return Split(clusters, relevance, owner)


class Splits(NamedTuple):
    """Who trains which expert (E) after which split (S); ``cycle`` (S,) were complete by then.

    Where experts are given to ``clusters``, ``owner`` (E, S) is the number of the cluster, -1 for
    none, and ``value`` (E, S) its relevance, 1 where nothing measured one. Where they are given to
    devices there are no clusters, and ``value`` is how many devices train the expert.
    """

    clusters: list[str]
    cycle: Ints
    owner: Ints
    value: Floats


def splits(assignments: pa.Table) -> Splits | None:
    """Return who trains which expert after each split; None where nobody is given any."""
    if not len(assignments):
        return None
    clusters = by_cluster(assignments)
    rows = clusters if len(clusters) else assignments
    names = sorted(pc.unique(rows["cluster"]).to_pylist()) if len(clusters) else []
    time_s, first = np.unique(as_numpy(rows["time_s"]), return_index=True)
    given = rows.filter(rows["assigned"])
    expert = as_numpy(given["expert"])
    split = np.searchsorted(time_s, as_numpy(given["time_s"]))
    shape = 1 + pc.max(assignments["expert"]).as_py(), len(time_s)
    owner, value = np.full(shape, -1), np.zeros(shape)
    if names:
        owner[expert, split] = as_numpy(pc.index_in(given["cluster"], value_set=array(names)))
        relevance = as_numpy(given["relevance"], np.nan)
        highest = np.nanmax(relevance) if np.isfinite(relevance).any() else 1.0
        value[expert, split] = np.nan_to_num(relevance, nan=float(highest))
    else:
        np.add.at(value, (expert, split), 1)
    return Splits(names, as_numpy(rows["cycle"])[first], owner, value)


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


# Inference: which experts answer for whom, how well, and how fast.


EXPERT_METRICS = (
    "f1",
    "local_ratio",
    "local_count_share",
    "local_weight_share",
    "local_reach_ratio",
    "reach_accuracy",
)
"""Columns of the metrics table that methods fill whose clients answer together."""


def answer_figures(tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Return the last measured F1 and local shares, and the figures of inference; None for none."""
    last = pooled_metrics(tables)
    known = {key: last.column(key).drop_null().to_pylist() for key in EXPERT_METRICS}
    return {
        **{f"{key}_final": values[-1] if values else None for key, values in known.items()},
        "utilisation": utilisation(tables["assignments"]),
        "inference": inference_figures(tables.get("inferences")),
        "answers": answer_latencies(tables.get("answers")),
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
    """Return samples by outcome, latency (mean and 95th percentile), accuracy and bytes.

    None without any. The latency is that of answered samples: each counts once, however many went
    the same way. The accuracy is the share of all samples that were answered correctly.
    """
    if inferences is None or not len(inferences):
        return None
    samples, latency_s = (as_numpy(inferences.column(key)) for key in ("samples", "latency_s"))
    outcomes = np.array(inferences.column("outcome").to_pylist())
    answered = (outcomes != "failed") & np.isfinite(latency_s)
    each_s = np.sort(np.repeat(latency_s[answered], samples[answered]))
    counts = {name: int(samples[outcomes == name].sum()) for name in sorted(set(outcomes.tolist()))}
    return {
        "samples": int(samples.sum()),
        "outcomes": counts,
        "latency_mean_s": float(each_s.mean()) if len(each_s) else None,
        "latency_p95_s": nearest_rank(each_s, 95) if len(each_s) else None,
        "accuracy": _accuracy(inferences),
        "sent_bytes": float(pc.sum(inferences.column("sent_bytes")).as_py() or 0.0),
    }


def _accuracy(inferences: pa.Table) -> float | None:
    """Return the share of all samples that were answered correctly; None where nobody knows."""
    if "correct" not in inferences.column_names or inferences.column("correct").null_count:
        return None
    counts = (pc.sum(inferences.column(key)).as_py() for key in ("correct", "samples"))
    correct, samples = counts
    return float(correct / samples)


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


# How long experts of other clients take to answer, and what for, by the links of the request.

LATENCY_PARTS = ("propagation", "transmission", "window", "queue")
"""What request and answer spend their time on, besides computing: columns of the table."""
SPEED_OF_LIGHT_KM_S = 299_792.458


def answer_latencies(answers: pa.Table | None) -> dict[str, Any] | None:
    """Return how many experts were asked and never answered, and the latencies of the others.

    ``latencies`` are those of all, and behind them by the hops of their requests; nothing where
    nobody answered. None where no expert of another client was asked.
    """
    if answers is None or not len(answers):
        return None
    came = answers.filter(array(np.isfinite(as_numpy(answers.column("latency_s")))))
    hops = as_numpy(came.column("request_hops"))
    numbers = np.unique(hops[np.isfinite(hops)]).astype(np.int64).tolist()
    return {
        "asked": len(answers),
        "lost": len(answers) - len(came),
        "latencies": [_latencies(came, number) for number in (None, *numbers)] if len(came) else [],
    }


def _latencies(answers: pa.Table, hops: int | None) -> dict[str, Any]:
    """Return latencies of answers whose requests took so many ``hops``, of all for None.

    Percentiles are by nearest rank. ``parts_s`` are the means of light time, sending, waiting for
    links to open, waiting for others' messages, all of request and answer together, and computing.
    They are None where answers did not come over links between satellites. ``range_km`` is the mean
    length of the way there.
    """
    rows = answers if hops is None else answers.filter(pc.equal(answers["request_hops"], hops))

    def mean(name: str) -> float:
        return float(as_numpy(rows.column(name)).mean())

    parts = {part: mean(f"request_{part}_s") + mean(f"answer_{part}_s") for part in LATENCY_PARTS}
    parts["computing"] = mean("computing_s")
    over_links = bool(np.isfinite(list(parts.values())).all())
    latency_s = np.sort(as_numpy(rows.column("latency_s")))
    return {
        "hops": hops,
        "answers": len(latency_s),
        "median_s": nearest_rank(latency_s, 50),
        "p95_s": nearest_rank(latency_s, 95),
        "most_s": float(latency_s[-1]),
        "parts_s": parts if over_links else None,
        "range_km": mean("request_propagation_s") * SPEED_OF_LIGHT_KM_S if over_links else None,
    }


def nearest_rank(in_order: Floats, percent: int) -> float:
    """Return a percentile of numbers in order: the smallest that so many of 100 do not exceed."""
    return float(in_order[(percent * len(in_order) + 99) // 100 - 1])
