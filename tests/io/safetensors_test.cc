#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>

#include "base/expect_error.h"
#include "base/temporary_directory.h"
#include "io/json.h"

namespace modelslim {
namespace {

std::string Length(uint64_t length) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xff);
  return bytes;
}

std::string FileOf(const std::string& header, size_t data) {
  return Length(header.size()) + header + std::string(data, '\1');
}

SafetensorsHeader Parse(const std::string& file) {
  return ParseSafetensorsHeader(std::as_bytes(std::span(file)), file.size(), "m.safetensors");
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return bytes;
}

// The six tensors of a static W8A8 linear, in an order of no meaning.
const std::pair<SafetensorsItem, const char*> kLinear[] = {
    {{"l.weight", DType::kI8, {2, 4}}, "7fce140a81401ef6"},  {{"l.quant_bias", DType::kI32, {2}}, "3f4700004de9ffff"},
    {{"l.input_scale", DType::kF32, {1}}, "0ad7233c"},       {{"l.input_offset", DType::kF32, {1}}, "00009ac2"},
    {{"l.deq_scale", DType::kF32, {2}}, "17b7513817b7d138"}, {{"l.bias", DType::kF32, {2}}, "0000003f000080be"}};

std::string LinearFile() {
  std::vector<SafetensorsItem> items;
  for (const auto& [item, data] : kLinear) items.push_back(item);
  const SafetensorsPlan plan = PlanSafetensors(items);
  std::string file = plan.header + std::string(plan.file_size - plan.header.size(), '\0');
  for (const SafetensorsSlot& slot : plan.slots) {
    for (const auto& [item, data] : kLinear) {
      if (item.name == slot.name) file.replace(slot.offset, slot.size, FromHex(data));
    }
  }
  return file;
}

// What the reference's ordering and padding rules give for these tensors; SHA-256 of the whole file:
// 9e6b3b07057442bd495e4e16fefc6cb540b74fb7971df7ec1043518d4c8e9cd9.
// here.
TEST(SafetensorsPlan, MatchesTheGoldenFile) {
  const std::string header =
      R"({"l.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"l.deq_scale":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
      R"("l.input_offset":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},"l.input_scale":{"dtype":"F32","shape":[1],"data_offsets":[20,24]},)"
      R"("l.quant_bias":{"dtype":"I32","shape":[2],"data_offsets":[24,32]},"l.weight":{"dtype":"I8","shape":[2,4],"data_offsets":[32,40]}})";
  const std::string file = LinearFile();
  ASSERT_EQ(file.size(), 440u);
  EXPECT_EQ(file.substr(0, 8), Length(392));
  EXPECT_EQ(file.substr(8, 392), header + "     ");
  EXPECT_EQ(file.substr(400),
            FromHex("0000003f000080be17b7513817b7d13800009ac20ad7233c3f4700004de9ffff7fce140a81401ef6"));
}

TEST(SafetensorsPlan, LargerTypesFirstThenNamesByBytes) {
  const SafetensorsPlan plan = PlanSafetensors({{"experts.2.w", DType::kI8, {8}},
                                                {"experts.10.w", DType::kI8, {8}},
                                                {"z", DType::kI64, {1}},
                                                {"b", DType::kBF16, {4}},
                                                {"Z", DType::kI8, {8}},
                                                {"a", DType::kU8, {8}},
                                                {"\xc3\xa9", DType::kI8, {8}},
                                                {"f", DType::kF32, {0, 7}},
                                                {"e", DType::kF8E4M3, {}}});
  std::string order;
  for (const SafetensorsSlot& slot : plan.slots) order += slot.name + " ";
  EXPECT_EQ(order, "z f b e Z experts.10.w experts.2.w \xc3\xa9 a ");
  EXPECT_EQ(plan.header.size() % 8, 0u);
  EXPECT_EQ(plan.slots[0].offset, plan.header.size());
  EXPECT_EQ(plan.slots[3].size, 1u);
  EXPECT_EQ(plan.file_size, plan.header.size() + 8 + 0 + 8 + 1 + 5 * 8);
}

