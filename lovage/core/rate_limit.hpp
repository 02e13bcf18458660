#pragma once

#include <string>
#include <string_view>

#include <lovage/core/error.hpp>

namespace lovage {

/// How many tasks of a name may begin in a time, in each worker: Celery's `rate_limit`.
struct RateLimit {
    double per_second = 0;  ///< 0: no limit.

    friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

/// Reads Celery's form: a number, then "/s" (or nothing), "/m" or "/h"; "0" and "" are no limit.
/// Errors: invalid_argument, saying what was expected.
[[nodiscard]] Result<RateLimit> parse_rate_limit(std::string_view text);

/// "10/s", "10/m", "2.5/h": what reads back the same; "none".
[[nodiscard]] std::string to_string(const RateLimit& limit);

}  // namespace lovage
