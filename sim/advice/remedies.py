"""Which keys of a scenario to change so that more gets through, or a round takes less time.

A remedy names a key only where it works: power adds to the signal on every link of the budget,
while more bandwidth adds as much noise where the signal is weak.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from channel.settings import EXCEEDANCE_PCT
from learning.settings import Lora
from scenarios.link import Isl
from sim.facts.directions import Way
from sim.formatting import some
from sim.plan.isl import fixed_isl_rate_bps
from sim.world.world import World
from statements import Lower, Raise, Remedy, Set


def faster_links(world: World, directions: Collection[str]) -> Iterator[Remedy]:
    """Yield what raises the rate of links: power or EIRP, the rate itself, or less rain."""
    if "isl" in directions:
        assert world.link.isl is not None
        yield faster_isls(world.link.isl)
        return
    resolved: Any = world.resolved_link
    for direction in sorted(directions):
        radio = resolved.get(direction)
        if not isinstance(radio, Mapping):  # a downlink that is neglected is not in the way
            continue
        fixed = radio.get("rate") == "fixed"
        for key in ("fixed_rate_mbps",) if fixed else ("tx_power_dbm", "eirp_dbw"):
            if radio.get(key) is not None:
                yield Raise(f"link.{direction}.{key}", now=radio[key])
    dish = world.link.station
    if dish is not None and any("aperture_efficiency" in resolved[side] for side in directions):
        yield Raise("link.station.dish_m", now=dish.dish_m)
    for direction in sorted(directions):
        yield from less_rain(world, direction)


def faster_isls(isl: Isl) -> Remedy:
    """Return what raises the rate of links between satellites."""
    if fixed_isl_rate_bps(isl) is None:
        return "raise the budget of link.isl"
    return Raise("link.isl.rate_mbps", now=isl.rate_mbps)


MOST_NAMED, MOST_PLACES_NAMED = 3, 10
"""Of more clients, or clusters and stations, the first ones are named."""


def lower_mask(world: World, place: str = "") -> Iterator[Lower | str]:
    """Yield a lower mask, where there is one to lower: the orbit's, unless places have their own.

    With the name of a ``place`` on the ground it is the mask there.
    """
    nodes = world.sites.nodes
    here = [node for node in nodes if node.name == place] or nodes
    own = [node.name for node in here if node.min_elevation_deg is not None]
    mask_deg = world.orbit.mask_deg
    if len(own) < len(here):
        if mask_deg > 0.0:
            yield Lower("orbit.min_elevation_deg", now=mask_deg)
    elif own and world.sites.lowest_mask_deg > 0.0:
        yield f"lower min_elevation_deg of {some(own, MOST_NAMED)}"


def less_rain(world: World, direction: str) -> Iterator[Raise]:
    """Yield what lets less rain fall, where a link has that of ITU-R models."""
    values: Any = world.resolved_link.get(direction)
    if isinstance(values, Mapping) and values.get("atmosphere") == "itu":
        now_pct = values["exceedance_pct"]
        if now_pct < EXCEEDANCE_PCT.high:  # how far it has to go depends on place and band
            yield Raise(f"link.{direction}.exceedance_pct", now=now_pct)


def less_to_carry(world: World, lora: Lora, way: Way) -> Iterator[Remedy]:
    """Yield what makes payloads smaller that go this way: the rank where factors are sent.

    ``lora`` is what is trained by: its rank is None for models and methods without factors.
    """
    factors = way is Way.TO_SERVER or lora.download == "factors"
    if lora.rank is not None and not factors:
        yield Set("learning.lora.download", "factors")
        return
    if lora.rank is not None and lora.rank > 1:
        yield Lower("learning.lora.rank", now=lora.rank)
    yield smaller_model(world)


def more_links(world: World) -> Iterator[Remedy]:
    """Yield what lets more satellites have links to each other."""
    isl = world.link.isl
    if isl is None:
        return
    if isl.windows is not None:
        yield "give windows of more pairs of satellites"
    else:
        if isl.between_planes != "all":
            yield "link more planes"
        yield Lower("link.isl.grazing_km")
    if isl.terminals is not None:
        yield Raise("link.isl.terminals", now=isl.terminals)


def longer_run(world: World) -> Iterator[Remedy]:
    """Yield what lets a run go on for longer: what ends it as it is."""
    for key in ("days", "cycles"):
        value = getattr(world.stop, key)
        if value is not None:
            yield Raise(f"stop.{key}", now=value)


def shorter_rounds(world: World) -> Iterator[Remedy]:
    """Yield what makes rounds of training shorter."""
    if world.compute.seconds_per_round is None:
        yield Raise("compute.tflops")
    else:
        yield Lower("compute.seconds_per_round")
    yield smaller_model(world)


def less_memory(world: World, samples_at_once: int, *, in_pieces: bool) -> Iterator[Remedy]:
    """Yield what lets devices hold a round; ``in_pieces``: whether minibatches may be divided."""
    yield Raise("compute.memory_gib")
    if in_pieces and samples_at_once > 1:
        counted = "learning" if world.learning.sized_as is None else "learning.sized_as"
        yield Set(f"{counted}.micro_batch", 1)
    yield smaller_model(world)


def smaller_model(world: World) -> Remedy:
    """Return a smaller architecture, of that whose bytes and FLOPs count."""
    key = "learning.model" if world.learning.sized_as is None else "learning.sized_as"
    return f"take a smaller {key}"
