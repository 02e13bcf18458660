#pragma once

#include <lovage/beat/detail/test_entries.hpp>
#include <lovage/beat/schedule_json.hpp>
#include <lovage/beat/scheduler.hpp>
#include <lovage/results/memory/memory_state_store.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/loop.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <tests/support/metric_value.hpp>
#include <tests/support/wrapped_state_store.hpp>

/// Schedulers on a clock, a state store and a broker of the test's own.
namespace lovage::testing_support {

using namespace std::chrono_literals;

/// What a killed process does: nothing any more.
struct Killed : std::runtime_error {
    Killed() : std::runtime_error{"killed"} {}
};

/// Where a process is killed: before or after one of its next steps, which are writes to the state
/// store and sends.
class Fate {
public:
    void kill_before(int step) { left_ = 2 * step; }
    void kill_after(int step) { left_ = 2 * step + 1; }
    void spare() { left_ = -1; }
    void pass() {
        if (left_ >= 0 && left_-- == 0) throw Killed{};
    }

private:
    int left_ = -1;
};

/// The connection of one process, which may be killed at a write.
class MortalStore final : public WrappedStateStore {
public:
    MortalStore(StateStore& store, Fate& fate) : WrappedStateStore{store}, fate_{fate} {}

    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline deadline) override {
        auto found = co_await WrappedStateStore::get(std::move(key), deadline);
        if (const auto meddle = std::exchange(after_get, nullptr)) co_await meddle();
        co_return found;
    }
    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        fate_.pass();
        if (away) co_return fail(Errc::disconnected, "away");
        auto written = co_await WrappedStateStore::compare_and_set(std::move(key), expected,
                                                                   std::move(value), ttl, deadline);
        fate_.pass();
        if (after_write) co_await after_write();
        co_return written;
    }

    bool away = false;
    /// What another process does, once, right after something was read.
    std::function<Awaitable<void>()> after_get;
    /// What happens during every write.
    std::function<Awaitable<void>()> after_write;

private:
    Fate& fate_;
};

/// Messages that reached the broker: how often each id came.
struct Ledger {
    std::map<std::string, int> messages;
    std::vector<std::string> order;  ///< "entry@10:00"
    int attempts = 0;
    std::optional<Error> refuses;
    bool loses_answers = false;
    /// What happens while a message is on its way, but not while it happens.
    std::function<Awaitable<void>(Firing)> meanwhile;

    [[nodiscard]] int duplicates() const {
        int count = 0;
        for (const auto& [id, times] : messages) count += times - 1;
        return count;
    }
};

inline Awaitable<Result<void>> deliver(Ledger* ledger, Fate* fate, Firing firing) {
    fate->pass();
    ++ledger->attempts;
    if (ledger->refuses) co_return std::unexpected{*ledger->refuses};
    if (ledger->messages[firing.task_id]++ == 0) {
        ledger->order.push_back(firing.entry.name + '@' + to_iso8601(firing.time).substr(11, 5));
    }
    if (auto meanwhile = std::exchange(ledger->meanwhile, nullptr)) {
        co_await meanwhile(firing);
        ledger->meanwhile = std::move(meanwhile);
    }
    fate->pass();
    if (ledger->loses_answers) co_return fail(Errc::unknown_outcome, "no answer");
    co_return Result<void>{};
}

/// A state store, a broker's ledger and a clock that several beats share.
class SchedulerTest : public testing::Test {
protected:
    /// One process with a beat.
    struct Beat {
        Fate fate;
        MortalStore store;
        Scheduler scheduler;
        Beat(SchedulerTest& test, std::vector<ScheduleEntry> entries, std::string holder)
            : store{*test.store_, fate},
              scheduler{store,
                        std::move(entries),
                        {.schedule = "app",
                         .holder = std::move(holder),
                         .zone = {},
                         .now = [&test] { return test.now_; },
                         .stopping = [&test] { return test.stopping_; }},
                        [this, &test](Firing firing) {
                            return deliver(&test.ledger_, &fate, std::move(firing));
                        }} {}
    };

    SchedulerTest() {
        log::configure({.level = log::Level::off});
        loop_.start();
        MemoryStateOptions options;
        options.since_boot = [this] { return boot_; };
        store_ = make_memory_state_store(loop_.executor(), "memory://scheduler-test", options);
    }
    ~SchedulerTest() override { loop_.stop_and_join(); }

    std::unique_ptr<Beat> start(std::vector<ScheduleEntry> entries) {
        return std::make_unique<Beat>(*this, std::move(entries),
                                      "beat-" + std::to_string(++started_));
    }
    void advance(std::chrono::milliseconds by) {
        now_.wall += by;
        now_.steady += by;
        boot_ += by;
    }
    void go_to(std::string_view when) {
        advance(std::chrono::floor<std::chrono::milliseconds>(at(when) - now_.wall));
    }
    Result<std::chrono::microseconds> tick(Beat& beat) {
        return loop_.run_blocking(beat.scheduler.tick());
    }
    /// Two seconds pass, and `other` looks whether it is to lead.
    static Awaitable<void> pass_time(SchedulerTest* test, Beat* other) {
        test->advance(2s);
        (void)co_await other->scheduler.tick();
    }
    static Awaitable<void> lose_store(MortalStore* store) {
        store->away = true;
        co_return;
    }
    static Awaitable<void> change_entry(ScheduleStore* schedule, ScheduleEntry entry) {
        (void)co_await schedule->put(std::move(entry), Deadline::in(5s));
    }
    static Awaitable<void> ask_to_stop(SchedulerTest* test) {
        test->stopping_ = true;
        co_return;
    }
    /// Another beat notes a pending time as sent.
    static Awaitable<void> note_as_sent(StateStore* store, std::string key) {
        const auto found = value_or_throw(co_await store->get(key, Deadline::in(5s)));
        EntryState state = value_or_throw(read_entry_state(found.value().value));
        state.pending.reset();
        value_or_throw(co_await store->compare_and_set(
            key, found.value().version, write_entry_state(state), std::nullopt, Deadline::in(5s)));
    }
    /// False: it was killed.
    bool survives(Beat& beat) {
        try {
            (void)tick(beat);
            return true;
        } catch (const Killed&) {
            return false;
        }
    }
    EntryState stored(const std::string& name) {
        const auto found =
            loop_.run_blocking(store_->get(ScheduleKeys{"app"}.states() + name, Deadline::in(5s)));
        return value_or_throw(read_entry_state(found.value().value().value));
    }
    /// What the process says of itself: the value of a series of the schedule, 0 without one.
    /// `labels` as Prometheus writes them, besides the schedule's.
    static double metric(const std::string& name, const std::string& labels = "") {
        return metric_value(name + '{' + labels + R"(schedule="app"})").value_or(0);
    }
    void write(const std::string& key, const std::string& value) {
        const auto found = loop_.run_blocking(store_->get(key, Deadline::in(5s)));
        const std::uint64_t version = found->has_value() ? (*found)->version : 0;
        ASSERT_TRUE(loop_.run_blocking(
            store_->compare_and_set(key, version, value, std::nullopt, Deadline::in(5s))));
    }

    Loop loop_{"scheduler-test"};
    std::chrono::milliseconds boot_{1h};
    BeatMoment now_{at("2026-01-01T10:00:00Z"), Deadline::Clock::time_point{1h}};
    std::unique_ptr<StateStore> store_;
    Ledger ledger_;
    int started_ = 0;
    bool stopping_ = false;
};

}  // namespace lovage::testing_support
