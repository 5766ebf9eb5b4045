#!/usr/bin/python3
"""What `cmake --install` installs works elsewhere: the program alone, and the library in somebody else's project."""

import os
import pathlib
import shutil
import subprocess
import unittest

import harness


def command(*words, **how):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, **how)
    if done.returncode:
        raise AssertionError(f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


class InstallTest(harness.WholeTest):
    @classmethod
    def setUpClass(cls):
        cls.prefix = harness.SCRATCH / "prefix"
        command("cmake", "--install", harness.BUILD, "--prefix", cls.prefix)

    def test_layout(self):
        for name in ("bin/modelslim", "share/modelslim/lab_calib/mix_calib.jsonl", "share/modelslim/lab_practice/default"):
            self.assertTrue((self.prefix / name).exists(), name)
        self.assertTrue(list((self.prefix / "include" / "modelslim").glob("*.h")))
        self.assertTrue(list(self.prefix.rglob("modelslimConfig.cmake")))

    def test_the_installed_program_finds_its_calibration_text(self):
        program = self.prefix / "bin" / "modelslim"
        source = self.model(hidden_size=64, num_hidden_layers=1)
        recipe = self.recipe(harness.recipe(dataset="mix_calib.jsonl"))
        # Away from the source tree, and with nothing in the environment that could help.
        elsewhere = self.dir / "elsewhere"
        shutil.copytree(self.prefix, elsewhere)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MODELSLIM")}
        arguments = map(str, self.arguments(source, recipe))
        done = subprocess.run(
            [str(elsewhere / "bin" / "modelslim"), "quant", *arguments], cwd=self.dir, capture_output=True, text=True, env=environment
        )
        self.assertSucceeded(done)
        self.assertTrue(program.exists())

    def test_public_headers_stand_alone(self):
        """Each public header compiles by itself and names nothing but the standard library and its neighbours."""
        include = self.prefix / "include"
        for header in sorted((include / "modelslim").glob("*.h")):
            with self.subTest(header.name):
                source = self.dir / "one.cc"
                source.write_text(f'#include "modelslim/{header.name}"\n')
                command("c++", "-std=c++20", "-Wall", "-Werror", "-fsyntax-only", "-I", include, source)
                for line in header.read_text().splitlines():
                    if line.startswith('#include "'):
                        self.assertIn('"modelslim/', line)

    def test_outside_project(self):
        project = pathlib.Path(__file__).resolve().parent / "outside"
        build = self.dir / "build"
        command("cmake", "-S", project, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        command("cmake", "--build", build)
        source = self.model(hidden_size=64, num_hidden_layers=1)
        said = command(build / "outside", source, self.recipe(), self.out, cwd=self.dir)
        self.assertIn("quantized", said)
        self.assertTrue((self.out / "quant_model_description.json").exists())


if __name__ == "__main__":
    harness.main()
