// The gate and the keys it holds, with a state store.

#include <lovage/worker/key_gate.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app.hpp>
#include <lovage/core/task_function.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_state_store.hpp>

namespace lovage {
namespace {

/// So many of the next writes throw.
std::atomic<int> writes_that_throw{0};

/// A memory store whose driver throws where it should report.
class ThrowingStore final : public WrappedStateStore {
public:
    using WrappedStateStore::WrappedStateStore;

    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        may_throw();
        co_return co_await WrappedStateStore::compare_and_set(std::move(key), expected,
                                                              std::move(value), ttl, deadline);
    }
    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline deadline) override {
        may_throw();
        co_return co_await WrappedStateStore::compare_and_erase(std::move(key), expected, deadline);
    }

private:
    static void may_throw() {
        if (writes_that_throw > 0 && writes_that_throw-- > 0) throw std::runtime_error{"moody"};
    }
};

Settings throwing_settings() {
    Settings settings = memory_settings();
    register_result_driver("throwing",
                           {[](Executor executor, const std::string& url, const Settings&) {
                                return make_memory_results(std::move(executor), url);
                            },
                            [](Executor executor, const std::string& url, const Settings&) {
                                return std::unique_ptr<StateStore>{std::make_unique<ThrowingStore>(
                                    make_memory_state_store(std::move(executor), url))};
                            }});
    const std::string url = settings.result_backend;
    settings.result_backend = "throwing" + url.substr(std::string{"memory"}.size());
    return settings;
}

class KeyGateStore : public testing::Test {
protected:
    using RequestPtr = KeyGate::RequestPtr;

    KeyGateStore() : app_{"test", throwing_settings()} {
        writes_that_throw = 0;
        definition_ = make_task_definition("task", [] {});
        definition_.options.unique = Unique{};
        definition_.options.concurrency_limit = ConcurrencyLimit{};
        loop().run_blocking(connect(app_.core()));
        loop().call([this] {
            metrics_ = std::make_unique<TaskMetrics>(registry_);
            waiting_ = std::make_unique<WaitingRoom>(
                core(), *metrics_, WaitingRoom::Options{},
                WaitingRoom::Hooks{[]() -> Consumer* { return nullptr; }, [] {}});
            KeyGate::Hooks hooks;
            hooks.start = [this](RequestPtr request) { started_.push_back(std::move(request)); };
            hooks.wait = [](const RequestPtr&) {};
            hooks.duplicate = [this](const RequestPtr&, const std::string& first) {
                duplicates_.push_back(first);
            };
            hooks.leave_turn = [this](TaskRequest&) { ++turns_left_; };
            gate_ = std::make_unique<KeyGate>(core(), *waiting_, "w@test", std::move(hooks));
        });
    }
    ~KeyGateStore() override {
        loop().call([this] { gate_->close(); });
        loop().run_blocking(join(gate_.get()));
        loop().call([this] {
            (void)waiting_->withdraw();
            gate_.reset();
            waiting_.reset();
        });
    }
    static Awaitable<void> connect(std::shared_ptr<AppCore> core) {
        (void)co_await core->connect(Deadline::in(kLong));
    }
    static Awaitable<void> join(KeyGate* gate) {
        EXPECT_TRUE(co_await gate->join(Deadline::in(kLong)));
    }
    AppCore& core() { return *app_.core(); }
    Loop& loop() { return core().loop(); }

    RequestPtr request(const std::string& id) {
        auto request = std::make_shared<TaskRequest>();
        request->message.id = id;
        request->message.task = "task";
        request->definition = &definition_;
        const Json none = Json::array();
        request->unique = unique_call(definition_, none, Json::object(), TimePoint{1s});
        return request;
    }
    /// One that wants a place, and need not be unique.
    RequestPtr limited(const std::string& id) {
        auto wanting = request(id);
        wanting->unique.reset();
        wanting->place = PlaceCall{"concurrency/task/all", 1};
        return wanting;
    }
    /// Yields until the loop says so; kLong bounds it.
    bool becomes(const std::function<bool()>& condition) {
        const Deadline deadline = Deadline::in(kLong);
        bool so = false;
        while (!so && !deadline.passed()) {
            loop().call([&] { so = condition(); });
            std::this_thread::yield();
        }
        return so;
    }
    /// It is about to start; on the loop.
    void come(RequestPtr request) {
        if (!gate_->goes_in_line(request)) gate_->enter(std::move(request), true);
    }
    /// Lets it ask, and waits until it has started.
    [[nodiscard]] bool start(const RequestPtr& request) {
        loop().call([&] { come(request); });
        return becomes([&] { return !started_.empty() && started_.back() == request; });
    }
    void end(const RequestPtr& request, const TaskOutcome& outcome) {
        loop().call([&] { gate_->ended(request, outcome); });
    }
    void settle(const RequestPtr& request, const TaskOutcome* outcome) {
        loop().call([&] { gate_->settled(request, outcome); });
    }
    static TaskOutcome ended(Ending ending) {
        TaskOutcome outcome;
        outcome.ending = ending;
        outcome.started = std::chrono::steady_clock::now();
        return outcome;
    }
    static Awaitable<Result<std::optional<StateEntry>>> look(AppCore* core, std::string key) {
        co_return co_await core->state().get(std::move(key), Deadline::in(kLong));
    }
    /// What the record of such a task says: its id and state; empty when there is none.
    std::string record() {
        const auto entry = loop().run_blocking(look(&core(), request("?")->unique->key)).value();
        if (!entry) return "";
        const auto record = UniqueRecord::from_text(entry->value);
        return record ? record->task_id + " " + record->state : "?";
    }
    bool record_becomes(const std::string& text) {
        const Deadline deadline = Deadline::in(kLong);
        while (record() != text && !deadline.passed()) std::this_thread::yield();
        return record() == text;
    }
    /// What was begun without a wait is done.
    void let_it_work() {
        for (int turn = 0; turn < 20; ++turn) loop().call([] {});
    }

