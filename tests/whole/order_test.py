#!/usr/bin/python3
"""Steps in an order that would spoil the model are refused by the plan; those that share layers agree on who has them."""

import json

import harness

LINEAR = "{type: linear_quant, qconfig: {act: %s, weight: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}}}"
DYNAMIC = LINEAR % "{scope: per_token, dtype: int8, symmetric: true, method: minmax}"
STATIC = LINEAR % "{scope: per_tensor, dtype: int8, symmetric: false, method: minmax}"
AWQ = "{type: awq, weight_qconfig: {scope: per_channel, dtype: int8, symmetric: true, method: minmax}}"


def steps(*entries):
    lines = "".join(f"    - {entry}\n" for entry in entries)
    return f"apiversion: modelslim_v1\nspec:\n  process:\n{lines}  save:\n    - type: ascendv1_saver\n  dataset: calib.jsonl\n"


class OrderTest(harness.WholeTest):
    def plan(self, *entries, family="qwen2", **how):
        source = self.dir / f"{family}-{'-'.join(how)}"
        if not source.exists():
            harness.write_model(source, family=family, num_hidden_layers=2, **how)
        return harness.run("plan", "--model_path", source, "--config_path", self.recipe(steps(*entries)), cwd=self.dir)

    def test_rewriting_after_quantizing(self):
        for rewriting in ("{type: iter_smooth, alpha: 0.5}", "{type: smooth_quant}", "{type: flex_smooth_quant}", "{type: kv_smooth}", AWQ):
            for quantizing in (DYNAMIC, STATIC):
                with self.subTest(rewriting + quantizing):
                    self.assertRefused(self.plan(quantizing, rewriting), "spec.process[1]", "spec.process[0]", "in front of", codes={302})
                    self.assertSucceeded(self.plan(rewriting, quantizing))
        self.assertRefused(self.plan(DYNAMIC, "{type: quarot}", family="qwen3"), "spec.process[1] (quarot)", codes={302})
        self.assertSucceeded(self.plan("{type: quarot}", DYNAMIC, family="qwen3"))

    def test_layers_that_are_not_quantized_may_be_rewritten_later(self):
        only_mlp = DYNAMIC[:-1] + ", include: ['*.mlp.down_proj']}"
        self.assertSucceeded(self.plan(only_mlp, "{type: iter_smooth, enable_subgraph_type: [norm-linear, ov]}"))
        self.assertRefused(self.plan(only_mlp, "{type: iter_smooth, enable_subgraph_type: [up-down]}"), "mlp.down_proj", codes={302})

    def test_both_in_one_group(self):
        for members in (("{type: iter_smooth, alpha: 0.5}", STATIC), (STATIC, "{type: flex_smooth_quant}")):
            group = "{type: group, configs: [%s]}" % ", ".join(members)
            self.assertRefused(self.plan(group), "spec.process[0].configs[", "outside of its group", codes={302})

    def test_pruned_layers_stay_pruned(self):
        source = self.model(num_hidden_layers=2)
        self.quantized(source, self.recipe(steps("{type: float_sparse, include: ['*.mlp.*']}", DYNAMIC)))
        types = json.loads((self.out / "quant_model_description.json").read_text())
        self.assertEqual(types["model.layers.0.mlp.up_proj.weight"], "W16A16S")
        self.assertEqual(types["model.layers.0.self_attn.q_proj.weight"], "W8A8_DYNAMIC")

    def test_gptq_is_for_linear_quant(self):
        done = self.plan(AWQ.replace("minmax", "gptq"))
        self.assertRefused(done, "weight_qconfig.method", "linear_quant alone")

    def test_sizes_that_do_not_fit_name_the_layer(self):
        mx = "{type: linear_quant, qconfig: {act: {scope: per_block, dtype: mxfp4, symmetric: true, method: minmax}, weight: {scope: per_block, dtype: mxfp4, symmetric: true, method: fouroversix}}}"
        done = self.plan(mx, hidden_size=136, num_attention_heads=2, num_key_value_heads=1)
        self.assertRefused(done, "spec.process[0]: model.layers.0.self_attn.", "136")

    def test_passes_are_counted(self):
        done = self.plan("{type: float_sparse}", STATIC)
        self.assertIn("two passes", done.stdout)
        self.assertIn("3 passes through every layer", done.stdout)


if __name__ == "__main__":
    harness.main()
