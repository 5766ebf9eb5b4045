#!/usr/bin/python3
"""Every key of a recipe, as the schema lists them, changes the result, is refused, or is said to have no effect: none is accepted
in silence and then forgotten. The schema decides which keys there are and the program which services, steps and savers run;
for each key that is left a row below shows which of the three it is. Whoever makes a step or a service run adds its rows.
"""

import copy
import json

import harness

SCHEMA = json.loads((harness.SOURCE / "schema" / "recipe.schema.json").read_text(encoding="utf-8"))
SERVICES = {  # and what the spec of one must hold
    "modelslim_v1": {}, "modelslim_v0": {}, "multimodal_vlm_modelslim_v1": {},
    "multimodal_sd_modelslim_v1": {"multimodal_sd_config": {"dump_config": {"capture_mode": "args"}}},
}  # fmt: skip


def half(scope, dtype, symmetric=True, method="minmax", **ext):
    made = {"scope": scope, "dtype": dtype, "symmetric": symmetric, "method": method}
    return {**made, "ext": ext} if ext else made


TOKEN, CHANNEL = half("per_token", "int8"), half("per_channel", "int8")
TENSOR = half("per_tensor", "int8", False)
MX8, MX4 = half("per_block", "mxfp8"), half("per_block", "mxfp4")


def linear(act=TOKEN, weight=CHANNEL, **more):
    qconfig = {"act": act, "weight": weight} if act else {"weight": weight}
    return {"type": "linear_quant", "qconfig": qconfig, "include": ["*"], **more}


def step(kind, **keys):
    return {"type": kind, **keys}


def ceil_x(**ext):
    return [linear(MX4, half("per_block", "mxfp4", True, "ceil_x", **ext))]


def grouped(**ext):
    return [linear(None, half("per_group", "int8", True, "gptq", **ext))]


# What a row of the table says. `first` and `second` are lists of steps, or whole specs; `model` one of MODELS.
def changes(first, second, model="dense"):
    return "changes", first, second, model


def refused(first, *words, model="dense"):
    return "refused", first, words, model


def told(first, *words, model="dense"):
    return "told", first, words, model


FP8 = half("per_head", "fp8_e4m3")
SMOOTH_SELECT = {"include": ["*.0.input_layernorm"]}
AWQ = dict(weight_qconfig=half("per_channel", "int4"), n_grid=6)
SSZ = dict(qconfig={"act": TOKEN, "weight": half("per_channel", "int4", True, "ssz")})
CACHE = dict(qconfig=half("per_channel", "int8", False))
STATIC = [linear(TENSOR)]


def selects(kind, include, model="dense", base=None, **keys):
    """include and exclude of a step that changes what it takes."""
    base = [linear()] if base is None else base
    return {
        f"type.{kind}.include": changes([step(kind, **keys)] + base, [step(kind, include=include, **keys)] + base, model),
        f"type.{kind}.exclude": changes([step(kind, include=["*"], **keys)] + base, [step(kind, include=["*"], exclude=include, **keys)] + base, model),
    }


def smoothing(kind, **keys):
    return {
        **selects(kind, ["*.0.input_layernorm"], **keys),
        f"type.{kind}.enable_subgraph_type": changes([step(kind, **keys), linear()], [step(kind, enable_subgraph_type=["up-down"], **keys), linear()]),
    }


def saver(kind):
    def spec(**keys):
        return {"process": [linear()], "save": [step(kind, **keys)]}

    return {
        f"type.{kind}.part_file_size": changes(spec(part_file_size=0), spec(part_file_size=1)),
        f"type.{kind}.save_directory": told(spec(save_directory="elsewhere"), "save_directory", "--save_path"),
        f"type.{kind}.ext": told(spec(ext={"a": 1}), "ext", "no effect"),
    }


