// What a source's own quantization_config says of its weights.
#pragma once

#include <cstdint>
#include <string>

#include "io/json.h"

namespace modelslim {

struct Declared {
  std::string format;  // "pack-quantized"; empty: not said
  int64_t bits = 0;    // 0: not said
  int64_t group = 0;
  int64_t block_rows = 128, block_cols = 128;
};

// Of config.json or its text_config; all defaults where there is none.
Declared ReadDeclared(const Json& config);

}  // namespace modelslim
