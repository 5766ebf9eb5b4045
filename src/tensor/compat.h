// Forms that the output can take beside those of msModelSlim 26.1.0.
#pragma once

namespace modelslim {

struct Compat {
  // Numbers and files of the December 2025 release where they differ: a bias carries its linear's type, deq_scale is
  // always f32, no "optional", an older order of types, other roundings of MX and SSZ.
  bool december_2025 = false;
  // FP8 layers have the type that vLLM-Ascend knows them by (kFp8TypeOfVllm); not a reference's.
  bool fp8_for_vllm = false;
  // The files of modelslim_v0.
  bool v0 = false;
};

}  // namespace modelslim
