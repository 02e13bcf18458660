#include <lovage/app/router.hpp>

namespace lovage {

bool glob_matches(std::string_view pattern, std::string_view text) noexcept {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;  // the last `*` seen …
    std::size_t resume = 0;                     // … and the text position it is tried from
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

Route Router::route(std::string_view task) const {
    for (const Entry& entry : entries_) {
        if (entry.pattern == task) return entry.route;
    }
    for (const Entry& entry : entries_) {
        if (glob_matches(entry.pattern, task)) return entry.route;
    }
    return {};
}

}  // namespace lovage
