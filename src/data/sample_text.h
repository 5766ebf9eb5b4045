// From an object of a calibration set to its text.
#pragma once

#include <string>
#include <vector>

#include "io/json_ref.h"

namespace modelslim {

// The text of a value: a string is itself; a list gives the texts of its elements, a line each; an object (a message of
// a conversation, a part of a message) gives that of its `content`, `value` or `text`, the first that is there. Null is
// nothing. Throws Error for anything else.
std::string TextOfValue(const JsonRef& value);

// The texts under `keys`, a line each; those that are absent or empty are left out. Throws Error naming the keys that
// there are when none of `keys` is.
std::string TextOfKeys(const JsonRef& object, const std::vector<std::string>& keys);

// What to give as keys for an object like this one: the keys of a known kind of data set ("prompt", "messages",
// "instruction,input,output"), else the first whose value is a text, else nothing.
std::string SuggestedKeys(const JsonObject& object);

// "prompt, id and 3 more", fit for a message.
std::string KeyNames(const JsonObject& object);

}  // namespace modelslim
