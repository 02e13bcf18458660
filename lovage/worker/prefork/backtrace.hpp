#pragma once

#include <string>

#include <lovage/worker/prefork/crash_page.hpp>

namespace lovage::slot {

/// The call stack a slot left behind, with the names, files and lines that this program's own file
/// and the libraries tell: one line a frame in Python's layout, innermost last, beginning with the
/// task's own function. Empty when there is none. Reads debug information: milliseconds to a
/// second; any thread.
[[nodiscard]] std::string describe_stack(const CrashPage& page);

/// A copy that nobody else writes to, its counts and texts within bounds.
void copy_checked(const CrashPage& from, CrashPage& to);

}  // namespace lovage::slot
