#include <lovage/runtime/settings.hpp>

#include <lovage/core/json.hpp>
#include <lovage/runtime/detail/mask_secrets.hpp>
#include <lovage/runtime/detail/settings_file.hpp>
#include <lovage/runtime/detail/settings_table.hpp>
#include <lovage/runtime/detail/settings_values.hpp>
#include <lovage/runtime/did_you_mean.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <system_error>
#include <thread>

#include <sched.h>
#include <unistd.h>

namespace lovage {

namespace {

using detail::environment_names;
using detail::find_setting;
using detail::Setting;
using detail::setting_names;
using detail::settings_table;
using detail::to_lower;
using detail::to_upper;

/// A value as an error message quotes it: a string without its secrets, anything else as JSON.
std::string quote(const Setting& setting, const Json& value) {
    constexpr std::size_t kShownMax = 100;
    std::string text = value.is_string() ? value.as_string() : to_json_text(value);
    text = setting.form.type == "URL" ? detail::mask_url(text) : log::mask_secrets(text);
    if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
    return "'" + text + "'";
}

Result<void> assign(LoadedSettings& loaded, const Setting& setting, const Json& value,
                    const std::string& origin) {
    if (!setting.assign(loaded.settings, value)) {
        return fail(Errc::invalid_argument,
                    fmt::format("{}: {} = {} does not work; the accepted form is {}", origin,
                                setting.name, quote(setting, value), setting.form.text));
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

/// For a table whose name is no setting, such as [worker]: how its first member may be meant.
std::string table_advice(const detail::FileEntry& table) {
    const auto& members = table.value.as_object();
    std::string example = "worker_concurrency";
    if (!members.empty()) {
        const std::string& member = members.front().first;
        for (const std::string& name : {table.key + '_' + member, member}) {
            if (find_setting(name) != nullptr) {
                example = name;
                break;
            }
        }
    }
    return fmt::format("; names are flat, without tables: write {} = … at the top of the file",
                       example);
}

Result<void> apply_file(LoadedSettings& loaded, const SettingsFile& file) {
    auto entries = detail::parse_settings_file(file);
    if (!entries) return std::unexpected{std::move(entries.error())};
    for (const detail::FileEntry& entry : *entries) {
        const std::string origin = fmt::format("{}:{}", file.name, entry.line);
        const Setting* const setting = find_setting(entry.key);
        if (setting == nullptr) {
            const bool table = entry.value.is_object();
            return fail(Errc::invalid_argument,
                        fmt::format("{}: unknown setting '{}'{}", origin, entry.key,
                                    table ? table_advice(entry) : suggestion(entry.key)));
        }
        if (auto done = assign(loaded, *setting, entry.value, origin); !done) return done;
    }
    return {};
}

Result<void> apply_environment(LoadedSettings& loaded,
                               const std::map<std::string, std::string>& environment) {
    for (const Setting& setting : settings_table()) {
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
    for (const Setting& setting : settings_table())
        known.insert("LOVAGE_" + to_upper(setting.name));
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

/// `source` is what named the file.
Result<SettingsFile> read_file(const std::filesystem::path& path, std::string_view source) {
    constexpr std::size_t kBytesMax = std::size_t{1} << 20U;
    errno = 0;
    std::ifstream file{path, std::ios::binary};
    std::error_code ignored;
    const bool folder = std::filesystem::is_directory(path, ignored);
    if (!file || folder) {
        const int reason = folder ? EISDIR : errno;
        return fail(reason == ENOENT ? Errc::not_found : Errc::unavailable,
                    fmt::format("the settings file {} ({}) cannot be read: {}", path.string(),
                                source, std::strerror(reason)));
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
    for (const Setting& setting : settings_table()) {
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

namespace {

/// A value as JSON; `shown` is its text, without secrets.
Json value_as_json(const Setting& setting, const Settings& settings, std::string shown) {
    constexpr std::array<std::string_view, 3> kTexts{"text", "URL", "one of"};
    if (shown == "none") return {};
    if (std::ranges::find(kTexts, setting.form.type) != kTexts.end()) return shown;
    // Words that stand for "not set" are no JSON.
    return detail::mask_members(
        parse_json(setting.save ? setting.save(settings) : shown).value_or(Json{}));
}

}  // namespace

Json settings_as_json(const Settings& settings, bool with_defaults) {
    const Settings defaults;
    Json values = Json::object();
    for (const Setting& setting : settings_table()) {
        std::string shown = setting.show(settings);
        if (!with_defaults && shown == setting.show(defaults)) continue;
        values.set(setting.name, value_as_json(setting, settings, std::move(shown)));
    }
    return values;
}

std::map<std::string, std::string> export_settings(const Settings& settings) {
    const Settings defaults;
    std::map<std::string, std::string> texts;
    for (const Setting& setting : settings_table()) {
        const auto& save = setting.save ? setting.save : setting.show;
        std::string text = save(settings);
        if (text != save(defaults)) texts.emplace(setting.name, std::move(text));
    }
    return texts;
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
    std::string_view source = "--config";
    if (chosen.empty()) {
        const auto named = environment.find(std::string{kConfigVariable});
        if (named != environment.end()) chosen = named->second;
        source = kConfigVariable;
    }
    if (chosen.empty()) {
        chosen = "lovage.toml";
        source = "of the working directory";
        std::error_code ignored;
        if (!std::filesystem::exists(chosen, ignored)) return std::nullopt;
    }
    auto file = read_file(chosen, source);
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
