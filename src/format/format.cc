#include "format/format.h"

#include "base/error.h"
#include "format/ascend_v1/ascend_v1.h"
#include "format/saved_output.h"

namespace modelslim {
namespace {

// A saver of recipes, and how its output is opened again.
struct FormatRow {
  std::string_view saver;
  std::unique_ptr<Format> (*make)(const Compat&);
  std::unique_ptr<SavedOutput> (*open)(const fs::path&, bool published);
};

constexpr FormatRow kFormats[] = {
    {"ascendv1_saver", MakeAscendV1, OpenAscendV1},
    {"ascendv1_saver_distributed", MakeAscendV1, OpenAscendV1},
    {kV0Saver, MakeAscendV0, OpenAscendV1},
};

}  // namespace

std::unique_ptr<Format> MakeFormat(std::string_view saver, const Compat& options) {
  for (const FormatRow& row : kFormats) {
    if (row.saver == saver) return row.make(options);
  }
  return nullptr;
}

std::unique_ptr<SavedOutput> FindSaved(const fs::path& directory, bool published) {
  for (const FormatRow& row : kFormats) {
    if (std::unique_ptr<SavedOutput> output = row.open(directory, published)) return output;
  }
  return nullptr;
}

std::unique_ptr<SavedOutput> OpenSaved(const fs::path& directory, bool published) {
  if (!fs::is_directory(directory)) {
    throw Error(ErrorCode::kSecurity, directory.string() + " is not a directory",
                "give the --save_path of a finished run");
  }
  if (std::unique_ptr<SavedOutput> output = FindSaved(directory, published)) return output;
  const fs::path expected = directory / std::string(MakeFormat(kDefaultSaver, {})->completing_file());
  throw Error(ErrorCode::kInvalidModel,
              (published ? expected : Unpublished(expected)).string() + " is missing: this is no finished output",
              "if a run was interrupted, run the same 'modelslim quant' command again");
}

}  // namespace modelslim
