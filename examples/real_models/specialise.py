"""Tune a dense Llama on the texts of one domain: a variant, for an expert of `merged-llama`.

    pip install peft
    python examples/real_models/specialise.py models/base mmlu.jsonl variants/mmlu --layers 6

The feed-forward networks of the last layers are tuned by LoRA and merged; all other weights stay.
A row of the file has a `text`, or `question`, `options` and `answer` (from 0): then a text is the
question, a newline and the right option. Rows whose `split` is test are held out, else a fifth.
"""

from __future__ import annotations

import argparse
import json
import random

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

PADDING = -1
TESTED = 200
"""Texts that are held out and tested, at most."""


def texts_of(path: str) -> tuple[list[str], list[str]]:
    """Return the texts of a file to learn from, and those that are held out."""
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines if line.strip()]
    random.shuffle(rows)
    if not any("split" in row for row in rows):
        for number, row in enumerate(rows):
            row["split"] = "test" if 5 * number < len(rows) else "train"
    learnt, held_out = [], []
    for row in rows:
        text = row.get("text") or f"{row['question']}\n{row['options'][row['answer']]}"
        (held_out if row.get("split") == "test" else learnt).append(text)
    return learnt, held_out


def losses(model: torch.nn.Module, texts: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean surprise of each text's tokens in nats, (n,)."""
    ids = pad_sequence(texts, batch_first=True, padding_value=PADDING)
    logits = model(input_ids=ids.clamp_min(0)).logits[:, :-1]
    following = ids[:, 1:]
    each = cross_entropy(logits.transpose(1, 2), following, ignore_index=PADDING, reduction="none")
    return each.sum(1) / (following != PADDING).sum(1)


@torch.inference_mode()
def tested(model: torch.nn.Module, texts: list[torch.Tensor], batch: int) -> float:
    """Return the mean loss of texts, ``batch`` at once."""
    parts = [losses(model, texts[at : at + batch]) for at in range(0, len(texts), batch)]
    return float(torch.cat(parts).mean())


def tune(model: torch.nn.Module, texts: list[torch.Tensor], asked: argparse.Namespace) -> None:
    """Take steps of Adam, each on texts that are drawn anew."""
    optimizer = torch.optim.Adam(
        (p for p in model.parameters() if p.requires_grad), asked.step_size
    )
    for _ in range(asked.steps):
        optimizer.zero_grad()
        losses(model, random.sample(texts, min(asked.batch, len(texts)))).mean().backward()
        optimizer.step()


def main() -> None:
    """Tune, write, and print the loss of the held-out texts before and after."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("checkpoint", "data", "folder"):
        parser.add_argument(name)
    parser.add_argument("--layers", type=int, help="last layers that are tuned; default: all")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=8, help="texts in a step")
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--step-size", type=float, default=2e-3)
    parser.add_argument("--tokens", type=int, default=64, help="longest text that is kept")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random.seed(asked.seed)
    torch.manual_seed(asked.seed)

    tokenizer = AutoTokenizer.from_pretrained(asked.checkpoint)
    learnt, held_out = (
        [torch.tensor(tokenizer(one).input_ids[: asked.tokens]) for one in texts]
        for texts in texts_of(asked.data)
    )
    learnt, held_out = learnt[: asked.steps * asked.batch], held_out[:TESTED]
    config = AutoConfig.from_pretrained(asked.checkpoint)
    model = AutoModelForCausalLM.from_pretrained(asked.checkpoint, dtype=torch.float32)
    before = tested(model, held_out, asked.batch)
    first = config.num_hidden_layers - (asked.layers or config.num_hidden_layers)
    factors = LoraConfig(
        r=asked.rank,
        lora_alpha=2 * asked.rank,
        target_modules=["gate_proj", "up_proj", "down_proj"],
        layers_to_transform=[*range(first, config.num_hidden_layers)],
    )
    tuned = get_peft_model(model, factors)
    tune(tuned, learnt, asked)
    tuned.merge_and_unload().to(config.dtype).save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    # What was written is tested: in sixteen bits, rounding takes a part of what was learnt.
    written = AutoModelForCausalLM.from_pretrained(asked.folder, dtype=torch.float32)
    after = tested(written, held_out, asked.batch)
    print(f"loss {before:.3f} -> {after:.3f} nats a token, {len(held_out)} texts held out")


if __name__ == "__main__":
    main()
