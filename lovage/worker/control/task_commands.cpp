// Revocations, and the limits of tasks.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <lovage/app/control_commands.hpp>
#include <lovage/core/python_repr.hpp>
#include <lovage/runtime/child_process.hpp>
#include <lovage/worker/control/command.hpp>
#include <lovage/worker/control/store_revocations.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lovage::control {
namespace {

/// Storing revocations shall be over before the asker stops waiting.
constexpr std::chrono::milliseconds kStored{800};
/// Ids, or values of a stamp, in one command.
constexpr std::size_t kTextsMost = 10'000;

constexpr std::string_view kTextsWanted = "a text, or a list of at most 10000 texts";

std::optional<std::vector<std::string>> texts_of(const Json* value) {
    if (value == nullptr) return std::nullopt;
    if (value->is_string()) return std::vector{value->as_string()};
    if (!value->is_array() || value->as_array().size() > kTextsMost) return std::nullopt;
    std::vector<std::string> texts;
    for (const Json& text : value->as_array()) {
        if (!text.is_string()) return std::nullopt;
        texts.push_back(text.as_string());
    }
    return texts;
}

/// A number, or a name with or without "SIG"; SIGTERM when there is none.
std::optional<int> signal_of(const Json* value) {
    if (value == nullptr) return SIGTERM;
    std::optional<int> number;
    if (value->is_string()) {
        number = signal_number(value->as_string());
    } else if (value->is_integer()) {
        const auto given = value->as_int64();
        if (given && *given >= 1 && *given <= 64) number = static_cast<int>(*given);
    }
    return number;
}

/// Ids that an answer lists.
constexpr std::size_t kListedMost = 20;

/// What the asker should do again.
Answer not_stored(const Unstored& unstored, std::size_t asked) {
    const std::vector<std::string>& ids = unstored.task_ids;
    if (asked == 1) {
        return error(fmt::format("task {} may run elsewhere: its revocation is not stored: {}",
                                 ids.front(), unstored.why.message()));
    }
    const std::vector<std::string> listed{
        ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(ids.size(), kListedMost))};
    const std::size_t more = ids.size() - listed.size();
    return error(
        fmt::format("{} of {} revocations are not stored, their tasks may run elsewhere: {}{}: {}",
                    ids.size(), asked, fmt::join(listed, ", "),
                    more == 0 ? "" : fmt::format(" and {} more", more), unstored.why.message()));
}

/// Acts on what this worker holds, then stores the wish for whoever gets the others; every worker
/// that hears the command does, so that one suffices.
Awaitable<Answer> revoke_tasks(ControlledWorker* worker, std::vector<std::string> ids,
                               RevokeOptions options) {
    const std::vector<std::string> held = worker->revoke_held(ids, options);
    const Unstored unstored =
        co_await store_revocations(&worker->client(), ids, options, Deadline::in(kStored));
    if (!unstored.task_ids.empty()) co_return not_stored(unstored, ids.size());
    if (!options.terminate) {
        // Wire: Python's text for a set.
        std::vector<std::string> shown;
        std::unordered_set<std::string_view> known;
        for (const std::string& id : ids) {
            if (known.insert(id).second) shown.push_back(python_repr(id));
        }
        co_return ok(
            fmt::format("tasks {} flagged as revoked",
                        shown.empty() ? "set()" : fmt::format("{{{}}}", fmt::join(shown, ", "))));
    }
    if (held.empty()) co_return ok("terminate: tasks unknown");
    co_return ok(fmt::format("terminate: {}", fmt::join(held, ", ")));
}

/// Nothing: the signal that it shall be terminated with is none.
std::optional<RevokeOptions> revoke_options(const Call& call, bool terminate) {
    RevokeOptions options;
    options.terminate = terminate;
    if (!terminate) return options;
    const auto signal = signal_of(call.argument("signal"));
    if (!signal) return std::nullopt;
    options.signal = *signal;
    return options;
}

Answer unknown_signal(const Call& call) {
    return raised("ValueError", "unknown signal " + python_repr(*call.argument("signal")));
}

/// `revoke`, from a client that has stored the wish: only what this worker holds is left to do.
Answer revoke_held(const Call& call, const std::vector<std::string>& ids,
                   const RevokeOptions& options) {
    const std::size_t held = call.worker->revoke_held(ids, options).size();
    return ok(fmt::format("{} of {} tasks are held here", held, ids.size()));
}

Awaitable<Answer> revoke_with(Call call, bool terminate) {
    auto ids = texts_of(call.argument("task_id"));
    if (!ids) co_return error(fmt::format("task_id should be {}", kTextsWanted));
    const auto options = revoke_options(call, terminate);
    if (!options) co_return unknown_signal(call);
    if (call.flag(kStoredArgument)) co_return revoke_held(call, *ids, *options);
    co_return co_await revoke_tasks(call.worker, std::move(*ids), *options);
}

Awaitable<Answer> revoke(Call call) {
    const bool terminate = call.flag("terminate");
    co_return co_await revoke_with(std::move(call), terminate);
}

Awaitable<Answer> terminate(Call call) {
    co_return co_await revoke_with(std::move(call), true);
}

/// `headers` as a map: given as one, or as a list of "name=value".
std::optional<Json> stamped_headers(const Json* value) {
    if (value != nullptr && value->is_object()) return *value;
    if (value == nullptr || !value->is_array()) return std::nullopt;
    Json headers = Json::object();
    for (const Json& item : value->as_array()) {
        if (!item.is_string()) return std::nullopt;
        const std::string& text = item.as_string();
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos) return std::nullopt;
        headers.set(text.substr(0, equals), text.substr(equals + 1));
    }
    return headers;
}

