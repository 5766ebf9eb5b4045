#!/usr/bin/python3
"""The service modelslim_convert: rules on names, no data, no model."""

import json
import re

import harness
import checkpoint  # of tools/, which harness puts on the path
import named_checkpoints
import numpy

RECIPE = """apiversion: modelslim_convert
spec:
  linears:
%s
"""


def rule(match, target, more=""):
    return f"    - match: ['{match}']\n      target: {target}\n{more}"


class ConvertTest(harness.WholeTest):
    def fp8_model(self):
        maker = named_checkpoints.made("ministral3", hidden=160)
        self.random = numpy.random.default_rng(3)
        self.values = {}
        for name in list(maker.linears):
            out, into = maker.specs.pop(name + ".weight").shape
            codes = self.random.integers(0, 0x70, (out, into)).astype(numpy.uint8)
            scales = numpy.exp(self.random.normal(-6, 0.3, (-(-out // 128), -(-into // 128)))).astype(numpy.float32)
            maker.specs[name + ".weight"] = checkpoint.Spec(name + ".weight", "F8_E4M3", codes.shape, lambda codes=codes: [codes.tobytes()])
            maker.specs[name + ".weight_scale_inv"] = checkpoint.Spec.of(name + ".weight_scale_inv", "F32", scales)
            spread = numpy.repeat(numpy.repeat(scales, 128, 0)[:out], 128, 1)[:, :into]
            values = checkpoint.e4m3_table()[codes].astype(numpy.float32) * spread
            self.values[name] = (checkpoint.to_bfloat16(values).astype(numpy.uint32) << 16).view(numpy.float32)
        maker.config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}
        return maker, maker.write(self.dir / "fp8")

    def convert(self, model, linears, more="", command="convert", out=None):
        recipe = self.recipe(RECIPE % linears + more, "convert.yaml")
        save = [] if command == "plan" else ["--save_path", out or self.out]
        return harness.run(command, "--model_path", model, "--config_path", recipe, *save, cwd=self.dir)

    def test_fp8_to_floats_and_mxfp8(self):
        maker, model = self.fp8_model()
        linears = rule("*.layers.0.*", "FLOAT") + rule("*_proj", "W8A8_MXFP8")
        self.assertSucceeded(self.convert(model, linears))
        written = harness.tensors_of(self.out)
        types = json.loads((self.out / "quant_model_description.json").read_text())
        for name, values in self.values.items():
            if ".layers.0." in name:
                self.assertEqual(types[name + ".weight"], "FLOAT")
                numpy.testing.assert_array_equal(written[name + ".weight"], values)
                continue
            self.assertEqual(types[name + ".weight"], "W8A8_MXFP8")
            table = numpy.concatenate([checkpoint.e4m3_table(), [numpy.nan]])
            codes = written[name + ".weight"]
            numbers = table[codes & 0x7F] * numpy.where(codes & 0x80, -1, 1)
            scales = numpy.ldexp(1.0, written[name + ".weight_scale"].astype(int) - 127)
            restored = numbers * numpy.repeat(scales, 32, 1)[:, : numbers.shape[1]]
            self.assertLess(numpy.abs(restored - values).max(), numpy.abs(values).max() / 8)
        self.assertEqual(types["model_quant_type"], "W8A8_MXFP8")
        self.assertNotIn("quantization_config", (self.out / "config.json").read_text())
        self.assertSucceeded(harness.run("verify", self.out))
        # A weight that no rule names is floats all the same: codes without their scales would be of no use.
        other = self.dir / "other"
        self.assertSucceeded(self.convert(model, rule("nothing", "FLOAT"), command="quant", out=other))
        name = "model.layers.1.mlp.up_proj"
        numpy.testing.assert_array_equal(harness.tensors_of(other)[name + ".weight"], self.values[name])

    def test_everything_means_everything(self):
        maker = named_checkpoints.made("minimax_m2")
        model = maker.write(self.dir / "model")
        self.assertSucceeded(self.convert(model, rule("*", "W8A8_MXFP8")))
        types = json.loads((self.out / "quant_model_description.json").read_text())
        for name in (*maker.linears, "lm_head", "model.embed_tokens"):
            self.assertEqual(types[name + ".weight"], "W8A8_MXFP8", name)

    def test_names_and_stacks(self):
        maker = named_checkpoints.made("qwen3_5_moe")
        model = maker.write(self.dir / "model")
        more = (
            "  preprocess:\n    - type: rename\n      patterns:\n        - {from: 'model\\.language_model\\.(?P<rest>.*)', to: 'model.\\g<rest>'}\n"
            "    - type: convert\n      source: '*.mlp.experts.gate_up_proj'\n      ops:\n"
            "        - {type: chunk, dim: 0, projections: [gate_proj, up_proj]}\n"
        )
        self.assertSucceeded(self.convert(model, rule("nothing", "FLOAT"), more))
        written = harness.tensors_of(self.out)
        raw = b"".join(maker.specs["model.language_model.layers.0.mlp.experts.gate_up_proj"].pieces())
        stack = (numpy.frombuffer(raw, "<u2").astype(numpy.uint32) << 16).view(numpy.float32).reshape(maker.E, 2 * maker.X, maker.H)
        numpy.testing.assert_array_equal(written["model.layers.0.mlp.experts.1.up_proj.weight"], stack[1, maker.X :])
        self.assertEqual(written["model.layers.0.mlp.experts.down_proj"].shape, (maker.E, maker.H, maker.X))
        self.assertFalse([n for n in written if "language_model" in n])

    def test_mistakes_end_before_work(self):
        maker, model = self.fp8_model()
        for linears, more, phrase, codes in (
            (rule("*", "W4A4_MXFP4"), "", "W4A4_MXFP4", {301}),
            (rule("*", "w8a8"), "", "expected one of", {203}),
            (rule("*", "FLOAT", "      include: ['*']\n"), "", "include", {203}),
            (rule("*_proj", "FLOAT", "      route: [INT4_PACKED, FLOAT]\n"), "", "INT4_PACKED", {203}),
            (rule("*_proj", "W8A8_MXFP8", "      route: [FP8_BLOCK, FLOAT]\n"), "", "ends at FLOAT", {203}),
            (rule("*_proj", "W8A8_MXFP8", "      route: [FP8_BLOCK, W8A8_MXFP8]\n"), "", "nothing leads", {301}),
            (rule("*", "FLOAT"), "  save:\n    - type: nonsense\n", "nonsense", {203}),
            (rule("*", "FLOAT"), "  preprocess:\n    - type: merge\n", "merge", {203}),
        ):
            with self.subTest(phrase):
                done = self.convert(model, linears, more)
                self.assertRefused(done, phrase, codes=codes)
                self.assertFalse(self.out.exists())


if __name__ == "__main__":
    harness.main()
