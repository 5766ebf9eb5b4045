#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace modelslim {
namespace {

// A line of /proc/self/cgroup, "4:memory:/a/b", or "0::/a/b" for version 2.
struct Membership {
  std::set<std::string, std::less<>> controllers;  // none: version 2
  std::string path;
};

// A mounted hierarchy.
struct Mount {
  bool v2 = false;
  std::set<std::string, std::less<>> options;  // the controllers of a hierarchy of version 1 are among them
  std::string root;                            // the group that lies at `point`
  std::string point;
};

std::set<std::string, std::less<>> SplitAtCommas(const std::string& text) {
  std::set<std::string, std::less<>> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.insert(part);
  return parts;
}

// mountinfo writes a space as \040, and so on.
std::string Unescaped(const std::string& text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && std::all_of(&text[i + 1], &text[i + 4], is_octal)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<Membership> ReadMemberships(const fs::path& root) {
  std::vector<Membership> memberships;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    memberships.push_back({SplitAtCommas(line.substr(first + 1, second - first - 1)), line.substr(second + 1)});
  }
  return memberships;
}

// "31 23 0:28 /root /point rw,relatime shared:1 - cgroup cgroup rw,memory"
std::vector<Mount> ReadMounts(const fs::path& root) {
  std::vector<Mount> mounts;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string skipped, type, source, options;
    Mount mount;
    words >> skipped >> skipped >> skipped >> mount.root >> mount.point;
    while (words >> skipped && skipped != "-") {
    }
    if (!(words >> type >> source >> options) || (type != "cgroup" && type != "cgroup2")) continue;
    mount.v2 = type == "cgroup2";
    mount.options = SplitAtCommas(options);
    mount.root = Unescaped(mount.root);
    mount.point = Unescaped(mount.point);
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

// The part of `path` below the group that is mounted; nothing where it lies outside of what can be seen, as that of a
// process does that was moved out of its namespace.
std::optional<fs::path> Below(const std::string& path, const std::string& mounted) {
  const fs::path relative = fs::path(path).lexically_normal().lexically_relative(mounted);
  if (relative.empty() || *relative.begin() == "..") return std::nullopt;
  return relative;
}

// The directories of a group and of those around it, as far as they are mounted.
std::vector<fs::path> Groups(const fs::path& root, const Membership& membership, const Mount& mount) {
  const fs::path point = root / fs::path(mount.point).relative_path();
  std::vector<fs::path> groups = {point};
  if (const std::optional<fs::path> below = Below(membership.path, mount.root)) {
    fs::path group = point;
    for (const fs::path& part : *below) {
      if (part != ".") groups.push_back(group /= part);
    }
  }
  return groups;
}

template <class T>
void Lower(T* limit, T found) {
  if (found > 0 && (*limit == 0 || found < *limit)) *limit = found;
}

// The number in a file; 0 where there is none: "max" and -1 mean no limit.
uint64_t NumberIn(const fs::path& path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value && value > 0 ? static_cast<uint64_t>(value) : 0;
}

// The number behind a word at the beginning of a line.
uint64_t NumberAfter(const fs::path& path, std::string_view word) {
  std::ifstream file(path);
  std::string key;
  for (uint64_t value = 0; file >> key >> value;) {
    if (key == word) return value;
  }
  return 0;
}

double Share(double quota, double period) { return quota > 0 && period > 0 ? quota / period : 0; }

void LowerMemory(const fs::path& group, bool v2, CgroupLimits* limits) {
  if (v2) {
    // Above memory.high a process is not killed, but slowed down until it is of no use.
    for (const char* file : {"memory.max", "memory.high"}) Lower(&limits->memory, NumberIn(group / file));
    return;
  }
  Lower(&limits->memory, NumberIn(group / "memory.limit_in_bytes"));
  // Also counts groups further out than what is mounted.
  Lower(&limits->memory, NumberAfter(group / "memory.stat", "hierarchical_memory_limit"));
}

void LowerCpus(const fs::path& group, bool v2, CgroupLimits* limits) {
  if (v2) {
    std::ifstream file(group / "cpu.max");  // "max 100000" does not parse: no limit
    double quota = 0, period = 0;
    if (file >> quota >> period) Lower(&limits->cpus, Share(quota, period));
    return;
  }
  Lower(&limits->cpus, Share(static_cast<double>(NumberIn(group / "cpu.cfs_quota_us")),
                             static_cast<double>(NumberIn(group / "cpu.cfs_period_us"))));
}

}  // namespace

CgroupLimits ReadCgroupLimits(const fs::path& root) {
  CgroupLimits limits;
  const std::vector<Membership> memberships = ReadMemberships(root);
  for (const Mount& mount : ReadMounts(root)) {
    for (const Membership& membership : memberships) {
      const auto controls = [&](std::string_view controller) {
        return mount.v2 ? membership.controllers.empty()
                        : membership.controllers.contains(controller) && mount.options.contains(controller);
      };
      const bool memory = controls("memory"), cpu = controls("cpu");
      if (!memory && !cpu) continue;
      for (const fs::path& group : Groups(root, membership, mount)) {
        if (memory) LowerMemory(group, mount.v2, &limits);
        if (cpu) LowerCpus(group, mount.v2, &limits);
      }
    }
  }
  return limits;
}

}  // namespace modelslim
