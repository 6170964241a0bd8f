"""What the page of a run shows of learning: assignment, staleness, inference, load and fitness."""

import pyarrow as pa
import pyarrow.compute as pc

from sim.analysis.answers import latencies
from sim.analysis.experts import Alignment, alignments
from sim.analysis.inference import inference_figures
from sim.formatting import data_size, seconds
from sim.page.page import MOST_ROWS

TIME_WORDS = {
    "propagation": "light time",
    "transmission": "sending",
    "window": "until links open",
    "queue": "behind others",
    "computing": "computing",
}
"""What the time of an answer is spent on, as the page names it."""
MOST_IN_MS_S = 10.0
"""Latencies from here on are in seconds."""


def answers(inferences: pa.Table) -> tuple[list[str], list[list[str]], int]:
    """Return the heads and the rows of a table of queries: of all clients, then by cluster.

    Of many clusters only the first ones; the last number is how many there are.
    """
    clusters = sorted(pc.unique(inferences["cluster"]).to_pylist())
    outcomes = sorted(set(pc.unique(inferences["outcome"]).to_pylist()))
    heads = ["samples", "mean latency", "95 % within", "sent", *outcomes]
    own = (
        (name, inferences.filter(pc.equal(inferences["cluster"], name)))
        for name in clusters[:MOST_ROWS]
    )
    every = (("all", inferences), *own)
    found = ((name, _answers(part)) for name, part in every)
    rows = [[name, *(answer.get(head, "0") for head in heads)] for name, answer in found]
    return ["cluster", *heads], rows, len(clusters)


def latency_rows(answers: pa.Table) -> tuple[list[str], list[list[str]]]:
    """Return the heads and the rows of a table of latencies: of all answers, then by hops.

    What is known of answers over links between satellites alone has no columns elsewhere.
    """
    found = latencies(answers)
    over_links = any(one.parts_s is not None for one in found)
    unit, scale = ("s", 1.0) if found and found[0].most_s >= MOST_IN_MS_S else ("ms", 1e-3)
    heads = ["links", "answers", *(f"{name}, {unit}" for name in ("median", "95 % within", "most"))]
    if over_links:
        heads += ["range, km", *(f"{name}, {unit}" for name in TIME_WORDS.values())]
    rows = []
    for one in found:
        each_s = [one.median_s, one.p95_s, one.most_s]
        cells = ["any" if one.hops is None else str(one.hops), str(one.answers)]
        cells += [f"{time_s / scale:.2f}" for time_s in each_s]
        if one.parts_s is not None:
            cells.append(f"{one.range_km:.0f}")
            cells += [f"{one.parts_s[part] / scale:.2f}" for part in TIME_WORDS]
        rows.append(cells + ["-"] * (len(heads) - len(cells)))
    return heads, rows


def _answers(rows: pa.Table) -> dict[str, str]:
    found = inference_figures(rows)
    assert found is not None  # there are rows
    mean_s = found["latency_mean_s"]
    p95_s = found["latency_p95_s"]
    return {
        "mean latency": "-" if mean_s is None else seconds(mean_s),
        "95 % within": "-" if p95_s is None else seconds(p95_s),
        "samples": str(found["samples"]),
        "sent": data_size(found["sent_bytes"]),
        **{name: str(count) for name, count in found["outcomes"].items()},
    }


def assigned_rounds(assignments: pa.Table) -> list[Alignment]:
    """Return the rounds in which devices were given experts."""
    return [one for one in alignments(assignments) if one.assigned.any()]