TEST(SafetensorsPlan, WhatIsWrittenReadsBack) {
  const SafetensorsPlan plan = PlanSafetensors({{"we\"ird\\\n\x7f 量", DType::kF16, {3, 1}}, {"", DType::kU8, {2}}},
                                               {{"format", "pt"}, {"k", "ü"}});
  const std::string file = plan.header + std::string(8, 'x');
  const SafetensorsHeader header = Parse(file);
  ASSERT_EQ(header.slots.size(), 2u);
  EXPECT_EQ(header.slots[0].name, "we\"ird\\\n\x7f 量");
  EXPECT_EQ(header.slots[0].shape, (Shape{3, 1}));
  EXPECT_EQ(header.slots[1].name, "");
  EXPECT_EQ(header.metadata, (SafetensorsMetadata{{"format", "pt"}, {"k", "ü"}}));
  EXPECT_EQ(plan.header.substr(8, 41), R"({"__metadata__":{"format":"pt","k":"ü"},)");
  EXPECT_THAT(plan.header, ::testing::HasSubstr("\"we\\\"ird\\\\\\n\x7f 量\":{"));
  EXPECT_EQ(PlanSafetensors({}).header.substr(8), "{}      ");
}

TEST(SafetensorsPlan, PadsToEightBytesAndNoFurther) {
  for (size_t length = 1; length <= 16; ++length) {
    const std::string name(length, 'n');
    const SafetensorsPlan plan = PlanSafetensors({{name, DType::kI8, {0}}});
    const std::string json = "{\"" + name + R"(":{"dtype":"I8","shape":[0],"data_offsets":[0,0]}})";
    EXPECT_EQ(plan.header.size(), 8 + (json.size() + 7) / 8 * 8);
    EXPECT_EQ(plan.header.substr(8, json.size()), json);
  }
}

// Files that the reference implementation wrote (safetensors of PyTorch): planning their tensors gives their headers
// again.
TEST(SafetensorsPlan, GivesTheHeadersOfReferenceFiles) {
  for (const char* const name : {"all_dtypes", "empty_and_scalar"}) {
    const SafetensorsFile file(fs::path(MODELSLIM_SOURCE_DIR "/tests/golden/safetensors") /
                               (std::string(name) + ".safetensors"));
    std::vector<SafetensorsItem> items;
    for (const SafetensorsSlot& slot : file.header().slots)
      items.insert(items.begin(), {slot.name, slot.dtype, slot.shape});
    EXPECT_GT(items.size(), 5u);
    const SafetensorsPlan plan = PlanSafetensors(items, file.header().metadata);
    const std::span<const std::byte> header = file.header_bytes();
    EXPECT_EQ(plan.header, std::string(reinterpret_cast<const char*>(header.data()), header.size()));
    EXPECT_EQ(plan.file_size, file.size());
  }
}

TEST(SafetensorsPlan, RefusesWhatNoFileCanHold) {
  ExpectError(
      [] {
        PlanSafetensors({{"a", DType::kI8, {1}}, {"a", DType::kF32, {1}}});
      },
      ErrorCode::kUnexpected, {"'a'", "twice"});
  ExpectError([] { PlanSafetensors({{"a", DType::kI8, {-1}}}); }, ErrorCode::kUnexpected, {"'a'", "negative"});
  ExpectError(
      [] {
        PlanSafetensors({{"a", DType::kF32, {INT64_MAX, 2}}});
      },
      ErrorCode::kUnexpected, {"'a'", "overflow"});
}

struct BadHeader {
  std::string file;
  const char* message;
};

std::string OneTensor(const std::string& entry, size_t data = 8) { return FileOf("{\"w\":" + entry + "}", data); }

