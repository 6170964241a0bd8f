"""A method whose clusters do what a test says, to ask simulated time for anything."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import learning
import scenarios
import sim
from tests.kit.learning import Cluster, Handle, Method, Node, Payload, Send
from tests.kit.small import slots

Script = Callable[[Cluster], Generator[Any, Any, Any]]


@learning.register("scripted")
class Scripted(Method):
    """Learns nothing: ``script`` is the protocol of every cluster."""

    script: Script

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
    link = {"link": {"sidelink": sidelink}} | {"learning": SCRIPTED}
    return slots(**(link | changes))


def only(name: str, script: Any) -> Any:
    """Let one cluster follow the script while the others do nothing."""

    def each(me: Cluster) -> Generator[Any, Any, None]:
        if me.name == name:
            yield from script(me)

    return each


def sent(source: Node, target: Node, size: float, name: str = "feature") -> Send:
    return Send(source, target, Payload(name, size))


B0, B1, B2 = (Node("B", k) for k in range(3))
