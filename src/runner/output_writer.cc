#include "runner/output_writer.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "io/hash.h"
#include "io/output_file.h"
#include "runner/publish.h"
#include "runner/resume.h"

namespace modelslim {
namespace {

// Finished units are synced and recorded at most this often: a sync costs, and losing this much work does not.
constexpr std::chrono::milliseconds kRecordEvery{200};

using Clock = std::chrono::steady_clock;

std::span<const std::byte> BytesOf(const ConstView& view) {
  return {static_cast<const std::byte*>(view.data), view.bytes()};
}

struct WriteJob {
  size_t tensor = 0;    // position in the layout
  uint64_t offset = 0;  // of the value within the tensor, bytes
  SharedTensor value;   // owned or pinned: it waits here while its block is given up
  // The end of a unit instead of a tensor.
  std::optional<JournalUnit> unit;
  std::vector<const HiddenFile*> hidden;
};

}  // namespace

std::string HashOf(const HiddenFile& hidden) { return HashHex(BytesOf(hidden.All())); }

struct OutputWriter::State {
  State(const OutputLayout& planned, Journal& record, uint64_t room)
      : layout(planned), journal(record), queue_bytes(room), done(planned.tensors.size(), false) {}

  const OutputLayout& layout;
  Journal& journal;
  const uint64_t queue_bytes;
  fs::path directory;
  std::vector<std::unique_ptr<OutputFile>> files;
  std::vector<bool> done;  // put or already there; touched by the calling thread only
  int64_t rows_put = 0;    // of the tensor that comes in pieces; by the calling thread too

  std::mutex mutex;
  std::condition_variable not_full, not_empty, recorded_changed;
  std::deque<WriteJob> queue;
  uint64_t queued_bytes = 0;
  bool stopping = false, flush = false, busy = false;
  std::exception_ptr error;
  std::set<int> recorded;
  std::thread thread;

  // Of the writing thread.
  std::map<std::string, std::string> hashes, all_hashes;
  std::optional<Hasher> pieces;  // of the tensor that comes in pieces
  std::set<int> dirty;
  std::vector<JournalUnit> held;
  std::vector<std::vector<const HiddenFile*>> held_hidden;
  Clock::time_point last_record{};  // long ago: the first unit is recorded at once
  std::atomic<uint64_t> written{0};
  std::atomic<int64_t> busy_us{0};

  void Loop() {
    for (;;) {
      WriteJob job;
      {
        std::unique_lock lock(mutex);
        not_empty.wait(lock, [this] { return stopping || flush || !queue.empty(); });
        if (queue.empty()) {
          if (flush) {
            busy = true;
            lock.unlock();
            Guarded([this] { Record(); });
            lock.lock();
            busy = false;
            flush = false;
            recorded_changed.notify_all();
            continue;
          }
          return;
        }
        job = std::move(queue.front());
        queue.pop_front();
        busy = true;
      }
      const uint64_t bytes = job.unit ? 0 : job.value.bytes();
      const auto start = Clock::now();
      Guarded([&] { job.unit ? EndUnit(job) : WriteTensor(job); });
      job = WriteJob();  // frees the memory before the place in the queue
      busy_us += std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
      const std::lock_guard lock(mutex);
      busy = false;
      queued_bytes -= bytes;
      not_full.notify_all();
      recorded_changed.notify_all();
    }
  }

  template <class F>
  void Guarded(F&& work) {
    if (error) return;  // after a failure nothing more is written
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
  }

  void WriteTensor(WriteJob& job) {
    const OutputTensor& planned = layout.tensors[job.tensor];
    const std::span<const std::byte> bytes = BytesOf(job.value.view());
    // First, since it touches every byte: a source that was cut short shows as such, and not as a failing write.
    if (bytes.size() == planned.bytes()) {
      all_hashes[planned.name] = hashes[planned.name] = HashHex(bytes);
    } else {
      AddToHash(planned, job.offset, bytes);
    }
    files[planned.shard]->Write(planned.offset + job.offset, bytes);
    dirty.insert(planned.shard);
    written += bytes.size();
  }

