"""The modules of NMoE's operations, referred to as those of ``learning.training.operations``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.values.operation import deferred

if TYPE_CHECKING:
    from learning.training.nmoe import answers as answers
    from learning.training.nmoe import experts as experts
    from learning.training.nmoe import extractor as extractor
    from learning.training.nmoe import gates as gates
else:
    __getattr__ = deferred("learning.training.nmoe", globals())