std::vector<BadHeader> BadHeaders() {
  const std::string good = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const auto two = [](const char* a, const char* b, size_t data) {
    return FileOf(std::string(R"({"a":{"dtype":"I8","shape":[4],"data_offsets":)") + a +
                      R"(},"b":{"dtype":"I8","shape":[4],"data_offsets":)" + b + "}}",
                  data);
  };
  std::vector<BadHeader> table = {
      // Length and framing.
      {"", "expected at least 8 bytes (the length of the header), found 0"},
      {"1234567", "expected at least 8 bytes (the length of the header), found 7"},
      {Length(0), "expected a header of at least 2 bytes, found a length of 0"},
      {Length(1) + "{", "expected a header of at least 2 bytes"},
      {Length(10) + "{}", "expected a header of 10 bytes, found a file of 10 bytes"},
      {Length(100'000'001) + "{}", "expected a header of at most 100000000 bytes, found a length of 100000001"},
      {Length(~uint64_t{0}) + "{}", "found a length of 18446744073709551615"},
      {Length(uint64_t{1} << 63) + "{}", "found a length of 9223372036854775808"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS pointer"},
      {"PK\3\4 this is a zip file, not safetensors", "expected a header of at most 100000000 bytes"},
      {FileOf("[]", 0), "expected a header that begins with '{', found '[]'"},
      {FileOf(" {}", 0), "expected a header that begins with '{', found ' {}'"},
      // JSON.
      {FileOf("{", 0) + "}", "expected a header of at least 2 bytes"},
      {FileOf("{{", 0), "line 1, column 2: expected a key in quotes"},
      {FileOf("{}x", 0), "line 1, column 3: expected the end of the document"},
      {FileOf(std::string("{}\0", 3), 0), "expected the end of the document, found '\\x00'"},
      {FileOf("{\"w\":" + good + ",}", 8), "expected a key in quotes"},
      {FileOf("{\"w\xff\":" + good + "}", 8), "not UTF-8"},
      {FileOf("{\"\\ud800\":" + good + "}", 8), "surrogate"},
      {FileOf("{\"w\":" + std::string(5000, '['), 0), "tensor 'w'"},
      {FileOf("{\"w\":{\"shape\":" + std::string(5000, '['), 0),
       "tensor 'w': shape: expected integers, found an array"},
      // Shape of the JSON.
      {FileOf("{\"w\":null}", 0), "tensor 'w': expected an object with dtype, shape and data_offsets, found null"},
      {FileOf("{\"w\":[]}", 0), "tensor 'w': expected an object with dtype, shape and data_offsets, found an array"},
      {FileOf("{\"w\":7}", 0), "tensor 'w': expected an object with dtype, shape and data_offsets, found the number 7"},
      {OneTensor("{}"), "tensor 'w': expected dtype, shape and data_offsets, found no dtype"},
      {OneTensor(R"({"dtype":"F32","data_offsets":[0,8]})"),
       "tensor 'w': expected dtype, shape and data_offsets, found no shape"},
      {OneTensor(R"({"dtype":"F32","shape":[2]})"), "found no data_offsets"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1})"), "found the field 'more'"},
      {OneTensor(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "found 'dtype' twice"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]})"), "found 'shape' twice"},
      {OneTensor(R"({"dtype":5,"shape":[2],"data_offsets":[0,8]})"),
       "tensor 'w': dtype: expected a string, found the number 5"},
      {OneTensor(R"({"dtype":["F32"],"shape":[2],"data_offsets":[0,8]})"),
       "tensor 'w': dtype: expected a string, found an array"},
      {OneTensor(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected an array of integers"},
      {OneTensor(R"({"dtype":"F32","shape":"[2]","data_offsets":[0,8]})"),
       "tensor 'w': shape: expected an array of integers"},
      {OneTensor(R"({"dtype":"F32","shape":{},"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected an array of integers, found an object"},
      {OneTensor(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected integers, found the string '2'"},
      {OneTensor(R"({"dtype":"F32","shape":[[2]],"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected integers, found an array"},
      {OneTensor(R"({"dtype":"F32","shape":[null],"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected integers, found null"},
      {OneTensor(R"({"dtype":"F32","shape":[true],"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected integers, found true"},
      // Element types.
      {OneTensor(R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})"),
       "tensor 'w': dtype: expected a known element type"},
      {OneTensor(R"({"dtype":"f32","shape":[2],"data_offsets":[0,8]})"), "found 'f32'"},
      {OneTensor(R"({"dtype":"","shape":[2],"data_offsets":[0,8]})"), "found ''"},
      // Numbers.
      {OneTensor(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"),
       "tensor 'w': shape: expected integers from 0 to 2^63 - 1, found -2"},
      {OneTensor(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), "found 2.0"},
      {OneTensor(R"({"dtype":"F32","shape":[2e0],"data_offsets":[0,8]})"), "found 2e0"},
      {OneTensor(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})"), "found 9223372036854775808"},
      {OneTensor(R"({"dtype":"F32","shape":[99999999999999999999999],"data_offsets":[0,8]})"),
       "found 99999999999999999999999"},
      {OneTensor(R"({"dtype":"F32","shape":[NaN],"data_offsets":[0,8]})"), "found NaN"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})"),
       "data_offsets: expected two numbers, begin and end, found 1"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[]})"),
       "data_offsets: expected two numbers, begin and end, found 0"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})"), "data_offsets: expected at most 2 numbers"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"),
       "data_offsets: expected begin <= end, found [8, 0]"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), "found -8"},
      // Sizes.
      {OneTensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})"),
       "tensor 'w': F32 [4294967296, 4294967296] is larger"},
      {OneTensor(R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]})", 0),
       "is larger than any file"},
      {OneTensor(R"({"dtype":"I8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]})", 0),
       "is larger than any file"},
      {OneTensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"),
       "expected 12 bytes for F32 [3], found data_offsets that span 8"},
      {OneTensor(R"({"dtype":"F16","shape":[2],"data_offsets":[0,8]})"),
       "expected 4 bytes for F16 [2], found data_offsets that span 8"},
      {OneTensor(R"({"dtype":"F32","shape":[],"data_offsets":[0,8]})"), "expected 4 bytes for F32 [], found"},
      {OneTensor(R"({"dtype":"F32","shape":[0],"data_offsets":[0,8]})"), "expected 0 bytes for F32 [0]"},
      // Places.
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 7),
       "expected bytes [0, 8) of the data, found a file with 7"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 0),
       "expected bytes [0, 8) of the data, found a file with 0"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 9),
       "expected 8 bytes of data (where the last tensor ends), found 9"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[9223372036854775799,9223372036854775807]})"),
       "found a file with 8 bytes of data"},
      {OneTensor(R"({"dtype":"F32","shape":[2],"data_offsets":[4,12]})", 12),
       "tensor 'w': expected its bytes to begin at 0, right after the start of the data, found 4 (a hole"},
      {FileOf("{}", 1), "expected 0 bytes of data"},
      {FileOf("{}     ", 800), "expected 0 bytes of data"},
      {two("[0,4]", "[2,6]", 6),
       "tensor 'b': expected its bytes to begin at 4, right after 'a', found 2 (they overlap)"},
      {two("[0,4]", "[0,4]", 4),
       "tensor 'b': expected its bytes to begin at 4, right after 'a', found 0 (they overlap)"},
      {two("[0,4]", "[5,9]", 9),
       "tensor 'b': expected its bytes to begin at 4, right after 'a', found 5 (a hole lies between)"},
      {two("[5,9]", "[0,4]", 9), "tensor 'a': expected its bytes to begin at 4, right after 'b', found 5 (a hole"},
      {FileOf(
           R"({"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]},"z":{"dtype":"I8","shape":[0],"data_offsets":[2,2]}})",
           4),
       "tensor 'z': expected its bytes to begin at 4"},
      // Names and metadata.
      {FileOf("{\"w\":" + good + ",\"w\":" + good + "}", 8), "tensor 'w': expected every name once, found it twice"},
      {FileOf("{\"w\":" + good + R"(,"\u0077":{"dtype":"I8","shape":[1],"data_offsets":[8,9]}})", 9),
       "tensor 'w': expected every name once"},
      {FileOf(R"({"__metadata__":"pt"})", 0), "tensor '__metadata__': expected an object"},
      {FileOf(R"({"__metadata__":{},"__metadata__":{}})", 0), "'__metadata__' twice"},
  };
  std::string many = "1";
  for (size_t i = 0; i < kMaxTensorRank; ++i) many += ",1";
  table.push_back({OneTensor(R"({"dtype":"I8","shape":[)" + many + R"(],"data_offsets":[0,1]})", 1),
                   "shape: expected at most 64 numbers"});
  return table;
}

