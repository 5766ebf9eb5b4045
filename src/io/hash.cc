#include "io/hash.h"

#include <xxhash.h>

#include "base/error.h"

namespace modelslim {
namespace {

std::string Hex(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace

struct Hasher::State {
  State() : xxh(XXH3_createState()) { MODELSLIM_CHECK(xxh != nullptr && XXH3_128bits_reset(xxh) == XXH_OK); }
  ~State() { XXH3_freeState(xxh); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  XXH3_state_t* const xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;

void Hasher::Update(std::span<const std::byte> bytes) { XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size()); }
void Hasher::Update(std::string_view bytes) { XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size()); }
std::string Hasher::Hex() const { return modelslim::Hex(XXH3_128bits_digest(state_->xxh)); }

std::string HashHex(std::span<const std::byte> bytes) { return Hex(XXH3_128bits(bytes.data(), bytes.size())); }
std::string HashHex(std::string_view bytes) { return Hex(XXH3_128bits(bytes.data(), bytes.size())); }

}  // namespace modelslim
