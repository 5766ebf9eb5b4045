#!/usr/bin/python3
"""What a message advises, done: the next step that an error names leads to a run that succeeds.

Each row makes a situation, gets its error, follows the tip (by code, with what the tip itself says where it names something) and runs again.
"""

import json
import re
import shlex
import shutil
import unittest

import harness

SMALL = dict(hidden_size=64, num_hidden_layers=2)


class Situation:
    """A model and a command that fails; `step` changes them as the tip says."""

    def __init__(self, test, **how):
        self.test, self.dir = test, test.dir
        self.model = test.model(**{**SMALL, **how})
        self.path, self.recipe = self.model, test.recipe(harness.recipe(harness.DYNAMIC))
        self.save, self.type, self.more, self.env = test.out, None, [], None
        self.made = None  # where the output has to be at the end, if not at `save`

    def run(self):
        arguments = ["--model_path", self.path, "--config_path", self.recipe]
        if self.type:
            arguments += ["--model_type", self.type]
        return harness.run("quant", *arguments, f"--save_path={self.save}", *self.more, cwd=self.dir, env=self.env)

    def config(self, **changes):
        path = self.model / "config.json"
        config = json.loads(path.read_text())
        for key, value in changes.items():
            config.pop(key, None)
            if value != "absent":
                config[key] = value
        path.write_text(json.dumps(config))

    def tensors(self, change):
        """Rewrites the one weight file with what `change` makes of {name: (entry, bytes)}."""
        path = self.model / "model.safetensors"
        header, begin = harness.header_of(path)
        data = path.read_bytes()
        tensors = {name: (entry, data[begin + entry["data_offsets"][0] : begin + entry["data_offsets"][1]]) for name, entry in header.items()}
        tensors = change(tensors) or tensors
        self.write("model.safetensors", tensors)

    def write(self, name, tensors):
        header, body = {}, b""
        for tensor, (entry, data) in tensors.items():
            header[tensor] = {**entry, "data_offsets": [len(body), len(body) + len(data)]}
            body += data
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (self.model / name).write_bytes(len(text).to_bytes(8, "little") + text + body)


def tip_of(done):
    return done.stderr.split("TIP: ", 1)[1].strip() if "TIP: " in done.stderr else ""


def path_in(tip):
    return re.search(r"(/\S+)", tip).group(1).rstrip(".,;:")


# ---- the rows: what happens before, what is said, how the tip is followed ----


def another_adapter(s):
    s.type = "DeepSeek-V3"
    return "model_type: expected deepseek_v3", lambda tip: setattr(s, "type", None)


def another_adapter_by_name(s):
    s.type = "Qwen3-30B"
    return "model_type: expected qwen3_moe", lambda tip: setattr(s, "type", re.search(r"give one of (\w+)", tip).group(1))


def unknown_like_llama(s):
    s.config(model_type="a_clone_of_llama")
    s.type = "DeepSeek-V3"
    return "a_clone_of_llama", lambda tip: setattr(s, "type", None if "leave --model_type out" in tip else s.type)


def home_in_an_option(s):
    s.path, s.env = s.dir / "nothing", {"HOME": str(s.dir)}

    def step(tip):
        s.path, s.save, s.made = "~/model", "~/saved", s.dir / "saved"  # what a user types after "="

    return "no such model directory", step


def hub_folder(s):
    cache = s.dir / "hub" / "models--some--model"
    (cache / "snapshots").mkdir(parents=True)
    shutil.move(s.model, cache / "snapshots" / "0123abc")
    s.path = cache
    return "folder of a repository in the Hub's cache", lambda tip: setattr(s, "path", path_in(tip))


def one_folder_too_high(s):
    (s.dir / "above").mkdir()
    shutil.move(s.model, s.dir / "above" / "inner")
    s.path = s.dir / "above"
    return "expected config.json", lambda tip: setattr(s, "path", path_in(tip))


def a_file_in_it(s):
    s.path = s.model / "config.json"
    return "expected a model directory, found a file", lambda tip: setattr(s, "path", path_in(tip))


