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

    def test_a_layer_with_a_part_of_another_type(self):
        self.edit(self.description, lambda description: description.update({"model.layers.0.mlp.up_proj.deq_scale": "W8A16"}))
        self.found("model.layers.0.mlp.up_proj.deq_scale")

    def test_a_part_without_its_layer(self):
        def demote(description):
            name = "model.layers.0.mlp.up_proj"
            self.retype(name + ".weight", "F8_E4M3")  # a float of the same size
            description[name + ".weight"] = "FLOAT"

        self.edit(self.description, demote)
        self.found("model.layers.0.mlp.up_proj.deq_scale")

    def header(self, change):
        """Rewrites the header of the shard."""
        header, data, start = self.read()
        change(header)
        text = json.dumps(header, separators=(",", ":")).encode()
        self.shard.chmod(0o600)
        self.shard.write_bytes(struct.pack("<Q", len(text)) + text + data[start:])

    def retype(self, name, dtype):
        self.header(lambda header: header[name].update(dtype=dtype))

    def reshape(self, name, shape):
        self.header(lambda header: header[name].update(shape=shape(header[name]["shape"])))

    def test_shapes_that_do_not_fit(self):
        whole = self.shard.read_bytes()
        halved, stood = lambda shape: [shape[0] // 2, shape[1] * 2], lambda shape: [2, shape[0] // 2]
        column = lambda shape: [shape[0], 1]  # noqa: E731
        for name, shape in (
            ("model.layers.0.self_attn.q_proj.weight", halved),
            ("model.layers.1.mlp.down_proj.deq_scale", stood),
            ("model.layers.1.mlp.down_proj.quant_bias", column),
            ("model.layers.1.mlp.gate_proj.input_scale", column),
            ("model.layers.0.self_attn.q_proj.bias", stood),
            ("model.layers.0.input_layernorm.weight", stood),
            ("model.embed_tokens.weight", halved),
        ):
            # The sums are those of other bytes of the ledger: the shape alone has to be noticed.
            with self.subTest(name):
                self.reshape(name, shape)
                self.found(name if shape != halved else name.removesuffix(".weight"))
                self.shard.write_bytes(whole)

    def test_globals_of_the_description(self):
        whole = self.description.read_text()
        for key, value in (
            ("version", "2.0.0"), ("version", None), ("model_quant_type", "W4A4"), ("model_quant_type", "W8A8_DYNAMIC"),
            ("group_size", 128), ("group_size", "0"), ("kv_cache_type", "C8"), ("fa_quant_type", "FAKQuant"), ("metadata", []),
            ("metadata", {"quarot": {"heads_rotation": {"layers": ["model.layers.0.self_attn.o_proj"]}}}),
            ("optional", {"quarot": {"rotation_map": {"global_rotation": "optional/quarot.safetensors"}}}),
        ):  # fmt: skip
            with self.subTest(key, value=value):
                self.edit(self.description, lambda d, key=key, value=value: d.update({key: value}) if value is not None else d.pop(key))
                # Also where no checksum of the file gives it away.
                done = harness.run("verify", self.out, "--no-checksums")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("quarot" if value and key in ("metadata", "optional") else key, done.stdout)
                self.found(self.description.name)
                self.description.write_text(whole)

    def test_small_files(self):
        def cut(path):
            path.write_text(path.read_text()[: len(path.read_text()) // 2])

        damages = {"missing": lambda path: path.unlink(), "empty": lambda path: path.write_text(""), "cut": cut,
                   "other": lambda path: path.write_text(path.read_text() + " ")}  # fmt: skip
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json", self.index.name):
            whole = (self.out / name).read_bytes()
            for kind, damage in damages.items():
                with self.subTest(name, damage=kind):
                    damage(self.out / name)
                    self.found(name)
                (self.out / name).write_bytes(whole)
        self.assertSucceeded(harness.run("verify", self.out))

    def test_the_ledger_has_every_checksum_and_no_other(self):
        ledger = self.out / "quant_model_ledger.json"
        whole = ledger.read_text()
        name = "model.layers.1.mlp.up_proj.weight"
        changes = {
            "no checksums": (lambda l: l.pop("hashes"), "hashes"),
            "no list of files": (lambda l: l.pop("files"), "files"),
            "one is missing": (lambda l: l["hashes"].pop(name), name),
            "one is no text": (lambda l: l["hashes"].update({name: 5}), name),
            "one is another": (lambda l: l["hashes"].update({name: "0" * 32}), name),
            "one too many": (lambda l: l["hashes"].update(more="0" * 32), "more"),
            "a file too many": (lambda l: l["files"].update({"more.json": "0" * 32}), "more.json"),
            "a file outside": (lambda l: l["files"].update({"../model/config.json": "0" * 32}), "../model/config.json"),
            "config.json is not listed": (lambda l: l["files"].pop("config.json"), "config.json"),
        }
        for kind, (change, phrase) in changes.items():
            with self.subTest(kind):
                self.edit(ledger, change)
                self.found(phrase)
                ledger.write_text(whole)
        ledger.unlink()
        self.found(ledger.name, "--no-checksums")
        self.assertSucceeded(harness.run("verify", self.out, "--no-checksums"))

    def test_a_module_that_config_json_has(self):
        config = self.out / "config.json"
        self.edit(config, lambda values: values.update(num_hidden_layers=values["num_hidden_layers"] + 1))
        self.found("config.json", "model.layers.2.mlp.up_proj.weight")

    def test_no_output_there(self):
        done = harness.run("verify", self.dir / "nothing")
        self.assertRefused(done, "nothing")

    def test_not_an_output(self):
        done = harness.run("verify", self.dir / "model")
        self.assertRefused(done)


if __name__ == "__main__":
    harness.main()
