"""Run: build, simulate, check, write the run folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scenarios
from learning.files import sync_folder
from learning.invariants import Violation
from learning.values.store import as_file
from sim.engine import memory
from sim.engine.evaluation import Observer
from sim.engine.journal import Journal
from sim.engine.setup import build
from sim.engine.simulation import Simulation
from sim.errors import InputError, Interrupted, InvariantError, SimulationError
from sim.execution import folder as run_folder
from sim.execution.cache import RunCache
from sim.execution.cache_store import cache_folder
from sim.execution.checkpoint import CHECKPOINT, JOURNAL, Checkpoint
from sim.execution.folder import RUN_LOG, SPILLED, check_place, holding, is_free, of_the_run
from sim.execution.identity import Course, course_of
from sim.execution.log import LOG, log_end, log_evaluation, log_start, run_log
from sim.execution.manifest import manifest_of, trained
from sim.execution.result import Result
from sim.files import write_text
from sim.plan.contact_table import contacts_table

if TYPE_CHECKING:
    from learning.learner import Learner
    from learning.values.lazy import Handle
    from scenarios import Scenario
    from sim.execution.cache import Results


def _manifest_before(place: Path) -> dict[str, Any] | None:
    """The manifest of what was in a folder; a broken one does not stand in a checkpoint's way."""
    try:
        return run_folder.read_manifest(place)
    except InputError:
        if not (place / CHECKPOINT / JOURNAL).exists():
            raise
        return None


