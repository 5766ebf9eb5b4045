#!/usr/bin/python3
"""Models of which nothing is computed: quantized by the names, types and shapes of their tensors alone."""

import json
import re

import harness
import named_checkpoints
import numpy

W4A8 = """
        act: {scope: per_token, dtype: int8, symmetric: true, method: minmax}
        weight: {scope: per_channel, dtype: int4, symmetric: true, method: ssz}"""
MXFP8 = """
        act: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax, ext: {axes: -1}}
        weight: {scope: per_block, dtype: mxfp8, symmetric: true, method: minmax, ext: {axes: -1}}"""


def entry(qconfig, include):
    return f"    - type: linear_quant\n      qconfig:{qconfig}\n      include: [{', '.join(repr(i) for i in include)}]\n"


def expected(maker):
    """{name of an output weight: array}: the matrices of the source as servers look them up, taken apart here in numpy."""
    found = {}
    for name, spec in maker.specs.items():
        raw = b"".join(spec.pieces())
        if spec.dtype == "BF16":
            values = (numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16).view(numpy.float32).reshape(spec.shape)
        elif spec.dtype == "F32":
            values = numpy.frombuffer(raw, "<f4").reshape(spec.shape)
        else:
            values = numpy.frombuffer(raw, "<i8").reshape(spec.shape)
        stack = re.fullmatch(r"(.*)(experts|moe)\.(gate_up_proj|gate_proj|up_proj|down_proj)(_bias|\.weight)?", name)
        if not stack or values.ndim < (2 if stack[4] == "_bias" else 3):
            found[name] = values
            continue
        prefix = stack[1] + ("experts" if stack[2] == "experts" else "moe.experts")
        end = ".bias" if stack[4] == "_bias" else ".weight"
        turned = maker.config["model_type"] in ("llama4", "gpt_oss", "qwen3_vl_moe") and getattr(maker, "turned", True)
        for e, slice_ in enumerate(values):
            matrix = slice_.T if turned and slice_.ndim == 2 else slice_
            if stack[3] != "gate_up_proj":
                found[f"{prefix}.{e}.{stack[3]}{end}"] = matrix
                continue
            half = len(matrix) // 2
            apart = (matrix[::2], matrix[1::2]) if maker.config["model_type"] == "gpt_oss" else (matrix[:half], matrix[half:])
            for part, projection in zip(apart, ("gate_proj", "up_proj")):
                found[f"{prefix}.{e}.{projection}{end}"] = part
    return found


