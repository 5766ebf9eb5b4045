// How a published checkpoint stores weights that are quantized in a form that is read here: block, channel and tensor
// FP8, E8M0 scales, E2M1 codes, compressed-tensors int4, int8 and MXFP4. Known by names, types and shapes, and by the
// source's own config where names leave a choice; the lists of config.json that say which modules are meant are not
// believed, because they lie.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/json.h"
#include "model/stored_weight.h"

namespace modelslim {

class Checkpoint;

// A weight by the name that it has as floats.
struct CodedForm {
  Shape shape;          // of the numbers; [experts, out, in] of a stack
  StoredWeight stored;  // of a stack: without `expert`
  std::string what;     // "block FP8"
};

class SourceForms {
 public:
  // Looks at headers, and at the two numbers of each `weight_shape`. Throws Error(kInvalidModel) for codes without
  // scales and for scales that do not fit, Error(kUnsupported) for forms that are recognized and not read.
  SourceForms(const Checkpoint& checkpoint, const Json& config);

  const std::map<std::string, CodedForm, std::less<>>& forms() const { return forms_; }
  const CodedForm* Find(std::string_view name) const;
  // Whether the tensor belongs to one of them, or is of no use once the weight is floats.
  bool IsPart(std::string_view tensor) const { return parts_.contains(tensor); }
  // Scales whose weight is not there.
  const std::vector<std::string>& orphans() const { return orphans_; }
  // "block FP8 (2412 weights), int4 (384 weights)"; empty when there are none.
  std::string Summary() const;

 private:
  friend class FormFinder;
  std::map<std::string, CodedForm, std::less<>> forms_;
  std::set<std::string, std::less<>> parts_;
  std::vector<std::string> orphans_;
};

}  // namespace modelslim
