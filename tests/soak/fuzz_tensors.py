"""What torch reads, damaged: checkpoints, their config.json, adapters and tokenizers."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from tests.kit.learning import tokenizer
from tests.soak import fuzz_mutations as damage
from tests.soak.fuzz_folders import QUIET, SCENARIO
from tests.soak.fuzz_kinds import TEXT_ROWS, Kind, leomix

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

SIZES = {
    "vocab_size": 280, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 2,
    "num_experts_per_tok": 1,
}  # fmt: skip
ROWS = {"kind": "jsonl", "path": "rows.jsonl", "tokens": 8, "trial_samples": 2}
TEXT = {"learning__model": {"kind": "mixtral", "checkpoints": ["model"]}, "learning__data": ROWS}
ADAPTED = {"learning__model__adapter": "adapter"}


def tensor_kinds() -> dict[str, Kind]:
    """Kinds of files that torch and its relatives read."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _checkpoint(place / "model")
        adapter = _adapter(place)
        tokens = place / "tokenizer.json"
        tokenizer.train_bpe(["a b c", "word and word"], 280).save(str(tokens))
        weights = (place / "model" / "model.safetensors").read_bytes()
        config = (place / "model" / "config.json").read_bytes()
        factors = (adapter / WEIGHTS).read_bytes()
        about = (adapter / CONFIG).read_bytes()
        vocabulary = tokens.read_bytes()
    small = {"small.yaml": SCENARIO.encode(), "rows.jsonl": TEXT_ROWS}
    model = "model/model.safetensors"
    peft = f"adapter/{WEIGHTS}"
    sizes = "model/config.json"
    rank = f"adapter/{CONFIG}"
    words = {"model/tokenizer.json": vocabulary}
    by_model = small | words | {sizes: config}
    by_adapter = small | {rank: about}
    read = (partial(_begun, TEXT),)
    adapted = (partial(_begun, ADAPTED),)
    mixtral = {"kind": "mixtral", "tokenizer": "tokenizer.json"}
    says = {"learning__model": mixtral, "learning__data": ROWS}
    tokenized = (partial(leomix, "validate", "small.yaml", **says),)
    tensors = damage.TENSORS
    text = damage.JSON
    return {
        "checkpoint": Kind([weights], read, 1500, model, tensors, beside=by_model),
        "config.json": Kind(
            [config], read, 700, sizes, text, beside=small | words | {model: weights}
        ),
        "adapter": Kind([factors], adapted, 500, peft, tensors, beside=by_adapter),
        "adapter config": Kind([about], adapted, 300, rank, text, beside=small | {peft: factors}),
        "tokenizer": Kind([vocabulary], tokenized, 400, "tokenizer.json", text, beside=small),
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
    (place / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    assert not leomix("run", place / "small.yaml", "-o", place / "run", *QUIET)
    assert not leomix("export", place / "run", "--to", "peft", "-o", place / "peft")
    [found] = [path.parent for path in (place / "peft").rglob(CONFIG)]
    return found


def _begun(settings: dict[str, object]) -> int:
    """Run until the first event: the start model has been made by then, and was tried."""
    status = leomix("run", "small.yaml", "-o", "out", *QUIET, "--max-wall", "0.001s", **settings)
    return 0 if status == 130 else status
