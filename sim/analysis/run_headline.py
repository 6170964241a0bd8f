"""What a run has shown, in a sentence or two: what its page and its summary begin with."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sim.analysis.caveats import Ended, caveats_of
from sim.analysis.comparison import limit_text
from sim.analysis.judged import Judged, is_measured
from sim.formatting import counted, data_size, seconds
from statements import Code, Statement, sentence

DIRECTIONS = {"uplink": "up", "downlink": "down", "sidelink": "between devices", "isl": "by ISL"}


class Done(Ended, Protocol):
    """What is needed of a run: its summary, beside what caveats need."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its figures."""


def headline_of_run(run: Done) -> str:
    """Return what a run has shown, in one sentence or two: first that it ended early, if it did."""
    summary = run.summary
    if nothing := summary["came_to_nothing"]:
        return f"No result: {nothing['what']}"
    notes = [caveat.said for caveat in caveats_of("", [run])]
    early = [sentence(said) for said in notes if said.code is Code.STOPPED_EARLY]
    others = [said for said in notes if said.code is not Code.STOPPED_EARLY]
    lines = [*early, _came_out(summary, others)] if summary["hours"] else early
    return ". ".join(f"{text[:1].upper()}{text[1:]}" for text in lines)


def _came_out(summary: Mapping[str, Any], notes: Sequence[Statement]) -> str:
    days = f"{summary['hours'] / 24:.2f} days"
    for said in notes:
        return _timed(summary, days) if said.code is Code.TIMING_ONLY else sentence(said)
    if not is_measured(summary):
        if summary["accuracy_start"] is None and summary["loss_start"] is None:
            return f"{days}, in which neither an accuracy nor a loss was measured"
        return f"{days} without an evaluation of what was learnt"
    if summary["accuracy_final"] is None:
        return _went("the loss", summary, "loss", days=days, form=".4g")
    if summary["judged_by"] == Judged.LOSS and summary["loss_final"] is not None:
        loss = _went("the loss of the next token", summary, "loss", " nats", days)
        return f"{loss}. {_went('The share of tokens right', summary, 'accuracy')}"
    return _went("the accuracy", summary, "accuracy", days=days)


def _went(
    what: str,
    summary: Mapping[str, Any],
    key: str,
    unit: str = "",
    days: str = "",
    form: str = ".3f",
) -> str:
    """Say how a figure went from the start to the end, in so many days where these are told."""
    before, after = summary[f"{key}_start"], summary[f"{key}_final"]
    start, final = f"{before:{form}}", f"{after:{form}}"
    if start == final:
        return f"{what} stays at {final}{unit}" + (days and f" for {days}")
    went = "rises" if after > before else "falls"
    return f"{what} {went} from {start} to {final}{unit}" + (days and f" in {days}")


def _timed(summary: Mapping[str, Any], days: str) -> str:
    """Say what a run without training has shown: how long a round takes, or cycles of contacts."""
    if rounds := summary["rounds"]:
        length = seconds(rounds["mean_s"])
        return f"a round takes {length} in the mean: {counted(rounds['count'], 'round')} in {days}"
    return f"{counted(summary['cycles'], 'complete cycle')} in {days}"


def limits_of_run(run: Done) -> str:
    """Return what limits the meaning of a run's headline, in a sentence; empty for nothing."""
    notes = [caveat.said for caveat in caveats_of("", [run])]
    return " ".join(limit_text(said) for said in notes if said.code is Code.TIMING_ONLY)


def sent(summary: Mapping[str, Any]) -> list[str]:
    """Return how much a run has sent in each direction in which it sent anything.

    Of a broadcast that is what was on the air, beside what all receivers got of it together.
    """
    found = ((way, word, summary[f"{way}_bytes"]) for way, word in DIRECTIONS.items())
    received = summary.get("downlink_received_bytes", 0.0)
    return [
        f"{data_size(size)} {word}"
        + (f" (received: {data_size(received)})" if way == "downlink" and received > size else "")
        for way, word, size in found
        if size
    ]
