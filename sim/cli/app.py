"""The command ``leomix``. Heavy imports happen inside the commands, so that ``--help`` is quick."""

from __future__ import annotations

import _thread
import atexit
import gc
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import Annotated, Any, NoReturn, TextIO

import typer
from typer.core import TyperCommand

from learning.hardware import address_limit, is_out_of_memory
from sim.cli import (
    about,
    capacity,
    contacts,
    fly,
    link,
    new,
    run,
    scenario,
    show,
    sweep,
)
from sim.cli.output import ExitCode, answers, json_alone, one_line, print_json
from sim.errors import ESTIMATE, NO_MEMORY, InputError, Interrupted, SimulationError
from sim.files import of_the_disk, trouble_text
from sim.formatting import data_size, legend_of, listed
from sim.process.beginning import raise_when_interrupted, tell_exits
from sim.process.garbage import collect_seldom
from sim.process.terminal import drop_unwritten, escaped_streams
from statements import Code, refused_json

app = typer.Typer(
    name="leomix",
    help="Simulate federated learning over satellites in low Earth orbit: of any PyTorch model, "
    "plain or a mixture of experts.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    suggest_commands=typer.BadParameter.__module__.startswith("typer"),  # click does so itself
)

# Typer carries its own copy of click from some version on; this is the right class in each.
UsageError: Any = typer.BadParameter.__base__
LONGEST_LINE = 4000
"""Characters of an error that are shown."""
NO_TORCH = (
    "this trains, or handles trained weights, with PyTorch, and the package torch is missing; "
    "install torch, or simulate the timing alone: --set learning.train=false"
)
LEAST_ADDRESSES = 1_500_000_000
"""Bytes of address space: the libraries of a run that trains take 1.1 GB of it."""
THREADS_S = 3.0
"""Seconds that threads of custom code may take to end when a command is done."""

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run.run_command,
    "fly": fly.fly_command,
    "sweep": sweep.sweep_command,
    "contacts": contacts.contacts_command,
    "link": link.link_command,
    "capacity": capacity.capacity_command,
    "validate": scenario.validate_command,
    "list": about.list_command,
    "show": show.show_command,
    "compare": show.compare_command,
    "report": show.report_command,
    "export": show.export_command,
    "new": new.new_command,
    "doctor": about.doctor_command,
}


class WithLegend(TyperCommand):
    """A command whose help ends with what its columns or lines mean, if they have a legend."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the legend below the options."""
        if legend := legend_of(str(self.name)):
            with formatter.section("Columns and lines"):
                formatter.write_dl([(head, meaning) for head, meaning in legend.values()])


for _name, _command in COMMANDS.items():
    app.command(_name, cls=WithLegend)(_command)


def _show_version(asked: bool) -> None:  # noqa: FBT001 (typer passes it by place)
    if asked:
        from importlib.metadata import version

        print(f"leomix {version('leomix')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="show the version"),
    ] = False,
) -> None: ...


@cache
def command_line() -> Any:
    """Return the commands as Typer makes them of the functions, once in a process."""
    return typer.main.get_command(app)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and end the process: 0 done, 1 failed, 2 wrong input, 130 interrupted.

    In a process that goes on, call :func:`status`.
    """
    collect_seldom()
    end = tell_exits()
    sys.unraisablehook = _interrupt_again
    # Pydantic would look for plugins in all installed packages, which takes as long as the schema.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    _open_streams()
    _end_process(_check_limit() or status(arguments), end)


def _interrupt_again(unraisable: Any) -> None:
    """Interrupt anew where Python has caught an interrupt itself, as in a callback of an import."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    delay_s = 0.01  # now it would be caught again
    while True:
        try:
            threading.Timer(delay_s, _thread.interrupt_main).start()
            return
        except KeyboardInterrupt:  # on a busy machine it comes before this returns, and is lost
            delay_s *= 2


def _open_streams() -> None:
    """Open what the caller has closed (``2>&-``): files would get its number, and its messages.

    Messages that cannot be written are dropped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    sys.stderr = _Messages(sys.stderr)


class _Messages(io.TextIOWrapper):
    """A stream of messages: where they cannot be written, the work that they tell of goes on."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.buffer, stream.encoding, stream.errors, line_buffering=True)
        self._replaced = stream  # which closes what both write to when nothing refers to it

    def write(self, text: str) -> int:
        """Write ``text``, or drop it and all that follows."""
        try:
            return super().write(text)
        except OSError:  # a full disk, a closed terminal
            drop_unwritten(self)
            return len(text)


