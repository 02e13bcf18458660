#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <lovage/core/error.hpp>

namespace lovage::detail {

/// Unpacks one zlib stream (RFC 1950; gzip's wrapping is recognised too) into at most `bytes_max`
/// bytes. Memory grows with what comes out, so a bomb costs no more than the limit.
/// Errors: malformed (not such a stream, cut short, or followed by something), too_large.
[[nodiscard]] Result<std::string> inflate_zlib(std::string_view packed, std::size_t bytes_max);

}  // namespace lovage::detail
