"""Inner names of ``learning`` that tests use and that need no torch."""

from learning import memory
from learning.alignment.fitness import averaged, first_fitness, score
from learning.alignment.load import LoadMonitor, jain_index, peak, variation
from learning.alignment.profile import Needs, capacity
from learning.assignment import (
    assign_experts,
    assignment_probability,
    density_ratio,
    expert_classes,
    own_mass,
)
from learning.closing import WAITS_FOR_ALL, Closing
from learning.cluster_side import ClusterSide
from learning.config import DataConfig, LearningConfig, LoraConfig, ModelConfig, Pretraining
from learning.costs import architecture
from learning.data.digits import digits
from learning.data.encoding import encode_questions, encode_texts
from learning.data.federate import mix_domains
from learning.data.jsonl import read_jsonl
from learning.data.partition import class_parts, dirichlet_parts, share_devices
from learning.data.rows import Question, Text
from learning.data.samples import InputSpec, SampleArrays
from learning.data.tokens import as_tokenizer, make_tokenizer, tokenizer_file, train_bpe
from learning.experts import NOBODY, ExpertRegistry
from learning.hardware import compute_device
from learning.invariants import Violation, check_shares
from learning.keys import data_keys, model_keys
from learning.learner import Learner, _built_task
from learning.measured import measured_tensors
from learning.memory import check_memory
from learning.method import (
    Cluster,
    Method,
    NoOptions,
    Protocol,
    World,
    find_method,
    method_names,
    read_options,
    register,
)
from learning.methods.emsfl import EmsFl, EnhancedEmsFl
from learning.methods.fedbuff import FedBuff
from learning.methods.networked_extractor import own_share
from learning.methods.networked_inference import HEADER_BYTES
from learning.methods.networked_queries import Asked, grouped
from learning.methods.splitting import Splitting
from learning.methods.synchronous import Synchronous
from learning.networked.checks import LATE
from learning.networked.learner import NetworkedLearner
from learning.networked.metrics import local_shares, macro_f1, pattern_row
from learning.networked.outcomes import outcome_of
from learning.networked.shapes import extractor_of
from learning.networked.sizes import sizes_of
from learning.packing import as_file, packed, unpacked
from learning.peering import All, Compute, Infer, Node, Reach, Send, Wait
from learning.policies.exploration import explored
from learning.policies.problem import asked, checked, even_bounds
from learning.requests import (
    Chain,
    Contact,
    Cost,
    Download,
    Forecast,
    Measure,
    Meet,
    NextContact,
    Note,
    Outlook,
    Payload,
    Receipt,
    TensorSize,
    Train,
    TrainUntilContact,
    Upload,
    Work,
)
from learning.rounds import NoContactLeft, Turn, take_turn
from learning.shapes import resolved, text_shape
from learning.sharing import circumstances, why_not
from learning.snapshots import Update
from learning.stamps import SOURCE, files_under, source_stamps, stamps_under
from learning.store import FolderStore
from learning.streams import stream
from learning.tensor_files import LARGEST_HEADER_BYTES, check_header, open_tensors
from learning.tensors import input_spec, tensors_of
from learning.tokens import Rows
from learning.values import Handle, Operation, Tensors, Values
from learning.wire import as_sent
