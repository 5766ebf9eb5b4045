#!/usr/bin/python3
"""The types of activations after a deployed layer: it puts out float32 whatever the model's type (MX formats keep it), and what comes
after it sees that, in its own block and in all later ones if the last step with a pass saw it. The scales of the KV cache show it."""

import numpy

import harness

CACHE = "{type: dynamic_cache, qconfig: {scope: per_channel, dtype: int8, symmetric: false, method: minmax}}"
CHANNEL = "weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}"
STATIC = "act: {scope: per_tensor, dtype: int8, symmetric: false, method: minmax}, " + CHANNEL
DYNAMIC = "act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}, " + CHANNEL
PDMIX = "act: {scope: pd_mix, dtype: int8, symmetric: false, method: minmax}, " + CHANNEL
GPTQ = "act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}, " + CHANNEL.replace("minmax", "gptq")
FP8 = "act: {scope: per_token, dtype: fp8_e4m3, symmetric: true, method: minmax}, weight: {scope: per_channel, dtype: fp8_e4m3, symmetric: true, method: minmax}"
MX = "act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}, weight: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}"


def quant(qconfig, *include):
    return "{type: linear_quant, qconfig: {%s}, include: [%s]}" % (qconfig, ", ".join(f'"{each}"' for each in include))


FLOAT, OWN = "F32", None  # float32, or the model's own type
# name: (steps, {layer: type of the scales of keys and values})
DENSE = {
    "cache alone": ([CACHE], {0: OWN, 1: OWN, 2: OWN}),
    "block 0 deployed before": ([quant(STATIC, "*.0.*"), CACHE], {0: FLOAT, 1: FLOAT, 2: FLOAT}),
    "block 1 deployed before": ([quant(STATIC, "*.1.*"), CACHE], {0: OWN, 1: FLOAT, 2: FLOAT}),
    "only its down_proj": ([quant(STATIC, "*.1.mlp.down_proj"), CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "only its o_proj": ([quant(DYNAMIC, "*.1.self_attn.o_proj"), CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "only its up_proj": ([quant(STATIC, "*.1.mlp.up_proj"), CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "only values": ([quant(STATIC, "*.0.self_attn.v_proj"), CACHE], {0: (OWN, FLOAT), 1: FLOAT, 2: FLOAT}),
    "only keys": ([quant(DYNAMIC, "*.0.self_attn.k_proj"), CACHE], {0: (FLOAT, OWN), 1: OWN, 2: OWN}),  # what softmax gives has the type of the queries
    "deployed after": ([CACHE, quant(STATIC, "*")], {0: OWN, 1: OWN, 2: OWN}),
    "data-free after": ([CACHE, quant(DYNAMIC, "*")], {0: OWN, 1: OWN, 2: OWN}),
    "a later pass sees it": ([CACHE, quant(DYNAMIC, "*.0.*"), quant(STATIC, "*.2.mlp*")], {0: OWN, 1: FLOAT, 2: FLOAT}),
    "in one group": (["{type: group, configs: [%s, %s]}" % (quant(STATIC, "*"), CACHE)], {0: OWN, 1: OWN, 2: OWN}),
    "MX keeps the type": ([quant(MX, "*"), CACHE], {0: OWN, 1: OWN, 2: OWN}),
    "fp8": ([quant(FP8, "*.0.self_attn*"), CACHE], {0: FLOAT, 1: FLOAT, 2: FLOAT}),
    "weight only": ([quant(CHANNEL, "*.1.self_attn.q_proj"), CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "pd_mix": ([quant(PDMIX, "*.1.mlp*"), CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "gptq": ([quant(GPTQ, "*.1.mlp*"), CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "a replaced norm": (["{type: iter_smooth, enable_subgraph_type: [norm-linear], include: [\"*.1.input_layernorm\"]}", CACHE], {0: OWN, 1: FLOAT, 2: FLOAT}),
    "a norm in front of the mlp": (["{type: smooth_quant, include: [\"*.1.post_attention_layernorm\"]}", CACHE], {0: OWN, 1: OWN, 2: FLOAT}),
    "a scaled norm": (["{type: flex_smooth_quant, alpha: 0.5, beta: 0.5, enable_subgraph_type: [norm-linear]}", CACHE], {0: OWN, 1: OWN, 2: OWN}),
    "sparse": (["{type: float_sparse, include: [\"*.0.mlp.up_proj\"]}", CACHE], {0: OWN, 1: OWN, 2: OWN}),
}  # fmt: skip
# The output of experts is added up in the type of what entered them.
EXPERTS = {
    "experts deployed before": ([quant(DYNAMIC, "*.0.mlp.experts*"), CACHE], {0: OWN, 1: OWN, 2: OWN}),
    "attention deployed before": ([quant(DYNAMIC, "*.1.self_attn*"), CACHE], {0: OWN, 1: FLOAT, 2: FLOAT}),
}
# Only every fourth layer of Qwen3-Next has keys; the others hand types on all the same.
NEXT = {
    "a delta net deployed before": ([quant(DYNAMIC, "*.1.linear_attn.out_proj"), CACHE], {3: FLOAT, 7: FLOAT}),
    "behind the first cache": ([quant(DYNAMIC, "*.4.linear_attn.in_proj_qkvz"), CACHE], {3: OWN, 7: FLOAT}),
}
NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


class ActivationTypesTest(harness.WholeTest):
    def check(self, family, cases, **how):
        for dtype in ("bfloat16", "float16", "float32"):
            source = self.model(f"{family}-{dtype}", family=family, dtype=dtype, **how)
            for name, (steps, expected) in cases.items():
                if dtype == "float32" and name not in ("block 0 deployed before", "MX keeps the type"):
                    continue  # everything is float32 there
                text = "apiversion: modelslim_v1\nspec:\n  process:\n" + "".join(f"    - {step}\n" for step in steps)
                text += "  save:\n    - {type: ascendv1_saver, part_file_size: 0}\n  dataset: calib.jsonl\n"
                with self.subTest(name, family=family, dtype=dtype):
                    out = self.dir / "out"
                    done = self.quantized(source, self.recipe(text), "--fresh", out=out, model_type="default")
                    self.assertIn("all well", done.stdout)
                    self.check_scales(out, NAMES[dtype], expected)

    def check_scales(self, out, own, expected):
        header, _ = harness.header_of(next(out.glob("*.safetensors")))
        values = harness.tensors_of(out)
        for layer, types in expected.items():
            for part, wanted in zip(("k_proj", "v_proj"), types if isinstance(types, tuple) else (types, types)):
                for what in ("kv_cache_scale", "kv_cache_offset"):
                    name = f"model.layers.{layer}.self_attn.{part}.{what}"
                    self.assertEqual(header[name]["dtype"], wanted or own, name)
                scale = values[f"model.layers.{layer}.self_attn.{part}.kv_cache_scale"]
                if wanted == FLOAT and own == "BF16":  # and they are float32 numbers, not rounded ones in a wider type
                    self.assertTrue((scale.view(numpy.uint32) & 0xFFFF).any(), name)

    def test_dense(self):
        self.check("qwen3", DENSE, num_hidden_layers=3, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=1, head_dim=16)

    def test_experts(self):
        self.check("qwen3_moe", EXPERTS, num_hidden_layers=3)

    def test_delta_nets(self):
        self.check("qwen3_next", NEXT, num_hidden_layers=8)


if __name__ == "__main__":
    harness.main()
