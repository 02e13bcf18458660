#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

namespace lovage::log {

enum class Level : std::uint8_t { debug, info, warning, error, critical, off };

/// How lines are written.
enum class Format : std::uint8_t {
    automatic,  ///< text on a terminal, json otherwise
    text,       ///< readable lines, coloured on a terminal
    json,       ///< one JSON object a line under Elastic Common Schema names (ECS 8)
};

struct Options {
    Level level = Level::info;
    Format format = Format::automatic;
    std::string service_name = "lovage";  ///< ECS service.name
    bool color = true;
    /// Whether standard error counts as a terminal; absent: it is asked. For processes that write
    /// into a pipe whose other end shows their lines.
    std::optional<bool> terminal = std::nullopt;
    /// False: lines are written on the caller's thread, which then waits for standard error. For
    /// processes whose standard error is always read.
    bool background = true;
};

/// A named value beside the message; ECS name such as "lovage.task.id" or "url.path".
struct Field {
    std::string_view name;
    std::string_view value;
    /// JSON lines write `value` as a number, for names ECS gives a numeric type; a value that is no
    /// JSON number stays a text.
    bool is_number = false;
};

/// Sets up the process-wide log (standard error). May be called again. Thread-safe.
void configure(const Options& options);
/// The options in force, `format` and `terminal` resolved. Thread-safe.
[[nodiscard]] Options options();
/// Writes what is buffered and stops the background writer; gives up after two seconds when
/// standard error takes nothing. Lines logged later are written on the caller's thread. Runs at
/// exit by itself. Thread-safe.
void flush();

/// Lines given up so far because standard error was too slow or refused them. Thread-safe.
[[nodiscard]] std::uint64_t lost_lines() noexcept;

[[nodiscard]] bool enabled(Level level) noexcept;

/// Writes one line. `logger` is the module ("worker", "http"). Secrets are masked in message and
/// fields (mask_secrets), texts past 16 KiB are cut. Never throws and never waits for the terminal:
/// when that is slow, up to 1,024 lines wait and the oldest are given up and counted. Thread-safe.
void write(Level level, std::string_view logger, std::string_view message,
           std::initializer_list<Field> fields = {}) noexcept;

/// Writes lines that another process has made, as they are, in order with this process's own and on
/// the same terms as write(). `lines` ends with a line's end. Thread-safe.
void forward(std::string_view lines) noexcept;

/// `text` with the password of every URL in it (`scheme://user:secret@host`) and the value of every
/// `password=`, `secret=`, `token=` and the like replaced by `********`.
[[nodiscard]] std::string mask_secrets(std::string_view text);

template <class... Args>
void debug(std::string_view logger, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::debug)) {
        write(Level::debug, logger, fmt::format(format, std::forward<Args>(args)...));
    }
}
template <class... Args>
void info(std::string_view logger, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::info)) {
        write(Level::info, logger, fmt::format(format, std::forward<Args>(args)...));
    }
}
template <class... Args>
void warning(std::string_view logger, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::warning)) {
        write(Level::warning, logger, fmt::format(format, std::forward<Args>(args)...));
    }
}
template <class... Args>
void error(std::string_view logger, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::error)) {
        write(Level::error, logger, fmt::format(format, std::forward<Args>(args)...));
    }
}

}  // namespace lovage::log