/// Errors: a header without values, or with one of another kind, which would revoke nothing.
Result<RevokedStamps::Stamps> stamps_of(const Json& headers) {
    RevokedStamps::Stamps stamps;
    for (const auto& [header, value] : headers.as_object()) {
        const std::size_t given = value.is_array() ? value.as_array().size() : 1;
        const std::vector<std::string> values = RevokedStamps::values_of(value);
        if (values.size() != given || given > kTextsMost) {
            return fail(Errc::invalid_argument,
                        fmt::format("header {} should be a text, a number, or a list of at most "
                                    "{} of them",
                                    python_repr(header.substr(0, 100)), kTextsMost));
        }
        stamps[header].insert(values.begin(), values.end());
    }
    return stamps;
}

/// Python's text for them: "{'k': {'v', 'w'}}".
std::string shown_stamps(const RevokedStamps::Stamps& stamps) {
    std::vector<std::string> parts;
    for (const auto& [header, values] : stamps) {
        std::vector<std::string> shown;
        for (const std::string& value : values) {
            shown.push_back(python_repr(parse_json(value).value_or(Json{value})));
        }
        parts.push_back(fmt::format("{}: {{{}}}", python_repr(header), fmt::join(shown, ", ")));
    }
    return fmt::format("{{{}}}", fmt::join(parts, ", "));
}

Awaitable<Answer> revoke_by_stamped_headers(Call call) {
    const auto headers = stamped_headers(call.argument("headers"));
    if (!headers) co_return error("headers should be a map, or a list of name=value");
    const auto stamps = stamps_of(*headers);
    if (!stamps) co_return error(stamps.error().detail);
    const auto options = revoke_options(call, call.flag("terminate"));
    if (!options) co_return unknown_signal(call);
    const auto held = call.worker->revoke_stamped(*stamps, *options);
    if (!options->terminate) {
        co_return ok(fmt::format("headers {} flagged as revoked, but not terminated",
                                 python_repr(*headers)));
    }
    if (held.empty()) {
        co_return ok(fmt::format("headers {} were not terminated", python_repr(*headers)));
    }
    // Wire: what Python's repr() makes of the map that Celery collects them in.
    co_return ok(fmt::format("headers defaultdict(<class 'set'>, {}) revoked", shown_stamps(held)));
}

/// The task that an argument names; nullptr: there is none.
const TaskDefinition* named_task(const Call& call) {
    const Json* const name = call.argument("task_name");
    return name != nullptr && name->is_string() ? call.worker->tasks().find(name->as_string())
                                                : nullptr;
}

Awaitable<Answer> rate_limit(Call call) {
    const Json* const value = call.argument("rate_limit");
    std::string text;
    if (value != nullptr) text = value->is_string() ? value->as_string() : to_json_text(*value);
    const auto limit = parse_rate_limit(text);
    if (!limit) {
        co_return error(
            fmt::format("Invalid rate limit string: ValueError({})",
                        python_repr("could not convert string to float: " + python_repr(text))));
    }
    const TaskDefinition* const task = named_task(call);
    if (task == nullptr) co_return error("unknown task");
    call.worker->limit_rate(*task, *limit);
    // Wire: "0" is a new limit by these words, 0 and "" are none.
    co_return ok(call.flag("rate_limit") ? "new rate limit set successfully"
                                         : "rate limit disabled successfully");
}

/// Seconds; nothing when it is not there. Errors: no such number.
Result<std::optional<std::chrono::milliseconds>> seconds_argument(const Call& call,
                                                                  std::string_view name) {
    constexpr double kLongest = 10.0 * 366 * 86400;
    const Json* value = call.argument(name);
    if (value == nullptr) return std::nullopt;
    Json read;
    if (value->is_string()) {
        read = parse_json(value->as_string()).value_or(Json{});
        value = &read;
    }
    double seconds = -1;
    if (value->is_real()) seconds = value->as_real();
    if (value->is_integer()) seconds = static_cast<double>(value->as_int64().value_or(-1));
    if (!(seconds >= 0 && seconds <= kLongest)) {
        return fail(Errc::invalid_argument, fmt::format("{} should be a number of seconds", name));
    }
    if (seconds == 0) return std::nullopt;
    return std::chrono::milliseconds{std::llround(std::ceil(seconds * 1000))};
}

Awaitable<Answer> time_limit(Call call) {
    const TaskDefinition* const task = named_task(call);
    if (task == nullptr) co_return error("unknown task");
    const auto soft = seconds_argument(call, "soft");
    const auto hard = seconds_argument(call, "hard");
    if (!soft) co_return error(soft.error().detail);
    if (!hard) co_return error(hard.error().detail);
    call.worker->limit_time(*task, {.soft = *soft, .hard = *hard});
    co_return ok("time limits set successfully");
}

constexpr std::string_view kTaskId[]{"task_id"};
constexpr std::string_view kHeaders[]{"headers"};
constexpr std::string_view kTerminate[]{"signal", "task_id"};
constexpr std::string_view kRateLimit[]{"task_name", "rate_limit"};

}  // namespace

std::span<const Command> task_commands() {
    static constexpr Command kCommands[]{
        {"revoke", "", kTaskId, std::nullopt, revoke},
        {"terminate", "", kTerminate, std::nullopt, terminate},
        {"revoke_by_stamped_headers", "", kHeaders, std::nullopt, revoke_by_stamped_headers},
        {"rate_limit", "", kRateLimit, std::nullopt, rate_limit},
        {"time_limit", "", {}, std::nullopt, time_limit},
    };
    return kCommands;
}

}  // namespace lovage::control