def _check_limit() -> int:
    """Refuse a limit of the address space below which libraries wait for ever to be loaded."""
    most = address_limit()
    if most is None:
        return ExitCode.DONE
    # What they would reserve: OpenBLAS for each core, mimalloc (in Arrow) a gigabyte.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if most >= LEAST_ADDRESSES:
        return ExitCode.DONE
    _say(
        f"ulimit -v {most // 1024} leaves {data_size(most)} of address space and leomix needs "
        f"{data_size(LEAST_ADDRESSES)}: raise the limit, for example ulimit -v unlimited"
    )
    return ExitCode.WRONG_INPUT


def _end_process(code: int, end: Callable[[int], NoReturn]) -> NoReturn:
    """End the process as Python does, but do not take interpreter and libraries apart.

    A library's own thread that then asks for Python (Arrow's does, to free an array of numpy) is
    ended by CPython 3.11 in the middle of C++, which aborts the process: exit status 134 after a
    complete run. To take torch apart also takes about a second.
    """
    with suppress(ValueError):  # this is not the main thread
        signal.signal(signal.SIGINT, lambda *_: end(code))
    _end_threads()
    atexit._run_exitfuncs()  # noqa: SLF001
    drop_unwritten(sys.stdout)
    drop_unwritten(sys.stderr)
    with suppress(MemoryError):
        kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
        for thing in gc.get_objects():
            if issubclass(type(thing), kinds) and not thing.closed:  # custom code left it open
                with suppress(OSError):
                    thing.flush()
    end(code)


def _end_threads() -> None:
    """Wait for threads that custom code has started, as Python does, and name what does not end."""

    def join() -> None:
        for end in reversed(threading._threading_atexits):  # type: ignore[attr-defined]  # noqa: SLF001 (pools of threads)
            end()
        while left := _left():
            left[0].join()

    waiting = threading.Thread(target=join, daemon=True)
    waiting.start()
    waiting.join(THREADS_S)
    if left := _left():
        _say(
            f"note: {listed([one.name for one in left])} of custom code did not end within "
            f"{THREADS_S:g} s: start threads with daemon=True, or end them"
        )


def _left() -> list[threading.Thread]:
    """Return the threads that Python would wait for."""
    main = threading.main_thread()
    return [one for one in threading.enumerate() if not one.daemon and one is not main]


def status(arguments: list[str] | None) -> int:
    """Run the command line and return its exit code; errors are one line on stderr.

    Control characters in whatever is printed, which may be out of a file, are escaped.
    """
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    with json_alone() if as_json else nullcontext(), escaped_streams(sys.stdout, sys.stderr):
        try:
            return _status(given, as_json=as_json)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            _say(NO_TORCH)
            return ExitCode.WRONG_INPUT


def _status(given: list[str], *, as_json: bool) -> int:
    try:
        raise_when_interrupted()
        _check_empty(given)
        with _interrupts():
            code = command_line()(given or ["--help"], "leomix", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        _say(error.format_message())
        return ExitCode.WRONG_INPUT
    except SimulationError as error:
        _say(f"the run failed: {error}")
        return ExitCode.FAILED
    except OSError as error:
        drop_unwritten(answers())
        _say(trouble_text(error))
        return ExitCode.FAILED if of_the_disk(error) else ExitCode.WRONG_INPUT
    except ValueError as error:
        _say(str(error))
        if as_json:
            print_json({"refused": refused_json(error)})
        return ExitCode.WRONG_INPUT
    except RecursionError:
        _say("something in the input is nested too deeply; get the file again from its source")
        return ExitCode.WRONG_INPUT
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        _say(f"{NO_MEMORY}; {ESTIMATE}")
        return ExitCode.FAILED
    except (Interrupted, KeyboardInterrupt, typer.Abort) as error:
        return _interrupted(str(error))
    # Typer makes this status of an interrupt that no command has met.
    return _interrupted() if code == ExitCode.INTERRUPTED else code or ExitCode.DONE


def _check_empty(given: list[str]) -> None:
    """Refuse an argument or option without text: of a path it would be the current folder."""
    for before, text in zip(["leomix", *given], given, strict=False):
        if not text or re.fullmatch(r"--[\w-]+=", text):
            raise InputError.of_option(
                text or f'{before} ""',
                Code.WRONG_VALUE,
                "is empty (a variable that is not set?)",
                "give a value, or leave the option out",
            )


@contextmanager
def _interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for an error that is due to one.

    Python makes a RuntimeError of what is raised while a class is made, as in many imports.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise


def _interrupted(saved: str = "") -> int:
    _say(f"interrupted: {saved or 'nothing was saved'}")
    return ExitCode.INTERRUPTED


def _say(text: str) -> None:
    """Print on one line of stderr what ended the command."""
    print(f"leomix: {one_line(text)[:LONGEST_LINE]}", file=sys.stderr)
