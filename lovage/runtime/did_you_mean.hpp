#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace lovage {

/// Fewest insertions, deletions, replacements and swaps of neighbours that make `left` of `right`.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);

/// The candidate `word` was most likely meant to be: at most a third of its letters differ. Empty
/// when none is near.
[[nodiscard]] std::string_view closest(std::string_view word,
                                       std::span<const std::string_view> candidates);

/// "; did you mean 'x'?" or nothing: to end an error message with.
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       std::span<const std::string_view> candidates);

}  // namespace lovage
