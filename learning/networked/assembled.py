"""The whole mixture as it is stored: what the clients hold, put together under a model's names."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from learning.networked.extractor import EXTRACTOR
from learning.task import Task

Tensors = Mapping[str, Tensor]


def assembled(
    task: Task, server: Tensors, *stacked: Tensors, clusters: list[str]
) -> dict[str, Tensor]:
    """Return extractor, experts and gate by stored name.

    ``stacked`` are the experts of all clusters in order and, where there are any, their gates. A
    gate that differs between clients is stored once for each cluster, (K, ...), in place of one.
    """
    experts, gates = stacked[: len(clusters)], stacked[len(clusters) :]
    whole = {name: tensor for name, tensor in server.items() if name.startswith(EXTRACTOR)}
    for name in experts[0] if experts else ():
        for number, own in enumerate(torch.cat([part[name] for part in experts])):
            whole[f"expert.{number}.0.{name}"] = own
    for name in gates[0] if gates else ():
        every = torch.cat([part[name] for part in gates])
        if torch.equal(every, every[:1].expand_as(every)):
            whole[f"gate.0.{name}"] = every[0]
        else:
            pairs = zip(clusters, gates, strict=True)
            whole |= {f"gates.{cluster}.{name}": part[name] for cluster, part in pairs}
    return whole
