"""What must hold of every method, tried on tiny runs: the face of it is ``leomix.testing``."""

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import scenarios
from learning import Method
from learning.clients.cluster import ClusterState
from learning.clients.updates import ServerModel, merge
from learning.methods.base import METHODS, GlobalModelMethod, find_method
from learning.methods.options import read_options
from learning.own.raised import ANYTHING
from learning.requests import Work
from scenarios.parsing import shipped_table
from sim.engine.learning_facts import SAMPLES
from sim.engine.learning_task import learner_of
from sim.engine.setup import method_of
from sim.errors import InputError, Interrupted, InvariantError, as_input
from sim.execution.checkpoint import EXTENSION, JOURNAL
from sim.execution.model import WEIGHTS
from sim.execution.ready import build
from sim.execution.result import Result
from sim.execution.running import run
from sim.facts.observer import Observer
from sim.files import packaged
from sim.world.world import World
from statements import Code

TRIALS: dict[str, Any] = shipped_table(packaged("sim.execution", "trials.yaml"))
"""The tiny scenario that methods are tried in, and sections that take the place of its own."""
IN_ORBIT = TRIALS["in_orbit"]
COLUMNS, *PASSES = IN_ORBIT["orbit"]["windows"].splitlines()
OF_MIXTURES = ("model", "pretraining", "lora")
TOLERANCE = 1e-5
"""How far the weights of two ways to the same sum of gradients may lie apart."""


def _windows(passes: Sequence[str]) -> dict[str, Any]:
    return {"orbit": {"source": "contacts", "windows": "\n".join([COLUMNS, *passes])}}


class _Skipped(Exception):
    """A property that means nothing for the method, and why."""


class _Failed(Exception):
    """A property that does not hold, and what does."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came of one property: ``ok``, ``failed`` or ``skipped``, and why."""

    name: str
    outcome: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:<8} {self.name}{': ' if self.why else ''}{self.why}"


def check_method(
    method: str | type[Method], options: Mapping[str, Any] | None = None
) -> list[Finding]:
    """Try on tiny runs what must hold of every method; return a Finding for each property.

    ``method`` is a name, ``MODULE:CLASS`` or a class; ``options`` are its ``learning.options``.
    Raises InputError for a method that is not there, or that takes none of the tiny scenarios.
    """
    with tempfile.TemporaryDirectory(prefix="leomix-check-") as folder:
        trial = _Trial(_name_of(method), options or {}, Path(folder))
        return [trial.finding(text, holds) for text, holds in PROPERTIES.items()]


def _name_of(method: str | type[Method]) -> str:
    """Return the name that scenarios have for a method; a class is registered under its own."""
    if isinstance(method, str):
        with as_input("learning.method"):
            return METHODS.known(method)
    name = f"{method.__module__}:{method.__qualname__}"
    try:
        METHODS.add(name)(method)
    except TypeError as error:
        raise InputError.of_option("check_method", Code.WRONG_VALUE, str(error)) from None
    return name


