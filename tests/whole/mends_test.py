#!/usr/bin/python3
"""--mend: where msModelSlim 26.1.0 is wrong, its numbers are the default, with a warning, and the right ones an option."""

import numpy

import harness

AWQ = """    - type: awq
      n_grid: 4
      weight_qconfig: {scope: per_channel, dtype: int4, symmetric: true, method: minmax}
"""


class MendsTest(harness.WholeTest):
    def both(self, source, recipe, mend, **how):
        """The tensors without and with a mend; the first run has to warn of what the second does."""
        made = []
        for number, arguments in enumerate(([], ["--mend", mend])):
            out = self.dir / f"{mend}-{number}"
            done = self.quantized(source, recipe, *arguments, out=out, **how)
            self.assertEqual(f"--mend {mend}" in done.stdout + done.stderr, number == 0)
            made.append(harness.tensors_of(out))
        self.assertEqual(made[0].keys(), made[1].keys())
        return made

    def test_norms_that_are_stored_zero_centred(self):
        source = self.model(family="qwen3_next", dtype="float32")
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, before="    - {type: iter_smooth, alpha: 0.6}\n"))
        plain, mended = self.both(source, recipe, "zero-centred-norm", model_type="Qwen3-Next-80B-A3B-Instruct")
        shifted = [name for name in plain if not numpy.array_equal(plain[name], mended[name])]
        self.assertTrue(shifted)
        for name in shifted:
            self.assertTrue(name.endswith("input_layernorm.weight"), name)
            numpy.testing.assert_allclose(plain[name] - mended[name], 1, atol=1e-6)

    def test_shared_value_heads(self):
        source = self.model(family="qwen3", dtype="float32")
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, before=AWQ))
        plain, mended = self.both(source, recipe, "awq-gqa", model_type="Qwen3-8B")
        changed = {name.split(".")[-2] for name in plain if not numpy.array_equal(plain[name], mended[name])}
        self.assertIn("v_proj", changed)
        self.assertIn("o_proj", changed)

    # ---- scales that servers hold in 16 bits ----

    def deq_scale(self, tensors, name):
        """As F32: models that are not bfloat16 get its bits in an I64."""
        stored = tensors[name + ".deq_scale"]
        return stored if stored.dtype == numpy.float32 else stored.astype(numpy.uint32).view(numpy.float32)

    def check_scales(self, plain, mended, held):
        """held: an F32 array rounded to what servers keep scales in. Returns how many scales are another number now."""
        changed = 0
        for name in (each.removesuffix(".input_scale") for each in plain if each.endswith(".input_scale")):
            before, after = plain[name + ".input_scale"], mended[name + ".input_scale"]
            numpy.testing.assert_array_equal(after, held(before), name)
            changed += int((before != after).any())
            ratio = self.deq_scale(mended, name) / self.deq_scale(plain, name)
            numpy.testing.assert_allclose(ratio, numpy.broadcast_to(after / before, ratio.shape), rtol=3e-7, err_msg=name)
            if name + ".weight_scale" in mended:  # pd_mix: both factors are there
                expected = after * mended[name + ".weight_scale"].reshape(-1)
                numpy.testing.assert_array_equal(self.deq_scale(mended, name), expected, name)
            for same in ("weight", "input_offset"):
                numpy.testing.assert_array_equal(plain[f"{name}.{same}"], mended[f"{name}.{same}"])
        return changed

    @staticmethod
    def bf16(values):
        words = values.view(numpy.uint32)
        return ((words + 0x7FFF + ((words >> 16) & 1)) & 0xFFFF0000).astype(numpy.uint32).view(numpy.float32)

    def test_scales_that_servers_can_hold(self):
        mixed = harness.STATIC.replace("scope: per_tensor", "scope: pd_mix")
        for family, dtype, qconfig in (("qwen3", "bfloat16", harness.STATIC), ("qwen2", "bfloat16", mixed), ("llama", "float32", harness.STATIC)):
            source = self.model(f"{family}-{dtype}", family=family, dtype=dtype, hidden_size=96, intermediate_size=160, num_attention_heads=3, num_key_value_heads=1)
            recipe = self.recipe(harness.recipe(qconfig, before=harness.SMOOTH))
            with self.subTest(family, dtype=dtype):
                self.assertGreater(self.check_scales(*self.both(source, recipe, "bf16-scales", model_type="default"), self.bf16), 4)

    def test_scales_of_float16_models_are_held_in_float16(self):
        source = self.model(family="qwen3", dtype="float16")
        recipe = self.recipe(harness.recipe(harness.STATIC, before=harness.SMOOTH))
        half = lambda values: values.astype(numpy.float16).astype(numpy.float32)  # noqa: E731
        self.assertGreater(self.check_scales(*self.both(source, recipe, "bf16-scales", model_type="default"), half), 4)

    def test_scales_that_are_held_already(self):
        """Without smoothing a bfloat16 model has bfloat16 scales, and the mend has nothing to do or to say."""
        source, recipe = self.model(family="qwen3"), self.recipe()
        for number, arguments in enumerate(([], ["--mend", "bf16-scales"])):
            done = self.quantized(source, recipe, *arguments, out=self.dir / str(number), model_type="default")
            self.assertNotIn("bf16-scales", done.stdout)
        self.assertSameProducts(self.dir / "0", self.dir / "1")

    def test_router_biases(self):
        source = self.model(family="deepseek_v3", dtype="bfloat16", fp8=False)
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, more='      exclude: ["*kv_b_proj"]\n'))
        for number, (arguments, dtype) in enumerate((([], "BF16"), (["--mend", "f32-router-bias"], "F32"))):
            out = self.dir / str(number)
            done = self.quantized(source, recipe, *arguments, out=out, model_type="DeepSeek-V3")
            self.assertEqual("--mend f32-router-bias" in done.stdout + done.stderr, number == 0)
            header, _ = harness.header_of(next(out.glob("*.safetensors")))
            biases = [name for name in header if name.endswith("e_score_correction_bias")]
            self.assertTrue(biases)
            self.assertEqual({header[name]["dtype"] for name in biases}, {dtype})
        there, here = harness.tensors_of(source), harness.tensors_of(self.dir / "1")
        for name in biases:
            numpy.testing.assert_array_equal(there[name], here[name])

    def test_router_biases_of_v3_2_are_float32_anyway(self):
        source = self.model(family="deepseek_v3_2", dtype="bfloat16", fp8=False)
        recipe = self.recipe(harness.recipe(harness.DYNAMIC, more='      exclude: ["*kv_b_proj", "*indexer*"]\n'))
        done = self.quantized(source, recipe, model_type="DeepSeek-V3.2-Exp")
        self.assertNotIn("router-bias", done.stdout + done.stderr)
        there, here = harness.tensors_of(source), harness.tensors_of(self.out)
        biases = [name for name in there if name.endswith("e_score_correction_bias")]
        self.assertTrue(biases)
        for name in biases:
            numpy.testing.assert_array_equal(there[name], here[name])

    def test_a_name_that_is_none(self):
        done = self.quant(self.model(), self.recipe(), "--mend", "everything")
        self.assertRefused(done, "'everything'", "awq-gqa", "zero-centred-norm")


if __name__ == "__main__":
    harness.main()
