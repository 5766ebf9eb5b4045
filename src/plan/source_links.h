// Which of the links in a model directory may be followed when its files are copied into an output. A directory that
// came from elsewhere may hold links to anything that its owner can read, and outputs are given to other people.
#pragma once

#include "base/file.h"

namespace modelslim {

class SourceLinks {
 public:
  explicit SourceLinks(const fs::path& model_path);

  // Whether the file, after all links, lies in the model's directory, in the blobs of the hub cache that the directory
  // is a snapshot of, or, where the directory is nothing but a view of another one (its config.json and all its weights
  // are links into that one), in that one. False for a link that leads nowhere, too.
  bool MayCopy(const fs::path& file) const;

 private:
  fs::path model_;  // all of them without links
  fs::path blobs_;  // empty: no hub cache
  fs::path home_;   // empty: no view
};

}  // namespace modelslim
