#!/usr/bin/python3
"""Writes a Hugging Face checkpoint with random weights: any supported family, any size, little memory.

    tools/make_random_checkpoint.py --list
    tools/make_random_checkpoint.py /tmp/m --preset qwen2.5-1.5b
    tools/make_random_checkpoint.py /tmp/m --preset deepseek-v3 --set num_hidden_layers=5 --set vocab_size=4096
    tools/make_random_checkpoint.py /tmp/m --family qwen3_moe --set hidden_size=64 --set num_experts=4

The model knows nothing, but its numbers have the shape of trained ones: rows of unequal size, tails heavier than normal, a few
channels of the residual stream that are much louder than the others, norms that partly undo this. Every tensor is made from
the seed and its own name in pieces of a few MiB, so the same seed gives the same bytes at any size. Needs numpy.
"""

import argparse
import json
import lzma
import os
import pathlib
import sys
import zlib

import checkpoint
import numpy

PIECE = 4 << 20  # values made at a time

# ---- families: defaults of config.json ------------------------------------------------------------------------------

SHARED = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "hidden_act": "silu",
    "hidden_size": 256,
    "initializer_range": 0.02,
    "intermediate_size": 768,
    "max_position_embeddings": 32768,
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 512,
}
EXPERTS = {
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "moe_intermediate_size": 96,
    "norm_topk_prob": True,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "output_router_logits": False,
    "router_aux_loss_coef": 0.001,
}
DEEPSEEK = {
    "ep_size": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 64,
    "moe_intermediate_size": 96,
    "moe_layer_freq": 1,
    "n_group": 4,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "norm_topk_prob": True,
    "num_experts_per_tok": 2,
    "num_key_value_heads": 4,
    "num_nextn_predict_layers": 1,
    "q_lora_rank": 96,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 16,
    "rope_scaling": {
        "type": "yarn",
        "factor": 40,
        "original_max_position_embeddings": 4096,
        "beta_fast": 32,
        "beta_slow": 1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_group": 2,
    "topk_method": "noaux_tc",
    "v_head_dim": 32,
}
FAMILIES = {
    "llama": {"architectures": ["LlamaForCausalLM"], "mlp_bias": False, "rope_theta": 10000.0},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "use_sliding_window": False, "max_window_layers": 4},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "head_dim": 64, "use_sliding_window": False},
    "qwen3_moe": {"architectures": ["Qwen3MoeForCausalLM"], "head_dim": 64, **EXPERTS},
    "qwen3_next": {
        "architectures": ["Qwen3NextForCausalLM"],
        **EXPERTS,
        "full_attention_interval": 4,
        "head_dim": 64,
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_value_head_dim": 32,
        "partial_rotary_factor": 0.25,
        "rope_theta": 10000000,
        "shared_expert_intermediate_size": 96,
    },
    "deepseek_v3": {"architectures": ["DeepseekV3ForCausalLM"], **DEEPSEEK},
    "deepseek_v3_2": {
        "architectures": ["DeepseekV32ForCausalLM"],
        **DEEPSEEK,
        "index_head_dim": 128,
        "index_n_heads": 4,
        "index_topk": 2048,
    },
}
MODEL_TYPES = {"deepseek_v3_2": "deepseek_v32"}  # where config.json spells the family differently

# ---- presets: shapes of known models --------------------------------------------------------------------------------

SHAPE = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")


def shaped(family, *shape, **more):
    return {"family": family, **dict(zip(SHAPE, shape)), **more}


