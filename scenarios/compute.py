"""`compute:` - how fast devices train, with what memory and power, and on which battery."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from scenarios.errors import wrong
from scenarios.presets import PROCESSORS
from scenarios.section import Positive, Section, setting
from statements import Code, Raise, Set, Statement

RATES = ("seconds_per_round", "tflops")
"""Keys that give the compute rate of a device; it has one of them."""
FIGURES = (*RATES, "memory_gib", "power_w")


class DeviceCompute(Section):
    """How a device trains, where it differs from the scenario's `compute`."""

    processor: (
        Literal["jetson-agx-orin", "jetson-nano", "jetson-xavier-nx", "raspberry-pi-4"] | None
    ) = setting(None, "processor whose measured figures the others start from")
    seconds_per_round: Positive = setting(None, "time of a local round, s", le=1e9)
    tflops: Positive = setting(None, "sustained rate of a device, TFLOP/s", le=1e9)
    memory_gib: Positive = setting(None, "memory of a device, GiB", le=1e9)
    power_w: Positive = setting(None, "power that a device draws in training, W", le=1e9)

    def problems(self) -> Iterator[Statement]:
        """More than one compute rate."""
        for key in ("processor", "tflops"):
            if self.seconds_per_round is not None and getattr(self, key) is not None:
                text = "cannot be combined with seconds_per_round"
                yield wrong(key, text, Code.CONFLICT, Set(key), Set("seconds_per_round"))

    def figures(self) -> dict[str, float]:
        """Return the figures that are given, and its processor's behind them."""
        own = {key: getattr(self, key) for key in FIGURES if getattr(self, key) is not None}
        return own if self.processor is None else _over(PROCESSORS[self.processor], own)


def _over(under: Mapping[str, float], over: Mapping[str, float]) -> dict[str, float]:
    """Return figures with others in their place; one compute rate replaces the other."""
    out = () if over.keys().isdisjoint(RATES) else RATES
    return {key: value for key, value in under.items() if key not in out} | dict(over)


class Battery(Section):
    """The battery of a satellite that learns; it computes on what is above the reserve."""

    capacity_wh: float = Field(gt=0, le=1e9, description="what the battery holds, Wh")
    charge_w: float = Field(gt=0, le=1e9, description="power that comes in sunlight, W")
    idle_w: float = setting(0.0, "power that is always drawn, W", ge=0, le=1e9)
    reserve: float = setting(0.2, "share of the capacity that nothing is computed on", ge=0, lt=1)
    initial: float = setting(1.0, "share that is charged at the start", ge=0, le=1)

    def problems(self) -> Iterator[Statement]:
        """A battery that never charges."""
        if self.charge_w <= self.idle_w:
            text = f"got {self.charge_w:g}; never charges the battery with idle_w {self.idle_w:g}"
            raised = Raise("charge_w", to=10 * max(self.idle_w, self.charge_w))
            yield wrong("charge_w", text, Code.WRONG_VALUE, raised)


class Compute(DeviceCompute):
    """How fast a device trains: seconds for a round, or its arithmetic rate."""

    battery: Battery | None = setting(
        None, "the battery of satellites that are clients; null for no limit"
    )
    seconds_per_round: Positive = setting(
        None, "time of a local round, s; 60 without tflops and processor", le=1e9
    )

    @model_validator(mode="before")
    @classmethod
    def _default_round_time(cls, values: Any) -> Any:
        paced = (*RATES, "processor")
        if not isinstance(values, dict) or any(values.get(key) is not None for key in paced):
            return values
        return {**values, "seconds_per_round": 60.0}

    def overridden_by(self, own: DeviceCompute | None) -> DeviceCompute:
        """Return its figures with those of ``own`` in place; processors have become figures."""
        figures = self.figures() if own is None else _over(self.figures(), own.figures())
        return DeviceCompute.model_construct(None, **figures)
