"""leomix: a co-simulator of satellite networks and federated learning, behind one name.

    scenario = leomix.load("quickstart", {"stop.days": 2})
    result = leomix.run(scenario, out="runs/first")
    result = leomix.load("runs/first")

It combines the packages :mod:`orbit` (who sees whom), :mod:`channel` (what a link carries),
:mod:`learning` (models, data, methods), :mod:`scenarios` (the scenario files) and :mod:`sim` (the
clock). Names are loaded on first use, so ``import leomix`` is cheap and needs no torch.
"""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":
    # As sim.process.beginning does: `python -m leomix` looks for modules in the current folder
    # first, where files of somebody else may lie, and Ctrl-C would show the trace of an import.
    if not sys.flags.safe_path and sys.path[:1] != [os.path.dirname(__file__)]:
        del sys.path[:1]

    def _end(*_: object) -> None:
        os.write(2, b"leomix: interrupted: nothing was saved\n")
        os._exit(130)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)

from collections.abc import Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import channel as channel
    import learning as learning
    import orbit as orbit
    import scenarios as scenarios
    import sim as sim
    import sim.gym as gym
    from sim import compare, run
    from sim.execution.schedule import plan
    from sim.export import export
    from sim.page import report
    from sim.sweep import sweep

    __version__: str


def _installation() -> ModuleType:
    """Load the module that lists our packages by its path: another one may be called ``sim``."""
    place = Path(__file__).resolve().parent / "sim/process/installation.py"
    spec = spec_from_file_location("leomix_installation", place)
    assert spec is not None  # it is the file of a module
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_OURS = _installation()
PACKAGES: tuple[str, ...] = _OURS.PACKAGES
_HOME_OF = {
    "compare": "sim",
    "export": "sim.export",
    "plan": "sim.execution.schedule",
    "report": "sim.page",
    "run": "sim",
    "sweep": "sim.sweep",
}
_MODULES = {"gym": "sim.gym"}


class _Testing(ModuleType):
    """``leomix.testing``: Python finds it where it is registered, as ``os.path``; it is lazy."""

    __all__ = ("Finding", "check_method")

    def __getattr__(self, name: str) -> Any:
        if name not in self.__all__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(_package("sim.execution.conformance"), name)

    def __dir__(self) -> list[str]:
        return sorted(self.__all__)


testing = _Testing("leomix.testing", "What must hold of every method, for the tests of your own.")
sys.modules[testing.__name__] = testing

__all__ = [
    "__version__", "channel", "compare", "export", "gym", "learning", "load", "orbit", "plan",
    "report", "run", "scenarios", "sim", "sweep", "testing",
]  # fmt: skip


def load(source: str | Path, overrides: Mapping[str, Any] | None = None) -> Any:
    """Return the Scenario of a file or shipped name, or the Result or Sweep of its folder.

    ``overrides`` replaces keys of a scenario by dotted name, like ``{"stop.days": 2}``. Raises
    :class:`scenarios.ScenarioError` or :class:`sim.InputError` for wrong input, and ValueError for
    overrides of a run folder.
    """
    if Path(source).is_dir():
        if overrides:
            raise ValueError(f"{source}: is a run folder, which takes no overrides")
        if _package("sim.execution.folder").is_sweep(Path(source)):
            return _package("sim.sweep").read_sweep(source)
        return _package("sim").load(source)
    return _package("scenarios").load(str(source), dict(overrides or {}))


def _package(name: str) -> Any:
    """Import one of our packages; raise ImportError, in one line, if a foreign one has its name."""
    top = name.partition(".")[0]
    wanted = PACKAGES if top == "sim" else (top,)  # sim imports them all
    if complaints := _OURS.foreign_packages(wanted):
        raise ImportError(complaints[0])
    return import_module(name)


def __getattr__(name: str) -> Any:
    if name in PACKAGES or name in _MODULES:
        value = _package(_MODULES.get(name, name))
    elif name in _HOME_OF:
        value = getattr(_package(_HOME_OF[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("leomix")
    else:
        raise AttributeError(f"module 'leomix' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if __name__ == "__mp_main__":
    _package("learning.own.imports")  # a process of the user's code is to find the user's modules
if __name__ == "__main__":
    _begin = _package("sim.cli").main
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _begin()
