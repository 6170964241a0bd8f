"""A link's values: the preset with the user's overrides put in, and what must hold of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypedDict

from scenarios.errors import Problem
from scenarios.presets import DOWNLINK, NEGLECTS_DOWNLINK, UPLINK, LinkValues

if TYPE_CHECKING:
    from scenarios.link_section import Link, LinkSide
    from scenarios.scenario import Scenario

# A figure of the link budget, or the keys that make it: giving one form replaces the other.
_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("eirp_dbw", ("tx_power_dbm", "tx_gain_dbi")),
    ("g_over_t_db_k", ("rx_gain_dbi", "noise_figure_db", "antenna_temperature_k")),
)


class ResolvedLink(TypedDict):
    """Both directions with every value filled in, and the dotted keys that the user gave."""

    uplink: LinkValues
    downlink: LinkValues | Literal["neglected"]
    overridden: list[str]


def resolved_link(scenario: "Scenario") -> ResolvedLink:
    """Return the link's values in user units, as the keys of `link.uplink` name them.

    Keys that do not apply are left out: the budget form that was not chosen, `rician_k_db` without
    Rician fading, `fixed_rate_mbps` without a fixed rate, `path_gain_db` with free space.
    """
    link = scenario.link
    uplink = _given(link.uplink)
    result: ResolvedLink = {
        "uplink": _applicable(_merged(UPLINK[link.preset], uplink)),
        "downlink": "neglected",
        "overridden": [f"link.uplink.{key}" for key in uplink],
    }
    downlink = _downlink_overrides(link)
    if downlink is not None:
        result["downlink"] = _applicable(_merged(DOWNLINK[link.preset], downlink))
        result["overridden"] += [f"link.downlink.{key}" for key in downlink]
    elif link.downlink == "neglected" and link.preset not in NEGLECTS_DOWNLINK:
        result["overridden"].append("link.downlink")
    return result


def link_problems(link: "Link", source: str, geometry: bool) -> Iterator[Problem]:
    """Yield what is wrong with either direction; `geometry`: does the source have slant ranges?"""
    sides = {
        "uplink": (UPLINK, _given(link.uplink)),
        "downlink": (DOWNLINK, _downlink_overrides(link)),
    }
    for name, (presets, given) in sides.items():
        if given is None:
            continue
        both = list(_doubly_given(given))
        values = _merged(presets[link.preset], given)
        found = both or [
            *_half_given(values),
            *_rate_problems(values, given),
            *_bandwidth_problems(values),
            *([] if geometry else _geometry_problems(values, source)),
        ]
        for problem in found:
            yield Problem(("link", name, *problem.path), problem.text)


def _given(side: "LinkSide") -> LinkValues:
    return {key: value for key, value in side if value is not None}


def _downlink_overrides(link: "Link") -> LinkValues | None:
    """Return the overrides of the downlink, or None for one that is neglected."""
    if link.downlink == "neglected":
        return None
    given = _given(link.downlink)
    return None if link.preset in NEGLECTS_DOWNLINK and not given else given


def _merged(preset: LinkValues, given: LinkValues) -> LinkValues:
    replaced: set[str] = set()
    for whole, parts in _FORMS:
        if whole in given:
            replaced.update(parts)
        if not given.keys().isdisjoint(parts):
            replaced.add(whole)
    return {key: value for key, value in preset.items() if key not in replaced} | given


def _applicable(values: LinkValues) -> LinkValues:
    used = {
        "rician_k_db": values["fading"] == "rician",
        "fixed_rate_mbps": values["rate"] == "fixed",
    }
    return {key: value for key, value in values.items() if used.get(key, True)}


def _doubly_given(given: LinkValues) -> Iterator[Problem]:
    for whole, parts in _FORMS:
        rivals = [part for part in parts if part in given]
        if whole in given and rivals:
            yield Problem((whole,), f"cannot stand beside {' and '.join(rivals)}; keep one form")


def _half_given(values: LinkValues) -> Iterator[Problem]:
    for whole, parts in _FORMS:
        for part in parts:
            if whole not in values and part not in values:
                text = (
                    f"is missing; the keys given replace the preset's {whole}, so give {part} too"
                )
                yield Problem((part,), text)


def _rate_problems(values: LinkValues, given: LinkValues) -> Iterator[Problem]:
    rate, fading = values["rate"], values["fading"]
    if rate == "fixed" and "fixed_rate_mbps" not in values:
        yield Problem(("fixed_rate_mbps",), "is missing; rate 'fixed' needs it, in Mbit/s")
    if rate != "fixed" and "fixed_rate_mbps" in given:
        yield Problem(("fixed_rate_mbps",), f"is not used with rate {rate!r}; set rate: fixed")
    if fading != "rician" and "rician_k_db" in given:
        yield Problem(("rician_k_db",), f"is not used with fading {fading!r}; set fading: rician")


def _bandwidth_problems(values: LinkValues) -> Iterator[Problem]:
    device, total = float(values["bandwidth_mhz"]), float(values["total_bandwidth_mhz"])
    if device > total:
        text = f"got {device:g}; must be at most total_bandwidth_mhz, {total:g}"
        yield Problem(("bandwidth_mhz",), text)


def _geometry_problems(values: LinkValues, source: str) -> Iterator[Problem]:
    if values["rate"] != "fixed" and "path_gain_db" not in values:
        text = (
            f"got {values['rate']!r}, but source {source!r} has no slant range to compute it from; "
            "use preset: paper, rate: fixed, path_gain_db, or for the downlink 'neglected'"
        )
        yield Problem(("rate",), text)
