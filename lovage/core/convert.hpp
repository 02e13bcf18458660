#pragma once

/// Typed conversion between JSON and C++ values, for task arguments, results and HTTP alike:
/// from_json<T>(), to_json(), json_schema<T>().
///
/// Types with a JSON form: bool, integers (range-checked), float and double, std::string,
/// std::optional, std::vector, std::array, std::pair, std::tuple, std::map and std::unordered_map
/// with text for keys, lovage::Json (anything), lovage::Bytes, lovage::TimePoint, and enums and
/// structs described with Boost.Describe. Integers of any size: convert_cpp_int.hpp. Types of your
/// own: specialise JsonConverter (conversion.hpp).

#include <lovage/core/conversion.hpp>          // IWYU pragma: export
#include <lovage/core/convert_containers.hpp>  // IWYU pragma: export
#include <lovage/core/convert_described.hpp>   // IWYU pragma: export
#include <lovage/core/convert_values.hpp>      // IWYU pragma: export
