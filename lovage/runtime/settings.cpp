#include <lovage/runtime/settings.hpp>

#include <lovage/core/json.hpp>
#include <lovage/runtime/detail/settings_file.hpp>
#include <lovage/runtime/did_you_mean.hpp>
#include <lovage/runtime/url.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <thread>

#include <sched.h>
#include <unistd.h>

namespace lovage {

namespace {

using Milliseconds = std::chrono::milliseconds;

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

// The table of settings.

enum class Owner : std::uint8_t { celery, lovage };

struct Setting {
    std::string_view name;
    Owner owner;
    std::string_view form;  ///< "true or false": ends the sentence "the accepted form is …"
    std::function<bool(Settings&, const Json&)> assign;
    std::function<std::string(const Settings&)> show;
};

Setting boolean(std::string_view name, Owner owner, bool Settings::* member) {
    return {name, owner, "true or false",
            [member](Settings& settings, const Json& value) {
                const auto flag = read_boolean(value);
                if (flag) settings.*member = *flag;
                return flag.has_value();
            },
            [member](const Settings& settings) { return settings.*member ? "true" : "false"; }};
}

Setting url(std::string_view name, std::string Settings::* member) {
    return {
        name, Owner::celery,
        "a URL such as sqlite:///.lovage or amqp://user:password@host:5672// (special characters "
        "of a password as %40 for '@', %2F for '/')",
        [member](Settings& settings, const Json& value) {
            if (!value.is_string() || !parse_url(value.as_string())) return false;
            settings.*member = value.as_string();
            return true;
        },
        [member](const Settings& settings) {
            const auto parsed = parse_url(settings.*member);
            return parsed ? parsed->display() : log::mask_secrets(settings.*member);
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
        boolean("task_ignore_result", Owner::celery, &S::task_ignore_result),
        boolean("task_store_errors_even_if_ignored", Owner::celery,
                &S::task_store_errors_even_if_ignored),
        boolean("task_track_started", Owner::celery, &S::task_track_started),
        boolean("task_track_sent", Owner::lovage, &S::task_track_sent),
        seconds("task_publish_timeout", Owner::lovage, &S::task_publish_timeout),
        special("result_expires", Owner::celery, "a number of seconds, 0 for never",
                &S::result_expires, read_expiry,
                [](const std::optional<std::chrono::seconds>& time) {
                    return time ? fmt::format("{}", time->count()) : std::string{"never"};
                }),
        boolean("result_extended", Owner::celery, &S::result_extended),
        special("worker_concurrency", Owner::celery, "a whole number from 1 to 10000",
                &S::worker_concurrency, read_concurrency,
                [](std::uint32_t count) { return fmt::format("{}", count); }),
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

const std::vector<Setting>& table() {
    static const std::vector<Setting> settings = make_table();
    return settings;
}

const Setting* find_setting(std::string_view name) {
    const auto found = std::ranges::find(table(), name, &Setting::name);
    return found == table().end() ? nullptr : &*found;
}

std::vector<std::string_view> setting_names() {
    std::vector<std::string_view> names;
    for (const Setting& setting : table()) names.push_back(setting.name);
    return names;
}

std::vector<std::string> environment_names(const Setting& setting) {
    const std::string upper = to_upper(setting.name);
    std::vector<std::string> names{"LOVAGE_" + upper};
    if (setting.owner == Owner::celery) names.push_back("CELERY_" + upper);
    if (setting.name == "result_backend") names.emplace_back("CELERY_RESULT_BACKEND_URL");
    return names;
}

/// A value as an error message quotes it: a string without its secrets, anything else as JSON.
std::string quote(const Json& value) {
    constexpr std::size_t kShownMax = 100;
    std::string text = value.is_string() ? value.as_string() : to_json_text(value);
    text = log::mask_secrets(text);
    if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
    return "'" + text + "'";
}

Result<void> assign(LoadedSettings& loaded, const Setting& setting, const Json& value,
                    const std::string& origin) {
    if (!setting.assign(loaded.settings, value)) {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: {} = {} does not work; the accepted form is {}", origin,
                                setting.name, quote(value), setting.form));
    }
    loaded.settings.origins.insert_or_assign(std::string{setting.name}, origin);
    return {};
}

/// What an unknown key may have been meant to be: CELERY_BROKER_URL and Task_Routes have an obvious
/// answer.
std::string suggestion(std::string_view key) {
    std::string plain = to_lower(key);
    for (const std::string_view prefix : {"lovage_", "celery_"}) {
        if (plain.starts_with(prefix)) plain.erase(0, prefix.size());
    }
    return did_you_mean(plain, setting_names());
}

Result<void> apply_file(LoadedSettings& loaded, const SettingsFile& file) {
    auto entries = detail::parse_settings_file(file);
    if (!entries) return std::unexpected{std::move(entries.error())};
    for (const detail::FileEntry& entry : *entries) {
        const std::string origin = fmt::format("{}:{}", file.name, entry.line);
        const Setting* const setting = find_setting(entry.key);
        if (setting == nullptr) {
            return fail(Errc::invalid_argument, fmt::format("{}: unknown setting '{}'{}", origin,
                                                            entry.key, suggestion(entry.key)));
        }
        if (auto done = assign(loaded, *setting, entry.value, origin); !done) return done;
    }
    return {};
}

Result<void> apply_environment(LoadedSettings& loaded,
                               const std::map<std::string, std::string>& environment) {
    for (const Setting& setting : table()) {
        const std::pair<const std::string, std::string>* chosen = nullptr;
        for (const std::string& name : environment_names(setting)) {
            const auto found = environment.find(name);
            if (found == environment.end() || found->second.empty()) continue;
            if (chosen != nullptr && chosen->second != found->second) {
                return fail(
                    Errc::invalid_argument,
                    fmt::format("environment variables {} and {} set {} to different values; "
                                "remove one of them",
                                chosen->first, found->first, setting.name));
            }
            if (chosen == nullptr) chosen = &*found;
        }
        if (chosen == nullptr) continue;
        if (auto done = assign(loaded, setting, Json{chosen->second}, chosen->first); !done) {
            return done;
        }
    }
    return {};
}

constexpr std::string_view kConfigVariable = "LOVAGE_CONFIG";

/// Variables of `./dev` and of test programs, which reach the programs they start.
bool is_for_tools(std::string_view name) {
    return name.starts_with("LOVAGE_DEV_") || name.starts_with("LOVAGE_TEST_") ||
           name == "LOVAGE_JOBS" || name == "LOVAGE_SKIP_SETUP" || name == "LOVAGE_OS_RELEASE";
}

void warn_of_unknown_variables(LoadedSettings& loaded,
                               const std::map<std::string, std::string>& environment) {
    std::set<std::string, std::less<>> known{std::string{kConfigVariable}};
    for (const Setting& setting : table()) known.insert("LOVAGE_" + to_upper(setting.name));
    const std::vector<std::string_view> views{known.begin(), known.end()};
    for (const auto& [name, value] : environment) {
        if (!name.starts_with("LOVAGE_") || known.contains(name) || is_for_tools(name)) continue;
        loaded.warnings.push_back(
            fmt::format("environment variable {} is no setting and is ignored{}", name,
                        did_you_mean(name, views)));
    }
}

Result<void> apply_flags(LoadedSettings& loaded, const std::vector<SettingFlag>& flags) {
    for (const SettingFlag& flag : flags) {
        const Setting* const setting = find_setting(flag.name);
        if (setting == nullptr) {
            return fail(Errc::invalid_argument, fmt::format("{}: unknown setting '{}'{}", flag.flag,
                                                            flag.name, suggestion(flag.name)));
        }
        if (auto done = assign(loaded, *setting, Json{flag.value}, flag.flag); !done) return done;
    }
    return {};
}

Result<SettingsFile> read_file(const std::filesystem::path& path) {
    constexpr std::size_t kBytesMax = std::size_t{1} << 20U;
    std::ifstream file{path, std::ios::binary};
    if (!file) {
        return fail(Errc::not_found,
                    fmt::format("the settings file {} cannot be read", path.string()));
    }
    std::string text(kBytesMax + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.bad()) {
        return fail(Errc::unavailable, fmt::format("reading {} failed", path.string()));
    }
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (text.size() > kBytesMax) {
        return fail(
            Errc::too_large,
            fmt::format("{} is larger than 1 MiB: that is no settings file", path.string()));
    }
    return SettingsFile{path.string(), std::move(text)};
}

}  // namespace

std::uint32_t Settings::default_concurrency() noexcept {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    if (::sched_getaffinity(0, sizeof usable, &usable) == 0 && CPU_COUNT(&usable) > 0) {
        return static_cast<std::uint32_t>(CPU_COUNT(&usable));
    }
    return std::max(1U, std::thread::hardware_concurrency());
}

std::vector<SettingLine> describe(const Settings& settings) {
    const Settings defaults;
    std::vector<SettingLine> lines;
    for (const Setting& setting : table()) {
        std::string value = setting.show(settings);
        std::string origin = value == setting.show(defaults) ? "default" : "program";
        if (const auto known = settings.origins.find(setting.name);
            known != settings.origins.end()) {
            origin = known->second;
        }
        lines.push_back({std::string{setting.name}, std::move(value), std::move(origin)});
    }
    return lines;
}

Result<LoadedSettings> resolve_settings(const SettingsSources& sources) {
    LoadedSettings loaded{sources.base, {}};
    // Weakest first: what comes later replaces it, origin included.
    if (sources.file) {
        if (auto done = apply_file(loaded, *sources.file); !done)
            return std::unexpected{done.error()};
    }
    if (auto done = apply_environment(loaded, sources.environment); !done) {
        return std::unexpected{done.error()};
    }
    if (auto done = apply_flags(loaded, sources.flags); !done) return std::unexpected{done.error()};
    warn_of_unknown_variables(loaded, sources.environment);
    return loaded;
}

std::map<std::string, std::string> process_environment() {
    std::map<std::string, std::string> environment;
    for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

Result<std::optional<SettingsFile>> read_settings_file(
    const std::optional<std::filesystem::path>& path,
    const std::map<std::string, std::string>& environment) {
    std::filesystem::path chosen = path.value_or("");
    if (chosen.empty()) {
        const auto named = environment.find(std::string{kConfigVariable});
        if (named != environment.end()) chosen = named->second;
    }
    if (chosen.empty()) {
        chosen = "lovage.toml";
        std::error_code ignored;
        if (!std::filesystem::exists(chosen, ignored)) return std::nullopt;
    }
    auto file = read_file(chosen);
    if (!file) return std::unexpected{std::move(file.error())};
    return std::move(*file);
}

Result<Settings> load_settings() {
    SettingsSources sources;
    sources.environment = process_environment();
    auto file = read_settings_file(std::nullopt, sources.environment);
    if (!file) return std::unexpected{std::move(file.error())};
    sources.file = std::move(*file);
    auto loaded = resolve_settings(sources);
    if (!loaded) return std::unexpected{std::move(loaded.error())};
    for (const std::string& warning : loaded->warnings) log::warning("settings", "{}", warning);
    return std::move(loaded->settings);
}

}  // namespace lovage
