"""What torch reads, damaged: checkpoints, their config.json, adapters and tokenizers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import fuzz_mutations as damage
from fuzz_kinds import SMALL, TEXT_ROWS, Kind, leomix

import scenarios
import sim
from learning.adapters import CONFIG, WEIGHTS
from learning.data.tokens import train_bpe
from sim.cli import WRONG_INPUT, _say
from sim.exports.exporting import export
from sim.task import learner_of

SIZES = {
    "vocab_size": 280,
    "hidden_size": 4,
    "intermediate_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_local_experts": 2,
    "num_experts_per_tok": 1,
}
TEXT = {
    "learning.model": {"kind": "mixtral", "checkpoints": ["model"]},
    "learning.data": {"kind": "jsonl", "path": "rows.jsonl", "tokens": 8, "trial_samples": 2},
}
WITHOUT = {"backbone_steps": 0, "expert_steps": 0, "gate_steps": 0}


def tensor_kinds() -> dict[str, Kind]:
    """Kinds of files that torch and its relatives read."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _checkpoint(place / "model")
        adapter = _adapter(place)
        tokenizer = place / "tokenizer.json"
        train_bpe(["a b c", "word and word"], 280).save(str(tokenizer))
        weights = (place / "model" / "model.safetensors").read_bytes()
        config = (place / "model" / "config.json").read_bytes()
        factors, about = (adapter / WEIGHTS).read_bytes(), (adapter / CONFIG).read_bytes()
        vocabulary = tokenizer.read_bytes()
    small = {"small.yaml": SMALL.encode(), "rows.jsonl": TEXT_ROWS}
    model, peft = f"model/{'model.safetensors'}", f"adapter/{WEIGHTS}"
    return {
        "checkpoint": Kind(
            [weights],
            _built(TEXT),
            1500,
            model,
            (damage.safetensors,),
            beside=small | {"model/config.json": config},
        ),
        "cut checkpoint": Kind(
            [weights],
            _built(TEXT),
            len(weights),
            model,
            beside=small | {"model/config.json": config},
            at=lambda number, count: weights[: number * len(weights) // count],
        ),
        "config.json": Kind(
            [config],
            _built(TEXT),
            700,
            "model/config.json",
            (damage.json_text,),
            beside=small | {model: weights},
        ),
        "adapter": Kind(
            [factors],
            _built({"learning.model.adapter": "adapter"}),
            500,
            peft,
            (damage.safetensors,),
            beside=small | {f"adapter/{CONFIG}": about},
        ),
        "adapter config": Kind(
            [about],
            _built({"learning.model.adapter": "adapter"}),
            300,
            f"adapter/{CONFIG}",
            (damage.json_text,),
            beside=small | {peft: factors},
        ),
        "tokenizer": Kind(
            [vocabulary], _tokenized, 400, "tokenizer.json", (damage.json_text,), beside=small
        ),
    }


def _checkpoint(folder: Path) -> None:
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    MixtralForCausalLM(MixtralConfig(**SIZES)).to(torch.bfloat16).save_pretrained(folder)


def _adapter(place: Path) -> Path:
    """An adapter of a run of the small scenario."""
    (place / "small.yaml").write_text(SMALL, encoding="utf-8")
    settings = {"stop.cycles": 1, "learning.pretraining": WITHOUT}
    sim.run(scenarios.load(place / "small.yaml", settings), place / "run")
    export(place / "run", "peft", place / "peft")
    [found] = [path.parent for path in (place / "peft").rglob(CONFIG)]
    return found


def _built(settings: dict[str, object]) -> Callable[[Path], int]:
    """Make the start model as a run does before it begins, and end as a run does if it cannot."""

    def read(path: Path) -> int:
        folder = path.parent.parent
        said = {**settings, "learning.pretraining": WITHOUT}
        try:
            learner = learner_of(scenarios.load(folder / "small.yaml", said))
            learner.build()
            learner.force(learner.start())
        except ValueError as error:
            _say(str(error))
            return WRONG_INPUT
        return 0

    return read


def _tokenized(path: Path) -> int:
    said = {"kind": "mixtral", "tokenizer": path.name}
    sets = [f"learning.model={json.dumps(said)}"]
    sets.append(f"learning.data={json.dumps(TEXT['learning.data'])}")
    options = [part for one in sets for part in ("--set", one)]
    return leomix("validate", path.parent / "small.yaml", *options)
