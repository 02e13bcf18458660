#include <lovage/http/routing/path_template.hpp>

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace lovage::http {

PathTemplate::PathTemplate(std::string text) : text_{std::move(text)} {
    const auto refuse = [this](std::string_view why) {
        throw std::invalid_argument{fmt::format("'{}' is no path template: {}", text_, why)};
    };
    if (!text_.starts_with('/')) refuse("it must begin with '/'");
    if (text_.find_first_of("?#% ") != std::string::npos)
        refuse("'?', '#', '%' and blanks are not part of a path");
    std::string_view rest = text_;
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const auto end = std::min(rest.find('/'), rest.size());
        auto segment = rest.substr(0, end);
        rest.remove_prefix(end);
        if (segment.empty() && !rest.empty()) refuse("it has an empty segment");
        const bool parameter =
            segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
        if (parameter) segment = segment.substr(1, segment.size() - 2);
        if (segment.find_first_of("{}") != std::string_view::npos) {
            refuse("braces go around a whole segment");
        }
        if (parameter && parameter_index(segment) >= 0) {
            refuse(fmt::format("parameter '{}' appears twice", segment));
        }
        segments_.push_back({std::string{segment}, parameter});
        parameters_ += parameter ? 1 : 0;
    }
}

int PathTemplate::parameter_index(std::string_view name) const noexcept {
    int index = 0;
    for (const auto& segment : segments_) {
        if (!segment.parameter) continue;
        if (segment.text == name) return index;
        ++index;
    }
    return -1;
}

bool PathTemplate::ambiguous_with(const PathTemplate& other) const noexcept {
    if (segments_.size() != other.segments_.size()) return false;
    bool more_specific = false;
    bool less_specific = false;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        const auto& mine = segments_[i];
        const auto& theirs = other.segments_[i];
        if (mine.parameter != theirs.parameter) {
            // An empty last segment is no parameter's value.
            if (mine.text.empty() || theirs.text.empty()) return false;
            (theirs.parameter ? more_specific : less_specific) = true;
        } else if (!mine.parameter && mine.text != theirs.text) {
            return false;
        }
    }
    return more_specific == less_specific;
}

bool PathTemplate::before(const PathTemplate& other) const noexcept {
    return std::ranges::lexicographical_compare(
        segments_, other.segments_,
        [](const Segment& left, const Segment& right) { return left.parameter < right.parameter; });
}

}  // namespace lovage::http
