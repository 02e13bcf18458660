#include <lovage/app/send_options.hpp>

#include <lovage/core/compose.hpp>
#include <lovage/core/error.hpp>

#include <fmt/format.h>

namespace lovage {

namespace {

/// Whole seconds as an integer, as Celery's users write them.
Json seconds_json(std::chrono::milliseconds time) {
    if (time.count() % 1000 == 0) return time.count() / 1000;
    return std::chrono::duration<double>(time).count();
}

}  // namespace

std::optional<Error> problem_with(const SendOptions& options, std::string_view call) {
    const auto bad = [call](std::string_view what) {
        return Error{Errc::invalid_argument, fmt::format("{}: {}", call, what)};
    };
    if (options.countdown && options.eta) return bad("give countdown or eta, not both");
    if (options.countdown && options.countdown->count() < 0) return bad("countdown is negative");
    if (!options.headers.is_object()) return bad("headers must be a map");
    if (auto fine = check_stamps(options.stamps); !fine) return bad(fine.error().detail);
    for (const auto& limit : {options.time_limit, options.soft_time_limit}) {
        if (limit && limit->count() <= 0) return bad("a time limit is greater than 0");
    }
    return std::nullopt;
}

Json to_signature_options(const SendOptions& options) {
    Json made = Json::object();
    if (!options.task_id.empty()) made.set("task_id", options.task_id);
    if (!options.queue.empty()) made.set("queue", options.queue);
    if (options.countdown) made.set("countdown", seconds_json(*options.countdown));
    if (options.eta) made.set("eta", to_iso8601(*options.eta));
    if (const auto* after = std::get_if<std::chrono::milliseconds>(&options.expires)) {
        made.set("expires", seconds_json(*after));
    } else if (const auto* at = std::get_if<TimePoint>(&options.expires)) {
        made.set("expires", to_iso8601(*at));
    }
    if (options.priority) made.set("priority", *options.priority);
    if (options.time_limit) made.set("time_limit", seconds_json(*options.time_limit));
    if (options.soft_time_limit) {
        made.set("soft_time_limit", seconds_json(*options.soft_time_limit));
    }
    if (!options.headers.as_object().empty()) made.set("headers", options.headers);
    if (options.ignore_result) made.set("ignore_result", *options.ignore_result);
    return made;
}

}  // namespace lovage
