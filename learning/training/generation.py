"""Generation: texts that a trained model writes behind given ones, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from learning.architecture.kinds import kind_of
from learning.data.samples import InputSpec
from learning.data.text_rows import check_text
from learning.data.tokenizer import as_tokenizer, failing, read_tokenizer, tokenizer_file
from learning.files import read_object
from learning.hardware import compute_devices
from learning.models.build import fill, skeleton, torch_dtype
from learning.models.checkpoints import CLASSIFIER
from learning.models.interface import names_of
from learning.models.mixtral import MixtralMoE
from learning.models.moe import Residency
from learning.models.stacked import Tensors
from learning.settings import WORDS, LearningConfig
from learning.training.task import use_one_thread

END_KEYS = ("generation_config.json", "config.json")
"""Files of a checkpoint that name the token which ends a text, the first that does first."""


def check_generates(config: LearningConfig) -> str:
    """Return the file of the tokenizer by which a model of ``config`` writes.

    Raises :class:`ValueError` for a model that is none of texts, and without such a file.
    """
    kind = config.model.kind
    if not kind_of(kind).is_text:
        raise ValueError(
            f"learning.model.kind: {kind} writes no texts; merged-llama and mixtral do"
        )
    file = tokenizer_file(config.model) if config.model.tokenizer != WORDS else None
    if file is None:
        raise ValueError(
            "learning.model.tokenizer: the model has none that turns tokens into text again; "
            "train one with a tokenizer.json, as that of a checkpoint"
        )
    return file


def generated(
    config: LearningConfig, tensors: Tensors, questions: Sequence[str], tokens: int
) -> list[str]:
    """Return what a model writes behind each question and a newline, of at most so many tokens.

    That is the form in which questions and their options are learnt. Decoding is greedy: each token
    is the likeliest one. A text ends sooner at the token by which its checkpoint ends one.
    ``tensors`` are all of the model, by stored name. Raises :class:`ValueError` as
    :func:`check_generates`, for a blank question, and for tensors that are no language model of
    ``config``.
    """
    file = check_generates(config)
    for number, question in enumerate(questions, 1):
        check_text(question, f"question {number}")
    if tokens < 1:
        raise ValueError(f"{tokens} tokens are none; ask for 1 or more")
    if CLASSIFIER in tensors:
        raise ValueError(
            f"the model has a head for classes ({CLASSIFIER}), and none for tokens: it was trained "
            "on texts with labels; answer by a run of questions with options, or of next tokens"
        )
    raw = read_tokenizer(file)
    tokenizer = as_tokenizer(raw)
    config = replace(config, device=compute_devices(config.device)[0])
    use_one_thread(config.device)
    spec = InputSpec("next_token", (1,), 1, tokenizer.vocabulary)
    model = skeleton(config, spec, Residency(held=tuple(range(config.model.experts))))
    assert isinstance(model, MixtralMoE)
    names, dtype = names_of(model), torch_dtype(config)
    placed = {names.path(n): t.to(config.device, dtype) for n, t in tensors.items()}
    lacking = sorted({path for path, _ in model.named_parameters()} - placed.keys())
    if lacking:
        raise ValueError(f"the model lacks {names.stored(lacking[0])}; it is of another kind")
    fill(model, placed)
    ends = _ends(config)
    prompts = tokenizer.ids([f"{question}\n" for question in questions])
    written = [model.continued([*tokenizer.begin, *ids], tokens, ends) for ids in prompts]
    with failing("learning.model.tokenizer: cannot write every text", "use one that can"):
        return [raw.decode(ids).strip() for ids in written]


def _ends(config: LearningConfig) -> frozenset[int]:
    """Return the ids of the tokens that end a text, as the first checkpoint names them."""
    if not config.model.checkpoints:
        return frozenset()
    for name in END_KEYS:
        path = Path(config.model.checkpoints[0], name)
        found = read_object(path).get("eos_token_id") if path.is_file() else None
        if found is not None:
            return frozenset(found if isinstance(found, list) else [found])
    return frozenset()