TEST(SafetensorsHeader, RefusesBadOnes) {
  const std::vector<BadHeader> table = BadHeaders();
  ASSERT_GE(table.size(), 30u);
  for (const BadHeader& row : table) {
    ExpectError([&] { Parse(row.file); }, ErrorCode::kInvalidModel, {"m.safetensors: ", row.message});
  }
}

TEST(SafetensorsHeader, ReadsOddButLegalOnes) {
  EXPECT_TRUE(Parse(FileOf("{}", 0)).slots.empty());
  EXPECT_TRUE(Parse(FileOf("{ }  \n", 0)).slots.empty());
  EXPECT_EQ(Parse(FileOf(R"({"__metadata__":{}})", 0)).data_begin, 27u);
  // Scalars, empty tensors, entries in another order than their bytes, fields in another order.
  const SafetensorsHeader header =
      Parse(FileOf(R"({"b":{"data_offsets":[2,10],"shape":[1],"dtype":"I64"},"e":{"dtype":"F32","shape":[0,5],
      "data_offsets":[2,2]},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}})",
                   10));
  ASSERT_EQ(header.slots.size(), 3u);
  EXPECT_EQ(header.slots[0].name, "a");
  EXPECT_EQ(header.slots[1].name, "e");
  EXPECT_EQ(header.slots[2].name, "b");
  EXPECT_EQ(header.slots[2].offset, header.data_begin + 2);
  EXPECT_EQ(header.slots[0].shape, Shape{});
  EXPECT_EQ(header.slots[2].dtype, DType::kI64);
}

