// The service modelslim_convert: weights to another form, without data and without a model. Reads its YAML and says the
// same as a recipe of modelslim_v1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/patterns/pattern.h"
#include "config/recipe/diagnostic.h"

namespace modelslim {

struct YamlDocument;

enum class ConvertForm : uint8_t { kFloat, kFp8Block, kInt4Packed, kMxfp8 };
std::string_view ConvertFormName(ConvertForm form);  // "FP8_BLOCK"

struct ConvertLinear {
  std::vector<std::string> match;  // on whole names of modules; the first rule that matches wins
  ConvertForm target = ConvertForm::kFloat;
  std::vector<ConvertForm> route;  // empty: auto. The first is the form that the source has to be in
  SourcePos pos;
  std::string path;  // "spec.linears[0]"
};

// Tensors get other names: a regular expression over the whole name, and a template with \1 and \g<name>.
struct ConvertRename {
  std::string from, to;
};

// A stack of experts [E, a, b] becomes E * projections matrices, cut along the rows of each expert.
struct ConvertChunk {
  std::string source;  // a pattern of tensors
  std::vector<std::string> projections;
};

struct ConvertSpec {
  std::vector<ConvertLinear> linears;
  std::vector<ConvertRename> renames;
  std::vector<ConvertChunk> chunks;
  int64_t part_file_size = 4;
};

// Whether a recipe is of this service, by its apiversion.
bool IsConversion(const YamlDocument& recipe);

// Every mistake found goes to `diagnostics`.
ConvertSpec ReadConversion(std::string_view text, const std::string& name, Diagnostics& diagnostics);

// The recipe of modelslim_v1 that makes the same types.
std::string AsRecipe(const ConvertSpec& spec);

// `name` after the renames, each on what the one before made of it.
std::string Renamed(const ConvertSpec& spec, std::string name);

}  // namespace modelslim
