#include "config/patterns/pattern.h"

#include <algorithm>

#include "config/patterns/glob.h"

namespace modelslim {

// Alternatives by their literal beginning, those without one by their literal end, the rest one by one: a pattern like
// "model.layers.{0..60}.mlp.*" costs a few look-ups a name and not 61 comparisons.
struct CompiledPattern::Index {
  using Bucket = std::vector<size_t>;
  struct ByLength {
    size_t length;
    std::unordered_map<std::string_view, Bucket> buckets;  // views into globs
  };

  std::vector<Glob> globs;
  std::vector<ByLength> prefixes;
  std::vector<ByLength> suffixes;
  Bucket others;

  static void Add(std::vector<ByLength>& tables, std::string_view key, size_t glob) {
    auto at = std::find_if(tables.begin(), tables.end(), [&](const ByLength& t) { return t.length == key.size(); });
    if (at == tables.end()) at = tables.insert(at, {key.size(), {}});
    at->buckets[key].push_back(glob);
  }

  bool AnyOf(const Bucket& bucket, std::string_view name) const {
    return std::any_of(bucket.begin(), bucket.end(), [&](size_t i) { return globs[i].Matches(name); });
  }

  bool Matches(std::string_view name) const {
    for (const ByLength& table : prefixes) {
      if (table.length > name.size()) continue;
      const auto found = table.buckets.find(name.substr(0, table.length));
      if (found != table.buckets.end() && AnyOf(found->second, name)) return true;
    }
    for (const ByLength& table : suffixes) {
      if (table.length > name.size()) continue;
      const auto found = table.buckets.find(name.substr(name.size() - table.length));
      if (found != table.buckets.end() && AnyOf(found->second, name)) return true;
    }
    return AnyOf(others, name);
  }
};

CompiledPattern::CompiledPattern(std::string_view text) : text_(text) {
  auto index = std::make_unique<Index>();
  for (const std::string& each : ExpandBraces(text)) index->globs.emplace_back(each);
  const bool few = index->globs.size() <= 3;
  for (size_t i = 0; i < index->globs.size(); ++i) {
    const Glob& glob = index->globs[i];
    if (few)
      index->others.push_back(i);
    else if (!glob.prefix().empty())
      Index::Add(index->prefixes, glob.prefix(), i);
    else if (!glob.suffix().empty())
      Index::Add(index->suffixes, glob.suffix(), i);
    else
      index->others.push_back(i);
  }
  index_ = std::move(index);
}

CompiledPattern::~CompiledPattern() = default;
CompiledPattern::CompiledPattern(CompiledPattern&&) noexcept = default;
CompiledPattern& CompiledPattern::operator=(CompiledPattern&&) noexcept = default;

size_t CompiledPattern::alternative_count() const { return index_->globs.size(); }

bool CompiledPattern::Matches(std::string_view name) const { return name == text_ || index_->Matches(name); }

}  // namespace modelslim
