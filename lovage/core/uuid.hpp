#pragma once

#include <string>
#include <string_view>

namespace lovage {

/// A random UUID (RFC 9562, version 4) as 36 lower-case characters. Thread-safe.
[[nodiscard]] std::string uuid4();
/// The UUID of a name in a namespace (version 5, SHA-1): the same input gives the same id.
/// `name_space` must be a UUID in text form.
[[nodiscard]] std::string uuid5(std::string_view name_space, std::string_view name);
/// 8-4-4-4-12 hex digits, either case.
[[nodiscard]] bool is_uuid(std::string_view text) noexcept;

}  // namespace lovage
