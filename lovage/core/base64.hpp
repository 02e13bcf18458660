#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lovage {

/// Base64 of RFC 4648, section 4: padded, on one line.
[[nodiscard]] std::string base64_encode(std::string_view bytes);
/// Reads the same; nothing when `text` holds any other character, lacks padding, or has bits set
/// that belong to no byte.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace lovage
