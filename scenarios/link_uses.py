"""Which keys of a direction change nothing under the form that was chosen, and why."""

from collections.abc import Iterator

from scenarios.link_form import Form

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
    for rule in (_path_gain, _no_geometry, _environment, _atmosphere, _rate, _fading, _delivery):
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


def _environment(form: Form) -> Unused:
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


def _fading(form: Form) -> Unused:
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
