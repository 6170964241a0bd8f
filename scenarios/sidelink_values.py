"""A sidelink's values: the defaults with the user's keys put in, as far as they apply."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from scenarios.scenario import Scenario

# An outdoor radio between unlicensed devices below 1 GHz, in the manner of IEEE 802.11ah: a channel
# of 2 MHz at 915 MHz, 100 mW, a receiver of 7 dB. Exponent 3 from 1 m on lies inside the range for
# built-up ground. That is 21 Mbit/s over 100 m, 2.9 over 1 km and 0.075 Mbit/s over 4 km.
BUDGET: Final = {
    "frequency_ghz": 0.915,
    "bandwidth_mhz": 2.0,
    "path_loss_exponent": 3.0,
    "reference_distance_m": 1.0,
    "noise_figure_db": 7.0,
    "other_losses_db": 0.0,
}
_DEFAULTS: Final = BUDGET | {"tx_power_dbm": 20.0}


def resolved_sidelink(scenario: "Scenario") -> dict[str, float] | None:
    """Return the values in user units, as the keys of `link.sidelink` name them; None for none.

    Keys that were neither given nor have a default are left out, and with `rate_mbps` the budget.
    """
    sidelink = scenario.link.sidelink
    if sidelink is None:
        return None
    given = {key: float(value) for key, value in sidelink if value is not None}
    unused = BUDGET.keys() if "rate_mbps" in given else ()
    return {key: value for key, value in (_DEFAULTS | given).items() if key not in unused}
