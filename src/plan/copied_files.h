// Which files of the model directory the output gets, and how config.json changes on the way.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "model/family.h"
#include "processor/model_plan.h"

namespace modelslim {

struct CopiedFile;

// Every top-level file that IsModelFile() counts (the original takes *.json and *.py; a server also wants templates,
// and the tokenizer where it is no JSON), except what the output itself is called. config.json loses
// `quantization_config` and gains the family's keys; it is only rewritten when something changes. A link that must not
// be followed (SourceLinks) is an Error where loaders need the file, and else left out with a warning in `plan`. Files
// that cannot be read are an Error, and so is a tokenizer that is no JSON: nothing could load what would be made with
// it.
std::vector<CopiedFile> FilesToCopy(const fs::path& model_path, const Family& family, ModelPlan& plan,
                                    bool edits_config);

// Files that have to be JSON objects, where they are, for a server to start.
inline constexpr std::array<std::string_view, 3> kReadByServers = {"config.json", "tokenizer.json",
                                                                   "tokenizer_config.json"};

}  // namespace modelslim
