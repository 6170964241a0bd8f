"""A link's values: the preset with the user's overrides put in, as far as they apply."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypedDict

from scenarios.link_form import Form, forms_of
from scenarios.link_uses import unused_keys
from scenarios.presets import BEAMWIDTH_DEG, NEGLECTS_DOWNLINK, LinkValues, Side
from scenarios.serving_keys import Seen

if TYPE_CHECKING:
    from scenarios.link_section import Link
    from scenarios.scenario import Scenario


_EVERY_RADIO = frozenset({"frequency_ghz", "total_bandwidth_mhz"})


class ResolvedLink(TypedDict):
    """Both directions with every value filled in, and the dotted keys that the user gave."""

    environment: str | None
    beamwidth_deg: float | None
    cut_transfers: str
    uplink: LinkValues
    downlink: LinkValues | Literal["neglected"]
    overridden: list[str]


def resolved_link(scenario: "Scenario") -> ResolvedLink:
    """Return the link's values in user units, as the keys of `link.uplink` name them.

    Keys that do not apply are left out: the budget form that was not chosen, `rician_k_db` without
    Rician fading, `fixed_rate_mbps` without a fixed rate, `path_gain_db` with free space, and all
    others that would change nothing; `scintillation_loss_db` where the tables of the environment
    give it. Every radio has a frequency and a total bandwidth; that of a broadcast is its own.
    """
    link, orbit = scenario.link, scenario.orbit
    forms = forms_of(link, orbit.source, isinstance(orbit, Seen))
    downlink = forms.get("downlink")
    return {
        "environment": link.environment,
        "beamwidth_deg": _beamwidth_deg(link, forms),
        "cut_transfers": link.cut_transfers,
        "uplink": _applicable(forms["uplink"]),
        "downlink": "neglected" if downlink is None else _applicable(downlink),
        "overridden": [
            *_overridden(link),
            *(f"link.{side}.{key}" for side, form in forms.items() for key in form.given),
        ],
    }


def _beamwidth_deg(link: "Link", forms: Mapping[Side, Form]) -> float | None:
    """Return the beamwidth, unless it follows from a gain of the satellite that is given."""
    gains = {"uplink": "rx_gain_dbi", "downlink": "tx_gain_dbi"}
    if link.beamwidth_deg is None and not any(gains[s] in f.given for s, f in forms.items()):
        return BEAMWIDTH_DEG.get(link.preset)
    return link.beamwidth_deg


def _applicable(form: Form) -> LinkValues:
    unused = unused_keys(form).keys() - _EVERY_RADIO
    values = {key: value for key, value in form.values.items() if key not in unused}
    return values | {"total_bandwidth_mhz": values["bandwidth_mhz"]} if form.broadcasts else values


def _overridden(link: "Link") -> list[str]:
    """Name the keys of the link as a whole that differ from their defaults."""
    plain = {name: field.default for name, field in type(link).model_fields.items()}
    keys = ["environment", "beamwidth_deg", "cut_transfers"]
    if link.downlink == "neglected" and link.preset not in NEGLECTS_DOWNLINK:
        keys.append("downlink")
    return [f"link.{key}" for key in keys if getattr(link, key) != plain[key]]
