#!/usr/bin/python3
"""What servers load: the warnings of the plan, `verify --for`, and recipes of ours that need neither."""

import json
import re

import harness

FAMILIES = {
    "llama": "some-llama", "qwen2": "Qwen2.5-7B-Instruct", "qwen3": "Qwen3-8B", "qwen3_moe": "Qwen3-30B",
    "qwen3_next": "Qwen3-Next-80B-A3B-Instruct", "deepseek_v3": "DeepSeek-V3", "deepseek_v3_2": "DeepSeek-V3.2-Exp",
}  # fmt: skip
DENSE, EXPERTS = ["llama", "qwen2", "qwen3"], ["qwen3_moe", "qwen3_next", "deepseek_v3", "deepseek_v3_2"]
SMALL = {"hidden_size": 128, "vocab_size": 300}
WIDE = {"moe_intermediate_size": 128}  # MX types take the scales of 32 inputs in pairs

INT8 = "weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}"
TOKEN = "act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}, "
STATIC = "act: {scope: per_tensor, dtype: int8, symmetric: false, method: minmax}, "
MIX = "act: {scope: pd_mix, dtype: int8, symmetric: false, method: minmax}, "
INT4 = "weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz}"
GROUPS = "weight: {scope: per_group, dtype: int8, symmetric: true, method: gptq, ext: {group_size: 32}}"
FP8 = "act: {scope: per_token, dtype: fp8_e4m3, symmetric: true, method: minmax}, weight: {scope: per_channel, dtype: fp8_e4m3, symmetric: true, method: minmax}"  # fmt: skip
MXFP8 = "act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}, weight: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax}"  # fmt: skip
ATTENTION, ROUTED = 'include: ["*self_attn*"], exclude: ["*kv_b_proj", "*indexer*"]', 'include: ["*.experts.*"]'


def linear(qconfig, lists=""):
    return "{type: linear_quant, qconfig: {%s}%s}" % (qconfig, ", " + lists if lists else "")


# What is wrong: families, steps, a part of every warning in their order, the servers (of --for) that take it all the same.
WRONG = [
    (["qwen3_moe"], [linear(TOKEN + INT8, 'include: ["*mlp*"]')], ["'*mlp*' makes routers of type W8A8_DYNAMIC"], []),
    (["qwen3_next"], [linear(TOKEN + INT8, 'include: ["*mlp*"]')], ["'*mlp*' makes routers of type W8A8_DYNAMIC", "'*mlp*' makes gates of the shared"], []),
    (["qwen3_next"], [linear(TOKEN + INT8, 'include: ["*shared_expert_gate"]')], ["gates of the shared expert"], []),
    (["qwen3_moe"], [linear(TOKEN + INT4, 'include: ["*mlp*"]')], ["routers of type W4A8_DYNAMIC", "of type W4A8_DYNAMIC"], []),
    (["deepseek_v3", "deepseek_v3_2"], [linear(TOKEN + INT8, 'include: ["*kv_b_proj"]')], ["keys and values"], []),
    (["deepseek_v3"], [linear(TOKEN + INT8, 'include: ["*eh_proj", "*shared_head*"]')], ["projections of the layer for", "heads of the layer for"], ["sglang"]),
    (["deepseek_v3_2"], [linear(TOKEN + INT8, 'include: ["*indexer*"]')], ["keys of the indexer", "head weights of the indexer"], []),
    (DENSE, [linear(TOKEN + INT4)], ["of type W4A8_DYNAMIC"], []),
    (["deepseek_v3"], [linear(TOKEN + INT4, 'include: ["*shared_experts*"]')], ["of type W4A8_DYNAMIC"], []),
    (EXPERTS, [linear(STATIC + INT8, ROUTED)], ["of type W8A8 in experts"], []),
    (["qwen3_moe"], [linear(STATIC + INT8, 'include: ["*.up_proj", "*.gate_proj"]'), linear(TOKEN + INT8, 'include: ["*.down_proj"]')], ["of type W8A8 in experts", "layer groups that servers fuse"], []),
    (DENSE, [linear(STATIC + INT8, 'include: ["*.q_proj"]')], ["layer groups that servers fuse"], []),
    (DENSE, [linear(INT8)], ["of type W8A16"], ["vllm-ascend"]),
    (DENSE, [linear(GROUPS)], ["with scales for groups of inputs"], []),
    (DENSE, [linear(MIX + INT8)], ["of type W8A8_MIX"], ["vllm-ascend", "mindie"]),
    (["qwen3_moe"], [linear(MIX + INT8, ROUTED)], ["of type W8A8_MIX in experts"], []),
    (["qwen3_moe"], [linear(MXFP8, ATTENTION), linear(TOKEN + INT4, ROUTED)], ["beside group_size 32"], ["sglang"]),
    (["deepseek_v3"], ["{type: fa3_quant}"], ["fa3_quant on the layer for multi-token prediction"], ["sglang"]),
    (["deepseek_v3_2"], ["{type: online_quarot}"], ["without indexer_quant_type"], []),
    (["qwen3"], ["{type: quarot, online: true}"], ["rotations that are done while the model runs"], []),
    (DENSE, [linear(FP8)], ["--fp8-type W8A8FP8_DYNAMIC"], []),
    (DENSE, ["{type: float_sparse}"], ["of type W16A16S"], ["sglang", "mindie"]),
]  # fmt: skip


