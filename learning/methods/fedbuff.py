"""FedBuff: asynchronous federated averaging with a buffer at the server.

Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation, AISTATS 2022.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from learning.methods.asynchronous import Asynchronous, AsynchronousOptions
from learning.methods.base import World
from learning.methods.options import CHECKED


@dataclass(frozen=True, config=CHECKED)
class FedBuffOptions(AsynchronousOptions):
    """Options of FedBuff; with a buffer of 1 nothing would be buffered."""

    buffer_size: int = Field(
        0, ge=0, description="updates aggregated together; 0: half the clusters, at least 2"
    )
    server_step_size: float = Field(1.0, gt=0, description="factor of the mean of the buffer")


class FedBuff(Asynchronous):
    """Buffered asynchronous aggregation: the changes of ``buffer_size`` updates at a time.

    Each is weighted by 1 / sqrt(1 + staleness), unless another staleness function is named.
    """

    Options: ClassVar[type] = FedBuffOptions

    def __init__(self, world: World, options: FedBuffOptions | None = None) -> None:
        super().__init__(world, options)
        self.buffer_size = self.options.buffer_size or max(2, (len(world.clusters) + 1) // 2)

    @property
    def step_size(self) -> float:
        """Factor of the mean of the buffer."""
        return float(self.options.server_step_size)
