// How far what enters a Linear reaches, over the samples that were shown.
#pragma once

#include <map>
#include <string>

namespace modelslim {

struct InputRange {
  float absmax = 0;
  double deviation = 0;  // of all its values, unbiased

  double Ratio() const { return deviation > 0 ? static_cast<double>(absmax) / deviation : 0; }
};
using InputRanges = std::map<std::string, InputRange, std::less<>>;  // by the Linear's name

}  // namespace modelslim
