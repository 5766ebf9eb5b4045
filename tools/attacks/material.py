"""What attacks start from: small models of every family, recipes, calibration data. Made once, the same for every seed."""

import json
import pathlib
import re
import shutil

import make_random_checkpoint

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 300}
# name: (family, dtype, fp8, bytes of a shard, config)
MODELS = {
    "llama": ("llama", "float32", False, 0, SMALL),
    "qwen2": ("qwen2", "bfloat16", False, 1 << 16, SMALL),
    "qwen3": ("qwen3", "float16", False, 0, {**SMALL, "head_dim": 16, "tie_word_embeddings": True}),
    "moe": ("qwen3_moe", "bfloat16", False, 1 << 18, {**SMALL, "head_dim": 16, "num_experts": 4, "moe_intermediate_size": 32}),
    "next": ("qwen3_next", "bfloat16", False, 0, {**SMALL, "num_hidden_layers": 4, "num_experts": 4, "moe_intermediate_size": 32}),
    "deepseek": ("deepseek_v3", "bfloat16", True, 1 << 18, {**SMALL, "hidden_size": 128, "n_routed_experts": 4, "n_group": 2}),
    "long": ("qwen2", "bfloat16", False, 1 << 20, {**SMALL, "hidden_size": 128, "num_hidden_layers": 8, "vocab_size": 2000}),
}
# The dense ones are quick; most cases are about files and not about families.
ORDINARY = ["llama", "qwen2", "qwen2", "qwen3", "moe"]

STATIC = """
apiversion: modelslim_v1
spec:
  process:
    - type: linear_quant
      qconfig:
        act: {scope: per_tensor, dtype: int8, symmetric: false, method: minmax}
        weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}
  save:
    - type: ascendv1_saver
      part_file_size: 0
  dataset: calib.jsonl
"""
DYNAMIC = STATIC.replace("per_tensor, dtype: int8, symmetric: false", "per_token, dtype: int8, symmetric: true")
SMOOTHED = STATIC.replace("    - type: linear_quant", "    - type: iter_smooth\n      alpha: 0.5\n    - type: linear_quant")

TEXTS = ["The ferry left before the fog came in.", "def area(w, h):\n    return w * h\n", "七乘以八等于五十六。", "Rain, wind 🌧️ and grass.", "a"]


def all_recipes():
    """The recipes of examples/ and of the pages of docs/processors, with calibration data of ours."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((SOURCE / "examples").glob("*.yaml"))]
    for page in sorted((SOURCE / "docs" / "processors").glob("*.md")):
        texts += re.findall(r"^```yaml\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    return [re.sub(r"^(\s*dataset:).*$", r"\1 calib.jsonl", text, flags=re.M) for text in texts]


class Material:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.recipes = [STATIC, DYNAMIC, SMOOTHED, *all_recipes()]

    def make(self):
        """The models, unless they are there already."""
        for name, (family, dtype, fp8, shard_bytes, overrides) in MODELS.items():
            if not (self.folder / name).exists():
                config = make_random_checkpoint.configured(family, overrides, dtype)
                make_random_checkpoint.write_checkpoint(self.folder / name, config, fp8=fp8, shard_bytes=shard_bytes)

    def model(self, case, name=None, to="model"):
        """A copy of a model in the folder of the case."""
        name = name or case.rng.choice(ORDINARY if case.rng.random() < 0.8 else list(MODELS))
        shutil.copytree(self.folder / name, case.folder / to)
        return case.folder / to

    def recipe(self, case, text=None):
        path = case.folder / "recipe.yaml"
        path.write_text(text if text is not None else case.rng.choice(self.recipes), encoding="utf-8")
        return path

    def data(self, case, samples=3):
        with open(case.folder / "calib.jsonl", "w", encoding="utf-8") as out:
            for _ in range(samples):
                out.write(json.dumps({"inputs_pretokenized": case.rng.choice(TEXTS)}, ensure_ascii=False) + "\n")
