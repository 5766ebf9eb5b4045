// Which files of the model directory the output gets, and how config.json changes on the way.
#pragma once

#include <vector>

#include "base/file.h"
#include "model/family.h"
#include "processor/model_plan.h"

namespace modelslim {

struct CopiedFile;

// Every top-level *.json, *.py, *.txt and *.jinja except index files and whatever the output itself is called.
// config.json loses `quantization_config` and gains the family's keys; it is only rewritten when something changes.
std::vector<CopiedFile> FilesToCopy(const fs::path& model_path, const Family& family, const ModelPlan& plan);

}  // namespace modelslim
