#!/usr/bin/python3
"""modelslim_v0: what it refuses and where, its files, its stages, and the modelslim_v1 recipe that computes the same."""

import json
import signal
import stat
import subprocess
import time

import harness
import same_bytes_test

W8A8 = "{w_bit: 8, a_bit: 8, act_method: 1, mm_tensor: false}"


def recipe(calib_cfg=W8A8, more="", dataset="calib.jsonl"):
    return f"apiversion: modelslim_v0\nspec:\n  calib_cfg: {calib_cfg}\n  calib_dataset: {dataset}\n{more}"


def anti(method, more=""):
    return f"  anti_cfg: {{anti_method: {method}{more}}}\n"


class RefusalTest(harness.WholeTest):
    def plan(self, text, **model):
        source = self.model(num_hidden_layers=2, **model)
        return harness.run("plan", "--model_type", "Qwen2.5-7B-Instruct", "--model_path", source, "--config_path", self.recipe(text), cwd=self.dir)

    def test_names_that_do_not_exist(self):
        names = "disable_names: [model.layers.0.mlp.down_proj, model.layers.0.mlp.down_prj, model.layers.7.mlp.up_proj]"
        done = self.plan(recipe(f"{{w_bit: 8, a_bit: 8, mm_tensor: false, {names}}}", anti("m4", ", disable_anti_names: [modle.layers.1.mlp.up_proj]")))
        self.assertRefused(done, "recipe.yaml:3:", "disable_names[1]", "'model.layers.0.mlp.down_prj'", "'model.layers.0.mlp.down_proj'",
                           "disable_names[2]", "disable_anti_names[0]", "'model.layers.1.mlp.up_proj'", codes={203})  # fmt: skip
        self.assertNotIn("disable_names[0]", done.stderr.replace("disable_anti_names[0]", ""))

    def test_what_is_not_computed_says_where(self):
        for key, value, cfg in (
            ("w_bit", "UNKNOWN", "{w_bit: 5, a_bit: 8, mm_tensor: false}"),
            ("mm_tensor", "mm_tensor: false", "{w_bit: 8, a_bit: 8}"),
            ("w_method", "HQQ", "{w_bit: 8, a_bit: 16, w_method: HQQ, mm_tensor: false}"),
            ("pr", "random", "{w_bit: 8, a_bit: 8, pr: 0.5, mm_tensor: false}"),
            ("do_smooth", "anti_cfg", "{w_bit: 4, a_bit: 8, is_lowbit: true, do_smooth: true, mm_tensor: false}"),
            ("nonuniform", "power", "{w_bit: 4, a_bit: 8, co_sparse: true, nonuniform: true, mm_tensor: false}"),
            ("use_fa_quant", "fa3_quant", "{w_bit: 8, a_bit: 8, use_fa_quant: true, fa_amp: 2, mm_tensor: false}"),
        ):
            with self.subTest(key):
                done = self.plan(recipe(cfg))
                self.assertRefused(done, "recipe.yaml", f"spec.calib_cfg.{key}", value, "TIP:")
                self.assertNothingComplete()

    def test_names_of_files_and_missing_samples(self):
        done = self.plan(recipe(more="  calib_save_params: {safetensors_name: ../x.safetensors}\n"))
        self.assertRefused(done, "recipe.yaml:5:", "safetensors_name", codes={203})
        done = self.plan(recipe("{w_bit: 8, a_bit: 16, mm_tensor: false}", anti("m1"), "null"))
        self.assertRefused(done, "spec.anti_cfg", "anti_dataset", codes={203})

    def test_a_family_without_an_adapter(self):
        source = self.model(family="deepseek_v3")
        done = harness.run("plan", "--model_type", "DeepSeek-R1", "--model_path", source, "--config_path", self.recipe(recipe()), cwd=self.dir)
        self.assertRefused(done, "recipe.yaml:1:", "no adapter", codes={203})

    def test_what_is_ours_is_said(self):
        for method in ("m2", "m5"):
            done = self.plan(recipe(more=anti(method)))
            self.assertSucceeded(done)
            self.assertIn(f"the algorithm of {method} is not known", done.stdout)
        done = self.plan(recipe(more="  calib_params: {disable_level: L3}\n"))
        self.assertIn("3 layers more will stay float", done.stdout)


