"""Figures of inference: which experts answer for whom, how well, and how fast."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.experts import variation
from sim.trace.arrow import array, as_numpy
from sim.trace.tables import pooled_metrics
from statements.arrays import Floats

MEASURED = (
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
    known = {key: last.column(key).drop_null().to_pylist() for key in MEASURED}
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

PARTS = ("propagation", "transmission", "window", "queue")
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

    parts = {part: mean(f"request_{part}_s") + mean(f"answer_{part}_s") for part in PARTS}
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
