"""`leomix run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli import options, output
from sim.cli.options import spread_out
from sim.cli.output import ExitCode
from sim.errors import InputError, SimulationError
from statements import Code, in_turn

if TYPE_CHECKING:
    from scenarios import Scenario
    from sim.execution.result import Result
    from sim.facts.observer import Observer


@spread_out
def run_command(
    scenario: options.ScenarioName,
    out: Annotated[Path | None, options.output("run folder; default runs/NAME-METHOD-SEED")] = None,
    *,
    overrides: options.Overrides,
    resume: Annotated[bool, options.go_on("run")] = False,
    limits: options.Limits,
    tensorboard: options.Board = None,
    shown: options.Shown,
) -> None:
    """Simulate a scenario and write its run folder."""
    import scenarios
    from sim.execution.running import run
    from sim.files import free_folder

    max_wall_s = limits.max_wall_s
    here = Path.cwd()  # code of the user's may go to another folder
    loaded = scenarios.load(scenario, overrides.by_key())
    if resume and out is None:
        raise InputError.of_option("--resume", Code.MISSING, "name the run's folder with -o DIR")
    name = loaded.source_path.stem if loaded.source_path else "scenario"
    method = "network" if loaded.learning is None else loaded.learning.method
    usual = here / "runs" / f"{name}-{method}-{loaded.seed}"
    place = free_folder(usual) if out is None else here / out
    start = partial(run, loaded, place, resume, cache=not limits.no_cache)
    boards = tensorboard and here / tensorboard
    Execution(start, loaded, place, max_wall_s, boards).carry_out(shown)


def _study_text(result: Result) -> str:
    from sim.page.study_text import study_text  # what draws pages is beside it

    return study_text(result)


@dataclass(frozen=True)
class Execution:
    """A run to be carried out into an absolute ``place``; curves to ``tensorboard/NAME``.

    ``start`` takes the observers and returns the result.
    """

    start: Callable[..., Result]
    scenario: Scenario
    place: Path
    max_wall_s: float
    tensorboard: Path | None = None

    def carry_out(self, shown: options.Shown) -> None:
        """Run it, and show what came out."""
        from sim.analysis.run_text import run_screen
        from sim.cli.progress import Progress
        from sim.execution.folder import MANIFEST, as_written, read_manifest
        from sim.files import from_here
        from sim.world.world import World

        boards = self._boards()
        was_there = (self.place / MANIFEST).is_file()
        earlier = read_manifest(self.place) if was_there else {}
        with Progress(World(self.scenario), quiet=shown.quiet) as progress:
            result = self._result([progress, *boards], earlier)
        named = from_here(self.place)
        # What a complete run says was read, and not made here: it may be damaged.
        with as_written([self.place]) if was_there else nullcontext():
            new = (w for w in result.warnings if w not in progress.doubts)
            warnings, notes = in_turn(new)
            summary = result.summary
            text = _study_text(result) if result.of_network else run_screen(result, named)
        output.warn(warnings)
        elsewhere = f"leomix show {named}"
        with output.showing("the run is complete, its summary", elsewhere, json_=shown.json_):
            if shown.json_:
                output.print_json({**summary, "folder": str(named)})
            else:
                print(text, flush=True)
        output.warn(notes)
        if self.scenario.learning is None:
            return
        # That nothing arrives is what a run for its timing may be for: that is no failure.
        codes = {check.code for check in result.checks}
        if self.scenario.learning.train and "no-update" in codes:
            raise typer.Exit(ExitCode.NO_RESULT)

    def _result(self, observers: Sequence[Observer], earlier: Mapping[str, Any]) -> Result:
        """Return the result; a failure that the ``earlier`` manifest has as well is final."""
        from sim.execution.folder import read_manifest
        from sim.execution.interrupt import stop_on_interrupt
        from sim.facts.status import FAILED

        try:
            with stop_on_interrupt(self.max_wall_s) as stop:
                return self.start(observers=(*observers, stop))
        except SimulationError as error:
            known = earlier.get("status") == FAILED and "error_code" in earlier
            if not known or error.code != earlier["error_code"]:
                raise
            if read_manifest(self.place)["events"] != earlier["events"]:
                raise
            again = f"{error}; it failed so before, and --resume does not mend that"
            raise SimulationError(again) from error

    def _boards(self) -> list[Observer]:
        """Return what writes curves while the run goes on, if that was asked for."""
        if self.tensorboard is None:
            return []
        from sim.export.curves import TensorBoard

        return [TensorBoard(self.tensorboard / self.place.resolve().name)]
