"""A few steps of one device on a few samples: does training move what it is meant to move?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional

from learning.config import ScheduleConfig
from learning.training.device_state import assembled, load, model_of_device, of_one_model
from learning.training.local import train
from learning.training.start import start_model
from learning.training.task import Shards, Task


def losses(task: Task, steps: int, samples: int) -> list[float]:
    """Return the loss, in nats, of some ``samples`` before and after so many ``steps`` on them.

    They are the first ones of a device, which trains all experts and what is shared from the
    server's model at time 0, with the step size as it is without a schedule.
    """
    cluster, server = task.config.clusters[0], start_model(task)
    own = task.shards[cluster].of(0).at(slice(samples))
    settings = replace(
        task.config,
        clusters=(cluster,),
        devices=(1,),
        schedule=ScheduleConfig(),
        steps_per_round=steps,
        batch_size=len(own.y),
    )
    small = replace(task, config=settings, shards={cluster: Shards(own, (len(own.y),))})
    here: dict[str, Any] = {"cluster": cluster, "experts": task.all_experts}
    one = of_one_model(task, devices=1)
    before = load(small, server, **here, who=[True], adapter_epoch=[0])
    how: dict[str, Any] = {"rounds": [1], "first_round": [0], "gate": True}
    after = train(small, before, server, servers=1, versions=one, **here, **how)
    found = []
    for state in (before, after):
        full = assembled(small, state, server, versions=one)
        model = small.model(model_of_device(small, full, 0))
        with torch.inference_mode():
            found.append(float(functional.cross_entropy(model(own.x).float(), own.y)))
    return found
