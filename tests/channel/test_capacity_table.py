"""The table behind link curves against the quadrature it is made from."""

import numpy as np
import pytest

from channel import ergodic_capacity
from channel.capacity_table import tabulated_capacity


@pytest.mark.parametrize("k_linear", [0.0, 0.3, 10.0, 1e4, 1e12])
def test_the_table_is_the_quadrature_to_eleven_digits(k_linear: float) -> None:
    snr_db = np.random.default_rng(1).uniform(-60, 60, 5000)
    exact = ergodic_capacity(10 ** (snr_db / 10), k_linear)
    assert np.abs(tabulated_capacity(snr_db, k_linear) / exact - 1).max() < 1e-11


def test_beyond_the_table_the_capacity_is_computed() -> None:
    snr_db = np.array([-90.0, -60.0, 60.0, 95.0])
    exact = ergodic_capacity(10 ** (snr_db / 10), 3.0)
    assert tabulated_capacity(snr_db, 3.0) == pytest.approx(exact, rel=1e-11)


def test_a_value_does_not_depend_on_the_others() -> None:
    snr_db = np.linspace(-80, 80, 1001)
    together = tabulated_capacity(snr_db, 10.0)
    alone = [tabulated_capacity(snr_db[i : i + 1], 10.0)[0] for i in range(0, 1001, 50)]
    assert together[::50].tolist() == alone
