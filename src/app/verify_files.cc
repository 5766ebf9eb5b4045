#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "app/verify_parts.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "io/hash.h"
#include "ops/finite.h"
#include "plan/copied_files.h"
#include "runner/ledger.h"

namespace modelslim {
namespace {

// One of these has to be there for a tokenizer.
constexpr std::array<std::string_view, 6> kTokenizers = {"tokenizer.json", "vocab.json", "tokenizer.model",
                                                         "spiece.model",   "vocab.txt",  "tiktoken.model"};

bool IsFile(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// A plain name below the directory: all that a ledger of ours holds.
bool StaysInside(const std::string& name) {
  if (name.empty() || name.front() == '/') return false;
  const fs::path path(name);
  return std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".."; });
}

// A member of the ledger that has to be an object; null, and a problem, when it is not.
const JsonObject* Section(const VerifiedOutput& output, const char* key, Problems& problems) {
  const Json* const section = output.ledger->Find(key);
  if (section != nullptr && section->object() != nullptr) return section->object();
  problems.Add(fmt::format("{}: expected an object '{}' of checksums, found {}", kLedgerFile, key,
                           section == nullptr ? "none" : JsonKindText(section->kind())));
  return nullptr;
}

std::string HashIn(const Json& value) { return value.string() == nullptr ? "" : *value.string(); }

void CheckAgainstLedger(const VerifiedOutput& output, Problems& problems) {
  const JsonObject* const files = Section(output, "files", problems);
  if (files == nullptr) return;
  for (const JsonMember& member : *files) {
    if (!StaysInside(member.key)) {
      problems.Add(fmt::format("{}: files: {} leads out of the directory", kLedgerFile, member.key));
    } else if (!IsFile(output.saved->PathOf(member.key))) {
      problems.Add(member.key + " is missing; it was written with the output");
    } else if (HashHex(ReadTextFile(output.saved->PathOf(member.key))) != HashIn(member.value)) {
      problems.Add(member.key + ": the bytes on disk are not those that were written");
    }
  }
  for (const std::string_view name : {std::string_view("config.json"), output.saved->completing_file()}) {
    if (files->Find(name) == nullptr)
      problems.Add(fmt::format("{}: files: expected {}, found none", kLedgerFile, name));
  }
}

void CheckForStrangers(const JsonObject& hashes, const Checkpoint& weights, Problems& problems) {
  for (const JsonMember& member : hashes) {
    if (weights.Find(member.key) == nullptr) {
      problems.Add(fmt::format("{} has the checksum of {}, which no weight file holds", kLedgerFile, member.key));
    }
  }
}

void CheckHash(const std::string& name, const ConstView& view, const JsonObject& hashes, Problems& problems) {
  const Json* const expected = hashes.Find(name);
  if (expected == nullptr) {
    problems.Add(fmt::format("{} has no checksum of {}", kLedgerFile, name));
  } else if (HashHex({static_cast<const std::byte*>(view.data), view.bytes()}) != HashIn(*expected)) {
    problems.Add(name + ": the bytes on disk are not those that were written");
  }
}

}  // namespace

void VerifyFiles(const VerifiedOutput& output, Problems& problems) {
  if (!IsFile(output.saved->PathOf("config.json"))) problems.Add("config.json is missing; no server starts without it");
  for (const std::string_view name : kReadByServers) {
    const fs::path path = output.saved->PathOf(std::string(name));
    if (!IsFile(path)) continue;
    try {
      RequireJsonObject(ReadTextFile(path), path.string());
    } catch (const Error& error) {
      problems.Add(error.what());
    }
  }
  if (output.ledger) return CheckAgainstLedger(output, problems);  // which knows whether the source had a tokenizer
  if (std::none_of(kTokenizers.begin(), kTokenizers.end(),
                   [&](std::string_view name) { return IsFile(output.saved->PathOf(std::string(name))); })) {
    problems.Add("tokenizer.json is missing, and so is every other kind of tokenizer");
  }
}

void VerifyContents(const VerifiedOutput& output, Problems& problems, Problems& warnings) {
  const JsonObject* const hashes = output.ledger ? Section(output, "hashes", problems) : nullptr;
  if (hashes != nullptr) CheckForStrangers(*hashes, output.saved->weights(), problems);
  const std::vector<CheckpointTensor>& tensors = output.saved->weights().tensors();
  ParallelFor(static_cast<int64_t>(tensors.size()), [&](int64_t i) {
    ThrowIfStopped();
    const CheckpointTensor& tensor = tensors[static_cast<size_t>(i)];
    const SharedTensor stored = output.saved->weights().Get(tensor);
    const ConstView& view = stored.view();
    if (hashes != nullptr) CheckHash(tensor.name, view, *hashes, problems);
    if (const std::optional<int64_t> at = FirstNotFinite(view)) {
      warnings.Add(fmt::format("{} holds {} (element {} of {})", tensor.name, NotFiniteName(view, *at), *at,
                               ShapeText(view.shape)));
    }
    output.saved->weights().DontNeed(tensor.name);
  });
}

}  // namespace modelslim
