#!/usr/bin/python3
"""NaN and infinity: a calibration stops at the first layer whose numbers are none, whatever the step; tensors that are only copied
are warned about by name, in the summary, in the ledger and by verify."""

import json

import numpy

import harness

GPTQ = """
        act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}
        weight: {scope: per_channel, dtype: int8, symmetric: true, method: gptq}"""
HALF = "{scope: per_channel, dtype: int8, symmetric: true, method: minmax}"
# Steps that look at activations, each in a recipe of its own: what stands in front of linear_quant, and that.
STEPS = {
    "static": ("", harness.STATIC),
    "histogram": ("", harness.STATIC.replace("minmax}", "histogram}", 1)),
    "gptq": ("", GPTQ),
    "iter_smooth": ("    - {type: iter_smooth, alpha: 0.9, enable_subgraph_type: [up-down]}\n", harness.STATIC),
    "flex_smooth_quant": ("    - {type: flex_smooth_quant}\n", harness.DYNAMIC),
    "flex_awq_ssz": ("    - {type: flex_awq_ssz, qconfig: {act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}, weight: %s}}\n" % HALF, harness.DYNAMIC),
    "awq": ("    - {type: awq, n_grid: 2, weight_qconfig: %s}\n" % HALF, harness.DYNAMIC),
    "kv_smooth": ("    - {type: kv_smooth}\n", harness.DYNAMIC),
    "dynamic_cache": ("    - {type: dynamic_cache, qconfig: %s}\n" % HALF, harness.DYNAMIC),
    "float_sparse": ("    - {type: float_sparse, sparse_ratio: 0.3, include: [\"*.0.self_attn.q_proj\"]}\n", harness.DYNAMIC),
    "group": ("    - {type: group, configs: [{type: linear_quant, include: [\"*self_attn*\"], qconfig: {act: {scope: per_tensor, dtype: int8, symmetric: true, method: minmax}, weight: %s}}]}\n" % HALF, harness.DYNAMIC),
}  # fmt: skip
BLAMES = ("check the disk", "may be damaged", "percdamp", "does not read back", "published")