class FilesTest(harness.WholeTest):
    def run_recipe(self, text, **model):
        source = self.model(**{"num_hidden_layers": 2, **model})
        self.quantized(source, self.recipe(text))
        return source, json.loads((self.out / "quant_model_description.json").read_text())

    def test_names_types_and_permissions(self):
        source, said = self.run_recipe(recipe(more="  calib_save_params: {part_file_size: 1}\n"))
        self.assertEqual(list(said)[:2], ["version", "model_quant_type"])
        self.assertEqual(said["model_quant_type"], "W8A8")
        self.assertNotIn("metadata", said)
        weights = self.out / "quant_model_weight_w8a8-00001-of-00001.safetensors"
        self.assertEqual(stat.S_IMODE(weights.stat().st_mode), 0o400)
        self.assertTrue((self.out / "quant_model_weight_w8a8.safetensors.index.json").exists())
        for name in ("quant_model_description.json", "config.json"):
            self.assertEqual(stat.S_IMODE((self.out / name).stat().st_mode), 0o600, name)
        self.assertEqual((self.out / "config.json").read_bytes(), (source / "config.json").read_bytes())
        self.assertTrue((self.out / "quant_model_description.json").read_text().startswith('{\n  "version"'))
        header, _ = harness.header_of(weights)
        self.assertEqual(header["model.layers.0.mlp.up_proj.weight_scale"]["dtype"], "BF16")
        self.assertEqual(header["model.layers.0.self_attn.q_proj.bias"]["dtype"], "BF16")
        self.assertEqual(harness.run("verify", self.out).returncode, 0)

    def test_a_name_of_ones_own(self):
        self.run_recipe(recipe(more="  calib_save_params: {safetensors_name: mine.safetensors}\n"))
        self.assertTrue((self.out / "mine.safetensors").exists())

    def test_every_type_is_written_and_verified(self):
        groups = "is_lowbit: true, open_outlier: false, group_size: 32, mm_tensor: false"
        for number, (cfg, type_name) in enumerate((
            ("{w_bit: 8, a_bit: 8, is_dynamic: true, mm_tensor: false}", "W8A8_DYNAMIC"),
            ("{w_bit: 8, a_bit: 16, mm_tensor: false}", "W8A16"),
            ("{w_bit: 8, a_bit: 16, w_sym: false, mm_tensor: false}", "W8A16"),
            ("{w_bit: 8, a_bit: 16, w_method: GPTQ, mm_tensor: false}", "W8A16"),
            ("{w_bit: 4, a_bit: 16, mm_tensor: false}", "W4A16"),
            (f"{{w_bit: 4, a_bit: 16, w_sym: false, {groups}}}", "W4A16"),
            (f"{{w_bit: 4, a_bit: 16, w_method: GPTQ, {groups}}}", "W4A16"),
            (f"{{w_bit: 4, a_bit: 8, is_dynamic: true, {groups}}}", "W4A8_DYNAMIC"),
            (f"{{w_bit: 4, a_bit: 8, is_dynamic: true, w_method: GPTQ, {groups}}}", "W4A8_DYNAMIC"),
            ("{w_bit: 8, a_bit: 8, pdmix: true, act_method: 2, use_kvcache_quant: true, mm_tensor: false}", "W8A8_MIX"),
            ("{w_bit: 4, a_bit: 8, co_sparse: true, mm_tensor: false}", "W8A8S"),
            ("{w_bit: 4, a_bit: 8, is_lowbit: true, use_sigma: true, mm_tensor: false}", "W8A8S"),
        )):  # fmt: skip
            with self.subTest(cfg):
                self.out = self.dir / f"out-{number}"
                source = self.model(f"model-{number}", num_hidden_layers=1, hidden_size=96, intermediate_size=160)
                self.quantized(source, self.recipe(recipe(cfg)))
                said = json.loads((self.out / "quant_model_description.json").read_text())
                self.assertEqual(said["model_quant_type"], type_name)
                self.assertEqual(said["model.layers.0.mlp.up_proj.weight"], type_name)
                done = harness.run("verify", self.out, "--model_path", source)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_mixed_types(self):
        mix = '  calib_params: {mix_cfg: {"*.mlp.*": w8a8_dynamic, model.layers.1.mlp.up_proj: float, "*.o_proj": w8a16}}\n'
        cfg = "{w_bit: 8, a_bit: 8, mm_tensor: false, disable_names: [model.layers.0.mlp.gate_proj]}"
        _, said = self.run_recipe(recipe(cfg, mix))
        for module, type_name in (("0.mlp.up_proj", "W8A8_DYNAMIC"), ("1.mlp.up_proj", "FLOAT"), ("0.mlp.gate_proj", "FLOAT"),
                                  ("1.self_attn.o_proj", "W8A16"), ("0.self_attn.q_proj", "W8A8")):  # fmt: skip
            self.assertEqual(said[f"model.layers.{module}.weight"], type_name, module)

    def test_the_data_decide(self):
        _, said = self.run_recipe(recipe("{w_bit: 8, a_bit: 8, act_method: 3, mm_tensor: false}", "  calib_params: {disable_level: L4}\n"))
        floats = [name for name, value in said.items() if value == "FLOAT" and name.endswith("_proj.weight")]
        self.assertEqual(len(floats), 4, floats)


