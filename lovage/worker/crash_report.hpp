#pragma once

#include <string>

#include <lovage/core/error.hpp>

namespace lovage {

/// Why and where a slot died or was killed, as far as it could be found out.
struct CrashReport {
    std::string cause;       ///< "signal 11 (SIGSEGV)", "exit code 3", …
    std::string address;     ///< "0x0000000000000000": what was accessed; empty: not known.
    std::string backtrace;   ///< Python's layout, innermost last; empty: not known.
    std::string last_words;  ///< The end of its standard error, at most 4 KiB.
};

/// A call stack as the traceback of an exception: "module.Type: text" is its last line.
[[nodiscard]] std::string native_traceback(const CrashReport& crash, const std::string& exception);

/// The failure of an attempt whose slot died. Wire: billiard's exception type and text.
[[nodiscard]] TaskFailure worker_lost(const std::string& task, const CrashReport& crash);

}  // namespace lovage