class NotFiniteTest(harness.WholeTest):
    def change(self, source, name, change):
        """Rewrites the values of a tensor: change(array of f32) in place."""
        for path in source.glob("*.safetensors"):
            header, begin = harness.header_of(path)
            if name not in header:
                continue
            entry, data = header[name], bytearray(path.read_bytes())
            first, last = (begin + offset for offset in entry["data_offsets"])
            raw = bytes(data[first:last])
            if entry["dtype"] == "BF16":
                values = (numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16).view(numpy.float32).copy()
                change(values)
                raw = (values.view(numpy.uint32) >> 16).astype("<u2").tobytes()
            else:
                values = numpy.frombuffer(raw, {"F16": "<f2", "F32": "<f4"}[entry["dtype"]]).astype(numpy.float32)
                change(values)
                raw = values.astype({"F16": "<f2", "F32": "<f4"}[entry["dtype"]]).tobytes()
            data[first:last] = raw
            path.write_bytes(data)
            return
        self.fail(f"{name} is not there")

    def scaled(self, values):
        values *= 60000 / abs(values).max()

    def overflowing(self, family="qwen3", tensor="model.layers.0.mlp.up_proj.weight", **more):
        source = self.model(family, family=family, dtype="float16", **more)
        self.change(source, tensor, self.scaled)
        return source

    def assertStops(self, done, layer, *phrases):
        self.assertRefused(done, layer, "not finite", "calibration sample", *phrases)
        for blame in BLAMES:
            self.assertNotIn(blame, done.stderr)

    def test_every_step_stops_at_the_same_place(self):
        source = self.overflowing()
        errors = {}
        for name, (before, qconfig) in STEPS.items():
            recipe = self.recipe(harness.recipe(qconfig, before=before), name=f"{name}.yaml")
            for more in ([], ["--no-verify"], ["--memory", "1GiB", "--threads", "1"]):
                out = self.dir / f"out-{name}-{len(more)}"
                with self.subTest(name, more=more):
                    done = self.quant(source, recipe, *more, out=out, model_type="default")
                    self.assertStops(done, "model.layers.0.mlp.down_proj", "F16", "model.layers.0.mlp.up_proj", "bfloat16", "exclude", "smooth")
                    self.assertNothingComplete(out)
                    errors[name] = [line for line in done.stderr.splitlines() if "not finite" in line]
        self.assertGreaterEqual(len(errors), len(STEPS))

    def test_weights_that_a_step_makes_too_large(self):
        """A norm that iter_smooth replaced puts out float32, in which nothing overflows; the weights that it then scales do."""
        source = self.overflowing()
        smooth = "    - {type: iter_smooth, alpha: 0.9}\n"
        mlp = '      exclude: ["*mlp*"]\n'
        for name, text in (("quantized", harness.recipe(harness.STATIC, before=smooth)), ("copied", harness.recipe(harness.DYNAMIC, before=smooth, more=mlp))):
            with self.subTest(name):
                done = self.quant(source, self.recipe(text), out=self.dir / name, model_type="default")
                self.assertRefused(done, "model.layers.0.mlp.down_proj.weight", "infinity", "after the steps before", "F16", "bfloat16", "alpha", "exclude")
                for blame in BLAMES:
                    self.assertNotIn(blame, done.stderr)
                self.assertNothingComplete(self.dir / name)

    def test_analyze_stops_there_too(self):
        source = self.overflowing()
        for metric in ("std", "quantile", "kurtosis"):
            done = harness.run("analyze", "--model_path", source, "--model_type", "default", "--metrics", metric, "--calib_dataset", self.dir / "calib.jsonl")
            self.assertStops(done, "model.layers.0.mlp.down_proj", "F16")

    def test_keys_and_residuals(self):
        # Keys are normalized after their projection and can only overflow there; the sum of a residual in no layer at all.
        recipe = self.recipe(harness.recipe(harness.STATIC))
        source = self.overflowing(tensor="model.layers.1.mlp.down_proj.weight", num_hidden_layers=3)
        self.assertStops(self.quant(source, recipe, model_type="default"), "model.layers.1")
        source = self.model("keys", family="qwen3", dtype="float16")
        self.change(source, "model.layers.0.self_attn.k_norm.weight", lambda values: values.fill(60000))
        self.assertStops(self.quant(source, self.recipe(harness.recipe(harness.DYNAMIC, before=STEPS["kv_smooth"][0])), model_type="default"),
                         "model.layers.0.self_attn: its keys are not finite")  # fmt: skip

    def test_experts_and_attention_of_deepseek(self):
        recipe = self.recipe(harness.recipe(harness.STATIC, more='      include: ["*self_attn*"]\n      exclude: ["*kv_b_proj"]\n'))
        source = self.overflowing("deepseek_v3", "model.layers.2.mlp.shared_experts.up_proj.weight", num_hidden_layers=4, first_k_dense_replace=1)
        self.assertStops(self.quant(source, recipe, model_type="default"), "model.layers.2.mlp.shared_experts.down_proj")
        fa = self.recipe(harness.recipe(harness.DYNAMIC, before="    - {type: fa3_quant, include: [\"*\"]}\n", more='      exclude: ["*kv_b_proj", "*mlp*"]\n'))
        self.assertStops(self.quant(source, fa, model_type="default"), "model.layers.2.mlp.shared_experts.down_proj")

    def test_damaged_tensors_are_named(self):
        """A forward pass that meets NaN in a parameter says which."""
        for tensor in ("model.layers.0.input_layernorm.weight", "model.layers.1.self_attn.k_norm.weight", "model.embed_tokens.weight",
                       "model.layers.1.mlp.gate_proj.weight"):  # fmt: skip
            source = self.model("damaged", family="qwen3")
            self.change(source, tensor, lambda values: values.fill(numpy.nan))
            with self.subTest(tensor):
                done = self.quant(source, self.recipe(), model_type="default")
                self.assertRefused(done, tensor.removesuffix(".weight"), "NaN")
                self.assertNothingComplete()

    # ---- tensors that nothing computes with ----

    def test_copied_tensors_are_warned_about(self):
        cases = [("qwen3", "model.layers.0.input_layernorm.weight"), ("qwen3", "model.norm.weight"), ("qwen3", "lm_head.weight"),
                 ("qwen3", "model.embed_tokens.weight"), ("qwen2", "model.layers.0.self_attn.q_proj.bias"),
                 ("qwen3", "model.layers.1.self_attn.o_proj.weight"), ("qwen3_moe", "model.layers.1.mlp.gate.weight")]  # fmt: skip
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, more='      exclude: ["*.1.self_attn.o_proj", "*mlp.gate"]\n'))
        for family, tensor in cases:
            for value, word in ((numpy.nan, "NaN"), (numpy.inf, "infinity"), (-numpy.inf, "-infinity")):
                source = self.model("copied", family=family, tie_word_embeddings=False)
                self.change(source, tensor, lambda values: values.__setitem__(1, value))
                with self.subTest(tensor, value=value):
                    done = self.quantized(source, recipe, model_type="default")
                    self.assertIn(f"{tensor} holds {word} (element 1)", done.stdout)
                    self.assertIn("warning", done.stdout)
                    ledger = json.loads((self.out / "quant_model_ledger.json").read_text())
                    self.assertEqual(ledger["not_finite"], [{"name": tensor, "value": word, "index": 1}])
                    told = harness.run("verify", self.out)
                    self.assertEqual(told.returncode, 0)
                    self.assertIn(f"warning: {tensor} holds {word}", told.stdout)
                    self.assertNotIn("all well", told.stdout + done.stdout)

    def test_nothing_is_said_of_sound_models(self):
        done = self.quantized(self.model(), self.recipe(harness.recipe(harness.DYNAMIC)))
        self.assertNotIn("holds", done.stdout)
        self.assertNotIn("not_finite", (self.out / "quant_model_ledger.json").read_text())
        self.assertIn("all well", harness.run("verify", self.out).stdout)


if __name__ == "__main__":
    harness.main()
