"""Which keys of a scenario to change so that more gets through, or a round takes less time.

Advice names a key only where it works: power adds to the signal on every link of the budget, while
more bandwidth adds as much noise where the signal is weak.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from learning.settings import Lora
from sim.facts.directions import Way
from sim.world.world import World


def link_keys(world: World, directions: Collection[str]) -> Iterator[str]:
    """Name what raises the rate of links, with its value: power or EIRP, or the rate itself."""
    if "isl" in directions:
        yield "link.isl.rate_mbps or its budget"
        return
    resolved: Any = world.resolved_link
    for direction in sorted(directions):
        radio = resolved.get(direction)
        if not isinstance(radio, Mapping):  # a downlink that is neglected is not in the way
            continue
        fixed = radio.get("rate") == "fixed"
        for key in ("fixed_rate_mbps",) if fixed else ("tx_power_dbm", "eirp_dbw"):
            if radio.get(key) is not None:
                yield f"link.{direction}.{key} ({radio[key]:.4g})"


def step_size_key(world: World, *, own_learning: bool) -> str:
    """Name the step size, with its value; it stands in code that trains by itself."""
    if own_learning:
        return "the step size of your training code"
    return f"learning.step_size ({world.learning.step_size:g})"


def mask_keys(world: World) -> Iterator[str]:
    """Name the mask, with its value, where there is one to lower."""
    mask_deg = getattr(world.orbit, "min_elevation_deg", None) or 0.0
    if mask_deg > 0.0 and not world.roles.relay:
        yield f"orbit.min_elevation_deg ({mask_deg:g})"


def less_to_carry(world: World, lora: Lora, way: Way) -> str:
    """Say what makes payloads smaller that go this way: the rank where factors are sent.

    ``lora`` is what is trained by: its rank is None for models and methods without factors.
    """
    factors = way is Way.TO_SERVER or lora.download == "factors"
    if lora.rank is not None:
        if not factors:
            return "set learning.lora.download=factors, where the method can do with it"
        if lora.rank > 1:
            return f"lower learning.lora.rank ({lora.rank}) or take a smaller {model_key(world)}"
    return f"take a smaller {model_key(world)}"


def more_links(world: World) -> list[str]:
    """Say what lets more satellites have links to each other."""
    isl = world.link.isl
    if isl is None:
        return []
    helps = {
        "give windows of more pairs of satellites": isl.windows is not None,
        "link more planes": isl.windows is None and isl.between_planes != "all",
        "lower grazing_km": isl.windows is None,
        "raise terminals": isl.terminals is not None,
    }
    return [text for text, does in helps.items() if does]


def speed_key(world: World) -> str:
    """Say which key makes rounds shorter."""
    given = world.compute.seconds_per_round is not None
    return "lower compute.seconds_per_round" if given else "raise compute.tflops"


def less_memory(world: World, samples_at_once: int, *, in_pieces: bool) -> str:
    """Say what lets devices hold a round; ``in_pieces``: whether its minibatches may be divided."""
    counted = "learning" if world.learning.sized_as is None else "learning.sized_as"
    fewer = f"set {counted}.micro_batch=1, " if in_pieces and samples_at_once > 1 else ""
    return f"raise compute.memory_gib, {fewer}or take a smaller {model_key(world)}"


def model_key(world: World) -> str:
    """Name the key of the architecture whose bytes and FLOPs count."""
    return "learning.model" if world.learning.sized_as is None else "learning.sized_as"
