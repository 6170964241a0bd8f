"""Inner names of ``learning`` that tests use."""

from __future__ import annotations

from typing import Any

from learning.requests import *
from learning.text.rows import TextTable, read_rows
from learning.text.texts import json_rows
from tests.kit.inner import late

__getattr__ = late(
    globals(),
    {
        "learning": "LearningConfig ModelConfig",
        "learning.alignment.policy": "alignment=.",
        "learning.architecture.costs": "architecture as_sent",
        "learning.architecture.footprint": "footprint pretrained_at_once",
        "learning.architecture.kinds": "kinds=.",
        "learning.clients": "ClusterState",
        "learning.clients.cluster": "NOT_HELD",
        "learning.clients.device_state": "DeviceState",
        "learning.clients.updates": "ServerModel Update aggregate merging=.",
        "learning.data.embedded": "digits draw_client shipped_digits",
        "learning.data.federation": "federate mix_domains",
        "learning.data.npz": "channels_first",
        "learning.data.partition": "class_parts dirichlet_parts share_devices split_rows",
        "learning.data.samples": "InputSpec SampleArrays",
        "learning.declarations": "FrozenDict",
        "learning.files": "files=.",
        "learning.hardware": "compute_device memory=.",
        "learning.invariants": "Violation check_shares",
        "learning.learner": "Learner TASKS TRAINS learner=.",
        "learning.methods.asynchronous": "AsynchronousOptions FedBuff",
        "learning.methods.base": "ExpertRegistry METHODS NOBODY",
        "learning.methods.emsfl": "EmsFl EnhancedEmsFl Splitting",
        "learning.methods.fedprox": "proximal",
        "learning.methods.fedspace": "FedSpace",
        "learning.methods.options": "NoOptions read_options",
        "learning.methods.synchronous": "Synchronous",
        "learning.models.build": "initialise make_model skeleton",
        "learning.models.custom": "measured_tensors",
        "learning.models.interface": "Parameter expert_of is_gate names_of",
        "learning.models.moe": "Residency fresh_a",
        "learning.models.peft": "adapted factorise write_adapter",
        "learning.models.small": "VectorMoE",
        "learning.models.stacked": "Frozen Guard with_tensors",
        "learning.nmoe.costs": "sizes_of",
        "learning.nmoe.inference": "Asked HEADER_BYTES grouped mixture",
        "learning.nmoe.method": "NMoE",
        "learning.nmoe.models": "PersonalExpert Pretext answer losses make_extractor mixed",
        "learning.nmoe.round_trip": "NoContactLeft RoundTrip",
        "learning.nmoe.shapes": "extractor_of",
        "learning.nmoe.training.answers": "answers=. local_shares pattern_row",
        "learning.nmoe.training.experts": "experts=.",
        "learning.nmoe.training.extractor": "extractor=. shared=estimated view",
        "learning.nmoe.training.gates": "gates=. reach_of route",
        "learning.own.code": "code_digest",
        "learning.own.file_writes": "writing",
        "learning.policies.model_splitting": "home_clusters model_splitting=.",
        "learning.policies.problem": "asked even_bounds",
        "learning.provenance": "environment",
        "learning.requests.cluster": "WAITS_FOR_ALL",
        "learning.requests.facts": "INJECTED",
        "learning.requests.ring": "ring=.",
        "learning.rng": "stream",
        "learning.settings": "Columns Data Lora Optimizer Pretraining Schedule Split Training",
        "learning.text.checkpoints": "save_checkpoint",
        "learning.text.fused_adapters": "write_fused_adapter",
        "learning.text.mixtral": "MixtralMoE",
        "learning.text.rows": "Question Text",
        "learning.text.tokenizer": "tokenizer=.",
        "learning.training.aggregation": "add_changes aggregation=. sample_weights",
        "learning.training.evaluation": "evaluation=.",
        "learning.training.local": "training=.",
        "learning.training.recipe": "LocalRounds TrainedPart Weighing",
        "learning.training.sgd": "rows_of_round sgd=.",
        "learning.training.start": "build_task fit gate_loss loss_of_origin start_model",
        "learning.training.state": "held_state=. not_finite",
        "learning.training.sync": "sync=.",
        "learning.training.task": "Traits embedding=. use_one_thread",
        "learning.values.lazy": "Handle Values arguments_in found_at",
        "learning.values.store": "FolderStore Tensors as_file packed unpacked",
    },
)


def read_jsonl(path: str, columns: dict[str, str]) -> TextTable:
    """The table of a file of JSON lines."""
    return read_rows(path, json_rows(path, columns), columns)


def load_samples_anew() -> None:
    """Let this process make data and tasks anew, as another one would."""
    from learning.data import loading
    from learning.learner import TASKS

    loading._loaded.cache_clear()
    loading._spec.cache_clear()
    TASKS.clear()


def checkpoint_weights(config: Any, model: Any) -> dict[str, Any]:
    """The tensors of checkpoints as a run reads them, in the files' format."""
    from learning.models.interface import checkpoint_places
    from learning.models.tensor_files import read_places

    return read_places(checkpoint_places(config, model))
