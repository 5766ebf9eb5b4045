#include "base/parallel.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/cgroup.h"
#include "base/error.h"
#include "base/log.h"

namespace modelslim {
namespace {

thread_local bool inside_loop = false;

// One loop in flight. Threads draw the next index from `next`.
struct Loop {
  const std::function<void(int64_t)>* body;
  int64_t count;
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr error;
  std::mutex error_mutex;

  void Run() {
    inside_loop = true;
    for (;;) {
      const int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= count || failed.load(std::memory_order_relaxed)) break;
      try {
        (*body)(i);
      } catch (...) {
        std::lock_guard lock(error_mutex);
        if (!error) error = std::current_exception();
        failed = true;
      }
    }
    inside_loop = false;
  }
};

// Waking a thread that sleeps takes about 40 us, as long as many of our loops: whoever waits looks around for about as
// long before it sleeps, and leaves the processor to others meanwhile.
template <class Done>
void YieldUntil(const Done& done) {
  constexpr int kLooks = 100;
  for (int i = 0; i < kLooks && !done(); ++i) std::this_thread::yield();
}

// Address space that stacks do not take, given back when all threads stand: what is left of a limit (ulimit -v) has to
// do for the work, and the C library ends the program where a thread finds none.
class Room {
 public:
  Room() : at_(mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~Room() {
    if (is_there()) munmap(at_, kBytes);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  bool is_there() const { return at_ != MAP_FAILED; }

 private:
  static constexpr size_t kBytes = size_t{64} << 20;
  void* at_;
};

class Pool {
 public:
  explicit Pool(int threads) {
    workers_.resize(static_cast<size_t>(threads - 1));  // before the first one runs: nothing may throw from then on
    size_t started = 0;
    const Room room;
    while (room.is_there() && started < workers_.size() && TryStartThread(workers_[started], [this] { Work(); }))
      ++started;
    workers_.resize(started);
  }

  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void Run(Loop& loop) {
    // One loop at a time: a second caller (the I/O side) waits for its turn.
    std::lock_guard turn(turn_);
    {
      std::lock_guard lock(mutex_);
      loop_ = &loop;
      ++generation_;
      pending_ = static_cast<int>(workers_.size());
    }
    wake_.notify_all();
    loop.Run();
    YieldUntil([this] { return pending_ == 0; });
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    loop_ = nullptr;
  }

 private:
  void Work() {
    uint64_t seen = 0;
    for (;;) {
      YieldUntil([&] { return stopping_ || generation_ != seen; });
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      Loop* loop = loop_;
      lock.unlock();
      loop->Run();
      lock.lock();
      if (--pending_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex turn_, mutex_;
  std::condition_variable wake_, done_;
  Loop* loop_ = nullptr;
  // Changed under the mutex only; read without it by those who have not gone to sleep yet.
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> pending_{0};
  std::atomic<bool> stopping_{false};
};

std::mutex pool_mutex;
std::unique_ptr<Pool> pool;
int wanted_threads = 0;

Pool& ThePool() {
  std::lock_guard lock(pool_mutex);
  if (!pool) {
    const int wanted = wanted_threads > 0 ? wanted_threads : AvailableThreads();
    pool = std::make_unique<Pool>(wanted);
    if (const int could = pool->threads(); could < wanted) {
      // A limit that stopped one more thread leaves the others no memory to work with either: half of them go on.
      pool.reset();
      pool = std::make_unique<Pool>(std::max(1, could / 2));
      const int got = pool->threads();
      LogWarning(
          "only " + std::to_string(got) + " of " + std::to_string(wanted) +
          " threads could be started; going on with them (what limits them: ulimit -u, ulimit -v, or the pids of the "
          "container)");
    }
  }
  return *pool;
}

}  // namespace

int AvailableThreads() {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) threads = CPU_COUNT(&set);
  if (const double limit = ReadCgroupLimits().cpus; limit > 0) {
    threads = static_cast<int>(std::min<double>(threads, limit + 0.5));
  }
  return std::max(1, threads);
}

void SetComputeThreads(int threads) {
  std::lock_guard lock(pool_mutex);
  if (threads < 0) throw Error(ErrorCode::kSchema, "number of threads must not be negative");
  const int most = MostComputeThreads();
  if (threads > most) {
    LogWarning("--threads " + std::to_string(threads) + ": more than this machine has any use for; taking " +
               std::to_string(most));
  }
  wanted_threads = std::min(threads, most);
  pool.reset();
}

int MostComputeThreads() {
  constexpr int kLeast = 64, kForEachCore = 4;
  return std::max(kLeast, kForEachCore * static_cast<int>(std::thread::hardware_concurrency()));
}

bool TryStartThread(std::thread& thread, std::function<void()> body) {
  try {
    thread = std::thread(std::move(body));
    return true;
  } catch (const std::exception&) {  // std::system_error, or no memory for its stack
    return false;
  }
}

int ComputeThreads() { return ThePool().threads(); }

void ParallelFor(int64_t count, const std::function<void(int64_t)>& body) {
  if (count <= 0) return;
  if (inside_loop || count == 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  Pool& threads = ThePool();
  if (threads.threads() == 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  Loop loop{&body, count, {}, {}, {}, {}};
  threads.Run(loop);
  if (loop.error) std::rethrow_exception(loop.error);
}

void ParallelRanges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  MODELSLIM_CHECK(grain >= 1);
  ParallelFor((count + grain - 1) / grain,
              [&](int64_t piece) { body(piece * grain, std::min(count, (piece + 1) * grain)); });
}

}  // namespace modelslim
