#pragma once

#include <string>

namespace lovage::cli {

// The pages under docs/reference, in Markdown. They are made of what the program itself goes by:
// the table of settings and the grammar of its arguments.

/// Every setting with its names, values, default and purpose.
[[nodiscard]] std::string settings_reference();
/// Every command with its arguments and options.
[[nodiscard]] std::string cli_reference();

}  // namespace lovage::cli
