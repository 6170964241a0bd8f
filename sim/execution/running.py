"""Run: build, simulate, check, write the run folder."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

import scenarios
from learning.files import sync_folder
from learning.hardware import is_out_of_memory, peak_bytes
from learning.invariants import Violation
from learning.own.raised import ANYTHING
from learning.requests.decide import Agent
from learning.rng import drawing, draws_so_far
from scenarios import Scenario
from sim.advice import memory
from sim.advice.doubts import doubts_of, gap_doubts
from sim.analysis.checks.run import EndedRun
from sim.analysis.evaluations import followed, judged_of
from sim.engine.journal import Journal
from sim.engine.learning_facts import clients_table
from sim.engine.learning_task import lacking_file, without_accuracy
from sim.engine.progress import span_s
from sim.engine.simulation import Simulation
from sim.errors import (
    ESTIMATE,
    NO_MEMORY,
    InputError,
    Interrupted,
    InvariantError,
    SimulationError,
    as_input,
    failure_code,
)
from sim.execution import claim, extension
from sim.execution import folder as run_folder
from sim.execution.checkpoint import EXTENSION, JOURNAL, Checkpoint, how_to_restart
from sim.execution.identity import NamedBuild
from sim.execution.interrupt import PATIENCE_S
from sim.execution.log import RUN_LOGGER, log_end, log_start, run_log
from sim.execution.manifest import manifest_of, replay_differs, said_of, saved_with
from sim.execution.outcome import tables_so_far, warnings_of, write_final_model
from sim.execution.ready import build
from sim.execution.result import Result, stored
from sim.execution.run_cache import RunCache
from sim.execution.study import run_study
from sim.execution.trial import with_remedies
from sim.facts import status
from sim.facts.observer import Observer
from sim.files import from_here, trouble_text
from sim.process.garbage import collected_seldom
from sim.trace.recorder import Trace
from statements import Code, Statement


def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    resume: bool = False,  # noqa: FBT001, FBT002 (a documented signature)
    *,
    observers: Sequence[Observer] = (),
    checkpoint_every_s: float = 10.0,
    cache: bool = False,
    keep: bool = True,
    advise: bool = True,
) -> Result:
    """Simulate ``scenario`` (or the one of that name or path) and return its :class:`Result`.

    A scenario without ``learning`` is a network study: it has contacts, capacity and payloads.
    With ``out`` the run folder is written there, and the run can be resumed after an interruption,
    or with a later ``stop``: it is then extended, to what an undisturbed run with that stop gives.
    With ``keep`` a complete run keeps a checkpoint for that; else it is trained from the start.
    With ``advise`` a complete run whose checks find something is timed again, in some seconds at
    most, with keys that may help: a check names the first that does.
    ``observers`` follow every evaluation and every event (see :class:`sim.Observer`). ``cache``
    lets runs share what they train and the contact windows that they find (see
    :mod:`sim.execution.run_cache`); traces are the same with and without.

    Raises InputError (or the ValueError of a room) for wrong input, SimulationError for a run that
    failed, Interrupted for one that was stopped. What was traced by then is in ``out``.
    """
    if isinstance(out, Mapping):
        text = "is the run folder; overrides are those of load: run(load(scenario, {{...}}))"
        raise InputError.of_option("out", Code.WRONG_VALUE, text)
    if out == "":
        raise InputError.of_option("out", Code.WRONG_VALUE, "is empty; name the run's folder")
    place = None if out is None else Path(out).absolute()
    if place is not None:
        claim.check_place(from_here(place), resume=resume)
    if isinstance(scenario, str | Path):
        scenario = scenarios.load(scenario)
    shared = RunCache.shared() if cache else None
    name = scenario.source_path.stem if scenario.source_path else "scenario"
    with drawing():
        if scenario.learning is None:
            return run_study(scenario, name, place, shared, observers)

        def built() -> NamedBuild:
            if shared is None:
                return NamedBuild(build(scenario), name)
            return NamedBuild(build(scenario, shared.windows.find, plan_of=shared.plans.of), name)

        how = (place, checkpoint_every_s, shared, observers)
        try:
            return run_build(built(), *how, keep=keep, advise=advise)
        except extension.GoesAnotherWay:
            return run_build(built(), *how, keep=keep, advise=advise)


def run_build(
    named: NamedBuild,
    place: Path | None,
    checkpoint_every_s: float,
    cache: RunCache | None,
    observers: Sequence[Observer],
    *,
    keep: bool,
    advise: bool,
) -> Result:
    """Return the result of a run as :func:`run` does, out of its folder if it is there.

    Raises GoesAnotherWay where an extended run has to be built and run anew.
    """
    with claim.locked(place), collected_seldom():
        folder = place
        if place is not None:
            with claim.as_run_failure(place):
                extension.adopt(place)  # a process may have been killed at this
                before = claim.manifest_before(place, named)
                is_complete = before is not None and before["status"] == status.COMPLETE
                is_extended = extension.is_of_another_stop(before or {}, named)
            if before is not None and is_complete and not is_extended:
                # Its process may have been killed just before it did this.
                Checkpoint(place, named.about).remove()
                found = stored(place, before)
                return _with_remedies(found, named) if advise else found
            claim.check_writable(place)
            with claim.as_run_failure(place):
                folder = extension.begin(place, named, before)
        execution = RunExecution(
            named, folder, checkpoint_every_s, cache, observers, keep=keep, known_as=place
        )
        try:
            result = execution.execute()
            if place is not None and folder != place:
                with claim.as_run_failure(place):
                    extension.adopt(place)
                result = result.moved(place)
        except (SimulationError, InputError) as error:
            saved = execution.checkpoint
            if saved is None or not (saved.is_handed_over and execution.replays):
                raise
            if isinstance(error.__cause__, OSError) or failure_code(error) == Code.NO_MEMORY:
                raise  # that is no other way, and what was kept is still of use
            saved.remove()
            if place is not None:
                Checkpoint(place, {}, name=EXTENSION).remove()
            raise extension.GoesAnotherWay from error
        return _with_remedies(result, named) if advise else result


def _with_remedies(result: Result, named: NamedBuild) -> Result:
    """Return a complete result with the remedies of its checks, and store them in its folder.

    Remedies that are there were found when it ended. A custom method is not run again: it may have
    effects outside of the run.
    """
    method = named.build.method
    is_shipped = method.__module__.partition(".")[0] == "learning"
    if "held_back" in result.manifest or not is_shipped or method.traits.own_learning:
        return result

    def simulate(scenario: Scenario, observer: Observer) -> Result:
        return run(scenario, observers=[observer], advise=False)

    try:
        found = with_remedies(result, EndedRun(result.tables, result.manifest, method), simulate)
    except InputError:  # its tables do not fit into memory as a whole
        return result
    if found.folder is not None and found is not result:
        with suppress(OSError):  # the run is complete without them
            run_folder.write_manifest(found.folder, found.manifest)
    return found


class RunExecution(Observer):
    """One execution of a build; a ``player`` decides in place of the method's own agent.

    Its files are written to ``place``. Its user calls that ``known_as``: an extension is written
    in a folder of the run that it extends.
    """

    def __init__(
        self,
        named: NamedBuild,
        place: Path | None,
        checkpoint_every_s: float,
        cache: RunCache | None = None,
        observers: Sequence[Observer] = (),
        player: Agent | None = None,
        *,
        keep: bool = False,
        known_as: Path | None = None,
    ) -> None:
        self.named = named
        self.built = built = named.build
        self.place = place
        self._known_as = place if known_as is None else known_as
        self.cache = cache
        if cache is not None:
            cache.serve(built.learner)
        self.checkpoint: Checkpoint | None = None
        self._kept: Checkpoint | None = None
        journal = Journal()
        if place is not None:
            with claim.as_run_failure(place):
                self._is_new = claim.is_free(place)
                self.checkpoint = Checkpoint(place, named.about, checkpoint_every_s)
                if keep:
                    self._kept = Checkpoint(place, named.about, name=EXTENSION)
                journal = self.checkpoint.load(built.learner.values)
                built.learner.replies.folder = self.checkpoint.replies
        # Where nothing is measured there are no checkpoints, and no digests to compare.
        self._is_replayed = built.learner.measures
        trace = Trace(
            None if place is None else place / claim.SPILLED,
            replayed=place is None or self._is_replayed,
        )
        followers = (self, *observers)
        self.simulation = Simulation(built, journal, trace, followers, player)
        self._event = 0
        self._began = time.monotonic()
        self._clients: pa.Table | None = None
        self._tests: dict[str, Any] | None = None
        self._doubts: list[Statement] = []
        self._observers = observers
        self._cycle = 0

    def _doubted(self, doubts: Iterable[Statement]) -> None:
        """Tell observers what is doubted, if anything is."""
        if known := tuple(doubts):
            for observer in self._observers:
                observer.doubted(known)

    def execute(self) -> Result:
        """Simulate to the end, or keep what there is when that cannot be reached."""
        try:
            built = self.built
            self._doubted((*memory.doubts(built, self.place), *doubts_of(built)))
            learner = built.learner
            if learner.trains:
                # Data and model are made before anything is simulated.
                with as_input(origin=self.built.world):
                    if lacks := lacking_file(self.built.world, learner.config.data):
                        raise InputError(lacks)
                    self._clients = clients_table(learner.config.clusters, learner.build())
                    self._tests = learner.test_labels() or None
                    if wrong := without_accuracy(built.world, learner):
                        raise InputError(wrong)
            self._check_made_by_code()
            # Behind what is wrong with the data, which ends the run in one line.
            self._doubted(gap_doubts(built))
            if learner.measures:
                self._doubts = self.built.try_hooks(self.simulation.method)
                self._doubted(self._doubts)
            if self.checkpoint is not None:
                with claim.as_run_failure(self.place):
                    self.checkpoint.begin(self.simulation.journal)
            for observer in self._observers:
                observer.follows(self._so_far)
            with run_log(self._known_as):
                log_start(self.built.world, self.simulation.journal.event)
                result = self._executed()
                log_end(result.manifest)
                return result
        except ValueError:  # code of the user's, too
            self._leave_as_found()
            raise
        except InvariantError:
            self.built.learner.forget_tasks()
            raise
        finally:
            self.simulation.method.dismiss()
            self.simulation.trace.close()
            if self.cache is not None:
                self.cache.close()

    def _check_made_by_code(self) -> None:
        """Raise InputError if custom code makes other data or weights than the saved run's."""
        if self.checkpoint is None or self.place is None or not self.checkpoint.is_resumed:
            return
        before = self.simulation.journal.saved_with
        with as_input(origin=self.built.world):
            now = self.simulation.method.made_by_code(before)
        claim.check_unchanged(self.place, {n: before[n] for n in now if n in before}, now)

    def _leave_as_found(self) -> None:
        """Remove what was begun in a new folder: the input is wrong."""
        if self.checkpoint is not None and self.place is not None and self._is_new:
            self.checkpoint.remove()
            with suppress(OSError):
                (self.place / run_folder.RUN_LOG).unlink(missing_ok=True)

    def _executed(self) -> Result:
        try:
            self.simulation.run(self._keep)
            books = self.simulation.clients.books
            self.simulation.invariants.conclude(books.booked(), books.listed())
            result = self._result(status.COMPLETE)
            with claim.as_run_failure(self.place):
                self._write(result)
        except Interrupted as why:
            with claim.as_run_failure(self.place):
                self._save()
                self._evaluate_beside(why)
                self._write(self._result(status.INTERRUPTED))
            raise Interrupted(self._how_to_resume(str(why))) from None
        except KeyboardInterrupt:
            # In the middle of an event, and in a hurry: what was saved last is whole.
            raise Interrupted(self._how_to_resume("stopped at once")) from None
        except Violation as error:
            self._keep_failed(str(error), Code.INVARIANT)
            raise InvariantError(str(error)) from error
        except SimulationError as error:
            text = f"{self._replayed}{error}"
            self._keep_failed(text, error.code)
            if not self._replayed:
                raise
            raise SimulationError(text, error.code) from error.__cause__
        except ValueError as error:
            if isinstance(error, InputError) or not self._replayed or self.checkpoint is None:
                raise
            raise InputError.of_file(
                self.checkpoint.folder / JOURNAL,
                Code.WRONG_FILE,
                "does not fit this run ({why})",
                how_to_restart(self.checkpoint.folder),
                why=" ".join(str(error).split()),
            ) from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            # What was being computed is held by the traceback, with its memory.
            error.__traceback__ = None
            doing = " ".join([NO_MEMORY, *getattr(error, "__notes__", [])[:1]])
            lacking = f"{self._how_to_resume(doing)}; {ESTIMATE}"
            self._keep_failed(lacking, Code.NO_MEMORY)
            raise SimulationError(lacking, Code.NO_MEMORY) from None
        return result

    def _evaluate_beside(self, why: Interrupted) -> None:
        """Evaluate the model of an interrupted run for its tables, if that is soon done.

        What is trained for that is saved; the run goes on as if nothing else had been. In a replay
        the model is that of a time before the checkpoint.
        """
        simulation = self.simulation
        learner = self.built.learner
        is_replay = self._event < simulation.journal.event
        is_long = simulation.evaluator.took_s > PATIENCE_S
        if self.place is None or why.in_haste or not learner.measures or is_replay or is_long:
            return
        learner.values.trains_until_s = time.monotonic() + PATIENCE_S
        tell = None
        try:
            tell = simulation.evaluated_beside()
        except KeyboardInterrupt:
            raise Interrupted(self._how_to_resume("stopped at once")) from None
        except ANYTHING as error:  # of a method of one's own, too; its run has not failed by it
            RUN_LOGGER.info("not evaluated when it was interrupted: %s", error)
        finally:
            learner.values.trains_until_s = math.inf
        self._save()
        if tell is not None:
            tell()

    @property
    def replays(self) -> bool:
        """Whether all that it has done so far was known from its checkpoint."""
        return bool(self._replayed)

    @property
    def _replayed(self) -> str:
        """Name the journal for messages, as long as the run is replayed from it."""
        if self.checkpoint is None or not self.checkpoint.is_resumed:
            return ""
        saved_at = self.simulation.journal.event
        is_replayed = saved_at > 0 and self._event <= saved_at
        return f"{self.checkpoint.folder / JOURNAL}: " if is_replayed else ""

    def _keep_failed(self, error: str, code: Code) -> None:
        """Keep what was traced; what made the run fail may also stand in the way of that."""
        self.simulation.invariants.rest()  # one failure is enough
        try:
            with claim.as_run_failure(self.place):
                self._write(self._result(status.FAILED, error, code))
        except Exception as trouble:
            text = " ".join(str(trouble).split())
            why = "" if text == error else f": {text}"
            lost = f"{error}; what was traced is lost{why}"
            raise SimulationError(lost, failure_code(trouble)) from trouble

    def evaluated(self, time_s: float, cycle: int, accuracy: float) -> None:
        """Keep how far the run has come."""
        self._cycle = cycle

    def measured(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Log an evaluation, unless nothing is measured."""
        learning = self.built.world.learning
        data = learning.data
        pooled, judged = rows[0], judged_of(learning.loss, data.objective)
        if said := followed(pooled, judged, of_validation=data.validation > 0, digits=4):
            hours, cycle = pooled["time_s"] / 3600, pooled["cycle"]
            RUN_LOGGER.info("evaluated at %.2f h, cycle %s: %s", hours, cycle, said)

    def event(self, number: int, time_s: float) -> None:
        """Check a replay, and save what is due."""
        self._event = number
        if not self._is_replayed:
            return
        simulation = self.simulation
        if simulation.journal.differs(number, simulation.digest):
            before = simulation.journal.saved_with
            raise SimulationError(
                replay_differs(number, before, self._with, self.place, list(self.named.code))
            )
        if self.checkpoint is not None and self.checkpoint.is_due:
            with claim.as_run_failure(self.place):
                self._save()
        if simulation.is_near_its_end:
            self._keep()

    def _keep(self) -> None:
        """Save, once, what a run with a later stop can go on from."""
        kept, saved = self._kept, self.checkpoint
        if kept is None or saved is None or kept.is_there or not self.built.learner.measures:
            return
        if self._event < self.simulation.journal.event:
            return  # what is replayed has been kept, or the run is cut behind it
        try:
            kept.remove()  # what a process has left that was killed meanwhile
            kept.take_replies(saved)
            self._save_to(kept)
        except OSError as error:  # the run itself can do without
            RUN_LOGGER.warning("nothing is kept to extend the run from: %s", trouble_text(error))
            kept.remove()
            self._kept = None

    def _save(self) -> None:
        """Save where there is anything that need not be done again: timing is only replayed."""
        if self.checkpoint is None or not self.built.learner.measures:
            return
        if self._save_to(self.checkpoint):
            RUN_LOGGER.info("checkpoint saved at event %s", self._event)

    def _save_to(self, checkpoint: Checkpoint) -> bool:
        simulation = self.simulation
        return checkpoint.save(
            self._event,
            simulation.clock.now,
            simulation.journal,
            simulation.digest,
            self.built.learner.values,
            self._with,
        )

    @cached_property
    def _machine(self) -> dict[str, str]:
        return saved_with(self.built.learner)

    @property
    def _with(self) -> dict[str, str]:
        """With what the run is saved; asked for when its data and model are made."""
        return {**self._machine, **self.simulation.method.made_by_code()}

    def _so_far(self) -> dict[str, Any]:
        """Return how far the run has come, as observers ask for it: read by another thread."""
        scenario = self.built.world.scenario
        return {
            "time_s": self.simulation.clock.now,
            "span_s": span_s(self.built.world),
            "cycle": self._cycle,
            "cycles": scenario.stop.cycles,
            "rounds": self.simulation.rounds,
            "most_rounds": scenario.stop.rounds,
            "next_test_s": self.simulation.next_evaluation_s,
        }

    def _how_to_resume(self, why: str) -> str:
        at = f"{why} at {self.simulation.clock.now / 3600:.2f} h"
        if self._known_as is None:
            return at
        return f"{at}; go on with: --resume -o {from_here(self._known_as)}"

    def _result(self, ended: str, error: str = "", code: Code | None = None) -> Result:
        tables = tables_so_far(self.built, self.simulation, self._clients)
        complete = ended == status.COMPLETE
        warnings = warnings_of(self.built, self.simulation.method) if complete else []
        manifest = manifest_of(
            self.named,
            self.simulation,
            tables,
            ended,
            warnings=warnings,
            error=error,
            **({} if code is None else {"error_code": code.value}),
            wall_s=round(time.monotonic() - self._began, 3),
            peak_memory_bytes=peak_bytes(),
            events=self._event,
            tests=self._tests,
            **self._drawn(),
        )
        return Result(tables, manifest, self.place, warnings)

    def _drawn(self) -> dict[str, Any]:
        """Return whether anything was drawn at random; nothing where that is not known.

        What is trained may come out of a cache, without a draw.
        """
        draws = draws_so_far()
        return {} if draws is None else {"drawn": draws.any or self.built.learner.measures}

    def _write(self, result: Result) -> None:
        manifest = result.manifest
        place = self.place
        complete = manifest["status"] == status.COMPLETE
        if place is not None:
            run_folder.write_tables(place, result.tables)
            if complete and self._kept is not None and self._kept.is_there:
                manifest["kept_bytes"] = self._kept.size_bytes
            if complete:
                results = None if self.cache is None else self.cache.results
                write_final_model(place, self.built, self.simulation, results)
                manifest["checksums"] = run_folder.checksums(place, result.tables)
        self._count_reuse(manifest)  # now that the last of it is done
        result.warnings.extend(self._doubts)
        if self.cache is not None:
            result.warnings.extend(self.cache.warnings)
        manifest |= said_of(result.warnings)
        if place is not None and self.checkpoint is not None:
            # The manifest comes behind all that it speaks of; a complete run is resumed no more.
            sync_folder(place)
            run_folder.write_manifest(place, manifest)
            if complete:
                self.checkpoint.remove()

    def _count_reuse(self, manifest: dict[str, Any]) -> None:
        """Note what was trained, and what came of the cache."""
        reuse = self.built.learner.values.reuse
        manifest |= {"trainings": reuse.done, "trainings_reused": len(reuse.spared)}
        manifest["cache"] = None if self.cache is None else self.cache.figures()
