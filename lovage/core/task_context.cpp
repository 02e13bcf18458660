#include <lovage/core/task_context.hpp>

#include <array>
#include <stdexcept>
#include <string_view>

#include <lovage/core/replace.hpp>
#include <lovage/core/result_tuple.hpp>
#include <lovage/core/task_meta.hpp>

namespace lovage {

namespace {

thread_local TaskContext* current_context = nullptr;

constexpr std::uint8_t kToldOfLimit = 1;

constexpr std::uint8_t bit(StopReason reason) {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(reason));
}
static_assert(bit(StopReason::soft_time_limit) != kToldOfLimit);

/// Its routing key has to fit into AMQP's 255 bytes.
constexpr std::size_t kEventTypeBytesMax = 200;
/// Wire: those of Celery's events.
constexpr std::array<std::string_view, 7> kFieldsOfEveryEvent{
    "type", "uuid", "hostname", "timestamp", "clock", "utcoffset", "pid"};

void check_retry(const RetryOptions& options) {
    if (options.countdown && options.eta) {
        throw std::invalid_argument{"retry(): give countdown or eta, not both"};
    }
    if (options.args && options.args->python_type_name() != "list") {
        throw std::invalid_argument{"retry(): args must be a list"};
    }
    if (options.kwargs && options.kwargs->python_type_name() != "dict") {
        throw std::invalid_argument{"retry(): kwargs must be a map"};
    }
}

void check(std::string_view what, const Result<void>& fine) {
    if (!fine) throw std::invalid_argument{std::string{what} + ": " + fine.error().detail};
}

}  // namespace

void TaskContext::retry(RetryOptions options) const {
    check_retry(options);
    if (!options.cause) options.cause = std::current_exception();
    if (request_.retry_policy.used_up(request_.retries, options.max_retries)) {
        if (options.cause) std::rethrow_exception(options.cause);
        // Wire: Celery's text.
        throw MaxRetriesExceededError{"Can't retry " + request_.task + "[" + request_.id +
                                      "] args:" + request_.argsrepr +
                                      " kwargs:" + request_.kwargsrepr};
    }
    if (!options.countdown && !options.eta) {
        options.countdown = request_.retry_policy.default_retry_delay;
    }
    throw Retry{options.countdown, options.eta, std::move(options.args), std::move(options.kwargs),
                std::move(options.cause)};
}

void TaskContext::replace(const Signature& signature) const {
    check("replace()", check_replacement(signature));
    throw Replace{signature};
}

std::string TaskContext::add_to_chord(Signature signature) {
    if (!request_.in_chord) {
        // Wire: Celery's text.
        throw std::invalid_argument{"Current task is not member of any chord"};
    }
    check("add_to_chord()", check_replacement(signature));
    const std::lock_guard lock{mutex_};
    std::string id = chord_addition_id(request_.id, request_.replaced_task_nesting, added_.size());
    added_.push_back({id, std::move(signature)});
    return id;
}

std::vector<TaskContext::ChordAddition> TaskContext::chord_additions() const {
    const std::lock_guard lock{mutex_};
    return added_;
}

void TaskContext::update_state(std::string state, Json meta) {
    if (state.empty() || states::is_ready(state) || state == states::kRetry) {
        throw std::invalid_argument{"update_state(): '" + state +
                                    "' is no state that a running task can be in"};
    }
    if (report_) report_(std::move(state), std::move(meta));
}

void TaskContext::send_event(std::string type, Json fields) {
    if (type.empty() || type.size() > kEventTypeBytesMax) {
        throw std::invalid_argument{"send_event(): a type has 1 to 200 bytes"};
    }
    auto map = fields.expanded();  // it may have come as text
    if (!map || !map->is_object()) {
        throw std::invalid_argument{"send_event(): the fields are no map"};
    }
    for (const std::string_view name : kFieldsOfEveryEvent) {
        if (map->find(name) == nullptr) continue;
        throw std::invalid_argument{"send_event(): every event has a field '" + std::string{name} +
                                    "' already"};
    }
    if (event_sink_) event_sink_->send(request_.id, std::move(type), std::move(*map));
}

void TaskContext::request_stop(StopReason reason) noexcept {
    stops_.fetch_or(bit(reason));
    stop_.request_stop();
    const std::lock_guard lock{mutex_};
    if (stop_notice_) stop_notice_();
}

TaskContext::StopNotice::StopNotice(TaskContext& context, std::function<void()> notice)
    : context_{context} {
    const std::lock_guard lock{context_.mutex_};
    context_.stop_notice_ = std::move(notice);
    if (context_.stops_.load() != 0) context_.stop_notice_();
}

TaskContext::StopNotice::~StopNotice() {
    const std::lock_guard lock{context_.mutex_};
    context_.stop_notice_ = nullptr;
}

StopReason TaskContext::stop_reason() const noexcept {
    const std::uint8_t stops = stops_.load();
    for (const auto reason :
         {StopReason::terminated, StopReason::shutdown, StopReason::soft_time_limit}) {
        if ((stops & bit(reason)) != 0) return reason;
    }
    return StopReason::none;
}

void TaskContext::checkpoint() {
    switch (const StopReason reason = stop_reason()) {
        case StopReason::none:
            return;
        case StopReason::soft_time_limit:
            if ((stops_.fetch_or(kToldOfLimit) & kToldOfLimit) == 0) throw SoftTimeLimitExceeded{};
            return;
        case StopReason::terminated:
        case StopReason::shutdown:
            throw TaskStopped{reason};
    }
}

void TaskContext::Trail::add(std::string task_id) {
    add_result(to_json_text(task_result_tuple(std::move(task_id))));
}

void TaskContext::Trail::add_result(std::string result) {
    const std::lock_guard lock{mutex_};
    if (known_.insert(result).second) results_.push_back(std::move(result));
}

std::vector<std::string> TaskContext::Trail::results() const {
    const std::lock_guard lock{mutex_};
    return results_;
}

TaskContext* TaskContext::current() noexcept {
    return current_context;
}

TaskContext::Scope::Scope(TaskContext& context) noexcept
    : previous_{std::exchange(current_context, &context)} {}

TaskContext::Scope::~Scope() {
    current_context = previous_;
}

}  // namespace lovage
