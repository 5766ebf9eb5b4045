"""Writes dump.txt: documents and what Python's json module prints for them (run once; the result is kept).

Each case is three lines: the arguments as JSON, the input document as a JSON string, the expected text as a JSON string.
"""
import json
import pathlib
import random
import struct

random.seed(20260101)
here = pathlib.Path(__file__).parent

FLOATS = [0.0, -0.0, 1.0, 1e-06, 1e-05, 0.0001, 0.00012345, 10000.0, 1e15, 9999999999999998.0, 1e16, 1.5e16, 1e17, 123456789012345680.0,
          1e22, 1e23, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 0.2, 1 / 3, 2 / 3, 3.14159, 100.0, 1e100, -1e-7,
          float("nan"), float("inf"), float("-inf"), 9007199254740993.0, 4503599627370496.5, 2.0 ** -30, 2.0 ** 70, 500000.0]
while len(FLOATS) < 2000:
    value = struct.unpack("<d", random.randbytes(8))[0]
    if value == value:
        FLOATS.append(value)
while len(FLOATS) < 3000:
    FLOATS.append(struct.unpack("<f", struct.pack("<f", random.uniform(-10, 10) * 10 ** random.randint(-8, 18)))[0])

STRINGS = ["", "plain", "quote \" and \\ and /", "\b\f\n\r\t\v\x00\x1f\x7f\x80", "Grüße", "量化模型", "🙂🚀", "\u2028\u2029",
           "\ud7ff\ue000\uffff", "\U00010000\U0010ffff", "a" * 300]
DOCUMENTS = [
    None, True, False, 0, -1, 2 ** 63 - 1, -2 ** 63, 2 ** 63, 2 ** 64 - 1, 2 ** 64, 1000000000000000019884624838656, -2 ** 70,
    {}, [], [[]], [{}], {"a": {}}, {"a": []}, [[], [], {}], [1, [2, [3, [4, {"k": [5, {}]}]]]],
    {"z": 1, "a": 2, "ß": [1.5, None, True], "": "empty key"},
    {"metadata": {"total_size": 1234567}, "weight_map": {"b": "x-00001-of-00002.safetensors", "a": "x"}},
    {"rope_theta": 10000.0, "rms_norm_eps": 1e-06, "eos_token_id": [151645, 151643], "torch_dtype": "bfloat16", "sliding_window": None},
    FLOATS, STRINGS, {text: text for text in STRINGS},
]

with open(here / "dump.txt", "w", encoding="ascii", newline="\n") as out:
    for document in DOCUMENTS:
        for indent in (None, 2, 4, 0, "compact"):
            if document is FLOATS and indent != 2:
                continue
            for ensure_ascii in (True, False):
                arguments = {"indent": None if indent == "compact" else indent, "ensure_ascii": ensure_ascii}
                extra = {"separators": (",", ":")} if indent == "compact" else {}
                print(json.dumps({"indent": -2 if indent == "compact" else -1 if indent is None else indent, "ensure_ascii": ensure_ascii}), file=out)
                print(json.dumps(json.dumps(document)), file=out)
                print(json.dumps(json.dumps(document, **arguments, **extra)), file=out)
