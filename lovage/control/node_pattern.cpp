#include <lovage/control/node_pattern.hpp>

#include <exception>
#include <optional>

#include <boost/regex.hpp>

#include <fmt/core.h>

namespace lovage {
namespace {

/// One element of a glob: how many bytes of the pattern it takes, and whether it takes `c`.
struct GlobStep {
    std::size_t length = 1;
    bool matches = false;
};

/// `[…]` at the pattern's start against `c`, or nothing when no bracket closes it: then `[` is
/// itself, as in fnmatch.
std::optional<GlobStep> match_class(std::string_view pattern, char c) {
    std::size_t at = 1;
    const bool negated = at < pattern.size() && pattern[at] == '!';
    if (negated) ++at;
    // A bracket at the first place is a member.
    const std::size_t first = at;
    const std::size_t end = pattern.find(']', first + 1);
    if (end == std::string_view::npos) return std::nullopt;
    bool member = false;
    while (at < end) {
        if (at + 2 < end && pattern[at + 1] == '-') {
            member = member || (pattern[at] <= c && c <= pattern[at + 2]);
            at += 3;
        } else {
            member = member || pattern[at] == c;
            ++at;
        }
    }
    return GlobStep{.length = end + 1, .matches = member != negated};
}

GlobStep match_step(std::string_view pattern, char c) {
    if (pattern.front() == '?') return {.length = 1, .matches = true};
    if (pattern.front() == '[') {
        if (const auto step = match_class(pattern, c)) return *step;
    }
    return {.length = 1, .matches = pattern.front() == c};
}

/// After a mismatch only the last `*` needs to take one character more: the ones before it already
/// stand where they leave most room.
bool glob_takes(std::string_view pattern, std::string_view text) {
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t after_star = std::string_view::npos;
    std::size_t star_text = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            after_star = ++p;
            star_text = t;
            continue;
        }
        if (p < pattern.size()) {
            const GlobStep step = match_step(pattern.substr(p), text[t]);
            if (step.matches) {
                p += step.length;
                ++t;
                continue;
            }
        }
        if (after_star == std::string_view::npos) return false;
        p = after_star;
        t = ++star_text;
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

/// Boost.Regex, unlike std::regex, counts its states and throws when they grow out of hand, and
/// keeps them off the stack.
Result<bool> regex_takes(const std::string& pattern, std::string_view text) {
    try {
        const boost::regex expression{pattern, boost::regex::perl};
        return boost::regex_search(text.begin(), text.end(), expression,
                                   boost::match_default | boost::match_continuous);
    } catch (const boost::regex_error& error) {
        const bool effort = error.code() == boost::regex_constants::error_complexity ||
                            error.code() == boost::regex_constants::error_stack;
        return fail(effort ? Errc::too_large : Errc::malformed,
                    effort ? "the pattern takes too many steps" : "no regular expression");
    } catch (const std::exception&) {
        return fail(Errc::too_large, "the pattern takes too many steps");
    }
}

}  // namespace

std::string_view to_string(NodeMatcher matcher) noexcept {
    return matcher == NodeMatcher::glob ? "glob" : "pcre";
}

Result<bool> node_matches(NodeMatcher matcher, const std::string& pattern, std::string_view node) {
    if (pattern.size() > kNodePatternBytesMax) {
        return fail(Errc::too_large,
                    fmt::format("the pattern is longer than {} bytes", kNodePatternBytesMax));
    }
    if (matcher == NodeMatcher::glob) return glob_takes(pattern, node);
    return regex_takes(pattern, node);
}

}  // namespace lovage
