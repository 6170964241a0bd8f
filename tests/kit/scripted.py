"""Methods of tests: one whose clusters do what a script says, and one that splits at random."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, ClassVar

import numpy as np

import learning
import scenarios
import sim
from learning.methods.emsfl import EmsFl, EnhancedEmsFl
from learning.methods.surface import Traits
from learning.requests import All, Cluster, Node, Payload, Send, Wait
from learning.values.lazy import Handle
from tests.kit.small import slots

Script = Callable[[Cluster], Generator[Any, Any, Any]]


def nothing(me: Cluster) -> Generator[Any, Any, None]:
    """The script until a test says another one."""
    yield from ()


@learning.register("scripted")
class Scripted(learning.Method):
    """Learns nothing: ``script`` is the protocol of every cluster."""

    traits: ClassVar[Traits] = Traits(uses_isl=("within_plane", "between_planes"))
    script: Script = staticmethod(nothing)

    def cluster(self, me: Cluster) -> Generator[Any, Any, None]:
        yield from type(self).script(me)

    def model(self) -> Handle:
        return self.learner.start()


def play(scenario: Any, script: Script, out: Any = None, **how: Any) -> sim.Result:
    """Run a script in a scenario of method ``scripted``."""
    Scripted.script = staticmethod(script)
    return sim.run(scenario, out, **how)


SCRIPTED = {"method": "scripted", "train": False}


def ground(rate_mbps: float = 1.0, distance_km: float = 0.3, **changes: Any) -> scenarios.Scenario:
    """Two clusters of two and three devices in slots of 600 s, with sidelinks of a fixed rate."""
    sidelink = {"rate_mbps": rate_mbps, "distance_km": distance_km}
    return slots(**{"link": {"sidelink": sidelink}, "learning": SCRIPTED, **changes})


def only(name: str, script: Any) -> Any:
    """Let one cluster follow the script while the others do nothing."""

    def each(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == name:
            yield from script(me)

    return each


def at(time_s: float, request: Any) -> Generator[Any, Any, Any]:
    yield Wait(time_s)
    return (yield request)


def replies(
    scenario: Any, *tasks: Any, by: str = "B", deadline_s: float | None = None
) -> tuple[list[Any], sim.Result]:
    """Let one cluster run tasks side by side; return what they reply, and the run."""
    found: list[Any] = []

    def script(me: Cluster) -> Generator[Any, Any, None]:
        found.extend((yield All(tasks, deadline_s)))

    result = play(scenario, only(by, script))
    return found, result


def sent(source: Node, target: Node, size: float, name: str = "feature") -> Send:
    return Send(source, target, Payload(name, size))


B0, B1, B2 = (Node("B", k) for k in range(3))
A0, A1 = (Node("A", k) for k in range(2))


class _Restless:
    """Relevance that has nothing to do with what it was before."""

    def measure_relevance(self: Any, name: str) -> Generator[Any, Any, Any]:
        yield from ()
        shape = len(self.world.clusters), len(self.experts)
        number = self.splitting.number
        draw = learning.stream(self.world.seed, "relevance of a test", name, number)
        return draw.dirichlet(np.ones(shape[1]), size=shape[0])


RESTLESS = ("restless", "restless-enhanced")
"""Both forms of EMS-FL, with experts that change hands at most splittings."""
for _name, _form in zip(RESTLESS, (EmsFl, EnhancedEmsFl), strict=True):
    learning.register(_name)(type(_form.__name__, (_Restless, _form), {}))
