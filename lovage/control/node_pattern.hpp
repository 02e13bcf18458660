#pragma once

#include <lovage/core/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lovage {

/// How a control request's `pattern` is read.
enum class NodeMatcher : std::uint8_t {
    glob,  ///< Python's fnmatch: `*`, `?`, `[abc]`, `[!a-z]`; all of the name, case-sensitive.
    pcre,  ///< A Perl regular expression that matches from the name's first character on.
};
/// Wire: "glob", "pcre".
[[nodiscard]] std::string_view to_string(NodeMatcher matcher) noexcept;

/// A longer pattern is not tried: the steps that Boost.Regex allows itself grow with the square of
/// its length.
inline constexpr std::size_t kNodePatternBytesMax = 128;

/// Does `pattern` match `node`?
///
/// Patterns come from outside and run on a worker's loop, so the effort is bounded: a glob costs at
/// most the product of both lengths; a regular expression is given up after a number of steps (some
/// milliseconds' worth). Errors: malformed (no regular expression), too_large (the pattern, or the
/// effort).
[[nodiscard]] Result<bool> node_matches(NodeMatcher matcher, const std::string& pattern,
                                        std::string_view node);

}  // namespace lovage