class NamesTest(harness.WholeTest):
    def named(self, architecture, **how):
        maker = named_checkpoints.made(architecture, **how)
        maker.turned = architecture != "qwen3_vl_moe_saved_again"
        maker.write(self.dir / architecture)
        return maker, self.dir / architecture

    def run_names(self, model, recipe_path, *more, out=None, command="quant"):
        save = ["--save_path", out or self.out] if command == "quant" else []
        return harness.run(command, "--model_path", model, "--config_path", recipe_path, *save, *more, cwd=self.dir)

    def types(self, out):
        description = json.loads((out / "quant_model_description.json").read_text())
        return {name.removesuffix(".weight"): kind for name, kind in description.items() if name.endswith(".weight")}

    def compare(self, maker, out, name, bits=8):
        """Every weight of the output against the source, and nothing more or less than it."""
        source, written, types = expected(maker), harness.tensors_of(out), self.types(out)
        for tensor, values in source.items():
            module = tensor.removesuffix(".weight")
            if types.get(module, "FLOAT") == "FLOAT":
                numpy.testing.assert_array_equal(written[tensor], values, f"{name}: {tensor}")
                continue
            scale = written[module + ".weight_scale"].astype(numpy.float64)
            if bits == 8 or types[module] == "W8A8_DYNAMIC":
                self.assertEqual(written[tensor].dtype, numpy.int8, tensor)
                # The reference divides in the model's type: bfloat16 is off by up to half a step at 127, and then rounds.
                off = numpy.abs(written[tensor] * scale - values) / scale
                self.assertLessEqual(off.max(), 1.02, f"{name}: {tensor}")
        weights = {t for t in written if not re.search(r"\.(weight_scale|weight_offset|scale_bias)$", t)}
        self.assertEqual(weights - set(source), set(maker.copies), name)

    def test_every_architecture(self):
        dynamic = self.recipe(harness.recipe(harness.DYNAMIC), "dynamic.yaml")
        mixed = self.recipe(harness.recipe(harness.DYNAMIC, before=entry(W4A8, ["*experts.*", "*moe.experts*"])), "mixed.yaml")
        for architecture in named_checkpoints.ARCHITECTURES:
            with self.subTest(architecture):
                maker, model = self.named(architecture)
                self.assertSucceeded(self.run_names(model, dynamic, "--fresh"))
                made = {n for n, kind in self.types(self.out).items() if kind != "FLOAT"}
                self.assertEqual(made, set(maker.quantized()))
                self.compare(maker, self.out, architecture)
                done = harness.run("verify", self.out, "--model_path", model)
                self.assertSucceeded(done)
                self.assertIn("all well", done.stdout)
                mixed_out = self.dir / "mixed"
                self.assertSucceeded(self.run_names(model, mixed, "--fresh", out=mixed_out))
                kinds = self.types(mixed_out)
                routed = {n for n in kinds if re.search(r"experts\.\d+\.", n) and (n in made or architecture == "gpt_oss")}
                self.assertTrue(all(kinds[n] == "W4A8_DYNAMIC" for n in routed), {n: kinds[n] for n in routed})
                self.compare(maker, mixed_out, architecture, bits=4)
                done = harness.run("verify", mixed_out, "--model_path", model)
                self.assertIn("all well", done.stdout)
                errors = [float(n) for n in re.findall(r"W4A8_DYNAMIC +(\d\.\d+)", done.stdout)]
                self.assertTrue(all(0.02 < error < 0.2 for error in errors), errors)
                self.assertEqual(bool(errors), bool(routed))

    def test_shares_and_reasons_are_told(self):
        maker, model = self.named("qwen3_5_moe")
        done = self.run_names(model, self.recipe(harness.recipe(harness.DYNAMIC)), "--json", command="plan")
        self.assertSucceeded(done)
        plan = json.loads(done.stdout)
        total = {name: values.size for name, values in expected(maker).items()}
        bytes_of = {n: total[n] * (4 if n.endswith("A_log") else 2) for n in total}
        kept = sum(size for name, size in bytes_of.items() if name.removesuffix(".weight") not in maker.quantized())
        self.assertAlmostEqual(plan["float_bytes"], kept / sum(bytes_of.values()), 6)
        why = {group["names"]: group.get("why", "") for group in plan["names"]}
        self.assertIn("router", why["model.language_model.layers.*.mlp.gate.weight"])
        self.assertIn("tower", why["model.visual.blocks.*.attn.qkv.weight"])
        text = self.run_names(model, self.recipe(harness.recipe(harness.DYNAMIC)), command="plan").stdout
        self.assertIn("model.language_model.layers.*.mlp.experts.*.gate_proj.weight", text)
        self.assertRegex(text, r"bytes +\d+\.\d\d % stay float")

    def test_patterns_that_name_a_default_reach_it(self):
        maker, model = self.named("qwen3_5_moe")
        text = "apiversion: modelslim_v1\nspec:\n  process:\n" + entry(harness.DYNAMIC, ["*", "*self_attn.o_proj"])
        recipe = self.recipe(text + "  save:\n    - type: ascendv1_saver\n")
        self.assertSucceeded(self.run_names(model, recipe, "--float", "*.k_proj"))
        types = self.types(self.out)
        self.assertEqual(types["model.language_model.layers.1.self_attn.o_proj"], "W8A8_DYNAMIC")
        self.assertEqual(types["model.language_model.layers.1.self_attn.k_proj"], "FLOAT")
        self.assertEqual(types["model.language_model.layers.1.self_attn.q_proj"], "W8A8_DYNAMIC")
        self.assertEqual(types["model.visual.blocks.0.attn.qkv"], "FLOAT")
        self.assertRefused(self.run_names(model, recipe, "--float", "nothing.like.it"), "nothing.like.it")

    def test_steps_that_need_data_are_refused(self):
        _, model = self.named("minimax_m2")
        for text, step in ((harness.recipe(), "linear_quant"), (harness.recipe(harness.DYNAMIC, before=harness.SMOOTH), "iter_smooth")):
            for command in ("plan", "quant"):
                done = self.run_names(model, self.recipe(text), command=command)
                self.assertRefused(done, step, "spec.process[0]", "minimax_m2", "need no data", "modelslim models", codes={301})
                self.assertNotIn("Llama", done.stderr)
        self.assertFalse(self.out.exists())

    def test_an_unknown_architecture(self):
        maker, model = self.named("minimax_m2")
        config = {**maker.config, "model_type": "something_new", "architectures": ["SomethingNewForCausalLM"]}
        (model / "config.json").write_text(json.dumps(config))
        self.assertSucceeded(self.run_names(model, self.recipe(harness.recipe(harness.DYNAMIC))))
        self.assertEqual({n for n, kind in self.types(self.out).items() if kind != "FLOAT"}, set(maker.quantized()))

    def test_asked_for_on_a_computed_model(self):
        model = self.model(family="qwen3_moe")
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, more="      exclude: ['*mlp.gate']\n"))
        self.quantized(model, recipe, model_type="Qwen3-30B")
        self.assertSucceeded(self.run_names(model, recipe, "--no-forward", out=self.dir / "names"))
        one, other = harness.tensors_of(self.out), harness.tensors_of(self.dir / "names")
        self.assertEqual(set(one), set(other))
        for name, values in one.items():
            numpy.testing.assert_array_equal(values, other[name], name)
        self.assertSucceeded(harness.run("verify", self.dir / "names", "--model_path", model))
        self.assertRefused(self.run_names(model, self.recipe(), "--no-forward"), "needs calibration data")

    def test_same_bytes_and_going_on(self):
        _, model = self.named("llama4", layers=6)
        recipe = self.recipe(harness.recipe(harness.DYNAMIC))
        outs = []
        for threads in ("1", "2", "7"):
            outs.append(self.dir / threads)
            self.assertSucceeded(self.run_names(model, recipe, "--threads", threads, out=outs[-1]))
        self.assertSameProducts(outs[0], outs[1])
        self.assertSameProducts(outs[0], outs[2])

    def test_broken_weights(self):
        def gap(m):
            for projection in ("gate_proj", "up_proj", "down_proj"):
                del m.specs[f"model.layers.1.mlp.experts.2.{projection}.weight"]

        def half(m):
            del m.specs["model.layers.1.mlp.experts.1.up_proj.weight"]

        def twice(m):
            m.linear("model.language_model.layers.0.mlp.experts.1.gate_proj", m.X, m.H)

        def square(m):
            m.put("model.layers.0.mlp.experts.gate_up_proj", (3, m.H, m.H))
            m.put("model.layers.0.mlp.experts.down_proj", (3, m.H, m.H // 2))

        def neither(m):
            m.put("model.layers.0.mlp.experts.gate_up_proj", (3, m.H + 2, m.H + 4))

        def scale(m):
            m.put("model.layers.0.self_attn.r_proj.weight_scale_inv", (1, 1), "F32")

        def codes(m):
            m.put("model.layers.0.self_attn.r_proj.weight", (32, 32), "F8_E4M3")

        def grid(m):
            codes(m)
            m.put("model.layers.0.self_attn.r_proj.weight_scale_inv", (3, 1), "F32")

        for architecture, spoil, phrases in (
            ("glm4_moe", gap, ("without a gap", "model.layers.1.mlp.experts.2.down_proj.weight")),
            ("glm4_moe", half, ("without a gap", "model.layers.1.mlp.experts.1.up_proj.weight")),
            ("qwen3_5_moe", twice, ("expected one source", "experts.gate_up_proj", "experts.1.gate_proj.weight")),
            ("ministral3", square, ("fits both", "hidden_size", "--stacked-experts")),
            ("ministral3", neither, ("fits neither", "hidden_size")),
            ("ministral3", scale, ("without one", "r_proj.weight_scale_inv")),
            ("ministral3", codes, ("r_proj.weight_scale_inv",)),
            ("ministral3", grid, ("r_proj.weight_scale_inv", "[3, 1]")),
        ):
            with self.subTest(spoil.__name__):
                maker = named_checkpoints.made(architecture)
                spoil(maker)
                model = maker.write(self.dir / spoil.__name__)
                for command in ("plan", "quant"):
                    done = self.run_names(model, self.recipe(harness.recipe(harness.DYNAMIC)), command=command)
                    self.assertRefused(done, *phrases, codes={201})
                self.assertFalse(self.out.exists())
        for form in ("out-in", "in-out"):
            done = self.run_names(self.dir / "square", self.recipe(harness.recipe(harness.DYNAMIC)), "--stacked-experts", form, command="plan")
            self.assertEqual(done.returncode, 0 if form == "out-in" else 0, done.stderr)

    def test_weights_of_another_model(self):
        maker, model = self.named("ministral3")
        for config, phrase in (
            ({"model_type": "ernie4_5_moe"}, "ernie4_5_moe"),
            ({"model_type": "gemma3", "text_config": {"hidden_size": 96}, "vision_config": {}}, "vision_config"),
        ):
            (model / "config.json").write_text(json.dumps({"hidden_size": 96, **config}))
            self.assertRefused(self.run_names(model, self.recipe(harness.recipe(harness.DYNAMIC)), command="plan"), phrase, codes={301})
            self.assertSucceeded(self.run_names(model, self.recipe(harness.recipe(harness.DYNAMIC)), "--no-forward", command="plan"))


if __name__ == "__main__":
    harness.main()
