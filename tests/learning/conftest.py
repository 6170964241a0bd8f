"""Each test module's task, made from its ``CONFIG``, its server's start model, its devices."""

import pytest

from learning.training.start import build_task, start_model
from learning.training.task import use_one_thread

use_one_thread()


@pytest.fixture(scope="module")
def task(request):
    return build_task(request.module.CONFIG)


@pytest.fixture(scope="module")
def server(task):
    return start_model(task)