class ServersTest(harness.WholeTest):
    models = {}

    def source(self, family):
        if family not in self.models:
            self.models[family] = harness.write_model(harness.SCRATCH / family, family=family, **SMALL, **(WIDE if family in EXPERTS else {}))
        return self.models[family]

    def write(self, steps, name="recipe.yaml"):
        lines = "".join(f"    - {step}\n" for step in steps)
        return self.recipe(f"apiversion: modelslim_v1\nspec:\n  process:\n{lines}  save:\n    - type: ascendv1_saver\n  dataset: calib.jsonl\n", name)

    def notes(self, family, recipe, *more, kind="warning"):
        done = harness.run("plan", "--json", "--model_type", FAMILIES[family], "--model_path", self.source(family),
                           "--config_path", recipe, *more, cwd=self.dir)  # fmt: skip
        self.assertSucceeded(done)
        return [f"{note['where']}: {note['text']}" for note in json.loads(done.stdout)["notes"] if note["kind"] == kind]

    def test_the_plan_tells_what_servers_refuse(self):
        for families, steps, phrases, taken_by in WRONG:
            for family in families:
                with self.subTest(family=family, steps=steps):
                    # Experts that nothing else takes: SGLang has no float ones.
                    recipe = self.write(steps + ([linear(TOKEN + INT8, ROUTED)] if family in EXPERTS else []))
                    warnings = self.notes(family, recipe)
                    self.assertEqual(len(warnings), len(phrases), warnings)
                    for phrase, warning in zip(phrases, warnings):
                        self.assertIn(phrase, warning)
                        self.assertRegex(warning, r"(vLLM-Ascend|SGLang) \S+( and .*)?: (refused|silently wrong|takes it, at a loss)")
                    for server in taken_by:
                        self.assertEqual(self.notes(family, recipe, "--for", server), [])

    def test_examples_and_defaults_need_no_warning(self):
        """Apart from those whose type only some servers know."""
        alone = {"w8a16-gptq": "of type (W8A16|FLOAT in experts)", "w8a8-fp8": "of type WFP8AFP8_DYNAMIC"}
        recipes = [*(harness.SOURCE / "examples").glob("*.yaml"), harness.SOURCE / "lab_practice/default/default_w8a8_v1.yaml"]
        for recipe in sorted(recipes):
            for family in FAMILIES:
                if (recipe.stem, family) in (("w4a8-quarot", "qwen3_next"),):
                    continue  # no rotation map: refused
                with self.subTest(recipe=recipe.stem, family=family):
                    warnings = self.notes(family, recipe)
                    if recipe.stem in alone:
                        warnings = [warning for warning in warnings if not re.search(alone[recipe.stem], warning)]
                    if recipe.stem.startswith("w4a8") and family in DENSE:
                        self.assertEqual(len([warning for warning in warnings if "selects nothing" in warning]), 1)
                        warnings = [warning for warning in warnings if "selects nothing" not in warning and "'*.experts.*'" not in warning]
                    if recipe.stem == "w8a8-smooth" and family == "qwen3_next":
                        warnings = [warning for warning in warnings if "zero-centred-norm" not in warning]
                    self.assertEqual(warnings, [])

    def test_patterns_for_other_models_are_no_mistakes(self):
        recipe = self.write([linear(TOKEN + INT8, 'exclude: ["*.mlp.gate", "*kv_b_proj", "*.mlp.gat"]')])
        self.assertEqual(len(self.notes("qwen3", recipe)), 1)
        self.assertIn("'*.mlp.gat' matches no", self.notes("qwen3", recipe)[0])
        told = [note for note in self.notes("qwen3", recipe, kind="note") if "other models have" in note]
        self.assertEqual(len(told), 1)
        self.assertIn("'*.mlp.gate', '*kv_b_proj'", told[0])
        # An entry that selects nothing else is one.
        recipe = self.write([linear(TOKEN + INT8, 'include: ["*.experts.*"]')])
        self.assertIn("selects nothing", " ".join(self.notes("qwen3", recipe)))

    def test_float_experts(self):
        warnings = self.notes("qwen3_moe", self.write([linear(TOKEN + INT8, 'include: ["*self_attn*"]')]))
        self.assertEqual(len(warnings), 1, warnings)
        self.assertIn("of type FLOAT in experts", warnings[0])

    def test_bytes_are_those_of_the_recipe(self):
        """A router that a recipe names is quantized, as msModelSlim would."""
        recipe = self.write([linear(TOKEN + INT8, 'include: ["*mlp*"]')])
        done = self.quantized(self.source("qwen3_moe"), recipe, model_type="Qwen3-30B")
        self.assertIn("warning", done.stdout)
        description = json.loads((self.out / "quant_model_description.json").read_text())
        self.assertEqual(description["model.layers.0.mlp.gate.weight"], "W8A8_DYNAMIC")

    def test_verify_for_a_server(self):
        recipe = self.write([linear(INT8, 'include: ["*self_attn*"]')])
        self.quantized(self.source("qwen3"), recipe, model_type="Qwen3-8B")
        self.assertSucceeded(harness.run("verify", self.out))
        self.assertSucceeded(harness.run("verify", self.out, "--for", "vllm-ascend"))
        for server in ("sglang", "mindie", "vllm-ascend,sglang"):
            done = harness.run("verify", self.out, "--for", server)
            self.assertRefused(done, "of type W8A16")
            self.assertIn("silently wrong", done.stdout)
        done = harness.run("verify", self.out, "--for", "vllm-ascend", "--server-version", "0.1")
        self.assertRefused(done, "0.23.0.post1", codes={203})
        self.assertRefused(harness.run("verify", self.out, "--for", "vllm"), "there are: vllm-ascend, sglang, mindie", codes={203})
        # What only a finished output can have.
        config = json.loads((self.out / "config.json").read_text())
        config["quantization_config"] = {"quant_method": "fp8"}
        (self.out / "config.json").write_text(json.dumps(config))
        done = harness.run("verify", self.out, "--for", "vllm-ascend")
        self.assertRefused(done)
        self.assertIn("has a quantization_config", done.stdout)

    def test_the_name_of_fp8_layers(self):
        recipe = self.write([linear(FP8)])
        names = {}
        for name in ("WFP8AFP8_DYNAMIC", "W8A8FP8_DYNAMIC"):
            out = self.dir / name
            self.quantized(self.source("qwen3"), recipe, "--fp8-type", name, out=out, model_type="Qwen3-8B")
            description = json.loads((out / "quant_model_description.json").read_text())
            self.assertEqual(description["model_quant_type"], name)
            names[name] = {value for key, value in description.items() if re.search(r"_proj\.weight", key)}
            self.assertSucceeded(harness.run("verify", out, "--model_path", self.source("qwen3")))
        self.assertEqual(names, {name: {name} for name in names})
        plain = self.dir / "plain"
        self.quantized(self.source("qwen3"), recipe, out=plain, model_type="Qwen3-8B")
        self.assertSameProducts(plain, self.dir / "WFP8AFP8_DYNAMIC")
        one, other = harness.products(plain), harness.products(self.dir / "W8A8FP8_DYNAMIC")
        self.assertEqual([name for name in one if one[name] != other[name]], ["quant_model_description.json"])
        self.assertSucceeded(harness.run("verify", self.dir / "W8A8FP8_DYNAMIC", "--for", "vllm-ascend"))
        self.assertRefused(harness.run("verify", plain, "--for", "vllm-ascend"), "--fp8-type")
        self.assertEqual(self.notes("qwen3", recipe, "--fp8-type", "W8A8FP8_DYNAMIC", "--for", "vllm-ascend"), [])

    def test_the_list_of_rules(self):
        shown = harness.run("servers")
        self.assertSucceeded(shown)
        rows = json.loads(harness.run("servers", "--json").stdout)
        self.assertIn("W8A8FP8_DYNAMIC", shown.stdout)
        for row in rows:
            self.assertIn(row["what"], shown.stdout)
            self.assertEqual([entry["version"] for entry in row["servers"]][0], "0.23.0.post1")
        # Every pattern of the families stands in the examples, in one form or the other.
        patterns = re.search(r"exclude: (\[.*\])", (harness.SOURCE / "examples/w8a8-dynamic.yaml").read_text())[1]
        for row in rows:
            if row["what"].startswith("*"):
                sample = "model.layers.0" + row["what"][1:]
                self.assertTrue(any(re.fullmatch(pattern.replace("*", ".*"), sample) for pattern in json.loads(patterns)), row["what"])


if __name__ == "__main__":
    harness.main()
