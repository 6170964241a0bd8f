"""The modules of operations, referred to without importing torch.

For type checkers and editors they are the modules: going to the definition of
``operations.local.train`` opens the function. At run time that is an
:class:`~learning.values.operation.Operation`, as a run that trains nothing must start without torch
and all that it takes to import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from learning.values.operation import Operation, deferred

DECLARED = (
    Operation(
        "learning.training.aggregation:aggregate",
        version=2,
        guarded="the update of {cluster!r}",
    ),
    Operation("learning.training.evaluation:evaluate", version=3),
    Operation(
        "learning.training.local:train",
        trains=True,
        guarded="training in {cluster!r}",
        of_state=True,
    ),
    Operation("learning.training.references:pooled_rounds", trains=True),
    Operation("learning.training.start:start_model", version=2, trains=True),
)
"""What functions declare by ``@operation(...)``, of those that declare more than the defaults."""

if TYPE_CHECKING:
    from learning.training import aggregation as aggregation
    from learning.training import changes as changes
    from learning.training import control_variates as control_variates
    from learning.training import device_state as device_state
    from learning.training import evaluation as evaluation
    from learning.training import frozen as frozen
    from learning.training import guards as guards
    from learning.training import local as local
    from learning.training import references as references
    from learning.training import server_optimizers as server_optimizers
    from learning.training import start as start
    from learning.training import task as task
else:
    __getattr__ = deferred("learning.training", DECLARED, globals())
