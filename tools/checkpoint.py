"""Writing of Hugging Face weight files from Python: safetensors files, shards, their index. Needs numpy.

A tensor is a Spec: its name, dtype, shape and a function that yields its bytes in pieces. Only one piece is in memory at a
time, so a checkpoint may be far larger than the machine's memory.
"""

import json
import pathlib
import struct

import numpy

BITS = {"F64": 64, "F32": 32, "BF16": 16, "F16": 16, "F8_E4M3": 8, "F8_E8M0": 8, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8}
# What config.json calls a dtype, and what safetensors calls it.
TORCH_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


class Spec:
    """One tensor to be written. `pieces()` yields bytes-like objects whose lengths sum up to `size`."""

    def __init__(self, name, dtype, shape, pieces):
        self.name = name
        self.dtype = dtype
        self.shape = tuple(int(extent) for extent in shape)
        self.pieces = pieces
        count = 1
        for extent in self.shape:
            count *= extent
        self.size = count * BITS[dtype] // 8

    @staticmethod
    def of(name, dtype, values):
        """A small tensor whose values are at hand as a float array."""
        values = numpy.asarray(values)
        return Spec(name, dtype, values.shape, lambda: [to_bytes(values, dtype)])


def to_bytes(values, dtype):
    """The values in the little-endian layout of `dtype`; rounding is to nearest, ties to even."""
    if dtype == "BF16":
        return to_bfloat16(values).tobytes()
    if dtype == "F8_E4M3":
        return to_e4m3(values).tobytes()
    layout = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "F8_E8M0": "u1"}
    return numpy.ascontiguousarray(values).astype(layout[dtype]).tobytes()


def to_bfloat16(values):
    """uint16 codes. NaN keeps its sign and becomes quiet, so that rounding cannot turn it into infinity."""
    single = numpy.ascontiguousarray(values, dtype=numpy.float32)
    word = single.view(numpy.uint32)
    kept = word >> numpy.uint32(16)
    rest = word & numpy.uint32(0xFFFF)
    up = (rest > 0x8000) | ((rest == 0x8000) & ((kept & 1) == 1))
    code = kept + up.astype(numpy.uint32)
    code = numpy.where(numpy.isnan(single), kept | 0x40, code)
    return code.astype(numpy.uint16)


def e4m3_table():
    """The 127 finite non-negative values of e4m3 (the flavour without infinities), ascending."""
    code = numpy.arange(127)
    exponent, fraction = code // 8, code % 8
    return numpy.where(exponent == 0, fraction * 2.0**-9, (8 + fraction) * 2.0 ** (exponent - 10.0))


def to_e4m3(values):
    """uint8 codes, nearest with ties to the even code; magnitudes above 448 become 448."""
    table = e4m3_table()
    middle = (table[1:] + table[:-1]) / 2  # exact in f64
    size = numpy.minimum(numpy.abs(numpy.asarray(values, dtype=numpy.float64)), 448.0)
    code = numpy.searchsorted(middle, size, side="left")
    tie = (code < 126) & (size == middle[numpy.minimum(code, 125)]) & (code % 2 == 1)
    code = code + tie
    return (code + 128 * numpy.signbit(values)).astype(numpy.uint8)


def header_of(specs):
    """The length prefix and the JSON header of a file that holds `specs` in this order."""
    entries, offset = {"__metadata__": {"format": "pt"}}, 0
    for spec in specs:
        if spec.name in entries:
            raise ValueError(f"two tensors are called {spec.name}")
        entries[spec.name] = {"dtype": spec.dtype, "shape": spec.shape, "data_offsets": (offset, offset + spec.size)}
        offset += spec.size
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    text = text.ljust((len(text) + 7) // 8 * 8)
    return struct.pack("<Q", len(text)) + text


def write_file(path, specs):
    """Writes one safetensors file; a tensor whose pieces do not fill it is an error."""
    with open(path, "wb") as out:
        out.write(header_of(specs))
        for spec in specs:
            written = 0
            for piece in spec.pieces():
                written += out.write(piece)
            if written != spec.size:
                raise ValueError(f"{path}: {spec.name} has {written} bytes, its shape asks for {spec.size}")


def into_shards(specs, limit):
    """Consecutive groups that stay within `limit` bytes; a tensor above the limit gets a group of its own."""
    group, used = [], 0
    for spec in specs:
        if group and used + spec.size > limit:
            yield group
            group, used = [], 0
        group.append(spec)
        used += spec.size
    if group:
        yield group


def write_weights(folder, specs, shard_bytes=0):
    """Writes model.safetensors, or with `shard_bytes` > 0 numbered shards and their index. Returns the bytes of all tensors."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    specs = list(specs)
    if not shard_bytes:
        write_file(folder / "model.safetensors", specs)
        return sum(spec.size for spec in specs)
    groups = list(into_shards(specs, shard_bytes))
    places = {}
    for position, group in enumerate(groups):
        name = f"model-{position + 1:05d}-of-{len(groups):05d}.safetensors"
        write_file(folder / name, group)
        places.update((spec.name, name) for spec in group)
    total = sum(spec.size for spec in specs)
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})
    return total


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False, indent=2)
        out.write("\n")
