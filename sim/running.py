"""Run a scenario: build, simulate, check, and write the run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import scenarios
from sim import folder as run_folder
from sim.books import check_books
from sim.build import Build, build, identity, portable
from sim.contact_table import contacts_table
from sim.digest import digests
from sim.errors import InputError, Interrupted, SimulationError
from sim.health import warnings_of
from sim.invariants import check
from sim.journal import CHECKPOINT, Checkpoint, Journal
from sim.result import Result
from sim.simulation import Simulation

if TYPE_CHECKING:
    from scenarios import Scenario

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
    behind every event of the clock and may raise :class:`Interrupted`.

    Raises InputError (or the ValueError of a room) for wrong input, SimulationError for a run that
    failed, Interrupted for one that was stopped. What was traced by then is in ``out``.
    """
    place = None if out is None else Path(out)
    if place is not None:
        _check_place(place, resume)
    if isinstance(scenario, str | Path):
        scenario = scenarios.load(scenario)
    this = Run(build(scenario), place, checkpoint_every_s)
    return this.finished_before() or this.execute(listen, each_event)


def _check_place(place: Path, resume: bool) -> None:
    """Refuse to write over anything that is not a run to be resumed."""
    if place.exists() and not place.is_dir():
        raise InputError(f"-o {place}: is a file; name a folder")
    if not place.exists() or not any(place.iterdir()):
        return
    if not resume:
        raise InputError(
            f"-o {place}: is not empty; name another folder, or go on with its run by --resume"
        )
    if not (place / run_folder.MANIFEST).exists() and not (place / CHECKPOINT).exists():
        raise InputError(f"-o {place}: holds no run that could be resumed; name another folder")


class Run:
    """One execution of a built scenario."""

    def __init__(self, built: Build, place: Path | None, checkpoint_every_s: float) -> None:
        self.built = built
        self.place = place
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

    def execute(self, listen: Listener | None, each_event: EachEvent | None) -> Result:
        """Simulate to the end, or keep what there is when that cannot be reached."""
        if listen is not None:
            self.simulation.evaluator.listen = listen
        if self.built.learner.trains:
            self._build_task()
        try:
            self.simulation.run(lambda number: self._tick(number, each_event))
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

    def _tick(self, number: int, each_event: EachEvent | None) -> None:
        self._event = number
        simulation, values = self.simulation, self.built.learner.values
        simulation.journal.check_replay(number, simulation.trace)
        if self.checkpoint is not None:
            with self._disk():
                self.checkpoint.save_if_due(number, simulation.journal, simulation.trace, values)
        if each_event is not None:
            each_event(number)

    def _save_checkpoint(self) -> None:
        if self.checkpoint is not None:
            simulation = self.simulation
            self.checkpoint.save(
                self._event, simulation.journal, simulation.trace, self.built.learner.values
            )

    def _where_to_go_on(self) -> str:
        at = f"stopped at {self.simulation.clock.now / 3600:.2f} h"
        if self.place is None:
            return at
        return f"{at}; go on with: --resume -o {self.place}"

    def _result(self, status: str, error: str = "") -> Result:
        trace = self.simulation.trace
        tables = trace.tables()
        tables["contacts"] = contacts_table(self.built.plan, self.simulation.end_s)
        scenario, sizes = self.built.scenario, self.built.learner.architecture
        whole, timing = digests(tables)
        manifest = {
            "name": scenario.source_path.stem if scenario.source_path else "scenario",
            "status": status,
            "error": error,
            "method": scenario.learning.method,
            "seed": scenario.seed,
            "start_utc": self.built.plan.start.isoformat(),
            "simulated_s": self.simulation.end_s,
            "wall_s": round(time.monotonic() - self._began, 3),
            "events": self._event,
            "computed_device_s": self.simulation.computed_s,
            "energy": self.simulation.energy(),
            "spent": self.simulation.spending.columns(),
            "loads": self.simulation.loads(),
            "model_expert_bytes": sizes.experts * sizes.expert_bytes,
            "identity": self.identity,
            "trainings": self.built.learner.values.computed["train"],
            "books": self.simulation.books,
            "trace_sha256": whole,
            "timing_sha256": timing,
            "warnings": warnings_of(tables, self.built) if status == "complete" else [],
            "versions": run_folder.versions(),
            "scenario": self.scenario_json,
        }
        return Result(tables, manifest, self.place)

    def _write(self, result: Result) -> None:
        if self.place is None:
            return
        run_folder.write_tables(self.place, result.tables)
        if result.manifest["status"] == "complete":
            self._write_model()
        run_folder.write_manifest(self.place, result.manifest)
        if result.manifest["status"] == "complete" and self.checkpoint is not None:
            self.checkpoint.remove()

    def _write_model(self) -> None:
        assert self.place is not None  # only called for a run with a folder
        learner, model = self.built.learner, self.method.model()
        tensors = learner.final_tensors(model) if learner.trains else None
        about = {
            "what": "the satellite's model at the end of the run",
            "kind": learner.config.model.kind,
            "version": self.method.version,
            "trained": learner.trains,
        }
        run_folder.write_model(self.place, tensors, about)
        run_folder.write_payloads(self.place, self.simulation.payloads.listed())
