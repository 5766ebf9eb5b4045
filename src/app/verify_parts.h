// The parts of VerifyOutput: an output looked at from several sides.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "format/saved_output.h"
#include "io/json.h"
#include "model/family.h"

namespace modelslim {

// An output that has been opened.
struct VerifiedOutput {
  std::unique_ptr<SavedOutput> saved;
  std::optional<Json> ledger;  // an object, where there is one
};

// Every module of a family is there, in its shape.
void VerifyModules(const Family& family, const SavedOutput& output, const std::vector<SavedLinear>& layers,
                   Problems& problems);
// The same for the family that config.json describes. For outputs of our own: others may hold models of
// other families.
void VerifyModel(const VerifiedOutput& output, const std::vector<SavedLinear>& layers, Problems& problems);

// The small files: present, readable by a server, and as the ledger has them.
void VerifyFiles(const VerifiedOutput& output, Problems& problems);

// What every tensor holds: its bytes against the ledger, where there is one, none missing and none too many; and that
// it is finite, else a warning.
void VerifyContents(const VerifiedOutput& output, Problems& problems, Problems& warnings);

}  // namespace modelslim
