"""Remedies that were tried: a run that has ended is timed again with overrides of its scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import scenarios
from learning.own.raised import ANYTHING
from scenarios import Scenario
from sim.analysis.checks import Check
from sim.analysis.checks.check import LEAST_GAIN, Bottleneck, Override, improves, value_in
from sim.analysis.checks.held_back import HELD_BACK, bottleneck
from sim.analysis.checks.listed import findings_of
from sim.analysis.checks.run import EndedRun
from sim.errors import Interrupted
from sim.execution.extension import STOP_LIMITS
from sim.execution.result import Result
from sim.facts.observer import Observer
from statements import Severity

MOST_EVENTS = 5_000
"""Events of a run above which a trial simulates a shorter span than the run."""
MOST_TIMES = 4
"""How many times the events of its span a trial may have: more satellites make more of them."""
TIMING_ONLY = {"learning.train": False}
"""Overrides of every trial."""
MOST_OVERRIDES = 6
"""Overrides that are tried for a finding."""

Simulate = Callable[[Scenario, Observer], Result]


def with_remedies(result: Result, run: EndedRun, simulate: Simulate) -> Result:
    """Return a complete result with a remedy for each check that has one, and its bottleneck.

    Of the overrides of a finding, the first that improves its figure by 5 % is the remedy. Trials
    are bounded by simulated events, so that the same run always has the same remedies. What
    ``simulate`` raises refuses an override. On KeyboardInterrupt the result is returned unchanged.
    """
    trials = Trials(run, simulate)
    findings = findings_of(run)
    if (most := bottleneck(run)) is not None:
        findings[HELD_BACK] = most
    try:
        checks = {code: trials.check(code, finding) for code, finding in findings.items()}
    except KeyboardInterrupt:  # the run itself is complete
        return result
    held = checks.pop(HELD_BACK, None)
    manifest = {
        **result.manifest,
        "checks": [check._asdict() for check in checks.values()],
        "held_back": None if held is None else held._asdict(),
    }
    return replace(result, manifest=manifest)


class Trials:
    """Timing-only runs of the scenario of a ``run``, each with another override.

    A run with more than MOST_EVENTS events is tried over as much of its span as has so many, and
    has to gain twice as much there: a short span has few rounds.
    """

    def __init__(self, run: EndedRun, simulate: Simulate) -> None:
        self._run = run
        self._simulate = simulate
        self._share = min(1.0, MOST_EVENTS / max(run.manifest["events"], 1))
        self._keys = _timing_only(run, self._share)
        self._known: dict[Override | None, EndedRun | None] = {}

    def check(self, code: str, finding: Bottleneck) -> Check:
        """Return a finding with the first override that improves its figure, if any does."""
        name = finding.figure
        for override in finding.overrides[:MOST_OVERRIDES]:
            if override.key.startswith("stop.") and self._share < 1.0:
                continue  # a trial of a part of the span says nothing of a longer one
            before = self._timed(None)
            after = None if before is None else self._timed(override)
            if before is None or after is None:
                continue
            was, now = getattr(before, name), getattr(after, name)
            if improves(name, was, now, least=LEAST_GAIN * (1 if self._share == 1.0 else 2)):
                key, value = override
                return Check(code, finding.sentence, key, value, name, was, now)
        return Check(code, finding.sentence)

    def _timed(self, override: Override | None) -> EndedRun | None:
        """Return the run with an override, or with None; None if it cannot run or is doubtful."""
        if override not in self._known:
            self._known[override] = self._simulated(override)
        return self._known[override]

    def _simulated(self, override: Override | None) -> EndedRun | None:
        if self._keys is None:
            return None
        if override is None and self._keys == TIMING_ONLY and not self._run.learning["train"]:
            return self._run
        keys = {**self._keys, **({} if override is None else {override.key: override.value})}
        limit = _Limit(MOST_TIMES * MOST_EVENTS)
        try:
            mapping = deepcopy(dict(self._run.scenario))
            for key, value in keys.items():
                scenarios.set_key(mapping, key, value)
            # Code that it names has been run: it needs no consent again.
            found = self._simulate(scenarios.from_dict(mapping), limit)
        except Interrupted as why:
            if limit.is_exceeded:
                return None
            raise KeyboardInterrupt from why
        except ANYTHING:  # refused, or code of the user's that fails
            return None
        timed = EndedRun(found.tables, found.manifest, self._run.method)
        is_doubtful = override is not None and _doubts(timed) - _doubts(self._run)
        return None if is_doubtful else timed


class _Limit(Observer):
    """Ends a trial after so many events."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.is_exceeded = False

    def event(self, number: int, time_s: float) -> None:
        """End the trial if that was the last event that it may have."""
        if number > self._most:
            self.is_exceeded = True
            raise Interrupted("more events than a trial may have")


def _timing_only(run: EndedRun, share: float) -> dict[str, Any] | None:
    """Return the overrides of all trials: no training, no stop by what is learnt, a shorter span.

    None if the span cannot be shortened.
    """
    stop: Mapping[str, Any] = run.scenario["stop"]
    learnt = [key for key, value in stop.items() if key not in STOP_LIMITS and value is not None]
    keys: dict[str, Any] = {**TIMING_ONLY, **{f"stop.{key}": None for key in learnt}}
    if share < 1.0 or learnt:
        if value_in(run.scenario, "orbit.source") == "slots":
            return None
        keys["stop.days"] = run.days * share
    return keys


def _doubts(run: EndedRun) -> set[tuple[str, ...]]:
    """Return the code and the keys of each warning of a run."""
    said = run.manifest.get("said", ())
    return {(one["code"], *one["keys"]) for one in said if one["severity"] != Severity.NOTE}
