"""The modules of operations, referred to without importing torch.

For type checkers and editors they are the modules: going to the definition of
``operations.local.train`` opens the function. At run time that is a
:class:`~learning.values.operation.Reference`, as a run that trains nothing must start without torch
and all that it takes to import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.values.operation import deferred

if TYPE_CHECKING:
    from learning.training import aggregation as aggregation
    from learning.training import changes as changes
    from learning.training import control_variates as control_variates
    from learning.training import device_state as device_state
    from learning.training import evaluation as evaluation
    from learning.training import guards as guards
    from learning.training import local as local
    from learning.training import references as references
    from learning.training import server_optimizers as server_optimizers
    from learning.training import start as start
    from learning.training import task as task
    from learning.training import unchanged as unchanged
else:
    __getattr__ = deferred("learning.training", globals())
