"""What tests share: small scenarios, hand-made contacts, and the only imports of inner modules."""

import pytest

pytest.register_assert_rewrite("tests.kit.promises", "tests.kit.spy")
