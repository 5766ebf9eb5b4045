// From quantizer results to packed tensors and derived parameters, as output formats hold them, and back.
#pragma once

#include <cstdint>
#include <string_view>

#include "quant/weights/weight_quantizer.h"
#include "tensor/tensor.h"

namespace modelslim {

// input_scale * weight_scale, rounded to the promoted dtype of the two, as f32 [out]. weight_scale: [out] or [out, 1].
Tensor DeqScale(const AffineParams& input, const ConstView& weight_scale);
// How deq_scale is stored: f32 for bf16 models; I64 [out] otherwise, each the f32's bits as a signed 32-bit number
// extended.
Tensor DeqScaleForModel(Tensor deq_scale, DType model_dtype);
Tensor DeqScaleFromModel(const ConstView& stored);  // f32, from either form

// round(bias / deq - (sum of the row's integers) * input_offset) as I32 [out]. The quotient is rounded to the promoted
// dtype of bias and parameters; `bias` may have null data. codes: I8 [out, in].
Tensor QuantBias(const ConstView& codes, const AffineParams& input, const ConstView& weight_scale,
                 const ConstView& bias);

// What compensates the shift of 4-bit weights to unsigned, 8 * the sum of q * scale, by the name of the module: [out,
// 1] for up, gate, q, k, v projections, w1, w3; [out, 16] for down and o projections and w2 (one per sixteenth of the
// inputs). For any other name the reference writes the product q * scale itself, [out, in], neither summed nor scaled.
enum class ScaleBiasShape : uint8_t { kRow, kSixteenths, kOther };
ScaleBiasShape ScaleBiasShapeOf(std::string_view module);
inline constexpr int64_t kMaxTensorParallel = 16;
int64_t ScaleBiasColumns(ScaleBiasShape shape, int64_t in);
// codes: I8 [out, in]. kOther gives q * scale. Throws Error(kUnsupported) when kSixteenths and in is not a multiple
// of 16.
Tensor ScaleBias(const ConstView& codes, const ConstView& weight_scale, ScaleBiasShape shape);
// I8 [out, in] (4-bit values) <-> I8 [out/2, in]; even row in the low nibble. out must be even (Error kUnsupported).
Tensor PackInt4Rows(const ConstView& codes);
Tensor UnpackInt4Rows(const ConstView& packed);
// U8 [out, in] (fp4 codes) <-> U8 [out, in/2]; even column in the low nibble. in must be even (Error kUnsupported).
Tensor PackFp4Columns(const ConstView& codes);
Tensor UnpackFp4Columns(const ConstView& packed);
// fp4 codes as e4m3 bytes, one per element: the form of December 2025.
Tensor Fp4AsE4M3(const ConstView& codes);

// Scales as saved: f32 [out, 1] (or [out, groups] when they are per group).
Tensor WeightScaleColumn(const ConstView& scale);

}  // namespace modelslim
