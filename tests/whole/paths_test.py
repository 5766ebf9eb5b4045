#!/usr/bin/python3
"""The source is never touched: outputs equal to it, inside it or around it are refused."""

import os

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


if __name__ == "__main__":
    harness.main()
