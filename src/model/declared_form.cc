#include "model/declared_form.h"

#include "model/quantized_source.h"

namespace modelslim {

Declared ReadDeclared(const Json& config) {
  Declared declared;
  const Json* const method = FindQuantization(config);
  if (method == nullptr) return declared;
  const auto integer = [](const Json* value) { return value == nullptr ? 0 : value->integer().value_or(0); };
  if (const Json* const format = method->Find("format"); format != nullptr && format->string() != nullptr)
    declared.format = *format->string();
  if (const Json* const size = method->Find("weight_block_size"); size != nullptr && size->array() != nullptr) {
    const JsonArray& list = *size->array();
    if (list.size() == 2 && integer(&list[0]) > 0 && integer(&list[1]) > 0) {
      declared.block_rows = integer(&list[0]);
      declared.block_cols = integer(&list[1]);
    }
  }
  const Json* const groups = method->Find("config_groups");
  if (groups == nullptr || groups->object() == nullptr) return declared;
  for (const JsonMember& member : *groups->object()) {
    const Json* const weights = member.value.Find("weights");
    if (weights == nullptr) continue;
    declared.bits = integer(weights->Find("num_bits"));
    declared.group = integer(weights->Find("group_size"));
    const Json* const type = weights->Find("type");
    if (declared.format.empty() && type != nullptr && type->string() != nullptr)
      declared.format = *type->string() + "-quantized";
    break;
  }
  return declared;
}

}  // namespace modelslim
