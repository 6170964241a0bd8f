"""Texts as token ids, against the tokenizers library's own templates and truncation."""

import base64
import json
import os
import re
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learning import ModelConfig
from learning.text import tokenizer
from learning.text.rows import Question, Text

tokenizers = pytest.importorskip("tokenizers")

TEXTS = ["the cat sat on the mat", "预防接种异常反应是指", "the mat, the cat; déjà vu 🙂"]
RAW = tokenizer.train_bpe(TEXTS * 3, 300)
OURS = tokenizer.as_tokenizer(RAW)
# no surrogates: they cannot be written to a file as UTF-8
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def word_level(template):
    """A tokenizer of 40 words, with BERT's template or with one id before the text."""
    words = ["[UNK]", "[CLS]", *(["[SEP]"] * template), "<s>", "a", *(f"w{i}" for i in range(40))]
    numbers = {word: i for i, word in enumerate(words)}
    how = tokenizers.processors
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, "[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    begin = how.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    made.post_processor = how.BertProcessing(("[SEP]", 2), ("[CLS]", 1)) if template else begin
    return made


def unpadded(line):
    return line[line >= 0].tolist()


def words(count, start=0):
    return " ".join(f"w{(start + i) % 40}" for i in range(count))


@given(ANY_TEXT)
def test_any_text_survives_byte_level_pairs(text):
    for whole in (text, f"{text} <sep> b"):  # a separator that is spelt out is text
        [ids] = OURS.ids([whole])
        assert RAW.decode(ids, skip_special_tokens=False) == whole
        assert min(ids) >= 0 and max(ids) < OURS.vocabulary <= 300
        assert OURS.separator[0] not in ids


@pytest.mark.process
def test_training_is_the_same_in_another_process():
    code = "import sys; from learning.text import tokenizer\n"
    code += f"sys.stdout.buffer.write(tokenizer.train_bpe({TEXTS * 3!r}, 300).to_str().encode())"
    for seed in "12":
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
        assert run.stdout.decode() == RAW.to_str()


@given(st.integers(1, 20), st.integers(1, 20), st.integers(5, 24))
def test_pairs_and_single_texts_are_what_the_library_makes(a, b, tokens):
    library = word_level(template=True)
    ours = tokenizer.as_tokenizer(word_level(template=True))
    library.enable_truncation(tokens, strategy="longest_first")
    rows = [Text(words(a), words(b, 7)), Text(words(a), "")]
    pair, single = tokenizer.encode_texts(rows, ours, tokens)
    assert unpadded(pair) == library.encode(*rows[0]).ids
    assert unpadded(single) == library.encode(rows[1].first).ids


@given(ANY_TEXT, st.lists(ANY_TEXT, min_size=2, max_size=4), st.integers(2, 60))
def test_an_option_is_whole_and_the_question_loses_its_start(question, options, tokens):
    out = tokenizer.encode_questions([Question(question, tuple(options))], OURS, 5, tokens)
    assert out.shape == (1, 5, 2, tokens) and out.dtype == "int64"
    [before] = OURS.ids([question + "\n"])
    for (ids, marks), text in zip(out[0], options, strict=False):
        [option] = OURS.ids([text])
        context = ids[(marks == 0) & (ids >= 0)].tolist()
        assert ids[marks == 1].tolist() == option[: tokens - 1]
        assert len(context) == min(len(before), tokens - min(len(option), tokens - 1)) >= 1
        assert before[len(before) - len(context) :] == context
        # a line is context, then option, then padding
        assert unpadded(ids) == context + ids[marks == 1].tolist()
        assert (ids[len(unpadded(ids)) :] == -1).all()
    absent = out[0, len(options) :]
    assert (absent[:, 0] == -1).all() and (absent[:, 1] == 0).all()


def test_a_tokenizer_without_separator_puts_its_newline_and_first_ids_stay_in_a_cut():
    begins = tokenizer.as_tokenizer(word_level(template=False))
    assert (begins.begin, begins.end) == ((2,), ())
    [line] = tokenizer.encode_texts([Text("w1 w2", "w3")], begins, 8)
    first, second, long = begins.ids(["w1 w2", "w3", words(30)])
    assert unpadded(line) == [2, *first, *begins.separator, *second]
    out = tokenizer.encode_questions([Question(words(30), ("w1 w2", "w3"))], begins, 2, 6)
    assert out[0, :, 0, 0].tolist() == [2, 2]
    assert out[0, 0, 0, 1:4].tolist() == long[-3:]


def test_a_tokenizers_own_cut_and_padding_are_not_used(tmp_path):
    raw = word_level(template=True)
    raw.enable_truncation(3)
    raw.enable_padding(length=50)
    folder = str(tmp_path)
    file = str(tmp_path / "tokenizer.json")
    raw.save(file)
    for keys in ({"tokenizer": file}, {"checkpoints": (folder, "other")}):
        made = tokenizer.make_tokenizer(ModelConfig(**keys), [])
        [line] = tokenizer.encode_texts([Text(words(10), "")], made, 16)
        assert (len(unpadded(line)), made.vocabulary) == (12, 45)


