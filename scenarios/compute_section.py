"""`compute:` - how fast devices train, and with what memory and power."""

from typing import Any

from pydantic import Field, model_validator

from scenarios.section import Positive, Section


class DeviceCompute(Section):
    """How a device trains, where it differs from the scenario's `compute`."""

    seconds_per_round: Positive = Field(
        default=None, le=1e9, description="time of a local round, s"
    )
    tflops: Positive = Field(
        default=None, le=1e9, description="sustained rate of a device, TFLOP/s"
    )
    memory_gib: Positive = Field(default=None, le=1e9, description="memory of a device, GiB")
    power_w: Positive = Field(
        default=None, le=1e9, description="power that a device draws in training, W"
    )


class Kind(DeviceCompute):
    """Devices of a cluster that are alike."""

    devices: int = Field(ge=1, le=10_000, description="number of devices of this kind")


class Compute(DeviceCompute):
    """How fast a device trains: seconds for a round, or its arithmetic rate."""

    seconds_per_round: Positive = Field(
        default=None,
        le=1e9,
        description="time of a local round, s; 60 if tflops is not given either",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_minute_if_unsaid(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        said = values.get("seconds_per_round") is not None or values.get("tflops") is not None
        return values if said else {**values, "seconds_per_round": 60.0}

    def but(self, own: DeviceCompute | None) -> DeviceCompute:
        """Return this with what ``own`` says in its place; one pace replaces the other."""
        if own is None:
            return self
        said = {name: getattr(own, name) for name in DeviceCompute.model_fields}
        if own.seconds_per_round is None and own.tflops is None:
            said |= {"seconds_per_round": self.seconds_per_round, "tflops": self.tflops}
        for name in ("memory_gib", "power_w"):
            said[name] = getattr(self, name) if said[name] is None else said[name]
        return DeviceCompute(**said)
