#!/usr/bin/python3
"""Sources that some publisher has quantized: read as the floats that they stand for, compared bit for bit with numpy."""

import json

import harness
import checkpoint  # of tools/, which harness puts on the path
import named_checkpoints
import numpy

E2M1 = numpy.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])
NAME = "model.layers.1.self_attn.q_proj"
NOTHING = harness.recipe(harness.DYNAMIC, more="      include: ['nothing']\n")


def bf16(values):
    """f32 values rounded to bf16, as f32."""
    codes = checkpoint.to_bfloat16(numpy.asarray(values, dtype=numpy.float32))
    return (codes.astype(numpy.uint32) << 16).view(numpy.float32)


def e4m3(codes):
    table = checkpoint.e4m3_table()
    table = numpy.concatenate([table, [numpy.nan], -table, [numpy.nan]])
    return table[codes].astype(numpy.float32)


class FormsTest(harness.WholeTest):
    """Each form: a function that puts tensors and returns the matrix they stand for, with what config.json says of it."""

    def setUp(self):
        super().setUp()
        self.random = numpy.random.default_rng(7)

    def raw(self, maker, name, values, dtype):
        maker.specs[name] = checkpoint.Spec(name, dtype, values.shape, lambda: [values.tobytes()])

    def scales(self, shape, dtype="F32"):
        values = numpy.exp(self.random.normal(-4, 0.3, shape)).astype(numpy.float32)
        return bf16(values) if dtype == "BF16" else values

    def put_scales(self, maker, name, values, dtype="F32"):
        maker.specs[name] = checkpoint.Spec(name, dtype, values.shape, lambda: [checkpoint.to_bytes(values, dtype)])

    def codes(self, maker, name, out, into):
        codes = self.random.integers(0, 255, (out, into)).astype(numpy.uint8)
        codes[codes & 0x7F == 0x7F] = 1  # no NaN
        self.raw(maker, name + ".weight", codes, "F8_E4M3")
        return e4m3(codes)

    def fp8_blocks(self, maker, name, out, into, block=(128, 128), suffix=".weight_scale_inv", dtype="F32"):
        values = self.codes(maker, name, out, into)
        grid = (-(-out // block[0]), -(-into // block[1]))
        scales = self.scales(grid, dtype)
        self.put_scales(maker, name + suffix, scales, dtype)
        spread = numpy.repeat(numpy.repeat(scales, block[0], 0)[:out], block[1], 1)[:, :into]
        return bf16(values * spread)

    def fp8_small_blocks(self, maker, name, out, into):
        return self.fp8_blocks(maker, name, out, into, (32, 48))

    def fp8_bf16_scales(self, maker, name, out, into):
        return self.fp8_blocks(maker, name, out, into, dtype="BF16")

    def fp8_scalar(self, maker, name, out, into):
        values = self.codes(maker, name, out, into)
        scale = self.scales(())
        self.put_scales(maker, name + ".weight_scale_inv", scale)
        self.put_scales(maker, name + ".activation_scale", scale)
        return bf16(values * scale)

    def fp8_channels(self, maker, name, out, into):
        values = self.codes(maker, name, out, into)
        scales = self.scales((out, 1), "BF16")
        self.put_scales(maker, name + ".weight_scale", scales, "BF16")
        return bf16(values * scales)

    def exponents(self, maker, name, shape, dtype):
        bytes_ = self.random.integers(115, 125, shape).astype(numpy.uint8)
        self.raw(maker, name, bytes_, dtype)
        return numpy.ldexp(numpy.float32(1), bytes_.astype(int) - 127).astype(numpy.float32)

    def fp8_e8m0(self, maker, name, out, into):
        values = self.codes(maker, name, out, into)
        scales = self.exponents(maker, name + ".scale", (-(-out // 128), -(-into // 128)), "F8_E8M0")
        return bf16(values * numpy.repeat(numpy.repeat(scales, 128, 0)[:out], 128, 1)[:, :into])

    def fp4(self, maker, name, out, into, values="weight", dtype="I8", scale="scale", scale_dtype="F8_E8M0"):
        nibbles = self.random.integers(0, 16, (out, into))
        self.raw(maker, f"{name}.{values}", (nibbles[:, ::2] | nibbles[:, 1::2] << 4).astype(numpy.uint8), dtype)
        scales = self.exponents(maker, f"{name}.{scale}", (out, into // 32), scale_dtype)
        return bf16(E2M1[nibbles] * numpy.repeat(scales, 32, 1))

    def mxfp4_packed(self, maker, name, out, into):
        return self.fp4(maker, name, out, into, "weight_packed", "U8", "weight_scale", "U8")

    def int4(self, maker, name, out, into, zeros=None, group=32):
        columns = -(-into // 8) * 8
        nibbles = self.random.integers(0, 16, (out, columns)).astype(numpy.uint32)
        words = sum(nibbles[:, k::8] << (4 * k) for k in range(8)).astype(numpy.uint32)
        self.raw(maker, name + ".weight_packed", words, "I32")
        scales = self.scales((out, into // group), "BF16")
        self.put_scales(maker, name + ".weight_scale", scales, "BF16")
        self.raw(maker, name + ".weight_shape", numpy.array([out, into], dtype=numpy.int64), "I64")
        numbers = nibbles[:, :into].astype(numpy.float32) - 8
        if zeros == "packed":
            zero = self.random.integers(0, 16, (-(-out // 8) * 8, into // group)).astype(numpy.uint32)
            self.raw(maker, name + ".weight_zero_point", sum(zero[k::8] << (4 * k) for k in range(8)).astype(numpy.uint32), "I32")
            numbers = numbers - numpy.repeat(zero[:out].astype(numpy.float32) - 8, group, 1)
        elif zeros == "plain":
            zero = self.random.integers(-8, 8, (out, into // group)).astype(numpy.int8)
            self.raw(maker, name + ".weight_zero_point", zero, "I8")
            numbers = numbers - numpy.repeat(zero.astype(numpy.float32), group, 1)
        return bf16(numbers * numpy.repeat(scales, group, 1))

    def int4_zeros(self, maker, name, out, into):
        return self.int4(maker, name, out, into, "packed")

    def int4_plain_zeros(self, maker, name, out, into):
        return self.int4(maker, name, out, into, "plain")

    def int8(self, maker, name, out, into):
        codes = self.random.integers(-127, 128, (out, into)).astype(numpy.int8)
        self.raw(maker, name + ".weight", codes, "I8")
        scales = self.scales((out, 1))
        self.put_scales(maker, name + ".weight_scale", scales)
        return bf16(codes.astype(numpy.float32) * scales)

    def tensors(self, config="compressed-tensors", **quantization):
        return {"quant_method": config, **quantization}

    def test_forms(self):
        packed = {"config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32, "type": "int"}}}, "format": "pack-quantized"}
        cases = (
            (self.fp8_blocks, {"quant_method": "fp8", "weight_block_size": [128, 128]}),
            (self.fp8_small_blocks, {"quant_method": "fp8", "weight_block_size": [32, 48]}),
            (self.fp8_bf16_scales, {"quant_method": "fp8"}),
            (self.fp8_scalar, {"quant_method": "fp8"}),
            (self.fp8_channels, self.tensors(format="float-quantized")),
            (self.fp8_e8m0, {"quant_method": "fp8", "scale_fmt": "ue8m0"}),
            (self.fp4, {"quant_method": "fp8"}),
            (self.mxfp4_packed, self.tensors(format="mxfp4-pack-quantized")),
            (self.int4, self.tensors(**packed)),
            (self.int4_zeros, self.tensors(**packed)),
            (self.int4_plain_zeros, self.tensors(**packed)),
            (self.int8, self.tensors(format="int-quantized")),
        )
        for form, quantization in cases:
            for nested in (False, True):
                with self.subTest(f"{form.__name__}, {nested}"):
                    maker = named_checkpoints.made("ministral3", hidden=160, dense_width=608)
                    out, into = maker.specs[NAME + ".weight"].shape
                    values = {}
                    for name in [n for n in maker.linears if "layers.1." in n]:
                        out, into = maker.specs.pop(name + ".weight").shape
                        values[name + ".weight"] = form(maker, name, out, into)
                    if nested:
                        maker.config = {**maker.config, "model_type": "mistral3", "text_config": {"hidden_size": 160, "quantization_config": quantization}}
                    else:
                        maker.config["quantization_config"] = quantization
                    model = maker.write(self.dir / "model")
                    done = harness.run("quant", "--model_path", model, "--save_path", self.out, "--config_path", self.recipe(NOTHING), "--fresh")
                    self.assertSucceeded(done)
                    written = harness.tensors_of(self.out)
                    for name, want in values.items():
                        numpy.testing.assert_array_equal(written[name], want, name)
                    leftovers = [n for n in written if n.endswith(("scale_inv", "_scale", ".scale", "_packed", "_shape", "zero_point"))]
                    self.assertEqual(leftovers, [])
                    config = json.loads((self.out / "config.json").read_text())
                    self.assertNotIn("quantization_config", json.dumps(config))

    def test_stacks_of_codes(self):
        """gpt-oss: blocks and scales of all experts, gate and up row by row in turns."""
        maker = named_checkpoints.made("gpt_oss")
        experts = "model.layers.0.mlp.experts."
        wants = {}
        for stack, out, into in (("gate_up_proj", 2 * maker.X, maker.H), ("down_proj", maker.H, maker.X // 32 * 32)):
            del maker.specs[experts + stack]
            matrices = []
            nibbles = self.random.integers(0, 16, (maker.E, out, into))
            blocks = (nibbles[..., ::2] | nibbles[..., 1::2] << 4).astype(numpy.uint8).reshape(maker.E, out, into // 32, 16)
            self.raw(maker, experts + stack + "_blocks", blocks, "U8")
            scales = self.exponents(maker, experts + stack + "_scales", (maker.E, out, into // 32), "U8")
            matrices = bf16(E2M1[nibbles] * numpy.repeat(scales, 32, 2))
            for e in range(maker.E):
                if stack == "down_proj":
                    wants[f"{experts}{e}.down_proj.weight"] = matrices[e]
                else:
                    wants[f"{experts}{e}.gate_proj.weight"] = matrices[e][::2]
                    wants[f"{experts}{e}.up_proj.weight"] = matrices[e][1::2]
        maker.config["quantization_config"] = {"quant_method": "mxfp4"}
        model = maker.write(self.dir / "model")
        done = harness.run("quant", "--model_path", model, "--save_path", self.out, "--config_path", self.recipe(NOTHING))
        self.assertSucceeded(done)
        written = harness.tensors_of(self.out)
        for name, want in wants.items():
            numpy.testing.assert_array_equal(written[name], want, name)

    def test_computed_families_read_them_too(self):
        model = self.model("float", family="qwen3")
        header, begin = harness.header_of(model / "model.safetensors")
        self.assertIn("model.layers.0.mlp.up_proj.weight", header)
        maker = named_checkpoints.Maker("qwen3")
        data = (model / "model.safetensors").read_bytes()
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            raw = data[begin + first : begin + last]
            maker.specs[name] = checkpoint.Spec(name, entry["dtype"], entry["shape"], lambda raw=raw: [raw])
        name = "model.layers.0.mlp.up_proj"
        out, into = maker.specs.pop(name + ".weight").shape
        want = self.int4(maker, name, out, into)
        maker.config = json.loads((model / "config.json").read_text())
        maker.config["quantization_config"] = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
        for file in model.glob("*.json"):
            (self.dir / "coded").mkdir(exist_ok=True)
            (self.dir / "coded" / file.name).write_bytes(file.read_bytes())
        checkpoint.write_weights(self.dir / "coded", maker.specs.values())
        checkpoint.write_json(self.dir / "coded" / "config.json", maker.config)
        done = self.quant(self.dir / "coded", self.recipe(harness.recipe(more="      exclude: ['*up_proj']\n")), model_type="Qwen3-8B")
        self.assertSucceeded(done)
        numpy.testing.assert_array_equal(harness.tensors_of(self.out)[name + ".weight"], want)


if __name__ == "__main__":
    harness.main()
