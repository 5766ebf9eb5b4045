#include "plan/source_links.h"

#include <algorithm>

#include "base/file_identity.h"

namespace modelslim {
namespace {

bool IsBelow(const fs::path& file, const fs::path& directory) {
  if (directory.empty()) return false;
  const auto [end, rest] = std::mismatch(directory.begin(), directory.end(), file.begin(), file.end());
  return end == directory.end() && rest != file.end();
}

// REPOSITORY/snapshots/REVISION has its files in REPOSITORY/blobs. `model` is free of links, and so is the result:
// where blobs itself is a link, no real file lies below the name that is returned.
fs::path BlobsOf(const fs::path& model) {
  for (fs::path at = model; at != at.parent_path(); at = at.parent_path()) {
    if (at.parent_path().filename() == "snapshots") return at.parent_path().parent_path() / "blobs";
  }
  return {};
}

// The one directory outside in which config.json and every weight file lie; empty when there is none.
fs::path HomeOf(const fs::path& model) {
  std::error_code error;
  fs::path home;
  bool has_config = false, has_weights = false;
  for (auto entry = fs::directory_iterator(model, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const bool config = entry->path().filename() == "config.json",
               weights = entry->path().extension() == ".safetensors";
    if (!config && !weights) continue;
    const fs::path directory = RealPath(entry->path()).parent_path();
    if (!home.empty() && directory != home) return {};
    home = directory;
    has_config |= config;
    has_weights |= weights;
  }
  return has_config && has_weights ? home : fs::path();
}

}  // namespace

SourceLinks::SourceLinks(const fs::path& model_path)
    : model_(RealPath(model_path)), blobs_(BlobsOf(model_)), home_(HomeOf(model_)) {}

bool SourceLinks::MayCopy(const fs::path& file) const {
  std::error_code error;
  const fs::path real = fs::canonical(file, error);
  return !error && (IsBelow(real, model_) || IsBelow(real, blobs_) || IsBelow(real, home_));
}

}  // namespace modelslim
