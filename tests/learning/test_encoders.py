"""BERT as a mixture of experts, against Hugging Face's own BERT."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertModel

from learning import LearningConfig
from learning.architecture.costs import architecture
from learning.data.samples import InputSpec
from learning.models.interface import names_of
from tests.kit import tiny_checkpoints as tiny
from tests.kit.learning_inputs import checkpoint_weights

SEPARATOR, CLASSES, TOKENS = 5, 3, 11
SPEC = InputSpec("text", (TOKENS,), CLASSES, 61, SEPARATOR)
FILE = "model.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tiny.bert(folder)
    return folder


def texts():
    """Pairs (one is cut behind its separator) and single texts, of several lengths."""
    x = torch.randint(6, 61, (6, TOKENS), generator=torch.manual_seed(0))
    for row, (first, second) in enumerate([(4, 10), (8, 10), (3, 6), (6, None), (10, None)]):
        x[row, first] = SEPARATOR
        x[row, (first if second is None else second) + 1 :] = -1
        if second is not None:
            x[row, second] = SEPARATOR
    return x


@pytest.mark.parametrize(("layers", "prefix"), [(1, ""), (2, "bert.")])
@torch.no_grad()
def test_equal_experts_are_hugging_faces_bert(folder, tmp_path, layers, prefix):
    """Whatever the gate says, and however the files call their tensors."""
    tensors = {prefix + name: t for name, t in load_file(folder / FILE).items()}
    save_file(tensors, tmp_path / FILE)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    theirs = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    torch.manual_seed(1)
    others = {"score.weight": torch.randn(CLASSES, 32), "score.bias": torch.randn(CLASSES)}
    for layer in range(2 - layers, 2):
        gate = f"bert.encoder.layer.{layer}.intermediate.gate.weight"
        others[gate] = torch.randn(3, 32)
    ours = tiny.loaded(tiny.bert_config(tmp_path, moe_layers=layers), SPEC, **others)
    x = texts()
    real = (x >= 0).long()
    separators = (x == SEPARATOR).long()
    behind = (separators.cumsum(1) - separators).clamp_max(1)  # the first separator
    states = theirs(x.clamp_min(0), real, behind * real).last_hidden_state
    means = (states * real[..., None]).sum(1) / real.sum(1, keepdim=True)
    wanted = means @ others["score.weight"].T + others["score.bias"]
    torch.testing.assert_close(ours(x), wanted, rtol=0, atol=1e-5)
    assert wanted.std() > 0.5 and (wanted[0] - wanted[3]).abs().max() > 0.1


@pytest.mark.parametrize("layers", [1, None])
def test_sizes_are_counted_as_the_tensors_are(folder, layers):
    config = tiny.bert_config(folder, moe_layers=layers)
    model = tiny.skeleton(config, replace(SPEC, classes=2))
    stored = {names_of(model).stored(path): p for path, p in model.named_parameters()}
    sizes = architecture(LearningConfig(0, ("a",), (1,), config, trains_backbone=True))
    assert sizes.parameters == sum(p.numel() for p in stored.values())
    backbone = {
        n: tuple(p.shape) for n, p in stored.items() if not n.startswith(("expert", "gate"))
    }
    assert sizes.tensors.backbone == backbone
    frozen = {name for name, p in stored.items() if not p.requires_grad}
    assert sizes.tensors.frozen == frozen == backbone.keys() - {"score.weight", "score.bias"}
    up = {tensor.name for tensor in sizes.upload_tensors([1], gate=True)}
    assert {"score.weight", "score.bias", "gate.0.weight"} < up
    assert not any(name.startswith("bert.") for name in up)


def change(folder, tmp_path, **keys):
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | keys))
    return tmp_path


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta'; only bert is read"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu'; only 'gelu' is read"),
        ({"position_embedding_type": "relative_key"}, "only 'absolute' is read"),
        ({"hidden_size": 30}, "hidden_size is 30; must be a multiple of num_attention_heads, 4"),
        ({"max_position_embeddings": 8}, "learning.data.tokens: got 11; .* more than 8"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(folder, tmp_path, keys, text):
    config = tiny.bert_config(change(folder, tmp_path, **keys))
    with pytest.raises(ValueError, match=text) as error:
        checkpoint_weights(config, tiny.skeleton(config, SPEC))
    assert "\n" not in str(error.value)


def test_choices_are_refused_with_the_kind_that_takes_them(folder):
    with pytest.raises(ValueError, match="takes text data, but these are choices; 'mixtral' takes"):
        tiny.skeleton(tiny.bert_config(folder), tiny.CHOICES)
