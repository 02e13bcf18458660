#include <lovage/http/routing/router.hpp>

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include <lovage/http/wire/percent.hpp>

namespace lovage::http {

namespace {

/// "//host" and, to browsers, "/\host" name another server: a redirect there would leave this one.
bool may_be_redirected(std::string_view path) noexcept {
    return path.size() > 1 && path[1] != '/' && path[1] != '\\';
}

}  // namespace

void Router::add(Method method, const PathTemplate& path, int route) {
    for (const auto& entry : entries_) {
        if (route_for(*entry, method) == kNoRoute || !entry->path.ambiguous_with(path)) continue;
        throw std::invalid_argument{
            entry->path.text() == path.text()
                ? fmt::format("{} {} is registered twice", to_string(method), path.text())
                : fmt::format("{} {} and {} match the same paths, and neither is more specific",
                              to_string(method), entry->path.text(), path.text())};
    }
    entry_of(path).routes[static_cast<std::size_t>(method)] = route;
}

Router::Entry& Router::entry_of(const PathTemplate& path) {
    for (const auto& entry : entries_) {
        if (entry->path.text() == path.text()) return *entry;
    }
    auto& entry = *entries_.emplace_back(std::make_unique<Entry>(Entry{path}));
    entry.routes.fill(kNoRoute);
    if (!path.has_parameters()) {
        literal_.emplace(path.text(), &entry);
        return entry;
    }
    const auto length = path.segments().size();
    if (with_parameters_.size() <= length) with_parameters_.resize(length + 1);
    auto& same_length = with_parameters_[length];
    const auto place = std::ranges::upper_bound(
        same_length, &entry,
        [](const Entry* left, const Entry* right) { return left->path.before(right->path); });
    same_length.insert(place, &entry);
    return entry;
}

int Router::route_for(const Entry& entry, Method method) noexcept {
    const int own = entry.routes[static_cast<std::size_t>(method)];
    if (own != kNoRoute || method != Method::head) return own;
    return entry.routes[static_cast<std::size_t>(Method::get)];
}

std::vector<std::string> Router::split(std::string_view path) {
    std::vector<std::string> segments;
    if (!path.starts_with('/')) return segments;
    while (!path.empty()) {
        path.remove_prefix(1);
        const auto end = std::min(path.find('/'), path.size());
        segments.push_back(wire::percent_decode(path.substr(0, end), false));
        path.remove_prefix(end);
    }
    return segments;
}

bool Router::matches(const Entry& entry, const std::vector<std::string>& segments) {
    return std::ranges::equal(entry.path.segments(), segments,
                              [](const PathTemplate::Segment& wanted, const std::string& found) {
                                  return wanted.parameter ? !found.empty() : wanted.text == found;
                              });
}

const Router::Entry* Router::literal_on(const std::vector<std::string>& segments) const {
    std::string decoded;
    for (const auto& segment : segments) decoded.append("/").append(segment);
    const auto literal = literal_.find(decoded);
    // A decoded '/' inside a segment makes the same text of other segments.
    const bool same = literal != literal_.end() && matches(*literal->second, segments);
    return same ? literal->second : nullptr;
}

template <class Wanted>
const Router::Entry* Router::first_on(const std::vector<std::string>& segments,
                                      Wanted wanted) const {
    if (segments.empty()) return nullptr;
    const auto* literal = literal_on(segments);
    if (literal != nullptr && wanted(*literal)) return literal;
    if (segments.size() >= with_parameters_.size()) return nullptr;
    for (const auto* entry : with_parameters_[segments.size()]) {
        if (matches(*entry, segments) && wanted(*entry)) return entry;
    }
    return nullptr;
}

Router::Match Router::find(Method method, std::string_view path,
                           std::vector<std::string>& values) const {
    values.clear();
    // The common case needs no decoding.
    if (const auto literal = literal_.find(path); literal != literal_.end()) {
        const int route = route_for(*literal->second, method);
        if (route != kNoRoute) return {Outcome::found, route, {}};
    }
    auto segments = split(path);
    bool known = false;
    const auto* entry = first_on(segments, [&](const Entry& candidate) {
        known = true;
        return route_for(candidate, method) != kNoRoute;
    });
    if (entry != nullptr) {
        for (std::size_t i = 0; i < segments.size(); ++i) {
            if (entry->path.segments()[i].parameter) values.push_back(std::move(segments[i]));
        }
        return {Outcome::found, route_for(*entry, method), {}};
    }
    if (known) return {Outcome::method_not_allowed, kNoRoute, allowed_methods(path)};
    if (may_be_redirected(path)) {
        const auto other = path.ends_with('/') ? std::string{path.substr(0, path.size() - 1)}
                                               : std::string{path} + '/';
        const auto any = [](const Entry&) { return true; };
        if (first_on(split(other), any) != nullptr) return {Outcome::other_slash, kNoRoute, {}};
    }
    return {};
}

std::string Router::allowed_methods(std::string_view path) const {
    std::array<bool, 8> allowed{};
    first_on(split(path), [&](const Entry& entry) {
        for (std::size_t method = 0; method < allowed.size(); ++method) {
            allowed[method] |= route_for(entry, static_cast<Method>(method)) != kNoRoute;
        }
        return false;
    });
    std::string list;
    for (std::size_t method = 0; method < allowed.size(); ++method) {
        if (!allowed[method]) continue;
        if (!list.empty()) list += ", ";
        list += to_string(static_cast<Method>(method));
    }
    return list;
}

}  // namespace lovage::http
