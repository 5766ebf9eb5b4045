// Which file a path really is, whatever links and mounts lead to it.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/file.h"

namespace modelslim {

// Two paths are the same file or directory exactly when these are equal: hard links and bind mounts have one identity.
struct FileIdentity {
  uint64_t device = 0, inode = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

// Of what `path` is or, being a link, leads to. Nothing where there is no such file or it cannot be reached.
std::optional<FileIdentity> IdentityOf(const fs::path& path);

// The absolute path with all links followed as far as there are files, and with no ".." in what is not there yet.
fs::path RealPath(const fs::path& path);

// `path` and all directories above it, nearest first, after following links.
std::vector<fs::path> SelfAndParents(const fs::path& path);

// True when `inner` is the directory `outer` or lies below it, by links or mounts too.
bool IsInside(const fs::path& inner, const fs::path& outer);

}  // namespace modelslim
