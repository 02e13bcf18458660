#include <lovage/core/error.hpp>

#include <cstdio>
#include <cstdlib>

namespace lovage {

std::string_view to_string(Errc code) noexcept {
    switch (code) {
        case Errc::invalid_argument:
            return "invalid_argument";
        case Errc::not_found:
            return "not_found";
        case Errc::already_exists:
            return "already_exists";
        case Errc::conflict:
            return "conflict";
        case Errc::malformed:
            return "malformed";
        case Errc::too_large:
            return "too_large";
        case Errc::unroutable:
            return "unroutable";
        case Errc::rejected:
            return "rejected";
        case Errc::unknown_outcome:
            return "unknown_outcome";
        case Errc::deadline_exceeded:
            return "deadline_exceeded";
        case Errc::disconnected:
            return "disconnected";
        case Errc::unavailable:
            return "unavailable";
        case Errc::cancelled:
            return "cancelled";
        case Errc::task_failed:
            return "task_failed";
        case Errc::not_registered:
            return "not_registered";
        case Errc::closed:
            return "closed";
        case Errc::internal:
            return "internal";
    }
    return "internal";
}

std::string Error::message() const {
    std::string text{to_string(code)};
    if (!detail.empty()) {
        text += ": ";
        text += detail;
    }
    return text;
}

namespace detail {

void invariant_broken(const char* expression, const char* file, int line) noexcept {
    std::fprintf(stderr, "lovage: broken invariant `%s` at %s:%d\n", expression, file, line);
    std::abort();
}

}  // namespace detail

}  // namespace lovage
