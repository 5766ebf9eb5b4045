#!/usr/bin/env python3
"""Writes the small tokenizers of tokenizers.tar.xz: one per component, trained on lab_calib/mix_calib.jsonl, with the ids
that the tokenizers library (pip install tokenizers==0.23.3) gives for every line of texts.jsonl.

    make_small.py OUT_DIR
"""
import json
import pathlib
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers as N, pre_tokenizers as P, processors, trainers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]"
          r"|\s+(?!\S)|\s+")
OTHER_REGEXES = [r"\b", r"\w+", r"\W+", r"(?m:a.b)|^\s*$|\h{2,}", r"(?i)ab|cd", r"(?<=[a-z])(?=[A-Z])|\p{Han}+",
                 r"(?:[\p{Greek}\p{^L}]+)", r"[[:alpha:]]+|[[:punct:]]", r"a{,3}b|\v|[^\S\n]+",
                 r"\p{Letter}+|\p{Punctuation}", r"(x(?i)y|z)+", r"\d+|\D", r"\R|\X", r"[]a-c]+|\u4e2d|\x{e9}|\-"]
FRAGMENTS = ["'s", "'S", "'LL", "\u2019s", "'\u017f", " ", "  ", "\n", "\r\n", "\n\n", "\t", "\u3000", "\u00a0", "\u180e",
             "\u0085", "\u2028", "\u200b", "\u200d", "\u00e9", "e\u0301", "\uac00", "\u1100\u1161\u11a8", "\u4e2d\u56fd",
             "\u30ab\u3099", "\uff21", "\ufb01", "\u2167", "\u00bd", "\u0663", "123", "4567", "a", "B", "ABC", "Hello",
             "WORLD", "\u0130", "\u00df", "\u212a", "\u01c5", "a\u0323\u0307", "\u0327\u0301", "<s>", "</s>", "<unk>",
             "<|bos|>", "<|eot|>", "foo", "<L>", "<R>", "<LR>", "<a", "<ab>", "_", "...", "!?", "/", "\u2581",
             "\u2581\u2581", "<0x41>", "\u24d0", "\U0001F600", "\U0001F469\u200d\U0001F467", "\x00", "\x7f", "\u03c3\u03c2",
             "\u02b0", "xY", "zZ", "ab", "beef", "\u03ac", "\u093c", "\ufeff", "10 000", "don't", " the", "ing "]
BOS = "<|bos|>"