class Keeping:
    """What is kept of a run in ``place``; ``before`` is the manifest of what was there, if any."""

    def __init__(self, place: Path, identity: str, checkpoint_every_s: float) -> None:
        self.place = place
        self.checkpoint = Checkpoint(place, identity, checkpoint_every_s)
        self._is_new = is_free(place)
        self.before: dict[str, Any] | None = None
        if (place / run_folder.MANIFEST).exists():
            self.before = _manifest_before(place)
            if self.before is not None and self.before.get("identity") != identity:
                raise InputError(f"{place}: holds a run of another scenario; name another folder")

    def finished(self) -> Result | None:
        """Return the complete run that the folder holds already, if it does."""
        if self.before is None or self.before["status"] != "complete":
            return None
        self.checkpoint.remove()  # its process may have been killed just before it did
        return Result(run_folder.read_tables(self.place), self.before, self.place)

    def give_up(self) -> None:
        """Leave a folder that was begun in as it was found: the input is wrong."""
        if self._is_new:
            self.checkpoint.remove()
            with suppress(OSError):
                (self.place / RUN_LOG).unlink(missing_ok=True)

    def write_tables(self, result: Result) -> None:
        """Write the tables."""
        run_folder.write_tables(self.place, result.tables)

    def write_model(
        self, weights: bytes | None, about: dict[str, Any], payloads: list[dict[str, Any]]
    ) -> None:
        """Write the final model, and what was carried."""
        run_folder.write_model(self.place, weights, about)
        run_folder.write_payloads(self.place, payloads)

    def write_journal(self, journal: Journal) -> None:
        """Write what was measured, for forks of the run."""
        whole = Journal(journal.entries)  # wherever the run was saved on its way
        write_text(self.place / JOURNAL, json.dumps(whole.said()))

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, behind all that it speaks of; a complete run is resumed no more."""
        sync_folder(self.place)
        run_folder.write_manifest(self.place, manifest)
        if manifest["status"] == "complete":
            self.checkpoint.remove()


def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    resume: bool = False,
    *,
    observers: Sequence[Observer] = (),
    checkpoint_every_s: float = 10.0,
    cache: bool = False,
) -> Result:
    """Simulate ``scenario`` (or the one of that name or path) and return its :class:`Result`.

    With ``out`` the run folder is written there, and the run can be resumed after an interruption.
    ``observers`` follow every evaluation and every event (see :class:`sim.Observer`). ``cache``
    lets runs share what they train and the contact windows that they find (see
    :mod:`sim.execution.cache`); traces are the same with and without.

    Raises InputError (or the ValueError of a room) for wrong input, SimulationError for a run that
    failed, Interrupted for one that was stopped. What was traced by then is in ``out``.
    """
    place = None if out is None else Path(out)
    if place is not None:
        check_place(place, resume)
    if isinstance(scenario, str | Path):
        scenario = scenarios.load(scenario)
    shared = RunCache(cache_folder()) if cache else None
    built = build(scenario) if shared is None else build(scenario, shared.windows.find)
    return carry_out(course_of(built), place, checkpoint_every_s, shared, observers)


def carry_out(
    course: Course,
    place: Path | None,
    checkpoint_every_s: float,
    cache: RunCache | None,
    observers: Sequence[Observer],
) -> Result:
    """Return the result of a course as :func:`run` does, out of its folder if it is there."""
    with holding(place):
        this = Run(course, place, checkpoint_every_s, cache, observers)
        return this.finished_before() or this.execute()


class Run(Observer):
    """One execution of the course that a run takes.

    ``built`` is what it goes by at its end.
    """

    def __init__(
        self,
        course: Course,
        place: Path | None,
        checkpoint_every_s: float,
        cache: RunCache | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.course = course
        self.built = course.last
        self.place = place
        self.cache = cache
        first = course.first
        if cache is not None:
            cache.serve(first.learner)
        self.keeping: Keeping | None = None
        journal = course.journal
        if place is not None:
            with of_the_run(place):
                self.keeping = Keeping(place, course.identity, checkpoint_every_s)
                values = first.learner.values
                journal = self.keeping.checkpoint.load(values, journal, course.values)
        self.simulation = Simulation(first, journal, (self, *observers), course.turns)
        if place is not None:
            self.simulation.trace.folder = place / SPILLED
        self._event = 0
        self._began = time.monotonic()

    def finished_before(self) -> Result | None:
        """Return the complete run that the folder holds already, if it is this one."""
        return None if self.keeping is None else self.keeping.finished()

    def execute(self) -> Result:
        """Simulate to the end, or keep what there is when that cannot be reached."""
        try:
            memory.check(self.built)
            if self.built.learner.trains:
                self._build_task()
            if self.keeping is not None:
                with of_the_run(self.place):
                    self.keeping.checkpoint.begin(self.simulation.journal)
            with run_log(self.place):
                log_start(self.built.scenario, self.simulation.journal.event)
                result = self._executed()
                log_end(result.manifest)
                return result
        except InputError:
            if self.keeping is not None:
                self.keeping.give_up()
            raise
        finally:
            self.simulation.trace.close()
            if self.cache is not None:
                self.cache.close()

    def _executed(self) -> Result:
        try:
            self.simulation.run()
            self.simulation.invariants.conclude(self.built.learner, self.simulation.books)
            result = self._result("complete")
            with of_the_run(self.place):
                self._write(result)
        except Interrupted as why:
            with of_the_run(self.place):
                self._save_checkpoint()
                self._write(self._result("interrupted"))
            raise Interrupted(self._where_to_go_on(str(why))) from None
        except KeyboardInterrupt:
            # In the middle of an event, and in a hurry: what was saved last is whole.
            raise Interrupted(self._where_to_go_on("stopped at once")) from None
        except Violation as error:
            self._keep_failed(str(error))
            raise InvariantError(str(error)) from error
        except SimulationError as error:
            self._keep_failed(str(error))
            raise
        return result

    def _build_task(self) -> None:
        """Make data and model, before anything is simulated."""
        try:
            self.built.learner.build()
        except ValueError as error:
            raise InputError(str(error)) from None

    def _keep_failed(self, error: str) -> None:
        """Keep what was traced; what made the run fail may also stand in the way of that."""
        try:
            with of_the_run(self.place):
                self._write(self._result("failed", error))
        except Exception as trouble:
            text = " ".join(str(trouble).split())
            raise SimulationError(f"{error}; what was traced is lost: {text}") from trouble

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Log an evaluation."""
        log_evaluation(time_s, cycle, accuracy)

    def event(self, number: int, time_s: float) -> None:
        """Check a replay, and save what is due."""
        self._event = number
        simulation = self.simulation
        simulation.journal.check_replay(number, simulation.trace)
        if self.keeping is not None:
            with of_the_run(self.place):
                self._save(self.keeping.checkpoint.save_if_due)

    def _save_checkpoint(self) -> None:
        if self.keeping is not None:
            self._save(self.keeping.checkpoint.save)

    def _save(self, save: Callable[..., bool]) -> None:
        """Save where there is anything that need not be done again: timing is only replayed."""
        simulation, values = self.simulation, self.built.learner.values
        if not self.built.learner.trains:
            return
        if save(self._event, simulation.clock.now, simulation.journal, simulation.trace, values):
            LOG.info("checkpoint saved at event %s", self._event)

    def _where_to_go_on(self, why: str) -> str:
        at = f"{why} at {self.simulation.clock.now / 3600:.2f} h"
        if self.place is None:
            return at
        return f"{at}; go on with: --resume -o {self.place}"

    def _result(self, status: str, error: str = "") -> Result:
        tables = self.simulation.trace.tables()
        tables["contacts"] = contacts_table(self.built.plan, self.simulation.end_s)
        manifest = manifest_of(
            self.built,
            self.simulation,
            tables,
            self.course.name,
            status,
            error=error,
            wall_s=round(time.monotonic() - self._began, 3),
            events=self._event,
            identity=self.course.identity,
            **({} if self.course.fork is None else {"fork": self.course.fork}),
        )
        # At the end, where a reader of the file looks for it.
        manifest |= {"scenario": self.course.scenario_json}
        return Result(tables, manifest, self.place)

    def _write(self, result: Result) -> None:
        keeping = self.keeping
        if keeping is None:
            self._account(result.manifest)
            return
        keeping.write_tables(result)
        if result.manifest["status"] == "complete":
            self._write_model(keeping)
            if self.built.learner.trains:
                keeping.write_journal(self.simulation.journal)
        self._account(result.manifest)
        keeping.write_manifest(result.manifest)

    def _account(self, manifest: dict[str, Any]) -> None:
        """Say what was trained, and what came of the cache, when the last of it is done."""
        manifest |= trained(self.built, self.cache)
        if self.cache is not None:
            manifest["warnings"] += self.cache.warnings

    def _write_model(self, keeping: Keeping) -> None:
        learner, model = self.built.learner, self.simulation.method.model()
        results = None if self.cache is None else self.cache.results
        weights = final_model(learner, model, results) if learner.trains else None
        about = {
            "what": "the satellite's model at the end of the run",
            "kind": learner.config.model.kind,
            "version": self.simulation.method.version,
            "trained": learner.trains,
        }
        keeping.write_model(weights, about, self.simulation.payloads.listed())


# The final model as the bytes of its file.


def final_model(learner: Learner, server: Handle, results: Results | None) -> bytes:
    """Return all weights of ``server`` as a safetensors file, out of ``results`` if it is there."""
    final = learner.final(server)
    shared = results if not final.foreign else None
    known = None if shared is None else shared.model(final.key)
    if known is not None:
        learner.values.spare(final)
        return known
    data = as_file(learner.force(final))
    if shared is not None:
        shared.keep_model(final.key, data)
    return data
