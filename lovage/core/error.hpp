#pragma once

#include <cassert>
#include <cstdint>
#include <expected>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace lovage {

/// What went wrong, in terms a caller can act on.
enum class Errc : std::uint8_t {
    invalid_argument,   ///< The caller passed something that can never work.
    not_found,          ///< The thing asked for does not exist.
    already_exists,     ///< A name, key or file is taken.
    conflict,           ///< A compare-and-set lost, or a declaration differs from the existing one.
    malformed,          ///< Bytes from outside do not follow their format.
    too_large,          ///< A size, depth or count limit was reached; nothing was done.
    unroutable,         ///< No queue takes the message; it was not stored.
    rejected,           ///< The other side refused; it was not stored.
    unknown_outcome,    ///< It may or may not have happened (reliability contract, clause 2).
    deadline_exceeded,  ///< The deadline passed before anything was done.
    disconnected,       ///< The connection is down; nothing was done.
    unavailable,        ///< A service or the disk cannot take it now; try later.
    cancelled,          ///< Stopped by request.
    task_failed,        ///< The task ended in FAILURE or REVOKED; see Error::failure.
    not_registered,     ///< No task of that name.
    closed,             ///< Used after close.
    internal,           ///< A bug or an unexpected exception.
};

/// The lower-case name of `code`, stable for logs and metrics labels.
[[nodiscard]] std::string_view to_string(Errc code) noexcept;

/// A task's failure as Celery stores it (result meta: exc_type, exc_message, exc_module,
/// traceback).
struct TaskFailure {
    std::string exc_type;     ///< Class name, e.g. "ValueError".
    std::string exc_message;  ///< First constructor argument as text.
    std::string exc_module;   ///< Python module path, e.g. "builtins".
    std::string traceback;    ///< Multi-line text; empty when there is none.
};

/// An expected failure: a code and one line of detail a person can act on.
struct Error {
    Errc code = Errc::internal;
    std::string detail;
    std::optional<TaskFailure> failure = std::nullopt;

    /// "<code>: <detail>".
    [[nodiscard]] std::string message() const;
};

template <class T>
using Result = std::expected<T, Error>;

/// Shorthand for returning an error: `return fail(Errc::not_found, "no queue named 'x'");`
[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string detail) {
    return std::unexpected<Error>(Error{code, std::move(detail), std::nullopt});
}

/// What blocking wrappers throw instead of returning an Error.
class LovageError : public std::runtime_error {
public:
    explicit LovageError(Error error)
        : std::runtime_error(error.message()), error_{std::move(error)} {}
    [[nodiscard]] const Error& error() const noexcept { return error_; }
    [[nodiscard]] Errc code() const noexcept { return error_.code; }

private:
    Error error_;
};

/// The value of `result`, or its error thrown as LovageError.
template <class T>
T value_or_throw(Result<T> result) {
    if (!result) throw LovageError{std::move(result.error())};
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

namespace detail {
[[noreturn]] void invariant_broken(const char* expression, const char* file, int line) noexcept;
}

}  // namespace lovage

/// Checks an invariant in every build: prints the expression and the place, then aborts.
#define LOVAGE_ASSERT(expression) \
    ((expression) ? void(0) : ::lovage::detail::invariant_broken(#expression, __FILE__, __LINE__))
