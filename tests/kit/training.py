"""Inner names of ``learning`` that tests use and that need torch."""

from torch import Tensor, nn

from learning import ModelConfig
from learning.models.build import initialise, make_model, skeleton
from learning.models.checkpoints import checkpoint_places, read_places, save_checkpoint
from learning.models.custom import Traits
from learning.models.interface import expert_of, is_gate, names_of
from learning.models.mixtral import MixtralMoE
from learning.models.moe import (
    LoraLinear,
    Residency,
    forward_with_routing,
    fresh_a,
    gates_of,
    with_factors,
)
from learning.models.nmoe import PersonalExpert, Pretext, answer, losses, make_extractor, mixed
from learning.models.peft import adapted, factorise, write_adapter, write_fused_adapter
from learning.models.shared_prefix import SharedPrefix, grouped
from learning.models.small import VectorMLP, VectorMoE
from learning.models.stacked import Grouped, cross_entropy, with_tensors
from learning.models.tape import gradients_of
from learning.policies.model_splitting import home_clusters
from learning.training import (
    aggregation,
    device_state,
    embedding,
    evaluation,
    frozen,
    joint,
    replay,
    sgd,
)
from learning.training import local as training
from learning.training.aggregation import add_changes, sample_weights
from learning.training.guards import Frozen, UnchangedGuard, not_finite
from learning.training.kept_batches import KeptBatches
from learning.training.local import train_rounds
from learning.training.local_loss import Term
from learning.training.nmoe import answers, experts, extractor, gates
from learning.training.nmoe.extractor import estimated as shared
from learning.training.nmoe.extractor import pairs, view
from learning.training.nmoe.extractor_training import CorrelationShare, Descent, ExtractorLoss
from learning.training.nmoe.gates import reach_of, route
from learning.training.recipe import LocalRounds, Recipe, TrainedPart, Weighing
from learning.training.sgd import rows_of_round
from learning.training.start import (
    AdamSteps,
    build_task,
    fit,
    gate_loss,
    loss_of_origin,
    origin_loss,
    sgd_step,
    start_model,
)
from learning.training.state import Offer, Parameter, State, flatten, map_tensors, moved_in_state
from learning.training.task import Task, use_one_thread


def checkpoint_weights(config: ModelConfig, model: nn.Module) -> dict[str, Tensor]:
    """The tensors of checkpoints as a run reads them, in the files' format."""
    return read_places(checkpoint_places(config, model))
