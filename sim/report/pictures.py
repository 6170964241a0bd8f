"""Folded pictures of a run's page: rounds, staleness, one pass, fitness, and who has what."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

import scenarios
from sim.analysis.experts import Alignment, splits, variation
from sim.analysis.inference import gating_pattern
from sim.analysis.rounds import round_ends_s
from sim.analysis.samples import SamplesByClass
from sim.execution.result import Result
from sim.plots.canvas import unit_of
from sim.plots.views import contact_view
from sim.report.drawing import (
    BOTTOM,
    LINE,
    SHADES,
    TOP,
    WIDTH,
    Axis,
    Frame,
    Key,
    Picture,
    Shape,
)
from statements.arrays import Floats, Ints

HUES = 8
"""Colours of the page."""
MOST_BARS = 100
"""Bars of the staleness at most; beyond, one stands for several neighbours."""
MOST_COLUMNS = 160
"""Splits that the picture of assignments tells apart."""
MOST_KEYS = 24
"""Clusters up to which each is named below the picture of assignments."""
MOST_WRITTEN = 14
"""Columns up to which each field has its value written in it."""


def rounds(run: Result) -> Picture | None:
    """Return how long each round lasted by when it ended, and the mean; None without rounds."""
    ends_s = round_ends_s(run.tables, run.manifest)
    if not len(ends_s):
        return None
    lasted_s = np.diff(ends_s, prepend=0.0)
    across, up = unit_of(float(ends_s[-1])), unit_of(float(lasted_s.max()))
    lasted = lasted_s / up.seconds
    frame = Frame(
        Axis.of(f"end of the round (simulated {across.name})", ends_s / across.seconds, least=0.0),
        Axis.of(f"lasted ({up.name})", lasted, least=0.0),
    )
    ends = np.array([frame.across.low, frame.across.high])
    mean = frame.line(ends, np.full(2, lasted.mean()), "mean hue-1", 1)
    dots = frame.dots(ends_s / across.seconds, lasted)
    return frame.picture([dots, mean], [Key("a round", "hue-0"), Key("mean", "hue-1")])


def staleness_of_updates(counts: Mapping[int, int]) -> Picture:
    """Return how many updates had which staleness, from ``counts`` by versions."""
    values = np.maximum(list(counts), 0)
    wide = -(-(int(values.max()) + 1) // MOST_BARS)
    updates = np.bincount(values // wide, list(counts.values())).astype(float)
    middles = (np.arange(float(len(updates))) + 0.5) * wide - 0.5
    frame = Frame(
        Axis("staleness (versions)", -0.5 - 0.1 * wide, len(updates) * wide - 0.5 + 0.1 * wide),
        Axis.of("updates", updates, least=0.0),
    )
    return frame.picture([frame.bars(middles, updates, 0.8 * wide)])


def one_contact(run: Result, contact_id: int) -> list[tuple[str, Picture]]:
    """Return elevation, and rate by direction, over a contact; nothing without geometry."""
    if not scenarios.from_dict(run.manifest["scenario"]).orbit.has_geometry:
        return []
    view = contact_view(run.tables["contacts"], run.manifest, contact_id)
    across = Axis("minutes since the rise", 0.0, float(view.minutes[-1]))
    frame = Frame(across, Axis("elevation (degrees)", 0.0, 90.0))
    elevation = frame.line(view.minutes, view.elevation_deg, "mean hue-7")
    found = [("Elevation", frame.picture([elevation]))]
    number = {name: place for place, name in enumerate(view.rate_mbps)}
    for shown in [list(number)] if view.fits_one_scale else [[name] for name in number]:
        rates = [view.rate_mbps[name] for name in shown]
        frame = Frame(across, Axis.of("rate (Mbit/s)", *(rate for _, rate in rates), least=0.0))
        looks = [f"hue-{number[name]}" for name in shown]
        lines = [
            frame.line(minutes, rate, f"mean {look}", number[name])
            for name, (minutes, rate), look in zip(shown, rates, looks, strict=True)
        ]
        keys = [Key(name, look) for name, look in zip(shown, looks, strict=True)]
        found.append((f"Rate of {' and '.join(shown)}", frame.picture(lines, keys)))
    return found


def fitness_and_load(rounds_of: Sequence[Alignment]) -> Picture:
    """Return the mean fitness of assigned pairs, and how experts' loads vary, round by round."""
    days = np.array([one.time_s / 86400.0 for one in rounds_of])
    fitness = np.array([float(one.fitness[one.assigned].mean()) for one in rounds_of])
    load = np.array(
        [variation(one.samples.sum(axis=0)) if one.samples.any() else np.nan for one in rounds_of]
    )
    frame = Frame(
        Axis.of("simulated time (days)", days),
        Axis.of("fitness, variation", fitness, load, least=0.0),
    )
    named = {"mean fitness": (fitness, 0), "variation of load (samples)": (load, 1)}
    shapes = [frame.line(days, own, f"mean hue-{n}", n) for own, n in named.values()]
    known = [(own, np.isfinite(own), n) for own, n in named.values()]
    shapes += [frame.dots(days[at], own[at], f"hue-{n}") for own, at, n in known]
    return frame.picture(shapes, [Key(name, f"hue-{n}") for name, (_, n) in named.items()])