DEEPSEEK_671B = dict(
    first_k_dense_replace=3, kv_lora_rank=512, max_position_embeddings=163840, moe_intermediate_size=2048, n_group=8,
    n_routed_experts=256, num_experts_per_tok=8, q_lora_rank=1536, qk_nope_head_dim=128, qk_rope_head_dim=64, topk_group=4,
    v_head_dim=128, vocab_size=129280,
)  # fmt: skip
PRESETS = {
    "qwen2.5-0.5b": shaped("qwen2", 896, 4864, 24, 14, 2, vocab_size=151936, tie_word_embeddings=True),
    "qwen2.5-1.5b": shaped("qwen2", 1536, 8960, 28, 12, 2, vocab_size=151936, tie_word_embeddings=True),
    "qwen2.5-7b": shaped("qwen2", 3584, 18944, 28, 28, 4, vocab_size=152064),
    "qwen2.5-32b": shaped("qwen2", 5120, 27648, 64, 40, 8, vocab_size=152064),
    "qwen3-0.6b": shaped("qwen3", 1024, 3072, 28, 16, 8, head_dim=128, vocab_size=151936, tie_word_embeddings=True),
    "qwen3-8b": shaped("qwen3", 4096, 12288, 36, 32, 8, head_dim=128, vocab_size=151936),
    "qwen3-32b": shaped("qwen3", 5120, 25600, 64, 64, 8, head_dim=128, vocab_size=151936),
    "llama3-8b": shaped(
        "llama", 4096, 14336, 32, 32, 8, vocab_size=128256, rope_theta=500000.0, rms_norm_eps=1e-5,
        rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                      "original_max_position_embeddings": 8192},
    ),
    "qwen3-30b-a3b": shaped(
        "qwen3_moe", 2048, 6144, 48, 32, 4, head_dim=128, moe_intermediate_size=768, num_experts=128, num_experts_per_tok=8,
        vocab_size=151936,
    ),
    "qwen3-235b-a22b": shaped(
        "qwen3_moe", 4096, 12288, 94, 64, 4, head_dim=128, moe_intermediate_size=1536, num_experts=128,
        num_experts_per_tok=8, vocab_size=151936,
    ),
    "qwen3-next-80b": shaped(
        "qwen3_next", 2048, 5120, 48, 16, 2, head_dim=256, linear_key_head_dim=128, linear_num_key_heads=16,
        linear_num_value_heads=32, linear_value_head_dim=128, moe_intermediate_size=512, num_experts=512,
        num_experts_per_tok=10, shared_expert_intermediate_size=512, vocab_size=151936,
    ),
    "deepseek-v3": shaped("deepseek_v3", 7168, 18432, 61, 128, 128, **DEEPSEEK_671B),
    "deepseek-v3.2": shaped("deepseek_v3_2", 7168, 18432, 61, 128, 128, **DEEPSEEK_671B, index_n_heads=64),
}  # fmt: skip

# ---- numbers --------------------------------------------------------------------------------------------------------


