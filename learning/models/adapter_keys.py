"""What the keys of a PEFT adapter's configuration say of its factors, by PEFT's own rules.

Hu et al., LoRA, ICLR 2022, scale a product B A by alpha / r; Kalajdzievski (rsLoRA,
arXiv 2312.03732) by alpha / sqrt(r).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

READ = {
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora",
    "init_lora_weights",
}  # fmt: skip
"""Keys that are followed."""
SAID_BY_TENSORS = {
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "modules_to_save", "bias", "lora_bias",
}  # fmt: skip
"""Keys that say which tensors there are: these are all read, or refused by their names."""
OF_ITS_MAKING = {
    "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "lora_dropout", "megatron_core", "qalora_group_size", "runtime_config",
    "loftq_config", "eva_config", "corda_config", "lora_ga_config",
}  # fmt: skip
"""Keys of how it was made, and of what is switched on by another key: factors are the same."""
KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal", "mica")
"""How factors were drawn that leave the model they adapt as it is."""
USUAL = 8
"""Rank and alpha where they are not given."""
MOST_PATTERN = 400
MOST_REPEATS = 4
"""Limits of a regular expression in a file: more of them may search a name for ever."""


@dataclass(frozen=True)
class Factored:
    """Of one module: the rank of its factors, and what their product is multiplied by."""

    rank: int
    scale: float


class AdapterKeys:
    """The keys of one adapter.

    ``normalises`` says whether it is DoRA, which gives rows of matrices a length of their own.
    Raises :class:`ValueError` with the name of a key that is wrong, or that would change what the
    factors mean and is not read.
    """

    def __init__(self, keys: Mapping[str, Any]) -> None:
        if keys.get("peft_type") != "LORA":
            raise ValueError(f"peft_type is {keys.get('peft_type')!r:.40}; only 'LORA' is read")
        for key, value in keys.items():
            if key not in READ | SAID_BY_TENSORS | OF_ITS_MAKING and not _is_unset(value):
                raise ValueError(f"{key} is {value!r:.60}, which is not read; {PLAIN}")
        made = keys.get("init_lora_weights", True)
        if made not in KEEPS_BASE:
            raise ValueError(
                f"init_lora_weights is {made!r:.40}, which changes the adapted model; {PLAIN}"
            )
        self._roots = _flag(keys, "use_rslora")
        self.normalises = _flag(keys, "use_dora")
        self._rank = _rank("r", keys.get("r", USUAL))
        self._alpha = _alpha("lora_alpha", keys.get("lora_alpha", USUAL))
        ranks, alphas = (_object(keys, key) for key in ("rank_pattern", "alpha_pattern"))
        self._ranks = {_pattern(key): _rank("rank_pattern", n) for key, n in ranks.items()}
        self._alphas = {_pattern(key): _alpha("alpha_pattern", n) for key, n in alphas.items()}

    def of(self, module: str) -> Factored:
        """Return what holds for the module at this path.

        The first pattern counts that matches the end of the path, from a dot on or all of it.
        """
        rank = next((n for key, n in self._ranks.items() if key.match(module)), self._rank)
        alpha = next((n for key, n in self._alphas.items() if key.match(module)), self._alpha)
        return Factored(rank, alpha / (sqrt(rank) if self._roots else rank))


PLAIN = "merge the adapter into its model, or train plain LoRA"


def _is_unset(value: object) -> bool:
    return value is None or value is False or value in ("", [], {})


def _flag(keys: Mapping[str, Any], key: str) -> bool:
    value = keys.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{key} is {value!r:.40}; must be true or false")
    return value is True


def _rank(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1e9:
        raise ValueError(f"{key} has {value!r:.40}, which is no rank")
    return value


def _alpha(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise ValueError(f"{key} has {value!r:.40}, which is no alpha")
    return float(value)


def _object(keys: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = keys.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is {value!r:.40}; must be an object")
    return value


def _pattern(key: str) -> re.Pattern[str]:
    """Return the pattern of a name's end; refuse one that may take for ever to be looked for."""
    repeats = re.findall(r"(?<!\\)[*+{]", key)
    if len(key) > MOST_PATTERN or len(repeats) > MOST_REPEATS or re.search(r"\)[*+{?]", key):
        raise ValueError(f"the pattern {key!r:.60} repeats too much; name modules more plainly")
    try:
        return re.compile(rf"(.*\.)?({key})$")
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"the pattern {key!r:.60} is no regular expression ({error})") from None
