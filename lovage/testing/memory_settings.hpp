#pragma once

#include <lovage/runtime/settings.hpp>

namespace lovage::testing {

/// Settings of an app whose broker and results are in this process's memory, apart from those of
/// every other call; environment and files are not read. Logs only warnings and worse from here on.
[[nodiscard]] Settings memory_settings();

}  // namespace lovage::testing
