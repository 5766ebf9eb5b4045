#include "app/analyze.h"

#include <gmock/gmock.h>

#include <cmath>

namespace modelslim {
namespace {

using testing::ElementsAre;

std::vector<std::string> Names(const std::vector<LayerScore>& layers) {
  std::vector<std::string> names;
  for (const LayerScore& layer : layers) names.push_back(layer.name);
  return names;
}

TEST(RankLayers, CountsDifferentScores) {
  const std::vector<LayerScore> layers = {{"a", 1}, {"b", 3}, {"c", 3}, {"d", 2}, {"e", 1}, {"f", 0}};
  EXPECT_THAT(Names(RankLayers(layers, 1)), ElementsAre("b", "c"));
  EXPECT_THAT(Names(RankLayers(layers, 2)), ElementsAre("b", "c", "d"));
  EXPECT_THAT(Names(RankLayers(layers, 3)), ElementsAre("b", "c", "d", "a", "e"));
  EXPECT_THAT(Names(RankLayers(layers, 9)), ElementsAre("b", "c", "d", "a", "e", "f"));
  EXPECT_THAT(RankLayers({}, 3), testing::IsEmpty());
}

TEST(RankLayers, NanComesFirstAndCountsOnce) {
  const std::vector<LayerScore> layers = {
      {"a", 1}, {"b", std::nan("")}, {"c", 5}, {"d", std::nan("")}, {"e", INFINITY}};
  EXPECT_THAT(Names(RankLayers(layers, 2)), ElementsAre("b", "d", "e"));
}

}  // namespace
}  // namespace modelslim
