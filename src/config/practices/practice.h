// Best practices: recipes under lab_practice/<pedigree>/ that were verified for model types and quantization types, and
// how --quant_type chooses one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "config/recipe/recipe.h"

namespace modelslim {

// "w8a8c8" taken apart.
struct QuantTypeRequest {
  std::string text;
  int64_t w_bit = 8;
  int64_t a_bit = 8;
  bool sparse = false;
  bool kv_cache = false;
  std::optional<int64_t> fa_bit;  // f4, f8

  // Throws Error(kSchema) for a text outside QuantTypes().
  static QuantTypeRequest Parse(std::string_view text);
  // Why `label` does not fit, "" when it does.
  std::string Mismatch(const Label& label) const;
};

// What --quant_type accepts, in the order of the help.
const std::vector<std::string>& QuantTypes();

struct Practice {
  std::string pedigree;
  fs::path file;
  Recipe recipe;

  const Metadata& metadata() const { return recipe.metadata; }
};

// Reads the YAML files below one or more directories of pedigrees. A file that does not parse is kept as a problem and
// never chosen.
class PracticeRepository {
 public:
  explicit PracticeRepository(const std::vector<fs::path>& directories);

  // Practices of a pedigree by (score descending, config_id ascending); empty when there is none.
  std::vector<const Practice*> Of(std::string_view pedigree) const;
  std::vector<std::string> Pedigrees() const;
  const std::vector<Practice>& all() const { return practices_; }
  const std::vector<Diagnostic>& problems() const { return problems_; }

 private:
  std::vector<Practice> practices_;
  std::vector<Diagnostic> problems_;
};

struct PracticeQuery {
  std::string model_type;         // as the user wrote it
  std::string pedigree;           // of its adapter; "default" for model types that no family has
  std::string quant_type;         // "" means w8a8
  std::vector<std::string> tags;  // all should occur in one verified scenario of the model type, in any case
};

struct PassedOver {
  const Practice* practice;
  std::string reason;
};

struct PracticeChoice {
  const Practice* chosen = nullptr;
  // 26.1.0 asks before it takes a fall-back: when set, `chosen` may be used only after the user said yes to `question`;
  // without a terminal the answer is no, with `refusal` as the error's text.
  bool needs_confirmation = false;
  std::string question;
  std::string refusal;
  std::string reason;                   // why this one, in one sentence
  std::vector<PassedOver> passed_over;  // in the order they were looked at
};

// The look-up of 26.1.0: the pedigree's own practices for the type, then those of the directory "default", then the
// pedigree's own for w8a8, then w8a8 of "default". In its own directory a practice has to be verified for the model
// type: by `verified_model_types`, or where that is empty by `verified_tags` (one that has neither is for any model);
// when no scenario of `verified_tags` has all the tags that were asked for, it is taken after a question, and only if
// no other fits. Those of "default" are for any model. A model type without a family here is looked for in the pedigree
// whose practices name it. Throws Error(kUnsupported) when nothing is found, Error(kSchema) for an unknown type.
PracticeChoice ChoosePractice(const PracticeRepository& repository, const PracticeQuery& query);

// "y" and "yes", in any case, mean yes.
bool IsYes(std::string_view answer);

// The practice whose config_id is `id`. Throws Error(kSecurity) when the file's stem differs from it or there is none.
const Practice& FindPracticeById(const PracticeRepository& repository, std::string_view pedigree, std::string_view id);

}  // namespace modelslim
