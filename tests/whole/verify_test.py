#!/usr/bin/python3
"""`verify` notices what has become of an output."""

import json
import struct

import harness


class VerifyTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        source = self.model(hidden_size=128, num_hidden_layers=2)
        self.quantized(source, self.recipe(harness.recipe(part_file_size=4)))
        self.shard = next(self.out.glob("quant_model_weights-*.safetensors"))
        self.description = self.out / "quant_model_description.json"
        self.index = next(self.out.glob("*.index.json"))

    def read(self):
        data = bytearray(self.shard.read_bytes())
        size = struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8 : 8 + size]), data, 8 + size

    def found(self, *phrases):
        done = harness.run("verify", self.out)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for phrase in phrases:
            self.assertIn(phrase, done.stdout + done.stderr)

    def edit(self, path, change):
        path.chmod(0o600)
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    def spoil(self, name, offset, byte):
        header, data, start = self.read()
        at = start + header[name]["data_offsets"][0] + offset
        data[at] = byte(data[at])
        self.shard.chmod(0o600)
        self.shard.write_bytes(data)

    def test_untouched(self):
        self.assertSucceeded(harness.run("verify", self.out))

    def test_a_weight_byte_that_changed(self):
        self.spoil("model.layers.1.mlp.up_proj.weight", 777, lambda byte: byte ^ 0x55)
        self.found("model.layers.1.mlp.up_proj.weight")

    def test_a_scale_that_is_no_number(self):
        name = "model.layers.0.mlp.up_proj.input_scale"
        header, _, _ = self.read()
        last = header[name]["data_offsets"][1] - header[name]["data_offsets"][0] - 1
        self.spoil(name, last, lambda byte: 0x7F)  # little-endian: the upper half of a quiet NaN, in f32 and in bf16
        self.spoil(name, last - 1, lambda byte: 0xC0)
        self.found(name)

    def test_a_truncated_shard(self):
        data = self.shard.read_bytes()
        self.shard.chmod(0o600)
        self.shard.write_bytes(data[:-100])
        self.found(self.shard.name)

    def test_a_missing_shard(self):
        self.shard.unlink()
        self.found(self.shard.name)

    def test_a_tensor_missing_from_the_shard(self):
        header, data, start = self.read()
        text = json.dumps(header).replace('"model.layers.0.mlp.up_proj.deq_scale"', '"model.layers.0.mlp.up_proj.deq_scalf"')
        self.shard.chmod(0o600)
        self.shard.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data[start:])
        self.found("model.layers.0.mlp.up_proj.deq_scale")

    def test_a_tensor_missing_from_the_index(self):
        self.edit(self.index, lambda index: index["weight_map"].pop("model.layers.0.mlp.up_proj.weight"))
        self.found("model.layers.0.mlp.up_proj.weight")

    def test_a_tensor_missing_from_the_description(self):
        self.edit(self.description, lambda description: description.pop("model.layers.0.mlp.up_proj.weight"))
        self.found("model.layers.0.mlp.up_proj.weight")

    def test_an_altered_description(self):
        self.edit(self.description, lambda description: description.update({"model.layers.0.mlp.up_proj.weight": "FLOAT"}))
        self.found("model.layers.0.mlp.up_proj.weight")

    def test_a_type_that_does_not_exist(self):
        self.edit(self.description, lambda description: description.update({"model.layers.0.mlp.up_proj.weight": "W7A7"}))
        self.found("model.layers.0.mlp.up_proj.weight")

    def test_no_output_there(self):
        done = harness.run("verify", self.dir / "nothing")
        self.assertRefused(done, "nothing")

    def test_not_an_output(self):
        done = harness.run("verify", self.dir / "model")
        self.assertRefused(done)


if __name__ == "__main__":
    harness.main()
