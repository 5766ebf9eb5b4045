"""The recipes whose memory is planned and measured: by bench/run on models of real size, by tests/whole/memory_test.py on small ones."""

W8 = "weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}"
STATIC = "act: {scope: per_tensor, dtype: int8, symmetric: false, method: minmax}"
DYNAMIC = "act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}"
FLOAT = "act: {dtype: float}"
EXCLUDED = '["*gate", "*shared_expert_gate", "*kv_b_proj", "*indexer*", "*eh_proj", "*shared_head*"]'


def linear(act, weight, more=""):
    return f"    - type: linear_quant\n      qconfig:\n        {act}\n        {weight}\n      exclude: {EXCLUDED}\n{more}"


def step(kind, *lines):
    return "".join([f"    - type: {kind}\n", *(f"      {line}\n" for line in lines)])


GROUPS = "enable_subgraph_type: [norm-linear, ov, up-down]"
# name: (steps, whether it needs calibration data)
RECIPES = {
    "int8 dynamic": (linear(DYNAMIC, W8), False),
    "int4 ssz": (linear(DYNAMIC, "weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz}"), False),
    "fp8 dynamic": (
        linear(
            "act: {scope: per_token, dtype: fp8_e4m3, symmetric: true, method: minmax}",
            "weight: {scope: per_channel, dtype: fp8_e4m3, symmetric: true, method: minmax}",
        ),
        False,
    ),
    "mxfp4": (
        linear(
            "act: {scope: per_block, dtype: mxfp4, symmetric: true, method: minmax}",
            "weight: {scope: per_block, dtype: mxfp4, symmetric: true, method: minmax}",
        ),
        False,
    ),
    "quarot, int8 dynamic": (step("quarot") + linear(DYNAMIC, W8), False),
    "int8 static": (linear(STATIC, W8), True),
    "iter_smooth, int8 static": (step("iter_smooth", "alpha: 0.5") + linear(STATIC, W8), True),
    "quarot, int8 static": (step("quarot") + linear(STATIC, W8), True),
    "flex_smooth search, int8 dynamic": (step("flex_smooth_quant") + linear(DYNAMIC, W8), True),
    "awq, int4 dynamic": (
        step("awq", "weight_qconfig: {scope: per_channel, dtype: int4, symmetric: true, method: minmax}")
        + linear(DYNAMIC, "weight: {scope: per_channel, dtype: int4, symmetric: true, method: minmax}"),
        True,
    ),
    "gptq int8": (linear(DYNAMIC, "weight: {scope: per_channel, dtype: int8, symmetric: true, method: gptq}"), True),
    "descent int8": (linear(DYNAMIC, "weight: {scope: per_channel, dtype: int8, symmetric: true, method: descent}"), True),
    "float_sparse": (step("float_sparse", f"exclude: {EXCLUDED}"), True),
    "kv cache, int8 static": (
        step("dynamic_cache", "qconfig: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}") + linear(STATIC, W8),
        True,
    ),
}
# Recipes that a family cannot run.
UNFIT = {
    "deepseek": ("kv cache, int8 static", "awq, int4 dynamic"),
    "moe": (),
    "next": ("kv cache, int8 static", "awq, int4 dynamic", "quarot, int8 dynamic", "quarot, int8 static"),
}


def recipe(name, dataset):
    return f"apiversion: modelslim_v1\nspec:\n  process:\n{RECIPES[name][0]}  save:\n    - type: ascendv1_saver\n      part_file_size: 4\n  dataset: {dataset}\n"
