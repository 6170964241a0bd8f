"""What is watched while it goes on: how far it has come, its page by now, and how it has ended."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sim.execution.folder import MANIFEST, read_manifest
from sim.execution.live import ask, beat_of, run_beat, share_done, shown
from sim.facts.status import COMPLETE, FAILED
from sim.formatting import counted, duration, how_far, some
from sim.report import run_page, sweep_page
from sim.report.page import Page
from sim.sweep.folder import beats
from sim.sweep.so_far import SoFar

SILENT_S = 30.0
"""Seconds without a sign of life after which nobody is expected to give one."""
MOST_NAMED = 4
"""Points that run of which it is said how far they are."""
PARTLY = "partly"
"""What is watched has ended before it was complete, and can be gone on with."""


@dataclass(frozen=True)
class Ended:
    """How what was watched has ended: COMPLETE, FAILED or PARTLY, and what to say of it.

    What was ``killed`` has not written down that it has ended.
    """

    status: str
    text: str
    killed: bool = False


@dataclass(frozen=True)
class State:
    """How far what is watched has come, in words and as a share, since when, and how it ended."""

    text: str
    share: float | None = None
    since: str = ""
    ended: Ended | None = None


class Watched(ABC):
    """A run or a sweep that somebody watches, by what lies in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last_beat: object = None
        self._beaten_at = time.monotonic()

    @abstractmethod
    def look(self) -> State:
        """Return how far it has come; raise InputError where nothing is left of it."""

    @abstractmethod
    def is_new(self) -> bool:
        """Whether there is more to show than on the last page; a run is asked for it."""

    @abstractmethod
    def page(self, state: State) -> Page | None:
        """Return its page by now; None as long as there is nothing to show."""

    @property
    def is_there(self) -> bool:
        """Whether what the last page was made of is still there."""
        return self.folder.is_dir()

    def _is_silent(self, beat: object) -> bool:
        """Whether the sign of life has been the same for SILENT_S."""
        if beat != self._last_beat:
            self._last_beat = beat
            self._beaten_at = time.monotonic()
        return time.monotonic() - self._beaten_at >= SILENT_S


class WatchedRun(Watched):
    """A run; its page is made of the tables that it has written last."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._shown: Path | None = None
        if run_beat(folder) is None:
            read_manifest(folder)  # or say that there is no run

    def look(self) -> State:
        """Return how far it has come, by its sign of life and its manifest."""
        beat = run_beat(self.folder)
        if beat is None or self._is_complete():
            return State("", ended=self._ended())
        if self._is_silent(beat):
            text = f"{_silent('the run')}; {self._again}"
            return State("", ended=Ended(PARTLY, text, killed=True))
        keys = ("time_s", "span_s", "cycle", "cycles")
        if not all(key in beat for key in keys):
            return State("getting ready", since=_since([beat]))
        time_s, span_s, cycle, cycles = (beat[key] for key in keys)
        text = how_far(time_s, span_s, cycle, cycles)
        return State(text, share_done(beat), _since([beat]))

    def is_new(self) -> bool:
        """Ask the run for its tables; return whether there are newer ones."""
        ask(self.folder)
        return shown(self.folder) != self._shown

    @property
    def is_there(self) -> bool:
        """Whether the tables of the last page are still there."""
        return self._shown is not None and self._shown.is_dir()

    def page(self, state: State) -> Page | None:
        """Return the page of its newest tables."""
        newest = shown(self.folder)
        if newest is None:
            return None
        self._shown = newest
        page = run_page.page(newest)
        hours = page.context["manifest"]["simulated_s"] / 3600
        what = f"What follows is what it had by {hours:.2f} h of simulation."
        return replace(page, notices=[f"{_notice('This run', state)} {what}"])

    def _is_complete(self) -> bool:
        """Whether it is complete, and its process was killed or is about to end."""
        there = (self.folder / MANIFEST).exists()
        return there and read_manifest(self.folder)["status"] == COMPLETE

    def _ended(self) -> Ended:
        manifest = read_manifest(self.folder)
        if manifest["status"] == COMPLETE:
            return Ended(COMPLETE, "the run is complete")
        if manifest["status"] == FAILED:
            return Ended(FAILED, f"the run failed: {manifest.get('error', '')}")
        hours = manifest["simulated_s"] / 3600
        return Ended(PARTLY, f"the run was interrupted at {hours:.2f} h; {self._again}")

    @property
    def _again(self) -> str:
        return f"leomix run SCENARIO --resume -o {self.folder} goes on with it"


class WatchedSweep(Watched):
    """A sweep; its page is made of the points that are complete."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._so_far = SoFar(folder)

    def look(self) -> State:
        """Return how far it has come: how many points, as of the last page, and which run."""
        found = [beat for path in beats(self.folder) if (beat := beat_of(path))]
        if not found:
            return State("", ended=self._ended())
        if self._is_silent(found):
            ended = self._ended()
            text = f"{_silent('the sweep')}; {ended.text}"
            return State("", ended=replace(ended, text=text, killed=True))
        points = self._so_far
        share = (points.complete + points.failed) / points.points
        return State(self._text(), share, _since(found))

    def is_new(self) -> bool:
        """Whether more points have ended or begun."""
        known = self._counts()
        self._so_far.look()
        return self._counts() != known

    def page(self, state: State) -> Page | None:
        """Return the page of the points that have ended."""
        points = self._so_far
        points.look()
        # A sweep that is refused leaves its folder as it was: before that there is no page.
        if not points.outcomes and not any(beat.get("time_s") for beat in points.running):
            return None
        state = replace(state, text=self._text())  # how far it is by now
        page = sweep_page.page_of(points.sweep)
        return replace(page, notices=[_notice("This sweep", state)])

    def _counts(self) -> tuple[int, int]:
        return len(self._so_far.outcomes), len(self._so_far.running)

    def _text(self) -> str:
        points = self._so_far
        parts = [f"{points.complete} of {counted(points.points, 'point')} done"]
        parts += [f"{points.failed} failed"] if points.failed else []
        if points.running:
            far = [_far(beat) for beat in points.running]
            parts.append(f"{len(far)} running ({some(far, MOST_NAMED, '; ')})")
        return ", ".join(parts)

    def _ended(self) -> Ended:
        points = self._so_far
        points.look()
        if points.complete == points.points:
            return Ended(COMPLETE, "the sweep is complete")
        again = f"leomix sweep ... --resume -o {self.folder} goes on with it"
        status = PARTLY if points.complete else FAILED
        return Ended(status, f"the sweep has ended, {self._text()}; {again}")


def _silent(what: str) -> str:
    return f"{what} has given no sign of life for {duration(SILENT_S)}: it was killed, or stopped"


def _since(found: Sequence[dict[str, Any]]) -> str:
    """Say since when something goes on, by its signs of life."""
    began = min(datetime.fromisoformat(beat["began_utc"]) for beat in found)
    return f"since {began:%Y-%m-%d %H:%M:%S} UTC"


def _far(beat: dict[str, Any]) -> str:
    keys = ("time_s", "span_s", "cycle", "cycles")
    return how_far(*(beat[key] for key in keys)) if all(k in beat for k in keys) else "starting"


def _notice(what: str, state: State) -> str:
    if state.ended is not None:
        text = state.ended.text
        return f"{text[:1].upper()}{text[1:]}."
    return f"{what} has gone on {state.since}: {state.text}."
