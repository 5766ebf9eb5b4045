// How a program says what bench/run puts into the table of docs/benchmarks.md.
#pragma once

#include <cstdio>
#include <string>

namespace modelslim {

// One row of the table: "ratio | what | 0.62 | at least 0.6". Without a bar the last column is empty.
inline void PrintRatio(const std::string& what, double value, const std::string& bar = "") {
  std::printf("ratio | %s | %.2f | %s\n", what.c_str(), value, bar.c_str());
}

}  // namespace modelslim
