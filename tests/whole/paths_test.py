#!/usr/bin/python3
"""The source is never touched: outputs equal to it, inside it or around it are refused."""

import json
import os
import shutil
import subprocess
import unittest

import harness


class PathsTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        self.source = self.model()
        self.before = harness.digests(self.source)
        self.path = self.recipe()

    def refused(self, out, cwd=None):
        self.assertRefused(self.quant(self.source, self.path, out=out, cwd=cwd or self.dir), codes={200, 203, 204})
        self.assertEqual(harness.digests(self.source), self.before)

    def test_same_directory(self):
        self.refused(self.source)

    def test_same_directory_spelt_otherwise(self):
        self.refused(str(self.source) + "/")
        self.refused(self.dir / "nowhere" / ".." / "model")
        self.refused(os.path.relpath(self.source, self.dir))
        self.refused(".", cwd=self.source)

    def test_same_directory_through_a_link(self):
        (self.dir / "link").symlink_to(self.source)
        self.refused(self.dir / "link")
        self.refused(self.dir / "link" / "out")

    def test_output_inside_the_source(self):
        self.refused(self.source / "out")
        self.refused(self.source / "a" / "b")

    def test_source_inside_the_output(self):
        self.refused(self.dir)

    def test_a_failed_run_leaves_other_peoples_files_alone(self):
        self.out.mkdir()
        (self.out / "diary.txt").write_text("mine")
        self.assertRefused(self.quant(self.source, self.recipe("apiversion: nonsense\n", "bad.yaml")))
        self.assertEqual((self.out / "diary.txt").read_text(), "mine")

    def test_sources_stay_as_they_are(self):
        self.quantized(self.source, self.path)
        self.assertEqual(harness.digests(self.source), self.before)

    def test_missing_model_directory(self):
        self.assertRefused(self.quant(self.dir / "nothing", self.path), "nothing")

    def test_no_shell_metacharacter_surprises(self):
        odd = self.dir / "out with spaces & (brackets)"
        done = self.quant(self.source, self.path, out=odd)
        if done.returncode:  # the reference refuses such characters; a refusal has to be one, not an accident
            self.assertRefused(done, codes={203, 204})
        else:
            self.assertTrue((odd / "quant_model_description.json").exists())


