"""The data of a replay: one sky for all runs, and what each run did under it.

Times are whole numbers of ``unit_s``. Lists of whole numbers are packed (``packing``); those that
rise are packed as steps. The keys are explained where they are made; ``templates/replay.js`` reads
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import orbit
import scenarios
from orbit.utc import Start
from sim.analysis.evaluations import Judged, figures_over_hours, judged_together
from sim.analysis.rounds import client_word
from sim.analysis.run import Run
from sim.analysis.spans import of_stations, over_feeder, places_of
from sim.draw.colours import looks_of
from sim.draw.views import land_rings
from sim.errors import InputError
from sim.replay.batteries import Held, charges, held_by, lowest
from sim.replay.faults import packed_faults
from sim.replay.orbits import arcs_of, numbers_of
from sim.replay.packing import packed, steps
from sim.replay.traffic import (
    NO_SPANS,
    LaneSpans,
    contact_lanes,
    counted,
    hop_lanes,
    times_counted,
    union,
)
from sim.trace.arrow import as_numpy
from sim.trace.sorting import says
from sim.trace.tables import pieces_of
from sim.world.scenery import scenery_of
from statements import Code
from statements.arrays import Floats, Ints

MOST_REPLAYED_CONTACTS = 8_000
"""Contacts that a page carries; a replay of more ends early, and says so."""
MOST_RUNS = 4
"""Runs that a reader can follow at once."""
SHOWN_STEPS = 50_000
"""Steps of time of a run that a screen shows apart: a second of half a day and more."""
MOST_TICKS = 2_000
"""Aggregations that can be told apart on a screen."""
LEARNT_UNIT = 1e-6
LAND_UNIT_DEG = 0.1
NOT_SERVED = -1


@dataclass(frozen=True)
class ReplayedContacts:
    """Contacts (C,) in order of their rise, by satellite and place as numbers."""

    contact_id: Ints
    satellite: Ints
    place: Ints
    rise_s: Floats
    set_s: Floats
    served: np.ndarray
    service_start_s: Floats
    service_end_s: Floats


@dataclass(frozen=True)
class Sky:
    """Who flies, and over what: names of satellites and places, and where these are.

    Without orbits there are names only. A place is a site, or a satellite that serves others.
    """

    satellites: Sequence[str]
    flying: Sequence[orbit.Satellite]
    places: Sequence[str]
    sites: Mapping[str, orbit.Site]
    mask_deg: float


def scene(runs: Mapping[str, Run]) -> dict[str, Any]:
    """Return the data of a replay of runs by their labels, ready for JSON.

    Raises InputError for runs that do not share a sky: see :func:`share_sky`, and for a run that
    simulated nothing.
    """
    first = max(runs.values(), key=_end_s)
    if not share_sky(list(runs.values())):
        raise InputError.of_option(
            "replay",
            Code.WRONG_VALUE,
            "the runs differ in start, orbit or contacts",
            "name one of them",
        )
    if not _end_s(first) > 0.0:
        raise InputError.of_option(
            "replay", Code.NOT_RECORDED, "the run ended before anything happened"
        )
    sky = sky_of(first)
    contacts = contacts_of(first, sky)
    end_s = _end_s(first)
    if len(contacts.rise_s) > MOST_REPLAYED_CONTACTS:
        end_s = min(end_s, float(contacts.rise_s[MOST_REPLAYED_CONTACTS]))
    start = Start.of(datetime.fromisoformat(first.manifest["start_utc"]))
    unit_s = time_unit_s(end_s)
    arcs = [arcs_of(satellite, start, end_s) for satellite in sky.flying]
    held = [held_by(run.tables) for run in runs.values()]
    shown = [name for name in lowest(held) if name in sky.satellites] if sky.flying else []
    looks = looks_of([run.manifest.get("method") for run in runs.values()])
    summaries = [run.summary for run in runs.values()]
    judged = judged_together(summaries)
    return {
        "start_utc": first.manifest["start_utc"],
        "end_s": _clock_end_s(end_s, unit_s),
        "simulated_s": _end_s(first),
        "unit_s": unit_s,
        "client": client_word(first.manifest),
        "satellites": list(sky.satellites),
        "orbits": numbers_of(arcs),
        "places": [_place(name, sky) for name in sky.places],
        "mask_deg": sky.mask_deg,
        "contacts": _packed_contacts(contacts, end_s, unit_s),
        "links": _packed_links(_links(first, sky), sky, end_s, unit_s),
        # Satellites (by number) whose batteries are shown, and when these are in the shadow.
        "batteries": [sky.satellites.index(name) for name in shown],
        "shadows": _shadows(
            [sky.flying[sky.satellites.index(name)] for name in shown], first, end_s
        ),
        "judged_by": judged,
        "figure": _figure_name(judged, summaries),
        "runs": [
            _of_run(label, run, look.hue, sky, end_s, unit_s)
            | {"learnt": _learnt(run, judged, end_s, unit_s)}
            | {"battery": _battery(run, charge, shown, end_s, unit_s)}
            for (label, run), look, charge in zip(runs.items(), looks, held, strict=True)
        ],
        "land": _land() if sky.flying else None,
    }


def time_unit_s(end_s: float) -> float:
    """Return the unit in which times of a replay are written: finer for a short run."""
    step_s = np.clip(end_s / SHOWN_STEPS, 0.01, 1.0)  # a run may take no time
    return float(10.0 ** np.floor(np.log10(step_s)))


def _end_s(run: Run) -> float:
    return float(run.manifest["simulated_s"])


def share_sky(runs: Sequence[Run]) -> bool:
    """Whether runs have the same start, orbit and contacts, as far as each of them goes."""
    first, *others = runs
    return all(_same_sky(first, other) for other in others)


def _same_sky(one: Run, other: Run) -> bool:
    said = [(r.manifest["start_utc"], r.manifest["scenario"]["orbit"]) for r in (one, other)]
    if said[0] != said[1]:
        return False
    end_s = min(_end_s(one), _end_s(other))
    seen = []
    gateways = []
    for run in (one, other):
        contacts = run.tables["contacts"]
        early = contacts.filter(pc.less(contacts["rise_s"], end_s))
        seen.append(early.select(["contact_id", "satellite", "cluster", "station", "rise_s"]))
        if (feeder := run.tables.get("feeder_windows")) is not None:
            early = feeder.filter(pc.less(feeder["start_s"], end_s))
            gateways.append(early.select(["satellite", "station", "start_s"]))
    if len(gateways) == 1 or (gateways and not gateways[0].equals(gateways[1])):
        return False
    return bool(seen[0].equals(seen[1]))


def sky_of(run: Run) -> Sky:
    """Return who flies in a run, and over what."""
    contacts = run.tables["contacts"]
    scenario = scenarios.from_dict(run.manifest["scenario"])
    names = pc.unique(place_column(contacts)).to_pylist()
    if not scenario.orbit.has_geometry:
        satellites = sorted(pc.unique(contacts["satellite"].drop_null()).to_pylist())
        return Sky(satellites, [], sorted(names), {}, 0.0)
    scenery = scenery_of(scenario)
    flying = scenery.flying
    sites = {site.name: site for site in scenery.sites}
    mask_deg = float(run.manifest["scenario"]["orbit"]["min_elevation_deg"])
    return Sky([s.name for s in flying], flying, list(sites) or sorted(names), sites, mask_deg)


def place_column(contacts: pa.Table) -> pa.ChunkedArray:
    """Return the column that names a contact's place: its station, or its cluster."""
    return contacts["station" if of_stations(contacts) else "cluster"]


