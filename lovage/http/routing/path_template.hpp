#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lovage::http {

/// The path of a route: "/v1/tasks/{taskId}/result/". A parameter is a whole segment and matches
/// one that is not empty; the trailing slash counts.
class PathTemplate {
public:
    struct Segment {
        std::string text;  ///< The parameter's name, or the literal text.
        bool parameter = false;
    };

    /// Throws std::invalid_argument for a text that is no template: no leading '/', braces
    /// elsewhere than around a whole segment, a parameter named twice, "//", '?' or '#'.
    explicit PathTemplate(std::string text);

    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] const std::vector<Segment>& segments() const noexcept { return segments_; }
    [[nodiscard]] bool has_parameters() const noexcept { return parameters_ > 0; }
    /// The position of a parameter among the path's parameters, or -1.
    [[nodiscard]] int parameter_index(std::string_view name) const noexcept;

    /// Do both match some path while neither is the more specific one?
    [[nodiscard]] bool ambiguous_with(const PathTemplate& other) const noexcept;
    /// Orders templates of the same length so that of two that overlap the more specific one comes
    /// first.
    [[nodiscard]] bool before(const PathTemplate& other) const noexcept;

private:
    std::string text_;
    std::vector<Segment> segments_;
    std::size_t parameters_ = 0;
};

}  // namespace lovage::http
