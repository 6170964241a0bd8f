"""Tokens per second of training a merged model, beside the same step in transformers and PEFT.

`python tests/benchmarks/bench_tokens.py` trains expert 0 of three merged Llama models of 30 million
parameters in bfloat16, on clusters of 1 and 5 devices, and a Llama with PEFT's factors of the same
matrices. One thread computes all, in turns; CPU time is counted, and the best turn of each.
"""

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import LlamaForSequenceClassification as Llama

from learning import Learner

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from learning.clients.state import DeviceState
from learning.training.recipe import LocalRounds, TrainedPart
from tests.benchmarks.bench_memory import RANK, SMALL, learner_of, write

STEPS, TURNS, SIZE, TOKENS = 4, 4, 8, 64


def ours(folder, devices):
    """Return the training of a round of so many devices, each through its own factors."""
    config = learner_of(folder, devices).config
    sizes = {"batch_size": SIZE, "steps_per_round": STEPS}
    learner = Learner(replace(config, data=replace(config.data, tokens=TOKENS), **sizes))
    who = np.ones(devices, bool)
    none = np.zeros(devices, np.int64)
    state = DeviceState.load(learner, learner.start(), None, "a", who, [0], none)
    return lambda turn: learner.force(
        state.train(
            LocalRounds("a", none + 1, none + turn), TrainedPart([0], gate=False, mask="-inf")
        ).own
    )


def plain(folder):
    """Return as many steps of SGD on the factors of a Llama."""
    made = Llama.from_pretrained(folder / "0", num_labels=2, pad_token_id=0, dtype=torch.bfloat16)
    targets = ["gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(made, LoraConfig(r=RANK, lora_alpha=2, target_modules=targets))
    sgd = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    tokens = torch.randint(1, 500, (SIZE, TOKENS)) * (torch.arange(TOKENS) < 9)

    def run(turn):
        for _ in range(STEPS):
            logits = model(input_ids=tokens, attention_mask=(tokens > 0).long()).logits
            cross_entropy(logits.float(), torch.arange(SIZE) % 2).backward()
            sgd.step()
            sgd.zero_grad()

    return run


torch.set_num_threads(1)
with TemporaryDirectory() as place:
    write(Path(place), SMALL)
    runs = {f"{n} devices": (n, ours(Path(place), n)) for n in (1, 5)}
    runs["transformers"] = 1, plain(Path(place))
    best = dict.fromkeys(runs, 0.0)
    for turn in range(TURNS):
        for name, (devices, run) in runs.items():
            begun = time.process_time()
            run(turn)
            rate = devices * STEPS * SIZE * TOKENS / (time.process_time() - begun)
            best[name] = max(best[name], rate)
for name, rate in best.items():
    print(f"{name:<14}{rate:>8.0f} tokens/s{rate / best['transformers']:>7.2f}")
