// The clock of the programs here: CPU seconds of the calling thread, so that a busy machine does not show.
#pragma once

#include <algorithm>
#include <ctime>

namespace modelslim {

inline double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class F>
double SecondsOf(const F& work) {
  const double start = ThreadSeconds();
  work();
  return ThreadSeconds() - start;
}

// The best of five.
template <class F>
double BestSeconds(const F& work) {
  double best = SecondsOf(work);
  for (int round = 1; round < 5; ++round) best = std::min(best, SecondsOf(work));
  return best;
}

}  // namespace modelslim
