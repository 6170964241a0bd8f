"""Inner names of ``learning`` that tests use and that need no torch."""

from learning.requests import *
from learning.text.rows import TextTable, read_rows
from learning.text.texts import json_rows
from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "learning": "Data LearningConfig ModelConfig",
        "learning.architecture.costs": "architecture as_sent",
        "learning.architecture.footprint": "footprint pretrained_at_once",
        "learning.architecture.kinds": "kinds=.",
        "learning.nmoe.costs": "sizes_of",
        "learning.nmoe.shapes": "extractor_of",
        "learning.clients": "ClusterState",
        "learning.clients.cluster": "NOT_HELD",
        "learning.clients.device_state": "DeviceState",
        "learning.nmoe.round_trip": "NoContactLeft RoundTrip",
        "learning.clients.updates": "ServerModel Update aggregate merging=.",
        "learning.data.embedded": "digits draw_client shipped_digits",
        "learning.data.federation": "federate mix_domains",
        "learning.data.npz": "channels_first",
        "learning.data.partition": "class_parts dirichlet_parts share_devices split_rows",
        "learning.data.samples": "InputSpec SampleArrays",
        "learning.text.rows": "Question Text",
        "learning.text.tokenizer": "tokenizer=.",
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
        "learning.nmoe.inference": "Asked HEADER_BYTES grouped mixture",
        "learning.nmoe.method": "NMoE",
        "learning.methods.options": "GONE NoOptions read_options",
        "learning.methods.synchronous": "Synchronous",
        "learning.models.custom": "measured_tensors",
        "learning.own.code": "code_digest",
        "learning.alignment.policy": "alignment=.",
        "learning.policies.model_splitting": "model_splitting=.",
        "learning.policies.problem": "asked even_bounds",
        "learning.provenance": "environment why_not_cacheable",
        "learning.requests.cluster": "WAITS_FOR_ALL",
        "learning.requests.facts": "INJECTED",
        "learning.requests.payload": "TensorSize",
        "learning.requests.ring": "ring=.",
        "learning.rng": "stream",
        "learning.settings": "Columns Lora Optimizer Pretraining Schedule Split Training",
        "learning.nmoe.training.answers": "local_shares pattern_row",
        "learning.values.lazy": "Handle Values arguments_in found_at",
        "learning.values.store": "FolderStore Tensors as_file packed unpacked",
    },
)


def read_jsonl(path: str, columns: dict[str, str]) -> TextTable:
    """The table of a file of JSON lines."""
    return read_rows(path, json_rows(path, columns), columns)
