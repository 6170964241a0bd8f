"""Peak memory of training a merged mixture in bfloat16, over that of the model itself.

What torch allocates is counted; oneDNN's caches of kernels come on top.
"""

import json
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch._C._profiler import _EventType
from torch.func import functional_call
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM

from learning import Learner
from learning.models import Residency
from tests.kit.inner import learning as kit
from tests.kit.inner.sim import Checkpoint, Journal, Trace

SIZES = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 4}
SHAPE = {"vocab_size": 512, "num_attention_heads": 8, "num_key_value_heads": 8}
EXPERTS = [0, 1, 2]
TOKENS = 16
BATCH = 2
RANK = 1


def write(folder):
    """Write three random checkpoints that share all but their experts, and texts."""
    shared = None
    for number in EXPERTS:
        torch.manual_seed(number)
        model = LlamaForCausalLM(LlamaConfig(**SHAPE, **SIZES)).to(torch.bfloat16)
        shared = shared or {n: t for n, t in model.state_dict().items() if ".mlp." not in n}
        model.load_state_dict(shared, strict=False)
        model.save_pretrained(folder / str(number))
    texts = [" ".join(f"w{(n * k) % 97}" for k in range(9)) for n in range(200)]
    lines = [json.dumps({"text": text, "label": n % 2}) for n, text in enumerate(texts)]
    (folder / "texts.jsonl").write_text("\n".join(lines))


def learner_of(folder, devices):
    """Return the learner of one cluster."""
    places = tuple(str(folder / str(number)) for number in EXPERTS)
    lora = kit.Lora(rank=RANK)
    model = kit.ModelConfig("merged-llama", 3, checkpoints=places, tokenizer="words", lora=lora)
    data = kit.Data("jsonl", str(folder / "texts.jsonl"), tokens=TOKENS, trial_samples=4)
    steps = kit.Pretraining(gate_steps=1)
    return Learner(
        kit.LearningConfig(
            1, ("a",), (devices,), model, data=data, pretraining=steps,
            step_size=0.1, steps_per_round=1,
            batch_size=BATCH, precision="bfloat16",
        )
    )  # fmt: skip


def measured(folder, devices):
    """Return the figures of one number of devices, in MB."""
    learner = learner_of(folder, devices)
    task = learner.task
    server = learner.start()
    state = None
    result = {}
    own = learner.force(server)
    who = np.ones(devices, bool)
    none = np.zeros(devices, np.int64)
    with _peak() as cycles:
        for number in range(2):
            state = kit.DeviceState.load(learner, server, state, "a", who, EXPERTS, none + number)
            state = state.train(
                kit.LocalRounds("a", none + 1, none + number), kit.TrainedPart(EXPERTS, gate=False)
            )
            result = result or _result(learner.values.force(state.own))
            sent = state.offer(EXPERTS, gate=False)
            state = state.commit(who, none + number + 1, EXPERTS, gate=False)
            server = kit.aggregate(learner, server, sent, EXPERTS, kit.Weighing("a", who))
            learner.force(server)
    with TemporaryDirectory() as place:
        began = time.process_time()
        Checkpoint(Path(place), {}).save(1, 0.0, Journal(), Trace().digest, learner.values, {})
        spent_s = time.process_time() - began
        kept = sum(file.stat().st_size for file in Path(place).rglob("*") if file.is_file())
    found = {
        "model": _bytes({**task.backbone, **own}),
        "plain step": _plain_step(task, own),
        "cycles": cycles(),
        **result,
        "checkpoint": kept,
    }
    return {name: count / 1e6 for name, count in found.items()} | {"its CPU, ms": 1e3 * spent_s}


def _result(trained):
    parts = [tensor.untyped_storage() for tensor in trained.values()]
    return {
        "factors": _bytes({n: t for n, t in trained.items() if n.endswith(("+a", "+b"))}),
        "result": sum({part.data_ptr(): part.nbytes() for part in parts}.values()),
        "on disk": len(kit.packed(trained)),
    }


def _bytes(tensors):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _plain_step(task, server):
    """Bytes that the loss of one minibatch and its gradient by all factors take, in plain torch."""
    every = tuple(EXPERTS)
    model = task.skeleton(Residency(every, every))
    tensors = {task.names.path(n): t for n, t in {**task.backbone, **server}.items()}
    factors = {
        path: torch.zeros(p.shape, dtype=task.dtype, requires_grad=True)
        for path, p in model.named_parameters()
        if path not in tensors
    }
    x, y, _ = task.shards["a"].of(0).at(slice(BATCH))
    with _peak() as step:
        logits = functional_call(model, {**tensors, **factors}, (x,))
        functional.cross_entropy(logits.float(), y).backward()
    return step()


@contextmanager
def _peak():
    """Yield what returns, afterwards, the most bytes that new tensors took at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        yield lambda: _rise(_totals(seen.profiler.kineto_results.experimental_event_tree()))


def _rise(totals):
    by_time = [total for _, total in sorted(totals)]
    return max(by_time) - by_time[0]


def _totals(events):
    """Yield the time of each allocation, and the bytes that are allocated after it."""
    waiting = list(events)
    while waiting:
        event = waiting.pop()
        waiting += event.children
        if event.tag == _EventType.Allocation:
            yield event.start_time_ns, event.extra_fields.total_allocated
