#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "format/ascend_v1/mode_parts.h"
#include "format/pack.h"
#include "quant/numbers/mx.h"
#include "tensor/fp8.h"

namespace modelslim::ascend_v1 {
namespace {

[[noreturn]] void Bad(std::string_view tensor, const std::string& expected, const ConstView& found) {
  throw Error(ErrorCode::kInvalidModel,
              std::string(tensor) + ": expected " + expected + ", found " +
                  (found.data == nullptr ? std::string("nothing")
                                         : std::string(DTypeName(found.dtype)) + " " + ShapeText(found.shape)));
}

int64_t RowGrain(int64_t cols) { return std::max<int64_t>(1, 65536 / std::max<int64_t>(1, cols)); }

// f32 scales [rows, groups]; columns of a row are split evenly among the groups.
struct Scales {
  std::vector<float> scale, offset;
  int64_t groups = 1;
};

std::vector<float> Floats(std::string_view name, const ConstView& tensor, int64_t rows, int64_t* groups) {
  const bool fits = tensor.data != nullptr && tensor.dtype == DType::kF32 && rows > 0 && tensor.size() > 0 &&
                    tensor.size() % rows == 0 && tensor.shape.front() == rows;
  if (!fits) Bad(name, "F32 [" + std::to_string(rows) + ", groups]", tensor);
  *groups = tensor.size() / rows;
  const float* data = tensor.as<float>();
  return std::vector<float>(data, data + tensor.size());
}

Scales ReadScales(const SavedTensors& saved, int64_t rows, int64_t cols) {
  Scales scales;
  scales.scale = Floats("weight_scale", saved.weight_scale, rows, &scales.groups);
  if (cols % scales.groups != 0) {
    Bad("weight_scale", "a number of groups that divides " + std::to_string(cols) + " columns", saved.weight_scale);
  }
  if (saved.weight_offset.data == nullptr) return scales;
  int64_t groups = 0;
  scales.offset = Floats("weight_offset", saved.weight_offset, rows, &groups);
  if (groups != scales.groups) Bad("weight_offset", "the shape of weight_scale", saved.weight_offset);
  return scales;
}

Scales StaticScales(const SavedTensors& saved, int64_t rows) {
  if (saved.deq_scale.data == nullptr || saved.deq_scale.size() != rows ||
      (saved.deq_scale.dtype != DType::kF32 && saved.deq_scale.dtype != DType::kI64)) {
    Bad("deq_scale", "F32 or I64 [" + std::to_string(rows) + "]", saved.deq_scale);
  }
  if (saved.input_scale.data == nullptr || saved.input_scale.size() != 1 || saved.input_scale.dtype != DType::kF32) {
    Bad("input_scale", "F32 [1]", saved.input_scale);
  }
  const Tensor deq = DeqScaleFromModel(saved.deq_scale);
  Scales scales;
  for (int64_t i = 0; i < rows; ++i) scales.scale.push_back(deq.as<float>()[i] / saved.input_scale.as<float>()[0]);
  return scales;
}

// Row by row: decode(code) is the element before its scale.
template <class Decode>
Tensor Scaled(const ConstView& codes, const Scales& scales, const Decode& decode) {
  const int64_t rows = codes.rows(), cols = codes.cols(), groups = scales.groups, width = cols / groups;
  Tensor out(DType::kF32, {rows, cols});
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t group = 0; group < groups; ++group) {
        const float scale = scales.scale[row * groups + group];
        const float offset = scales.offset.empty() ? 0.0f : scales.offset[row * groups + group];
        const int64_t first = row * cols + group * width;
        for (int64_t i = first; i < first + width; ++i) out.as<float>()[i] = (decode(i) - offset) * scale;
      }
    }
  });
  return out;
}

void CheckMatrix(const ConstView& weight, std::initializer_list<DType> dtypes, const std::string& expected) {
  const bool known = std::find(dtypes.begin(), dtypes.end(), weight.dtype) != dtypes.end();
  if (weight.data == nullptr || weight.shape.size() != 2 || weight.size() == 0 || !known)
    Bad("weight", expected, weight);
}

