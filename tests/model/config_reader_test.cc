#include "model/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/expect_error.h"
#include "io/json.h"
#include "model/rope_config.h"

namespace modelslim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What `read` returns for the text of a config.json, and what it says on stderr meanwhile.
template <typename Read>
auto Reading(const std::string& text, std::string* said, Read read) {
  const Json config = ParseJson(text, "config.json");
  ::testing::internal::CaptureStderr();
  try {
    auto value = read(JsonRef(config, "config.json"));
    *said = ::testing::internal::GetCapturedStderr();
    return value;
  } catch (...) {
    *said = ::testing::internal::GetCapturedStderr();
    throw;
  }
}

// ---- rotary settings: each form means the same as its older twin, and what differs is told ----

struct RopeCase {
  const char* name;
  const char* config;
  double theta;
  int64_t dim = 16;
  RopeType type = RopeType::kDefault;
  const char* told = "";  // part of the warning; "": there is none
};

class RopeFormsTest : public ::testing::TestWithParam<RopeCase> {};

TEST_P(RopeFormsTest, ReadsTheForm) {
  const RopeCase& expected = GetParam();
  std::string said;
  const RopeConfig rope = Reading(expected.config, &said, [](const JsonRef& config) {
    return ReadRope(config, {.head_dim = 16, .default_share = 1.0}, 2);
  });
  EXPECT_EQ(rope.theta, expected.theta);
  EXPECT_EQ(rope.dim, expected.dim);
  EXPECT_EQ(rope.type, expected.type);
  if (*expected.told == '\0') {
    EXPECT_THAT(said, IsEmpty());
  } else {
    EXPECT_THAT(said, HasSubstr(expected.told));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, RopeFormsTest,
    ::testing::Values(
        RopeCase{"nothing", "{}", 10000},  //
        RopeCase{"old", R"({"rope_theta": 5e5})", 5e5},
        RopeCase{"old_null", R"({"rope_theta": 5e5, "rope_scaling": null})", 5e5},
        RopeCase{"old_yarn", R"({"rope_theta": 5e5, "rope_scaling": {"type": "yarn", "factor": 4}})", 5e5, 16,
                 RopeType::kYarn},
        RopeCase{"flat", R"({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}})", 5e5},
        RopeCase{"flat_yarn", R"({"rope_parameters": {"rope_type": "yarn", "factor": 4, "rope_theta": 5e5}})", 5e5, 16,
                 RopeType::kYarn},
        RopeCase{"flat_partial", R"({"rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.5}})", 5e5, 8},
        RopeCase{"old_partial", R"({"rope_theta": 5e5, "partial_rotary_factor": 0.25})", 5e5, 4},
        RopeCase{"theta_beside_flat", R"({"rope_theta": 5e5, "rope_parameters": {"rope_type": "default"}})", 5e5},
        RopeCase{"theta_twice_same", R"({"rope_theta": 500000, "rope_parameters": {"rope_theta": 500000.0}})", 5e5},
        RopeCase{"theta_twice", R"({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}})", 5e5, 16,
                 RopeType::kDefault, "rope_parameters.rope_theta (500000.0) and config.json: rope_theta (10000.0)"},
        RopeCase{"partial_twice",
                 R"({"partial_rotary_factor": 0.25, "rope_parameters": {"partial_rotary_factor": 0.5}})", 10000, 8,
                 RopeType::kDefault, "partial_rotary_factor (0.5)"},
        RopeCase{"empty_old_beside_new", R"({"rope_scaling": {}, "rope_parameters": {"rope_theta": 5e5}})", 5e5},
        RopeCase{"both_alike",
                 R"({"rope_scaling": {"type": "linear", "factor": 2},
                     "rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 5e5}})",
                 5e5, 16, RopeType::kLinear},
        RopeCase{"both_differ",
                 R"({"rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2},
                     "rope_parameters": {"rope_type": "yarn", "factor": 2, "rope_theta": 5e5}})",
                 5e5, 16, RopeType::kLinear, "rope_scaling and config.json: rope_parameters disagree"},
        RopeCase{"type_and_rope_type", R"({"rope_scaling": {"rope_type": "linear", "type": "dynamic", "factor": 2}})",
                 10000, 16, RopeType::kLinear, "rope_type (\"linear\")"},
        RopeCase{"nested_one", R"({"rope_parameters": {"full_attention": {"rope_theta": 5e5}}})", 5e5},
        RopeCase{"nested_null",
                 R"({"rope_parameters": {"sliding_attention": null, "full_attention": {"rope_theta": 5e5}}})", 5e5},
        RopeCase{
            "nested_same",
            R"({"rope_parameters": {"full_attention": {"rope_theta": 5e5}, "sliding_attention": {"rope_theta": 5e5}}})",
            5e5},
        RopeCase{"nested_by_type",
                 R"({"layer_types": ["full_attention", "full_attention"], "rope_parameters":
                     {"sliding_attention": {"rope_theta": 1e4}, "full_attention": {"rope_theta": 5e5}}})",
                 5e5},
        RopeCase{"nested_beside_linear_attention",
                 R"({"layer_types": ["linear_attention", "full_attention"],
                     "rope_parameters": {"full_attention": {"rope_theta": 5e5, "partial_rotary_factor": 0.25}}})",
                 5e5, 4},
        RopeCase{"unknown_setting", R"({"rope_parameters": {"rope_theta": 5e5, "spin": 3}})", 5e5, 16,
                 RopeType::kDefault, "rope_parameters.spin is not known and not used"}),
    [](const auto& each) { return each.param.name; });

