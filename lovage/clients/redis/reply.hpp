#pragma once

#include <lovage/core/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::redis {

/// One value of the Redis protocol (RESP2 and RESP3), as a reply or part of one.
struct Reply {
    enum class Kind : std::uint8_t {
        null,
        status,   ///< `text`, e.g. "OK".
        error,    ///< `text`, e.g. "WRONGTYPE Operation against …".
        integer,  ///< `integer`; RESP3's booleans are 0 and 1.
        real,     ///< `text` as received, e.g. "1.5" or "inf".
        bulk,     ///< `text`: any bytes. RESP3's verbatim strings lose their three-letter type.
        array,    ///< `items`; RESP3's sets, too.
        map,      ///< `items`: key, value, key, value, …
        push,     ///< `items`: not an answer to anything.
    };

    Kind kind = Kind::null;
    std::int64_t integer = 0;
    std::string text;
    std::vector<Reply> items;

    [[nodiscard]] bool is_null() const noexcept { return kind == Kind::null; }
    [[nodiscard]] bool is_error() const noexcept { return kind == Kind::error; }
    [[nodiscard]] bool is_text() const noexcept {
        return kind == Kind::bulk || kind == Kind::status;
    }
    /// The error's first word, e.g. "NOSCRIPT"; empty for what is no error.
    [[nodiscard]] std::string_view error_code() const noexcept;
};

/// What an error reply means for the caller: `unavailable` when the server cannot now (it loads, is
/// full, is a read-only replica, runs a script), `rejected` when it will not (rights, password,
/// wrong type, syntax), `too_large` for what ReplyParser has skipped.
[[nodiscard]] Error to_error(const Reply& reply);

/// The reply itself unless it is an error.
[[nodiscard]] Result<Reply> accepted(Result<Reply> reply);

}  // namespace lovage::redis