def assignment(assignments: pa.Table) -> Picture | None:
    """Return who trains which expert, by split: the cluster, or how many devices.

    The more relevant an expert is to its cluster, the fuller is the colour.
    """
    found = splits(assignments)
    if found is None:
        return None
    every = np.arange(found.owner.shape[1])
    first = every[np.unique(np.linspace(0, len(every) - 1, MOST_COLUMNS).astype(int))]
    owner, value = found.owner[:, first], found.value[:, first]
    experts = [str(number) for number in range(len(owner))]
    marks = [(float(n), str(found.cycle[place])) for n, place in enumerate(first.tolist())]
    frame = Frame(
        Axis("complete cycles", -0.5, len(first) - 0.5, marks),
        Axis.named("expert", experts),
        height=_tall(len(experts)),
    )
    highest = max(float(np.nanmax(value, initial=0.0)), 1e-12)
    steps = np.minimum((value / highest * SHADES).astype(int), SHADES - 1)
    shapes: list[Shape] = []
    for number in np.unique(owner[owner >= 0]).tolist() if found.clusters else [0]:
        mine = owner == number if found.clusters else value > 0.0
        for step in np.unique(steps[mine]).tolist():
            rows, begins, ends = _runs(mine & (steps == step))
            look = f"hue-{number % HUES} faint-{step}" if found.clusters else f"shade-{step}"
            shapes.append(frame.fields(begins - 0.5, rows, look, ends - begins))
    names = found.clusters if len(found.clusters) <= MOST_KEYS else ()
    keys = [Key(name, f"hue-{number % HUES}") for number, name in enumerate(names)]
    return frame.picture(shapes, keys, grid=False)


def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row, the begin and the end of each run of fields along a row."""
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, begins = np.nonzero(edges == 1)
    return rows, begins, np.nonzero(edges == -1)[1]


def _tall(rows: int) -> int:
    return TOP + BOTTOM + max(rows * LINE, 60)


def gating(assignments: pa.Table) -> Picture | None:
    """Return which client's samples go to which expert first, as shares; None where unknown."""
    found = gating_pattern(assignments)
    if found is None:
        return None
    clients, pattern = found
    texts = [[f"{share:.0%}" if share >= 0.005 else "" for share in row] for row in pattern]
    return _shaded("expert selected first", clients, clients, pattern, texts)


def samples(counts: SamplesByClass) -> Picture:
    """Return how many samples of which class each client has."""
    texts = [[str(int(count)) if count else "" for count in row] for row in counts.samples]
    held = counts.samples.astype(float)
    return _shaded("class", counts.classes, counts.clients, held, texts)


def _shaded(
    axis: str,
    columns: Sequence[str],
    rows: Sequence[str],
    values: Floats,
    texts: Sequence[Sequence[str]],
) -> Picture:
    """Return a field for each value (rows, columns), shaded by its share of the largest."""
    frame = Frame(
        Axis.named(axis, columns), Axis.named("", rows[::-1]), max(WIDTH, 220), _tall(len(rows))
    )
    highest = max(float(np.max(values)), 1e-12)
    steps: Ints = np.minimum((SHADES * values / highest).astype(np.int64), SHADES - 1)
    places = np.indices(values.shape)
    across, place = places[1], len(rows) - 1 - places[0]
    shapes = []
    for step in np.unique(steps).tolist():
        here = (steps == step) & (values > 0.0)
        shapes.append(frame.fields(across[here] - 0.5, place[here], f"shade-{step}"))
    written = []
    if len(columns) <= MOST_WRITTEN:
        written = [
            frame.text(column, len(rows) - 1 - row, words, f"on shade-{steps[row, column]}")
            for row, own in enumerate(texts)
            for column, words in enumerate(own)
            if words
        ]
    return frame.picture(shapes, texts=written, grid=False)
