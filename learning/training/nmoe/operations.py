"""The modules of NMoE's operations, referred to as those of ``learning.training.operations``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.values.operation import Operation, deferred

DECLARED = (
    Operation("learning.training.nmoe.answers:answered", version=2),
    Operation("learning.training.nmoe.answers:scores", version=2),
    Operation("learning.training.nmoe.experts:train_experts", version=2, trains=True),
    Operation("learning.training.nmoe.extractor:train_extractor", version=2, trains=True),
    Operation("learning.training.nmoe.gates:train_gates", version=2, trains=True),
    Operation("learning.training.nmoe.gates:central", trains=True),
)
"""What functions declare by ``@operation(...)``, of those that declare more than the defaults."""

if TYPE_CHECKING:
    from learning.training.nmoe import answers as answers
    from learning.training.nmoe import experts as experts
    from learning.training.nmoe import extractor as extractor
    from learning.training.nmoe import gates as gates
else:
    __getattr__ = deferred("learning.training.nmoe", DECLARED, globals())
