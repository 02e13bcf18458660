#include <lovage/core/task_error.hpp>

#include <any>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <optional>
#include <system_error>
#include <typeinfo>
#include <variant>

#include <cxxabi.h>

namespace lovage {

namespace {

std::string demangled(const std::type_info& type) {
    int status = 0;
    char* text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
    std::string name = status == 0 && text != nullptr ? text : type.name();
    std::free(text);  // NOLINT: __cxa_demangle hands out malloc'ed memory
    return name;
}

const char* python_type_of(const std::exception& error) {
    if (dynamic_cast<const std::invalid_argument*>(&error) != nullptr) return "ValueError";
    if (dynamic_cast<const std::domain_error*>(&error) != nullptr) return "ValueError";
    if (dynamic_cast<const std::length_error*>(&error) != nullptr) return "ValueError";
    if (dynamic_cast<const std::out_of_range*>(&error) != nullptr) return "IndexError";
    if (dynamic_cast<const std::overflow_error*>(&error) != nullptr) return "OverflowError";
    if (dynamic_cast<const std::underflow_error*>(&error) != nullptr) return "OverflowError";
    if (dynamic_cast<const std::range_error*>(&error) != nullptr) return "OverflowError";
    if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "MemoryError";
    if (dynamic_cast<const std::bad_cast*>(&error) != nullptr) return "TypeError";
    if (dynamic_cast<const std::bad_variant_access*>(&error) != nullptr) return "TypeError";
    if (dynamic_cast<const std::bad_optional_access*>(&error) != nullptr) return "ValueError";
    if (dynamic_cast<const std::system_error*>(&error) != nullptr) return "OSError";
    return "RuntimeError";
}

}  // namespace

std::string traceback_text(const std::string& task, const std::string& where,
                           const std::string& exc_type, const std::string& message) {
    std::string text = "Traceback (most recent call last):\n  C++ task \"" + task + "\"";
    if (!where.empty()) text += ", " + where;
    text += "\n" + exc_type;
    if (!message.empty()) text += ": " + message;
    text += "\n";
    return text;
}

TaskFailure failure_from_exception(const std::exception_ptr& error, const std::string& task) {
    try {
        std::rethrow_exception(error);
    } catch (const TaskError& problem) {
        return {problem.exc_type(), problem.what(), problem.exc_module(),
                traceback_text(task, "", problem.exc_type(), problem.what())};
    } catch (const LovageError& problem) {
        // A task that waited for another one fails with that one's failure.
        if (problem.error().failure) return *problem.error().failure;
        return {"RuntimeError", problem.what(), "builtins",
                traceback_text(task, "lovage::LovageError", "RuntimeError", problem.what())};
    } catch (const std::exception& problem) {
        const std::string type = python_type_of(problem);
        return {
            type, problem.what(), "builtins",
            traceback_text(task, "thrown as " + demangled(typeid(problem)), type, problem.what())};
    } catch (...) {
        const std::type_info* type = abi::__cxa_current_exception_type();
        const std::string name = type != nullptr ? demangled(*type) : "unknown type";
        const std::string message = "a C++ exception of type " + name;
        return {"Exception", message, "builtins",
                traceback_text(task, "thrown as " + name, "Exception", message)};
    }
}

}  // namespace lovage
