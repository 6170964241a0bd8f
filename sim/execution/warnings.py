"""What is said of a finished run beside its checks: of its contacts, and of code of one's own."""

from collections.abc import Iterator

from learning.methods.base import Method
from learning.methods.own_learning import OwnLearning
from sim.advice.doubts import doubts_of
from sim.engine.setup import Build
from statements import Code, Statement


def warnings_of(built: Build, method: Method) -> list[Statement]:
    """Return what may be wrong with contacts and memory, and what code of one's own has done."""
    own = method.doubts() if isinstance(method, OwnLearning) else ()
    return [*doubts_of(built), *own, *_alone(built)]


def _alone(built: Build) -> Iterator[Statement]:
    """A model, or a loss, whose devices cannot be trained at once."""
    why, why_of_loss = built.learner.alone
    if why_of_loss:
        yield Statement.doubt(
            Code.SLOW_TRAINING,
            "learning.loss",
            "{loss!r} is computed device by device, which is slower: torch.func.vmap {why}",
            loss=built.world.learning.loss,
            why=why_of_loss,
        )
    if why:
        yield Statement.doubt(
            Code.SLOW_TRAINING,
            "learning.model.kind",
            "{kind!r} is trained device by device, which is slower: torch.func.vmap {why}; the "
            "class attribute batched = False asks for that",
            kind=built.world.learning.model.kind,
            why=why,
        )
