"""Inner names of ``learning`` that tests use and that need torch."""

from torch import Tensor, nn

from learning import ModelConfig
from learning.models.interface import checkpoint_places
from learning.models.tensor_files import read_places
from tests.kit.late import late

__getattr__ = late(
    globals(),
    {
        "learning.models.build": "initialise make_model skeleton",
        "learning.text.checkpoints": "save_checkpoint",
        "learning.text.fused_adapters": "write_fused_adapter",
        "learning.models.interface": "Parameter expert_of is_gate names_of",
        "learning.text.mixtral": "MixtralMoE",
        "learning.models.moe": ("Residency forward_with_routing fresh_a gates_of"),
        "learning.nmoe.models": "PersonalExpert Pretext answer losses make_extractor mixed",
        "learning.models.peft": "adapted factorise write_adapter",
        "learning.text.shared_prefix": "SharedPrefix grouped",
        "learning.models.small": "VectorMoE",
        "learning.models.stacked": "Frozen Guard with_tensors",
        "learning.policies.model_splitting": "home_clusters",
        "learning.training.aggregation": "add_changes aggregation=. sample_weights",
        "learning.training.evaluation": "evaluation=.",
        "learning.training.references": "references=.",
        "learning.training.local": "train_rounds training=.",
        "learning.nmoe.training.answers": "answers=.",
        "learning.nmoe.training.experts": "experts=.",
        "learning.nmoe.training.extractor": "extractor=. shared=estimated view",
        "learning.nmoe.training.gates": "gates=. reach_of route",
        "learning.training.recipe": "LocalRounds TrainedPart Weighing",
        "learning.training.sgd": "rows_of_round sgd=.",
        "learning.training.start": ("build_task fit gate_loss loss_of_origin start_model"),
        "learning.training.sync": "sync=.",
        "learning.training.state": "held_state=. not_finite",
        "learning.training.task": "Task Traits embedding=. use_one_thread",
    },
)


def checkpoint_weights(config: ModelConfig, model: nn.Module) -> dict[str, Tensor]:
    """The tensors of checkpoints as a run reads them, in the files' format."""
    return read_places(checkpoint_places(config, model))
