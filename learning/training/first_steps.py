"""A few steps of one device on a few samples: does training move what it is meant to move?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from learning.config import ScheduleConfig
from learning.training.device_state import load, model_of_device
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
    experts = task.all_experts
    before = load(small, server, cluster=cluster, who=[True], experts=experts, adapter_epoch=[0])
    after = train(
        small,
        before,
        cluster=cluster,
        rounds=[1],
        first_round=[0],
        experts=experts,
        gate=True,
        masked=False,
    )
    found = []
    for state in (before, after):
        model = small.model(model_of_device(small, state, 0))
        with torch.inference_mode():
            found.append(float(functional.cross_entropy(model(own.x).float(), own.y)))
    return found
