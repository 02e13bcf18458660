#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage {

/// Where a task goes.
struct Route {
    std::string queue;  ///< Empty: no opinion.
    std::optional<std::uint8_t> priority;
};

/// `task_routes`: the first entry that matches a task's name decides. An exact name beats patterns,
/// whatever the order (Celery looks names up before it tries globs); `*` in a pattern matches any
/// run of characters,
/// `?` any one.
class Router {
public:
    struct Entry {
        std::string pattern;
        Route route;
    };

    explicit Router(std::vector<Entry> entries = {}) : entries_{std::move(entries)} {}

    [[nodiscard]] Route route(std::string_view task) const;

private:
    std::vector<Entry> entries_;
};

/// Does `pattern` (with `*` and `?`) match all of `text`? At worst the product of both lengths.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text) noexcept;

}  // namespace lovage