  void AddToHash(const OutputTensor& planned, uint64_t offset, std::span<const std::byte> bytes) {
    if (offset == 0) pieces.emplace();
    pieces->Update(bytes);
    if (offset + bytes.size() < planned.bytes()) return;
    all_hashes[planned.name] = hashes[planned.name] = pieces->Hex();
    pieces.reset();
  }

  void EndUnit(WriteJob& job) {
    job.unit->hashes = std::exchange(hashes, {});
    held.push_back(std::move(*job.unit));
    held_hidden.push_back(std::move(job.hidden));
    if (!held_hidden.back().empty() || Clock::now() - last_record >= kRecordEvery) Record();
  }

  void Record() {
    if (held.empty()) return;
    for (const int shard : std::exchange(dirty, {})) files[shard]->Sync();
    for (size_t i = 0; i < held.size(); ++i) {
      for (const HiddenFile* hidden : held_hidden[i]) {
        hidden->Sync();
        held[i].hidden.push_back(
            {hidden->path().filename().string(), std::string(DTypeName(hidden->dtype())), HashOf(*hidden)});
      }
      journal.Append(held[i]);
      const std::lock_guard lock(mutex);
      recorded.insert(held[i].unit);
    }
    held.clear();
    held_hidden.clear();
    last_record = Clock::now();
  }

  void ThrowIfFailed() {
    const std::lock_guard lock(mutex);
    if (error) std::rethrow_exception(error);
  }

  // Where the system gave no thread, the caller's writes.
  bool WritesAtOnce() const { return !thread.joinable(); }

  template <class F>
  void AtOnce(F&& work) {
    Guarded(work);
    ThrowIfFailed();
  }

  void Enqueue(WriteJob job, uint64_t bytes) {
    if (WritesAtOnce()) return AtOnce([&] { job.unit ? EndUnit(job) : WriteTensor(job); });
    std::unique_lock lock(mutex);
    not_full.wait(lock, [&] { return error || queued_bytes == 0 || queued_bytes + bytes <= queue_bytes; });
    if (error) std::rethrow_exception(error);
    queued_bytes += bytes;
    queue.push_back(std::move(job));
    not_empty.notify_one();
  }
};

OutputWriter::OutputWriter(const OutputLayout& layout, fs::path directory, Journal& journal, bool resume,
                           uint64_t queue_bytes)
    : state_(std::make_unique<State>(layout, journal, queue_bytes)) {
  state_->directory = std::move(directory);
  for (size_t i = 0; i < layout.shards.size(); ++i) {
    const OutputShard& shard = layout.shards[i];
    const fs::path path = Unpublished(state_->directory / shard.file);
    // The modes are those of the reference's files.
    const OutputFileOptions options{.mode = i < layout.weight_shards ? 0400u : 0600u, .direct = true};
    if (resume) {
      // One that was cut off while it published may have given the name and the mode already.
      const fs::path found = FindUnfinishedShard(state_->directory, shard);
      if (found.empty()) throw Error(ErrorCode::kMisuse, path.string() + " is missing", "start afresh with --fresh");
      if (found != path) fs::rename(found, path);
      fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
      state_->files.push_back(OutputFile::Open(path, shard.size, options));
    } else {
      if (path.parent_path() != state_->directory) MakeDirectories(path.parent_path());
      state_->files.push_back(OutputFile::Create(path, shard.size, options));
      state_->files.back()->Write(0, shard.header);
    }
  }
  for (const JournalUnit& unit : journal.finished()) {
    for (const auto& [name, hash] : unit.hashes) {
      if (const auto found = layout.index.find(name); found != layout.index.end()) state_->done[found->second] = true;
      state_->all_hashes[name] = hash;
    }
  }
  TryStartThread(state_->thread, [state = state_.get()] { state->Loop(); });
}

OutputWriter::~OutputWriter() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
    // On the way out of an error what is still queued is dropped; the journal does not know it, so a later run writes
    // it.
    if (std::uncaught_exceptions() > 0) {
      state_->queue.clear();
      state_->queued_bytes = 0;
    }
  }
  state_->not_empty.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