class _Trial:
    """A method in a tiny scenario that suits it."""

    def __init__(self, name: str, options: Mapping[str, Any], folder: Path) -> None:
        self.folder = folder
        self.said = deepcopy(TRIALS["base"])
        self.said["learning"] |= {"method": name, "options": dict(options)}
        self.method = self._method()

    def _method(self) -> type[Method]:
        """Find the method, and change the scenario until it takes it."""
        if (method := find_method(self.said["learning"]["method"])).traits.own_learning:
            named = self.said["learning"]
            self.said["learning"] = {key: named[key] for key in ("method", "options")}
            return method
        whole = {"learning": {**self.said["learning"], "lora": {"rank": None}}}
        orbits = IN_ORBIT, TRIALS["rings"]
        for scene in ({}, whole, *({**one, **more} for one in orbits for more in ({}, whole))):
            with suppress(InputError):
                found = method_of(World(scenarios.from_dict({**self.said, **scene})))[0]
                self.said |= scene
                return found
        if method.needs.sidelinks:
            self.said["link"] |= TRIALS["sidelinks"]
        if method.traits.trial_kind:
            sizes = {"hidden": 16, "expert_hidden": 8}
            self.said["learning"]["model"] = {"kind": method.traits.trial_kind, **sizes}
        return method_of(World(scenarios.from_dict(self.said)))[0]

    def finding(self, name: str, holds: "Callable[[_Trial], None]") -> Finding:
        """Return what came of a property."""
        try:
            holds(self)
        except _Skipped as why:
            return Finding(name, "skipped", str(why))
        except ANYTHING as error:  # a method may raise anything
            kind = "" if isinstance(error, _Failed) else f"{type(error).__name__}: "
            return Finding(name, "failed", f"{kind}{error}")
        return Finding(name, "ok")

    @property
    def in_orbit(self) -> bool:
        """Whether its clients are satellites, by their windows."""
        return "windows" in self.said["orbit"]

    def run(
        self, name: str = "", *, resume: bool = False, stop_at: int = 0, **changes: Any
    ) -> Result:
        """Run the scenario with other sections, in a folder if ``name`` says which."""
        said = {**self.said, **changes}
        place = self.folder / name if name else None
        observers = [_StopAt(stop_at)] if stop_at else []
        scenario = scenarios.from_dict(said)
        return run(scenario, place, resume, observers=observers, advise=False)

    @cached_property
    def tried(self) -> Result | BaseException:
        """The run that others are compared with, or what it failed with."""
        try:
            return self.run("whole")
        except ANYTHING as error:  # a method may raise anything
            return error

    @property
    def whole(self) -> Result:
        if isinstance(self.tried, BaseException):
            raise _Skipped("the run fails")
        return self.tried

    def same(self, key: str = "trace_sha256", **how: Any) -> None:
        """Raise _Failed unless another run has the digest of the whole one."""
        whole = self.whole
        other = self.run(**how)
        if other.manifest[key] != whole.manifest[key]:
            names = ("contacts", "events", "transfers", "metrics", "assignments", "inferences")
            unlike = (n for n in names if not getattr(whole, n).equals(getattr(other, n)))
            raise _Failed(f"{next(unlike, 'times')} of the two runs differ")


class _StopAt(Observer):
    def __init__(self, number: int) -> None:
        self.number = number

    def event(self, number: int, time_s: float) -> None:
        if number == self.number:
            raise Interrupted("")


def _options(trial: _Trial) -> None:
    defaults = read_options(trial.method.Options, {})
    said = json.loads(json.dumps(dataclasses.asdict(defaults)))
    if read_options(trial.method.Options, said) != defaults:
        raise _Failed(f"{said} are read as others")
    if not trial.method.Options.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise _Failed("Options is no frozen dataclass")


def _ends(trial: _Trial) -> None:
    if isinstance(trial.tried, InvariantError):
        raise _Skipped("the run contradicts itself")
    if isinstance(trial.tried, BaseException):
        raise trial.tried
    if trial.tried.manifest.get("ended_by_method"):
        raise _Skipped("the method ends the run by itself")
    cycles = trial.tried.summary["cycles"]
    wanted = trial.said["stop"]["cycles"]
    if cycles != wanted:
        raise _Failed(f"{cycles} complete cycles in place of {wanted}")


def _conserves(trial: _Trial) -> None:
    if isinstance(trial.tried, InvariantError):
        raise _Failed(str(trial.tried))
    if trial.whole.transfers.empty:
        raise _Skipped("nothing is sent")


BY_ITSELF = "the method learns by itself"


def _moves(trial: _Trial) -> None:
    if trial.method.traits.own_learning:
        raise _Skipped(BY_ITSELF)
    if not trial.method.traits.trains:
        raise _Skipped("the method says that it trains nothing")
    _check_moved(trial, trial.whole, "whole")


def _plain(trial: _Trial) -> None:
    if trial.method.traits.own_learning:
        raise _Skipped(BY_ITSELF)
    if trial.method.needs.experts or not trial.method.traits.trains:
        raise _Skipped("the method trains experts alone")
    said = {key: value for key, value in trial.said["learning"].items() if key not in OF_MIXTURES}
    result = trial.run("plain", learning={**said, "model": TRIALS["plain"]})
    _check_moved(trial, result, "plain")


def _check_moved(trial: _Trial, run: Result, name: str) -> None:
    """Raise _Failed where the server's model is as it was before the run of that name."""
    sends = not run.transfers.empty
    if sends and (run.events.kind != "aggregate").all():
        raise _Failed("no update is aggregated: what arrives is not collected")
    if trial.method.traits.own_learning or not issubclass(trial.method, GlobalModelMethod):
        return
    learner = learner_of(World(run.scenario))
    start = learner.force(learner.final(learner.start()))
    found = load_file(trial.folder / name / "model" / WEIGHTS)
    if all(np.array_equal(np.asarray(start[name]), found[name]) for name in start):
        why = "what arrives is not added to it" if sends else "nothing is sent"
        raise _Failed(f"the model at the end is that of the start: {why}")


