#!/usr/bin/env python3
"""Extracts float weights and what the reference quantizer (msModelSlim) made of them into one small file for tests/quant.

usage: pack_quantizer_golden.py GOLDEN_LLM_FOLDER OUT.bin [--all]

GOLDEN_LLM_FOLDER holds models/<name>/*.safetensors and cases/<case>/expected/tensors.safetensors[.xz]. Without --all one module
per case and spec is taken, the smallest. The file is a sequence of records: an ASCII line "KEY DTYPE DIMS..." (the DIMS joined by
x) and the bytes of the tensor. A module is the records `spec` (U8: text), `source`, `weight`, `weight_scale` and, when there is
one, `weight_dual_scale`.
"""
import fnmatch
import json
import lzma
import pathlib
import struct
import sys

# case -> list of (pattern, format, method); the first pattern that matches a module counts.
CASES = {
    "llama-f32-fp8-dynamic": [("*", "fp8", "minmax")],
    "qwen3-bf16-fp8-dynamic": [("*", "fp8", "minmax")],
    "qwen3-bf16-w4a8-ssz": [("*", "int4", "ssz")],
    "llama-bf16-tied-w8a8-dynamic": [("*down_proj", "", ""), ("*", "int8", "ssz")],
    "llama-f32-w4a8-minmax": [("*mlp*", "int4", "minmax"), ("*self_attn*", "int8", "minmax")],
    "qwen2_5-bf16-w8a16": [("*", "int8", "minmax")],
    "S-qwen2_5-bf16-w4a8": [("*mlp*", "int4", "minmax"), ("*", "", "")],
    "qwen3-f32-mxfp8": [("*", "mxfp8", "minmax")],
    "qwen3-bf16-mxfp4": [("*", "mxfp4", "minmax")],
    "llama-bf16-tied-w4a8-mxfp": [("*", "mxfp4", "minmax")],
    "S-qwen3-bf16-mxfp4": [("*", "mxfp4-old", "minmax")],
    "qwen3-f32-mx-methods": [("*q_proj", "mxfp4", "ceil_x"), ("*o_proj", "mxfp4", "ceil_x"), ("*k_proj", "mxfp4", "fouroversix"),
                             ("*up_proj", "mxfp4", "fouroversix"), ("*down_proj", "mxfp8", "mse_round"),
                             ("*", "mxfp8", "minmax")],
    "qwen3-f32-mxfp4-dualscale": [("*", "mxfp4", "dualscale-64")],
}


def read(path):
    raw = lzma.open(path).read() if path.suffix == ".xz" else path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    data = raw[8 + size:]
    return {name: (entry["dtype"], entry["shape"], data[entry["data_offsets"][0]:entry["data_offsets"][1]])
            for name, entry in header.items()}


def read_folder(folder, pattern):
    tensors = {}
    for path in sorted(folder.glob(pattern)):
        tensors.update(read(path))
    return tensors


def spec_of(rules, module):
    for pattern, fmt, method in rules:
        if fnmatch.fnmatchcase(module, pattern):
            return f"{fmt} {method}" if fmt else None
    return None


def main():
    root, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    take_all = "--all" in sys.argv
    with out.open("wb") as file:
        for case, rules in CASES.items():
            folder = root / "cases" / case
            model = json.loads((folder / "case.json").read_text())["model"]
            source = read_folder(root / model, "model*.safetensors")
            expected = read_folder(folder / "expected", "tensors.safetensors*")
            chosen = {}
            for name in sorted(expected):
                module = name[:-len(".weight_scale")]
                if not name.endswith(".weight_scale") or module + ".weight" not in expected:
                    continue  # stored with another case
                spec = spec_of(rules, module)
                if spec is None:
                    continue
                size = len(source[module + ".weight"][2])
                if take_all:
                    chosen[(spec, module)] = (size, module)
                else:
                    chosen[spec] = min(chosen.get(spec, (size, module)), (size, module))
            for key, (_, module) in sorted(chosen.items(), key=str):
                spec = (key[0] if take_all else key).encode()
                records = [("spec", "U8", [len(spec)], spec), ("source", *source[module + ".weight"])]
                for part in ("weight", "weight_scale", "weight_dual_scale"):
                    if module + "." + part in expected:
                        records.append((part, *expected[module + "." + part]))
                for part, dtype, shape, data in records:
                    dims = "x".join(map(str, shape))
                    file.write(f"{case}/{module}/{part} {dtype} {dims}\n".encode() + data)


main()
