"""What one run has trained is what another begins with: exported, and read again."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import scenarios
import sim
from tests.kit.results import export
from tests.kit.sweeps import status

METHODS = ("emsfl", "synchronous")


def begun(tmp_path: Path, **learning: object) -> tuple[sim.Result, Path]:
    settings = {"stop.cycles": 3, "learning.method": "emsfl"}
    settings |= {f"learning.{key}": value for key, value in learning.items()}
    run = sim.run(scenarios.load("paper-slots", settings), tmp_path / "first")
    export(tmp_path / "first", "peft", tmp_path / "peft")
    [adapter] = [p.parent for p in (tmp_path / "peft").rglob("adapter_config.json")]
    return run, adapter


@pytest.mark.parametrize("rank", [4, None])
def test_a_run_goes_on_from_the_experts_of_another(tmp_path: Path, rank: int | None) -> None:
    lora = {"rank": rank}
    first, adapter = begun(tmp_path, lora=lora)
    second = sim.run(
        scenarios.load(
            "paper-slots",
            {"stop.cycles": 1, "learning.lora": lora, "learning.model.adapter": str(adapter)},
        )
    )
    assert first.summary["accuracy_final"] > first.summary["accuracy_start"] + 0.02
    assert second.summary["accuracy_start"] == pytest.approx(
        first.summary["accuracy_final"], abs=1e-3
    )


def test_an_adapter_of_another_model_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, adapter = begun(tmp_path)
    for setting in (f"learning.model.adapter={tmp_path}", "learning.model.hidden=32"):
        words = ["run", "paper-slots", "--set", f"learning.model.adapter={adapter}"]
        assert status([*words, "--set", setting, "--quiet", "-o", str(tmp_path / "x")]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "adapter" in said


@pytest.mark.parametrize("method", ["emsfl-enhanced", "synchronous", "emsfl", "fedavg", "fedbuff"])
def test_what_is_frozen_is_the_same_to_the_bit_after_the_run(tmp_path: Path, method: str) -> None:
    settings = {"learning.method": method, "learning.gate_tuning_cycles": 0, "stop.cycles": 2}
    for name, cycles in (("start", 1), ("end", 4)):
        short = {**settings, "stop.cycles": cycles}
        sim.run(scenarios.load("paper-slots", short), tmp_path / name)
    start, end = (
        load_file(tmp_path / name / "model" / "model.safetensors") for name in ("start", "end")
    )
    moved = {name.split(".")[0] for name in end if not np.array_equal(start[name], end[name])}
    gate = set() if method == "emsfl-enhanced" else {"gate"}
    assert moved == {"expert"} | gate
    biases = [name for name in end if name.startswith("expert.") and name.endswith(".bias")]
    assert biases
    assert all(np.array_equal(start[name], end[name]) for name in biases)