def contacts_of(run: Run, sky: Sky) -> ReplayedContacts:
    """Return the contacts of a run that begin before it ends, those of known places.

    Those of satellites with gateways have numbers behind the others.
    """
    contacts = run.tables["contacts"]
    columns = [
        as_numpy(contacts["contact_id"]),
        places_of(contacts["satellite"], sky.satellites),
        places_of(place_column(contacts), sky.places),
        *(as_numpy(contacts[name]) for name in ("rise_s", "set_s", "served")),
        *(as_numpy(contacts[name]) for name in ("service_start_s", "service_end_s")),
    ]
    if (feeder := run.tables.get("feeder_windows")) is not None:
        begin_s, end_s = (as_numpy(feeder[name]) for name in ("start_s", "end_s"))
        gateways = [
            len(contacts) + np.arange(len(feeder)),
            places_of(feeder["satellite"], sky.satellites),
            places_of(feeder["station"], sky.places),
            *(begin_s, end_s, np.ones(len(feeder), bool)),
            *(begin_s, end_s),
        ]
        columns = [np.concatenate(both) for both in zip(columns, gateways, strict=True)]
    rise_s = columns[3]
    order = np.argsort(rise_s, kind="stable")
    order = order[(rise_s[order] < _end_s(run)) & (columns[2][order] >= 0)]
    return ReplayedContacts(*(column[order] for column in columns))


