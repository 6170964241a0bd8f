"""Export of what a radio sees over each contact."""

from pathlib import Path

import scenarios
from sim.execution.result import Result
from sim.plan.budget import one_pass
from sim.trace import arrow as plain


def write_profiles(run: Result, place: Path) -> list[str]:
    """Write delay, Doppler, path loss and rate over each contact at its cluster's centre."""
    scenario = scenarios.from_stored(run.manifest["scenario"], {})
    for number in range(len(run.tables["contacts"])):
        for side, columns in one_pass(scenario, number).items():
            plain.write(columns, place / f"contact-{number:05}-{side}.csv")
    return ["One file a contact and direction; contact numbers are those of contacts.parquet."]
