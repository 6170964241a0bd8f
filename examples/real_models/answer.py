"""Print what language models write behind a question: the likeliest token, again and again.

    leomix export runs/real --to dense -o experts
    python examples/real_models/answer.py "What is a star?" variants/mmlu experts/expert-0

A folder is a dense model, as `--to dense` writes one of each expert, or the `adapter-hugging-face`
that `leomix export RUN --to peft` writes beside its `base` of a merged model whose layers all have
experts (pip install peft; its tokenizer is named by --tokenizer). The question stands before a
newline, as questions are learnt with their right options; a chat template is not used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer


def model_of(folder: Path) -> AutoModelForCausalLM:
    """Return the model in a folder, or that of an adapter, with it."""
    if not (folder / "adapter_config.json").exists():
        return AutoModelForCausalLM.from_pretrained(folder)
    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(folder.parent / "base")
    return PeftModel.from_pretrained(base, folder)


def main() -> None:
    """Answer by each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question")
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--tokens", type=int, default=40, help="longest answer")
    parser.add_argument("--tokenizer", type=Path, help="its folder; default: that of the model")
    asked = parser.parse_args()
    print(f"question  {asked.question}")
    for folder in asked.folders:
        tokenizer = AutoTokenizer.from_pretrained(asked.tokenizer or folder)
        given = tokenizer(f"{asked.question}\n", return_tensors="pt").input_ids
        ids = model_of(folder).generate(
            given,
            max_new_tokens=asked.tokens,
            do_sample=False,
            pad_token_id=tokenizer.eos_token_id,
        )
        text = tokenizer.decode(ids[0, given.shape[1] :], skip_special_tokens=True)
        print(f"{folder}  {' '.join(text.split())}")


if __name__ == "__main__":
    main()
