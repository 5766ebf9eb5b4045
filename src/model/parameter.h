// A model parameter while its block is being worked on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/layout.h"
#include "tensor/tensor.h"

namespace modelslim {

// Reads parameters as the model holds them: cast to the parameter's dtype, block-fp8 dequantized, aliases followed.
// Thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // The tensor as it lies in the checkpoint when nothing has to be changed, else nullopt.
  virtual std::optional<SharedTensor> Map(const ParamInfo& param) const = 0;
  // Whether values are read where they lie in the file, so that they take no memory.
  virtual bool IsInPlace(const ParamInfo& param) const { return Map(param).has_value(); }
  // The values in memory of their own. Throws Error(kInvalidModel) when the tensor is missing or has another shape.
  virtual Tensor Load(const ParamInfo& param) const = 0;
  // Rows [begin, end) of them, of a matrix.
  virtual Tensor LoadRows(const ParamInfo& param, int64_t begin, int64_t end) const;
  // Hints: about to be read, and no longer needed.
  virtual void WillNeed(const ParamInfo& param) const = 0;
  virtual void DontNeed(const ParamInfo& param) const = 0;
};

// Starts as what the file holds and occupies memory only from the first Get() of converted values or the first
// Mutable(). Not thread-safe.
class Parameter {
 public:
  Parameter(const ParamInfo& info, const WeightSource& source) : info_(&info), source_(&source) {}
  // A parameter that the checkpoint does not have (a bias made by a processor).
  Parameter(ParamInfo info, Tensor value);
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(Parameter&&) noexcept = default;

  const ParamInfo& info() const { return own_info_ ? *own_info_ : *info_; }
  const std::string& name() const { return info().name; }
  DType dtype() const { return modified_ ? owned_.dtype() : info().dtype; }
  const Shape& shape() const { return info().shape; }

  // Current values; valid until the next non-const call.
  ConstView Get();
  // The same for somebody who keeps them longer: in place where the checkpoint has them, else taken out of this object,
  // which is used up then unless it can read them again.
  SharedTensor Take();
  // Whether the values are not in memory and must be made, but can be made some rows at a time.
  bool ComesInRows() const;
  // Rows [begin, end) of such a matrix.
  Tensor LoadRows(int64_t begin, int64_t end) const;
  // values[ids[t]] for every t, of any matrix. Throws as EmbeddingLookup().
  Tensor LookUp(std::span<const int32_t> ids);
  // For changes in place.
  View Mutable();
  // For changes that need not be made before somebody reads the values: `change` gets them whenever they are loaded,
  // after the changes asked for earlier, and must always do the same. Keeps the parameter releasable, so that a rotated
  // expert need not stay in memory.
  // kRows: it changes every row of a matrix by itself, so that rows can be read without the others.
  enum class Reach : uint8_t { kWhole, kRows };
  void Transform(std::function<void(const View&)> change, Reach reach = Reach::kWhole);
  // Until EndTrial(), or the next Try(), the values are what `change` makes of the present ones; it must always do the
  // same. A parameter that can be read again still can, so that thousands of experts can be tried with little memory.
  void Try(std::function<void(const View&)> change);
  void EndTrial();
  // Replaces the values (same shape; the dtype may change).
  void Set(Tensor value);
  // Drops what can be read again: memory of an unmodified parameter. A modified one stays.
  void Release();
  bool modified() const { return modified_ || !transforms_.empty(); }
  // Grows with every change, so that what was derived from the values can tell.
  uint64_t version() const { return version_; }

 private:
  const ParamInfo* info_ = nullptr;
  std::shared_ptr<ParamInfo> own_info_;
  const WeightSource* source_ = nullptr;
  Tensor Loaded() const;
  void ApplyTransforms(const View& values) const;

  // What Get() hands out: one of the two, or neither yet. `mapped_` only while nothing changes the stored values.
  SharedTensor mapped_;
  Tensor owned_;
  std::vector<std::function<void(const View&)>> transforms_;
  std::function<void(const View&)> trial_;  // of a parameter that can be read again
  Tensor before_trial_;                     // of one that cannot
  bool modified_ = false;
  bool by_rows_ = true;  // all of transforms_ reach no further than a row
  uint64_t version_ = 0;
};

}  // namespace modelslim
