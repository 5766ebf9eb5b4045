#!/usr/bin/python3
"""Checkpoints as they are found: configurations of both generations, names with other prefixes, more tensors than the model uses."""

import json
import re
import shutil

import harness

SMALL = dict(hidden_size=64, num_hidden_layers=2)


class SourcesTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.static = self.recipe(name="static.yaml")
        # What no forward pass reaches in a model with an MTP layer stays float.
        self.reached = self.recipe(harness.recipe(more="      exclude: ['*eh_proj', '*shared_head*']\n"), "reached.yaml")
        self.dynamic = self.recipe(harness.recipe(harness.DYNAMIC), "dynamic.yaml")

    def config(self, model, **changes):
        config = json.loads((model / "config.json").read_text())
        for key, value in changes.items():
            config.pop(key, None)
            if value != "absent":
                config[key] = value
        (model / "config.json").write_text(json.dumps(config))

    def twin(self, model, name, **changes):
        """The same weights under another config.json."""
        other = self.dir / name
        shutil.copytree(model, other)
        self.config(other, **changes)
        return other

    def weights(self, model, recipe_path, *more):
        """Digests of the weight files that the model gives, and what was said."""
        out = self.dir / ("out-" + model.name)
        shutil.rmtree(out, ignore_errors=True)
        done = harness.run("quant", "--model_path", model, "--save_path", out, "--config_path", recipe_path, *more, cwd=self.dir)
        self.assertSucceeded(done)
        return {name: digest for name, digest in harness.products(out).items() if name.endswith(".safetensors")}, done

    def rename(self, model, change):
        """Gives the tensors of the one weight file other names; `change` returns the new name."""
        path = model / "model.safetensors"
        header, begin = harness.header_of(path)
        data = path.read_bytes()[begin:]
        text = json.dumps({change(name): entry for name, entry in header.items()}).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)

    def add(self, model, *names):
        """Adds tensors of four bf16 zeros."""
        path = model / "model.safetensors"
        header, begin = harness.header_of(path)
        data = path.read_bytes()[begin:]
        for name in names:
            header[name] = {"dtype": "BF16", "shape": [4], "data_offsets": [len(data), len(data) + 8]}
            data += bytes(8)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)

    # ---- configurations ----

    def test_both_generations_mean_the_same(self):
        for family, old in (
            ("qwen2", dict(rope_theta=5e5)),
            ("qwen3_moe", dict(rope_theta=5e5)),
            ("qwen3_next", dict(rope_theta=5e5, partial_rotary_factor=0.5)),
            ("deepseek_v3", dict(rope_theta=5e5)),
        ):
            with self.subTest(family):
                model = self.model(family, family=family)
                self.config(model, **old)
                settings = {"rope_type": "default", "rope_theta": 5e5}
                if "partial_rotary_factor" in old:
                    settings["partial_rotary_factor"] = 0.5
                gone = dict(rope_theta="absent", partial_rotary_factor="absent", rope_scaling="absent", torch_dtype="absent")
                scaling = json.loads((model / "config.json").read_text()).get("rope_scaling") or {}
                settings.update({key: value for key, value in scaling.items() if key != "type"})
                settings["rope_type"] = scaling.get("type", scaling.get("rope_type", "default"))
                new = dict(gone, dtype="bfloat16", rope_parameters=settings)
                if family == "qwen3_moe":
                    new.update(num_experts="absent", num_local_experts=json.loads((model / "config.json").read_text())["num_experts"])
                want, _ = self.weights(model, self.reached, "--idle-experts", "pool")
                for name, changes in (("flat", new), ("nested", dict(new, rope_parameters={"full_attention": settings}))):
                    got, done = self.weights(self.twin(model, f"{family}-{name}", **changes), self.reached, "--idle-experts", "pool")
                    self.assertEqual(got, want, name)
                    self.assertNotIn("disagree", done.stderr)
                other, _ = self.weights(self.twin(model, f"{family}-other", rope_theta=1e4), self.reached, "--idle-experts", "pool")
                self.assertNotEqual(other, want, "rope_theta makes no difference: the test sees nothing")

    def test_old_and_new_that_disagree_are_told(self):
        model = self.model("old", family="qwen3_moe")
        self.config(model, rope_theta=5e5)
        for changes, told in (
            (dict(rope_parameters={"rope_theta": 1e4}), "rope_parameters.rope_theta (10000.0) and config.json: rope_theta (500000.0)"),
            (dict(dtype="float32"), 'dtype ("float32") and config.json: torch_dtype ("bfloat16")'),
            (dict(num_local_experts=3), "and config.json: num_local_experts (3)"),
        ):
            with self.subTest(told):
                _, done = self.weights(self.twin(model, "new", **changes), self.dynamic)
                self.assertIn(told, done.stderr)
                shutil.rmtree(self.dir / "new")

    def test_a_window_that_no_sample_reaches(self):
        model = self.model("plain", **SMALL)
        want, _ = self.weights(model, self.static)
        window = dict(use_sliding_window=True, sliding_window=4096, max_window_layers=0)
        self.assertEqual(self.weights(self.twin(model, "wide", **window), self.static)[0], want)
        self.assertEqual(self.weights(self.twin(model, "narrow", **{**window, "sliding_window": 3}), self.dynamic)[0],
                         self.weights(model, self.dynamic)[0])  # fmt: skip
        done = harness.run("analyze", "--model_path", self.dir / "narrow", "--calib_dataset", "calib.jsonl", cwd=self.dir)
        self.assertRefused(done, "sliding_window", codes={301})

    def test_not_llama(self):
        """Tensors like Llama's under another type: what needs data is refused, what needs none works by names."""
        model = self.model("llama", family="llama", **SMALL)
        for name, changes in (
            ("granite", dict(model_type="granite", logits_scaling=8.0)),
            ("gemma", dict(model_type="gemma")),
            ("clone", dict(model_type="clone", use_qk_norm=True)),
        ):
            with self.subTest(name):
                twin = self.twin(model, name, **changes)
                for command in ("quant", "plan"):
                    save = ["--save_path", self.out] if command == "quant" else []
                    done = harness.run(command, "--model_path", twin, "--config_path", self.static, *save, cwd=self.dir)
                    self.assertRefused(done, name, "needs calibration data", codes={301})
                self.assertEqual(self.weights(twin, self.dynamic)[0], self.weights(model, self.dynamic)[0])
        for name, changes, told in (
            ("vlm", dict(model_type="qwen2_vl", vision_config={"depth": 1}), "vision_config"),
            ("embedder", dict(is_causal=False), "is_causal"),
        ):
            done = harness.run("plan", "--model_path", self.twin(model, name, **changes), "--config_path", self.dynamic)
            self.assertRefused(done, told, codes={301})

    # ---- names ----

    def test_prefixes(self):
        model = self.model("plain", **SMALL)
        want, _ = self.weights(model, self.static)
        for prefix in ("", "model.language_model.", "language_model.model."):
            with self.subTest(prefix):
                other = self.twin(model, "renamed")
                self.rename(other, lambda name: re.sub(r"^model\.", prefix, name))
                got, done = self.weights(other, self.static)
                self.assertEqual(got, want)
                self.assertIn(f"'{prefix}layers.0...'", done.stderr)
                done = harness.run("verify", self.dir / "out-renamed", "--model_path", other)
                self.assertSucceeded(done)
                shutil.rmtree(other)

    # ---- tensors that no output has ----

    def test_losses_need_a_word(self):
        for tensor in ("visual.patch_embed.proj.weight", "mtp.layers.0.eh_proj.weight", "model.layers.0.self_attn.o_proj.bias",
                       "model.layers.2.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.lora_A.weight"):  # fmt: skip
            with self.subTest(tensor):
                model = self.model("more", **SMALL)
                self.add(model, tensor)
                for command in ("quant", "plan"):
                    save = ["--save_path", self.out] if command == "quant" else []
                    done = harness.run(command, "--model_path", model, "--config_path", self.dynamic, *save)
                    self.assertRefused(done, tensor, "--drop", codes={201})
                self.assertFalse(self.out.exists())
                _, done = self.weights(model, self.dynamic, "--drop", tensor)
                self.assertEqual(done.stdout.count(tensor), 2, "once in the plan, once in the summary")
                done = harness.run("verify", self.dir / "out-more", "--model_path", model)
                self.assertSucceeded(done)
                self.assertIn(tensor, done.stdout)
                shutil.rmtree(model)

    def test_what_the_original_leaves_out_is_told(self):
        model = self.model("next", family="qwen3_next")
        self.add(model, "mtp.fc.weight", "mtp.layers.0.mlp.experts.0.up_proj.weight", "mtp.layers.0.mlp.experts.1.up_proj.weight")
        _, done = self.weights(model, self.dynamic)
        self.assertIn("mtp.fc.weight (8 B)", done.stdout)
        self.assertIn("mtp.layers.*.mlp.experts.*.up_proj.weight (2 tensors, 16 B", done.stdout)
        self.assertIn("warning", done.stdout)

    def test_ballast_is_not_told(self):
        model = self.model("old", **SMALL)
        self.add(model, "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.1.self_attn.rotary_emb.cos_cached")
        _, done = self.weights(model, self.dynamic)
        self.assertNotIn("inv_freq", done.stdout)

    def test_a_pattern_that_says_nothing_is_told(self):
        _, done = self.weights(self.model("plain", **SMALL), self.dynamic, "--drop", "visual.*")
        self.assertIn("--drop visual.*: matches no tensor that would be lost", done.stdout)

    # ---- small files ----

    def test_tokenizers_that_are_no_json_are_copied(self):
        model = self.model("plain", **SMALL)
        for name in ("tokenizer.model", "qwen.tiktoken", "chat_template.jinja"):
            (model / name).write_bytes(b"\x0a\x05\x0a\x01a")
        self.weights(model, self.dynamic)
        for name in ("tokenizer.model", "qwen.tiktoken", "chat_template.jinja"):
            self.assertEqual((self.dir / "out-plain" / name).read_bytes(), b"\x0a\x05\x0a\x01a")


if __name__ == "__main__":
    harness.main()