class StagesTest(same_bytes_test.SameBytesTest):
    """Two and three stages: the bytes depend on neither threads nor memory, and an interrupted run goes on to them."""

    # Those of the class that this one borrows check() from run in their own file.
    test_static = test_smoothing_on_qwen3 = test_histogram = test_data_free = None
    test_a_hopeless_memory_limit_is_refused_with_the_need = None

    def test_smoothing_and_cache(self):
        cfg = "{w_bit: 8, a_bit: 8, act_method: 2, use_kvcache_quant: true, mm_tensor: false}"
        harness.write_calibration(self.dir / "anti.jsonl", samples=3, repeat=2)
        more = anti("m4") + "  anti_dataset: anti.jsonl\n  batch_size: 2\n"
        self.check(recipe(cfg, more), family="qwen3", hidden_size=136, intermediate_size=264, head_dim=40, num_key_value_heads=1)

    def test_sparse_after_m6(self):
        cfg = "{w_bit: 4, a_bit: 8, co_sparse: true, fraction: 0.02, mm_tensor: false}"
        self.check(recipe(cfg, anti("m6")), hidden_size=96, intermediate_size=168)

    def test_an_interrupted_run_goes_on(self):
        harness.write_calibration(self.dir / "calib.jsonl", samples=10, repeat=8)
        source = self.model(hidden_size=256, intermediate_size=768, num_hidden_layers=10, vocab_size=2048)
        path = self.recipe(recipe("{w_bit: 8, a_bit: 8, use_kvcache_quant: true, mm_tensor: false}", anti("m4")))
        whole = self.dir / "whole"
        begin = time.monotonic()
        self.quantized(source, path, out=whole)
        length = time.monotonic() - begin
        for share in (0.35, 0.5, 0.65):
            command = [str(harness.PROGRAM), "quant", *map(str, self.arguments(source, path))]
            process = subprocess.Popen(command, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            time.sleep(length * share)
            process.send_signal(signal.SIGINT)
            if process.wait(60) != 0:
                break
        done = self.quantized(source, path)
        self.assertSameProducts(whole, self.out)
        self.assertIn("going on after", done.stderr)


class ConvertTest(harness.WholeTest):
    """`recipe convert` writes a modelslim_v1 recipe; what both services write has the same bytes."""

    def check(self, text, model_type="Qwen2.5-7B-Instruct", least=20, **model):
        source = self.model(**{"num_hidden_layers": 2, "dtype": "float32", **model})
        path = self.recipe(text)
        converted = harness.run("recipe", "convert", path)
        self.assertSucceeded(converted)
        one, two = self.dir / "v0", self.dir / "v1"
        self.quantized(source, path, out=one, model_type=model_type)
        self.quantized(source, self.recipe(converted.stdout, "v1.yaml"), out=two, model_type=model_type)
        first, second = harness.tensors_of(one), harness.tensors_of(two)
        shared = [name for name in first if name in second]
        self.assertEqual([name for name in second if name not in first], [])
        self.assertGreater(len(shared), least)
        for name in shared:
            self.assertEqual(first[name].tobytes(), second[name].tobytes(), name)

    def test_static(self):
        self.check(recipe(W8A8[:-1] + ", disable_names: [model.layers.1.mlp.down_proj]}"))

    def test_histogram(self):
        self.check(recipe("{w_bit: 8, a_bit: 8, act_method: 2, mm_tensor: false}"))

    def test_smoothing(self):
        self.check(recipe(more=anti("m1")))

    def test_weights_alone(self):
        self.check(recipe("{w_bit: 8, a_bit: 16, w_method: GPTQ, w_sym: false, mm_tensor: false}"))

    def test_mixed(self):
        mix = '  calib_params: {mix_cfg: {"*.mlp.*": w8a8_dynamic, model.layers.1.mlp.up_proj: float}}\n'
        self.check(recipe(more=mix))

    def test_what_has_no_equivalent(self):
        for text, key in (
            (recipe("{w_bit: 8, a_bit: 8, pdmix: true, mm_tensor: false}"), "W8A8_MIX"),
            (recipe("{w_bit: 8, a_bit: 8, use_kvcache_quant: true, mm_tensor: false}"), "spec.calib_cfg.use_kvcache_quant"),
            (recipe(more="  calib_params: {disable_level: L1}\n"), "spec.calib_params.disable_level"),
            (recipe(more=anti("m4")), "spec.anti_cfg.anti_method"),
            (harness.recipe(), "modelslim_v1"),
        ):
            self.assertRefused(harness.run("recipe", "convert", self.recipe(text)), key)


if __name__ == "__main__":
    harness.main()
