"""`leomix run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
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
    shown: options.OutputOptions,
) -> None:
    """Simulate a scenario and write its run folder."""
    import scenarios

    execution = Execution(Path.cwd(), out, resume, limits, tensorboard)
    loaded = scenarios.load(scenario, overrides.by_key())
    method = "network" if loaded.learning is None else loaded.learning.method
    execution.carry_out(loaded, f"{name_of(loaded)}-{method}", shown)


def name_of(scenario: Scenario) -> str:
    """Return what a scenario is called: as its file."""
    return scenario.source_path.stem if scenario.source_path else "scenario"


@dataclass(frozen=True)
class Execution:
    """How a run is carried out: ``here``, as code of the user's may go to another folder later.

    It runs into ``out``, or a free folder in ``runs``. Curves go to ``tensorboard/NAME``. Raises
    InputError for options that do not go together.
    """

    here: Path
    out: Path | None
    resume: bool
    limits: options.Limits
    tensorboard: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a limit that is none, and a run to be resumed that nobody has named."""
        _ = self.limits.max_wall_s
        if self.resume and self.out is None:
            text = "name the run's folder with -o DIR"
            raise InputError.of_option("--resume", Code.MISSING, text)

    def carry_out(self, scenario: Scenario, name: str, shown: options.OutputOptions) -> None:
        """Run a scenario, by default into ``runs/NAME-SEED``, and show what came out."""
        from sim.analysis.run_text import run_screen
        from sim.cli.progress import Progress
        from sim.execution.folder import MANIFEST, as_written, read_manifest
        from sim.execution.study_text import study_text
        from sim.files import free_folder, from_here
        from sim.world.world import World

        usual = self.here / "runs" / f"{name}-{scenario.seed}"
        place = free_folder(usual) if self.out is None else self.here / self.out
        boards = self._boards(place)
        was_there = (place / MANIFEST).is_file()
        earlier = read_manifest(place) if was_there else {}
        with Progress(World(scenario), quiet=shown.quiet) as progress:
            result = self._result(scenario, place, [progress, *boards], earlier)
        named = from_here(place)
        # What a complete run says was read, and not made here: it may be damaged.
        with as_written([place]) if was_there else nullcontext():
            new = (w for w in result.warnings if w not in progress.doubts)
            warnings, notes = in_turn(new)
            summary = result.summary
            text = study_text(result) if result.of_network else run_screen(result, named)
        output.warn(warnings)
        elsewhere = f"leomix show {named}"
        with output.showing("the run is complete, its summary", elsewhere, json_=shown.json_):
            if shown.json_:
                output.print_json({**summary, "folder": str(named)})
            else:
                print(text, flush=True)
        output.warn(notes)
        if scenario.learning is None:
            return
        # That nothing arrives is what a run for its timing may be for: that is no failure.
        codes = {check.code for check in result.checks}
        if scenario.learning.train and "no-update" in codes:
            raise typer.Exit(ExitCode.NO_RESULT)

    def _result(
        self,
        scenario: Scenario,
        place: Path,
        observers: Sequence[Observer],
        earlier: Mapping[str, Any],
    ) -> Result:
        """Return the result; a failure that the ``earlier`` manifest has as well is final."""
        from sim.execution.folder import read_manifest
        from sim.execution.interrupt import stop_on_interrupt
        from sim.execution.running import run
        from sim.facts.status import FAILED

        try:
            with stop_on_interrupt(self.limits.max_wall_s) as stop:
                followers, cache = (*observers, stop), not self.limits.no_cache
                return run(scenario, place, self.resume, observers=followers, cache=cache)
        except SimulationError as error:
            known = earlier.get("status") == FAILED and "error_code" in earlier
            if not known or error.code != earlier["error_code"]:
                raise
            if read_manifest(place)["events"] != earlier["events"]:
                raise
            again = f"{error}; it failed so before, and --resume does not mend that"
            raise SimulationError(again) from error

    def _boards(self, place: Path) -> list[Observer]:
        """Return what writes curves while the run goes on, if that was asked for."""
        if self.tensorboard is None:
            return []
        from sim.export.curves import TensorBoard

        return [TensorBoard(self.here / self.tensorboard / place.resolve().name)]
