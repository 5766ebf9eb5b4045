#include "runner/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace modelslim {
namespace {

constexpr int kVersion = 1;
constexpr uint64_t kMostUnits = 1'000'000;
using nlohmann::json;

json ToJson(const JournalUnit& unit) {
  json line = {{"unit", unit.unit}, {"tensors", unit.hashes}};
  if (unit.hidden)
    line["hidden"] = {{"file", unit.hidden->file}, {"dtype", unit.hidden->dtype}, {"hash", unit.hidden->hash}};
  if (!unit.facts.empty()) line["facts"] = unit.facts;
  return line;
}

// A number that counts something here. What it may not be is damage, like a line that is no JSON.
int CountFrom(const json& value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > kMostUnits) {
    throw json::type_error::create(302, "expected a small whole number", &value);
  }
  return value.get<int>();
}

JournalUnit UnitFrom(const json& line) {
  JournalUnit unit;
  unit.unit = CountFrom(line.at("unit"));
  unit.hashes = line.at("tensors").get<std::map<std::string, std::string>>();
  if (const auto hidden = line.find("hidden"); hidden != line.end()) {
    unit.hidden = SavedHidden{hidden->at("file").get<std::string>(), hidden->at("dtype").get<std::string>(),
                              hidden->at("hash").get<std::string>()};
  }
  unit.facts = line.value("facts", "");
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
      const json line = json::parse(std::string_view(text).substr(begin, end - begin));
      if (first) {
        if (CountFrom(line.at("version")) != kVersion || line.at("identity").get<std::string>() != identity) {
          replaced_other_ = true;
          return false;
        }
        first = false;
      } else {
        finished_.push_back(UnitFrom(line));
      }
    } catch (const json::exception&) {
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
  WriteLine(json{{"version", kVersion}, {"identity", identity}}.dump());
  SyncDirectory(path_.parent_path());
}

void Journal::Append(const JournalUnit& unit) { WriteLine(ToJson(unit).dump()); }

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
