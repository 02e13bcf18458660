#pragma once

#include <lovage/core/json.hpp>
#include <lovage/runtime/settings.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace lovage::detail {

/// One top-level key of a settings file. Tables are objects with their members in the order
/// written.
struct FileEntry {
    std::string key;
    Json value;
    std::uint32_t line = 0;  ///< From 1.
};

/// Reads TOML 1.0. Errors: malformed with file, line and reason; dates and times are refused, no
/// setting takes one.
[[nodiscard]] Result<std::vector<FileEntry>> parse_settings_file(const SettingsFile& file);

}  // namespace lovage::detail