namespace {

[[noreturn]] void RefuseUnplanned(const std::string& name, const OutputTensor* planned, DType dtype,
                                  const Shape& shape) {
  throw Error(
      ErrorCode::kUnexpected,
      "output tensor " + name + ": planned " +
          (planned == nullptr ? "nothing" : std::string(DTypeName(planned->dtype)) + " " + ShapeText(planned->shape)) +
          ", made " + std::string(DTypeName(dtype)) + " " + ShapeText(shape),
      "please report this with the recipe");
}

}  // namespace

void OutputWriter::Put(const std::string& name, SharedTensor value) {
  const OutputTensor* planned = state_->layout.Find(name);
  if (planned == nullptr || planned->dtype != value.dtype() || planned->shape != value.shape()) {
    RefuseUnplanned(name, planned, value.dtype(), value.shape());
  }
  WriteJob job;
  job.tensor = state_->layout.index.at(name);
  job.value = std::move(value);
  state_->done[job.tensor] = true;
  const uint64_t bytes = planned->bytes();
  state_->Enqueue(std::move(job), bytes);
}

void OutputWriter::PutRows(const std::string& name, int64_t begin, Tensor rows) {
  const OutputTensor* planned = state_->layout.Find(name);
  const int64_t count = rows.view().rows();
  if (planned == nullptr || planned->dtype != rows.dtype() || planned->shape.size() != 2 || rows.shape().size() != 2 ||
      planned->shape[1] != rows.shape()[1] || begin != state_->rows_put || begin + count > planned->shape[0]) {
    RefuseUnplanned(name, planned, rows.dtype(), rows.shape());
  }
  const bool last = begin + count == planned->shape[0];
  state_->rows_put = last ? 0 : begin + count;
  WriteJob job;
  job.tensor = state_->layout.index.at(name);
  job.offset = static_cast<uint64_t>(begin * planned->shape[1]) * DTypeSize(planned->dtype);
  const uint64_t bytes = rows.bytes();
  job.value = std::move(rows);
  if (last) state_->done[job.tensor] = true;
  state_->Enqueue(std::move(job), bytes);
}

void OutputWriter::FinishUnit(int unit, std::vector<const HiddenFile*> hidden, std::string facts) {
  WriteJob job;
  job.unit = JournalUnit{unit, {}, {}, std::move(facts)};
  job.hidden = std::move(hidden);
  state_->Enqueue(std::move(job), 0);
}

void OutputWriter::Drain() {
  if (state_->WritesAtOnce()) return state_->AtOnce([this] { state_->Record(); });
  std::unique_lock lock(state_->mutex);
  state_->flush = true;
  state_->not_empty.notify_all();
  state_->recorded_changed.wait(
      lock, [this] { return state_->error || (state_->queue.empty() && !state_->busy && !state_->flush); });
  if (state_->error) std::rethrow_exception(state_->error);
}

void OutputWriter::WaitForUnit(int unit) {
  if (state_->WritesAtOnce()) return Drain();
  std::unique_lock lock(state_->mutex);
  state_->recorded_changed.wait(lock, [&] { return state_->error || state_->recorded.count(unit) > 0; });
  if (state_->error) std::rethrow_exception(state_->error);
}

void OutputWriter::Complete() {
  Drain();
  for (size_t i = 0; i < state_->done.size(); ++i) {
    if (!state_->done[i]) {
      throw Error(ErrorCode::kUnexpected,
                  "output tensor " + state_->layout.tensors[i].name + " was planned but never written",
                  "please report this with the recipe");
    }
  }
}

void OutputWriter::Publish() {
  Complete();
  for (size_t i = 0; i < state_->files.size(); ++i) {
    state_->files[i]->Publish(state_->directory / state_->layout.shards[i].file);
  }
}

const std::map<std::string, std::string>& OutputWriter::hashes() const { return state_->all_hashes; }
uint64_t OutputWriter::bytes_written() const { return state_->written; }
double OutputWriter::seconds() const { return static_cast<double>(state_->busy_us) * 1e-6; }

}  // namespace modelslim