TEST(LayerRopesTest, LayersMayDiffer) {
  std::string said;
  const LayerRopes ropes = Reading(
      R"({"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "rope_parameters":
          {"sliding_attention": {"rope_theta": 1e4}, "full_attention": {"rope_theta": 5e5}}})",
      &said, [](const JsonRef& config) { return ReadLayerRopes(config, {.head_dim = 16}, 3); });
  EXPECT_EQ(ropes.of(0).theta, 1e4);
  EXPECT_EQ(ropes.of(1).theta, 5e5);
  EXPECT_EQ(ropes.of(2).theta, 1e4);
  EXPECT_THAT(said, IsEmpty());
}

struct RefusedRope {
  const char* config;
  ErrorCode code;
  std::vector<std::string> parts;
};

TEST(LayerRopesTest, RefusesWhatItCannotCompute) {
  const RefusedRope cases[] = {
      {R"({"partial_rotary_factor": 0.5})", ErrorCode::kUnsupported, {"partial_rotary_factor", "found 0.5"}},
      {R"({"rope_parameters": {"partial_rotary_factor": 0.5}})",
       ErrorCode::kUnsupported,
       {"rope_parameters.partial_rotary_factor", "found 0.5"}},
      {R"({"rope_parameters": {"full_attention": {"partial_rotary_factor": 0.5}}})",
       ErrorCode::kUnsupported,
       {"rope_parameters.full_attention.partial_rotary_factor"}},
      {R"({"rope_scaling": {"type": "spiral"}})", ErrorCode::kUnsupported, {"rope_scaling.type", "spiral"}},
      {R"({"rope_scaling": {"type": "mrope"}})", ErrorCode::kUnsupported, {"rope_scaling.type", "vision-language"}},
      {R"({"rope_scaling": {"rope_type": "default", "mrope_section": [1, 2, 3]}})",
       ErrorCode::kUnsupported,
       {"rope_scaling.mrope_section"}},
      {R"({"rope_parameters": {"rope_type": "yarn", "factor": 4, "llama_4_scaling_beta": 0.1}})",
       ErrorCode::kUnsupported,
       {"llama_4_scaling_beta"}},
      {R"({"rope_parameters": {"rope_type": "yarn"}})", ErrorCode::kInvalidModel, {"rope_parameters.factor"}},
      {R"({"rope_parameters": {"full_attention": {"rope_theta": -1}}})",
       ErrorCode::kInvalidModel,
       {"rope_parameters.full_attention.rope_theta"}},
      {R"({"rope_parameters": {"full_attention": {"rope_theta": 1}, "sliding_attention": {"rope_theta": 2}}})",
       ErrorCode::kInvalidModel,
       {"layer_types", "rope_parameters"}},
      {R"({"layer_types": ["full_attention", "sliding_attention"],
           "rope_parameters": {"full_attention": {"rope_theta": 1}}})",
       ErrorCode::kInvalidModel,
       {"rope_parameters.sliding_attention", "layer_types"}},
      {R"({"rope_parameters": 3})", ErrorCode::kInvalidModel, {"rope_parameters: expected an object"}}};
  for (const RefusedRope& each : cases) {
    SCOPED_TRACE(each.config);
    const Json config = ParseJson(each.config, "config.json");
    const auto read = [&] { ReadLayerRopes(JsonRef(config, "config.json"), {.head_dim = 16}, 2); };
    for (const std::string& part : each.parts) ExpectError(read, each.code, {part});
  }
}