def _refused(trial: _Trial) -> None:
    wanted = trial.whole.summary["cycles"]
    found = trial.run(faults={"uploads": {"corrupted": 0.6}}).summary["cycles"]
    if found != wanted and not trial.whole.manifest.get("ended_by_method"):
        raise _Failed(f"{found} complete cycles in place of {wanted}")


def _resumes(trial: _Trial) -> None:
    half = max(1, int(trial.whole.manifest["events"]) // 2)
    try:
        trial.run("cut", stop_at=half)
    except Interrupted:
        trial.same(name="cut", resume=True)
    cut, whole = (trial.folder / name / "model" / WEIGHTS for name in ("cut", "whole"))
    if not whole.exists():  # of a method that learns by itself, and gives none
        return
    if cut.read_bytes() != whole.read_bytes():
        raise _Failed("the weights of the two runs differ")


def _extends(trial: _Trial) -> None:
    if trial.method.traits.tunes_at_the_end:
        raise _Skipped("the method counts its last cycles back from the stop")
    stop = trial.said["stop"]
    cycles = stop["cycles"]
    earlier = {"cycles": cycles - 1} if cycles > 1 else {"days": 0.7 * stop["days"]}
    trial.run("shorter", stop={**stop, **earlier})
    trial.same(name="shorter", resume=True)


def _order(trial: _Trial) -> None:
    backwards = {key: nodes[::-1] for key, nodes in trial.said["ground"].items()}
    trial.same(ground=backwards, **(_windows(PASSES[::-1]) if trial.in_orbit else {}))


def _alone(trial: _Trial) -> None:
    if not vars(trial.method).get("alone_is_sgd"):  # of a class derived from it nothing is known
        raise _Skipped("the method does not claim it")
    learning = {**trial.said["learning"], "lora": {"rank": None}}
    alone = _windows(PASSES[::3]) if trial.in_orbit else TRIALS["alone"]
    changes: Any = {**alone, "learning": learning}
    events = trial.run("alone", **changes).events
    last_s = events[events.kind == "aggregate"].time_s.max()
    ended = events[(events.kind == "train_end") & (events.time_s <= last_s)]
    built = build(scenarios.from_dict({**trial.said, **changes}))
    learner = built.learner
    one = np.ones(1, bool)
    start = learner.start()
    every = range(learner.architecture.experts)
    device = ClusterState(learner, built.plan.clusters[0])
    device.load_initial(ServerModel(start), every)
    rounds = np.array([int(ended["rounds"].sum())])
    device.train(Work(rounds, rounds.astype(float), ~one), every, gate=True)
    device.offer(every, gate=True)
    update = device.update(one)
    assert update is not None  # for the type checker: it has trained
    merged, _ = merge(learner, start, update)
    wanted = learner.force(learner.final(merged))
    found = load_file(trial.folder / "alone" / "model" / WEIGHTS)
    for name, tensor in wanted.items():
        apart = float(np.abs(np.asarray(tensor) - found[name]).max(initial=0.0))
        if not apart <= TOLERANCE:
            raise _Failed(f"{name} is {apart:.2g} from that of {rounds[0]} rounds of SGD")


def _timing(trial: _Trial) -> None:
    if trial.method.traits.own_learning:
        raise _Skipped(BY_ITSELF)
    try:
        trial.same("timing_sha256", learning={**trial.said["learning"], "train": False})
    except _Failed:
        journal = trial.folder / "whole" / EXTENSION / JOURNAL
        entries = json.loads(journal.read_text())["entries"]
        measured = {key.split(" ", 1)[1] for key in entries} - {"evaluation", "not finite", SAMPLES}
        if not measured:
            raise
        text = f"times depend on what is measured: {', '.join(sorted(measured))}"
        raise _Skipped(text) from None


PROPERTIES: dict[str, Callable[[_Trial], None]] = {
    "options are read as they are written": _options,
    "a run ends at its stop": _ends,
    "bytes, clocks and versions are conserved": _conserves,
    "training moves the server's model": _moves,
    "a plain model is trained": _plain,
    "uploads that are corrupted or not finite are survived": _refused,
    "a run is repeated to the bit": _Trial.same,
    "a resumed run is the uninterrupted one": _resumes,
    "an extended run is the one with the later stop": _extends,
    "the order of clusters does not matter": _order,
    "one client alone is central SGD": _alone,
    "a timing-only run has the same times": _timing,
}
"""What is tried, in this order."""
