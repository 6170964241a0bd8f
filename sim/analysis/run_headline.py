"""What a run has shown, in a sentence or two: what its page and its summary begin with."""

from collections.abc import Mapping
from typing import Any

from sim.analysis.checks import Check, checks_in
from sim.analysis.judged import Judged, is_measured
from sim.formatting import counted, duration, seconds, short_size

DIRECTIONS = {"uplink": "up", "downlink": "down", "sidelink": "between devices", "isl": "by ISL"}
ENDED = ("interrupted", "failed")
"""Codes of checks that a headline begins with."""
IN_PLACE = ("no-update", "not-tested")
"""Codes of checks that a headline says in place of figures."""


def headline_of_run(summary: Mapping[str, Any]) -> str:
    """Return what a run has shown, in one sentence or two: first that it ended early, if it did."""
    checks = {check.code: check.sentence for check in checks_in(summary)}
    if why := checks.get("no-update"):
        return f"No result: {why[:1].lower()}{why[1:]}"
    lines = [checks[code] for code in ENDED if code in checks]
    if untested := checks.get("not-tested"):
        lines.append(untested)
    elif summary["hours"]:
        lines.append(_came_out(summary))
    return ". ".join(f"{text[:1].upper()}{text[1:]}" for text in lines)


def lines_below(summary: Mapping[str, Any], held_back: Check | None) -> list[str]:
    """Return what stands below the headline of a run: its checks, but for what that has said.

    What held it back is the last line, unless a check names the same key.
    """
    said = {*ENDED, *IN_PLACE}
    every = checks_in(summary)
    lines = [check.advice if check.code in said else check.line for check in every]
    if held_back is not None and held_back.key not in {check.key for check in every}:
        lines.append(held_back.line)
    return [line for line in lines if line]


def _came_out(summary: Mapping[str, Any]) -> str:
    days = f"{summary['hours'] / 24:.2f} days"
    if not summary["trained"]:
        return _timed(summary, days)
    if not is_measured(summary):
        if summary["accuracy_start"] is None and summary["loss_start"] is None:
            return f"{days}, in which neither an accuracy nor a loss was measured"
        return f"{days} without an evaluation of what was learnt"
    after = f" after {duration(3600 * summary['hours'])}"
    if summary["accuracy_final"] is None:
        return _went("loss", summary, "loss", after, form=".4g")
    if summary["judged_by"] == Judged.LOSS and summary["loss_final"] is not None:
        loss = _went("loss of the next token", summary, "loss", f" nats{after}")
        return f"{loss}. {_went('Share of tokens right', summary, 'accuracy')}"
    return _went("accuracy", summary, "accuracy", after)


def _went(
    what: str, summary: Mapping[str, Any], key: str, after: str = "", form: str = ".3f"
) -> str:
    """Say where a figure ended, ``after`` what time and in which unit, and where it began."""
    start, final = (f"{summary[f'{key}_{at}']:{form}}" for at in ("start", "final"))
    return f"{what} {final}{after}, {'as' if start == final else start} at the start"


def _timed(summary: Mapping[str, Any], days: str) -> str:
    """Say what a run without training has shown: how long a round takes, or cycles of contacts."""
    if rounds := summary["rounds"]:
        length = seconds(rounds["mean_s"])
        return f"a round takes {length} in the mean: {counted(rounds['count'], 'round')} in {days}"
    return f"{counted(summary['cycles'], 'complete cycle')} in {days}"


def sent(summary: Mapping[str, Any]) -> list[str]:
    """Return how much a run has sent in each direction in which it sent anything.

    Of a broadcast that is what was on the air.
    """
    found = ((summary[f"{way}_bytes"], word) for way, word in DIRECTIONS.items())
    return [f"{short_size(size)} {word}" for size, word in found if size]