def metaspace_model(texts, normalizer, pre_tokenizer, fuse=True, fallback=True, normalized=False):
    """SentencePiece style, like Llama-2."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = P.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1500, special_tokens=special, limit_alphabet=500,
                                                             show_progress=False))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    for token in data["added_tokens"]:
        token["normalized"] = normalized
    model = data["model"]
    model["byte_fallback"], model["fuse_unk"] = fallback, fuse
    for place, count in enumerate((2, 4, 8)):  # runs of spaces, as the real vocabulary has them
        model["vocab"].setdefault("\u2581" * count, len(model["vocab"]))
        model["merges"].insert(place * 20, ["\u2581" * (count // 2)] * 2)
    data["normalizer"], data["pre_tokenizer"] = normalizer, pre_tokenizer
    text = {"Sequence": {"id": "A", "type_id": 0}}
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    data["post_processor"] = {"type": "TemplateProcessing", "single": [bos, text], "pair": [bos, text],
                              "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    return data


def byte_model(texts, regex=LLAMA3, normalizer=None, pre_tokenizer=None, added=(), ignore_merges=False, size=700):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer or then_bytes(P.Split(Regex(regex), "isolated"))
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                                             initial_alphabet=P.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken(BOS, special=True), AddedToken("<|eot|>", special=True)])
    for token in added:
        tokenizer.add_tokens([token])
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{BOS} $A <|eot|>", special_tokens=[(BOS, bos), ("<|eot|>", bos + 1)])])
    data = json.loads(tokenizer.to_str())
    if ignore_merges:  # and some words that only the vocabulary has
        data["model"]["ignore_merges"] = True
        for word in ("\u0120umbrella", "breakwater", "123", "\u0120\u0120"):
            data["model"]["vocab"].setdefault(word, 1 + max(data["model"]["vocab"].values()) + 1000)
    return data


def word_model(texts, **options):
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", **options))
    tokenizer.pre_tokenizer = P.Whitespace()
    tokenizer.normalizer = N.Sequence([N.NFD(), N.Lowercase(), N.StripAccents()])
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=1200, special_tokens=["[UNK]"], limit_alphabet=150,
                                                             show_progress=False, **options))
    return json.loads(tokenizer.to_str())


def then_bytes(*steps):
    return P.Sequence(list(steps) + [P.ByteLevel(add_prefix_space=False, use_regex=False)])


def tokenizers(texts):
    legacy = {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "\u2581"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    yield "llama2-legacy", metaspace_model(texts, legacy, None)
    yield "llama2-normalized-added", metaspace_model(texts, legacy, None, normalized=True)
    yield "llama2-unk", metaspace_model(texts, legacy, None, fuse=False, fallback=False)
    yield "llama2-fused-unk", metaspace_model(texts, legacy, None, fallback=False)
    for scheme in ("first", "always", "never"):
        for split in (True, False):
            yield f"metaspace-{scheme}-{'split' if split else 'whole'}", metaspace_model(
                texts, None, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split})
    yield "metaspace-old", metaspace_model(
        texts, None, {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True})
    yield "llama3", byte_model(texts, ignore_merges=True)
    yield "o200k", byte_model(texts, O200K)
    yield "cl100k", byte_model(texts, CL100K)
    yield "gpt2", byte_model(texts, pre_tokenizer=P.ByteLevel(add_prefix_space=False, use_regex=True))
    yield "gpt2-prefix", byte_model(texts, pre_tokenizer=P.ByteLevel(add_prefix_space=True, use_regex=True))
    yield "added", byte_model(texts, normalizer=N.NFC(), added=[
        AddedToken("foo", single_word=True), AddedToken("  ", normalized=False), AddedToken("<L>", lstrip=True),
        AddedToken("<R>", rstrip=True, normalized=False), AddedToken("<LR>", lstrip=True, rstrip=True),
        AddedToken("\u00e9", normalized=True), AddedToken("<a"), AddedToken("<ab>")])
    for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"):
        yield f"normalizer-{name}", byte_model(texts, normalizer=getattr(N, name)())
    yield "normalizer-strip", byte_model(texts, normalizer=N.Strip())
    yield "normalizer-strip-left", byte_model(texts, normalizer=N.Strip(left=True, right=False))
    yield "normalizer-replace", byte_model(texts, normalizer=N.Replace(Regex(r"[\s\d]+x?"), " # "))
    bytes_first = byte_model(texts)
    bytes_first.update(normalizer={"type": "ByteLevel"}, pre_tokenizer=None)
    yield "normalizer-bytes", bytes_first
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield f"split-{behavior}-{'inverted' if invert else 'plain'}", byte_model(
                texts, pre_tokenizer=then_bytes(P.Split(Regex(r"\s|\d\d|[.,]"), behavior, invert=invert)))
        yield f"split-string-{behavior}", byte_model(texts, pre_tokenizer=then_bytes(P.Split(" ", behavior)))
        yield f"split-empty-{behavior}", byte_model(
            texts, pre_tokenizer=then_bytes(P.Split(Regex(r"(?=[A-Z])|,*"), behavior)))
        yield f"punctuation-{behavior}", byte_model(texts, pre_tokenizer=then_bytes(P.Punctuation(behavior)))
    for name, step in (("digits", P.Digits(True)), ("numbers", P.Digits(False)), ("whitespace", P.Whitespace()),
                       ("whitespace-split", P.WhitespaceSplit()), ("bert", P.BertPreTokenizer()),
                       ("delimiter", P.CharDelimiterSplit("e"))):
        yield name, byte_model(texts, pre_tokenizer=then_bytes(step))
    yield "bytes-twice", byte_model(texts, pre_tokenizer=then_bytes(P.ByteLevel(add_prefix_space=False, use_regex=True)))
    for index, regex in enumerate(OTHER_REGEXES):
        yield f"regex-{index:02}", byte_model(texts, pre_tokenizer=then_bytes(P.Split(Regex(regex), "isolated")))
    yield "prefix-suffix", word_model(texts, continuing_subword_prefix="##", end_of_word_suffix="</w>")
    suffix = word_model(texts, end_of_word_suffix="</w>")
    yield "suffix", suffix
    yield "roberta", dict(suffix, post_processor={"type": "RobertaProcessing", "sep": ["x", 7], "cls": ["y", 5],
                                                  "trim_offsets": True, "add_prefix_space": False})


def awkward_texts(texts):
    """Seeded mixtures of fragments, single characters of all scripts and running text, and long runs."""
    random.seed(1)
    assigned = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs")]
    for _ in range(220):
        text = ""
        for _ in range(random.randint(1, 24)):
            kind = random.random()
            if kind < 0.65:
                text += random.choice(FRAGMENTS)
            elif kind < 0.85:
                text += chr(random.choice(assigned))
            else:
                source = random.choice(texts)
                start = random.randrange(len(source))
                text += source[start:start + random.randint(1, 30)]
        yield text
    yield from ["", "a" * 300, " " * 500, " " * 63 + "x", "ab" * 200, "\u4e2d" * 200, "\n" * 200, "\u2581" * 100,
                "\u0301" * 100, "x" * 20 + "\u4e2d\u6587" * 40 + " y" * 50]
    yield from texts[:12]


def main():
    out = pathlib.Path(sys.argv[1])
    calib = pathlib.Path(__file__).parents[3] / "lab_calib" / "mix_calib.jsonl"
    corpus = [json.loads(line)["inputs_pretokenized"] for line in calib.read_text("utf-8").splitlines()]
    texts = list(awkward_texts(corpus))
    out.mkdir(parents=True, exist_ok=True)
    (out / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for name, data in tokenizers(corpus):
        folder = out / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
        reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
        (folder / "ids.jsonl").write_text(
            "".join(json.dumps({"ids": reference.encode(text).ids}, separators=(",", ":")) + "\n" for text in texts))


if __name__ == "__main__":
    main()