    App app_;
    TaskDefinition definition_;
    metrics::Registry registry_;
    std::unique_ptr<TaskMetrics> metrics_;
    std::unique_ptr<WaitingRoom> waiting_;
    std::unique_ptr<KeyGate> gate_;
    std::vector<RequestPtr> started_;
    std::vector<std::string> duplicates_;
    int turns_left_ = 0;
};

TEST_F(KeyGateStore, AUniqueTaskKeepsItsKeyUntilItsEndIsDurable) {
    const auto first = request("first");
    ASSERT_TRUE(start(first));
    EXPECT_EQ(record(), "first STARTED");
    const TaskOutcome done = ended(Ending::succeeded);
    end(first, done);
    let_it_work();
    EXPECT_EQ(record(), "first STARTED") << "its message may still come again";
    const auto second = request("second");
    loop().call([&] { come(second); });
    EXPECT_TRUE(becomes([&] { return duplicates_ == std::vector<std::string>{"first"}; }));
    settle(first, &done);
    EXPECT_TRUE(record_becomes(""));
}

TEST_F(KeyGateStore, AUniqueTaskThatComesAgainKeepsItsKey) {
    const auto first = request("first");
    ASSERT_TRUE(start(first));
    end(first, ended(Ending::failed));
    settle(first, nullptr);
    EXPECT_TRUE(record_becomes("first PENDING"));
    const auto again = request("first");
    EXPECT_TRUE(start(again));
}

TEST_F(KeyGateStore, AnEndThatTurnsOutAnotherOneCounts) {
    definition_.options.unique->states = {states::kStarted, states::kFailure};
    const auto first = request("first");
    ASSERT_TRUE(start(first));
    end(first, ended(Ending::retry));
    const TaskOutcome failed = ended(Ending::failed);  // the retry could not be sent
    settle(first, &failed);
    EXPECT_TRUE(record_becomes("first FAILURE"));
}

TEST_F(KeyGateStore, ATaskThatDoesNotRunLeavesTheKeyToAnotherMessageOfItsId) {
    const auto running = request("twice");
    ASSERT_TRUE(start(running));
    const auto other = request("twice");
    TaskOutcome revoked;
    revoked.ending = Ending::revoked;
    settle(other, &revoked);
    let_it_work();
    EXPECT_EQ(record(), "twice STARTED");
    end(running, ended(Ending::succeeded));
}

TEST_F(KeyGateStore, ATaskThatDoesNotRunTakesItsSendersRecordAway) {
    const auto write = [](AppCore* core, std::string key) -> Awaitable<void> {
        const UniqueRecord sent{"sent", std::string{states::kPending}, TimePoint{1s}, "a-client"};
        (void)co_await core->state().compare_and_set(std::move(key), 0, sent.to_text(), 1min,
                                                     Deadline::in(kLong));
    };
    const auto unwanted = request("sent");
    loop().run_blocking(write(&core(), unwanted->unique->key));
    ASSERT_EQ(record(), "sent PENDING");
    TaskOutcome revoked;
    revoked.ending = Ending::revoked;
    settle(unwanted, &revoked);
    EXPECT_TRUE(record_becomes(""));
}

TEST_F(KeyGateStore, ADriverThatThrowsDoesNotKeepAPlaceFromTheOthers) {
    const auto first = limited("first");
    ASSERT_TRUE(start(first));
    writes_that_throw = 2;
    end(first, ended(Ending::succeeded));
    EXPECT_TRUE(becomes([] { return writes_that_throw == 0; }));
    const auto second = limited("second");
    loop().call([&] { come(second); });
    EXPECT_TRUE(becomes([&] {
        for (auto& due : waiting_->pop_due(TimePoint{}, std::chrono::steady_clock::now())) {
            come(std::move(due));
        }
        return started_.size() == 2;
    }));
    end(second, ended(Ending::succeeded));
}

TEST_F(KeyGateStore, ATaskWithoutAPlaceLeavesItsTurnToOthers) {
    const auto first = limited("first");
    ASSERT_TRUE(start(first));
    loop().call([&] { come(limited("second")); });
    EXPECT_EQ(turns_left_, 1) << "nobody asks for a place that this worker has";
    EXPECT_EQ(waiting_->held(), 1U);
    end(first, ended(Ending::succeeded));

    const auto take = [](AppCore* core) -> Awaitable<void> {
        (void)co_await core->state().compare_and_set("concurrency/task/elsewhere/0", 0, "another",
                                                     1min, Deadline::in(kLong));
    };
    loop().run_blocking(take(&core()));
    auto third = limited("third");
    third->place->key = "concurrency/task/elsewhere";
    loop().call([&] { come(third); });
    EXPECT_TRUE(becomes([&] { return turns_left_ == 2; })) << "another worker has it";
    EXPECT_TRUE(becomes([&] { return waiting_->held() == 2; }));
}

TEST_F(KeyGateStore, WhatIsNotSettledWhenTheWorkerEndsKeepsItsKeyForWhoGetsTheMessage) {
    const auto first = request("first");
    ASSERT_TRUE(start(first));
    end(first, ended(Ending::succeeded));
    loop().run_blocking(join(gate_.get()));
    EXPECT_EQ(record(), "first PENDING");
}

}  // namespace
}  // namespace lovage