def _place(name: str, sky: Sky) -> dict[str, Any]:
    site = sky.sites.get(name)
    if site is None:
        number = [sky.satellites.index(name)] if sky.flying and name in sky.satellites else []
        return {"name": name} | ({"satellite": number[0]} if number else {})
    own = site.min_elevation_deg
    mask_deg = sky.mask_deg if own is None else own
    where = {"longitude_deg": site.longitude_deg, "latitude_deg": site.latitude_deg}
    return {"name": name, **where, "mask_deg": mask_deg}


def _packed_contacts(contacts: ReplayedContacts, end_s: float, unit_s: float) -> dict[str, str]:
    """``rise`` in steps, how long each ``lasts``, its ``satellite`` (-1: unknown) and ``place``."""
    shown = contacts.rise_s < end_s
    rise = _units(contacts.rise_s[shown], unit_s)
    lasts = _units(contacts.set_s[shown], unit_s) - rise
    return {
        "rise": packed(steps(rise)),
        "lasts": packed(lasts),
        "satellite": packed(contacts.satellite[shown]),
        "place": packed(contacts.place[shown]),
    }


def _units(time_s: Floats, unit_s: float) -> Ints:
    return np.rint(time_s / unit_s).astype(np.int64)


def _clock_end_s(end_s: float, unit_s: float) -> float:
    """Return where the clock of a page stops: not before the last moment, as rounding has it."""
    return max(end_s, int(end_s / unit_s) * unit_s)


def _moments(time_s: Floats, end_s: float, unit_s: float) -> Ints:
    """Return moments in whole units, none of them behind the end, where the clock stops."""
    return np.minimum(_units(time_s, unit_s), int(end_s / unit_s))


def _links(run: Run, sky: Sky) -> LaneSpans:
    """Return when two satellites have a link: lane a * N + b."""
    windows = run.tables.get("isl_windows")
    if windows is None or not sky.flying:
        return NO_SPANS
    one, other = (places_of(windows[name], sky.satellites) for name in ("a", "b"))
    known = (one >= 0) & (other >= 0)
    lane = (one * len(sky.satellites) + other)[known]
    begin_s, end_s = (as_numpy(windows[n])[known] for n in ("start_s", "end_s"))
    return union(LaneSpans(lane, begin_s, end_s))


def _packed_links(links: LaneSpans, sky: Sky, end_s: float, unit_s: float) -> dict[str, str]:
    """From ``a`` to ``b`` (numbers of satellites): each ``begins``, in steps, and ``lasts``."""
    shown = links.begin_s < end_s
    order = np.flatnonzero(shown)[np.argsort(links.begin_s[shown], kind="stable")]
    one, other = np.divmod(links.lane[order], max(len(sky.satellites), 1))
    return {"a": packed(one), "b": packed(other), **_begins(links, order, end_s, unit_s)}


def _begins(spans: LaneSpans, order: Ints, end_s: float, unit_s: float) -> dict[str, str]:
    begins = _units(spans.begin_s[order], unit_s)
    ends = np.maximum(_units(np.minimum(spans.end_s[order], end_s), unit_s), begins + 1)
    return {"begins": packed(steps(begins)), "lasts": packed(ends - begins)}


