// XXH3-128, the checksum of the journal and of cached identities. Fast and stable; no protection against malice.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace modelslim {

// 32 lower-case hexadecimal digits, most significant first (as the xxh128sum program prints it).
std::string HashHex(std::span<const std::byte> bytes);
std::string HashHex(std::string_view bytes);

// The same over pieces: Update(a), Update(b) hashes the bytes of a followed by those of b.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view bytes);
  std::string Hex() const;  // of all so far; more may follow

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace modelslim
