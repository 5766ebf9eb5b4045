#include "runner/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "io/json_make.h"
#include "io/json_ref.h"

namespace modelslim {
namespace {

constexpr int kVersion = 2;
constexpr int64_t kMostUnits = 1'000'000;

std::string LineOf(const JournalUnit& unit) {
  Json line = MakeJson({{"unit", unit.unit}, {"tensors", MakeJsonObject(unit.hashes)}});
  for (const SavedHidden& hidden : unit.hidden) {
    line["hidden"].Append(MakeJson({{"file", hidden.file}, {"dtype", hidden.dtype}, {"hash", hidden.hash}}));
  }
  if (!unit.facts.empty()) line["facts"] = unit.facts;
  return line.Dump(Json::kCompact);
}

// A number that counts something here. What it may not be is damage, like a line that is no JSON.
int CountFrom(const JsonRef& value) { return static_cast<int>(value.AsInt(0, kMostUnits)); }

JournalUnit UnitFrom(const JsonRef& line) {
  JournalUnit unit;
  unit.unit = CountFrom(line["unit"]);
  const JsonRef tensors = line["tensors"];
  for (const JsonMember& member : tensors.AsObject()) unit.hashes[member.key] = tensors[member.key].AsString();
  if (line["hidden"]) {
    for (const JsonRef& hidden : line["hidden"].Elements()) {
      unit.hidden.push_back({hidden["file"].AsString(), hidden["dtype"].AsString(), hidden["hash"].AsString()});
    }
  }
  unit.facts = line["facts"].StringOr("");
  return unit;
}

}  // namespace

Journal::Journal(fs::path path, const std::string& identity, bool fresh) : path_(std::move(path)) {
  if (fresh || !Replay(identity)) Start(identity);
}

Journal::~Journal() {
  if (fd_ >= 0) close(fd_);
}

bool Journal::Replay(const std::string& identity) {
  if (!fs::exists(path_)) return false;
  const std::string text = ReadTextFile(path_);
  size_t begin = 0, good = 0;
  bool first = true;
  // Whatever does not end in a newline was being written when the run was cut off.
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    try {
      const Json document = ParseJson(std::string_view(text).substr(begin, end - begin), "line");
      const JsonRef line(document, "line");
      if (first) {
        if (CountFrom(line["version"]) != kVersion || line["identity"].AsString() != identity) {
          replaced_other_ = true;
          return false;
        }
        first = false;
      } else {
        finished_.push_back(UnitFrom(line));
      }
    } catch (const Error&) {
      break;  // damaged from here on: what came before still counts
    }
    good = end + 1;
  }
  if (first) return false;
  fd_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd_ < 0) ThrowSystemError("cannot open", path_);
  if (ftruncate(fd_, static_cast<off_t>(good)) != 0 || lseek(fd_, 0, SEEK_END) < 0)
    ThrowSystemError("cannot repair", path_);
  return true;
}

void Journal::Start(const std::string& identity) {
  finished_.clear();
  fd_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd_ < 0) ThrowSystemError("cannot create", path_);
  WriteLine(MakeJson({{"version", kVersion}, {"identity", identity}}).Dump(Json::kCompact));
  SyncDirectory(path_.parent_path());
}

void Journal::Append(const JournalUnit& unit) { WriteLine(LineOf(unit)); }

void Journal::WriteLine(const std::string& line) {
  const std::string text = line + "\n";
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t put = write(fd_, text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) ThrowSystemError("cannot write", path_);
    done += static_cast<size_t>(put);
  }
  if (fdatasync(fd_) != 0) ThrowSystemError("cannot sync", path_);
}

}  // namespace modelslim