def link_to_nothing(s):
    (s.model / "generation_config.json").unlink()
    (s.model / "generation_config.json").symlink_to("../blobs/abcdef")
    return "generation_config.json", lambda tip: "remove the link" in tip and (s.model / "generation_config.json").unlink()


def pointer(s):
    path = s.model / "tokenizer.json"
    text = path.read_bytes()
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % ("a" * 64, len(text)))
    return "tokenizer.json: expected the file, found a Git LFS pointer", lambda tip: "git lfs pull" in tip and path.write_bytes(text)


def shard_missing(s):
    path = sorted(s.model.glob("model-*.safetensors"))[0]
    data = path.read_bytes()
    path.unlink()
    return path.name, lambda tip: "download the missing files" in tip and path.write_bytes(data)


def shards_of_another_number(s):
    files = sorted(s.model.glob("model-*.safetensors"))
    for number, path in enumerate(files, 1):
        path.rename(path.with_name(f"model-{number:06d}-of-{len(files):06d}.safetensors"))
    return "there are instead", lambda tip: "remove model.safetensors.index.json" in tip and (s.model / "model.safetensors.index.json").unlink()


def name_of_the_file(s):
    (s.model / "model.safetensors").rename(s.model / "weights.safetensors")
    return "found neither", lambda tip: "rename it to model.safetensors" in tip and (s.model / "weights.safetensors").rename(s.model / "model.safetensors")


def dropped(s):
    def more(tensors):
        entry, data = tensors["model.norm.weight"]
        tensors["visual.blocks.0.norm.weight"] = tensors["visual.blocks.1.norm.weight"] = (entry, data)
        tensors["model.layers.1.self_attn.o_proj.bias"] = (entry, data)

    s.tensors(more)
    return "visual.blocks.0.norm.weight", lambda tip: s.more.extend(word for word in shlex.split(tip[tip.index("--drop"):]))


def too_few_layers(s):
    s.config(num_hidden_layers=1)
    return "layers beyond num_hidden_layers", lambda tip: "correct num_hidden_layers" in tip and s.config(num_hidden_layers=2)


def too_many_layers(s):
    s.config(num_hidden_layers=3)
    return "model.layers.2.", lambda tip: s.config(num_hidden_layers=int(re.search(r"the weights have (\d+)", tip).group(1)))


def no_head(s):
    s.tensors(lambda tensors: tensors.pop("lm_head.weight") and tensors)
    return "lm_head.weight", lambda tip: '"tie_word_embeddings": true' in tip and s.config(tie_word_embeddings=True)


def its_own_output(s):
    first = s.test.run_once(s)
    s.path, s.save = first, s.dir / "again"
    return "already quantized", lambda tip: "give the model it was made from" in tip and setattr(s, "path", s.model)


def two_recipes(s):
    s.more = ["--quant_type", "w8a8"]
    return "only one of them", lambda tip: s.more.clear()


def save_in_the_source(s):
    s.save = s.model / "out"
    return "lies inside the directory", lambda tip: setattr(s, "save", s.dir / "outside")


def device(s):
    s.more = ["--device", "gpu"]
    return "--device", lambda tip: "leave --device out" in tip and s.more.clear()


def mend(s):
    s.more = ["--mend", "nothing"]
    return "no mend", lambda tip: s.more.__setitem__(1, re.search(r"there are: ([\w-]+)", tip).group(1))


def memory(s):
    s.more = ["--memory", "much"]
    return "--memory", lambda tip: s.more.__setitem__(1, "4GiB" if "GiB" in tip else "much")


def longer_than_the_window(s):
    s.config(use_sliding_window=True, sliding_window=3, max_window_layers=0)
    s.recipe = s.test.recipe(name="static.yaml")
    s.more = []

    def step(tip):
        s.test.assertIn("a recipe that needs no calibration data", tip)
        s.recipe = s.test.recipe(harness.recipe(harness.DYNAMIC), "dynamic.yaml")

    return "sliding_window", step


