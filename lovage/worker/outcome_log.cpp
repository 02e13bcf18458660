#include <lovage/worker/outcome_log.hpp>

#include <lovage/core/python_repr.hpp>
#include <lovage/runtime/log.hpp>

#include <chrono>
#include <string>

#include <fmt/core.h>

namespace lovage {

namespace {

double in_seconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
}

/// "Type('message')", or nothing.
std::string exception_text(const TaskOutcome& outcome) {
    if (!outcome.failure) return {};
    return outcome.failure->exc_type + "('" + outcome.failure->exc_message + "')";
}

/// The call stack of a slot that is gone, on lines of its own.
std::string place_text(const TaskOutcome& outcome) {
    if (!outcome.crash || outcome.crash->backtrace.empty()) return {};
    std::string text = "\n" + outcome.crash->backtrace;
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

void log_timed_out(const std::string& name, const TaskOutcome& outcome) {
    const std::string place = place_text(outcome);
    log::error("worker", "Hard time limit ({}s) exceeded for {}{}", in_seconds(outcome.time_limit),
               name, place.empty() ? "; it did not say where it was" : ":" + place);
}

}  // namespace

void log_outcome(const TaskRequest& request, const TaskOutcome& outcome) {
    // Most tasks succeed, and often nobody reads it.
    if (outcome.ending == Ending::succeeded && !log::enabled(log::Level::info)) return;
    const std::string name =
        fmt::format("{}[{}]", request.message.display_name(), request.message.id);
    switch (outcome.ending) {
        case Ending::succeeded:
            return log::info("worker", "Task {} succeeded in {:.6f}s: {}", name,
                             in_seconds(outcome.ended - outcome.started),
                             python_repr(outcome.value, 128));
        case Ending::failed:
            return log::error("worker", "Task {} raised unexpected: {}", name,
                              exception_text(outcome));
        case Ending::retry:
            return log::info("worker", "Task {} retry: {}", name, outcome.reason);
        case Ending::ignored:
            return log::info("worker", "Task {} ignored", name);
        case Ending::rejected:
            return log::warning("worker", "Task {} rejected: {}", name, outcome.reason);
        case Ending::requeued:
            return log::info("worker", "Task {} gave its message back: {}", name, outcome.reason);
        case Ending::revoked:
            return log::info("worker", "Discarding {} task: {}{}{}", outcome.reason, name,
                             outcome.failure ? ", " + outcome.failure->exc_message : "",
                             place_text(outcome));
        case Ending::timed_out:
            return log_timed_out(name, outcome);
        case Ending::slot_lost:
            return log::error("worker", "Task {} lost its slot: {}{}", name,
                              exception_text(outcome), place_text(outcome));
    }
}

}  // namespace lovage
