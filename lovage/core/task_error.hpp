#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include <lovage/core/error.hpp>

namespace lovage {

/// Thrown by a task that wants its failure to carry a Python exception of its choice.
///
///     throw lovage::TaskError{"OutOfStock", "no more of 'mint'", "shop.errors"};
class TaskError : public std::runtime_error {
public:
    TaskError(std::string exc_type, const std::string& message, std::string exc_module = "builtins")
        : std::runtime_error{message},
          exc_type_{std::move(exc_type)},
          exc_module_{std::move(exc_module)} {}
    [[nodiscard]] const std::string& exc_type() const noexcept { return exc_type_; }
    [[nodiscard]] const std::string& exc_module() const noexcept { return exc_module_; }

private:
    std::string exc_type_;
    std::string exc_module_;
};

/// The arguments of a call do not fit the task: Python's TypeError.
class ArgumentError : public TaskError {
public:
    explicit ArgumentError(const std::string& message) : TaskError{"TypeError", message} {}
};

/// The failure record of whatever a task threw. Standard exceptions map to Python's built-ins:
/// invalid_argument, domain_error → ValueError; out_of_range → IndexError; length_error →
/// ValueError; overflow_error, range_error, underflow_error → OverflowError; bad_alloc →
/// MemoryError; bad_cast, bad_variant_access, bad_any_cast → TypeError; bad_optional_access →
/// ValueError; filesystem_error, system_error → OSError; other std::exception → RuntimeError;
/// anything else → Exception. The traceback names the task and the C++ type.
[[nodiscard]] TaskFailure failure_from_exception(const std::exception_ptr& error,
                                                 const std::string& task);

/// Traceback text in Python's layout for a failure that no C++ exception stands behind.
[[nodiscard]] std::string traceback_text(const std::string& task, const std::string& where,
                                         const std::string& exc_type, const std::string& message);

}  // namespace lovage