def test_a_tokenizer_that_cannot_be_had_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bare = ModelConfig(vocabulary=280)  # gets one of the trial texts
    assert tokenizer.tokenizer_file(bare) is None
    assert 257 <= tokenizer.make_tokenizer(bare, TEXTS).vocabulary <= 280
    weights = ModelConfig(checkpoints=(".",), vocabulary=280)  # were trained with another one
    with pytest.raises(ValueError, match=r"has no tokenizer.json; copy .* learning.model.tokeni"):
        tokenizer.make_tokenizer(weights, TEXTS)
    (tmp_path / "broken").write_text("{")
    (tmp_path / "tokenizer.model").write_bytes(b"")
    for model, message in (
        (ModelConfig(tokenizer="nowhere"), "learning.model.tokenizer: no file nowhere"),
        (ModelConfig(tokenizer="broken"), "broken: is no tokenizer"),
        (ModelConfig(checkpoints=(".",)), "only tokenizer.json is read"),
        (ModelConfig(vocabulary=256), "vocabulary: got 256; .* 257"),
    ):
        with pytest.raises(ValueError, match=message):
            tokenizer.make_tokenizer(model, TEXTS)
    raw = word_level(template=True)
    raw.normalizer = tokenizers.normalizers.Replace("w1", " ")
    with pytest.raises(ValueError, match="makes no token of 'w1'"):
        tokenizer.encode_texts([Text("w1", "")], tokenizer.as_tokenizer(raw), 8)


def charsmap(text):
    """SentencePiece's map of characters with an empty trie and one replacement."""
    return base64.b64encode(struct.pack("<I", 1024) + bytes(1024) + b"a\0" + text + b"\0").decode()


def replaced(old, new):
    return {"type": "Replace", "pattern": old, "content": new}


def template(*pieces, ids=()):
    special = {"x": {"id": "x", "ids": list(ids), "tokens": ["x"] * len(ids)}}
    single = [{kind: {"id": name, "type_id": 0}} for kind, name in pieces]
    pair = [{"Sequence": {"id": name, "type_id": 0}} for name in "AB"]
    how = {"type": "TemplateProcessing", "single": single, "pair": pair}
    return {**how, "special_tokens": special}


def chain(kind, *stages):
    return {"type": "Sequence", kind: list(stages)}


DOUBLED = replaced({"String": "o"}, "oo")
SPECIAL, TEXT = ("SpecialToken", "x"), ("Sequence", "A")
BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
BPE = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
SWELL = {
    "expression": {"normalizer": replaced({"Regex": "(?=o)"}, "o" * 5000)},
    "doubled": {"normalizer": chain("normalizers", *[DOUBLED] * 40)},
    "map": {"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap(b"o" * 5000)}},
    "bytes": {"pre_tokenizer": chain("pretokenizers", *[BYTES] * 40)},
    "ids": {"post_processor": template(SPECIAL, TEXT, ids=[1] * 5000)},
    "texts": {"post_processor": template(*[TEXT] * 5000)},
    "decoder": {"decoder": chain("decoders", *[DOUBLED] * 40)},
    "token": {"model": BPE | {"vocab": {"a": 0, "x" * 20_000: 1}}},
    "empty": {"model": BPE | {"vocab": {}}, "added_tokens": []},
}
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
SENTENCEPIECE = {
    "normalizer": chain(
        "normalizers",
        replaced({"String": "``"}, '"'),
        {"type": "NFKD"},
        {"type": "Precompiled", "precompiled_charsmap": charsmap(b"o" * 33)},
        replaced({"Regex": " {2,}"}, "▁"),
    ),
    "pre_tokenizer": chain("pretokenizers", {"type": "WhitespaceSplit"}, METASPACE),
    "post_processor": template(SPECIAL, TEXT, SPECIAL, ids=[1]),
    "decoder": METASPACE,
}
"""What published tokenizers have, all at once."""


@pytest.mark.parametrize("how", [*SWELL, "published"])
def test_a_tokenizer_that_makes_very_much_of_little_text_is_refused_in_a_line(tmp_path, how):
    file = tmp_path / "tokenizer.json"
    file.write_text(json.dumps(json.loads(RAW.to_str()) | SWELL.get(how, SENTENCEPIECE)))
    if how == "published":
        assert tokenizer.make_tokenizer(ModelConfig(tokenizer=str(file)), []).begin == (1,)
        return
    line = rf"^{re.escape(str(file))}: .{{10,200}}; use another tokenizer$"
    with pytest.raises(ValueError, match=line):
        tokenizer.make_tokenizer(ModelConfig(tokenizer=str(file)), [])


def test_a_tokenizer_whose_library_panics_at_a_text_is_refused_in_a_line(tmp_path):
    file = tmp_path / "{}.json"
    cut = base64.b64encode(struct.pack("<I", 8) + bytes(8) + b"a\0b\0").decode()
    broken = {"normalizer": {"type": "Precompiled", "precompiled_charsmap": cut}}
    file.write_text(json.dumps(json.loads(RAW.to_str()) | broken))
    with pytest.raises(ValueError, match=r"cannot read every text \(.*\); use one that can$"):
        tokenizer.make_tokenizer(ModelConfig(tokenizer=str(file)), [])
