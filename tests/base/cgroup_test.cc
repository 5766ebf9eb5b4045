#include "base/cgroup.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/temporary_directory.h"

namespace modelslim {
namespace {

struct Tree {
  std::string name;
  std::string cgroup, mountinfo;                            // below proc/self
  std::vector<std::pair<std::string, std::string>> groups;  // files below the root
  uint64_t memory;
  double cpus;
};

constexpr const char* kV2 = "30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kV1 =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:7 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

std::vector<Tree> Trees() {
  return {
      {"nothing is known", "", "", {}, 0, 0},
      {"not mounted", "0::/user.slice\n", "20 1 0:5 / /proc rw - proc proc rw\n", {}, 0, 0},
      {"v2, a container's own root",
       "0::/\n",
       kV2,
       {{"sys/fs/cgroup/memory.max", "1000\n"}, {"sys/fs/cgroup/cpu.max", "150000 100000\n"}},
       1000,
       1.5},
      {"v2, no limits",
       "0::/a\n",
       kV2,
       {{"sys/fs/cgroup/a/memory.max", "max\n"}, {"sys/fs/cgroup/a/cpu.max", "max 100000\n"}},
       0,
       0},
      {"v2, a group deep inside",
       "0::/user.slice/session-1.scope\n",
       kV2,
       {{"sys/fs/cgroup/memory.max", "max\n"},
        {"sys/fs/cgroup/user.slice/memory.max", "max\n"},
        {"sys/fs/cgroup/user.slice/session-1.scope/memory.max", "3000\n"},
        {"sys/fs/cgroup/user.slice/session-1.scope/cpu.max", "50000 100000\n"}},
       3000,
       0.5},
      {"v2, a group around it is tighter",
       "0::/a/b\n",
       kV2,
       {{"sys/fs/cgroup/a/memory.max", "2000\n"},
        {"sys/fs/cgroup/a/cpu.max", "200000 100000\n"},
        {"sys/fs/cgroup/a/b/memory.max", "3000\n"},
        {"sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"}},
       2000,
       2},
      {"v2, slowed down before it is killed",
       "0::/a\n",
       kV2,
       {{"sys/fs/cgroup/a/memory.max", "3000\n"}, {"sys/fs/cgroup/a/memory.high", "2500\n"}},
       2500,
       0},
      {"v2, siblings do not count", "0::/a\n", kV2, {{"sys/fs/cgroup/b/memory.max", "10\n"}}, 0, 0},
      {"v2, moved out of its namespace",
       "0::/../other\n",
       kV2,
       {{"sys/fs/cgroup/memory.max", "700\n"}, {"sys/fs/other/memory.max", "10\n"}},
       700,
       0},
      {"v1, nested, each controller in a hierarchy of its own",
       "4:memory:/jobs/7\n2:cpuacct,cpu:/jobs\n1:name=systemd:/init\n",
       kV1,
       {{"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {"sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "5000\n"},
        {"sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "250000\n"},
        {"sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n"}},
       5000,
       2.5},
      {"v1, no quota",
       "2:cpu,cpuacct:/a\n",
       kV1,
       {{"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n"},
        {"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"}},
       0,
       0},
      // Without a namespace of its own a container sees its group mounted as the root, but is told the whole path.
      {"v1, the container's group is mounted",
       "4:memory:/docker/0123/inner\n",
       "33 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro master:4 - cgroup cgroup rw,memory\n",
       {{"sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n"},
        {"sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "5500\n"}},
       5500,
       0},
      {"v1, a limit further out than what is mounted",
       "4:memory:/docker/0123\n",
       "33 31 0:32 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
       {{"sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n"},
        {"sys/fs/cgroup/memory/memory.stat", "cache 1\nhierarchical_memory_limit 4000\ntotal_rss 2\n"}},
       4000,
       0},
      {"both versions: memory in the old one, nothing in the new one",
       "4:memory:/a\n0::/b\n",
       std::string(kV1) + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
       {{"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "800\n"}, {"sys/fs/cgroup/unified/b/cgroup.procs", "1\n"}},
       800,
       0},
      {"a mount point with a space in it",
       "0::/a b\n",
       "30 23 0:27 / /my\\040groups rw - cgroup2 none rw\n",
       {{"my groups/a b/memory.max", "900\n"}},
       900,
       0},
      {"lines that say nothing", "0:\n\nrubbish\n0::/a\n", "30 23\n\n- -\n", {}, 0, 0},
  };
}

TEST(Cgroup, LimitsOfTheProcessAndOfWhatIsAroundIt) {
  for (const Tree& tree : Trees()) {
    SCOPED_TRACE(tree.name);
    const TemporaryDirectory root;
    root.Write("proc/self/cgroup", tree.cgroup);
    root.Write("proc/self/mountinfo", tree.mountinfo);
    for (const auto& [file, content] : tree.groups) root.Write(file, content);
    const CgroupLimits limits = ReadCgroupLimits(root.path());
    EXPECT_EQ(limits.memory, tree.memory);
    EXPECT_EQ(limits.cpus, tree.cpus);
  }
}

TEST(Cgroup, AnEmptyRootLimitsNothing) {
  const TemporaryDirectory root;
  const CgroupLimits limits = ReadCgroupLimits(root.path());
  EXPECT_EQ(limits.memory, 0);
  EXPECT_EQ(limits.cpus, 0);
}

}  // namespace
}  // namespace modelslim
