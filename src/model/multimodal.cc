#include "model/multimodal.h"

#include <string>

#include "base/error.h"
#include "io/json_ref.h"

namespace modelslim {
namespace {

// Keys that only such models have, and what they mean.
struct Sign {
  const char *key, *means;
  bool tower = false;
};
constexpr Sign kSigns[] = {{"vision_config", "a vision-language (multimodal) model", true},
                           {"visual", "a vision-language (multimodal) model"},
                           {"mm_vision_tower", "a vision-language (multimodal) model"},
                           {"vision_tower", "a vision-language (multimodal) model"},
                           {"img_processor", "a vision-language (multimodal) model"},
                           {"audio_config", "a multimodal model that takes sound", true},
                           {"speech_config", "a multimodal model that takes sound"},
                           {"audio_processor", "a multimodal model that takes sound"},
                           {"thinker_config", "a multimodal model of several parts"},
                           {"talker_config", "a multimodal model of several parts"},
                           {"text_config", "a multimodal model, whose language model is nested"},
                           {"llm_config", "a multimodal model, whose language model is nested"},
                           {"language_config", "a multimodal model, whose language model is nested"}};

}  // namespace

std::string TowerKey(const Json& config) {
  const JsonRef ref(config, "config.json");
  for (const Sign& sign : kSigns) {
    const JsonRef value = ref[sign.key];
    if (sign.tower && value && value.value()->object() != nullptr) return sign.key;
  }
  return "";
}

void RefuseMultimodal(const Json& config) {
  const JsonRef ref(config, "config.json");
  for (const Sign& sign : kSigns) {
    const JsonRef value = ref[sign.key];
    if (!value || value.value()->boolean() == false) continue;
    const Json* const type = config.Find("model_type");
    const std::string name = type != nullptr && type->string() != nullptr ? *type->string() : "";
    throw Error(ErrorCode::kUnsupported,
                value.where() + ": expected the configuration of a language model, found " + sign.means +
                    (name.empty() ? "" : " (model_type \"" + name + "\")"),
                "the language models that are computed are listed by 'modelslim models'; with --no-forward any model "
                "is quantized by the names of its "
                "tensors, by recipes that need no data");
  }
}

}  // namespace modelslim
