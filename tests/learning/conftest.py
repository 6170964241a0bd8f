"""Each test module's task, made from its ``CONFIG``, its server's start model, its devices."""

from __future__ import annotations

import pytest

from tests.kit.learning import Tensors
from tests.kit.training import Task, build_task, start_model, use_one_thread

use_one_thread()


@pytest.fixture(scope="module")
def task(request: pytest.FixtureRequest) -> Task:
    return build_task(request.module.CONFIG)


@pytest.fixture(scope="module")
def server(task: Task) -> Tensors:
    return start_model(task)