class Maker:
    """Makes tensors. Values depend on the seed, the tensor's name and its shape, and on nothing else."""

    def __init__(self, config, dtype, fp8, seed):
        self.config = config
        self.dtype = dtype
        self.fp8 = fp8  # linears as e4m3 with one f32 scale for 128 x 128 weights
        self.seed = seed
        self.loud = self.loudness()

    def generator(self, name):
        return numpy.random.Generator(numpy.random.SFC64([self.seed, zlib.crc32(name.encode())]))

    def loudness(self):
        """Sizes of the residual stream's channels [hidden]: near one, but one in 256 (at least one) is 6 to 20 times that."""
        width = self.config["hidden_size"]
        generator = self.generator("the residual stream")
        size = generator.lognormal(0.0, 0.3, width)
        chosen = generator.permutation(width)[: max(1, width // 256)]
        size[chosen] *= generator.uniform(6.0, 20.0, len(chosen))
        return size.astype(numpy.float32)

    def values(self, name, rows, columns, scale, into_residual):
        """Yields blocks of rows [n, columns] of a matrix."""
        generator = self.generator(name)
        size = generator.lognormal(0.0, 0.25, rows).astype(numpy.float32) * numpy.float32(scale / columns**0.5)
        if into_residual:
            size *= numpy.sqrt(self.loud)
        at_once = max(128, PIECE // columns // 128 * 128)  # whole blocks of 128 rows, as the fp8 scales need
        for first in range(0, rows, at_once):
            block = generator.standard_normal((min(at_once, rows - first), columns), dtype=numpy.float32)
            block += block * block * block * numpy.float32(0.04)
            block *= size[first : first + at_once, None]
            yield block

    def matrix(self, name, rows, columns, scale=1.0, into_residual=False, dtype=None):
        dtype = dtype or self.dtype

        def pieces():
            for block in self.values(name, rows, columns, scale, into_residual):
                yield checkpoint.to_bytes(block, dtype)

        return checkpoint.Spec(name, dtype, (rows, columns), pieces)

    def linear(self, module, rows, columns, scale=1.0, into_residual=False, plain=False):
        """The weight of a linear layer, in an fp8 checkpoint with its scales (`plain` ones stay as they are)."""
        name = module + ".weight"
        if not self.fp8 or plain:
            yield self.matrix(name, rows, columns, scale, into_residual)
            return

        def codes():
            for block in self.values(name, rows, columns, scale, into_residual):
                yield fp8_codes(block, fp8_scales(block)).tobytes()

        def scales():
            for block in self.values(name, rows, columns, scale, into_residual):
                yield fp8_scales(block).tobytes()

        yield checkpoint.Spec(name, "F8_E4M3", (rows, columns), codes)
        yield checkpoint.Spec(name + "_scale_inv", "F32", (-(-rows // 128), -(-columns // 128)), scales)

    def vector(self, name, width, centre=0.0, spread=1.0, dtype=None):
        values = centre + spread * self.generator(name).standard_normal(width)
        return checkpoint.Spec.of(name, dtype or self.dtype, values.astype(numpy.float32))

    def norm(self, module, zero_centred=False):
        """The gain of a norm of the residual stream: turned down where the stream is loud."""
        gain = self.generator(module).lognormal(0.0, 0.15, len(self.loud)) / numpy.sqrt(self.loud)
        return checkpoint.Spec.of(module + ".weight", self.dtype, (gain - 1.0 if zero_centred else gain).astype(numpy.float32))


def fp8_scales(block):
    """[ceil(rows/128), ceil(columns/128)] f32: the largest magnitude of each tile becomes 448."""
    rows, columns = block.shape
    padded = numpy.zeros((-(-rows // 128) * 128, -(-columns // 128) * 128), numpy.float32)
    padded[:rows, :columns] = numpy.abs(block)
    tiles = padded.reshape(padded.shape[0] // 128, 128, padded.shape[1] // 128, 128)
    return numpy.maximum(tiles.max(axis=(1, 3)), numpy.float32(1e-12)) / numpy.float32(448)


E4M3_OF_HALF = None


def fp8_codes(block, scales):
    """e4m3 codes of block / scale, by a table over all 65536 halves; the way over f16 may move a value by one step."""
    global E4M3_OF_HALF
    if E4M3_OF_HALF is None:
        with numpy.errstate(invalid="ignore"):
            half = numpy.arange(65536, dtype=numpy.uint16).view(numpy.float16).astype(numpy.float32)
            E4M3_OF_HALF = checkpoint.to_e4m3(numpy.nan_to_num(half, posinf=448, neginf=-448))
    rows, columns = block.shape
    spread = scales.repeat(128, axis=0)[:rows].repeat(128, axis=1)[:, :columns]
    return E4M3_OF_HALF[(block / spread).astype(numpy.float16).view(numpy.uint16)]


# ---- modules of the families ----------------------------------------------------------------------------------------


def grouped_attention(make, prefix):
    """Llama, Qwen2, Qwen3; for Qwen3-Next the query projection carries a gate of the same size."""
    config = make.config
    family, hidden = config["model_type"], config["hidden_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or hidden // heads
    widths = {"q_proj": heads * head * (2 if family == "qwen3_next" else 1), "k_proj": kv_heads * head, "v_proj": kv_heads * head}
    for name, width in widths.items():
        yield from make.linear(f"{prefix}.{name}", width, hidden)
        if family == "qwen2" or config["attention_bias"]:
            yield make.vector(f"{prefix}.{name}.bias", width, spread=0.5)
    yield from make.linear(f"{prefix}.o_proj", hidden, heads * head, 0.5, into_residual=True)
    if config["attention_bias"] and family == "llama":
        yield make.vector(f"{prefix}.o_proj.bias", hidden, spread=0.1)
    if family.startswith("qwen3"):
        centre = 0.0 if family == "qwen3_next" else 1.0  # Qwen3-Next stores gains less one
        yield make.vector(f"{prefix}.q_norm.weight", head, centre, 0.2)
        yield make.vector(f"{prefix}.k_norm.weight", head, centre, 0.2)


def delta_net(make, prefix):
    """The linear attention of Qwen3-Next."""
    config, hidden = make.config, make.config["hidden_size"]
    key_heads, value_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    keys, values = key_heads * config["linear_key_head_dim"], value_heads * config["linear_value_head_dim"]
    yield from make.linear(f"{prefix}.in_proj_qkvz", 2 * keys + 2 * values, hidden)
    yield from make.linear(f"{prefix}.in_proj_ba", 2 * value_heads, hidden)
    taps = config["linear_conv_kernel_dim"]
    kernel = make.generator(f"{prefix}.conv1d").standard_normal((2 * keys + values, 1, taps)) / taps**0.5
    yield checkpoint.Spec.of(f"{prefix}.conv1d.weight", make.dtype, kernel.astype(numpy.float32))
    decay = numpy.log(make.generator(f"{prefix}.A_log").uniform(0.5, 16.0, value_heads))
    yield checkpoint.Spec.of(f"{prefix}.A_log", make.dtype, decay.astype(numpy.float32))
    yield make.vector(f"{prefix}.dt_bias", value_heads, 0.0, 1.0)
    yield make.vector(f"{prefix}.norm.weight", config["linear_value_head_dim"], 1.0, 0.1)
    yield from make.linear(f"{prefix}.out_proj", hidden, values, 0.5, into_residual=True)


def latent_attention(make, prefix):
    """DeepSeek's multi-head latent attention, for V3.2 with the indexer."""
    config, hidden = make.config, make.config["hidden_size"]
    heads, nope, rope, value = (config[key] for key in ("num_attention_heads", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    q_rank, kv_rank = config["q_lora_rank"], config["kv_lora_rank"]
    if q_rank:
        yield from make.linear(f"{prefix}.q_a_proj", q_rank, hidden)
        yield make.vector(f"{prefix}.q_a_layernorm.weight", q_rank, 1.0, 0.2)
        yield from make.linear(f"{prefix}.q_b_proj", heads * (nope + rope), q_rank)
    else:
        yield from make.linear(f"{prefix}.q_proj", heads * (nope + rope), hidden)
    yield from make.linear(f"{prefix}.kv_a_proj_with_mqa", kv_rank + rope, hidden)
    yield make.vector(f"{prefix}.kv_a_layernorm.weight", kv_rank, 1.0, 0.2)
    yield from make.linear(f"{prefix}.kv_b_proj", heads * (nope + value), kv_rank)
    yield from make.linear(f"{prefix}.o_proj", hidden, heads * value, 0.5, into_residual=True)
    if "index_n_heads" in config:
        index_heads, width = config["index_n_heads"], config["index_head_dim"]
        yield from make.linear(f"{prefix}.indexer.wq_b", index_heads * width, q_rank)
        yield from make.linear(f"{prefix}.indexer.wk", width, hidden)
        yield make.vector(f"{prefix}.indexer.k_norm.weight", width, 1.0, 0.1, "F32")
        yield make.vector(f"{prefix}.indexer.k_norm.bias", width, 0.0, 0.1, "F32")
        yield from make.linear(f"{prefix}.indexer.weights_proj", index_heads, hidden, plain=True)


def gated_mlp(make, prefix, width):
    hidden = make.config["hidden_size"]
    bias = make.config.get("mlp_bias", False)
    for name in ("gate_proj", "up_proj"):
        yield from make.linear(f"{prefix}.{name}", width, hidden)
        if bias:
            yield make.vector(f"{prefix}.{name}.bias", width, spread=0.1)
    yield from make.linear(f"{prefix}.down_proj", hidden, width, 0.5, into_residual=True)
    if bias:
        yield make.vector(f"{prefix}.down_proj.bias", hidden, spread=0.1)


def qwen_experts(make, prefix):
    config, hidden = make.config, make.config["hidden_size"]
    yield from make.linear(f"{prefix}.gate", config["num_experts"], hidden)
    for expert in range(config["num_experts"]):
        yield from gated_mlp(make, f"{prefix}.experts.{expert}", config["moe_intermediate_size"])
    if config["model_type"] == "qwen3_next":
        yield from gated_mlp(make, f"{prefix}.shared_expert", config["shared_expert_intermediate_size"])
        yield from make.linear(f"{prefix}.shared_expert_gate", 1, hidden)


def deepseek_experts(make, prefix):
    config, hidden = make.config, make.config["hidden_size"]
    count, width = config["n_routed_experts"], config["moe_intermediate_size"]
    yield from make.linear(f"{prefix}.gate", count, hidden, plain=True)
    yield make.vector(f"{prefix}.gate.e_score_correction_bias", count, 0.0, 0.05, "F32")
    for expert in range(count):
        yield from gated_mlp(make, f"{prefix}.experts.{expert}", width)
    yield from gated_mlp(make, f"{prefix}.shared_experts", width * config["n_shared_experts"])


def has_experts(config, layer):
    if "n_routed_experts" in config:
        return layer >= config["first_k_dense_replace"] and layer % config["moe_layer_freq"] == 0
    if "num_experts" in config:
        return layer not in config["mlp_only_layers"] and (layer + 1) % config["decoder_sparse_step"] == 0
    return False


def block(make, layer):
    config, prefix = make.config, f"model.layers.{layer}"
    zero_centred = config["model_type"] == "qwen3_next"
    yield make.norm(f"{prefix}.input_layernorm", zero_centred)
    if "kv_lora_rank" in config:
        yield from latent_attention(make, f"{prefix}.self_attn")
    elif zero_centred and (layer + 1) % config["full_attention_interval"]:
        yield from delta_net(make, f"{prefix}.linear_attn")
    else:
        yield from grouped_attention(make, f"{prefix}.self_attn")
    yield make.norm(f"{prefix}.post_attention_layernorm", zero_centred)
    if not has_experts(config, layer):
        yield from gated_mlp(make, f"{prefix}.mlp", config["intermediate_size"])
    elif "n_routed_experts" in config:
        yield from deepseek_experts(make, f"{prefix}.mlp")
    else:
        yield from qwen_experts(make, f"{prefix}.mlp")


def prediction_layer(make):
    """The extra layer with which DeepSeek predicts a second token."""
    config = make.config
    layer, hidden, vocabulary = config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]
    prefix = f"model.layers.{layer}"
    yield make.matrix(f"{prefix}.embed_tokens.weight", vocabulary, hidden, hidden**0.5 * 0.05)
    yield make.norm(f"{prefix}.enorm")
    yield make.norm(f"{prefix}.hnorm")
    yield from make.linear(f"{prefix}.eh_proj", hidden, 2 * hidden, plain=True)
    yield from block(make, layer)
    yield make.norm(f"{prefix}.shared_head.norm")
    yield make.matrix(f"{prefix}.shared_head.head.weight", vocabulary, hidden)


def all_tensors(make):
    config = make.config
    hidden, vocabulary = config["hidden_size"], config["vocab_size"]
    yield make.matrix("model.embed_tokens.weight", vocabulary, hidden, hidden**0.5 * 0.05)
    for layer in range(config["num_hidden_layers"]):
        yield from block(make, layer)
    yield make.norm("model.norm", config["model_type"] == "qwen3_next")
    if not config["tie_word_embeddings"]:
        yield make.matrix("lm_head.weight", vocabulary, hidden)
    if config.get("num_nextn_predict_layers"):
        yield from prediction_layer(make)


# ---- tokenizer ------------------------------------------------------------------------------------------------------


def printable_bytes():
    """The 256 characters that stand for bytes in byte-level vocabularies, by byte."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    table = {byte: chr(byte) for byte in plain}
    table.update({byte: chr(0x100 + place) for place, byte in enumerate(rest)})
    return [table[byte] for byte in range(256)]


def small_tokenizer(vocab_size):
    """A byte-level tokenizer.json with two special tokens, the 256 bytes and a few merges of English, below vocab_size."""
    special = ["<|begin|>", "<|end|>"]
    vocabulary = special + printable_bytes()
    if vocab_size < len(vocabulary):
        raise SystemExit(f"vocab_size {vocab_size}: the byte-level tokenizer needs {len(vocabulary)}; or pass --tokenizer none")
    merges = [pair for pair in ("Ġ t", "h e", "i n", "Ġt he", "Ġ a", "r e", "o n", "e r", "n d", "Ġa nd", "in g", "o u")]
    merges = merges[: vocab_size - len(vocabulary)]
    vocabulary += [merge.replace(" ", "") for merge in merges]
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": index, "content": token, **added} for index, token in enumerate(special)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": {token: index for index, token in enumerate(vocabulary)}, "merges": merges},
    }  # fmt: skip


def write_tokenizer(source, out, vocab_size):
    if source == "none":
        return
    if source == "bytes":
        checkpoint.write_json(out / "tokenizer.json", small_tokenizer(vocab_size))
        checkpoint.write_json(
            out / "tokenizer_config.json",
            {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>"},
        )
        return
    folder, copied = pathlib.Path(source), 0
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"):
        if (folder / name).is_file():
            (out / name).write_bytes((folder / name).read_bytes())
        elif (folder / (name + ".xz")).is_file():
            (out / name).write_bytes(lzma.decompress((folder / (name + ".xz")).read_bytes()))
        else:
            continue
        copied += 1
    if not copied:
        raise SystemExit(f"--tokenizer {source}: no tokenizer files there (bytes and none are the other choices)")


# ---- command --------------------------------------------------------------------------------------------------------


def configured(family, overrides, torch_dtype="bfloat16"):
    """config.json of `family` with `overrides`; a key that the family does not have is an error."""
    config = {**SHARED, **FAMILIES[family], "model_type": MODEL_TYPES.get(family, family), "torch_dtype": torch_dtype}
    for key, value in overrides.items():
        if key not in config:
            raise SystemExit(f"{key}: config.json of {family} has no such key; it has {', '.join(sorted(config))}")
        config[key] = value
    return dict(sorted(config.items()))


def write_checkpoint(out, config, seed=0, fp8=False, shard_bytes=0, tokenizer="bytes"):
    """Writes the whole model directory. Returns the bytes of its tensors."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(tokenizer, out, config["vocab_size"])
    ids = {key: config[key] for key in ("bos_token_id", "eos_token_id")}
    checkpoint.write_json(out / "generation_config.json", ids)
    make = Maker(config, checkpoint.TORCH_DTYPES[config["torch_dtype"]], fp8, seed)
    total = checkpoint.write_weights(out, all_tensors(make), shard_bytes)
    checkpoint.write_json(out / "config.json", config)
    return total


def assignment(text):
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text}: KEY=VALUE is expected, the value in JSON")
    try:
        return key, json.loads(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: the value is not JSON ({error})") from error


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=pathlib.Path, help="directory of the checkpoint")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="shape of a known model")
    parser.add_argument("--family", choices=sorted(FAMILIES), help="small model of a family (where no preset is given)")
    parser.add_argument("--set", dest="overrides", type=assignment, action="append", default=[], metavar="KEY=JSON",
                        help="change a value of config.json")  # fmt: skip
    parser.add_argument("--dtype", choices=sorted(checkpoint.TORCH_DTYPES), default="bfloat16")
    parser.add_argument("--fp8", choices=["auto", "yes", "no"], default="auto",
                        help="linears in blocks of e4m3 with weight_scale_inv; auto: for DeepSeek")  # fmt: skip
    parser.add_argument("--shard-mib", type=int, default=1024, metavar="N", help="MiB of a weight file, 0: one file (default 1024)")
    parser.add_argument("--tokenizer", default="bytes", metavar="DIR", help="copy from DIR; bytes (default): a small one; none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print presets and families")
    arguments = parser.parse_args()
    if arguments.list:
        for name, values in PRESETS.items():
            print(name.ljust(17), *(f"{key}={value}" for key, value in values.items() if key != "rope_scaling"))
        print("families:", *sorted(FAMILIES))
        return 0
    if arguments.out is None:
        parser.error("the directory to write is missing (or --list)")
    overrides = dict(PRESETS[arguments.preset]) if arguments.preset else {}
    family = overrides.pop("family", None) or arguments.family or "qwen2"
    overrides.update(arguments.overrides)
    config = configured(family, overrides, arguments.dtype)
    fp8 = arguments.fp8 == "yes" or (arguments.fp8 == "auto" and family.startswith("deepseek") and arguments.dtype == "bfloat16")
    total = write_checkpoint(arguments.out, config, arguments.seed, fp8, arguments.shard_mib << 20, arguments.tokenizer)
    print(f"{arguments.out}: {family}, {total / 2**30:.2f} GiB of weights")
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
