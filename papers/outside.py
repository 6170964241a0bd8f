"""Figures of papers from outside, predicted before anybody here had read the paper's results.

    python papers/outside.py crosatfl|dove|fedsat|fedsatschedule

Settings and predictions are in `papers/outside`. A figure is the median over the values of the key
that varies, with their range.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml
from paper_runs import by_variant, runs, spread, table

Study = Mapping[str, Any]
"""A file of settings: ``groups`` of satellites by what their names begin with; ``training_min``,
for each of which visits that follow are counted that are longer; and ``model_mb`` (1e6 bytes), a
model that visits carry once and twice."""
Figures = Iterator[tuple[str, float]]
"""Figures with their names; nan where nothing can be counted."""


def study_of(name: str) -> Study:
    """Return the settings of a paper."""
    text = Path(__file__).with_name("outside").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    study: Study = yaml.safe_load(text)
    return study


def main(name: str) -> None:
    """Run, and print figures, and what was predicted of them."""
    study = study_of(name)
    made = runs(study["scenario"], study["variants"], study["vary"], fixed=study["keys"])
    found: dict[str, dict[str, list[float]]] = {}
    for variant, results in by_variant(made).items():
        for result in results:
            for figure, value in figures_of(result, study):
                found.setdefault(variant, {}).setdefault(figure, []).append(value)
    figures = study.get("figures") or dict.fromkeys(key for own in found.values() for key in own)
    rows = [[figure, *(_cell(own.get(figure, ())) for own in found.values())] for figure in figures]
    print(table(("figure", *found), rows), end="\n\n")
    medians = {f"{v}: {key}": median(own) for v, all_ in found.items() for key, own in all_.items()}
    print(beside(study, medians))


def beside(study: Study, measured: Mapping[str, float]) -> str:
    """Show what was predicted, what comes out here, and what the paper prints."""
    lines = []
    for figure, (value, low, high, unit, *paper) in study["predicted"].items():
        here = measured.get(figure, math.nan)
        ends = "" if low == high else f" ({low:g}..{high:g})"
        within = "in range" if low <= here <= high else "out of range"
        printed, state = "-", "not printed"
        if paper:
            printed = f"{paper[0]:g}"
            state = "equal" if low <= paper[0] <= high else "different"
        lines.append([figure, f"{value:g}{ends} {unit}", f"{here:.4g}", within, printed, state])
    return table(("predicted", "value (range)", "here", "", "the paper", "state"), lines)


def _cell(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return spread(known, "{:.4g}") if known else "-"


def figures_of(result: Any, study: Study) -> Figures:
    """Yield all figures of a run."""
    contacts = result.contacts
    yield from _of_passes(contacts, study)
    for name in study.get("groups", ()):
        own = contacts[contacts.satellite.str.startswith(f"{name}-")]
        for figure, value in _of_passes(own, study):
            yield f"{figure}, {name}", value
    yield from _of_rounds_of_all(contacts)
    yield from _of_transfers(result)
    yield from _of_rounds(result.summary)


def _of_passes(contacts: Any, study: Study) -> Figures:
    yield "visits", len(contacts)
    length_s = contacts.set_s - contacts.rise_s
    yield "mean visit (min)", length_s.mean() / 60
    yield "longest visit (min)", length_s.max() / 60
    ordered = contacts.sort_values(["satellite", "rise_s"])
    satellite = ordered.groupby("satellite")
    gap_s = satellite.rise_s.shift(-1) - ordered.set_s
    yield "mean gap (h)", gap_s.mean() / 3600
    following_s = satellite.set_s.shift(-1) - satellite.rise_s.shift(-1)
    for minutes in study.get("training_min", ()):
        longer = following_s[following_s.notna()] > minutes * 60
        yield f"next visit longer than {minutes:g} min (%)", 100 * longer.mean()
    capacity = contacts.downlink_capacity_bytes_per_device
    if not capacity.notna().any():
        return
    yield "GB a visit", capacity.mean() / 1e9
    yield "GB of the best visit", capacity.max() / 1e9
    yield "Mbit/s over a visit", capacity.sum() * 8 / length_s.sum() / 1e6
    best = capacity.idxmax()
    yield "Mbit/s over the best visit", capacity[best] * 8 / length_s[best] / 1e6
    if "model_mb" in study:
        size = study["model_mb"] * 1e6
        model_min = size / capacity.sum() * length_s.sum() / 60
        yield "visits that carry the model (%)", 100 * (capacity >= size).mean()
        yield "visits that carry the model twice (%)", 100 * (capacity >= 2 * size).mean()
        yield "model once (min)", model_min
        yield "model twice (min)", 2 * model_min


def _of_rounds_of_all(contacts: Any) -> Figures:
    """How long it takes from any visit on until each satellite has come twice, at best and worst.

    No synchronous round of all satellites that trains between visits can be shorter.
    """
    starts_s = np.sort(contacts.rise_s.to_numpy())
    ends_s = starts_s
    for _, own in contacts.groupby("satellite"):
        rises_s = np.append(np.sort(own.rise_s.to_numpy()), [math.inf, math.inf])
        ends_s = np.maximum(ends_s, rises_s[np.searchsorted(rises_s, starts_s) + 1])
    known_s = (ends_s - starts_s)[np.isfinite(ends_s)]
    if len(known_s):
        yield "shortest round of all (h)", known_s.min() / 3600
        yield "longest round of all (h)", known_s.max() / 3600


def _of_transfers(result: Any) -> Figures:
    """Count models in each direction, visits without any, and how old an upload is."""
    done = result.transfers[result.transfers.outcome == "delivered"]
    yield "uploads", len(done[done.toward == "server"])
    yield "downloads", len(done[done.toward == "client"])
    used = result.contacts.contact_id.isin(result.transfers.contact_id)
    yield "visits without use (%)", 100 * (1 - used.mean())
    # From the end of a satellite's download to that of its next upload; an upload of the same model
    # as one before counts from that model's download, too.
    ages_s: list[float] = []
    for _, own in done.groupby("cluster"):
        downloads_s = np.sort(own.end_s[own.toward == "client"].to_numpy())
        uploads = own[own.toward == "server"]
        known = np.searchsorted(downloads_s, uploads.start_s.to_numpy(), side="right") - 1
        with_model = known >= 0
        ages_s += list(uploads.end_s.to_numpy()[with_model] - downloads_s[known[with_model]])
    yield "age of an upload (h)", float(np.mean(ages_s)) / 3600 if ages_s else math.nan


def _of_rounds(summary: Mapping[str, Any]) -> Figures:
    rounds = summary["rounds"]
    yield "rounds", rounds["count"] if rounds else 0
    if rounds and rounds["count"]:
        yield "mean round (h)", rounds["mean_s"] / 3600
        yield "median round (h)", rounds["median_s"] / 3600
    if rounds and rounds["passes_mean_s"] is not None:
        yield "mean round by passes (h)", rounds["passes_mean_s"] / 3600
    yield "hours", summary["hours"]
    yield "days", summary["hours"] / 24
    if summary["updates_used"]:
        yield "mean staleness", summary["staleness_mean"]
        yield "largest staleness", summary["staleness_max"]


if __name__ == "__main__":
    main(*sys.argv[1:])
