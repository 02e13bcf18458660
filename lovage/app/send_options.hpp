#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/time.hpp>
#include <lovage/core/trace_context.hpp>

namespace lovage {

/// How one call is sent: Celery's `apply_async` options. What is left out comes from the task, then
/// from the settings.
struct SendOptions {
    std::string queue;
    /// Run no earlier than that long from now. Not together with `eta`.
    std::optional<std::chrono::milliseconds> countdown;
    /// Run no earlier than that moment.
    std::optional<TimePoint> eta;
    /// Do not start later than that long from now, or than that moment: the task ends as REVOKED.
    std::variant<std::monostate, std::chrono::milliseconds, TimePoint> expires;
    /// 0–255, larger is more urgent; honoured by queues declared with a maximum priority.
    std::optional<std::uint8_t> priority;
    /// Limits of one attempt, in place of the task's own: at the soft one the task is told, at the
    /// hard one it is killed (see TaskContext::checkpoint() and the pools). Soft ≤ hard.
    std::optional<std::chrono::milliseconds> time_limit;
    std::optional<std::chrono::milliseconds> soft_time_limit;
    /// User headers, merged into the message's header table.
    Json headers = Json::object();
    /// Stamps of the call, of a canvas of every task in it: names and values that the messages
    /// carry, and by which `revoke_by_stamped_headers` finds them.
    Json stamps = Json::object();
    /// The trace that the call belongs to; inside a task the task's own, unless given. Headers that
    /// name one come first.
    TraceContext trace = {};
    /// Empty: a new UUID4. Sending again with the same id is how an unknown outcome is resolved.
    std::string task_id;
    std::optional<bool> ignore_result;
    /// Longest the send may take; default: the `task_publish_timeout` setting.
    std::optional<std::chrono::milliseconds> timeout;
};

/// What is wrong with these options, if anything; `call` is what is sent, for the message: "task
/// 'add'".
[[nodiscard]] std::optional<Error> problem_with(const SendOptions& options, std::string_view call);
/// The options of a signature that is to be sent like this (celery-wire reference, section 14.1);
/// all but `timeout` and `stamps`, which add_stamps() adds.
[[nodiscard]] Json to_signature_options(const SendOptions& options);

}  // namespace lovage