// Nothing depends on the metadata, so whatever Python's json module reads may stand there. Texts are kept.
TEST(SafetensorsHeader, MetadataMayHoldAnything) {
  const std::string deep = std::string(300, '[') + std::string(300, ']');
  const SafetensorsHeader header = Parse(FileOf(
      R"({"__metadata__":{"a":"x","n":1000000000000000019884624838656,"f":[NaN,-Infinity,1e999,"no",{"b":"no"}],"t":true,
      "o":{"shape":[1],"__metadata__":{}},"z":null,"deep":)" +
          deep + R"(,"half":"\ud800"},"w":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}})",
      1));
  EXPECT_EQ(header.metadata, (SafetensorsMetadata{{"a", "x"}, {"half", "\xed\xa0\x80"}}));
  ASSERT_EQ(header.slots.size(), 1u);
  EXPECT_EQ(header.slots[0].name, "w");
  EXPECT_TRUE(Parse(FileOf(R"({"__metadata__":null})", 0)).metadata.empty());
}

TEST(SafetensorsHeader, RefusesEveryTruncation) {
  const std::string file = LinearFile();
  ASSERT_NO_THROW(Parse(file));
  for (size_t length = 0; length < file.size(); ++length) {
    EXPECT_THROW(Parse(file.substr(0, length)), Error) << length;
  }
  EXPECT_THROW(Parse(file + "x"), Error);
}

