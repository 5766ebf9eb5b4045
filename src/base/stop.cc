#include "base/stop.h"

#include <atomic>

namespace modelslim {
namespace {
std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);
}  // namespace

void RequestStop() { requested = true; }
bool StopRequested() { return requested; }
void ThrowIfStopped() {
  if (requested) throw Stopped();
}

}  // namespace modelslim