def longer_than_the_window_shortened(s):
    _, _ = longer_than_the_window(s)

    def step(tip):
        s.test.assertIn("shorten these samples", tip)
        (s.dir / "calib.jsonl").write_text('{"inputs_pretokenized": "a"}\n')

    return "sliding_window", step


ROWS = {
    "another adapter": (another_adapter, {}),
    "another adapter, by its name": (another_adapter_by_name, {}),
    "unknown model_type like Llama": (unknown_like_llama, {}),
    "~ behind =": (home_in_an_option, {}),
    "folder of the Hub's cache": (hub_folder, {}),
    "one folder too high": (one_folder_too_high, {}),
    "a file of the directory": (a_file_in_it, {}),
    "link to nothing": (link_to_nothing, {}),
    "LFS pointer": (pointer, {}),
    "missing shard": (shard_missing, dict(shard_bytes=1 << 16)),
    "shards of another number": (shards_of_another_number, dict(shard_bytes=1 << 16)),
    "name of the weights": (name_of_the_file, {}),
    "tensors that would be lost": (dropped, {}),
    "layers that would be lost": (too_few_layers, {}),
    "layers that are not there": (too_many_layers, {}),
    "no head": (no_head, {}),
    "an output as source": (its_own_output, {}),
    "two recipes": (two_recipes, {}),
    "output in the source": (save_in_the_source, {}),
    "device": (device, {}),
    "mend": (mend, {}),
    "memory": (memory, {}),
    "window, no data": (longer_than_the_window, {}),
    "window, shorter data": (longer_than_the_window_shortened, {}),
}


class NextStepTest(harness.WholeTest):
    def run_once(self, situation):
        done = situation.run()
        self.assertSucceeded(done)
        return situation.save

    def test_leads_to_success(self):
        for name, (make, how) in ROWS.items():
            with self.subTest(name):
                shutil.rmtree(self.dir)
                self.dir.mkdir()
                harness.write_calibration(self.dir / "calib.jsonl")
                situation = Situation(self, **how)
                said, step = make(situation)
                done = situation.run()
                self.assertRefused(done, said)
                tip = tip_of(done)
                self.assertTrue(tip, f"no next step: {done.stderr}")
                step(tip)
                again = situation.run()
                self.assertEqual(again.returncode, 0, f"after: {tip}\n{again.stderr[-1500:]}")
                self.assertTrue(((situation.made or situation.save) / "quant_model_description.json").exists())

    def test_no_family_offers_none(self):
        """A model that nothing computes: the advice is not what the user has just done."""
        situation = Situation(self)
        situation.config(model_type="gpt_neox", use_parallel_residual=True)
        for type_ in (None, "default", "Qwen3-8B"):
            situation.type = type_
            done = situation.run()
            self.assertRefused(done, "gpt_neox", codes={301})
            self.assertNotIn("--model_type default", tip_of(done))
            self.assertNotIn("leave --model_type out", tip_of(done))
            self.assertIn("'modelslim models'", tip_of(done))
        self.assertEqual(harness.run("models").returncode, 0)


class NamedThingsTest(unittest.TestCase):
    """Options and commands that any message of the program names exist."""

    def literals(self):
        for path in sorted((harness.SOURCE / "src").rglob("*.cc")):
            for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
                if line.lstrip().startswith("//"):
                    continue
                for text in re.findall(r'"((?:[^"\\]|\\.)*)"', line):
                    yield f"{path.relative_to(harness.SOURCE)}:{number}", text

    def test_options(self):
        commands = ("quant", "plan", "analyze", "verify", "eval", "report", "tokenize", "models", "processors", "practices", "recipe", "completion")
        known = {"--help", "--version", "--local-dir"}  # the last one is of the Hub's own program
        for command in commands:
            known |= set(re.findall(r"--[\w-]+", harness.run(command, "--help").stdout))
        for where, text in self.literals():
            for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", text):
                self.assertIn(option, known, where)

    def test_commands(self):
        shown = harness.run("--help").stdout
        for where, text in self.literals():
            for command in re.findall(r"'modelslim ([a-z]+)", text):
                self.assertIn(f"  {command} ", shown, where)


if __name__ == "__main__":
    harness.main()