TEST(LayerRopesTest, OneForAllIsAsked) {
  const Json config = ParseJson(
      R"({"layer_types": ["full_attention", "sliding_attention"], "rope_parameters":
          {"full_attention": {"rope_theta": 1}, "sliding_attention": {"rope_theta": 2}}})",
      "config.json");
  ExpectError([&] { ReadRope(JsonRef(config, "config.json"), {.head_dim = 16}, 2); }, ErrorCode::kUnsupported,
              {"rope_parameters", "same settings"});
}

// ---- windows ----

struct WindowCase {
  const char* config;
  WindowRules rules;
  int64_t tokens;  // 0: no window
};

TEST(WindowTest, IsReadAsTheFamiliesMeanIt) {
  const WindowRules qwen{.default_size = 4096, .first_layer_key = "max_window_layers"};
  const WindowRules mistral{.always = true, .default_size = 4096}, llama{};
  const WindowCase cases[] = {
      {"{}", qwen, 0},
      {R"({"sliding_window": 100})", qwen, 0},
      {R"({"sliding_window": 100, "use_sliding_window": false})", qwen, 0},
      {R"({"sliding_window": 100, "use_sliding_window": true})", qwen, 100},
      {R"({"sliding_window": null, "use_sliding_window": true})", qwen, 0},
      {R"({"use_sliding_window": true})", qwen, 4096},
      {R"({"sliding_window": 100, "use_sliding_window": true, "max_window_layers": 4})", qwen, 0},
      {R"({"sliding_window": 100, "use_sliding_window": true, "max_window_layers": 3})", qwen, 100},
      {R"({"sliding_window": 100, "use_sliding_window": true, "layer_types": ["full_attention"]})", qwen, 0},
      {R"({"sliding_window": 100, "layer_types": ["full_attention", "sliding_attention"]})", qwen, 100},
      {R"({"sliding_window": 100})", mistral, 100},
      {R"({"sliding_window": null})", mistral, 0},
      {"{}", mistral, 4096},
      {R"({"sliding_window": 100})", llama, 0},
      {R"({"sliding_window": 100, "layer_types": ["sliding_attention"]})", llama, 100}};
  for (const WindowCase& each : cases) {
    SCOPED_TRACE(each.config);
    const Json config = ParseJson(each.config, "config.json");
    const std::optional<AttentionWindow> window = ReadWindow(JsonRef(config, "config.json"), 4, each.rules);
    EXPECT_EQ(window ? window->tokens : 0, each.tokens);
    if (window) {
      EXPECT_THAT(window->where, HasSubstr("config.json: sliding_window"));
    }
  }
}

// ---- names that have changed ----

TEST(NamesOfKeysTest, OldAndNewThatDisagreeAreTold) {
  std::string said;
  const auto read = [](const JsonRef& config) { return FirstOf(config, {"a", "b"}).IntOr(0); };
  EXPECT_EQ(Reading(R"({"b": 3})", &said, read), 3);
  EXPECT_THAT(said, IsEmpty());
  EXPECT_EQ(Reading(R"({"b": 3, "a": 3})", &said, read), 3);
  EXPECT_THAT(said, IsEmpty());
  EXPECT_EQ(Reading(R"({"b": 3, "a": null})", &said, read), 3);
  EXPECT_THAT(said, IsEmpty());
  EXPECT_EQ(Reading(R"({"b": 3, "a": 4})", &said, read), 4);
  EXPECT_THAT(said, AllOf(HasSubstr("config.json: a (4)"), HasSubstr("config.json: b (3)")));
}

}  // namespace
}  // namespace modelslim
