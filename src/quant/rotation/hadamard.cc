#include "quant/rotation/hadamard.h"

#include <algorithm>
#include <array>
#include <bit>
#include <random>
#include <string_view>

#include "base/error.h"

namespace modelslim {
namespace {

constexpr std::array<int64_t, 15> kOrders = {12, 20, 28, 36, 40, 52, 60, 76, 108, 136, 140, 156, 160, 172, 200};

// First rows of the four circulant blocks of Williamson's construction, order / 4 long and palindromic (row[j] = row[p
// - j]): the first (p + 1) / 2 entries.
struct WilliamsonRows {
  int64_t order;
  std::array<std::string_view, 4> rows;
};
constexpr WilliamsonRows kWilliamson[] = {
    {20, {"+--", "+--", "++-", "+-+"}},
    {28, {"+---", "++--", "+-+-", "+--+"}},
    {36, {"++---", "+-+--", "+--+-", "+---+"}},
    {52, {"+-+--++", "+---+++", "++-+--+", "+----+-"}},
    {60, {"++-++-+-", "++-++++-", "++-++---", "+-+---++"}},
    {68, {"+-++-+++-", "+--+-++++", "++-+---+-", "+---+++--"}},
    {76, {"++--+-++++", "+-+---++++", "++-++--+-+", "++--+++-+-"}},
    {108, {"+---+++++-+-++", "+---+++++-+-++", "+--+--+-+++--+", "+++-++-+---++-"}},
    {156, {"+++--+-+-----+--++--", "++++---+--++----+-+-", "+++--++-+---+-+--+--", "+---++-+-+-----+++-+"}},
    {172, {"+---++--++++-+-+++-++-", "++-++++++----+-+--++-+", "+++-+-++--+-+-++++-+--", "++---++++-+--+--++----"}},
};

// Row 0 is all -1 after its first entry, column 0 all +1; the core is the Legendre symbol of i - j modulo the prime
// order - 1.
std::vector<int8_t> PaleyI(int64_t order) {
  const int64_t q = order - 1;
  std::vector<int8_t> legendre(q, -1);
  for (int64_t i = 1; i < q; ++i) legendre[i * i % q] = 1;
  std::vector<int8_t> t(order * order, 1);
  for (int64_t j = 1; j < order; ++j) t[j] = -1;
  for (int64_t i = 0; i < q; ++i) {
    for (int64_t j = 0; j < q; ++j) t[(i + 1) * order + j + 1] = i == j ? int8_t{1} : legendre[(i - j + q) % q];
  }
  return t;
}

// [[A, B, C, D], [-B, A, -D, C], [-C, D, A, -B], [-D, -C, B, A]] of symmetric circulants.
std::vector<int8_t> Williamson(const WilliamsonRows& table) {
  constexpr int kBlock[4][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
  constexpr int kSign[4][4] = {{1, 1, 1, 1}, {-1, 1, -1, 1}, {-1, 1, 1, -1}, {-1, -1, 1, 1}};
  const int64_t n = table.order, p = n / 4;
  std::vector<int8_t> t(n * n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const int64_t distance = (j % p - i % p + p) % p;
      const char entry = table.rows[kBlock[i / p][j / p]][std::min(distance, p - distance)];
      t[i * n + j] = static_cast<int8_t>(entry == '+' ? kSign[i / p][j / p] : -kSign[i / p][j / p]);
    }
  }
  return t;
}

// [[T, T], [T, -T]]
std::vector<int8_t> Doubled(const std::vector<int8_t>& t, int64_t half) {
  std::vector<int8_t> twice(4 * half * half);
  for (int64_t i = 0; i < 2 * half; ++i) {
    for (int64_t j = 0; j < 2 * half; ++j) {
      const int8_t entry = t[i % half * half + j % half];
      twice[i * 2 * half + j] = static_cast<int8_t>(i >= half && j >= half ? -entry : entry);
    }
  }
  return twice;
}

std::vector<int8_t> FromTable(int64_t order) {
  for (const WilliamsonRows& table : kWilliamson) {
    if (table.order == order) return Williamson(table);
  }
  return {};
}

}  // namespace

std::span<const int64_t> BaseHadamardOrders() { return kOrders; }

std::vector<int8_t> BaseHadamard(int64_t k) {
  switch (k) {
    case 1:
      return {1};
    case 12:
    case 140:
    case 200:
      return PaleyI(k);
    case 40:
      return Doubled(FromTable(20), 20);
    case 136:
      return Doubled(FromTable(68), 68);
    case 160:
      return Doubled(PaleyI(80), 80);
    default:
      break;
  }
  MODELSLIM_CHECK(std::ranges::find(kOrders, k) != kOrders.end());
  return FromTable(k);
}

std::optional<int64_t> HadamardBaseOrder(int64_t n) {
  if (n < 1) return std::nullopt;
  for (auto k = kOrders.rbegin(); k != kOrders.rend(); ++k) {
    if (n % *k == 0 && std::has_single_bit(static_cast<uint64_t>(n / *k))) return *k;
  }
  if (std::has_single_bit(static_cast<uint64_t>(n))) return 1;
  return std::nullopt;
}

std::vector<float> RandomSigns(int64_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> signs(n);
  for (float& sign : signs) sign = (generator() & 1u) != 0 ? 1.0f : -1.0f;
  return signs;
}

}  // namespace modelslim