Tensor DequantizeMx(const SavedTensors& saved, const ConstView& codes, bool fp4) {
  const int64_t rows = codes.rows(), cols = codes.cols(), blocks = MxBlocks(cols);
  const ConstView& stored = saved.weight_scale;
  if (stored.data == nullptr || stored.dtype != DType::kU8 || stored.size() != rows * blocks) {
    Bad("weight_scale", "U8 " + ShapeText({rows, blocks}), stored);
  }
  int64_t outer = 0;
  std::vector<float> dual;
  if (saved.weight_dual_scale.data != nullptr) {
    dual = Floats("weight_dual_scale", saved.weight_dual_scale, rows, &outer);
    if (cols % outer != 0)
      Bad("weight_dual_scale", "blocks that divide " + std::to_string(cols) + " columns", saved.weight_dual_scale);
  }
  const bool fp4_codes = fp4 && codes.dtype == DType::kU8;
  Tensor out(DType::kF32, {rows, cols});
  ParallelRanges(rows, RowGrain(cols), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const uint8_t *own = codes.as<uint8_t>() + row * cols, *exponents = stored.as<uint8_t>() + row * blocks;
      float* values = out.as<float>() + row * cols;
      for (int64_t block = 0; block < blocks; ++block) {
        const int64_t first = block * kMxBlock, n = std::min(kMxBlock, cols - first);
        MxDecode(own + first, n, MxReadExponent(exponents[block]), fp4_codes, values + first);
      }
      for (int64_t i = 0; !dual.empty() && i < cols; ++i) values[i] *= dual[row * outer + i / (cols / outer)];
    }
  });
  return out;
}

// An integer matrix as numbers.
auto Integers(const ConstView& codes) {
  return [q = codes.as<int8_t>()](int64_t i) { return static_cast<float>(q[i]); };
}

}  // namespace

Tensor ReadStatic(const SavedTensors& saved) {
  CheckMatrix(saved.weight, {DType::kI8}, "I8 [out, in]");
  return Scaled(saved.weight, StaticScales(saved, saved.weight.rows()), Integers(saved.weight));
}

Tensor ReadInt8(const SavedTensors& saved) {
  const ConstView& weight = saved.weight;
  CheckMatrix(weight, {DType::kI8}, "I8 [out, in]");
  return Scaled(weight, ReadScales(saved, weight.rows(), weight.cols()), Integers(weight));
}

Tensor ReadInt4(const SavedTensors& saved) {
  const ConstView& weight = saved.weight;
  CheckMatrix(weight, {DType::kI8}, "I8 [out / 2, in]");
  const Tensor codes = UnpackInt4Rows(weight);
  return Scaled(codes.view(), ReadScales(saved, 2 * weight.rows(), weight.cols()), Integers(codes.view()));
}

Tensor ReadAnyInt4(const SavedTensors& saved) {
  const ConstView& weight = saved.weight;
  CheckMatrix(weight, {DType::kI8}, "I8 [out / 2, in] or [out, in / 2]");
  if (saved.weight_scale.data == nullptr || saved.weight_scale.shape.front() != weight.rows()) return ReadInt4(saved);
  const Tensor codes = UnpackFp4Columns({weight.data, DType::kU8, weight.shape});
  const auto value = [q = codes.as<uint8_t>()](int64_t i) { return static_cast<float>(q[i] < 8 ? q[i] : q[i] - 16); };
  return Scaled(codes.view(), ReadScales(saved, weight.rows(), 2 * weight.cols()), value);
}

Tensor ReadFp8(const SavedTensors& saved) {
  const ConstView& weight = saved.weight;
  CheckMatrix(weight, {DType::kF8E4M3}, "F8_E4M3 [out, in]");
  return Scaled(weight, ReadScales(saved, weight.rows(), weight.cols()),
                [codes = weight.as<uint8_t>()](int64_t i) { return E4M3ToF32(codes[i]); });
}

Tensor ReadMxFp8(const SavedTensors& saved) {
  CheckMatrix(saved.weight, {DType::kF8E4M3}, "F8_E4M3 [out, in]");
  return DequantizeMx(saved, saved.weight, false);
}

Tensor ReadMxFp4(const SavedTensors& saved) {
  const ConstView& weight = saved.weight;
  CheckMatrix(weight, {DType::kU8, DType::kF8E4M3}, "U8 [out, in / 2] or F8_E4M3 [out, in]");
  if (weight.dtype == DType::kF8E4M3) return DequantizeMx(saved, weight, true);
  const Tensor codes = UnpackFp4Columns(weight);
  return DequantizeMx(saved, codes.view(), true);
}

}  // namespace modelslim::ascend_v1
