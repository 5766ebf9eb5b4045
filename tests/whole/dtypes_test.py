#!/usr/bin/python3
"""Every family in every model type: a static and a data-free run succeed and read back well."""

import unittest

import harness

FAMILIES = ["llama", "qwen2", "qwen3", "qwen3_moe", "qwen3_next", "deepseek_v3", "deepseek_v3_2"]
# Static layers see data in every family only in attention: an expert of a tiny set may have no token.
ATTENTION = '      include: ["*self_attn*", "*linear_attn*"]\n      exclude: ["*kv_b_proj"]\n'


class DTypesTest(harness.WholeTest):
    def test_all(self):
        for family in FAMILIES:
            for dtype in ("float16", "bfloat16", "float32"):
                source = self.model(f"{family}-{dtype}", family=family, dtype=dtype, fp8=False)
                for name, text in (("static", harness.recipe(more=ATTENTION)), ("dynamic", harness.recipe(harness.DYNAMIC))):
                    with self.subTest(f"{family} {dtype} {name}"):
                        done = self.quant(source, self.recipe(text), out=self.dir / f"out-{family}-{dtype}-{name}", model_type="default")
                        self.assertSucceeded(done)
                        self.assertIn("all well", done.stdout)


if __name__ == "__main__":
    harness.main()
