#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage::http::wire {

/// Undoes percent-encoding as Python's `urllib.parse.unquote` does: what is no escape stays as it
/// is, and bytes that are no UTF-8 become U+FFFD. With `plus_is_blank`, as in queries, '+' is a
/// blank.
[[nodiscard]] std::string percent_decode(std::string_view text, bool plus_is_blank);

/// The pairs of a query in order, decoded; blank values kept (Python's `parse_qsl(…,
/// keep_blank_values=True)`).
using QueryPairs = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] QueryPairs parse_query(std::string_view query);

}  // namespace lovage::http::wire
