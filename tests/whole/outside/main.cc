// outside MODEL RECIPE OUTPUT: quantizes through the installed library.
#include <exception>
#include <iostream>

#include "modelslim/quantize.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  modelslim::QuantizeOptions options;
  options.model_path = argv[1];
  options.recipe = argv[2];
  options.save_path = argv[3];
  try {
    if (modelslim::PlanCheckpoint(options).empty()) return 1;
    modelslim::QuantizeCheckpoint(options, std::cerr);
    if (!modelslim::VerifyCheckpoint(options.save_path).empty()) return 1;
  } catch (const modelslim::Error& error) {
    std::cerr << error.Text() << "\n";
    return 1;
  }
  std::cout << "quantized\n";
  return 0;
}
