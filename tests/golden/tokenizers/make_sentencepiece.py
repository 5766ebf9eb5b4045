#!/usr/bin/env python3
"""Writes the models of sentencepiece.tar.xz, trained on lab_calib/mix_calib.jsonl, and the ids that transformers gives for
every line of small/texts.jsonl, the way msModelSlim loads a tokenizer (use_fast=False, legacy=False).

    pip install sentencepiece==0.2.3 transformers==4.57.6 protobuf
    make_sentencepiece.py TEXTS OUT_DIR
"""
import json
import pathlib
import sys
import tempfile

import sentencepiece
from transformers import LlamaTokenizer

SOURCE = pathlib.Path(__file__).resolve().parents[3]


def train(folder, corpus, **options):
    """Like Llama-2's: byte pairs, the text as it is."""
    given = dict(model_type="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1,
                 max_sentence_length=100000, character_coverage=0.98, minloglevel=2)
    with tempfile.TemporaryDirectory() as work:
        prefix = f"{work}/m"
        sentencepiece.SentencePieceTrainer.train(input=str(corpus), model_prefix=prefix, **{**given, **options})
        (folder / "tokenizer.model").write_bytes(pathlib.Path(prefix + ".model").read_bytes())


def main(texts, out):
    lines = [json.loads(line)["text"] for line in open(texts)]
    lines += ["", " ", "  a", "a  ", "<s>", " <s>", "<s> a", "a<s>b", "</s><unk>", "\u2581", "\u2581a\u2581\u2581b", "aaaaaaa",
              "\n", "a\nb", "\t", "<0x41>", "\u00e9\U0001F600"]  # fmt: skip
    samples = [json.loads(line)["inputs_pretokenized"] for line in open(SOURCE / "lab_calib" / "mix_calib.jsonl")]
    corpus = out / "corpus.txt"
    corpus.write_text("\n".join(line for sample in samples for line in sample.split("\n") if line))
    kinds = {
        "fallback": (dict(vocab_size=900, byte_fallback=True), {}),
        "unknown": (dict(vocab_size=900, byte_fallback=False), {"add_eos_token": True}),
        "no-prefix": (dict(vocab_size=700, byte_fallback=True), {"add_prefix_space": False, "add_bos_token": False}),
    }
    for name, (training, settings) in kinds.items():
        folder = out / name
        folder.mkdir(parents=True)
        train(folder, corpus, **training)
        settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", **settings}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        tokenizer = LlamaTokenizer.from_pretrained(folder, use_fast=False, legacy=False)
        with open(folder / "ids.jsonl", "w") as ids:
            for line in lines:
                ids.write(json.dumps({"text": line, "ids": tokenizer(line)["input_ids"]}, separators=(",", ":")) + "\n")
    corpus.unlink()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
