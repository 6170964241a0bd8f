"""Rules on what both directions of a link share: surroundings, antenna and time."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from scenarios.errors import Problem
from scenarios.link_form import Form
from scenarios.link_uses import without_geometry
from scenarios.presets import Side

if TYPE_CHECKING:
    from scenarios.link_section import Link

# TR 38.811 has tables for the S and the Ka band.
_BANDS_GHZ = ((1.0, 6.0), (17.0, 40.0))
_ROUNDING = 1e-9


def link_wide_problems(link: "Link", forms: Mapping[Side, Form]) -> Iterator[Problem]:
    """Yield what is wrong with the keys of the link itself, or between its directions."""
    uplink = forms["uplink"]
    for key in ("environment", "beamwidth_deg"):
        if getattr(link, key) is not None and not uplink.geometry:
            yield Problem((key,), without_geometry(uplink.source))
    if link.environment is not None and uplink.geometry:
        yield from _environment(link.environment, forms)
    yield from _duty(forms)


def _environment(name: str, forms: Mapping[Side, Form]) -> Iterator[Problem]:
    for side, form in forms.items():
        gain_db, frequency_ghz = form.values.get("path_gain_db"), form.values["frequency_ghz"]
        if gain_db is not None:
            text = (
                f"got {name!r}, but link.{side} has path_gain_db {gain_db:g} at every elevation; "
                "leave one of the two out (preset: physical has no path_gain_db)"
            )
            yield Problem(("environment",), text)
        if not any(low <= float(frequency_ghz) <= high for low, high in _BANDS_GHZ):
            text = (
                f"got {frequency_ghz:g}; environment {name!r} has tables for 1 to 6 and 17 to 40 "
                "GHz; choose one of these, or leave link.environment out"
            )
            yield Problem((side, "frequency_ghz"), text)
    if not any(form.follows_snr for form in forms.values()):
        text = f"got {name!r}, but rate 'fixed' does not change with it; give required_snr_db too"
        yield Problem(("environment",), f"{text}, choose another rate, or leave it out")


def _duty(forms: Mapping[Side, Form]) -> Iterator[Problem]:
    """Directions that take turns have at most all of the time; a neglected one takes none."""
    duty = {side: float(form.values["duty"]) for side, form in forms.items()}
    turns = next((side for side in duty if duty[side] < 1), None)
    if turns is None or sum(duty.values()) <= 1 + _ROUNDING:
        return
    other = next(side for side in duty if side != turns)
    text = (
        f"got {duty[turns]:g}; directions that take turns have at most 1 together, and "
        f"link.{other}.duty is {duty[other]:g}: set that to {1 - duty[turns]:g} or less"
    )
    yield Problem((turns, "duty"), text)
