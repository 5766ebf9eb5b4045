// The rules for servers as commands: on a finished output, and as a list.
#pragma once

#include <ostream>

#include "app/verify.h"
#include "servers/server.h"

namespace modelslim {

// `verify --for`: what the loaders of these servers would make of the output in `directory`. Refusals and silent errors
// are added to the problems, the rest to the remarks.
void AddServerFindings(const fs::path& directory, const ServerChoice& servers, VerifyReport* report);

// `modelslim servers`: the servers, their types, and what families keep float.
void ListServers(bool json, std::ostream& out);

}  // namespace modelslim
