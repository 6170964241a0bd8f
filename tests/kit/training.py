"""Inner names of ``learning`` that tests use and that need torch."""

from learning import aggregation, training
from learning.adapters import (
    CONFIG,
    WEIGHTS,
    read_adapter,
    write_adapter,
)
from learning.aggregation import (
    merge_experts,
    merge_gate,
    sample_weights,
    truncated_sum,
)
from learning.alignment.usage import usage
from learning.batches import rows_of_round
from learning.building import build_task
from learning.device_state import (
    DELTA,
    FACTOR,
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
from learning.frozen import Before, Frozen, fingerprint
from learning.fused_adapters import write_fused_adapter
from learning.models.checkpoints import (
    checkpoint_weights,
    save_checkpoint,
)
from learning.models.dense import initialise
from learning.models.lora import (
    LoraLinear,
    fresh_a,
    with_factors,
)
from learning.models.mixtral import MixtralMoE, attention_mask
from learning.models.moe import MoELayer, Residency
from learning.models.names import (
    Names,
    expert_of,
    is_gate,
    names_of,
)
from learning.models.networked import (
    PersonalExpert,
    Pretext,
    make_extractor,
)
from learning.models.routing import (
    forward_with_routing,
    gates_of,
)
from learning.models.vector import VectorMoE
from learning.networked import queries, scoring
from learning.networked.augment import view
from learning.networked.combining import answer, losses, mixed
from learning.networked.descent import Descent
from learning.networked.descent import train as descend
from learning.networked.gates import (
    reach_of,
    route,
    train_gates,
)
from learning.networked.queries import routes
from learning.networked.scoring import scores
from learning.networked.spectral import (
    clipped,
    correlation,
    mean_of_others,
    pairs,
    shared,
)
from learning.relevance import (
    expert_relevance,
    trial_relevance,
)
from learning.task import (
    Samples,
    Shards,
    Task,
    skeleton,
    use_one_thread,
)
from learning.training import train
from learning.upcycling import (
    gate_loss,
    home_domains,
    origin_loss,
    start_model,
)
