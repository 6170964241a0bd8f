"""Inner names of ``learning`` that tests use and that need torch."""

from learning import aggregation, training
from learning.adapters import read_adapter, write_adapter
from learning.aggregation import merge_experts, merge_gate, sample_weights
from learning.alignment.usage import usage
from learning.batches import rows_of_round
from learning.building import build_task
from learning.device_state import (
    experts_held,
    fold,
    model_of_device,
    not_finite,
    offer,
    receive,
    receive_gate,
    select,
)
from learning.evaluation import evaluate, final_tensors
from learning.factorising import factorise
from learning.frozen import Before, Frozen
from learning.fused_adapters import write_fused_adapter
from learning.models.checkpoints import checkpoint_weights, save_checkpoint
from learning.models.dense import initialise
from learning.models.lora import LoraLinear, fresh_a, with_factors
from learning.models.mixtral import MixtralMoE
from learning.models.moe import Residency
from learning.models.names import expert_of, is_gate, names_of
from learning.models.networked import PersonalExpert, Pretext, make_extractor
from learning.models.routing import forward_with_routing
from learning.models.vector import VectorMoE
from learning.networked import queries, scoring
from learning.networked.augment import view
from learning.networked.combining import answer, losses, mixed
from learning.networked.gates import reach_of, route
from learning.networked.spectral import pairs, shared
from learning.relevance import expert_relevance, trial_relevance
from learning.task import Task, skeleton, use_one_thread
from learning.training import train
from learning.upcycling import gate_loss, home_domains, origin_loss, start_model
