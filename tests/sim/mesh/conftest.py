"""What tests of a mesh share."""

import pytest

from tests.kit.mesh import written


@pytest.fixture
def scenario(tmp_path, request):
    """Load the ``SCENARIO`` of a module, or another text, with other keys."""

    def load(keys=None, text=request.module.SCENARIO):
        return written(tmp_path, text, keys)

    return load
