#include <lovage/runtime/detail/settings_values.hpp>

#include <lovage/runtime/url.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <system_error>

#include <fmt/core.h>

namespace lovage::detail {

namespace {

using Milliseconds = std::chrono::milliseconds;

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
    Number number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

std::optional<TaskRoute> read_route(const Json& value) {
    if (value.is_string()) {
        auto queue = read_queue_name(value);
        if (!queue) return std::nullopt;
        return TaskRoute{std::move(*queue)};
    }
    if (!value.is_object()) return std::nullopt;
    TaskRoute route;
    for (const auto& [key, part] : value.as_object()) {
        if (key == "queue") {
            auto queue = read_queue_name(part);
            if (!queue) return std::nullopt;
            route.queue = std::move(*queue);
        } else if (key == "priority") {
            const auto priority = read_integer(part, 0, 255);
            if (!priority) return std::nullopt;
            route.priority = static_cast<std::uint8_t>(*priority);
        } else {
            return std::nullopt;
        }
    }
    return route;
}

}  // namespace

std::string to_lower(std::string_view text) {
    std::string lower{text};
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    return lower;
}
std::string to_upper(std::string_view text) {
    std::string upper{text};
    std::ranges::transform(upper, upper.begin(), [](char c) {
        return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    });
    return upper;
}

std::optional<bool> read_boolean(const Json& value) {
    if (value.is_bool()) return value.as_bool();
    if (!value.is_string()) return std::nullopt;
    const std::string word = to_lower(value.as_string());
    if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
    if (word == "false" || word == "no" || word == "off" || word == "0") return false;
    return std::nullopt;
}

std::optional<std::int64_t> read_integer(const Json& value, std::int64_t low, std::int64_t high) {
    std::optional<std::int64_t> number;
    if (value.is_integer()) number = value.as_int64();
    if (value.is_string()) number = parse_number<std::int64_t>(value.as_string());
    return number && *number >= low && *number <= high ? number : std::nullopt;
}

std::optional<Milliseconds> read_seconds(const Json& value) {
    std::optional<double> seconds;
    if (value.is_real()) seconds = value.as_real();
    if (value.is_integer()) seconds = parse_number<double>(value.integer_text());
    if (value.is_string()) seconds = parse_number<double>(value.as_string());
    if (!seconds || !(*seconds >= 0 && *seconds <= static_cast<double>(kLongestSeconds)))
        return std::nullopt;
    return Milliseconds{std::llround(*seconds * 1000)};
}

std::optional<std::optional<std::chrono::seconds>> read_expiry(const Json& value) {
    const auto time = read_seconds(value);
    if (!time) return std::nullopt;
    if (time->count() == 0) return std::optional<std::chrono::seconds>{};
    // A fraction would end as "never" when cut off.
    return std::optional{std::chrono::ceil<std::chrono::seconds>(*time)};
}

std::optional<std::string> read_queue_name(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    const std::string& name = value.as_string();
    const bool printable =
        std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (name.empty() || name.size() > 255 || !printable) return std::nullopt;
    return name;
}

std::optional<Routes> read_routes(const Json& value) {
    if (value.is_string()) {
        const auto parsed = parse_json(value.as_string());
        if (!parsed || !parsed->is_object()) return std::nullopt;
        return read_routes(*parsed);
    }
    if (!value.is_object()) return std::nullopt;
    Routes routes;
    for (const auto& [pattern, target] : value.as_object()) {
        auto route = read_route(target);
        if (pattern.empty() || !route) return std::nullopt;
        routes.emplace_back(pattern, std::move(*route));
    }
    return routes;
}

std::optional<std::optional<AutoscaleRange>> read_autoscale(const Json& value) {
    constexpr std::int64_t kMost = 10'000;
    const std::string text = value.is_string() ? value.as_string() : to_json_text(value);
    const std::size_t comma = text.find(',');
    const auto first = read_integer(Json{text.substr(0, comma)}, 0, kMost);
    const auto second = comma == std::string::npos
                            ? std::optional<std::int64_t>{1}
                            : read_integer(Json{text.substr(comma + 1)}, 0, kMost);
    if (!first || !second || std::max(*first, *second) == 0) return std::nullopt;
    // Celery's "10,0" may shrink to nothing; here one slot stays.
    const auto [low, high] = std::minmax(*first, *second);
    return std::optional{
        AutoscaleRange{static_cast<std::uint32_t>(high),
                       static_cast<std::uint32_t>(std::max<std::int64_t>(low, 1))}};
}

std::optional<std::string> read_folder(const Json& value) {
    if (!value.is_string() || value.as_string().empty()) return std::nullopt;
    return value.as_string();
}

std::optional<std::string> read_timezone(const Json& value) {
    constexpr std::size_t kNameMax = 64;
    if (!value.is_string() || value.as_string().empty()) return std::nullopt;
    if (value.as_string().size() > kNameMax) return std::nullopt;
    return value.as_string();
}

std::optional<Json> read_map(const Json& value) {
    if (value.is_object()) return value;
    if (!value.is_string()) return std::nullopt;
    auto parsed = parse_json(value.as_string());
    if (!parsed || !parsed->is_object()) return std::nullopt;
    return std::move(*parsed);
}

std::optional<ResultTransportOptions> read_result_options(const Json& value) {
    constexpr std::size_t kPrefixMax = 200;
    const auto map = read_map(value);
    if (!map) return std::nullopt;
    ResultTransportOptions options;
    for (const auto& [name, option] : map->as_object()) {
        if (name != "global_keyprefix" || !option.is_string()) return std::nullopt;
        options.global_keyprefix = option.as_string();
    }
    const bool printable = std::ranges::none_of(
        options.global_keyprefix, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (options.global_keyprefix.size() > kPrefixMax || !printable) return std::nullopt;
    return options;
}

std::string show_autoscale(const std::optional<AutoscaleRange>& range) {
    return range ? fmt::format("{},{}", range->max, range->min) : "off";
}

std::string show_folder(const std::string& folder) {
    return folder.empty() ? "default" : folder;
}

std::string show_seconds(Milliseconds time) {
    if (time.count() % 1000 == 0) return fmt::format("{}", time.count() / 1000);
    return fmt::format("{}", static_cast<double>(time.count()) / 1000);
}

std::string show_routes(const Routes& routes) {
    Json shown = Json::object();
    for (const auto& [pattern, route] : routes) {
        Json target = Json::object();
        if (!route.queue.empty()) target.set("queue", route.queue);
        if (route.priority) target.set("priority", *route.priority);
        shown.set(pattern, std::move(target));
    }
    return to_json_text(shown);
}

std::string show_result_options(const ResultTransportOptions& options) {
    Json shown = Json::object();
    if (!options.global_keyprefix.empty()) shown.set("global_keyprefix", options.global_keyprefix);
    return to_json_text(shown);
}

std::optional<std::string> show_urls(std::string_view text) {
    std::string shown;
    while (true) {
        const std::size_t end = std::min(text.find(';'), text.size());
        const auto parsed = parse_url(text.substr(0, end));
        if (!parsed) return std::nullopt;
        shown += (shown.empty() ? "" : ";") + parsed->display();
        if (end == text.size()) return shown;
        text.remove_prefix(end + 1);
    }
}

}  // namespace lovage::detail
