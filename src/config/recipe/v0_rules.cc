#include "config/recipe/v0_rules.h"

#include <algorithm>

namespace modelslim {
namespace {

// A mistake in the value of `key`; at the mapping when the key is absent.
class Rules {
 public:
  Rules(Reader& reader, const YamlNode& node) : reader_(reader), node_(node) {}

  void Refuse(std::string_view key, std::string message, std::string tip = "") const {
    Say(true, key, std::move(message), std::move(tip));
  }
  void Warn(std::string_view key, std::string message, std::string tip = "") const {
    Say(false, key, std::move(message), std::move(tip));
  }
  size_t error_count() const { return reader_.error_count(); }
  bool Given(std::string_view key) const { return node_.Find(key) != nullptr; }

 private:
  void Say(bool error, std::string_view key, std::string message, std::string tip) const {
    const YamlEntry* entry = node_.Find(key);
    const SourcePos pos = entry != nullptr ? entry->value->pos : node_.pos;
    const Reader::Step step(reader_, key);
    Remark remark;
    remark.tip = std::move(tip);
    if (error)
      reader_.Error(pos, std::move(message), std::move(remark));
    else
      reader_.Warn(pos, std::move(message), std::move(remark));
  }

  Reader& reader_;
  const YamlNode& node_;
};

std::string Bits(int64_t w, int64_t a) { return "w" + std::to_string(w) + "a" + std::to_string(a); }

void CheckSparse(const Rules& rules, V0CalibConfig& c) {
  auto& e = c.effective;
  e.w_bit = c.w_bit;
  e.a_bit = c.a_bit;
  e.pr = c.pr;
  e.co_sparse = c.co_sparse;
  if (c.co_sparse) {
    if (c.w_bit != 4) rules.Warn("w_bit", "co_sparse sets w_bit to 4");
    if (c.a_bit != 8) rules.Warn("a_bit", "co_sparse sets a_bit to 8");
    e.w_bit = 4;
    e.a_bit = 8;
    e.pr = 1.0;
  }
  if (!c.is_lowbit) return;
  e.co_sparse = false;  // is_lowbit wins, as in the reference
  if (c.act_method == 3) rules.Refuse("act_method", "act_method 3 does not go with is_lowbit", "use 1 or 2");
  if (c.pr < 0 || c.pr > 1) rules.Refuse("pr", "with is_lowbit pr must be in [0, 1]");
}

void CheckDynamic(const Rules& rules, const V0CalibConfig& c) {
  if (!c.is_dynamic) return;
  if (c.effective.w_bit != 4 && c.effective.w_bit != 8) rules.Refuse("w_bit", "is_dynamic needs w_bit 4 or 8");
  if (c.effective.a_bit == 16) rules.Refuse("a_bit", "is_dynamic does not go with a_bit 16");
}

void CheckPerGroup(const Rules& rules, V0CalibConfig& c) {
  auto& e = c.effective;
  const bool w4a8 = e.w_bit == 4 && e.a_bit == 8;
  e.per_group = c.is_lowbit && !c.open_outlier && (e.a_bit == 16 || w4a8);
  e.mm_tensor = c.mm_tensor && !e.per_group;
  e.do_smooth = c.do_smooth && !e.per_group;
  e.group_size = e.per_group ? c.group_size : -1;
  if (e.per_group) {
    if (!OneOf({32, 64, 128, 256}).Allows(static_cast<double>(c.group_size))) {
      rules.Refuse("group_size", "per-group mode needs group_size 32, 64, 128 or 256");
    }
    return;
  }
  if (rules.Given("group_size"))
    rules.Warn("group_size",
               "group_size has no effect: this is not the per-group mode (is_lowbit true, open_outlier false)");
  if (c.is_lowbit && (c.w_method == V0WeightMethod::kHqq || c.w_method == V0WeightMethod::kGptq)) {
    rules.Refuse("w_method", "is_lowbit with HQQ or GPTQ needs the per-group mode", "set open_outlier: false");
  }
}

void CheckNf(const Rules& rules, const V0CalibConfig& c) {
  if (c.w_method != V0WeightMethod::kNf) return;
  if (c.effective.w_bit != 4 || c.effective.a_bit != 16) rules.Refuse("w_method", "NF needs w_bit 4 and a_bit 16");
  if (c.is_lowbit) rules.Refuse("is_lowbit", "NF does not go with is_lowbit");
  if (c.use_fa_quant) rules.Refuse("use_fa_quant", "NF does not go with use_fa_quant");
  if (c.use_kvcache_quant) rules.Refuse("use_kvcache_quant", "NF does not go with use_kvcache_quant");
}

void CheckFourBit(const Rules& rules, const V0CalibConfig& c) {
  const auto& e = c.effective;
  const bool sparse = e.co_sparse || (c.is_lowbit && !c.is_dynamic);
  if (e.w_bit == 4 && e.a_bit == 8 && !sparse) {
    if (!c.is_dynamic)
      rules.Refuse("is_dynamic", "w4a8 that is not sparse must be dynamic",
                   "set is_dynamic: true, or is_lowbit or co_sparse: true");
    else if (!e.per_group)
      rules.Refuse("open_outlier", "w4a8 that is not sparse must be per-group",
                   "set is_lowbit: true and open_outlier: false");
    if (!c.w_sym) rules.Refuse("w_sym", "w4a8 needs w_sym true");
  }
  if (e.w_bit == 4 && e.a_bit == 4) {
    if (!c.is_dynamic) rules.Refuse("is_dynamic", "w4a4 must be dynamic", "set is_dynamic: true");
    if (c.w_method != V0WeightMethod::kMinMax) rules.Refuse("w_method", "w4a4 needs w_method MinMax");
    if (!c.w_sym) rules.Refuse("w_sym", "w4a4 needs w_sym true");
    if (!c.disable_last_linear) rules.Refuse("disable_last_linear", "w4a4 needs disable_last_linear true");
  }
}

V0QuantType DerivedType(const V0CalibConfig& c) {
  const auto& e = c.effective;
  const auto is = [&](int64_t w, int64_t a) { return e.w_bit == w && e.a_bit == a; };
  if (c.is_dynamic && is(8, 8)) return V0QuantType::kW8A8Dynamic;
  if (c.is_dynamic && is(4, 8)) return V0QuantType::kW4A8Dynamic;
  if (c.is_dynamic && is(4, 4)) return V0QuantType::kW4A4FlatquantDynamic;
  if (e.co_sparse) return V0QuantType::kW8A8S;
  if (is(8, 8)) return c.pdmix ? V0QuantType::kW8A8Mix : V0QuantType::kW8A8;
  if (is(8, 16)) return V0QuantType::kW8A16;
  if (is(4, 16)) return c.w_method == V0WeightMethod::kNf ? V0QuantType::kNf4 : V0QuantType::kW4A16;
  if (is(16, 16)) return V0QuantType::kFloat;
  if (c.is_lowbit && is(4, 8)) return V0QuantType::kW8A8S;
  return V0QuantType::kUnknown;
}

void CheckType(const Rules& rules, V0CalibConfig& c, size_t errors_before) {
  auto& e = c.effective;
  e.type = DerivedType(c);
  const bool plain = e.type == V0QuantType::kW8A8 || e.type == V0QuantType::kW8A8Mix;
  if ((plain || e.type == V0QuantType::kW8A8S) && c.w_method != V0WeightMethod::kMinMax) {
    rules.Refuse("w_method", std::string(V0QuantTypeName(e.type)) + " needs w_method MinMax");
  }
  if (c.pdmix && !plain) {
    rules.Refuse("pdmix", "pdmix needs the type W8A8, and these values make " + std::string(V0QuantTypeName(e.type)));
  }
  if (e.type == V0QuantType::kUnknown && rules.error_count() == errors_before) {
    rules.Warn("w_bit", Bits(e.w_bit, e.a_bit) + " with these values is no type that can be used");
  }
}

bool MayBeDataFree(const V0CalibConfig& c) {
  constexpr V0QuantType kTypes[] = {V0QuantType::kW8A16, V0QuantType::kW4A16, V0QuantType::kW8A8Dynamic,
                                    V0QuantType::kW4A8Dynamic, V0QuantType::kNf4};
  return std::find(std::begin(kTypes), std::end(kTypes), c.effective.type) != std::end(kTypes) &&
         c.w_method != V0WeightMethod::kGptq;
}

bool MixIsBuilt(const V0CalibConfig& c, V0MixType type) {
  const auto& e = c.effective;
  const bool eight = e.w_bit == 8 || (e.w_bit == 4 && e.a_bit == 4);
  switch (type) {
    case V0MixType::kFloat:
      return true;
    case V0MixType::kW8A8:
      return eight;
    case V0MixType::kW8A16:
    case V0MixType::kW8A8Dynamic:
      return eight && !c.pdmix;
    case V0MixType::kW4A8Dynamic:
      return e.type == V0QuantType::kW4A8Dynamic;
  }
  return false;
}

}  // namespace

void CheckV0Anti(Reader& reader, const YamlNode& node, V0AntiConfig& c) {
  const Rules rules(reader, node);
  const bool m3 = c.anti_method == AntiMethod::kM3, m6 = c.anti_method == AntiMethod::kM6;
  if (c.a_bit == 16 && !m3) rules.Refuse("a_bit", "a_bit 16 goes only with anti_method m3");
  if (!c.w_sym && !m3) rules.Refuse("w_sym", "w_sym false goes only with anti_method m3");
  if (c.flex_config && !m6) rules.Refuse("flex_config", "flex_config goes only with anti_method m6");
  if (!c.disable_anti_names.items.empty() && !m3 && !m6 && c.anti_method != AntiMethod::kM4) {
    rules.Warn("disable_anti_names", "disable_anti_names is honoured by m3, m4 and m6 only");
  }
}

void CheckV0Calib(Reader& reader, const YamlNode& node, V0CalibConfig& c) {
  const Rules rules(reader, node);
  const size_t errors = reader.error_count();
  CheckSparse(rules, c);
  CheckDynamic(rules, c);
  CheckPerGroup(rules, c);
  CheckNf(rules, c);
  CheckFourBit(rules, c);
  if (!c.w_sym && c.effective.a_bit == 8) rules.Refuse("w_sym", "w_sym false does not go with a_bit 8");
  if (c.use_fa_quant && c.use_kvcache_quant)
    rules.Refuse("use_fa_quant", "use_fa_quant and use_kvcache_quant exclude each other");
  if (c.fa_amp > 0 && !c.use_fa_quant) rules.Warn("fa_amp", "fa_amp has no effect without use_fa_quant");
  CheckType(rules, c, errors);
}

void CheckV0Spec(Reader& reader, const YamlNode& node, V0Spec& spec) {
  const V0CalibConfig& c = spec.calib_cfg;
  if (!spec.calib_dataset && !MayBeDataFree(c)) {
    const Rules rules(reader, node);
    rules.Refuse("calib_dataset", std::string(V0QuantTypeName(c.effective.type)) + " needs calibration data",
                 "name a calib_dataset");
  }
  const Reader::Step params(reader, "calib_params");
  const Reader::Step mix(reader, "mix_cfg");
  for (const V0CalibParams::Mix& each : spec.calib_params.mix_cfg) {
    if (MixIsBuilt(c, each.type)) continue;
    const Reader::Step step(reader, each.pattern);
    reader.Error(each.pos, std::string(EnumName(each.type)) + " cannot be mixed into " +
                               std::string(V0QuantTypeName(c.effective.type)));
  }
}

std::string_view V0QuantTypeName(V0QuantType type) {
  switch (type) {
    case V0QuantType::kFloat:
      return "FLOAT";
    case V0QuantType::kW8A8:
      return "W8A8";
    case V0QuantType::kW8A8Mix:
      return "W8A8_MIX";
    case V0QuantType::kW8A8Dynamic:
      return "W8A8_DYNAMIC";
    case V0QuantType::kW4A8Dynamic:
      return "W4A8_DYNAMIC";
    case V0QuantType::kW4A4FlatquantDynamic:
      return "W4A4_FLATQUANT_DYNAMIC";
    case V0QuantType::kW8A8S:
      return "W8A8S";
    case V0QuantType::kW8A16:
      return "W8A16";
    case V0QuantType::kW4A16:
      return "W4A16";
    case V0QuantType::kNf4:
      return "NF4";
    case V0QuantType::kUnknown:
      return "UNKNOWN";
  }
  return "UNKNOWN";
}

bool NameList::Contains(std::string_view name) const {
  return std::any_of(items.begin(), items.end(), [&](const auto& item) { return item.first == name; });
}

}  // namespace modelslim
