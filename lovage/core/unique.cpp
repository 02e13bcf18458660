#include <lovage/core/unique.hpp>

#include <lovage/core/task_definition.hpp>

#include <algorithm>
#include <array>

namespace lovage {

namespace {

using std::chrono::milliseconds;

constexpr std::array kCounting{states::kPending, states::kStarted, states::kRetry, states::kSuccess,
                               states::kFailure};

std::uint8_t bit_of(std::string_view state) noexcept {
    const auto* const found = std::ranges::find(kCounting, state);
    if (found == kCounting.end()) return 0;
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(found - kCounting.begin()));
}

std::int64_t to_milliseconds(TimePoint time) {
    return std::chrono::floor<milliseconds>(time).time_since_epoch().count();
}

/// Nothing for a number that is no time of ours.
std::optional<TimePoint> from_milliseconds(const Json* number) {
    constexpr std::int64_t kYear9999 = 253'402'300'799'000;
    if (number == nullptr || !number->is_integer()) return std::nullopt;
    const auto count = number->as_int64();
    if (!count || *count < 0 || *count > kYear9999) return std::nullopt;
    return TimePoint{milliseconds{*count}};
}

const std::string* text_in(const Json& record, std::string_view name) {
    const Json* const member = record.find(name);
    return member != nullptr && member->is_string() ? &member->as_string() : nullptr;
}

}  // namespace

bool UniqueCall::counts(std::string_view state) const noexcept {
    return (states & bit_of(state)) != 0;
}

std::optional<std::uint8_t> unique_states(const std::vector<std::string_view>& states) noexcept {
    std::uint8_t bits = 0;
    for (const std::string_view state : states) {
        const std::uint8_t bit = bit_of(state);
        if (bit == 0) return std::nullopt;
        bits |= bit;
    }
    if (bits == 0) return std::nullopt;
    return bits;
}

std::optional<UniqueCall> unique_call(const TaskDefinition& task, const Json& args,
                                      const Json& kwargs, TimePoint sent) {
    const auto& unique = task.options.unique;
    if (!unique) return std::nullopt;
    const auto key = key_of_call(task, unique->key, true, args, kwargs);
    if (!key) return std::nullopt;
    return UniqueCall{"unique/" + task.name + "/" + *key, unique_states(unique->states).value_or(0),
                      unique->period, sent};
}

std::optional<TimePoint> sent_time(const Json& user_headers) {
    return from_milliseconds(user_headers.find(kSentHeader));
}

std::string UniqueRecord::to_text() const {
    return to_json_text(Json::object({{"task_id", task_id},
                                      {"state", state},
                                      {"sent", to_milliseconds(sent)},
                                      {"holder", holder}}),
                        JsonStyle::compact);
}

std::optional<UniqueRecord> UniqueRecord::from_text(std::string_view text) {
    const auto record = parse_json(text, {.depth = 2, .bytes = 4096});
    if (!record) return std::nullopt;
    const std::string* const task_id = text_in(*record, "task_id");
    const std::string* const state = text_in(*record, "state");
    const std::string* const holder = text_in(*record, "holder");
    const auto sent = from_milliseconds(record->find("sent"));
    if (task_id == nullptr || state == nullptr || holder == nullptr || !sent) return std::nullopt;
    return UniqueRecord{*task_id, *state, *sent, *holder};
}

Standing judge(const std::optional<UniqueRecord>& record, const UniqueCall& call,
               std::string_view task_id) noexcept {
    if (!record) return Standing::free;
    if (record->task_id == task_id) return Standing::ours;
    // Either may have been sent first: messages overtake each other, and clocks differ.
    if (call.period && std::chrono::abs(call.sent - record->sent) >= *call.period) {
        return Standing::free;
    }
    if (record->state == UniqueRecord::kSending) return Standing::being_sent;
    return call.counts(record->state) ? Standing::taken : Standing::free;
}

bool is_stale(const UniqueRecord& record, const UniqueCall& call,
              std::string_view result_state) noexcept {
    if (!states::is_ready(result_state) || call.counts(result_state)) return false;
    return result_state != states::kRevoked || record.state != states::kStarted;
}

std::optional<milliseconds> unique_lifetime(const UniqueCall& call, milliseconds keep,
                                            TimePoint now, std::optional<TimePoint> due) {
    if (!call.period) {
        const auto wait = due ? *due - now : TimePoint::duration::zero();
        return keep + std::chrono::ceil<milliseconds>(std::max(wait, TimePoint::duration::zero()));
    }
    // No longer than the period, even when a clock was set back.
    const auto rest = std::chrono::ceil<milliseconds>(call.sent + *call.period - now);
    if (rest <= milliseconds::zero()) return std::nullopt;
    return std::min(rest, *call.period);
}

}  // namespace lovage