ROWS = {
    # the spec
    "modelslim_v1_spec.runner": told({"process": [linear()], "runner": "dp_layer_wise"}, "runner dp_layer_wise", "the result is the same"),
    "modelslim_v1_spec.process": changes([linear()], []),
    "modelslim_v1_spec.save": told({"process": [linear()], "save": []}, "nothing"),
    "modelslim_v1_spec.dataset": changes({"process": STATIC}, {"process": STATIC, "dataset": "other.jsonl"}),
    "modelslim_v1_spec.prior": changes({"process": [linear()]}, {"process": [linear()], "prior": [{"process": [linear(TENSOR)]}]}),
    "spec.prior.process": changes({"process": [linear()], "prior": [{"process": []}]}, {"process": [linear()], "prior": [{"process": [linear(TENSOR)]}]}),
    "spec.prior.dataset": changes({"process": [], "prior": [{"process": [linear(TENSOR)], "dataset": "calib.jsonl"}]}, {"process": [], "prior": [{"process": [linear(TENSOR)], "dataset": "other.jsonl"}]}),
    **saver("ascendv1_saver"),
    **saver("ascendv1_saver_distributed"),
    # linear_quant and its qconfig
    "type.linear_quant.qconfig": changes([linear()], [linear(TENSOR)]),
    "type.linear_quant.include": changes([linear()], [linear(include=["*mlp*"])]),
    "type.linear_quant.exclude": changes([linear()], [linear(exclude=["*mlp*"])]),
    "qconfig.act": changes([linear()], [linear(None)]),
    "qconfig.weight": changes([linear()], [linear(weight=half("per_channel", "int4"))]),
    "qconfig.half.scope": changes([linear(half("per_token", "int8"))], [linear(half("per_tensor", "int8"))]),
    "qconfig.half.dtype": changes([linear(MX8, MX8)], [linear(MX8, MX4)]),
    "qconfig.half.symmetric": changes([linear(half("per_tensor", "int8", True))], [linear(half("per_tensor", "int8", False))]),
    "qconfig.half.method": changes([linear(weight=half("per_channel", "int4"))], [linear(weight=half("per_channel", "int4", True, "ssz"))]),
    "qconfig.half.ext": changes([linear(weight=half("per_channel", "int4", True, "ssz"))], [linear(weight=half("per_channel", "int4", True, "ssz", step=1))]),
    "qconfig.ext.step": changes([linear(weight=half("per_channel", "int4", True, "ssz", step=1))], [linear(weight=half("per_channel", "int4", True, "ssz", step=9))]),
    "qconfig.ext.axes": refused([linear(MX8, half("per_block", "mxfp8", axes=0))], "axes", "-1"),
    "qconfig.ext.group_size": changes(grouped(group_size=16), grouped(group_size=32)),
    "qconfig.ext.scale_dtype": told([linear(weight=half("per_channel", "int8", scale_dtype="float32"))], "scale_dtype has no effect"),
    "qconfig.ext.percdamp": changes([linear(weight=half("per_channel", "int8", True, "gptq", percdamp=0.01))], [linear(weight=half("per_channel", "int8", True, "gptq", percdamp=2.0))]),
    "qconfig.ext.block_size": changes(grouped(group_size=16, block_size=16), grouped(group_size=16, block_size=64)),
    "qconfig.ext.aggregation_type": changes(STATIC, [linear(half("per_tensor", "int8", False, aggregation_type="mean"))]),
    "qconfig.ext.dual_block_size": changes(*([linear(*[half("dual_scale", "mxfp4", True, "dualscale", dual_block_size=size)] * 2, include=["*self_attn.?_proj"])] for size in (32, 64))),
    "qconfig.ext.ceil_x_value": changes(ceil_x(), ceil_x(ceil_x_value=11.5)),
    "qconfig.ext.enable_search": changes(ceil_x(ceil_x_value=12), ceil_x(enable_search=True)),
    "qconfig.ext.search_min": changes(ceil_x(enable_search=True), ceil_x(enable_search=True, search_min=11.9)),
    "qconfig.ext.search_max": changes(ceil_x(enable_search=True), ceil_x(enable_search=True, search_max=6.01)),
    "qconfig.ext.search_step": changes(ceil_x(enable_search=True), ceil_x(enable_search=True, search_step=20)),
    # the other steps
    "type.group.configs": changes([step("group", configs=[linear()])], [step("group", configs=[linear(weight=half("per_channel", "int4"))])]),
    "type.smooth_quant.alpha": changes([step("smooth_quant", alpha=0.2), linear()], [step("smooth_quant", alpha=0.8), linear()]),
    "type.smooth_quant.symmetric": changes([step("smooth_quant"), linear()], [step("smooth_quant", symmetric=False), linear()]),
    **selects("smooth_quant", ["*.0.input_layernorm"]),
    "type.iter_smooth.alpha": changes([step("iter_smooth", alpha=0.2), linear()], [step("iter_smooth", alpha=0.8), linear()]),
    "type.iter_smooth.scale_min": changes([step("iter_smooth"), linear()], [step("iter_smooth", scale_min=0.99), linear()]),
    "type.iter_smooth.symmetric": changes([step("iter_smooth"), linear()], [step("iter_smooth", symmetric=False), linear()]),
    **smoothing("iter_smooth"),
    "type.flex_smooth_quant.alpha": changes([step("flex_smooth_quant", alpha=0.2, beta=0.5), linear()], [step("flex_smooth_quant", alpha=0.8, beta=0.5), linear()]),
    "type.flex_smooth_quant.beta": changes([step("flex_smooth_quant", alpha=0.5, beta=0.2), linear()], [step("flex_smooth_quant", alpha=0.5, beta=0.8), linear()]),
    **smoothing("flex_smooth_quant", alpha=0.5, beta=0.5),
    "type.flex_awq_ssz.qconfig": changes([step("flex_awq_ssz", **SSZ), linear()], [step("flex_awq_ssz", qconfig={"weight": CHANNEL}), linear()]),
    "type.flex_awq_ssz.alpha": changes([step("flex_awq_ssz", alpha=0.2, **SSZ), linear()], [step("flex_awq_ssz", alpha=0.8, **SSZ), linear()]),
    "type.flex_awq_ssz.beta": told([step("flex_awq_ssz", alpha=0.2, beta=0.5, **SSZ), linear()], "beta has no effect"),
    **smoothing("flex_awq_ssz", alpha=0.5, **SSZ),
    "type.awq.weight_qconfig": changes([step("awq", **AWQ), linear()], [step("awq", n_grid=6, weight_qconfig=CHANNEL), linear()]),
    "type.awq.n_grid": changes([step("awq", **AWQ), linear()], [step("awq", n_grid=1, weight_qconfig=half("per_channel", "int4")), linear()]),
    **smoothing("awq", **AWQ),
    "type.kv_smooth.smooth_factor": changes([step("kv_smooth", smooth_factor=1.0), linear()], [step("kv_smooth", smooth_factor=0.3), linear()]),
    "type.kv_smooth.include": changes([step("kv_smooth", include=["*"]), linear()], [step("kv_smooth", include=["*.0.self_attn"]), linear()]),
    "type.kv_smooth.exclude": changes([step("kv_smooth", include=["*"]), linear()], [step("kv_smooth", include=["*"], exclude=["*.0.self_attn"]), linear()]),
    "type.dynamic_cache.qconfig": changes([step("dynamic_cache", **CACHE), linear()], [step("dynamic_cache", qconfig=CHANNEL), linear()]),
    **selects("dynamic_cache", ["*.0.self_attn"], **CACHE),
    "type.fa3_quant.qconfig": refused([step("fa3_quant", qconfig=FP8, include=["*"])], "qconfig", "fp8_e4m3", model="latent"),
    "type.fa3_quant.details": refused([step("fa3_quant", details={"fa_k": FP8}, include=["*"])], "details", "fp8_e4m3", model="latent"),
    **{f"fa3_quant.details.{branch}": refused([step("fa3_quant", details={branch: FP8}, include=["*"])], branch, "fp8_e4m3", model="latent") for branch in ("fa_q", "fa_k", "fa_v")},
    **{row: how for row, how in selects("fa3_quant", ["*.0.self_attn"], "latent", []).items() if row.endswith("exclude")},
    "type.fa3_quant.include": changes([step("fa3_quant", include=["*"])], [step("fa3_quant", include=["*.0.self_attn"])], "latent"),
    "type.float_sparse.sparse_ratio": changes([step("float_sparse", sparse_ratio=0.3)], [step("float_sparse", sparse_ratio=0.6)]),
    **selects("float_sparse", ["*.0.mlp.up_proj"], base=[]),
    "type.quarot.online": changes([step("quarot"), linear()], [step("quarot", online=True), linear()]),
    "type.quarot.block_size": changes([step("quarot"), linear()], [step("quarot", block_size=16), linear()]),
    "type.quarot.down_proj_online_layers": changes([step("quarot", online=True), linear()], [step("quarot", online=True, down_proj_online_layers=[1]), linear()]),
    "type.quarot.max_tp_size": changes([step("quarot", online=True, max_tp_size=1), linear()], [step("quarot", online=True, max_tp_size=2), linear()]),
    "type.quarot.export_extra_info": changes([step("quarot"), linear()], [step("quarot", export_extra_info=False), linear()]),
    "type.online_quarot.block_size": changes([step("online_quarot")], [step("online_quarot", block_size=32)], "indexer"),
    **selects("online_quarot", ["*.0.self_attn.indexer.*"], "indexer", []),
    **{f"type.load.{key}": told([step("load", **{key: value}), linear()], "load has no effect") for key, value in
       (("device", "cpu"), ("non_blocking", True), ("mode", "offload"), ("cleanup", True), ("post_offload", True))},
}  # fmt: skip
# Keys that have an effect in some recipes only: where they have none, that is said, too.
ALSO = [
    told([linear(weight=half("per_channel", "int8", group_size=64))], "group_size has no effect"),
    told([linear(weight=half("per_channel", "int8", step=10))], "step has no effect"),
    told([linear(half("per_token", "int8", aggregation_type="mean"))], "aggregation_type has no effect"),
    told([linear(weight=half("per_channel", "int8", axes=-1))], "axes has no effect"),
    told([linear(weight=half("per_channel", "int8", ceil_x_value=7.5))], "ceil_x_value has no effect"),
    told(ceil_x(ceil_x_value=7, enable_search=True), "ceil_x_value has no effect"),
    told(ceil_x(search_min=7), "search_min has no effect"),
    told(ceil_x(search_max=7), "search_max has no effect"),
    told(ceil_x(search_step=7), "search_step has no effect"),
    told([step("flex_smooth_quant", alpha=0.5), linear()], "alpha alone has no effect"),
    told([step("flex_smooth_quant", beta=0.5), linear()], "beta alone has no effect"),
    told([step("quarot", max_tp_size=4), linear()], "max_tp_size has no effect"),
    told([step("quarot", down_proj_online_layers=[0]), linear()], "down_proj_online_layers has no effect"),
    told([step("quarot", online=True, down_proj_online_layers=[-1, 77]), linear()], "layer -1 does not exist", "layer 77 does not exist"),
    told([step("flex_awq_ssz", alpha=0.5, qconfig={"act": half("per_tensor", "int8", aggregation_type="mean"), "weight": CHANNEL}), linear()], "aggregation_type has no effect"),
    told([step("dynamic_cache", qconfig=half("per_channel", "int8", step=3)), linear()], "step has no effect"),
    told([step("iter_smooth", enable_subgraph_type=[]), linear()], "does nothing"),
    told({"process": [linear()], "runner": "model_wise"}, "runner model_wise", "the result is the same"),
    refused([linear(MX8, half("per_block", "mxfp8", axes=[0, 1]))], "axes"),
    refused([linear(half("per_block", "mxfp8", axes=1), MX8)], "axes"),
    refused(ceil_x(ceil_x_value=5.9), "ceil_x_value"),
    refused(ceil_x(enable_search=True, search_min=8, search_max=7), "search_max"),
    refused(ceil_x(enable_search=True, search_step=0), "search_step"),
    refused(ceil_x(enable_search=True, search_step=1e-9), "search_step"),
    refused([step("fa3_quant", qconfig=half("per_head", "int8", True, "ssz"), include=["*"])], "method", model="latent"),
]  # fmt: skip

