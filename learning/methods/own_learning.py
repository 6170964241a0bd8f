"""OwnLearning: a method that learns by itself; the simulator keeps its time, bytes and scores."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from learning.methods.base import Method
from learning.methods.surface import Traits
from learning.values.lazy import Handle

if TYPE_CHECKING:
    from learning.metrics import Score
    from statements import Statement


class OwnLearning(Method):
    """A method whose model leomix does not know: it trains with what library it likes.

    Write :meth:`cluster` and :meth:`scores`. Sizes, FLOPs and figures come from what the method has
    trained: keep each result with ``self.learner.replies``, ask for numbers by ``Measure``, and
    both a resumed run and one over another network train nothing twice. The scenario's
    ``learning.model``, its optimizer and its low-rank factors mean nothing, and are refused.
    ``EndRun`` ends the run when the method has done all that it wants to.
    """

    traits: ClassVar[Traits] = Traits(
        own_learning=True,
        uses_lora=False,
        uses_optimizer=False,
    )

    @abstractmethod
    def scores(self) -> list[Score]:
        """Return what is measured now: a row for each cluster.

        A row has ``cluster``, ``accuracy``, ``loss`` (both None where there is none) and
        ``samples``, by which the figures of all clusters are averaged, or by ``figure_weights``,
        where it has them, a number for each figure. Further figures, numbers, become columns of the
        table ``metrics``; a cluster that lacks one has an empty cell, and no part in the mean.
        """

    def model(self) -> Handle:
        """Return a name for the model: its weights are those of :meth:`final_weights`."""
        return self.learner.start()

    def final_weights(self) -> bytes | None:
        """Return the weights at the end as a safetensors file; None, the default, for none."""
        return None

    def counts(self) -> Mapping[str, int]:
        """Return what the method has counted in the run: ``counts`` of the manifest."""
        return {}

    def doubts(self) -> list[Statement]:
        """Return what a user should know of the finished run."""
        return []
