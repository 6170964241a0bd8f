"""A diagnosis in words: the finding in a sentence, and the figures behind it, a row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.analysis.diagnosis import Course, Diagnosis, Learnt
from sim.analysis.judged import Judged
from sim.analysis.time_spent import TimeSpent
from sim.analysis.traffic import Sent
from sim.facts.status import COMPLETE
from sim.formatting import as_yaml, data_size, listed, percent
from statements import Statement, remedies_text
from statements.words import dotted, filled

Runs = Sequence[Mapping[str, Any]]
"""Runs beside the run, as JSON has them (:class:`sim.execution.why.Beside`)."""


def finding_text(found: Diagnosis, tried: Runs = (), bounds: Runs = (), refused: str = "") -> str:
    """Return what was found, in a sentence: how learning went, why, and what a changed key brought.

    Of a run that ended before its time that stands first. ``tried`` begins with the best; where
    nothing could be run, ``refused`` says why.
    """
    early = "" if found.early is None else f"{filled(found.early.text, found.early.values)}, "
    parts = [f"{early}{course_text(found.learnt)}", cause_text(found.causes[0])]
    if refused:
        return f"{': '.join(parts)}: nothing was tried"
    ran = [one for one in tried if not one["refused"]]
    if ran and ran[0]["helped"]:
        parts.append(try_text(ran[0]))
    elif ran:
        parts.append(f"tried {listed([keys_text(one['set']) for one in ran])}: no help")
    elif not found.held:
        if shares := found.time.decides:
            largest = max(shares, key=lambda part: shares[part])
            parts[-1] += f" ({percent(shares[largest])} of the time of rounds was {largest})"
        central = next((one for one in bounds if one["what"] == "centralised"), None)
        if central is not None and central["figure"] is not None:
            parts.append(f"one model of all samples comes to {_figure(central['figure'])}")
    return ": ".join(parts[:2]) + "".join(f": {part}" for part in parts[2:])


def course_text(learnt: Learnt) -> str:
    """Return how learning went, with its figures."""
    name = "the loss" if learnt.judged == Judged.LOSS else "accuracy"
    if learnt.course is Course.NO_UPDATE:
        return "no update of a client was used"
    if learnt.final is None or learnt.best is None:
        return "nothing was evaluated"
    final, best = _figure(learnt.final), _figure(learnt.best)
    if learnt.course is Course.AT_CHANCE:
        guess = learnt.guess
        if learnt.judged == Judged.LOSS:
            of = "" if guess is None else f" nats; a uniform guess has {_figure(guess.loss_nats)}"
            return f"{name} did not fall ({final}{of})"
        share = None if guess is None else guess.share
        of = "" if share is None else f"; a constant answer is right about {share:.3f}"
        return f"{name} stayed at chance ({final}{of})"
    if learnt.course is Course.FELL_BACK:
        falls = learnt.judged == Judged.LOSS
        went, back = ("fell", "rose again") if falls else ("rose", "fell back")
        return f"{name} {went} to {best} and {back} to {final}"
    if learnt.course is Course.RISING:
        went = "falling" if learnt.judged == Judged.LOSS else "rising"
        return f"{name} was still {went} at the end ({final})"
    return f"{name} levelled off at {final}"


def cause_text(cause: Statement) -> str:
    """Return a cause as a sentence has it."""
    return filled(cause.text, cause.values)


def try_text(one: Mapping[str, Any]) -> str:
    """Return what a changed key brought that has helped."""
    keys = keys_text(one["set"])
    figure = _figure(one["figure"])
    within = f"in {one['days']:.3g} days" if one["longer"] else "in the same time"
    what = "a run" if one["at_s"] is None else "a fork"
    return f"{what} {_since(one)} with {keys} reached {figure} {within}"


def _since(one: Mapping[str, Any]) -> str:
    """Return from when on a run beside the run differs."""
    return "from the start" if one["at_s"] is None else f"from {one['at_s'] / 3600:.3g} h on"


def keys_text(keys: Mapping[str, Any]) -> str:
    """Return keys as ``--set`` takes them."""
    return " ".join(f"{key}={as_yaml(value)}" for key, value in keys.items())


def rows_of(
    found: Diagnosis, tried: Runs = (), bounds: Runs = (), refused: str = ""
) -> list[tuple[str, str]]:
    """Return the figures behind a diagnosis as text, each with its name."""
    return [
        *(("cause", _cause_row(cause)) for cause in found.causes),
        *([("not tried", refused)] if refused else []),
        *_tried_rows(tried),
        *_learning_rows(found.learnt),
        *_bound_rows(bounds),
        *_time_rows(found.time),
    ]


def why_text(found: Diagnosis, tried: Runs = (), bounds: Runs = (), refused: str = "") -> str:
    """Return the finding, and the table below it."""
    lines = [f"{name:<16} {text}" for name, text in rows_of(found, tried, bounds, refused)]
    return "\n".join([finding_text(found, tried, bounds, refused), "", *lines])


def _cause_row(cause: Statement) -> str:
    helps = remedies_text(cause.remedies[:1], dotted(cause.path))
    return f"{cause.code.value}: {cause_text(cause)}" + (helps and f"; {helps}")


def _tried_rows(tried: Runs) -> list[tuple[str, str]]:
    rows = []
    for one in tried:
        if one["refused"]:
            rows.append(("tried", f"{keys_text(one['set'])}: not run, {one['refused']}"))
            continue
        figure = "nothing evaluated" if one["figure"] is None else _figure(one["figure"])
        figure += "" if one["helped"] else ", no help"
        ended = "" if one["status"] == COMPLETE else f", {one['status']}"
        spent = f"{one['updates']} updates in {one['days']:.2f} days{ended}"
        rows.append(("tried", f"{keys_text(one['set'])}: {figure}, {spent}, {_since(one)}"))
    return rows


def _learning_rows(learnt: Learnt) -> list[tuple[str, str]]:
    rows = []
    name = "loss" if learnt.judged == Judged.LOSS else "accuracy"
    if learnt.start is not None and learnt.final is not None and learnt.best is not None:
        went = f"{_figure(learnt.start)} at the start, {_figure(learnt.best)} at best"
        rows.append((name, f"{went}, {_figure(learnt.final)} at the end: {learnt.course}"))
    if (guess := learnt.guess) is not None:
        share = guess.share
        constant = "" if share is None else f"a constant answer is right about {share:.3f}, "
        uniform = f"a uniform guess of {guess.choices} has a loss of {guess.loss_nats:.3g} nats"
        rows.append(("chance", f"{constant}{uniform}"))
    seen = f"{learnt.updates} updates used, {learnt.device_rounds} device rounds"
    if learnt.epochs is not None and learnt.held is not None:
        steps = f"{learnt.gradient_steps} gradient steps"
        seen += f", {steps}: each of {learnt.held.samples} samples {learnt.epochs:.3g} times"
    rows.append(("seen", seen))
    if (held := learnt.held) is not None:
        missing = held.nowhere.share + held.unheard.share
        lacks = f"; {percent(missing)} of the tests are of classes that were never learnt from"
        skew = f"the classes of a client are {held.skew:.2f} from those of all (0 alike, 1 apart)"
        rows.append(("split", skew + (lacks if missing else "")))
    return rows


def _bound_rows(bounds: Runs) -> list[tuple[str, str]]:
    words = {
        "centralised": "one model of all samples",
        "local": "every device for itself",
        "gradients": "the same run",
    }
    rows = []
    for one in bounds:
        what = words.get(one["what"], one["what"])
        if one["refused"]:
            rows.append((one["what"], f"not run: {one['refused']}"))
        elif one["what"] == "gradients":
            start, end = one["cosine"] or (float("nan"), float("nan"))
            text = "cosine of a cluster's gradient with that of all"
            rows.append(("drift", f"{text}: {start:.2f} at the start, {end:.2f} at the end"))
        elif one["figure"] is not None:
            steps = (
                ""
                if one["steps"] is None
                else f" in {one['steps']} steps of {one['batch']} samples"
            )
            rows.append((one["what"], f"{what}: {_figure(one['figure'])}{steps}"))
    return rows


def _time_rows(time: TimeSpent) -> list[tuple[str, str]]:
    rows = []
    for name, shares in (("time of rounds", time.rounds), ("time of clients", time.clients)):
        largest = sorted(shares.items(), key=lambda part: -part[1])
        if shown := ", ".join(f"{percent(share)} {part}" for part, share in largest if share):
            rows.append((name, shown))
    gap = f"the longest time without one {time.longest_gap_h:.1f} h"
    each = f"{time.passes_a_day:.1f} a day for a client"
    rows.append(("passes", f"{time.passes} served, {each}, {gap}"))
    for name, sent in (("to the server", time.to_server), ("to clients", time.to_client)):
        if sent.rows:
            rows.append((name, _sent_text(sent)))
    return rows


def _sent_text(sent: Sent) -> str:
    size = f"of at most {data_size(sent.payload_bytes)}"
    if sent.passes_each is None:
        most = data_size(sent.carried_bytes)
        return f"none {size} got through in {sent.rows} transfers; one carried {most} at most"
    return f"{sent.delivered} payloads {size}, in {sent.passes_each:.2f} transfers each"


def _figure(value: float) -> str:
    return f"{value:.3f}"
