"""Windows over places, and between satellites, of the contact plan of a delay-tolerant network."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan, nan
from typing import Any, NamedTuple

import numpy as np

from orbit.formats.contact_plans import ContactsOfPlan
from orbit.formats.window_tables import IslFile, WindowFile, all_before, ends_by_site
from orbit.isl import IslWindows
from orbit.windows import bare_windows
from statements.arrays import Ints, Mask

SPEED_OF_LIGHT_KM_S = 299_792.458


class Pieces(NamedTuple):
    """A window in pieces: their edges (P + 1), and rates and light time in each (P), 0 for none."""

    edge_s: list[float]
    to_satellite_bps: list[float]
    to_site_bps: list[float]
    delay_s: list[float]


@dataclass(frozen=True, eq=False)
class PlanWindows:
    """Windows of a contact plan over sites, what each carries, and what is left aside, in words."""

    file: WindowFile
    pieces: list[Pieces]
    aside: tuple[str, ...]


def plan_windows(contacts: ContactsOfPlan, sites: Sequence[str]) -> PlanWindows:
    """Windows between the `sites` (names of nodes) and all other nodes, which are satellites.

    A window is what contacts of a pair in either direction cover without a gap; there is none where
    all end before the start. The slant range is that of the light time; other geometry is nan.
    Raises ValueError where no contact is with one of the sites.
    """
    is_site = np.array([name in set(sites) for name in contacts.nodes])
    up = is_site[contacts.source] & ~is_site[contacts.target]
    down = ~is_site[contacts.source] & is_site[contacts.target]
    there = (up | down) & (contacts.rate_bps > 0)
    used = there & (contacts.end_s > 0)
    aside = [*contacts.unused, *_aside(contacts, is_site)]
    if (up | down).any() and not there.any():
        raise ValueError(_all_closed(f"with {', '.join(sites)}"))
    if not there.any():
        some = ", ".join(contacts.nodes[:10])
        raise ValueError(
            f"no contact of the plan is with {', '.join(sites)}; its nodes are {some}: name those "
            "that are meant by orbit.names, like {1: " + sites[0] + "}"
        )
    named = used if used.any() else there
    satellite = np.where(up, contacts.target, contacts.source)
    site = np.where(up, contacts.source, contacts.target)
    satellites = sorted({contacts.nodes[k] for k in np.unique(satellite[named])})
    places = sorted({contacts.nodes[k] for k in np.unique(site[named])})
    pair = satellite * len(contacts.nodes) + site
    order = np.flatnonzero(used)
    order = order[np.lexsort((contacts.start_s[order], pair[order]))]
    windows: list[tuple[float, str, str, Pieces]] = []
    for first, together in _joined(order, pair, up, contacts):
        pieces = _pieces(together)
        ends = contacts.nodes[satellite[first]], contacts.nodes[site[first]]
        windows.append((pieces.edge_s[0], *ends, pieces))
    windows.sort(key=lambda window: window[:3])
    number = {name: k for kind in (satellites, places) for k, name in enumerate(kind)}
    each = [pieces for *_, pieces in windows]
    rise_s = np.array([pieces.edge_s[0] for pieces in each])
    set_s = np.array([pieces.edge_s[-1] for pieces in each])
    light_km = [_ranges_km(pieces) for pieces in each]
    bare = bare_windows(
        satellite=np.array([number[name] for _, name, _, _ in windows], np.int64),
        site=np.array([number[name] for _, _, name, _ in windows], np.int64),
        rise_s=np.maximum(rise_s, 0.0),
        culminate_s=(np.maximum(rise_s, 0.0) + set_s) / 2,
        set_s=set_s,
        min_slant_range_km=np.array([_least(ranges) for ranges in light_km]),
        rise_slant_range_km=np.array([ranges[0] for ranges in light_km]),
        set_slant_range_km=np.array([ranges[-1] for ranges in light_km]),
        clipped_start=rise_s < 0,
    )
    order = np.lexsort((bare.site, bare.satellite, bare.rise_s))
    place = np.array([number.get(name, -1) for name in contacts.nodes])[site]
    at = np.flatnonzero(there & (place >= 0))
    ends_s = ends_by_site(place[at], contacts.start_s[at], contacts.end_s[at], len(places))
    return PlanWindows(
        WindowFile(satellites, places, contacts.start, bare.where(order), *ends_s),
        [each[k] for k in order],
        tuple(aside),
    )


def _all_closed(which: str) -> str:
    return f"all contacts of the plan {which} have a rate of 0; give the rate of some, above 0"


def _ranges_km(pieces: Pieces) -> list[float]:
    """Ranges by the light times of pieces from the start on; nan for 0 whole seconds: unknown."""
    delays_s = zip(pieces.edge_s[1:], pieces.delay_s, strict=True)
    return [(delay_s or nan) * SPEED_OF_LIGHT_KM_S for end_s, delay_s in delays_s if end_s > 0]


def _least(ranges_km: Sequence[float]) -> float:
    """The least of the ranges that are known; nan if none is."""
    return min((range_km for range_km in ranges_km if not isnan(range_km)), default=nan)


_Span = tuple[float, float, bool, float, float]
"""Start, end, whether to the satellite, rate and light time of a contact."""


def isls_of_plan(contacts: ContactsOfPlan, satellites: Collection[str]) -> IslFile:
    """Windows between `satellites` (names of nodes): a contact in either direction opens both.

    Ranges are those of the light time, nan where it is 0 whole seconds. Raises ValueError where no
    contact is between two of them.
    """
    flying = np.array([name in set(satellites) for name in contacts.nodes])
    there = flying[contacts.source] & flying[contacts.target]
    there &= contacts.source != contacts.target
    if there.any() and not (there & (contacts.rate_bps > 0)).any():
        raise ValueError(_all_closed("between two satellites"))
    there &= contacts.rate_bps > 0
    used = there & (contacts.end_s > 0)
    if there.any() and not used.any():
        first_s, last_s = contacts.start_s[there].min(), contacts.end_s[there].max()
        raise ValueError(all_before(contacts.start, first_s, last_s))
    if not used.any():
        some = ", ".join(contacts.nodes[:10])
        raise ValueError(f"no contact of the plan is between two satellites; its nodes are {some}")
    met = np.unique(np.stack([contacts.source, contacts.target])[:, used])
    names = sorted(contacts.nodes[k] for k in met.tolist())
    place = {name: number for number, name in enumerate(names)}
    of = np.array([place.get(name, -1) for name in contacts.nodes])
    ends = np.sort(of[np.stack([contacts.source, contacts.target])], axis=0)
    pair = ends[0] * len(names) + ends[1]
    order = np.flatnonzero(used)
    order = order[np.lexsort((contacts.start_s[order], pair[order]))]
    found = []
    for first, spans in _joined(order, pair, used, contacts):
        pieces = _pieces(spans)
        ranges_km = _ranges_km(pieces)
        span = pieces.edge_s[0], pieces.edge_s[-1]
        most_km = -_least([-range_km for range_km in ranges_km])
        found.append((*span, *ends[:, first].tolist(), _least(ranges_km), most_km))
    start_s, end_s, one, other, least_km, most_km = np.array(sorted(found), float).T
    return IslFile(
        names,
        contacts.start,
        IslWindows(
            a=one.astype(np.int64),
            b=other.astype(np.int64),
            start_s=np.maximum(start_s, 0.0),
            end_s=end_s,
            min_range_km=least_km,
            max_range_km=most_km,
            clipped_start=start_s < 0,
            clipped_end=np.zeros(len(one), bool),
        ),
    )


def _joined(
    order: Ints, pair: Ints, up: Mask, contacts: ContactsOfPlan
) -> Iterator[tuple[int, list[_Span]]]:
    """Contacts, sorted by pair and start, that follow each other without a gap, with the first."""
    together: list[_Span] = []
    first, of, until_s = -1, -1, -inf
    columns = (pair, contacts.start_s, contacts.end_s, up, contacts.rate_bps, contacts.delay_s)
    rows = zip(order.tolist(), *(column[order].tolist() for column in columns), strict=True)
    for number, ends, *span in rows:
        if ends != of or span[0] > until_s:
            if together:
                yield first, together
            together = []
            first, of, until_s = number, ends, -inf
        together.append((span[0], span[1], span[2], span[3], span[4]))
        until_s = max(until_s, span[1])
    if together:
        yield first, together


def _pieces(spans: list[_Span]) -> Pieces:
    edges = sorted({edge for start, end, *_ in spans for edge in (start, end)})
    place = {edge: k for k, edge in enumerate(edges)}
    count = len(edges) - 1
    pieces = Pieces(edges, [0.0] * count, [0.0] * count, [0.0] * count)
    for start, end, is_up, rate_bps, delay_s in spans:
        for k in range(place[start], place[end]):
            (pieces.to_satellite_bps if is_up else pieces.to_site_bps)[k] = rate_bps
            # The first of two where the second is unknown.
            pieces.delay_s[k] = max(pieces.delay_s[k], delay_s)
    return pieces


def _aside(contacts: ContactsOfPlan, is_site: Any) -> Iterator[str]:
    """What of the contacts is of no use for windows over sites."""
    itself = contacts.source == contacts.target
    both = is_site[contacts.source] & is_site[contacts.target] & ~itself
    none = ~is_site[contacts.source] & ~is_site[contacts.target] & ~itself
    both_ends = contacts.source, contacts.target
    for which, what in (
        (itself, "contacts of a node with itself"),
        (both, "contacts between places"),
        (none, "contacts between nodes that are no places here"),
        ((contacts.rate_bps == 0) & ~itself, "contacts at a rate of 0"),
        ((contacts.end_s <= 0) & ~itself, "contacts that end before the start"),
    ):
        if which.any():
            first = int(np.flatnonzero(which)[0])
            ends = " and ".join(contacts.nodes[node[first]] for node in both_ends)
            count = int(which.sum())
            others = "" if count == 1 else f" and {count - 1:,} more"
            yield f"{what} ({ends}{others})"
