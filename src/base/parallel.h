// The compute threads: one pool for the whole process, fed with index ranges. Work is cut into fixed pieces that do not
// depend on the number of threads, so results never do either.
#pragma once

#include <cstdint>
#include <functional>
#include <thread>

namespace modelslim {

// Cores this process may use: the affinity mask, further limited by the CPU quota of its cgroups. At least 1.
int AvailableThreads();

// Sets the number of compute threads (the caller's thread counts as one). 0 means AvailableThreads(). More than
// MostComputeThreads() become so many, and where the system refuses threads (limits of containers) the loops run on
// those that it gave; both are told by a warning. Not while a loop runs.
void SetComputeThreads(int threads);
int ComputeThreads();

// Several for each core of the machine, and enough for tests anywhere: more would only stand in one another's way.
int MostComputeThreads();

// Starts a thread beside the pool, for waiting and for the disk. False where the system refuses one: the caller then
// does without. `body` must not throw.
bool TryStartThread(std::thread& thread, std::function<void()> body);

// Calls body(i) once for every i in [0, count), on several threads, in no particular order, and returns when all are
// done. The caller's thread takes part. A nested call runs serially. The first exception is rethrown in the caller
// after all running pieces have ended; pieces not yet started are dropped.
void ParallelFor(int64_t count, const std::function<void(int64_t)>& body);

// The same over ranges: body(begin, end) for consecutive pieces of at most `grain` indices (grain >= 1). Piece borders
// are multiples of `grain` whatever the number of threads.
void ParallelRanges(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace modelslim