PRACTICE = {
    "config_id": "ours", "score": 50, "label": {"w_bit": 8, "a_bit": 8, "is_sparse": False, "kv_cache": False},
    "verified_model_types": ["Qwen3-8B"],
}  # fmt: skip
# key of metadata: a change after which the look-up for w8a8 no longer takes the recipe, or takes it where it did not.
METADATA = {
    "metadata.score": {"score": 1},
    "metadata.label": {"label": {"w_bit": 4, "a_bit": 8}},
    "metadata.verified_model_types": {"verified_model_types": ["Qwen3-32B"]},
    "metadata.label.w_bit": {"label": {**PRACTICE["label"], "w_bit": 4}},
    "metadata.label.a_bit": {"label": {**PRACTICE["label"], "a_bit": 16}},
    "metadata.label.is_sparse": {"label": {**PRACTICE["label"], "is_sparse": True}},
    "metadata.label.kv_cache": {"label": {**PRACTICE["label"], "kv_cache": True}},
}  # fmt: skip
MODELS = {
    "dense": dict(family="qwen3", dtype="float32", hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=1, head_dim=16),
    "latent": dict(family="deepseek_v3", dtype="float32", num_hidden_layers=2),
    "indexer": dict(family="deepseek_v3_2", dtype="float32", num_hidden_layers=2),
}  # fmt: skip


