#!/usr/bin/python3
"""Random checkpoints with the true names, types and stacked layouts of architectures that are known by name.

    tools/named_checkpoints.py --list
    tools/named_checkpoints.py /tmp/m qwen3_5_moe
    tools/named_checkpoints.py /tmp/m qwen3_5_moe --experts 256 --hidden 2048 --expert-width 512 --layers 2   # larger

Sizes are small and no powers of two, so that a wrong axis shows. Each architecture is a function that fills a Maker; what stays
float by default is said beside it as patterns, for tests.
"""

import argparse
import fnmatch
import pathlib
import zlib

import checkpoint
import numpy

VOCABULARY = 96


class Maker:
    """Tensors of one checkpoint. Sizes: H hidden, D of a head, I of a dense mlp, X of an expert, E experts."""

    def __init__(self, name, layers=2, hidden=96, experts=4, expert_width=80, dense_width=112, seed=0, values=None):
        self.config = {"model_type": name, "torch_dtype": "bfloat16", "vocab_size": VOCABULARY}
        self.L, self.H, self.E, self.X, self.I, self.D = layers, hidden, experts, expert_width, dense_width, 16
        self.seed, self.values = seed, values
        self.specs, self.linears, self.floats = {}, [], []

    def generator(self, name):
        return numpy.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def put(self, name, shape, dtype="BF16", codes=None):
        """A tensor; floats are normal numbers of rows of unequal size, `codes` is the range of integers."""

        def pieces():
            if self.values is not None:
                yield from self.values(name, shape, dtype)
                return
            random = self.generator(name)
            if codes is not None:
                yield checkpoint.to_bytes(random.integers(*codes, size=shape), dtype)
                return
            scale = numpy.exp(0.3 * random.standard_normal(shape[:-1] + (1,))) if len(shape) > 1 else 1
            yield checkpoint.to_bytes(0.05 * scale * random.standard_normal(shape), dtype)

        self.specs[name] = checkpoint.Spec(name, dtype, shape, pieces)

    def linear(self, name, out, into, bias=False, dtype="BF16"):
        self.put(name + ".weight", (out, into), dtype)
        if bias:
            self.put(name + ".bias", (out,))
        self.linears.append(name)

    def norm(self, name, size=None, bias=False):
        self.put(name + ".weight", (size or self.H,))
        if bias:
            self.put(name + ".bias", (size or self.H,))

    def norms(self, prefix, *names, size=None):
        for name in names:
            self.norm(prefix + name, size)

    def gated(self, prefix, width=None, names=("gate_proj", "up_proj", "down_proj"), into=None):
        width, into = width or self.I, into or self.H
        self.linear(prefix + names[0], width, into)
        self.linear(prefix + names[1], width, into)
        self.linear(prefix + names[2], into, width)

    def experts(self, prefix, names=("gate_proj", "up_proj", "down_proj"), count=None, width=None):
        for expert in range(count or self.E):
            self.gated(f"{prefix}{expert}.", width or self.X, names)

    def stacked(self, prefix, transposed=False, suffix=""):
        """experts.gate_up_proj and experts.down_proj as two tensors."""
        turn = (lambda a, b: (self.E, b, a)) if transposed else (lambda a, b: (self.E, a, b))
        self.put(prefix + "gate_up_proj" + suffix, turn(2 * self.X, self.H))
        self.put(prefix + "down_proj" + suffix, turn(self.H, self.X))
        self.linears += [f"{prefix}{e}.{p}" for e in range(self.E) for p in ("gate_proj", "up_proj", "down_proj")]

    def attention(self, prefix, heads=6, kv=2, bias=False, gate=1, qk_norm=False, names="q_proj k_proj v_proj o_proj".split()):
        d = self.D
        for name, out in zip(names, (gate * heads * d, kv * d, kv * d)):
            self.linear(prefix + name, out, self.H, bias)
        self.linear(prefix + names[3], self.H, heads * d)
        if qk_norm:
            self.norms(prefix, "q_norm", "k_norm", size=d)

    def latent(self, prefix, heads=4, q_rank=48, kv_rank=32, rope=8, nope=16, v=16):
        self.linear(prefix + "q_a_proj", q_rank, self.H)
        self.norm(prefix + "q_a_layernorm", q_rank)
        self.linear(prefix + "q_b_proj", heads * (nope + rope), q_rank)
        self.linear(prefix + "kv_a_proj_with_mqa", kv_rank + rope, self.H)
        self.norm(prefix + "kv_a_layernorm", kv_rank)
        self.linear(prefix + "kv_b_proj", heads * (nope + v), kv_rank)
        self.linear(prefix + "o_proj", self.H, heads * v)

    def ends(self, prefix="model.", head="lm_head", embed="embed_tokens", norm="norm"):
        self.put(prefix + embed + ".weight", (VOCABULARY, self.H))
        self.norm(prefix + norm)
        if head:
            self.put(head + ".weight", (VOCABULARY, self.H))

    def qwen_tower(self, prefix="model.visual.", width=80, deepstack=0, gated=False, merger="merger.linear_fc1 merger.linear_fc2"):
        self.put(prefix + "patch_embed.proj.weight", (width, 3, 2, 4, 4))
        for n in range(2):
            at = f"{prefix}blocks.{n}."
            self.norms(at, "norm1", "norm2", size=width)
            self.linear(at + "attn.qkv", 3 * width, width, True)
            self.linear(at + "attn.proj", width, width, True)
            if gated:
                self.gated(at + "mlp.", 116, into=width)
            else:
                self.linear(at + "mlp.linear_fc1", 116, width, True)
                self.linear(at + "mlp.linear_fc2", width, 116, True)
        for name in merger.split():
            self.linear(prefix + name, self.H, 4 * width)
        for n in range(deepstack):
            self.linear(f"{prefix}deepstack_merger_list.{n}.linear_fc1", self.H, 4 * width)

    def text(self, **settings):
        """config.json of a model whose language model is nested."""
        name = self.config["model_type"]
        self.config["text_config"] = {"model_type": name + "_text", "hidden_size": self.H, **settings}

    def flat(self, **settings):
        self.config.update({"hidden_size": self.H, "num_hidden_layers": self.L, **settings})

    # ---- what tests ask ----

    def quantized(self, pattern="*"):
        """Linears that a recipe with include [pattern] takes by default."""
        kept = self.floats
        return [n for n in self.linears if fnmatch.fnmatch(n, pattern) and not any(fnmatch.fnmatch(n, k) for k in kept)]

    def write(self, folder, shard_bytes=0):
        folder = pathlib.Path(folder)
        checkpoint.write_weights(folder, self.specs.values(), shard_bytes)
        checkpoint.write_json(folder / "config.json", self.config)
        checkpoint.write_json(folder / "tokenizer.json", {"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}})
        return folder


# ---- architectures ---------------------------------------------------------------------------------------------------


def qwen35_layer(m, at, full, mlp):
    m.norms(at, "input_layernorm", "post_attention_layernorm")
    if full:
        m.attention(at + "self_attn.", gate=2, qk_norm=True)
    else:
        m.linear(at + "linear_attn.in_proj_qkv", 112, m.H)
        m.linear(at + "linear_attn.in_proj_z", 48, m.H)
        m.linear(at + "linear_attn.in_proj_a", 6, m.H)
        m.linear(at + "linear_attn.in_proj_b", 6, m.H)
        m.linear(at + "linear_attn.out_proj", m.H, 48)
        m.put(at + "linear_attn.conv1d.weight", (112, 1, 4))
        m.put(at + "linear_attn.A_log", (6,), "F32")
        m.put(at + "linear_attn.dt_bias", (6,))
        m.norm(at + "linear_attn.norm", 8)
    mlp(at + "mlp.")


def qwen35(m, mlp):
    m.text(num_hidden_layers=m.L)
    m.config["vision_config"] = {"depth": 2}
    m.ends("model.language_model.")
    for n in range(m.L):
        qwen35_layer(m, f"model.language_model.layers.{n}.", n % 2 == 1, mlp)
    m.linear("mtp.fc", m.H, 2 * m.H)
    m.norms("mtp.", "pre_fc_norm_embedding", "pre_fc_norm_hidden", "norm")
    qwen35_layer(m, "mtp.layers.0.", True, mlp)
    m.qwen_tower()


def qwen3_5(m):
    qwen35(m, m.gated)
    m.floats = ["*visual*", "*in_proj_a", "*in_proj_b", "*out_proj", "mtp.fc"]


def qwen3_5_moe(m, stacked=True):
    def mlp(at):
        m.linear(at + "gate", m.E, m.H)
        m.linear(at + "shared_expert_gate", 1, m.H)
        m.gated(at + "shared_expert.", m.X)
        (m.stacked if stacked else m.experts)(at + "experts.")

    qwen35(m, mlp)
    m.floats = ["*visual*", "*linear_attn*", "*self_attn.o_proj", "*shared_expert*", "*mlp.gate", "mtp.*"]


def qwen3_5_moe_per_expert(m):
    m.config["model_type"] = "qwen3_5_moe"
    qwen3_5_moe(m, stacked=False)


def glm_moe(m, at, attention):
    attention(at + "self_attn.")
    m.norms(at, "input_layernorm", "post_attention_layernorm")
    m.linear(at + "mlp.gate", m.E, m.H)
    m.put(at + "mlp.gate.e_score_correction_bias", (m.E,), "F32")
    m.experts(at + "mlp.experts.")
    m.gated(at + "mlp.shared_experts.", m.X)


def glm4_moe(m, attention=None):
    attention = attention or (lambda at: m.attention(at, bias=True, qk_norm=True))
    m.flat(num_nextn_predict_layers=1, first_k_dense_replace=1)
    m.ends()
    attention("model.layers.0.self_attn.")
    m.norms("model.layers.0.", "input_layernorm", "post_attention_layernorm")
    m.gated("model.layers.0.mlp.")
    for n in range(1, m.L + 1):
        glm_moe(m, f"model.layers.{n}.", attention)
    mtp = f"model.layers.{m.L}."
    m.norms(mtp, "enorm", "hnorm", "shared_head.norm")
    m.linear(mtp + "eh_proj", m.H, 2 * m.H)
    m.copies = [mtp + "embed_tokens.weight", mtp + "shared_head.head.weight"]
    m.floats = ["*mlp.gate", "*shared_experts*", "*.mlp.gate_proj", "*.mlp.up_proj", "*.mlp.down_proj", mtp + "*"]


def glm4_moe_lite(m):
    glm4_moe(m, lambda at: m.latent(at))
    m.floats.append("*kv_b_proj")


def glm4v_moe(m):
    glm4_moe(m)
    renamed = {}
    for name, spec in m.specs.items():
        spec.name = name.replace("model.", "model.language_model.", 1) if name.startswith("model.") else name
        renamed[spec.name] = spec
    m.specs = renamed
    m.linears = [n.replace("model.", "model.language_model.", 1) for n in m.linears]
    m.floats = [n.replace("model.", "model.language_model.", 1) if n.startswith("model.") else n for n in m.floats] + ["*visual*"]
    m.copies = [n.replace("model.", "model.language_model.", 1) for n in m.copies]
    m.text()
    m.config["vision_config"] = {}
    m.qwen_tower("model.visual.", gated=True)


def glm_moe_dsa(m):
    def attention(at):
        m.latent(at)
        if at == "model.layers.0.self_attn.":
            return  # shares the indexer of another layer
        m.linear(at + "indexer.wq_b", 64, 48)
        m.linear(at + "indexer.wk", 16, m.H)
        m.linear(at + "indexer.weights_proj", 4, m.H)
        m.norm(at + "indexer.k_norm", 16, bias=True)

    glm4_moe(m, attention)
    m.floats = ["*mlp.gate", "*kv_b_proj", "*indexer.wk", "*weights_proj", f"model.layers.{m.L}.*"]


def deepseek_v4(m):
    m.flat()
    m.ends("", "head", "embed")
    m.put("hc_head_fn", (4, 16), "F32")
    for n, at in [(n, f"layers.{n}.") for n in range(m.L)] + [(m.L, "mtp.0.")]:
        m.norms(at, "attn_norm", "ffn_norm")
        m.linear(at + "attn.wq_a", 48, m.H)
        m.norm(at + "attn.q_norm", 48)
        m.linear(at + "attn.wq_b", 128, 48)
        m.linear(at + "attn.wkv", 32, m.H)
        m.norm(at + "attn.kv_norm", 32)
        m.linear(at + "attn.wo_a", 64, 32)
        m.linear(at + "attn.wo_b", m.H, 64)
        m.put(at + "attn.attn_sink", (4,), "F32")
        if n == 1:
            m.linear(at + "attn.compressor.wkv", 64, m.H)
            m.linear(at + "attn.compressor.wgate", 64, m.H)
            m.put(at + "attn.compressor.ape", (4, 64), "F32")
            m.linear(at + "attn.indexer.wq_b", 64, 48)
            m.linear(at + "attn.indexer.weights_proj", 4, m.H)
            m.linear(at + "attn.indexer.compressor.wkv", 16, m.H)
        m.linear(at + "ffn.gate", m.E, m.H)
        if n == 0:
            m.put(at + "ffn.gate.tid2eid", (VOCABULARY, 2), "I64", codes=(0, 4))
        else:
            m.put(at + "ffn.gate.bias", (m.E,), "F32")
        m.experts(at + "ffn.experts.", ("w1", "w3", "w2"))
        m.gated(at + "ffn.shared_experts.", m.X, ("w1", "w3", "w2"))
        for part in ("attn", "ffn"):
            m.put(at + f"hc_{part}_fn", (4, 16), "F32")
            m.put(at + f"hc_{part}_scale", (3,), "F32")
    m.linear("mtp.0.e_proj", m.H, m.H)
    m.linear("mtp.0.h_proj", m.H, m.H)
    m.norms("mtp.0.", "enorm", "hnorm", "norm")
    m.floats = ["*wo_a", "*wo_b", "*compressor*", "*weights_proj", "*ffn.gate", "*.e_proj", "*.h_proj"]


def minimax_m2(m):
    m.flat(intermediate_size=m.X, num_mtp_modules=3)
    m.ends()
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        m.attention(at + "self_attn.")
        m.norm(at + "self_attn.q_norm", 96)
        m.norm(at + "self_attn.k_norm", 32)
        m.linear(at + "block_sparse_moe.gate", m.E, m.H)
        m.put(at + "block_sparse_moe.e_score_correction_bias", (m.E,), "F32")
        m.experts(at + "block_sparse_moe.experts.", ("w1", "w3", "w2"))
    m.floats = ["*block_sparse_moe.gate"]


def kimi_layers(m, prefix):
    for n in range(m.L):
        at = f"{prefix}layers.{n}."
        if n == 0:
            m.latent(at + "self_attn.")
            m.norms(at, "input_layernorm", "post_attention_layernorm")
            m.gated(at + "mlp.")
        else:
            glm_moe(m, at, m.latent)
    m.floats = ["*mlp.gate", "*kv_b_proj"]


def kimi_k25(m):
    m.text(num_hidden_layers=m.L)
    m.config["text_config"]["model_type"] = "kimi_k2"
    m.config["vision_config"] = {}
    m.ends("language_model.model.", "language_model.lm_head")
    kimi_layers(m, "language_model.model.")
    m.put("vision_tower.patch_embed.proj.weight", (80, 3, 4, 4))
    m.put("vision_tower.patch_embed.pos_emb.weight", (8, 8, 80))
    for n in range(2):
        at = f"vision_tower.encoder.blocks.{n}."
        m.norms(at, "norm0", "norm1", size=80)
        m.linear(at + "wqkv", 240, 80, True)
        m.linear(at + "wo", 80, 80, True)
        m.linear(at + "mlp.fc0", 116, 80, True)
        m.linear(at + "mlp.fc1", 80, 116, True)
    m.linear("mm_projector.proj.0", 320, 320, True)
    m.linear("mm_projector.proj.2", m.H, 320, True)
    m.floats += ["vision_tower*", "mm_projector*"]


def gpt_oss(m):
    m.flat(intermediate_size=m.X)
    m.ends()
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        m.attention(at + "self_attn.", bias=True)
        m.put(at + "self_attn.sinks", (6,))
        m.linear(at + "mlp.router", m.E, m.H, True)
        m.stacked(at + "mlp.experts.", transposed=True)
        m.put(at + "mlp.experts.gate_up_proj_bias", (m.E, 2 * m.X))
        m.put(at + "mlp.experts.down_proj_bias", (m.E, m.H))
    m.floats = ["*mlp.router", "*experts*"]


def gemma_layer(m, at):
    m.attention(at + "self_attn.", qk_norm=True)
    m.gated(at + "mlp.")
    m.norms(at, "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")


def siglip(m, prefix):
    for n in range(2):
        at = f"{prefix}layers.{n}."
        m.attention(at + "self_attn.", 5, 5, True, names="q_proj k_proj v_proj out_proj".split())
        m.linear(at + "mlp.fc1", 116, m.H, True)
        m.linear(at + "mlp.fc2", m.H, 116, True)


def gemma3(m):
    m.text(num_hidden_layers=m.L)
    m.config["vision_config"] = {"depth": 2}
    m.ends("language_model.model.", None)
    for n in range(m.L):
        gemma_layer(m, f"language_model.model.layers.{n}.")
    siglip(m, "vision_tower.vision_model.encoder.")
    m.put("multi_modal_projector.mm_input_projection_weight", (m.H, m.H))
    m.norm("multi_modal_projector.mm_soft_emb_norm")
    m.floats = ["vision_tower*"]


def gemma4(m, experts=True):
    m.config["model_type"] = "gemma4"
    m.text(num_hidden_layers=m.L)
    m.config["vision_config"] = {"depth": 2}
    m.ends("model.language_model.", None)
    for n in range(m.L):
        at = f"model.language_model.layers.{n}."
        gemma_layer(m, at)
        if n == m.L - 1:  # full attention: the keys are the values
            del m.specs[at + "self_attn.v_proj.weight"]
            m.linears.remove(at + "self_attn.v_proj")
        m.put(at + "layer_scalar", (1,))
        if experts:
            m.stacked(at + "experts.")
            m.linear(at + "router.proj", m.E, m.H)
            m.put(at + "router.scale", (m.H,))
            m.put(at + "router.per_expert_scale", (m.E,))
    m.linear("model.vision_tower.encoder.layers.0.self_attn.q_proj.linear", m.H, m.H)
    m.linear("model.embed_vision.embedding_projection", m.H, m.H)
    m.copies = ["lm_head.weight"]
    m.floats = ["*vision*", "*router*"] + (["*self_attn*", "*.mlp.*"] if experts else [])


def gemma4_dense(m):
    gemma4(m, experts=False)


def llama4(m):
    m.text(num_hidden_layers=m.L, intermediate_size=m.X, intermediate_size_mlp=m.I)
    m.config["vision_config"] = {"depth": 2}
    m.ends("language_model.model.", "language_model.lm_head")
    for n in range(m.L):
        at = f"language_model.model.layers.{n}."
        m.attention(at + "self_attn.")
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        if n % 2 == 0:
            m.gated(at + "feed_forward.")
        else:
            m.stacked(at + "feed_forward.experts.", transposed=True)
            m.linear(at + "feed_forward.router", m.E, m.H)
            m.gated(at + "feed_forward.shared_expert.", m.X)
    siglip(m, "vision_model.model.")
    m.linear("vision_adapter.mlp.fc1", m.H, m.H)
    m.linear("multi_modal_projector.linear_1", m.H, m.H)
    m.floats = ["*router", "vision*", "multi_modal*"]


def mixtral(m, biases=False):
    m.flat(intermediate_size=m.X)
    m.ends()
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.attention(at + "self_attn.", bias=biases)
        for name in ("input_layernorm", "post_attention_layernorm"):
            m.norm(at + name, bias=biases)
        m.linear(at + "block_sparse_moe.gate", m.E, m.H)
        m.experts(at + "block_sparse_moe.experts.", ("w1", "w3", "w2"))
    m.floats = ["*block_sparse_moe.gate"]


def phimoe(m):
    mixtral(m, biases=True)


def llama_names(m, at, **attention):
    m.attention(at + "self_attn.", **attention)
    m.gated(at + "mlp.")
    m.norms(at, "input_layernorm", "post_attention_layernorm")


def mistral3(m):
    m.text(num_hidden_layers=m.L)
    m.config["text_config"]["model_type"] = "mistral"
    m.config["vision_config"] = {"depth": 2}
    m.ends("language_model.model.", "language_model.lm_head")
    for n in range(m.L):
        llama_names(m, f"language_model.model.layers.{n}.")
    for n in range(2):
        at = f"vision_tower.transformer.layers.{n}."
        m.attention(at + "attention.", 6, 6)
        m.gated(at + "feed_forward.")
    m.linear("multi_modal_projector.patch_merger.merging_layer", m.H, 4 * m.H)
    m.linear("multi_modal_projector.linear_1", m.H, m.H)
    m.floats = ["vision_tower*", "multi_modal*"]


def ministral3(m):
    m.flat()
    m.ends()
    for n in range(m.L):
        llama_names(m, f"model.layers.{n}.")


def phi3(m):
    m.flat()
    m.ends()
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.linear(at + "self_attn.qkv_proj", 10 * m.D, m.H)
        m.linear(at + "self_attn.o_proj", m.H, 6 * m.D)
        m.linear(at + "mlp.gate_up_proj", 2 * m.I, m.H)
        m.linear(at + "mlp.down_proj", m.H, m.I)
        m.norms(at, "input_layernorm", "post_attention_layernorm")


def internlm2(m):
    m.flat()
    m.ends("model.", "output", "tok_embeddings")
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.linear(at + "attention.wqkv", 10 * m.D, m.H)
        m.linear(at + "attention.wo", m.H, 6 * m.D)
        m.gated(at + "feed_forward.", names=("w1", "w3", "w2"))
        m.norms(at, "attention_norm", "ffn_norm")


def internlm3(m):
    ministral3(m)


def hunyuan_v1_dense(m):
    ministral3(m)
    for n in range(m.L):
        m.norms(f"model.layers.{n}.self_attn.", "query_layernorm", "key_layernorm", size=m.D)


def hunyuan(m):
    m.flat(moe_intermediate_size=[m.X] * m.L)
    m.ends("model.", None)
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.attention(at + "self_attn.")
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        m.linear(at + "mlp.gate.wg", m.E, m.H, dtype="F32")
        m.experts(at + "mlp.experts.")
        m.gated(at + "mlp.shared_mlp.", m.X)
    m.floats = ["*gate.wg"]


def hy_v3(m):
    m.flat()
    m.ends()
    for n in range(m.L + 1):
        at = f"model.layers.{n}."
        m.attention(at + "self_attn.", qk_norm=True)
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        if n == 0:
            m.gated(at + "mlp.")
            continue
        m.linear(at + "mlp.router.gate", m.E, m.H)
        m.put(at + "mlp.expert_bias", (m.E,), "F32")
        m.experts(at + "mlp.experts.")
        m.gated(at + "mlp.shared_mlp.", m.X)
    m.norms(f"model.layers.{m.L}.", "enorm", "hnorm", "final_layernorm")
    m.linear(f"model.layers.{m.L}.eh_proj", m.H, 2 * m.H)
    m.floats = ["*router.gate", "*eh_proj"]


def ernie4_5(m):
    ministral3(m)
    del m.specs["lm_head.weight"]


def ernie4_5_moe(m):
    m.flat(moe_num_experts=m.E)
    m.ends("model.", None)
    llama_names(m, "model.layers.0.")
    for n in range(1, m.L):
        at = f"model.layers.{n}."
        m.attention(at + "self_attn.")
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        m.linear(at + "mlp.gate", m.E, m.H, dtype="F32")
        m.put(at + "mlp.moe_statics.e_score_correction_bias", (1, m.E), "F32")
        m.experts(at + "mlp.experts.")
        m.gated(at + "mlp.shared_experts.", m.X)
    llama_names(m, "model.mtp_block.0.")
    m.norms("model.", "mtp_emb_norm.0", "mtp_hidden_norm.0")
    m.linear("model.mtp_linear_proj.0", m.H, 2 * m.H)
    m.floats = ["*mlp.gate", "*mtp_block*", "*mtp_linear_proj*"]


def step3p5(m):
    m.flat(moe_intermediate_size=m.X)
    m.ends()
    for n in range(m.L + 1):
        at = f"model.layers.{n}."
        m.attention(at + "self_attn.", qk_norm=True)
        m.linear(at + "self_attn.g_proj", 6, m.H)
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        if n in (0, m.L):
            m.gated(at + "mlp.")
            continue
        m.linear(at + "moe.gate", m.E, m.H)
        m.put(at + "moe.router_bias", (m.E,), "F32")
        for name, out, into in (("gate_proj", m.X, m.H), ("up_proj", m.X, m.H), ("down_proj", m.H, m.X)):
            m.put(f"{at}moe.{name}.weight", (m.E, out, into))
        m.linears += [f"{at}moe.experts.{e}.{p}" for e in range(m.E) for p in ("gate_proj", "up_proj", "down_proj")]
        m.gated(at + "share_expert.", m.X)
    mtp = f"model.layers.{m.L}."
    m.norms(mtp, "enorm", "hnorm", "transformer.shared_head.norm")
    m.linear(mtp + "eh_proj", m.H, 2 * m.H)
    m.linear(mtp + "transformer.shared_head.output", VOCABULARY, m.H)
    m.floats = ["*self_attn*", "*.mlp.*", "*share_expert*", "*moe.gate", "*eh_proj", "*shared_head*"]


def longcat_flash(m):
    m.flat(num_layers=m.L, expert_ffn_hidden_size=m.X)
    del m.config["num_hidden_layers"]
    m.ends()
    for n in range(m.L):
        at = f"model.layers.{n}."
        for half in (0, 1):
            m.latent(f"{at}self_attn.{half}.")
            m.gated(f"{at}mlps.{half}.")
            m.norms(at, f"input_layernorm.{half}", f"post_attention_layernorm.{half}")
        m.experts(at + "mlp.experts.")
        m.linear(at + "mlp.router.classifier", m.E + 3, m.H, dtype="F32")
        m.put(at + "mlp.router.e_score_correction_bias", (m.E + 3,), "F32")
    m.linear("model.mtp.layers.0.eh_proj", m.H, 2 * m.H)
    m.latent("model.mtp.layers.0.self_attn.")
    m.gated("model.mtp.layers.0.transformer_layer.mlp.")
    m.put("model.mtp.embed_tokens.weight", (VOCABULARY, m.H))
    m.norms("model.mtp.", "layers.0.enorm.m", "layers.0.hnorm.m", "norm")
    m.floats = ["*classifier", "*kv_b_proj", "*o_proj", "model.mtp.*"]


def mimo_v2_flash(m):
    m.flat()
    m.ends()
    for n in range(m.L):
        at = f"model.layers.{n}."
        m.attention(at + "self_attn.")
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        if n == 0:
            m.gated(at + "mlp.")
            continue
        m.put(at + "self_attn.attention_sink_bias", (6,))
        m.linear(at + "mlp.gate", m.E, m.H)
        m.put(at + "mlp.gate.e_score_correction_bias", (m.E,), "F32")
        m.experts(at + "mlp.experts.")
    m.linear("model.mtp.layers.0.eh_proj", m.H, 2 * m.H)
    llama_names(m, "model.mtp.layers.0.")
    m.floats = ["*mlp.gate", "model.mtp.*"]


def qwen3_vl(m, mlp=None):
    m.text(num_hidden_layers=m.L)
    m.config["vision_config"] = {"depth": 2}
    m.ends("model.language_model.")
    for n in range(m.L):
        at = f"model.language_model.layers.{n}."
        m.attention(at + "self_attn.", qk_norm=True)
        m.norms(at, "input_layernorm", "post_attention_layernorm")
        (mlp or m.gated)(at + "mlp.")
    m.qwen_tower(deepstack=2)
    m.floats = ["*visual*"]


def qwen3_vl_moe(m, transposed=True):
    def mlp(at):
        m.linear(at + "gate", m.E, m.H)
        m.stacked(at + "experts.", transposed)

    m.config["model_type"] = "qwen3_vl_moe"
    qwen3_vl(m, mlp)
    m.floats.append("*mlp.gate")


def qwen3_vl_moe_saved_again(m):
    qwen3_vl_moe(m, transposed=False)


def qwen2_5_vl(m):
    m.flat()
    m.config["vision_config"] = {"depth": 2}
    m.ends()
    for n in range(m.L):
        llama_names(m, f"model.layers.{n}.", bias=True)
    m.qwen_tower("visual.", gated=True, merger="merger.mlp.0 merger.mlp.2")
    m.floats = ["visual*"]


ARCHITECTURES = {
    make.__name__: make
    for make in (
        qwen3_5, qwen3_5_moe, qwen3_5_moe_per_expert, glm4_moe, glm4_moe_lite, glm4v_moe, glm_moe_dsa, deepseek_v4, minimax_m2, kimi_k25,
        gpt_oss, gemma3, gemma4, gemma4_dense, llama4, mixtral, mistral3, ministral3, phi3, phimoe, internlm2, internlm3,
        hunyuan_v1_dense, hunyuan, hy_v3, ernie4_5, ernie4_5_moe, step3p5, longcat_flash, mimo_v2_flash, qwen3_vl, qwen3_vl_moe,
        qwen3_vl_moe_saved_again, qwen2_5_vl,
    )
}  # fmt: skip


def repeated(pieces=1 << 23):
    """Values for large checkpoints: the same few million normal numbers over and over, beginning elsewhere in each tensor."""
    numbers = numpy.random.default_rng(0).standard_normal(pieces).astype(numpy.float32) * 0.02

    def values(name, shape, dtype):
        count = int(numpy.prod(shape, dtype=numpy.int64))
        if dtype == "I64":
            yield bytes(8 * count)
            return
        pool = checkpoint.to_bytes(numbers, dtype)
        width = len(pool) // len(numbers)
        at = zlib.crc32(name.encode()) % len(numbers)
        while count > 0:
            piece = pool[at * width : (at + count) * width]
            yield piece
            count -= len(piece) // width
            at = 0

    return values


def made(name, **how):
    """A Maker that holds the architecture's tensors; `copies`: float tensors that the output gains."""
    maker = Maker(name, **how)
    maker.copies = []
    ARCHITECTURES[name](maker)
    return maker


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("architecture", nargs="?", choices=ARCHITECTURES)
    parser.add_argument("--list", action="store_true")
    for name in ("layers", "hidden", "experts", "expert-width", "dense-width", "seed"):
        parser.add_argument("--" + name, type=int)
    parser.add_argument("--fast", action="store_true", help="repeat the same numbers, for large ones")
    parser.add_argument("--shard-bytes", type=int, default=0)
    options = parser.parse_args()
    if options.list or not options.architecture:
        print("\n".join(ARCHITECTURES))
        return
    sizes = ("layers", "hidden", "experts", "expert_width", "dense_width", "seed")
    how = {size: getattr(options, size) for size in sizes if getattr(options, size) is not None}
    made(options.architecture, values=repeated() if options.fast else None, **how).write(options.folder, options.shard_bytes)


if __name__ == "__main__":
    main()
