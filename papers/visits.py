"""What satellites that visit stations come to: visits, rounds, ages of updates, bytes of a pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from paper_runs import Run, by_variant, spread, table

MOST_COLUMNS = 4
"""A table of more variants has a row for each of them, and a column for each figure."""
Figures = Iterator[tuple[str, float]]
"""Figures with their names; nan where nothing can be counted."""


class Asked(NamedTuple):
    """What is counted besides: of ``groups`` of satellites by what their names begin with, too.

    For each of ``training_min`` whose next visit is longer; with ``model_mb`` (1e6 bytes) which
    visits carry a model of that size, once and twice, and how long that takes.
    """

    groups: Mapping[str, str] = {}
    training_min: Sequence[float] = ()
    model_mb: float | None = None


NOTHING_ELSE = Asked()


def visits(
    made: Sequence[Run], figures: Sequence[str] = (), asked: Asked = NOTHING_ELSE
) -> tuple[str, dict[str, float]]:
    """Return the table of some figures, or of all, and the median of each by its name.

    Cells are medians over the runs of a variant, with their range.
    """
    columns: dict[str, dict[str, list[float]]] = {}
    for name, own in by_variant(made).items():
        found: dict[str, list[float]] = columns.setdefault(name, {})
        for run in own:
            for figure, value in figures_of(run.result, asked):
                found.setdefault(figure, []).append(value)
    names = list(figures) or list(dict.fromkeys(name for own in columns.values() for name in own))
    cells = [[_cell(own.get(name, ())) for name in names] for own in columns.values()]
    measured = {
        f"{variant}: {figure}": median(values)
        for variant, found in columns.items()
        for figure, values in found.items()
    }
    if len(columns) > MOST_COLUMNS:
        rows = [[name, *own] for name, own in zip(columns, cells, strict=True)]
        return table(("variant", *names), rows), measured
    rows = [list(row) for row in zip(names, *cells, strict=True)]
    return table(("figure", *columns), rows), measured


def _cell(values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    return spread(known, "{:.4g}") if known else "-"


def figures_of(result: Any, asked: Asked = NOTHING_ELSE) -> Figures:
    """Yield all figures of a run."""
    contacts = result.contacts
    yield from _of_passes(contacts, asked)
    for name, prefix in asked.groups.items():
        own = contacts[contacts.satellite.str.startswith(prefix)]
        for figure, value in _of_passes(own, asked):
            yield f"{figure}, {name}", value
    yield from _of_rounds_of_all(contacts)
    yield from _of_transfers(result)
    yield from _of_rounds(result.summary)


def _of_passes(contacts: Any, asked: Asked) -> Figures:
    yield "visits", len(contacts)
    length_s = contacts.set_s - contacts.rise_s
    yield "mean visit (min)", length_s.mean() / 60
    yield "longest visit (min)", length_s.max() / 60
    ordered = contacts.sort_values(["satellite", "rise_s"])
    satellite = ordered.groupby("satellite")
    gap_s = satellite.rise_s.shift(-1) - ordered.set_s
    yield "mean gap (h)", gap_s.mean() / 3600
    following_s = satellite.set_s.shift(-1) - satellite.rise_s.shift(-1)
    for minutes in asked.training_min:
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
    if asked.model_mb is not None:
        size = asked.model_mb * 1e6
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
