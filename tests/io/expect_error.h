// A test helper: some code must throw an Error of one code whose message holds every given part.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "base/error.h"

namespace modelslim {

template <class F>
void ExpectError(F&& run, ErrorCode code, std::initializer_list<std::string> parts) {
  const std::string first = parts.size() > 0 ? *(parts.end() - 1) : "";
  try {
    run();
    ADD_FAILURE() << "expected an Error saying: " << first;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& part : parts) EXPECT_THAT(error.what(), ::testing::HasSubstr(part));
  }
}

}  // namespace modelslim
