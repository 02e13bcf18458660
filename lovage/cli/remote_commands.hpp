#pragma once

#include <lovage/app/control_commands.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::cli {

/// What becomes of a word of the command line.
enum class WordType : std::uint8_t { text, integer, number, boolean, signal };

/// One argument of a sub-command of `inspect` or `control`.
struct RemoteParameter {
    const char* name;   ///< Wire: as the worker calls it.
    const char* shown;  ///< As usage lines call it.
    const char* what;
    WordType type = WordType::text;
    bool required = false;
};

/// Whether a sub-command asks or changes something.
enum class RemoteKind : std::uint8_t { inspect, control };

/// A sub-command of `inspect` or `control`: a method of Celery 5's workers.
struct RemoteMethod {
    RemoteKind kind;
    const char* name;  ///< Wire: the method.
    const char* what;
    std::span<const RemoteParameter> parameters = {};
    /// Takes the words that are left, as a list. Absent: there must be none.
    const RemoteParameter* rest = nullptr;
};

/// In the order of `--help`.
[[nodiscard]] std::span<const RemoteMethod> remote_methods();

/// Assigns the words behind a sub-command to its arguments, in order, as Celery does. An argument
/// that is not there is left out. Throws UsageError.
[[nodiscard]] ControlCommand to_command(const RemoteMethod& method,
                                        const std::vector<std::string>& words);

}  // namespace lovage::cli
