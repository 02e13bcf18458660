#include <lovage/runtime/detail/settings_table.hpp>

#include <lovage/runtime/url.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace lovage::detail {

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

namespace {

using Milliseconds = std::chrono::milliseconds;

// How values are read. A value is what the file holds, or a string from environment and flags; each
// reader takes both and returns nothing for what has not its form.

std::optional<bool> read_boolean(const Json& value) {
    if (value.is_bool()) return value.as_bool();
    if (!value.is_string()) return std::nullopt;
    const std::string word = to_lower(value.as_string());
    if (word == "true" || word == "yes" || word == "on" || word == "1") return true;
    if (word == "false" || word == "no" || word == "off" || word == "0") return false;
    return std::nullopt;
}

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
    Number number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

std::optional<std::int64_t> read_integer(const Json& value, std::int64_t low, std::int64_t high) {
    std::optional<std::int64_t> number;
    if (value.is_integer()) number = value.as_int64();
    if (value.is_string()) number = parse_number<std::int64_t>(value.as_string());
    return number && *number >= low && *number <= high ? number : std::nullopt;
}

/// Seconds, whole or not, up to ten years.
std::optional<Milliseconds> read_seconds(const Json& value) {
    std::optional<double> seconds;
    if (value.is_real()) seconds = value.as_real();
    if (value.is_integer()) seconds = parse_number<double>(value.integer_text());
    if (value.is_string()) seconds = parse_number<double>(value.as_string());
    constexpr double kLongest = 10.0 * 366 * 86400;
    if (!seconds || !(*seconds >= 0 && *seconds <= kLongest)) return std::nullopt;
    return Milliseconds{std::llround(*seconds * 1000)};
}

/// What a queue may be called on every broker: an AMQP short string that people can read.
std::optional<std::string> read_queue_name(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    const std::string& name = value.as_string();
    const bool printable =
        std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
    if (name.empty() || name.size() > 255 || !printable) return std::nullopt;
    return name;
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

using Routes = std::vector<std::pair<std::string, TaskRoute>>;

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

struct LevelName {
    std::string_view name;
    log::Level level;
};
constexpr std::array<LevelName, 8> kLevels{{{"debug", log::Level::debug},
                                            {"info", log::Level::info},
                                            {"warning", log::Level::warning},
                                            {"error", log::Level::error},
                                            {"critical", log::Level::critical},
                                            {"off", log::Level::off},
                                            {"warn", log::Level::warning},
                                            {"fatal", log::Level::critical}}};

struct FormatName {
    std::string_view name;
    log::Format format;
};
constexpr std::array<FormatName, 3> kFormats{{{"automatic", log::Format::automatic},
                                              {"text", log::Format::text},
                                              {"json", log::Format::json}}};

struct DeliveryName {
    std::string_view name;
    DeliveryProfile delivery;
};
constexpr std::array<DeliveryName, 3> kDeliveries{{{"celery", DeliveryProfile::celery},
                                                   {"durable", DeliveryProfile::durable},
                                                   {"quorum", DeliveryProfile::quorum}}};

std::optional<DeliveryProfile> read_delivery(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    const auto* const found =
        std::ranges::find(kDeliveries, to_lower(value.as_string()), &DeliveryName::name);
    return found == kDeliveries.end() ? std::nullopt : std::optional{found->delivery};
}

std::optional<log::Level> read_level(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    const auto* const found =
        std::ranges::find(kLevels, to_lower(value.as_string()), &LevelName::name);
    return found == kLevels.end() ? std::nullopt : std::optional{found->level};
}

std::optional<log::Format> read_format(const Json& value) {
    if (!value.is_string()) return std::nullopt;
    const auto* const found =
        std::ranges::find(kFormats, to_lower(value.as_string()), &FormatName::name);
    return found == kFormats.end() ? std::nullopt : std::optional{found->format};
}

// How values are shown.

std::string show_seconds(Milliseconds time) {
    if (time.count() % 1000 == 0) return fmt::format("{}", time.count() / 1000);
    return fmt::format("{}", static_cast<double>(time.count()) / 1000);
}

std::string show_priority(const std::optional<std::uint8_t>& priority) {
    return priority ? fmt::format("{}", *priority) : "none";
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

/// URLs separated by `;`, without their secrets; nothing when one is none.
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

// How settings of one kind are made.

Setting boolean(std::string_view name, Owner owner, bool Settings::* member) {
    return {name, owner, "true or false",
            [member](Settings& settings, const Json& value) {
                const auto flag = read_boolean(value);
                if (flag) settings.*member = *flag;
                return flag.has_value();
            },
            [member](const Settings& settings) { return settings.*member ? "true" : "false"; }};
}

/// A boolean that something else decides unless it is set.
Setting override_of(std::string_view name, Owner owner, std::optional<bool> Settings::* member) {
    return {name, owner, "true or false",
            [member](Settings& settings, const Json& value) {
                const auto flag = read_boolean(value);
                if (flag) settings.*member = *flag;
                return flag.has_value();
            },
            [member](const Settings& settings) {
                if (!(settings.*member)) return "as delivery says";
                return *(settings.*member) ? "true" : "false";
            }};
}

/// Seconds after which something is limited.
Setting limit(std::string_view name, std::optional<Milliseconds> Settings::* member) {
    return {name, Owner::celery, "a number of seconds greater than 0, such as 10 or 2.5",
            [member](Settings& settings, const Json& value) {
                const auto time = read_seconds(value);
                if (!time || time->count() == 0) return false;
                settings.*member = *time;
                return true;
            },
            [member](const Settings& settings) {
                return settings.*member ? show_seconds(*(settings.*member)) : std::string{"none"};
            }};
}

Setting url(std::string_view name, std::string Settings::* member) {
    return {
        name,
        Owner::celery,
        "a URL such as sqlite:///.lovage or amqp://user:password@host:5672// (special characters "
        "of a password as %40 for '@', %2F for '/')",
        [member](Settings& settings, const Json& value) {
            if (!value.is_string() || !show_urls(value.as_string())) return false;
            settings.*member = value.as_string();
            return true;
        },
        [member](const Settings& settings) {
            return show_urls(settings.*member).value_or(log::mask_secrets(settings.*member));
        },
        [member](const Settings& settings) { return settings.*member; }};
}

/// A setting whose value 0 is shown as a word.
Setting zero_for(std::string_view word, Setting setting) {
    setting.save = [word, show = setting.show](const Settings& settings) {
        std::string text = show(settings);
        return text == word ? "0" : text;
    };
    return setting;
}

Setting queue_type(std::string_view name, std::string Settings::* member) {
    return {name, Owner::celery, "classic or quorum",
            [member](Settings& settings, const Json& value) {
                if (value != Json{"classic"} && value != Json{"quorum"}) return false;
                settings.*member = value.as_string();
                return true;
            },
            [member](const Settings& settings) {
                return (settings.*member).empty() ? std::string{"none"} : settings.*member;
            }};
}

Setting seconds(std::string_view name, Owner owner, Milliseconds Settings::* member) {
    return {name, owner, "a number of seconds such as 10 or 2.5",
            [member](Settings& settings, const Json& value) {
                const auto time = read_seconds(value);
                if (time) settings.*member = *time;
                return time.has_value();
            },
            [member](const Settings& settings) { return show_seconds(settings.*member); }};
}

Setting priority(std::string_view name, std::int64_t low,
                 std::optional<std::uint8_t> Settings::* member) {
    return {name, Owner::celery,
            low == 0 ? "a whole number from 0 to 255" : "a whole number from 1 to 255",
            [member, low](Settings& settings, const Json& value) {
                const auto number = read_integer(value, low, 255);
                if (number) settings.*member = static_cast<std::uint8_t>(*number);
                return number.has_value();
            },
            [member](const Settings& settings) { return show_priority(settings.*member); }};
}

/// A setting of a type of its own: `read` takes the value, `show` the member.
template <class T, class Read, class Show>
Setting special(std::string_view name, Owner owner, std::string_view form, T Settings::* member,
                Read read, Show show) {
    return {
        name, owner, form,
        [member, read](Settings& settings, const Json& value) {
            auto result = read(value);
            if (result) settings.*member = std::move(*result);
            return result.has_value();
        },
        [member, show](const Settings& settings) { return std::string{show(settings.*member)}; }};
}

std::optional<std::optional<std::chrono::seconds>> read_expiry(const Json& value) {
    const auto time = read_seconds(value);
    if (!time) return std::nullopt;
    if (time->count() == 0) return std::optional<std::chrono::seconds>{};
    // A fraction would end as "never" when cut off.
    return std::optional{std::chrono::ceil<std::chrono::seconds>(*time)};
}

std::optional<std::uint32_t> read_concurrency(const Json& value) {
    const auto count = read_integer(value, 1, 10'000);
    return count ? std::optional{static_cast<std::uint32_t>(*count)} : std::nullopt;
}

std::optional<std::uint32_t> read_count(const Json& value) {
    const auto count = read_integer(value, 0, std::numeric_limits<std::uint32_t>::max());
    return count ? std::optional{static_cast<std::uint32_t>(*count)} : std::nullopt;
}

std::optional<std::string> read_pool(const Json& value) {
    for (const char* name : {"prefork", "threads", "coroutine", "solo"}) {
        if (value == Json{name}) return name;
    }
    return std::nullopt;
}

/// "10,3" in any order; one number is the most.
std::optional<std::optional<AutoscaleRange>> read_autoscale(const Json& value) {
    const std::string text = value.is_string() ? value.as_string() : to_json_text(value);
    const std::size_t comma = text.find(',');
    const auto first = read_concurrency(Json{text.substr(0, comma)});
    if (comma == std::string::npos) {
        return first ? std::optional{std::optional{AutoscaleRange{*first, 1}}} : std::nullopt;
    }
    // Celery's "10,0" may shrink to nothing; one slot stays here.
    const auto second = read_integer(Json{text.substr(comma + 1)}, 0, 10'000);
    if (!first || !second) return std::nullopt;
    const auto other = static_cast<std::uint32_t>(std::max<std::int64_t>(*second, 1));
    return std::optional{AutoscaleRange{std::max(*first, other), std::min(*first, other)}};
}

std::optional<std::string> read_folder(const Json& value) {
    if (!value.is_string() || value.as_string().empty()) return std::nullopt;
    return value.as_string();
}

std::vector<Setting> make_table() {
    using S = Settings;
    std::vector<Setting> table{
        url("broker_url", &S::broker_url),
        url("result_backend", &S::result_backend),
        special("task_default_queue", Owner::celery, "a queue's name, 1 to 255 bytes",
                &S::task_default_queue, read_queue_name,
                [](const std::string& name) { return name; }),
        special("task_routes", Owner::celery,
                R"(a map from task names or patterns to a queue or {queue, priority}, such as )"
                R"({"mail.*": "mail", "report": {"queue": "slow", "priority": 3}})",
                &S::task_routes, read_routes, show_routes),
        priority("task_default_priority", 0, &S::task_default_priority),
        priority("task_queue_max_priority", 1, &S::task_queue_max_priority),
        queue_type("task_default_queue_type", &S::task_default_queue_type),
        queue_type("task_create_missing_queue_type", &S::task_create_missing_queue_type),
        special("delivery", Owner::lovage, "celery, durable or quorum", &S::delivery, read_delivery,
                [](DeliveryProfile delivery) {
                    return std::ranges::find(kDeliveries, delivery, &DeliveryName::delivery)->name;
                }),
        override_of("task_acks_late", Owner::celery, &S::task_acks_late),
        override_of("task_acks_on_failure_or_timeout", Owner::celery,
                    &S::task_acks_on_failure_or_timeout),
        override_of("task_reject_on_worker_lost", Owner::celery, &S::task_reject_on_worker_lost),
        override_of("task_publish_mandatory", Owner::lovage, &S::task_publish_mandatory),
        limit("task_time_limit", &S::task_time_limit),
        limit("task_soft_time_limit", &S::task_soft_time_limit),
        boolean("task_ignore_result", Owner::celery, &S::task_ignore_result),
        boolean("task_store_errors_even_if_ignored", Owner::celery,
                &S::task_store_errors_even_if_ignored),
        boolean("task_track_started", Owner::celery, &S::task_track_started),
        boolean("task_track_sent", Owner::lovage, &S::task_track_sent),
        seconds("task_publish_timeout", Owner::lovage, &S::task_publish_timeout),
        zero_for("never",
                 special("result_expires", Owner::celery, "a number of seconds, 0 for never",
                         &S::result_expires, read_expiry,
                         [](const std::optional<std::chrono::seconds>& time) {
                             return time ? fmt::format("{}", time->count()) : std::string{"never"};
                         })),
        boolean("result_extended", Owner::celery, &S::result_extended),
        special("worker_concurrency", Owner::celery, "a whole number from 1 to 10000",
                &S::worker_concurrency, read_concurrency,
                [](std::uint32_t count) { return fmt::format("{}", count); }),
        special("worker_autoscale", Owner::lovage,
                "two whole numbers from 1 to 10000 such as 10,3 (most and fewest), or the most",
                &S::worker_autoscale, read_autoscale,
                [](const std::optional<AutoscaleRange>& range) {
                    return range ? fmt::format("{},{}", range->max, range->min) : "off";
                }),
        seconds("worker_autoscale_keepalive", Owner::lovage, &S::worker_autoscale_keepalive),
        special("worker_pool", Owner::celery, "prefork, threads, coroutine or solo",
                &S::worker_pool, read_pool,
                [](const std::string& name) { return name.empty() ? "default" : name; }),
        special("worker_max_tasks_per_child", Owner::celery, "a whole number, 0 for no limit",
                &S::worker_max_tasks_per_child, read_count,
                [](std::uint32_t count) { return fmt::format("{}", count); }),
        special("worker_max_memory_per_child", Owner::celery,
                "a whole number of KiB, 0 for no limit", &S::worker_max_memory_per_child,
                read_count, [](std::uint32_t count) { return fmt::format("{}", count); }),
        special("worker_inflight_folder", Owner::lovage, "a folder", &S::worker_inflight_folder,
                read_folder,
                [](const std::string& name) { return name.empty() ? "default" : name; }),
        seconds("worker_shutdown_timeout", Owner::lovage, &S::worker_shutdown_timeout),
        special("log_level", Owner::lovage, "debug, info, warning, error, critical or off",
                &S::log_level, read_level,
                [](log::Level level) {
                    return std::ranges::find(kLevels, level, &LevelName::level)->name;
                }),
        special("log_format", Owner::lovage, "automatic, text or json", &S::log_format, read_format,
                [](log::Format format) {
                    return std::ranges::find(kFormats, format, &FormatName::format)->name;
                }),
    };
    std::ranges::sort(table, {}, &Setting::name);
    return table;
}

}  // namespace

const std::vector<Setting>& settings_table() {
    static const std::vector<Setting> settings = make_table();
    return settings;
}

const Setting* find_setting(std::string_view name) {
    const auto found = std::ranges::find(settings_table(), name, &Setting::name);
    return found == settings_table().end() ? nullptr : &*found;
}

std::vector<std::string_view> setting_names() {
    std::vector<std::string_view> names;
    for (const Setting& setting : settings_table()) names.push_back(setting.name);
    return names;
}

std::vector<std::string> environment_names(const Setting& setting) {
    const std::string upper = to_upper(setting.name);
    std::vector<std::string> names{"LOVAGE_" + upper};
    if (setting.owner == Owner::celery) names.push_back("CELERY_" + upper);
    if (setting.name == "result_backend") names.emplace_back("CELERY_RESULT_BACKEND_URL");
    return names;
}

}  // namespace lovage::detail
