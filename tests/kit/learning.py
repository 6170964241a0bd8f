"""Inner names of ``learning`` that tests use and that need no torch."""

from learning import Data, LearningConfig, ModelConfig, files
from learning import hardware as memory
from learning.architecture import kinds
from learning.architecture.costs import architecture, as_sent
from learning.architecture.footprint import (
    ADDED,
    MERGED,
    MODEL,
    PRETRAINING,
    PRETRAINING_BYTES,
    STATES,
    STEP,
    Federation,
    footprint,
    pretrained_at_once,
)
from learning.architecture.nmoe_costs import sizes_of
from learning.architecture.nmoe_kinds import extractor_of
from learning.architecture.text_memory import TextMemory
from learning.clients import ClusterState, merging
from learning.clients.merging import aggregate
from learning.clients.round_trip import NoContactLeft, RoundTrip
from learning.clients.updates import ServerModel, Update
from learning.data import tokenizer
from learning.data.embedded import digits, draw_client, shipped_digits
from learning.data.federation import federate, mix_domains
from learning.data.npz import channels_first
from learning.data.partition import class_parts, dirichlet_parts, share_devices, split_rows
from learning.data.samples import InputSpec, SampleArrays
from learning.data.text_rows import Question, Text, TextTable, read_rows
from learning.data.texts import json_rows
from learning.declarations import FrozenDict, naming_values
from learning.hardware import compute_devices
from learning.invariants import Violation, check_shares
from learning.learner import Learner
from learning.methods.asynchronous import FedBuff
from learning.methods.base import METHODS, NOBODY, ExpertRegistry, Protocol
from learning.methods.emsfl import EmsFl, EnhancedEmsFl, Splitting
from learning.methods.fedavg_sat import FedAvgSat
from learning.methods.fedprox import proximal
from learning.methods.fedspace import FedSpace
from learning.methods.nmoe.inference import HEADER_BYTES, Asked, Query, grouped, mixture
from learning.methods.nmoe.method import NMoE
from learning.methods.options import NoOptions, read_options
from learning.methods.synchronous import Synchronous
from learning.models.custom import measured_tensors
from learning.own.code import code_digest, running_code_digest
from learning.policies import alignment, model_splitting
from learning.policies.problem import asked, even_bounds
from learning.provenance import environment, why_not_cacheable
from learning.requests import *
from learning.requests import masks, ring
from learning.requests.cluster import WAITS_FOR_ALL
from learning.requests.facts import INJECTED
from learning.requests.payload import TensorSize
from learning.requests.peers import outcome_of
from learning.rng import stream
from learning.settings import Columns, Lora, Optimizer, Pretraining, Schedule, Split
from learning.training import operations
from learning.training.computing import TASKS, Stacking, TaskApply
from learning.training.nmoe import operations as nmoe_operations
from learning.training.nmoe.answers import local_shares, pattern_row
from learning.values.company import CooperativeRuns, together
from learning.values.handle import Handle
from learning.values.lazy import Values
from learning.values.operation import Operation
from learning.values.store import FolderStore, Tensors, as_file, packed, unpacked


def read_jsonl(path: str, columns: dict[str, str]) -> TextTable:
    """The table of a file of JSON lines."""
    return read_rows(path, json_rows(path, columns), columns)
