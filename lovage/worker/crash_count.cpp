#include <lovage/worker/crash_count.hpp>

#include <lovage/runtime/log.hpp>

#include <algorithm>

namespace lovage {

namespace {

using namespace std::chrono_literals;

constexpr auto kCountAttempt = 5s;
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
    return times;
}

std::vector<std::int64_t> with_crash(std::vector<std::int64_t> times, TimePoint crash, bool once) {
    const std::int64_t time = milliseconds(crash);
    if (once && std::ranges::find(times, time) != times.end()) return times;
    if (times.size() >= kTimesMost) times.erase(times.begin(), times.end() - (kTimesMost - 1));
    times.push_back(time);
    return times;
}

}  // namespace detail

Awaitable<Result<std::size_t>> CrashCount::add(std::string task_id, TimePoint crash, TimePoint now,
                                               bool once) {
    const Deadline deadline = Deadline::in(kCountAttempt);
    const std::string key = key_of(task_id);
    Error problem{Errc::conflict, "others write the same account all the time"};
    for (int attempt = 0; attempt < kTries; ++attempt) {
        auto entry = co_await core_.state().get(key, deadline);
        if (!entry) co_return std::unexpected{std::move(entry.error())};
        const std::uint64_t version = *entry ? (*entry)->version : 0;
        const auto before = detail::crash_times(*entry ? (*entry)->value : "[]", now);
        const auto times = detail::with_crash(before, crash, once);
        if (times == before) co_return times.size();
        auto stored = co_await core_.state().compare_and_set(key, version, text_of(times),
                                                             kCrashWindow, deadline);
        if (stored) co_return times.size();
        problem = std::move(stored.error());
        if (problem.code != Errc::conflict) break;
    }
    co_return std::unexpected{std::move(problem)};
}

Awaitable<std::size_t> CrashCount::charge(std::string task_id, std::size_t known, TimePoint now) {
    const auto count = co_await add(task_id, now, now, false);
    if (count) co_return *count;
    log::warning("worker", "Task {}: its crashes cannot be counted in the state store: {}", task_id,
                 count.error().message());
    co_return known + 1;
}

Awaitable<Result<std::size_t>> CrashCount::charge_attempt(std::string task_id, TimePoint started,
                                                          TimePoint now) {
    return add(std::move(task_id), started, now, true);
}

Awaitable<std::vector<std::size_t>> CrashCount::look_up(std::vector<std::string> task_ids,
                                                        TimePoint now) {
    std::vector<std::size_t> counts(task_ids.size(), 0);
    for (std::string& id : task_ids) id = key_of(id);
    const auto found =
        co_await core_.state().get_many(std::move(task_ids), Deadline::in(kCountAttempt));
    if (!found) {
        log::warning("worker", "crash counts could not be read ({}): tasks run unchecked",
                     found.error().message());
        co_return counts;
    }
    for (std::size_t i = 0; i < found->size(); ++i) {
        if ((*found)[i]) counts[i] = detail::crash_times((*found)[i]->value, now).size();
    }
    co_return counts;
}

Awaitable<Result<void>> CrashCount::forget(std::string task_id) {
    const Deadline deadline = Deadline::in(kCountAttempt);
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
