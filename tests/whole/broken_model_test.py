#!/usr/bin/python3
"""Checkpoints that are damaged: one clear error each, no crash, nothing that looks complete."""

import json
import shutil
import struct

import harness
import numpy


class BrokenModelTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model(shard_bytes=1 << 20, hidden_size=128, num_hidden_layers=3)
        self.shards = sorted(self.source.glob("model-*.safetensors"))
        self.path = self.recipe()
        self.assertGreater(len(self.shards), 1)

    def refused(self, *phrases, codes=None):
        shutil.rmtree(self.out, ignore_errors=True)
        self.assertRefused(self.quant(self.source, self.path), *phrases, codes=codes)
        self.assertNothingComplete()

    def edit_json(self, name, change):
        path = self.source / name
        value = json.loads(path.read_text())
        change(value)
        path.write_text(json.dumps(value))

    def header(self, path):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        return json.loads(data[8 : 8 + size]), data[8 + size :]

    def write(self, path, header, data):
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)

    def test_missing_shard(self):
        self.shards[1].unlink()
        self.refused(self.shards[1].name, codes={201})

    def test_truncated_shard(self):
        size = self.shards[1].stat().st_size
        for kept in (0, 1, 7, 8, 9, 100, size // 2, size - 1):
            with self.subTest(kept):
                data = self.shards[1].read_bytes()
                self.shards[1].write_bytes(data[:kept])
                self.refused(self.shards[1].name, codes={201})
                self.shards[1].write_bytes(data)

    def test_longer_shard(self):
        with open(self.shards[0], "ab") as out:
            out.write(b"more")
        self.refused(self.shards[0].name, codes={201})

    def test_every_other_file_cut_anywhere(self):
        for name in ("config.json", "model.safetensors.index.json", "tokenizer.json"):
            whole = (self.source / name).read_bytes()
            for part in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 3):
                with self.subTest(name, kept=part):
                    (self.source / name).write_bytes(whole[:part])
                    self.refused(name)
            (self.source / name).write_bytes(whole)

    def test_missing_files(self):
        for name in ("config.json", "tokenizer.json"):
            with self.subTest(name):
                whole = (self.source / name).read_bytes()
                (self.source / name).unlink()
                self.refused()
                (self.source / name).write_bytes(whole)

    def test_no_weights_at_all(self):
        for path in [*self.shards, self.source / "model.safetensors.index.json"]:
            path.unlink()
        self.refused(codes={201})

    def test_index_names_a_tensor_that_no_shard_has(self):
        self.edit_json("model.safetensors.index.json", lambda index: index["weight_map"].update({"model.layers.0.ghost.weight": self.shards[0].name}))
        self.refused("model.layers.0.ghost.weight", codes={201})

    def test_index_leads_out_of_the_directory(self):
        def lead_out(index):
            name = next(iter(index["weight_map"]))
            index["weight_map"][name] = "../model/" + self.shards[0].name

        self.edit_json("model.safetensors.index.json", lead_out)
        self.refused(codes={201, 204})

    def test_missing_tensor(self):
        def forget(index):
            del index["weight_map"]["model.layers.1.mlp.up_proj.weight"]

        self.edit_json("model.safetensors.index.json", forget)
        header, data = self.find("model.layers.1.mlp.up_proj.weight")
        path = self.holder("model.layers.1.mlp.up_proj.weight")
        header["model.layers.1.mlp.other.weight"] = header.pop("model.layers.1.mlp.up_proj.weight")
        self.write(path, header, data)
        self.refused("model.layers.1.mlp.up_proj.weight", codes={201})

    def holder(self, tensor):
        index = json.loads((self.source / "model.safetensors.index.json").read_text())
        name = index["weight_map"].get(tensor)
        if name:
            return self.source / name
        return next(path for path in self.shards if tensor in self.header(path)[0])

    def find(self, tensor):
        return self.header(self.holder(tensor))

    def test_wrong_shape(self):
        name = "model.layers.0.self_attn.k_proj.weight"
        header, data = self.find(name)
        header[name]["shape"].reverse()
        self.write(self.holder(name), header, data)
        self.refused(name, codes={201})

    def test_integer_weights(self):
        name = "model.layers.0.self_attn.k_proj.weight"
        header, data = self.find(name)
        header[name]["dtype"] = "I16"
        self.write(self.holder(name), header, data)
        self.refused(name)

    def spoil(self, tensor, value):
        path = self.holder(tensor)
        header, data = self.header(path)
        begin, end = header[tensor]["data_offsets"]
        words = numpy.frombuffer(data, numpy.uint16, (end - begin) // 2, begin).copy()
        words[len(words) // 2] = value
        self.write(path, header, data[:begin] + words.tobytes() + data[end:])

    def test_weights_that_are_no_numbers(self):
        for value in (0x7FC0, 0x7F80, 0xFF80):  # NaN and both infinities in bfloat16
            path = self.holder("model.layers.1.mlp.down_proj.weight")
            whole = path.read_bytes()
            self.spoil("model.layers.1.mlp.down_proj.weight", value)
            with self.subTest(hex(value)):
                self.refused("model.layers.1.mlp.down_proj")
            path.write_bytes(whole)

    def test_configurations_that_cannot_be(self):
        whole = (self.source / "config.json").read_text()
        values = {
            "hidden_size": [0, -1, "128", None, 1.5, 10**12, 127],
            "num_hidden_layers": [0, -3, 10**9, "three"],
            "num_attention_heads": [0, 7, -4],
            "num_key_value_heads": [0, 3],
            "vocab_size": [0, 100, 10**15],
            "rms_norm_eps": ["tiny", -1.0],
            "rope_theta": [0, -1.0, "x"],
            "rope_scaling": [{"type": "unheard of"}, {"rope_type": "yarn"}, 3],
            "hidden_act": ["swoosh", 5],
            "tie_word_embeddings": ["yes"],
            "torch_dtype": ["float3"],
        }
        for key, bad in values.items():
            for value in bad:
                (self.source / "config.json").write_text(whole)
                self.edit_json("config.json", lambda config: config.update({key: value}))
                with self.subTest(key, value=value):
                    self.refused("config.json")
                    if key != "vocab_size":  # found out by the shape of the embedding
                        self.refused(key)

    def test_vocabulary_smaller_than_the_tokenizer(self):
        index = {"model": {"vocab": {}}}
        tokenizer = json.loads((self.source / "tokenizer.json").read_text())
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["Ġthe"] = 100000
        (self.source / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.refused("100000")
        self.assertTrue(index)


class BadDataTest(harness.WholeTest):
    """Calibration files."""

    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=64, num_hidden_layers=1)

    def refused(self, name, *phrases):
        done = self.quant(self.source, self.recipe(harness.recipe(dataset=name)))
        self.assertRefused(done, *phrases)
        self.assertNothingComplete()

    def test_missing(self):
        self.refused("nowhere.jsonl", "nowhere.jsonl")

    def test_bad_lines(self):
        for text in ("", "\n", "{}\n\n", "[1]\n", '{"inputs_pretokenized": 3}\n', '{"inputs_pretokenized": "a"\n', "\x00\n"):
            with self.subTest(text):
                (self.dir / "bad.jsonl").write_text(text)
                self.refused("bad.jsonl", "bad.jsonl")

    def test_not_utf8(self):
        (self.dir / "bad.jsonl").write_bytes(b'{"inputs_pretokenized": "\xff\xfe"}\n')
        self.refused("bad.jsonl", "bad.jsonl")

    def test_wrong_suffix(self):
        (self.dir / "data.txt").write_text("hello")
        self.refused("data.txt", "data.txt")


if __name__ == "__main__":
    harness.main()