class LinksTest(harness.WholeTest):
    """Whatever links and mounts lead to the source, nothing is written there."""

    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=64, num_hidden_layers=1, shard_bytes=1 << 16)
        self.path = self.recipe(harness.recipe(harness.DYNAMIC))
        self.before = self.state()

    def state(self):
        digests = harness.digests(self.source)
        return {name: (digest, (self.source / name).stat().st_mode) for name, digest in digests.items()}

    def view(self, name="view"):
        """A directory that holds nothing but links to the files of the source."""
        view = self.dir / name
        view.mkdir()
        for path in self.source.iterdir():
            (view / path.name).symlink_to(path)
        return view

    def refused(self, model, out, *phrases):
        self.assertRefused(self.quant(model, self.path, out=out), "--save_path", *phrases, codes={204})
        self.assertEqual(self.state(), self.before)

    def test_where_links_to_files_lead(self):
        view = self.view()
        self.refused(view, self.source, "links of the model directory lead")
        self.refused(view, self.source / "new" / "newer", "lies inside")
        chain = self.dir / "chain"
        chain.mkdir()
        for path in view.iterdir():
            (chain / path.name).symlink_to(os.path.join("..", "view", path.name))
        self.refused(chain, view)
        self.refused(chain, self.source)

    def test_where_one_link_leads(self):
        (self.dir / "elsewhere").mkdir()
        for name in ("config.json", "tokenizer_config.json"):
            path = self.source / name
            if not path.exists():
                path.write_text("{}")
            with self.subTest(name):
                real = self.dir / "elsewhere" / name
                path.rename(real)
                path.symlink_to(real)
                before = real.read_bytes()
                self.assertRefused(self.quant(self.source, self.path, out=self.dir / "elsewhere"), "--save_path", codes={204})
                self.assertEqual(real.read_bytes(), before)

    def test_where_a_link_to_a_directory_leads(self):
        (self.source / "weights").mkdir()
        shards = sorted(self.source.glob("*.safetensors"))
        for path in shards:
            path.rename(self.source / "weights" / path.name)
        (self.source / "weights").rename(self.dir / "far")
        (self.source / "weights").symlink_to(self.dir / "far")
        index = self.source / "model.safetensors.index.json"
        text = json.loads(index.read_text())
        text["weight_map"] = {name: "weights/" + file for name, file in text["weight_map"].items()}
        index.write_text(json.dumps(text))
        before = harness.digests(self.dir / "far")
        self.assertRefused(self.quant(self.source, self.path, out=self.dir / "far"), "--save_path", codes={204})
        self.assertEqual(harness.digests(self.dir / "far"), before)
        self.quantized(self.source, self.path)

    def test_hard_links(self):
        for name in ("config.json", sorted(self.source.glob("*.safetensors"))[0].name):
            with self.subTest(name):
                out = self.dir / ("out-" + name)
                out.mkdir()
                os.link(self.source / name, out / ("other-" + name))
                self.refused(self.source, out, "same file as")

    def test_bind_mounts(self):
        mounted = self.dir / "mounted"
        mounted.mkdir()
        if subprocess.run(["mount", "--bind", self.source, mounted], capture_output=True).returncode:
            self.skipTest("cannot mount here")
        try:
            self.refused(self.source, mounted)
            self.refused(self.source, mounted / "out")
            self.refused(mounted, self.source)
        finally:
            subprocess.run(["umount", "-l", mounted], check=True)

    def test_a_view_of_links_can_be_quantized(self):
        view = self.view()
        self.quantized(view, self.path)
        self.quantized(self.source, self.path, out=self.dir / "plain")
        self.assertSameProducts(self.out, self.dir / "plain")
        self.assertFalse(any(path.is_symlink() for path in self.out.iterdir()))

    def test_a_link_to_somebodys_home_is_no_part_of_the_model(self):
        (self.source / "data").symlink_to(self.dir)
        self.quantized(self.source, self.path)

    def test_nothing_inside_the_work_directory_is_followed(self):
        victim = self.dir / "victim"
        makers = {"symbolic": lambda path: path.symlink_to(victim), "hard": lambda path: os.link(victim, path)}
        for kind, make in makers.items():
            for name in ("lock", "journal.jsonl", "hidden-0", "hidden-1", "hidden-2"):
                with self.subTest(kind, name=name):
                    victim.write_text("precious")
                    out = self.dir / f"out-{kind}-{name}"
                    (out / ".modelslim").mkdir(parents=True)
                    make(out / ".modelslim" / name)
                    self.assertRefused(self.quant(self.source, self.path, out=out), name, codes={204})
                    self.assertEqual(victim.read_text(), "precious")

    def test_the_work_directory_is_no_link(self):
        (self.dir / "elsewhere").mkdir()
        self.out.mkdir()
        (self.out / ".modelslim").symlink_to(self.dir / "elsewhere")
        self.assertRefused(self.quant(self.source, self.path), ".modelslim", codes={204})
        self.assertEqual(list((self.dir / "elsewhere").iterdir()), [])


