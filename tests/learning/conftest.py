"""Each test module's task, made from its ``CONFIG``, and the start model of its server."""

from __future__ import annotations

import pytest

from learning.building import build_task
from learning.task import Task, use_one_thread
from learning.upcycling import start_model
from learning.values import Tensors


@pytest.fixture(scope="module")
def task(request: pytest.FixtureRequest) -> Task:
    use_one_thread()
    return build_task(request.module.CONFIG)


@pytest.fixture(scope="module")
def server(task: Task) -> Tensors:
    return start_model(task)
