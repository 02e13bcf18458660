#include <lovage/http/request.hpp>

#include <algorithm>
#include <array>

namespace lovage::http {

namespace {

constexpr std::array<std::string_view, 8> kMethodNames{"GET",   "HEAD",   "POST",    "PUT",
                                                       "PATCH", "DELETE", "OPTIONS", "OTHER"};

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string_view to_string(Method method) noexcept {
    return kMethodNames[static_cast<std::size_t>(method)];
}

Method parse_method(std::string_view text) noexcept {
    const auto* found = std::find(kMethodNames.begin(), kMethodNames.end() - 1, text);
    return static_cast<Method>(found - kMethodNames.begin());
}

bool equals_ignoring_case(std::string_view left, std::string_view right) noexcept {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

std::optional<std::string_view> Request::header(std::string_view name) const noexcept {
    for (const auto& field : fields_) {
        if (equals_ignoring_case(field.name, name)) return field.value;
    }
    return std::nullopt;
}

TraceContext Request::trace() const {
    std::string_view parent;
    std::string state;
    int parents = 0;
    for (const auto& field : fields_) {
        if (equals_ignoring_case(field.name, "traceparent")) {
            parent = field.value;
            ++parents;
        } else if (equals_ignoring_case(field.name, "tracestate")) {
            // One list, in however many fields (section 3.3.1.2).
            if (!state.empty()) state += ',';
            state += field.value;
        }
    }
    return parents == 1 ? read_trace_context(parent, state) : TraceContext{};
}

}  // namespace lovage::http
