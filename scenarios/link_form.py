"""The form of each direction of a link: the preset with the user's keys put in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scenarios.presets import NEGLECTS_DOWNLINK, PRESETS, LinkValues, Side

if TYPE_CHECKING:
    from scenarios.link_section import Link
    from scenarios.link_side import LinkSide

# A figure of the link budget, or the keys that make it: giving one form replaces the other.
BUDGET_FORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("eirp_dbw", ("tx_power_dbm", "tx_gain_dbi")),
    ("g_over_t_db_k", ("rx_gain_dbi", "noise_figure_db", "antenna_temperature_k")),
)


@dataclass(frozen=True)
class Form:
    """One direction: the keys that the user gave, and all values with the preset's behind them.

    `geometry` says whether the source of contacts knows where satellites are.
    """

    side: Side
    given: LinkValues
    values: LinkValues
    environment: str | None
    source: str
    geometry: bool

    @property
    def broadcasts(self) -> bool:
        """Tell whether one transmission serves all devices of a cluster."""
        return self.values.get("delivery") == "broadcast"

    @property
    def follows_snr(self) -> bool:
        """Tell whether the rate depends on the signal-to-noise ratio."""
        return self.values["rate"] != "fixed" or "required_snr_db" in self.values


def forms_of(link: "Link", source: str, geometry: bool) -> dict[Side, Form]:
    """Return the form of each direction; a neglected downlink has none."""
    sides: dict[Side, LinkValues] = {"uplink": _given(link.uplink)}
    downlink = _downlink_keys(link)
    if downlink is not None:
        sides["downlink"] = downlink
    return {
        side: Form(
            side=side,
            given=given,
            values=_merged(PRESETS[side][link.preset], given, link.environment),
            environment=link.environment,
            source=source,
            geometry=geometry,
        )
        for side, given in sides.items()
    }


def _given(side: "LinkSide") -> LinkValues:
    return {key: value for key, value in side if value is not None}


def _downlink_keys(link: "Link") -> LinkValues | None:
    if link.downlink == "neglected":
        return None
    given = _given(link.downlink)
    return None if link.preset in NEGLECTS_DOWNLINK and not given else given


def _merged(preset: LinkValues, given: LinkValues, environment: str | None) -> LinkValues:
    out = _replaced(given)
    if environment is not None:
        out.add("scintillation_loss_db")  # there is a table for it
    return {key: value for key, value in preset.items() if key not in out} | given


def _replaced(given: LinkValues) -> set[str]:
    """Name the keys of a budget form in whose place the other one was given."""
    replaced: set[str] = set()
    for whole, parts in BUDGET_FORMS:
        if whole in given:
            replaced.update(parts)
        if not given.keys().isdisjoint(parts):
            replaced.add(whole)
    return replaced
