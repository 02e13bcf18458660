#include <lovage/worker/crash_count.hpp>

#include <lovage/runtime/log.hpp>

#include <algorithm>

namespace lovage {

namespace {

using namespace std::chrono_literals;

constexpr auto kAttempt = 5s;
/// Other workers may charge the same task at the same time.
constexpr int kTries = 8;
/// More are not remembered.
constexpr std::size_t kTimesMost = 16;

std::string key_of(const std::string& task_id) {
    return "crashes/" + task_id;
}

std::int64_t milliseconds(TimePoint time) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string text_of(const std::vector<std::int64_t>& times) {
    Json list = Json::array();
    for (const std::int64_t time : times) list.push_back(time);
    return to_json_text(list);
}

}  // namespace

namespace detail {

std::vector<std::int64_t> crash_times(const std::string& stored, TimePoint now) {
    std::vector<std::int64_t> times;
    const auto list = parse_json(stored);
    const std::int64_t oldest = milliseconds(now - kCrashWindow);
    if (list && list->is_array()) {
        for (const Json& time : list->as_array()) {
            const auto value = time.is_integer() ? time.as_int64() : std::nullopt;
            if (value && *value >= oldest) times.push_back(*value);
        }
    }
    if (times.size() >= kTimesMost) times.erase(times.begin(), times.end() - (kTimesMost - 1));
    times.push_back(milliseconds(now));
    return times;
}

}  // namespace detail

Awaitable<std::size_t> CrashCount::charge(std::string task_id, std::size_t known, TimePoint now) {
    const Deadline deadline = Deadline::in(kAttempt);
    const std::string key = key_of(task_id);
    for (int attempt = 0; attempt < kTries; ++attempt) {
        auto entry = co_await core_.state().get(key, deadline);
        if (!entry) {
            log::warning("worker", "Task {}: its crashes cannot be counted in the state store: {}",
                         task_id, entry.error().message());
            break;
        }
        const auto times = detail::crash_times(*entry ? (*entry)->value : "[]", now);
        const std::uint64_t version = *entry ? (*entry)->version : 0;
        auto stored = co_await core_.state().compare_and_set(key, version, text_of(times),
                                                             kCrashWindow, deadline);
        if (stored) co_return times.size();
        if (stored.error().code != Errc::conflict) break;
    }
    co_return known + 1;
}

Awaitable<Result<void>> CrashCount::forget(std::string task_id) {
    const Deadline deadline = Deadline::in(kAttempt);
    auto entry = co_await core_.state().get(key_of(task_id), deadline);
    if (!entry) co_return std::unexpected{std::move(entry.error())};
    if (!*entry) co_return Result<void>{};
    auto erased =
        co_await core_.state().compare_and_erase(key_of(task_id), (*entry)->version, deadline);
    // Whoever changed it meanwhile knows better.
    if (erased || erased.error().code == Errc::conflict) co_return Result<void>{};
    co_return std::unexpected{std::move(erased.error())};
}

std::size_t crashes_of(const Message& message) {
    const auto headers = message.headers.expanded();
    const Json* const crashes = headers ? headers->find(kCrashesHeader) : nullptr;
    if (crashes == nullptr || !crashes->is_integer()) return 0;
    return static_cast<std::size_t>(
        std::clamp<std::int64_t>(crashes->as_int64().value_or(0), 0, 1'000'000));
}

Message with_crashes(const Message& message, std::size_t crashes) {
    Message charged = message;
    auto headers = message.headers.expanded();
    if (headers && headers->is_object()) {
        headers->set(kCrashesHeader, crashes);
        charged.headers = std::move(*headers);
    }
    return charged;
}

}  // namespace lovage
