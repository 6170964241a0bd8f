"""Rules of the link: which keys go together, which are used when, and the resolved values."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypedDict

from scenarios.errors import Problem
from scenarios.presets import BEAMWIDTH_DEG, NEGLECTS_DOWNLINK, PRESETS, LinkValues, Side

if TYPE_CHECKING:
    from scenarios.ground import Ground
    from scenarios.link import Link, LinkSide, Sidelink


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


# Rules between the keys of a link, and between the link and the source of contacts.


def link_problems(link: "Link", source: str, geometry: bool) -> Iterator[Problem]:
    """Yield what does not fit together; `geometry`: does the source have slant ranges?"""
    forms = forms_of(link, source, geometry)
    for problem in [*link_wide_problems(link, forms), *_of_sides(forms.values())]:
        yield Problem(("link", *problem.path), problem.text)


def _of_sides(forms: Iterable[Form]) -> Iterator[Problem]:
    for form in forms:
        for problem in list(_doubly_given(form)) or _of_one_form(form):
            yield Problem((form.side, *problem.path), problem.text)


def _of_one_form(form: Form) -> Iterator[Problem]:
    yield from _half_given(form)
    yield from _missing(form)
    yield from _unused(form)
    yield from _fading(form)
    yield from _bandwidth(form)
    yield from _no_slant_range(form)


def _doubly_given(form: Form) -> Iterator[Problem]:
    for whole, parts in BUDGET_FORMS:
        rivals = [part for part in parts if part in form.given]
        if whole in form.given and rivals:
            yield Problem((whole,), f"cannot stand beside {' and '.join(rivals)}; keep one form")


def _half_given(form: Form) -> Iterator[Problem]:
    for whole, parts in BUDGET_FORMS:
        for part in parts:
            if whole not in form.values and part not in form.values:
                text = (
                    f"is missing; the keys given replace the preset's {whole}, so give {part} too"
                )
                yield Problem((part,), text)


def _missing(form: Form) -> Iterator[Problem]:
    if form.values["rate"] == "fixed" and "fixed_rate_mbps" not in form.values:
        yield Problem(("fixed_rate_mbps",), "is missing; rate 'fixed' needs it, in Mbit/s")
    if form.values["atmosphere"] == "itu" and "exceedance_pct" not in form.values:
        text = "is missing; atmosphere 'itu' needs it, in percent of the year, like 1"
        yield Problem(("exceedance_pct",), text)


def _unused(form: Form) -> Iterator[Problem]:
    reasons = unused_keys(form)
    yield from (Problem((key,), reasons[key]) for key in form.given if key in reasons)


def _fading(form: Form) -> Iterator[Problem]:
    if form.values["rate"] == "outage" and form.values["fading"] == "none":
        text = "got 'none', with which nothing fails; rate 'outage' needs rayleigh or rician"
        yield Problem(("fading",), text)


def _bandwidth(form: Form) -> Iterator[Problem]:
    device = float(form.values["bandwidth_mhz"])
    total = float(form.values["total_bandwidth_mhz"])
    if device > total and not form.broadcasts:
        text = f"got {device:g}; must be at most total_bandwidth_mhz, {total:g}"
        yield Problem(("bandwidth_mhz",), text)


def _no_slant_range(form: Form) -> Iterator[Problem]:
    rate = form.values["rate"]
    if not (form.geometry or rate == "fixed" or "path_gain_db" in form.values):
        text = (
            f"got {rate!r}, but source {form.source!r} has no slant range to compute it from; "
            "use preset: paper, rate: fixed, path_gain_db, or for the downlink 'neglected'"
        )
        yield Problem(("rate",), text)


# Which keys of a direction change nothing under the form that was chosen, and why.


Unused = Iterator[tuple[str, str]]

_OF_RATE = {"fixed_rate_mbps": "fixed", "outage_probability": "outage", "rolloff": "modcod"}
_OF_AIR = ("atmosphere", "zenith_attenuation_db", "exceedance_pct")
_IN_TABLES = ("shadowing_margin_db", "clutter_loss_db", "rician_k_db")
_WITHOUT_FADING = ("shannon", "modcod")


def unused_keys(form: Form) -> dict[str, str]:
    """Return the reason, and what to do, for each key that would change nothing.

    Such a key is left out if it is a preset's, and refused if the user gave it.
    """
    reasons: dict[str, str] = {}
    for rule in (
        _path_gain,
        _no_geometry,
        _environment_unused,
        _atmosphere,
        _rate,
        _fading_unused,
        _delivery,
    ):
        for key, reason in rule(form):
            reasons.setdefault(key, reason)
    return reasons


def _path_gain(form: Form) -> Unused:
    if "path_gain_db" not in form.values:
        return
    beside = f"is not used with path_gain_db {form.values['path_gain_db']:g}"
    for key in _OF_AIR:
        loss = "leave it out, or give a loss that is always there as other_losses_db"
        yield key, f"{beside}, which holds at every elevation; {loss}"
    if not form.geometry:
        neither = f"source {form.source!r}, where neither loss nor Doppler follows from it"
        yield "frequency_ghz", f"{beside} and {neither}; leave it out"


def _no_geometry(form: Form) -> Unused:
    if not form.geometry:
        for key in ("atmosphere", "exceedance_pct"):
            yield key, without_geometry(form.source)
        if "path_gain_db" not in form.values:
            text = f"needs an SNR, and source {form.source!r} has no distance to compute one from"
            yield "required_snr_db", f"{text}; give path_gain_db, or leave it out"


def without_geometry(source: str) -> str:
    """Say that a key needs to know where satellites are."""
    return f"is not used by source {source!r}, which has no geometry; leave it out"


def _environment_unused(form: Form) -> Unused:
    if form.environment is not None:
        for key in _IN_TABLES:
            place = "whose tables stand in its place; leave it out"
            yield key, f"is not used with environment {form.environment!r}, {place}"


def _atmosphere(form: Form) -> Unused:
    atmosphere = form.values["atmosphere"]
    if atmosphere == "itu":
        text = "is not used with atmosphere 'itu', which computes it; leave it out"
        yield "zenith_attenuation_db", text
    else:
        text = f"is not used with atmosphere {atmosphere!r}; set atmosphere: itu"
        yield "exceedance_pct", text


def _rate(form: Form) -> Unused:
    rate = form.values["rate"]
    for key, needed in _OF_RATE.items():
        if rate != needed:
            yield key, f"is not used with rate {rate!r}; set rate: {needed}"
    if rate == "modcod":
        text = "is not used with rate 'modcod', whose table says what it requires; leave it out"
        yield "required_snr_db", text


def _fading_unused(form: Form) -> Unused:
    fading, text = form.values["fading"], _why_no_fading(form)
    if text is not None:
        yield from (("fading", text), ("rician_k_db", text))
    if fading != "rician":
        yield "rician_k_db", f"is not used with fading {fading!r}; set fading: rician"


def _why_no_fading(form: Form) -> str | None:
    rate = form.values["rate"]
    if rate in _WITHOUT_FADING:
        return f"is not used with rate {rate!r}; leave it out, or set rate: ergodic or outage"
    if rate == "fixed" and form.follows_snr:
        return "is not used with rate 'fixed' beside required_snr_db; leave one of the two out"
    return None


def _delivery(form: Form) -> Unused:
    if form.broadcasts:
        for key in ("sharing", "total_bandwidth_mhz"):
            yield key, "is not used with delivery 'broadcast'; set delivery: unicast"


# Rules on what both directions of a link share: surroundings, antenna and time.


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


# Rules between the keys of sidelinks, and between them and where devices are.


def sidelink_problems(
    sidelink: "Sidelink | None", ground: "Ground", source: str, geometry: bool
) -> Iterator[Problem]:
    """Yield what does not fit together; `geometry`: does the source know where devices are?"""
    if sidelink is None:
        return
    distances = _by_places(sidelink, ground) if geometry else _no_places(sidelink, source)
    for key, text in [*_two_forms(sidelink), *distances]:
        yield Problem(("link", "sidelink", key), text)


def _two_forms(sidelink: "Sidelink") -> Iterator[tuple[str, str]]:
    if sidelink.rate_mbps is None:
        return
    for key in BUDGET:
        if getattr(sidelink, key) is not None:
            text = f"is not used with rate_mbps {sidelink.rate_mbps:g}; leave one of the two out"
            yield key, text


def _no_places(sidelink: "Sidelink", source: str) -> Iterator[tuple[str, str]]:
    if sidelink.distance_km is None:
        text = f"is missing; source {source!r} has no places to take distances from, so give it"
        yield "distance_km", f"{text}, in km, like 0.2"
    if sidelink.range_km is not None:
        yield "range_km", without_geometry(source)


def _by_places(sidelink: "Sidelink", ground: "Ground") -> Iterator[tuple[str, str]]:
    apart_km, range_km = sidelink.distance_km, sidelink.range_km
    if apart_km is not None and range_km is not None and apart_km > range_km:
        text = f"got {apart_km:g}; beyond range_km {range_km:g} nobody has a sidelink"
        yield "distance_km", f"{text}; lower it, or raise range_km"
    if apart_km is not None or sidelink.rate_mbps is not None:
        return
    for cluster in ground.clusters:
        if (cluster.devices or 1) > 1 and cluster.radius_km == 0:
            text = f"is missing; the devices of cluster {cluster.name!r} are all in one place"
            yield "distance_km", f"{text}; give it, or that cluster's radius_km or places"


# A sidelink's values: the defaults with the user's keys put in, as far as they apply.


# An outdoor radio between unlicensed devices below 1 GHz, in the manner of IEEE 802.11ah: a channel
# of 2 MHz at 915 MHz, 100 mW, a receiver of 7 dB. Exponent 3 from 1 m on lies inside the range for
# built-up ground. That is 21 Mbit/s over 100 m, 2.9 over 1 km and 0.075 Mbit/s over 4 km.
BUDGET: Final = {
    "frequency_ghz": 0.915,
    "bandwidth_mhz": 2.0,
    "path_loss_exponent": 3.0,
    "reference_distance_m": 1.0,
    "noise_figure_db": 7.0,
    "other_losses_db": 0.0,
}
_DEFAULTS: Final = BUDGET | {"tx_power_dbm": 20.0}


def sidelink_values(sidelink: "Sidelink | None") -> dict[str, float] | None:
    """Return the values in user units, as the keys of `link.sidelink` name them; None for none.

    Keys that were neither given nor have a default are left out, and with `rate_mbps` the budget.
    """
    if sidelink is None:
        return None
    given = {key: float(value) for key, value in sidelink if value is not None}
    unused = BUDGET.keys() if "rate_mbps" in given else ()
    return {key: value for key, value in (_DEFAULTS | given).items() if key not in unused}


# A link's values: the preset with the user's overrides put in, as far as they apply.


_EVERY_RADIO = frozenset({"frequency_ghz", "total_bandwidth_mhz"})


class ResolvedLink(TypedDict):
    """Both directions with every value filled in, and the dotted keys that the user gave."""

    environment: str | None
    beamwidth_deg: float | None
    cut_transfers: str
    uplink: LinkValues
    downlink: LinkValues | Literal["neglected"]
    overridden: list[str]


def link_values(link: "Link", source: str, geometry: bool) -> ResolvedLink:
    """Return the link's values in user units, as the keys of `link.uplink` name them.

    Keys that do not apply are left out: the budget form that was not chosen, `rician_k_db` without
    Rician fading, `fixed_rate_mbps` without a fixed rate, `path_gain_db` with free space, and all
    others that would change nothing; `scintillation_loss_db` where the tables of the environment
    give it. Every radio has a frequency and a total bandwidth; that of a broadcast is its own.
    """
    forms = forms_of(link, source, geometry)
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
