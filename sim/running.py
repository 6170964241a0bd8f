"""Run a scenario: build, simulate, check, and write the run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scenarios
from sim import folder as run_folder
from sim.books import check_books
from sim.build import Build, build, identity, portable
from sim.cache import RunCache, cache_folder
from sim.contact_table import contacts_table
from sim.errors import InputError, Interrupted, SimulationError
from sim.final_model import final_model
from sim.invariants import check
from sim.journal import CHECKPOINT, Checkpoint, Journal
from sim.manifest import manifest_of, trained
from sim.result import Result
from sim.run_log import LOG, RUN_LOG, log_end, log_evaluation, log_start, run_log
from sim.simulation import Simulation

if TYPE_CHECKING:
    from learning.values import Values
    from scenarios import Scenario
    from sim.trace import Trace

Listener = Callable[[float, int, float], None]
EachEvent = Callable[[int], None]
EachTime = Callable[[float], None]


def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    resume: bool = False,
    *,
    listen: Listener | None = None,
    each_event: EachEvent | None = None,
    each_time: EachTime | None = None,
    checkpoint_every_s: float = 10.0,
    cache: bool = False,
) -> Result:
    """Simulate ``scenario`` (or the one of that name or path) and return its :class:`Result`.

    With ``out`` the run folder is written there, and the run can be resumed after an interruption.
    ``listen(time_s, cycle, accuracy)`` hears of every evaluation; ``each_event(number)`` is called
    behind every event of the clock and may raise :class:`Interrupted`, ``each_time(time_s)`` is too
    and hears the simulated time. ``cache`` lets runs share what they train and the contact windows
    that they find (see :mod:`sim.cache`); traces are the same with and without.

    Raises InputError (or the ValueError of a room) for wrong input, SimulationError for a run that
    failed, Interrupted for one that was stopped. What was traced by then is in ``out``.
    """
    place = None if out is None else Path(out)
    if place is not None:
        _check_place(place, resume)
    if isinstance(scenario, str | Path):
        scenario = scenarios.load(scenario)
    shared = RunCache(cache_folder()) if cache else None
    built = build(scenario) if shared is None else build(scenario, shared.windows.find)
    this = Run(built, place, checkpoint_every_s, shared)
    return this.finished_before() or this.execute(listen, each_event, each_time)


def _check_place(place: Path, resume: bool) -> None:
    """Refuse to write over anything that is not a run to be resumed."""
    if place.exists() and not place.is_dir():
        raise InputError(f"-o {place}: is a file; name a folder")
    if not place.exists() or all(path.name == RUN_LOG for path in place.iterdir()):
        return
    if not resume:
        raise InputError(
            f"-o {place}: is not empty; name another folder, or go on with its run by --resume"
        )
    if not (place / run_folder.MANIFEST).exists() and not (place / CHECKPOINT).exists():
        raise InputError(f"-o {place}: holds no run that could be resumed; name another folder")


class Run:
    """One execution of a built scenario."""

    def __init__(
        self,
        built: Build,
        place: Path | None,
        checkpoint_every_s: float,
        cache: RunCache | None = None,
    ) -> None:
        self.built = built
        self.place = place
        self.cache = cache
        if cache is not None:
            cache.serve(built.learner)
        self.scenario_json = portable(built.scenario)
        self.identity = identity(self.scenario_json, built.plan)
        self.method = built.new_method()
        self.checkpoint: Checkpoint | None = None
        journal = Journal()
        if place is not None and built.learner.trains:
            self.checkpoint = Checkpoint(place, self.identity, checkpoint_every_s)
            journal = self.checkpoint.load(built.learner.values)
        stop, every_hours = built.scenario.stop, built.scenario.learning.evaluate_every_hours
        self.simulation = Simulation(
            built.plan,
            self.method,
            built.compute,
            journal,
            stop.cycles,
            stop.accuracy,
            None if every_hours is None else every_hours * 3600,
            built.scenario.link.cut_transfers,
            built.transmitter,
            built.sidelinks,
            built.scenario.link.relay,
        )
        self._event = 0
        self._began = time.monotonic()

    def finished_before(self) -> Result | None:
        """Return the complete run that the folder holds already, if it is this one."""
        if self.place is None or not (self.place / run_folder.MANIFEST).exists():
            return None
        manifest = run_folder.read_manifest(self.place)
        if manifest.get("identity") != self.identity:
            raise InputError(f"{self.place}: holds a run of another scenario; name another folder")
        if manifest["status"] != "complete":
            return None
        return Result(run_folder.read_tables(self.place), manifest, self.place)

    def execute(
        self,
        listen: Listener | None = None,
        each_event: EachEvent | None = None,
        each_time: EachTime | None = None,
    ) -> Result:
        """Simulate to the end, or keep what there is when that cannot be reached."""
        self.simulation.evaluator.listen = partial(_evaluated, listen)
        if self.built.learner.trains:
            self._build_task()
        try:
            with run_log(self.place):
                log_start(self.built.scenario, self.simulation.journal.event)
                result = self._executed(partial(self._tick, each_event, each_time))
                log_end(result.manifest)
                return result
        finally:
            if self.cache is not None:
                self.cache.close()

    def _executed(self, tick: EachEvent) -> Result:
        try:
            self.simulation.run(tick)
            result = self._result("complete")
            check(result.tables)
            check_books(result.manifest["books"], result.tables["transfers"])
            with self._disk():
                self._write(result)
        except Interrupted:
            with self._disk():
                self._save_checkpoint()
                self._write(self._result("interrupted"))
            raise Interrupted(self._where_to_go_on()) from None
        except KeyboardInterrupt:
            # In the middle of an event: only the last checkpoint is known to be whole.
            with self._disk():
                self._write(self._result("interrupted"))
            raise Interrupted(self._where_to_go_on()) from None
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
            with self._disk():
                self._write(self._result("failed", error))
        except Exception as trouble:
            text = " ".join(str(trouble).split())
            raise SimulationError(f"{error}; what was traced is lost: {text}") from trouble

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn trouble with the run folder into the failure of the run."""
        try:
            yield
        except OSError as error:
            place = error.filename or self.place
            raise SimulationError(f"{place}: {error.strerror or error}") from error

    def _tick(self, each_event: EachEvent | None, each_time: EachTime | None, number: int) -> None:
        self._event = number
        simulation = self.simulation
        simulation.journal.check_replay(number, simulation.trace)
        if self.checkpoint is not None:
            with self._disk():
                self._save(self.checkpoint.save_if_due)
        if each_time is not None:
            each_time(simulation.clock.now)
        if each_event is not None:
            each_event(number)

    def _save_checkpoint(self) -> None:
        if self.checkpoint is not None:
            self._save(self.checkpoint.save)

    def _save(self, save: Callable[[int, Journal, Trace, Values], bool]) -> None:
        simulation, values = self.simulation, self.built.learner.values
        if save(self._event, simulation.journal, simulation.trace, values):
            LOG.info("checkpoint saved at event %s", self._event)

    def _where_to_go_on(self) -> str:
        at = f"stopped at {self.simulation.clock.now / 3600:.2f} h"
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
            status,
            error=error,
            wall_s=round(time.monotonic() - self._began, 3),
            events=self._event,
            identity=self.identity,
        )
        # At the end, where a reader of the file looks for it.
        manifest |= {"scenario": self.scenario_json}
        return Result(tables, manifest, self.place)

    def _write(self, result: Result) -> None:
        if self.place is not None:
            run_folder.write_tables(self.place, result.tables)
        complete = result.manifest["status"] == "complete"
        if complete and self.place is not None:
            self._write_model(self.place)
        self._account(result.manifest)
        if self.place is not None:
            run_folder.write_manifest(self.place, result.manifest)
        if complete and self.checkpoint is not None:
            self.checkpoint.remove()

    def _account(self, manifest: dict[str, Any]) -> None:
        """Say what was trained, and what came of the cache, when the last of it is done."""
        manifest |= trained(self.built, self.cache)
        if self.cache is not None:
            manifest["warnings"] += self.cache.warnings

    def _write_model(self, place: Path) -> None:
        learner, model = self.built.learner, self.method.model()
        results = None if self.cache is None else self.cache.results
        weights = final_model(learner, model, results) if learner.trains else None
        about = {
            "what": "the satellite's model at the end of the run",
            "kind": learner.config.model.kind,
            "version": self.method.version,
            "trained": learner.trains,
        }
        run_folder.write_model(place, weights, about)
        run_folder.write_payloads(place, self.simulation.payloads.listed())


def _evaluated(listen: Listener | None, time_s: float, cycle: int, accuracy: float) -> None:
    """Log an evaluation, and tell whoever listens."""
    log_evaluation(time_s, cycle, accuracy)
    if listen is not None:
        listen(time_s, cycle, accuracy)