// Every single-byte change of the header either is refused or leaves a header that covers the data exactly.
TEST(SafetensorsHeader, CorruptedTwinsAreRefusedOrConsistent) {
  const std::string file = LinearFile();
  int refused = 0, read = 0;
  for (size_t at = 0; at < 400; ++at) {
    for (const int flip : {0x01, 0x02, 0x10, 0x20, 0x80}) {
      std::string twin = file;
      twin[at] = static_cast<char>(twin[at] ^ flip);
      try {
        const SafetensorsHeader header = Parse(twin);
        ++read;
        uint64_t end = header.data_begin;
        for (const SafetensorsSlot& slot : header.slots) {
          EXPECT_EQ(slot.offset, end);
          EXPECT_EQ(slot.size, static_cast<uint64_t>(NumElements(slot.shape)) * DTypeSize(slot.dtype));
          end += slot.size;
        }
        EXPECT_EQ(end, twin.size());
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kInvalidModel) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 1500);
  EXPECT_GT(read, 50);  // a changed letter in a name is just another name
}

TEST(SafetensorsHeader, HandlesAHundredThousandTensors) {
  std::vector<SafetensorsItem> items;
  for (int i = 0; i < 100000; ++i) {
    items.push_back(
        {"model.layers." + std::to_string(i / 1000) + ".mlp.experts." + std::to_string(i % 1000) + ".down_proj.weight",
         DType::kI8,
         {1, 3}});
  }
  const SafetensorsPlan plan = PlanSafetensors(std::move(items));
  const SafetensorsHeader header =
      ParseSafetensorsHeader(std::as_bytes(std::span(plan.header)), plan.file_size, "large.safetensors");
  ASSERT_EQ(header.slots.size(), 100000u);
  EXPECT_EQ(header.slots[77777].offset, plan.header.size() + 3 * 77777);
}

TEST(SafetensorsHeader, MessagesSurviveHostileNames) {
  const std::string name(1'000'000, 'n');
  try {
    Parse(FileOf("{\"" + name + "\\u0000\\u001b[31m\":{}}", 0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_LT(std::strlen(error.what()), 500u);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("\\x00\\x1b[31m"));
  }
}

TEST(SafetensorsFile, ViewsInPlace) {
  const TemporaryDirectory dir;
  Tensor weight(DType::kF32, {3, 2});
  for (int i = 0; i < 6; ++i) weight.as<float>()[i] = static_cast<float>(i) / 4;
  Tensor codes(DType::kI8, {5});
  for (int i = 0; i < 5; ++i) codes.as<int8_t>()[i] = static_cast<int8_t>(i - 2);
  WriteSafetensors(dir / "a.safetensors", {{"codes", codes.view()}, {"weight", weight.view()}}, {{"format", "pt"}},
                   0400);
  EXPECT_EQ(fs::status(dir / "a.safetensors").permissions(), fs::perms::owner_read);
  EXPECT_FALSE(fs::exists(dir / "a.safetensors.partial"));

  const SafetensorsFile file(dir / "a.safetensors");
  EXPECT_EQ(file.header().metadata, (SafetensorsMetadata{{"format", "pt"}}));
  const SharedTensor read = file.Get("weight"), again = file.Get("weight"), ints = file.Get("codes");
  EXPECT_EQ(read.shape(), (Shape{3, 2}));
  EXPECT_EQ(std::memcmp(read.view().data, weight.as<float>(), 24), 0);
  EXPECT_EQ(again.view().data, read.view().data);
  EXPECT_EQ(ints.view().as<int8_t>()[4], 2);
  EXPECT_EQ(file.Find("absent"), nullptr);
  ExpectError([&] { file.Get("absent"); }, ErrorCode::kInvalidModel, {"a.safetensors", "'absent'"});
  file.WillNeed(*file.Find("weight"));
  file.DontNeed(*file.Find("weight"));
  EXPECT_EQ(read.view().as<float>()[5], 1.25f);
}

// Old writers did not pad the header, so that tensors lie at odd addresses.
TEST(SafetensorsFile, CopiesWhatLiesAtAnOddAddress) {
  const TemporaryDirectory dir;
  const std::string header =
      R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"I8","shape":[1],"data_offsets":[8,9]}})";
  ASSERT_NE((8 + header.size()) % 4, 0u);
  const float values[] = {1.5f, -2.0f};
  std::string content = Length(header.size()) + header + std::string(9, '\7');
  std::memcpy(content.data() + 8 + header.size(), values, 8);
  auto file = std::make_unique<const SafetensorsFile>(dir.Write("odd.safetensors", content));
  const SharedTensor w = file->Get("w"), again = file->Get("w"), b = file->Get("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(w.view().data) % 4, 0u);
  EXPECT_EQ(w.view().as<float>()[0], 1.5f);
  EXPECT_EQ(again.view().data, w.view().data) << "one copy for all who hold it";
  // What was handed out stays, whatever becomes of the file's hints or of the file.
  file->DontNeed(*file->Find("w"));
  EXPECT_EQ(w.view().as<float>()[1], -2.0f);
  file.reset();
  EXPECT_EQ(w.view().as<float>()[1], -2.0f);
  EXPECT_EQ(*b.view().as<int8_t>(), 7);
}

TEST(SafetensorsFile, RefusesWhatIsNoFile) {
  const TemporaryDirectory dir;
  EXPECT_THROW(SafetensorsFile(dir / "absent"), Error);
  EXPECT_THROW(SafetensorsFile(dir.path()), Error);
  ExpectError([&] { SafetensorsFile(dir.Write("empty.safetensors", "")); }, ErrorCode::kInvalidModel,
              {"empty.safetensors", "found 0"});
}

}  // namespace
}  // namespace modelslim
