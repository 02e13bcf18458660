#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <lovage/http/request.hpp>
#include <lovage/http/routing/path_template.hpp>

namespace lovage::http {

/// Finds the route of a request. Routes are numbers here; what they mean is the owner's business.
///
/// A literal segment wins over a parameter. Two routes of one method of which neither would win are
/// refused when they are added. HEAD is answered by the route of GET.
class Router {
public:
    static constexpr int kNoRoute = -1;

    /// Throws std::invalid_argument when the route is ambiguous with one that exists, naming both.
    void add(Method method, const PathTemplate& path, int route);

    enum class Outcome : std::uint8_t {
        found,
        method_not_allowed,  ///< `allow` lists what is.
        other_slash,         ///< The same path with (or without) a slash at its end has a route.
        not_found,
    };
    struct Match {
        Outcome outcome = Outcome::not_found;
        int route = kNoRoute;
        std::string allow;  ///< "GET, HEAD"; empty unless method_not_allowed.
    };
    /// `path` as it was sent; `values` receives the decoded values of the path's parameters, in
    /// order. FastAPI differs: "%2F" is part of a value, not a separator.
    [[nodiscard]] Match find(Method method, std::string_view path,
                             std::vector<std::string>& values) const;

    /// The methods some route takes on `path`, for OPTIONS: "GET, HEAD, POST"; empty for an unknown
    /// path.
    [[nodiscard]] std::string allowed_methods(std::string_view path) const;

private:
    struct Entry {
        PathTemplate path;
        std::array<int, 8> routes{};  ///< by Method
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    Entry& entry_of(const PathTemplate& path);
    [[nodiscard]] static int route_for(const Entry& entry, Method method) noexcept;
    /// The decoded segments; none for what does not begin with '/'.
    [[nodiscard]] static std::vector<std::string> split(std::string_view path);
    [[nodiscard]] static bool matches(const Entry& entry, const std::vector<std::string>& segments);
    [[nodiscard]] const Entry* literal_on(const std::vector<std::string>& segments) const;
    /// The first entry on a path for which `wanted` says true, most specific first.
    template <class Wanted>
    const Entry* first_on(const std::vector<std::string>& segments, Wanted wanted) const;

    std::vector<std::unique_ptr<Entry>> entries_;
    std::unordered_map<std::string, const Entry*, Hash, std::equal_to<>> literal_;
    std::vector<std::vector<const Entry*>>
        with_parameters_;  ///< by number of segments, most specific first
};

}  // namespace lovage::http