def references(schema):
    """The names of the definitions that a part of the schema mentions."""
    if isinstance(schema, dict):
        here = {schema["$ref"].rsplit("/", 1)[-1]} if "$ref" in schema else set()
        return here.union(*(references(each) for each in schema.values()))
    return set().union(*(references(each) for each in schema)) if isinstance(schema, list) else set()


class EveryKeyTest(harness.WholeTest):
    def setUp(self):
        super().setUp()
        harness.write_calibration(self.dir / "other.jsonl", samples=3, repeat=3)
        self.models, self.made = {}, {}

    def model_of(self, name):
        if name not in self.models:
            self.models[name] = self.model(name, **copy.deepcopy(MODELS[name]))
        return self.models[name]

    def write(self, recipe, name="recipe.yaml"):
        if isinstance(recipe, list):
            recipe = {"process": recipe}
        spec = {"save": [step("ascendv1_saver", part_file_size=0)], "dataset": "calib.jsonl", **recipe}
        return self.recipe(json.dumps({"apiversion": "modelslim_v1", "spec": spec}, indent=1), name)

    def result(self, recipe, model):
        """The digests of what a recipe makes."""
        key = json.dumps([recipe, model])
        if key not in self.made:
            out = self.dir / "out"
            harness.shutil.rmtree(out, ignore_errors=True)
            self.quantized(self.model_of(model), self.write(recipe), out=out, model_type="default")
            self.made[key] = harness.products(out)
        return self.made[key]

    def check(self, row):
        how, first, second, model = row
        if how == "changes":
            self.assertNotEqual(self.result(first, model), self.result(second, model))
            return
        path = self.write(first)
        done = harness.run("plan", "--model_type", "default", "--model_path", self.model_of(model), "--config_path", path, cwd=self.dir)
        if how == "refused":
            self.assertRefused(done, *second)
        else:
            self.assertSucceeded(done)
            for word in second:
                self.assertIn(word, done.stdout + done.stderr)

    # ---- which keys there are ----

    def runs(self, service):
        """Whether recipes of a service are carried out: one that asks for nothing is not told that this is still to do."""
        path = self.recipe(json.dumps({"apiversion": service, "spec": SERVICES[service]}), "empty.yaml")
        done = harness.run("plan", "--model_type", "default", "--model_path", self.model_of("dense"), "--config_path", path, cwd=self.dir)
        return harness.code_of(done) != 400

    def steps_that_run(self):
        listed = json.loads(harness.run("processors", "--json").stdout)
        steps = {each["type"] for each in listed["processors"] if each.get("runs", True)}
        for each in listed["savers"]:
            path = self.write({"process": [], "save": [step(each["type"])]})
            done = harness.run("plan", "--model_type", "default", "--model_path", self.model_of("dense"), "--config_path", path, cwd=self.dir)
            if harness.code_of(done) != 400:
                steps.add(each["type"])
        return steps | {"load"}

    def keys(self):
        # The keys of modelslim_v0 are not here: v0_test.py has those that its goldens and the sheets tell of.
        roots = [service + "_spec" for service in SERVICES if service != "modelslim_v0" and self.runs(service)]
        self.assertIn("modelslim_v1_spec", roots)
        steps, seen, waiting = self.steps_that_run(), set(), [*roots, "metadata"]
        while waiting:
            name = waiting.pop()
            if name in seen or (name.startswith("type.") and name.removeprefix("type.") not in steps):
                continue
            seen.add(name)
            waiting += references(SCHEMA["$defs"][name])
        return {f"{name}.{key}" for name in seen for key in SCHEMA["$defs"][name].get("properties", {})
                if not (key == "type" and name.startswith("type."))}  # fmt: skip

    def test_every_key_has_a_row(self):
        rows = ROWS.keys() | METADATA.keys() | {"metadata.config_id", "metadata.verified_tags", "metadata.label.fa_quant", "metadata.label.fa_bit"}
        keys = self.keys()
        self.assertGreater(len(keys), 90)
        self.assertEqual(keys - rows, set(), "no row shows what these keys do")
        self.assertEqual(rows - keys, set(), "rows for keys that do not exist, or whose step does not run")

    def test_rows(self):
        for key, row in ROWS.items():
            with self.subTest(key):
                self.check(row)

    def test_keys_that_have_no_effect_somewhere(self):
        for row in ALSO:
            with self.subTest(str(row[1])):
                self.check(row)

    # ---- the look-up of practices, which alone reads the metadata ----

    def chosen(self, metadata, arguments=(), quant_type="w8a8"):
        """Whether the look-up takes a practice of ours with this metadata, beside one of a middling score."""
        folder = self.dir / "practices" / "qwen3"
        harness.shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in (("ours", metadata), ("theirs", {**PRACTICE, "config_id": "theirs", "score": 20})):
            text = json.dumps({"apiversion": "modelslim_v1", "metadata": content, "spec": {"process": [linear()], "save": []}})
            (folder / f"{name}.yaml").write_text(text)
        done = harness.run("plan", "--model_type", "Qwen3-8B", "--model_path", self.model_of("dense"), "--quant_type", quant_type, *arguments,
                           cwd=self.dir, env={"MSMODELSLIM_CUSTOM_PRACTICE_REPO": str(self.dir / "practices")})  # fmt: skip
        return "qwen3/ours.yaml" in done.stdout

    def test_metadata(self):
        self.assertTrue(self.chosen(PRACTICE))
        for key, change in METADATA.items():
            with self.subTest(key):
                self.assertFalse(self.chosen({**PRACTICE, **change}))
        equal = {**PRACTICE, "score": 20}  # then the names decide
        self.assertTrue(self.chosen(equal))
        self.assertFalse(self.chosen({**equal, "config_id": "yours"}), "metadata.config_id")
        attention = {**PRACTICE, "label": {**PRACTICE["label"], "fa_quant": True, "fa_bit": 8}}
        self.assertFalse(self.chosen(attention), "metadata.label.fa_quant")
        self.assertTrue(self.chosen(attention, quant_type="w8a8f8"))
        attention["label"]["fa_bit"] = 4
        self.assertFalse(self.chosen(attention, quant_type="w8a8f8"), "metadata.label.fa_bit")
        tagged = {**PRACTICE, "verified_model_types": [], "verified_tags": {"Qwen3-8B": [["Atlas_A2"]]}}
        self.assertNotEqual(self.chosen(tagged, ["--tag", "Atlas_A2"]), self.chosen(tagged, ["--tag", "Atlas_A3"]))


if __name__ == "__main__":
    harness.main()
