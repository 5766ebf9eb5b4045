// Json values as a source writes them down.
#pragma once

#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "io/json.h"

namespace modelslim {

// MakeJson({{"name", name}, {"size", 3}}): an object, in this order.
inline Json MakeJson(std::initializer_list<std::pair<std::string_view, Json>> members) {
  JsonObject object;
  for (const auto& [key, value] : members) object.Set(std::string(key), value);
  return object;
}

// An array of the elements of a container.
template <class Elements>
Json MakeJsonArray(const Elements& elements) {
  JsonArray array;
  for (const auto& element : elements) array.emplace_back(element);
  return array;
}

// An object of the entries of a map.
template <class Value>
Json MakeJsonObject(const std::map<std::string, Value>& entries) {
  JsonObject object;
  for (const auto& [key, value] : entries) object.Set(key, value);
  return object;
}

}  // namespace modelslim
