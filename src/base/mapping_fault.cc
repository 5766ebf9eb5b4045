#include "base/mapping_fault.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

#include "base/printable.h"

namespace modelslim {

// Entries are never freed, only used again, and linked once: so the handler, which may take no lock, can walk them at
// any moment. What it may see of one that is just changing hands is a wrong name in the last words of a program.
struct Entry {
  std::atomic<uintptr_t> begin{0}, end{0};  // equal: not in use
  char text[2048] = "";
  Entry* next = nullptr;
};

namespace {

std::mutex mutex;  // of those who add and remove
std::atomic<Entry*> entries{nullptr};
struct sigaction before {};

Entry* TakeFree() {
  for (Entry* entry = entries; entry != nullptr; entry = entry->next) {
    if (entry->begin == entry->end) return entry;
  }
  auto* const made = new Entry;
  made->next = entries;
  entries = made;
  return made;
}

const Entry* Find(uintptr_t address) {
  for (const Entry* entry = entries; entry != nullptr; entry = entry->next) {
    if (address >= entry->begin && address < entry->end) return entry;
  }
  return nullptr;
}

void Say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = write(STDERR_FILENO, text.data(), text.size());
    if (put <= 0) return;
    text.remove_prefix(static_cast<size_t>(put));
  }
}

// Only calls that a signal handler may make.
void OnBusError(int signal, siginfo_t* info, void*) {
  // Positive codes are faults; the others were sent by somebody and have no address.
  const Entry* const entry = info->si_code > 0 ? Find(reinterpret_cast<uintptr_t>(info->si_addr)) : nullptr;
  if (entry == nullptr) {
    sigaction(SIGBUS, &before, nullptr);
    raise(signal);
    return;
  }
  Say("\n");  // a progress bar may stand in this line
  Say(entry->text);
  Say("\n");
  _exit(1);
}

}  // namespace

MappedRange::MappedRange(const void* data, size_t size, const Error& fault) {
  const std::string text = Printable(fault.Text());
  const std::lock_guard lock(mutex);
  entry_ = TakeFree();
  const size_t kept = std::min(text.size(), sizeof entry_->text - 1);
  std::memcpy(entry_->text, text.data(), kept);
  entry_->text[kept] = '\0';
  entry_->begin = reinterpret_cast<uintptr_t>(data);
  entry_->end = reinterpret_cast<uintptr_t>(data) + size;
}

MappedRange::~MappedRange() {
  const std::lock_guard lock(mutex);
  entry_->end = entry_->begin.load();
}

Error ScratchFault(const fs::path& path) {
  return {ErrorCode::kUnexpected,
          path.string() +
              ": expected scratch data of this run, found that they cannot be read or written any more: "
              "the file was cut short, or its disk is full or failed",
          "check the disk, and give the same command again: it goes on from what is finished"};
}

void ReportMappingFaults() {
  struct sigaction action {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, &before);
}

}  // namespace modelslim