class ForeignLinksTest(harness.WholeTest):
    """What a link in a model directory leads to does not end up in an output, except from a hub's cache."""

    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=64, num_hidden_layers=1)
        self.path = self.recipe(harness.recipe(harness.DYNAMIC))
        self.secret = self.dir / "secret"
        self.secret.write_text('{"password": "swordfish"}')

    def test_other_files_are_left_out(self):
        (self.source / "notes.txt").symlink_to(self.secret)
        (self.source / "gone.json").symlink_to("nowhere")
        done = self.quantized(self.source, self.path)
        self.assertIn("notes.txt", done.stdout)
        self.assertIn("gone.json", done.stdout)
        self.assertFalse((self.out / "notes.txt").exists())
        self.assertFalse((self.out / "gone.json").is_symlink())

    def test_files_that_loaders_need_are_asked_for(self):
        for name in ("generation_config.json", "tokenizer_config.json", "chat_template.jinja"):
            with self.subTest(name):
                link = self.source / name
                link.unlink(missing_ok=True)
                link.symlink_to(self.secret)
                self.assertRefused(self.quant(self.source, self.path), str(link), "put the file itself", codes={204})
                self.assertFalse(self.out.exists())
                link.unlink()

    def hub(self):
        blobs, snapshot = self.dir / "hub" / "blobs", self.dir / "hub" / "snapshots" / "abc"
        blobs.mkdir(parents=True)
        snapshot.mkdir(parents=True)
        for path in self.source.iterdir():
            (blobs / path.name[::-1]).write_bytes(path.read_bytes())
            (snapshot / path.name).symlink_to(os.path.join("..", "..", "blobs", path.name[::-1]))
        return snapshot

    def test_a_hubs_cache(self):
        snapshot = self.hub()
        self.quantized(snapshot, self.path)
        self.quantized(self.source, self.path, out=self.dir / "plain")
        self.assertSameProducts(self.out, self.dir / "plain")

    def test_blobs_that_lead_elsewhere(self):
        snapshot = self.hub()
        (snapshot.parent.parent / "blobs" / "extra").symlink_to(self.secret)
        (snapshot / "extra.json").symlink_to("../../blobs/extra")
        self.quantized(snapshot, self.path)
        self.assertFalse((self.out / "extra.json").exists())

    def test_blobs_that_are_a_link(self):
        forged, elsewhere = self.dir / "forged" / "snapshots" / "x", self.dir / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "key.json").write_text(self.secret.read_text())
        shutil.copytree(self.source, forged)
        (self.dir / "forged" / "blobs").symlink_to(elsewhere)
        (forged / "key.json").symlink_to("../../blobs/key.json")
        self.quantized(forged, self.path)
        self.assertFalse((self.out / "key.json").exists())


class EarlyTest(harness.WholeTest):
    """What can be known before the work is told before the work."""

    def setUp(self):
        super().setUp()
        self.source = self.model(hidden_size=64, num_hidden_layers=1)
        self.path = self.recipe(harness.recipe(harness.DYNAMIC))

    def early(self, done, *phrases):
        self.assertRefused(done, *phrases, codes={204})
        self.assertNotIn("quantizing", done.stderr)
        self.assertNotIn("please report", done.stderr)

    def test_names_that_are_too_long(self):
        self.early(self.quant(self.source, self.path, out=self.dir / ("o" * 300)), "File name too long")
        self.early(self.quant(self.source, self.path, out=self.dir / "a" / ("o" * 300) / "b"), "File name too long")
        self.assertFalse((self.dir / "a").exists())

    def test_the_first_directory_that_fails_is_named(self):
        (self.dir / "file").write_text("x")
        self.early(self.quant(self.source, self.path, out=self.dir / "file" / "a" / "b"), f"{self.dir}/file: Not a directory")

    def test_directories_in_the_place_of_files(self):
        for name in ("config.json", "quant_model_description.json", "quant_model_weights.safetensors", "quant_model_ledger.json"):
            with self.subTest(name):
                (self.out / name / "sub").mkdir(parents=True)
                self.early(self.quant(self.source, self.path), str(self.out / name), "found a directory")
                shutil.rmtree(self.out)

    def test_long_names_of_the_sources_files(self):
        name = "n" * 250 + ".json"
        (self.source / name).write_text("{}")
        self.quantized(self.source, self.path)
        self.assertTrue((self.out / name).exists())

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to become somebody else")
    def test_permissions(self):
        for path in (harness.SCRATCH, self.dir):
            path.chmod(0o755)
        own = self.dir / "modelslim"
        shutil.copy(harness.PROGRAM, own)
        (self.dir / "open").mkdir(mode=0o777)
        (self.dir / "open").chmod(0o777)

        def run(out):
            return subprocess.run(
                [own, "quant", "--model_path", self.source, "--save_path", out, "--config_path", self.path],
                user=65534, group=65534, extra_groups=[], cwd="/", capture_output=True, text=True,
            )  # fmt: skip

        self.early(run(self.dir / "forbidden" / "below"), f"{self.dir}/forbidden: Permission denied")
        (self.source / "tokenizer_config.json").write_text("{}")
        (self.source / "tokenizer_config.json").chmod(0o600)
        self.early(run(self.dir / "open" / "a"), "tokenizer_config.json: Permission denied")
        self.assertFalse((self.dir / "open" / "a").exists())


if __name__ == "__main__":
    harness.main()
