#!/usr/bin/python3
"""The Python tools that write checkpoints."""

import json
import struct
import unittest

import harness
import numpy
from harness import checkpoint, make_random_checkpoint


class RoundingTest(unittest.TestCase):
    def test_bfloat16_is_nearest_even(self):
        word = numpy.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0x7F800001, 0xFF800000], numpy.uint32)
        codes = checkpoint.to_bfloat16(word.view(numpy.float32))
        self.assertEqual([hex(code) for code in codes], ["0x3f80", "0x3f82", "0x3f81", "0x3f80", "0x7f80", "0x7fc0", "0xff80"])

    def test_e4m3_is_nearest_even_and_saturates(self):
        table = checkpoint.e4m3_table()
        self.assertEqual(table[-1], 448.0)
        self.assertEqual(table[1], 2.0**-9)
        self.assertTrue((checkpoint.to_e4m3(table) == numpy.arange(127)).all())
        self.assertTrue((checkpoint.to_e4m3(-table[1:]) == numpy.arange(1, 127) + 128).all())
        between = [(table[code] + table[code + 1]) / 2 for code in (6, 7, 100, 101)]
        self.assertEqual(list(checkpoint.to_e4m3(numpy.array(between))), [6, 8, 100, 102])
        self.assertEqual(list(checkpoint.to_e4m3(numpy.array([1e9, -1e9]))), [126, 254])


class RandomCheckpointTest(harness.WholeTest):
    def test_every_family_fills_its_files(self):
        for family in make_random_checkpoint.FAMILIES:
            with self.subTest(family):
                folder = harness.write_model(self.dir / family, family, fp8=family.startswith("deepseek"), shard_bytes=1 << 20)
                index = json.loads((folder / "model.safetensors.index.json").read_text())
                total = 0
                for name in set(index["weight_map"].values()):
                    data = (folder / name).read_bytes()
                    size = struct.unpack("<Q", data[:8])[0]
                    header = json.loads(data[8 : 8 + size])
                    ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
                    self.assertEqual(max(ends), len(data) - 8 - size)
                    total += max(ends)
                self.assertEqual(index["metadata"]["total_size"], total)

    def test_same_seed_same_bytes(self):
        one, two, three = (harness.write_model(self.dir / str(n), "qwen3", seed=seed) for n, seed in enumerate((5, 5, 6)))
        self.assertEqual(harness.digests(one), harness.digests(two))
        self.assertNotEqual(harness.digests(one)["model.safetensors"], harness.digests(three)["model.safetensors"])

    def test_block_scales_give_back_the_weights(self):
        config = make_random_checkpoint.configured("deepseek_v3", {})
        make = make_random_checkpoint.Maker(config, "BF16", True, 0)
        weight, scales = make.linear("x", 300, 200)
        codes = numpy.frombuffer(b"".join(weight.pieces()), numpy.uint8).reshape(300, 200)
        scale = numpy.frombuffer(b"".join(scales.pieces()), numpy.float32).reshape(3, 2)
        table = numpy.concatenate([checkpoint.e4m3_table(), [numpy.nan]])
        values = table[codes & 127] * numpy.where(codes > 127, -1, 1) * scale.repeat(128, 0)[:300].repeat(128, 1)[:, :200]
        wanted = numpy.concatenate(list(make.values("x.weight", 300, 200, 1.0, False)))
        error = numpy.abs(values - wanted) / numpy.maximum(numpy.abs(wanted), scale.max() * 2.0**-5)
        self.assertLess(error.max(), 0.068)  # half a step of three fraction bits, and the way over half precision
        self.assertGreater(error.max(), 0.05)


if __name__ == "__main__":
    harness.main()