def _shadows(flying: Sequence[orbit.Satellite], run: Run, end_s: float) -> dict[str, str]:
    """The eclipses of ``battery`` after battery: each ``begins``, in steps, and ``lasts``."""
    if not flying:
        return {"battery": "", "begins": "", "lasts": ""}
    start = datetime.fromisoformat(run.manifest["start_utc"])
    found = orbit.eclipses(flying, start, start + timedelta(seconds=end_s))
    order = np.argsort(found.enter_s, kind="stable")
    spans = LaneSpans(found.satellite, found.enter_s, found.leave_s)
    return {
        "battery": packed(found.satellite[order]),
        **_begins(spans, order, end_s, time_unit_s(end_s)),
    }


def _battery(
    run: Run, held: Mapping[str, Held], names: Sequence[str], end_s: float, unit_s: float
) -> dict[str, Any] | None:
    """What the batteries by these names hold, when, and when computing stops; None without any."""
    settings = run.manifest["scenario"]["compute"].get("battery")
    if not held or not settings:
        return None
    sizes = {key: settings[key] for key in ("capacity_wh", "reserve")}
    return sizes | charges(held, names, min(end_s, _end_s(run)), unit_s)


def _of_run(
    label: str, run: Run, hue: int, sky: Sky, end_s: float, unit_s: float
) -> dict[str, Any]:
    """What one run did: services of the contacts, spans of transfers, bytes, ticks."""
    contacts = contacts_of(run, sky)
    until_s = min(end_s, _end_s(run))
    spans = contact_lanes(run.tables, contacts.contact_id)
    if "feeder_windows" in run.tables:
        spans = union(spans.and_(_over_feeder(run, contacts, sky)))
    shown = np.flatnonzero(spans.begin_s < until_s)
    shown = shown[np.argsort(spans.begin_s[shown], kind="stable")]
    contact, toward = np.divmod(spans.lane[shown], 2)
    hops = hop_lanes(run.tables, sky.satellites) if sky.flying else NO_SPANS
    bytes_at = counted(run.tables, times_counted(until_s, spans.and_(hops)))
    places = {name: number for number, name in enumerate(sky.places)}
    return {
        "label": label,
        "hue": hue,
        "end_s": _clock_end_s(until_s, unit_s),
        "service": _services(contacts, end_s, unit_s),
        # In a contact (by its number here), toward the satellite (1) or from it (0).
        "spans": {
            "contact": packed(contact),
            "toward": packed(toward),
            **_begins(spans, shown, until_s, unit_s),
        },
        "hops": _packed_links(hops, sky, until_s, unit_s),
        # Bytes moved by each ``time``, both in steps.
        "bytes": {
            "time": packed(steps(_moments(bytes_at.time_s, until_s, unit_s))),
            **{way: packed(steps(moved)) for way, moved in bytes_at.moved_bytes.items()},
        },
        "energy": _energy(run, until_s, unit_s),
        "aggregations": _ticks(run.tables, until_s, unit_s),
        "faults": packed_faults(
            run.tables, contacts.contact_id, contacts.place, places, until_s, unit_s
        ),
    }


def _over_feeder(run: Run, contacts: ReplayedContacts, sky: Sky) -> LaneSpans:
    """Return spans of transfers over feeder links, in the lanes of their contacts."""
    rows = over_feeder(run.tables)
    begin_s, end_s = (as_numpy(rows[name]) for name in ("start_s", "end_s"))
    many = len(sky.places)
    of_gateway = np.flatnonzero(contacts.contact_id >= len(run.tables["contacts"]))
    pair = contacts.satellite[of_gateway] * many + contacts.place[of_gateway]
    asked = places_of(rows["satellite"], sky.satellites) * many + places_of(
        rows["station"], sky.places
    )
    # Of the windows of a pair, the last one that has begun by then.
    order = np.lexsort((contacts.rise_s[of_gateway], pair))
    keys = np.stack([pair, contacts.rise_s[of_gateway]], axis=1)[order]
    behind = 2.0 * _end_s(run) + 1.0
    last = np.searchsorted(keys @ [behind, 1.0], asked * behind + begin_s + 1e-6, "right") - 1
    number = of_gateway[order][np.maximum(last, 0)]
    lane = 2 * number + says(rows, "direction", "uplink")
    return LaneSpans(lane, begin_s, end_s)


