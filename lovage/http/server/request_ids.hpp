#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lovage::http {

/// Ids for requests that come without a usable X-Request-ID. Not thread-safe.
class RequestIds {
public:
    /// Takes a random start from the system.
    RequestIds();

    /// 32 hex digits, unique among all instances as far as 64 random bits go. Valid until the next
    /// call.
    [[nodiscard]] std::string_view next() noexcept;

    /// May a client's id be taken over into logs and replies? 1–128 letters, digits, '-', '_', '.',
    /// ':'.
    [[nodiscard]] static bool usable(std::string_view id) noexcept;

private:
    std::uint64_t counter_;
    std::array<char, 32> text_{};
};

}  // namespace lovage::http
