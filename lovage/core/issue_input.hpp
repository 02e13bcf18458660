#pragma once

#include <lovage/core/json.hpp>

namespace lovage {

/// What an issue found with `value` repeats of it: all, or, past kIssueInputBytesMax, a text that
/// says so. For those who make issues of their own beside ConversionContext.
[[nodiscard]] Json issue_input(const Json& value);

}  // namespace lovage
