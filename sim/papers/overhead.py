"""The form of costs: bytes that a device uploads in one contact, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.papers.forms import PaperRun, Shown


def sizes(result: Any) -> dict[str, float]:
    """Return the largest upload of experts (or of the model) and of the gate, and memory, in bytes.

    Memory is the least that a device has to load in the run: with a masked gate, while it is.
    """
    up = {
        payload["payload"].split(":")[0]: payload["bytes"]
        for payload in result.summary["payloads"]
        if payload["direction"] == "uplink"
    }
    return {
        "experts": up.get("experts", up.get("model", 0.0)),
        "gate": up.get("gate", 0.0),
        "memory": result.summary["least_device_memory_bytes"],
        "expert memory": result.summary["least_expert_memory_bytes"],
    }


HEAD = ("method", "upload (MB)", "peak memory (GB)", "experts of it (GB)")


def overhead(runs: Sequence[PaperRun], *, own: str, baseline: str) -> Shown:
    """Show a row for each variant, and in the last one ratio and difference of two of them.

    Uploads are those of what is trained between contacts (experts, or the model) in one contact.
    """
    found = {run.variant: sizes(run.result) for run in runs}
    rows = [
        [
            name,
            f"{one['experts'] / 1e6:.2f}",
            f"{one['memory'] / 1e9:.2f}",
            f"{one['expert memory'] / 1e9:.2f}",
        ]
        for name, one in found.items()
    ]
    less, more = found[own], found[baseline]
    ratio = more["experts"] / less["experts"]
    saved = {key: (more[key] - less[key]) / 1e9 for key in ("memory", "expert memory")}
    rows.append(
        ["ratio / difference", f"{ratio:.2f}x", *(f"+{value:.2f}" for value in saved.values())]
    )
    measured = {
        f"upload of {own} (MB)": less["experts"] / 1e6,
        "uploads, ratio": ratio,
        "peak memory, difference (GB)": saved["memory"],
    }
    return Shown(HEAD, rows, measured=measured)
