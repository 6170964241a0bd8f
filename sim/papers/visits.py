"""The form of satellites that visit stations: visits, rounds, ages of updates, bytes of a pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from sim.papers.forms import PaperRun, Shown, grouped, spread

MOST_COLUMNS = 4
"""A table of more variants has a row for each of them, and a column for each figure."""


def visits(
    runs: Sequence[PaperRun],
    *,
    groups: Mapping[str, str] | None = None,
    training_min: Sequence[float] = (),
    model_mb: float | None = None,
    figures: Sequence[str] = (),
) -> Shown:
    """Show figures of visits and rounds of each variant: medians over its runs, with their range.

    ``groups`` names sets of satellites by what their names begin with; figures of visits are shown
    for each of them, too. For each of ``training_min`` (min) it is counted whose next visit is
    longer; with ``model_mb`` (1e6 bytes) which visits could carry a model of that size to the
    server, which of them twice, and how long that takes. A round of all ends when each satellite
    has come twice: to fetch, and to upload. ``figures`` names those that the table shows, by
    default all. What is measured is named
    ``FIGURE``, with several variants ``VARIANT: FIGURE``.
    """
    columns: dict[str, dict[str, list[float]]] = {}
    for name, own in grouped(runs, lambda run: run.variant).items():
        found: dict[str, list[float]] = columns.setdefault(name, {})
        for run in own:
            for figure, value in _figures(run.result, groups or {}, training_min, model_mb):
                found.setdefault(figure, []).append(value)
    names = list(figures) or list(dict.fromkeys(name for own in columns.values() for name in own))
    cells = {
        variant: [_cell(own.get(name, ())) for name in names] for variant, own in columns.items()
    }
    measured = {
        f"{name}: {figure}" if len(columns) > 1 else figure: median(values)
        for name, found in columns.items()
        for figure, values in found.items()
    }
    if len(columns) > MOST_COLUMNS:
        rows = [[variant, *own] for variant, own in cells.items()]
        return Shown(("variant", *names), rows, measured=measured)
    rows = [list(row) for row in zip(names, *cells.values(), strict=True)]
    return Shown(("figure", *(variant or "here" for variant in cells)), rows, measured=measured)


def _cell(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return spread(known, "{:.4g}") if known else "-"


Figures = Iterator[tuple[str, float]]
"""Figures with their names; nan where there is nothing to count."""


def _figures(
    result: Any, groups: Mapping[str, str], training_min: Sequence[float], model_mb: float | None
) -> Figures:
    contacts = result.contacts
    yield from _of_passes(contacts, training_min, model_mb)
    for name, prefix in groups.items():
        own = contacts[contacts.satellite.str.startswith(prefix)]
        for figure, value in _of_passes(own, training_min, model_mb):
            yield f"{figure}, {name}", value
    yield from _of_rounds_of_all(contacts)
    yield from _of_transfers(result)
    yield from _of_rounds(result)


def _of_passes(contacts: Any, training_min: Sequence[float], model_mb: float | None) -> Figures:
    yield "visits", len(contacts)
    length_s = contacts.set_s - contacts.rise_s
    yield "mean visit (min)", length_s.mean() / 60
    yield "longest visit (min)", length_s.max() / 60
    ordered = contacts.sort_values(["satellite", "rise_s"])
    satellite = ordered.groupby("satellite")
    gap_s = satellite.rise_s.shift(-1) - ordered.set_s
    yield "mean gap (h)", gap_s.mean() / 3600
    following_s = satellite.set_s.shift(-1) - satellite.rise_s.shift(-1)
    for minutes in training_min:
        longer = following_s[following_s.notna()] > minutes * 60
        yield f"next visit longer than {minutes:g} min (%)", 100 * longer.mean()
    capacity = contacts.downlink_capacity_bytes_per_device
    if capacity.notna().any():
        yield "GB a visit", capacity.mean() / 1e9
        yield "GB of the best visit", capacity.max() / 1e9
        yield "Mbit/s over a visit", capacity.sum() * 8 / length_s.sum() / 1e6
        best = capacity.idxmax()
        yield "Mbit/s over the best visit", capacity[best] * 8 / length_s[best] / 1e6
        if model_mb is not None:
            size = model_mb * 1e6
            model_min = size / capacity.sum() * length_s.sum() / 60
            yield "visits that carry the model (%)", 100 * (capacity >= size).mean()
            yield (
                "visits that carry the model twice (%)",
                100 * (capacity >= 2 * size).mean(),
            )
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
    for toward, what in (("server", "uploads"), ("client", "downloads")):
        yield what, len(done[done.toward == toward])
    used = result.contacts.contact_id.isin(result.transfers.contact_id)
    yield "visits without use (%)", 100 * (1 - used.mean())
    yield "age of an upload (h)", _mean_age_s(done) / 3600


def _mean_age_s(done: Any) -> float:
    """Return the mean time (s) from the end of a satellite's download to that of its next upload.

    An upload that has the same model as one before counts from that model's download, too.
    """
    ages_s = []
    for _, own in done.groupby("cluster"):
        downloads_s = np.sort(own.end_s[own.toward == "client"].to_numpy())
        uploads = own[own.toward == "server"]
        known = np.searchsorted(downloads_s, uploads.start_s.to_numpy(), side="right") - 1
        with_model = known >= 0
        ages_s += list(uploads.end_s.to_numpy()[with_model] - downloads_s[known[with_model]])
    return float(np.mean(ages_s)) if ages_s else math.nan


def _of_rounds(result: Any) -> Figures:
    summary = result.summary
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
