"""Rules between the keys of a link, and between the link and the source of contacts."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from scenarios.errors import Problem
from scenarios.link_form import BUDGET_FORMS, Form, forms_of
from scenarios.link_uses import unused_keys
from scenarios.link_wide_rules import link_wide_problems

if TYPE_CHECKING:
    from scenarios.link_section import Link


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
