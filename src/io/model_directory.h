// What a path that was given as a model's directory really is, and what stands in the place of its files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"

namespace modelslim {

// Whether something is there under this name, or where it leads as a link. False too for what cannot be looked at.
bool Exists(const fs::path& path);

// Whether a file of this name belongs to a model beside its weights: configuration, tokenizer, chat template, code. All
// of them go into the output; index files, which the output has its own of, do not count.
bool IsModelFile(std::string_view name);

// Whether a loader cannot do without it, so that an output that lacks it would be of no use.
bool IsNeededFile(std::string_view name);

// Something that an unfinished download leaves in the place of a file.
struct Substitute {
  std::string what;  // "a Git LFS pointer (12345 bytes are elsewhere)"
  std::string tip;   // what to do about it
};
// Nothing: the path is a file of another kind, or not there at all.
std::optional<Substitute> FindSubstitute(const fs::path& path);

// Throws Error(kInvalidModel) unless this is a directory with a config.json whose small files are themselves: no Git
// LFS pointer, no error page, and no link to nothing among those that loaders need. Where the model is somewhere else
// (in a snapshot of the Hub's cache, one folder below), the next step names the place.
void CheckModelDirectory(const fs::path& directory);

// The same for a directory of which only the tokenizer is wanted: it exists, and is no folder of the Hub's cache.
void CheckDirectory(const fs::path& directory);

}  // namespace modelslim