def _services(contacts: ReplayedContacts, end_s: float, unit_s: float) -> dict[str, str]:
    """How long after its rise a contact is served (-1: never), how long before its set no more."""
    shown = contacts.rise_s < end_s
    served = contacts.served[shown] & np.isfinite(contacts.service_start_s[shown])
    rise, set_, start, end = (
        _units(np.where(served, time_s[shown], 0.0), unit_s)
        for time_s in (
            contacts.rise_s,
            contacts.set_s,
            contacts.service_start_s,
            contacts.service_end_s,
        )
    )
    late = np.where(served, np.maximum(start - rise, 0), NOT_SERVED)
    return {"late": packed(late), "early": packed(np.maximum(set_ - end, 0))}


def _figure_name(judged: Judged, summaries: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the figure by which runs are judged."""
    if judged == Judged.ACCURACY:
        return "Accuracy"
    tokens = any(summary["accuracy_final"] is not None for summary in summaries)
    return "Loss of the next token (nats)" if tokens else "Loss"


def _learnt(run: Run, judged: Judged, end_s: float, unit_s: float) -> dict[str, str]:
    """Pooled evaluations of the figure by which runs are judged, where it is finite.

    ``time`` and ``value`` (in millionths), both in steps.
    """
    end_s = min(end_s, _end_s(run))
    figures = figures_over_hours(run.evaluations, judged)
    hours, value = np.array(figures, float).reshape(-1, 2).T
    shown = (hours <= end_s / 3600.0) & np.isfinite(value)
    return {
        "time": packed(steps(_moments(3600.0 * hours[shown], end_s, unit_s))),
        "value": packed(steps(_units(value[shown], LEARNT_UNIT))),
    }


def _energy(run: Run, end_s: float, unit_s: float) -> dict[str, str]:
    """Energy that all devices had spent by each evaluation: ``time`` and ``joules``, in steps.

    It is that of training, and what is radiated in sending; none where neither power is known.
    """
    spent = run.manifest.get("spent") or {}
    known = [key for key in ("training_j", "transmit_j") if None not in spent.get(key, [None])]
    if not known:
        return {"time": "", "joules": ""}
    time_s = np.asarray(spent["time_s"], dtype=float)
    joules = np.sum([spent[key] for key in known], axis=0)[time_s <= end_s]
    return {
        "time": packed(steps(_moments(time_s[time_s <= end_s], end_s, unit_s))),
        "joules": packed(steps(_units(joules, 1.0))),
    }


def _ticks(tables: Mapping[str, pa.Table], end_s: float, unit_s: float) -> dict[str, str]:
    """Aggregations that a screen can tell apart: ``time`` in steps, ``count`` at about that time.

    Each time is that of the last one of its ``count``.
    """
    pieces = pieces_of(tables, "events", ["time_s", "kind"])
    found = [as_numpy(rows["time_s"])[says(rows, "kind", "aggregate")] for rows in pieces]
    time_s = np.sort(np.concatenate(found))
    time_s = time_s[time_s <= end_s]
    _, count = np.unique(np.floor(time_s / end_s * MOST_TICKS), return_counts=True)
    last = np.cumsum(count) - 1
    return {"time": packed(steps(_moments(time_s[last], end_s, unit_s))), "count": packed(count)}


def _land() -> dict[str, str]:
    """Rings of land: how many ``points`` each has, and their places in steps of 0.1 degrees."""
    rings = land_rings()
    places = np.concatenate(rings)
    longitude, latitude = (_units(column, LAND_UNIT_DEG) for column in places.T)
    return {
        "points": packed([len(ring) for ring in rings]),
        "longitude": packed(steps(longitude)),
        "latitude": packed(steps(latitude)),
    }
