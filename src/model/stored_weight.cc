#include "model/stored_weight.h"

#include <utility>

#include "io/checkpoint.h"

namespace modelslim {
namespace {

// The part of a tensor that a parameter is made of: all of it, or one slice of the first axis.
struct Part {
  const CheckpointTensor* tensor = nullptr;
  int64_t begin = 0;  // elements
  Shape shape;

  int64_t count() const { return NumElements(shape); }
};

Part PartOf(const Checkpoint& checkpoint, const std::string& name, int64_t expert) {
  Part part;
  part.tensor = &checkpoint.Require(name);
  part.shape = part.tensor->shape;
  if (expert < 0) return part;
  MODELSLIM_CHECK(!part.shape.empty() && expert < part.shape.front());
  part.shape.erase(part.shape.begin());
  part.begin = expert * part.count();
  return part;
}

SharedTensor Get(const Checkpoint& checkpoint, const Part& part) {
  return checkpoint.GetPart(*part.tensor, part.begin, part.shape);
}

// The last axes of blocks of codes ([out, in / 32, 16]) as one.
Shape AsMatrix(const Shape& shape) {
  if (shape.size() <= 2) return shape;
  return {shape.front(), NumElements(shape) / std::max<int64_t>(1, shape.front())};
}

Tensor Decode(const Checkpoint& checkpoint, const ParamInfo& param, int64_t begin, int64_t end) {
  const StoredWeight& stored = *param.stored;
  std::vector<SharedTensor> held;
  const auto view = [&](const std::string& name) -> ConstView {
    if (name.empty()) return {};
    return held.emplace_back(Get(checkpoint, PartOf(checkpoint, name, stored.expert))).view();
  };
  held.reserve(3);
  CodedWeight weight;
  weight.code = *stored.code;
  weight.codes = view(stored.values);
  weight.codes.shape = AsMatrix(weight.codes.shape);
  weight.scales = view(stored.scales);
  weight.zeros = view(stored.zeros);
  weight.in = param.shape.back();
  weight.block_rows = stored.block_rows;
  weight.block_cols = stored.block_cols;
  Tensor made(param.dtype, {end - begin, param.shape.back()});
  DecodeRows(weight, stored.first + begin * stored.step, stored.step, made.view());
  return made;
}

// Rows that follow one another in the file: a view of them.
std::optional<Part> Contiguous(const Checkpoint& checkpoint, const ParamInfo& param) {
  const StoredWeight& stored = *param.stored;
  if (stored.code || stored.transposed || stored.step != 1) return std::nullopt;
  Part part = PartOf(checkpoint, stored.values, stored.expert);
  const int64_t row = part.shape.size() > 1 ? NumElements(part.shape) / part.shape.front() : 1;
  part.begin += stored.first * row;
  part.shape = param.shape;
  return part;
}

Tensor LoadFloats(const Checkpoint& checkpoint, const ParamInfo& param, int64_t begin, int64_t end) {
  const StoredWeight& stored = *param.stored;
  Shape shape = param.shape;
  shape.front() = end - begin;
  const Part part = PartOf(checkpoint, stored.values, stored.expert);
  const SharedTensor whole = Get(checkpoint, part);
  Tensor values(part.tensor->dtype, shape);
  ConstView from = whole.view();
  if (from.shape.size() == 1) from.shape.push_back(1);  // rows of one element
  View to = values.view();
  if (to.shape.size() == 1) to.shape.push_back(1);
  const int64_t first = stored.first + begin * stored.step;
  if (stored.transposed) {
    CopyColumnsAsRows(from, first, stored.step, to);
  } else {
    CopyRowsBy(from, first, stored.step, to);
  }
  return values.dtype() == param.dtype ? std::move(values) : ConvertTo(std::as_const(values).view(), param.dtype);
}

template <class Hint>
void Advise(const Checkpoint& checkpoint, const ParamInfo& param, Hint hint) {
  if (const std::optional<Part> part = Contiguous(checkpoint, param)) return hint(*part);
  for (const std::string& name : param.stored->tensors()) hint(PartOf(checkpoint, name, param.stored->expert));
}

}  // namespace

std::vector<std::string> StoredWeight::tensors() const {
  std::vector<std::string> names = {values};
  if (!scales.empty()) names.push_back(scales);
  if (!zeros.empty()) names.push_back(zeros);
  return names;
}

Tensor LoadStored(const Checkpoint& checkpoint, const ParamInfo& param) {
  return LoadStoredRows(checkpoint, param, 0, param.shape.front());
}

Tensor LoadStoredRows(const Checkpoint& checkpoint, const ParamInfo& param, int64_t begin, int64_t end) {
  return param.stored->code ? Decode(checkpoint, param, begin, end) : LoadFloats(checkpoint, param, begin, end);
}

std::optional<SharedTensor> MapStored(const Checkpoint& checkpoint, const ParamInfo& param) {
  const std::optional<Part> part = Contiguous(checkpoint, param);
  if (!part || part->tensor->dtype != param.dtype) return std::nullopt;
  return Get(checkpoint, *part);
}

bool IsStoredInPlace(const Checkpoint& checkpoint, const ParamInfo& param) {
  const std::optional<Part> part = Contiguous(checkpoint, param);
  return part && part->tensor->dtype == param.dtype && checkpoint.IsInPlace(*part->tensor);
}

void WillNeedStored(const Checkpoint& checkpoint, const ParamInfo& param) {
  Advise(checkpoint, param, [&](const Part& part) { checkpoint.WillNeedPart(*part.tensor, part.begin, part.count()); });
}

void DontNeedStored(const Checkpoint& checkpoint, const ParamInfo& param) {
  Advise(checkpoint, param, [&](const Part& part) { checkpoint.DontNeedPart(*part.tensor, part.begin, part.count()); });
}

}  // namespace modelslim
