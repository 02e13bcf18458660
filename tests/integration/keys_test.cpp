// Concurrency limits per key, and unique tasks: several workers, one state store.

#include "both_stacks.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include <lovage/core/task_message.hpp>
#include <lovage/core/unique.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using Clock = std::chrono::steady_clock;
using testing::HasSubstr;
using testing::SizeIs;

/// Tasks that are held until the test lets them go; any thread.
class Barrier {
public:
    /// A task that came in.
    void pass(const std::string& key) {
        std::unique_lock lock{mutex_};
        ++inside_[key];
        most_[key] = std::max(most_[key], inside_[key]);
        ++passed_;
        changed_.notify_all();
        (void)changed_.wait_for(lock, 2 * kLong, [&] { return open_ || tickets_ > 0; });
        if (!open_) --tickets_;
        --inside_[key];
    }
    void open() {
        const std::lock_guard lock{mutex_};
        open_ = true;
        changed_.notify_all();
    }
    /// Lets one task go.
    void let_one_go() {
        const std::lock_guard lock{mutex_};
        ++tickets_;
        changed_.notify_all();
    }
    /// Waits until so many tasks have come in.
    [[nodiscard]] bool wait_for(int passed) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, kLong, [&] { return passed_ >= passed; });
    }
    [[nodiscard]] int passed() const {
        const std::lock_guard lock{mutex_};
        return passed_;
    }
    /// How many of that key were inside at a time, at most.
    [[nodiscard]] int most(const std::string& key) const {
        const std::lock_guard lock{mutex_};
        const auto found = most_.find(key);
        return found == most_.end() ? 0 : found->second;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, int> inside_;
    std::map<std::string, int> most_;
    int passed_ = 0;
    int tickets_ = 0;
    bool open_ = false;
};

class ConcurrencyLimits : public BothStacks {
protected:
    /// An app, as in a process of its own, whose tasks go through the barrier.
    struct Program {
        Program(const Settings& settings, Barrier& barrier, std::size_t most)
            : app{"test", settings},
              limited{app.task(
                  "limited", [&barrier](const std::string& key, int) { barrier.pass(key); },
                  arg("key"), arg("n") = 0)},
              quick{app.task("quick", [] {})} {
            limited.concurrency_limit(most, per("key"));
        }
        App app;
        Task<void, std::tuple<std::string, int>, 1> limited;
        Task<void, std::tuple<>, 0> quick;
    };

    Barrier barrier_;
};
LOVAGE_ON_BOTH_BROKERS(ConcurrencyLimits);

TEST_P(ConcurrencyLimits, HoldInAllWorkersTogether) {
    Program one{settings_, barrier_, 2};
    Program two{settings_, barrier_, 2};
    const RunningWorker first{one.app, 8};
    const RunningWorker second{two.app, 8};
    std::vector<AsyncResult<void>> results;
    for (int n = 0; n < 8; ++n) {
        for (const char* const key : {"a", "b"}) results.push_back(one.limited.delay(key, n));
    }
    ASSERT_TRUE(barrier_.wait_for(4));
    // Nobody waits for those that wait.
    for (int n = 0; n < 20; ++n) one.quick.delay().get(kLong);
    EXPECT_EQ(barrier_.passed(), 4);
    for (int n = 0; n < 4; ++n) barrier_.let_one_go();
    ASSERT_TRUE(barrier_.wait_for(8));
    barrier_.open();
    for (const auto& each : results) each.get(kLong);
    EXPECT_EQ(barrier_.passed(), 16);
    EXPECT_EQ(barrier_.most("a"), 2);
    EXPECT_EQ(barrier_.most("b"), 2);
}

TEST_P(ConcurrencyLimits, APlaceThatComesBackGoesToTheNextAtOnce) {
    Program program{settings_, barrier_, 1};
    barrier_.open();
    const RunningWorker worker{program.app, 4};
    std::vector<AsyncResult<void>> results;
    const auto begin = Clock::now();
    for (int n = 0; n < 50; ++n) results.push_back(program.limited.delay("a", n));
    for (const auto& each : results) each.get(kLong);
    // Those that learn of a free place by asking for one do so once a second.
    EXPECT_LE(Clock::now() - begin, 40s);
    EXPECT_EQ(barrier_.most("a"), 1);
}

TEST_P(ConcurrencyLimits, AnotherWorkerFindsThePlaceThatIsFree) {
    Program one{settings_, barrier_, 1};
    Program two{settings_, barrier_, 1};
    std::optional<RunningWorker> first{std::in_place, one.app};
    const auto held = one.limited.delay("a", 1);
    ASSERT_TRUE(barrier_.wait_for(1));
    const RunningWorker second{two.app};
    const auto waiting = one.limited.delay("a", 2);
    first->request_stop();  // from here on it takes nothing more, but its task goes on
    two.quick.delay().get(kLong);
    EXPECT_EQ(barrier_.passed(), 1);
    barrier_.let_one_go();
    held.get(kLong);
    ASSERT_TRUE(barrier_.wait_for(2));
    barrier_.open();
    waiting.get(kLong);
    EXPECT_EQ(barrier_.most("a"), 1);
}

TEST_P(ConcurrencyLimits, AWorkerWithManyTasksLeavesAPlaceToAnother) {
    constexpr int kMany = 500;
    std::atomic<int> runs{0};
    const auto define = [&](App& app) {
        auto task = app.task("work", [&] {
            ++runs;
            std::this_thread::sleep_for(30ms);  // what it does
        });
        task.concurrency_limit(1);
        return task;
    };
    App busy{"test", settings_};
    const auto here = define(busy);
    settings_.task_default_queue = "other";
    App other{"test", settings_};
    const auto there = define(other);
    for (int n = 0; n < kMany; ++n) here.delay();
    RunningWorker first{busy, 2};
    const RunningWorker second{other, 2};
    there.delay().get(2 * kLong);
    EXPECT_LT(runs, kMany);
    first.request_stop();
    EXPECT_TRUE(first.wait_stopped());
}

TEST_P(ConcurrencyLimits, ALeaseIsRenewedWhileATaskRuns) {
    settings_.worker_lease = 3s;
    Program one{settings_, barrier_, 1};
    settings_.task_default_queue = "other";
    Program two{settings_, barrier_, 1};
    const RunningWorker first{one.app, 2};
    const RunningWorker second{two.app, 2};
    const auto held = one.limited.delay("a", 1);
    ASSERT_TRUE(barrier_.wait_for(1));
    const auto waiting = two.limited.delay("a", 2);
    // Other tasks go through for longer than a lease lasts.
    const auto until = Clock::now() + 4500ms;
    while (Clock::now() < until) two.quick.delay().get(kLong);
    EXPECT_EQ(barrier_.passed(), 1);
    barrier_.open();
    held.get(kLong);
    waiting.get(kLong);
    EXPECT_EQ(barrier_.most("a"), 1);
}

TEST_P(ConcurrencyLimits, TasksInLineCanBeRevokedAndGoBackWhenTheWorkerStops) {
    Program program{settings_, barrier_, 1};
    RunningWorker worker{program.app, 4};
    const auto held = program.limited.delay("a", 0);
    ASSERT_TRUE(barrier_.wait_for(1));
    const auto unwanted = program.limited.delay("a", 1);
    std::vector<AsyncResult<void>> others;
    for (int n = 2; n < 5; ++n) others.push_back(program.limited.delay("a", n));
    unwanted.revoke();
    barrier_.let_one_go();
    held.get(kLong);
    ASSERT_TRUE(barrier_.wait_for(2));
    worker.request_stop();
    barrier_.open();
    EXPECT_TRUE(worker.wait_stopped());
    EXPECT_EQ(unwanted.wait(kLong).status, "REVOKED");
    // None is lost, and no place stays taken.
    const RunningWorker successor{program.app, 4};
    for (const auto& each : others) each.get(kLong);
    EXPECT_EQ(messages_in(program.app, "celery"), 0U);
    EXPECT_EQ(barrier_.passed(), 4);
}

TEST_P(ConcurrencyLimits, WhatFindsNoRoomComesBackFromTheBroker) {
    settings_.worker_eta_task_limit = 2;
    Program program{settings_, barrier_, 1};
    const RunningWorker worker{program.app, 2};
    std::vector<AsyncResult<void>> results;
    for (int n = 0; n < 10; ++n) results.push_back(program.limited.delay("a", n));
    ASSERT_TRUE(barrier_.wait_for(1));
    program.quick.delay().get(kLong);
    barrier_.open();
    for (const auto& each : results) each.get(2 * kLong);
    EXPECT_EQ(barrier_.most("a"), 1);
}

TEST_P(ConcurrencyLimits, ATaskThatFailsOrAsksAgainGivesItsPlaceBack) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    auto stubborn = app.task("stubborn", [&](TaskContext& context) {
        if (++runs <= 2) context.retry({.countdown = 10ms});
        throw std::invalid_argument{"no"};
    });
    stubborn.concurrency_limit(1);
    const RunningWorker worker{app, 2};
    EXPECT_EQ(stubborn.delay().wait(kLong).status, "FAILURE");
    EXPECT_EQ(runs, 3);
    EXPECT_EQ(stubborn.delay().wait(kLong).status, "FAILURE");
}

TEST_P(ConcurrencyLimits, TasksThatWaitForAPlaceTakeNoTurnsUnderARateLimit) {
    Program program{settings_, barrier_, 1};
    program.limited.rate_limit("1/s");
    const RunningWorker worker{program.app, 4};
    const auto first = program.limited.delay("a", 0);
    ASSERT_TRUE(barrier_.wait_for(1));
    // Half a minute of turns.
    for (int n = 1; n <= 30; ++n) program.limited.delay("a", n);
    program.quick.delay().get(kLong);  // they have all been looked at
    const auto begin = Clock::now();
    const auto other = program.limited.delay("b", 0);
    ASSERT_TRUE(barrier_.wait_for(2));
    EXPECT_LE(Clock::now() - begin, 15s);
    EXPECT_EQ(barrier_.most("b"), 1);
    // A place that comes back is taken at the next turn.
    barrier_.let_one_go();
    barrier_.let_one_go();
    first.get(kLong);
    other.get(kLong);
    EXPECT_TRUE(barrier_.wait_for(3));
    EXPECT_LE(Clock::now() - begin, 25s);
    barrier_.open();
}

TEST_P(ConcurrencyLimits, KeysAreMadeByFunctionsToo) {
    App app{"test", settings_};
    auto task = app.task(
        "fetch", [&](const std::string& url) { barrier_.pass(url.substr(0, 1)); }, arg("url"));
    task.concurrency_limit(1, [](const std::string& url) { return url.substr(0, 1); });
    const RunningWorker worker{app, 4};
    std::vector<AsyncResult<void>> results;
    for (const char* const url : {"a/1", "a/2", "b/1"}) results.push_back(task.delay(url));
    ASSERT_TRUE(barrier_.wait_for(2));
    barrier_.open();
    for (const auto& each : results) each.get(kLong);
    EXPECT_EQ(barrier_.most("a"), 1);
    EXPECT_EQ(barrier_.most("b"), 1);
}

/// The embedded store is a file, which does not go away.
class ConcurrencyLimitsWithoutAStore : public ConcurrencyLimits {};
INSTANTIATE_TEST_SUITE_P(On, ConcurrencyLimitsWithoutAStore, testing::Values("rabbitmq"),
                         broker_name);

TEST_P(ConcurrencyLimitsWithoutAStore, Wait) {
    Program program{settings_, barrier_, 1};
    barrier_.open();
    std::promise<void> other_ran;
    auto other = program.app.task("other", [&other_ran] { other_ran.set_value(); });
    const RunningWorker worker{program.app};
    program.limited.delay("a", 0).get(kLong);
    redis_->kill();
    const auto waiting = program.limited.delay("a", 1);
    // Sent after it, to the same worker, which has one slot: nobody else waits for the store.
    other.delay();
    ASSERT_EQ(other_ran.get_future().wait_for(2 * kLong), std::future_status::ready);
    EXPECT_EQ(barrier_.passed(), 1) << "nobody knows whether there is a place";
    redis_->start();
    waiting.get(2 * kLong);
    EXPECT_EQ(barrier_.passed(), 2);
}

class UniqueTasks : public BothStacks {
protected:
    /// One whose tasks of the name "unique" go through the barrier.
    struct Program {
        Program(const Settings& settings, Barrier& barrier, Unique rules = {})
            : app{"test", settings},
              unique{app.task(
                  "unique", [&barrier](const std::string& key, int) { barrier.pass(key); },
                  arg("key"), arg("n") = 0)} {
            unique.unique(std::move(rules));
        }
        Sent<void> send(const std::string& key, int n = 0, SendOptions options = {}) {
            return app.core()->loop().run_blocking(unique.send({key, n}, std::move(options)));
        }
        App app;
        Task<void, std::tuple<std::string, int>, 1> unique;
    };

    /// A message as a Python producer sends it, who knows nothing of unique tasks.
    static std::string send_as_python(App& app, const std::string& id, Json args,
                                      std::optional<TimePoint> eta = std::nullopt) {
        TaskMessage message;
        message.id = id;
        message.task = "unique";
        message.args = std::move(args);
        message.eta = eta;
        publish(app, encode_task_message(message));
        return id;
    }

    /// What a sender leaves behind that dies before it says that task `id`, ("a"), was sent: it
    /// lasts four seconds.
    static bool claim(App& app, const std::string& id) {
        const auto call = unique_call(*app.tasks().find("unique"), Json::array({"a"}),
                                      Json::object(), wall_clock_now());
        const UniqueRecord record{id, std::string{UniqueRecord::kSending}, call->sent, "?"};
        const auto write = [](std::shared_ptr<AppCore> core, std::string key,
                              std::string value) -> Awaitable<bool> {
            const Deadline deadline = Deadline::in(5s);
            (void)co_await core->connect(deadline);
            auto written = co_await core->state().compare_and_set(key, 0, value, 4s, deadline);
            co_return written.has_value();
        };
        return app.core()->loop().run_blocking(write(app.core(), call->key, record.to_text()));
    }

    Barrier barrier_;
};
LOVAGE_ON_BOTH_BROKERS(UniqueTasks);

TEST_P(UniqueTasks, AreSentOnceUntilTheyAreOver) {
    Program program{settings_, barrier_};
    const auto first = program.send("a");
    EXPECT_TRUE(first.accepted());
    EXPECT_FALSE(first.duplicate);
    const auto again = program.send("a");
    EXPECT_TRUE(again.accepted());
    EXPECT_TRUE(again.duplicate);
    EXPECT_EQ(again.result.id(), first.result.id());
    EXPECT_FALSE(program.send("a", 1).duplicate) << "its arguments are others";
    {
        const RunningWorker worker{program.app, 2};
        ASSERT_TRUE(barrier_.wait_for(2));
        EXPECT_EQ(program.unique.delay("a").id(), first.result.id()) << "while it runs, too";
        barrier_.open();
        first.result.wait(kLong);
        // It is over when its result is there; its key may be free a moment later.
        const auto next = program.send("a");
        EXPECT_NE(next.result.id(), first.result.id());
        EXPECT_EQ(next.result.wait(kLong).status, "SUCCESS");
    }
    EXPECT_EQ(barrier_.passed(), 3);
    EXPECT_EQ(messages_in(program.app, "celery"), 0U);
}

TEST_P(UniqueTasks, OfSeveralSendersOneIsFirst) {
    constexpr int kSenders = 4;
    constexpr int kRounds = 10;
    std::vector<std::unique_ptr<Program>> programs;
    for (int i = 0; i < kSenders; ++i) {
        programs.push_back(std::make_unique<Program>(settings_, barrier_));
    }
    for (int round = 0; round < kRounds; ++round) {
        std::vector<std::future<std::string>> sending;
        for (const auto& program : programs) {
            sending.push_back(std::async(std::launch::async, [&program, round] {
                return program->unique.delay("round", round).id();
            }));
        }
        std::set<std::string> ids;
        for (auto& each : sending) ids.insert(each.get());
        EXPECT_THAT(ids, SizeIs(1));
    }
    EXPECT_EQ(messages_in(programs[0]->app, "celery"), static_cast<std::uint64_t>(kRounds));
}

TEST_P(UniqueTasks, ADuplicateOfAnotherProducerEndsAtTheWorker) {
    Program program{settings_, barrier_};
    const RunningWorker worker{program.app, 4};
    const auto first = send_as_python(program.app, "py-1", Json::array({"a", 1}));
    ASSERT_TRUE(barrier_.wait_for(1));
    const auto second = send_as_python(program.app, "py-2", Json::array({"a", 1}));
    const TaskMeta meta = program.app.async_result(second).wait(kLong);
    EXPECT_EQ(meta.status, "REVOKED");
    EXPECT_EQ(meta.failure()->exc_type, "TaskRevokedError");
    EXPECT_EQ(meta.failure()->exc_message, "duplicate of py-1");
    EXPECT_EQ(program.send("a", 1).result.id(), first);
    barrier_.open();
    EXPECT_EQ(program.app.async_result(first).wait(kLong).status, "SUCCESS");
    const auto third = send_as_python(program.app, "py-3", Json::array({"a", 1}));
    EXPECT_EQ(program.app.async_result(third).wait(kLong).status, "SUCCESS");
    EXPECT_EQ(barrier_.passed(), 2);
}

TEST_P(UniqueTasks, WaitForTheirTimeWithTheirKey) {
    Program program{settings_, barrier_};
    barrier_.open();
    const RunningWorker worker{program.app, 2};
    const TimePoint soon = wall_clock_now() + 2s;
    const auto first = send_as_python(program.app, "py-1", Json::array({"a"}), soon);
    const auto second = send_as_python(program.app, "py-2", Json::array({"a"}), soon);
    const auto one = program.app.async_result(first);
    const auto two = program.app.async_result(second);
    // Either may come first.
    std::set<std::string> states;
    for (const auto& each : {one, two}) states.insert(each.wait(kLong).status);
    EXPECT_EQ(states, (std::set<std::string>{"REVOKED", "SUCCESS"}));
    EXPECT_EQ(barrier_.passed(), 1);
    const auto later = program.send("b", 0, {.countdown = 1s});
    EXPECT_TRUE(program.send("b").duplicate);
    EXPECT_EQ(later.result.wait(kLong).status, "SUCCESS");
    EXPECT_FALSE(program.send("b").duplicate);
}

TEST_P(UniqueTasks, CountForAPeriodWhenDone) {
    const Unique rules{.key = per("key"),
                       .period = 3s,
                       .states = {states::kPending, states::kStarted, states::kSuccess}};
    Program program{settings_, barrier_, rules};
    barrier_.open();
    const RunningWorker worker{program.app};
    const auto begin = Clock::now();
    const auto first = program.send("a", 1);
    first.result.wait(kLong);
    auto next = program.send("a", 2);
    EXPECT_TRUE(next.duplicate);
    EXPECT_EQ(next.result.id(), first.result.id());
    while (next.duplicate && Clock::now() - begin < kLong) next = program.send("a", 3);
    EXPECT_FALSE(next.duplicate);
    EXPECT_GE(Clock::now() - begin, 2900ms);
    next.result.wait(kLong);
    EXPECT_EQ(barrier_.passed(), 2);
}

TEST_P(UniqueTasks, FreeTheirKeyWhenTheyFailOrAreRevoked) {
    App app{"test", settings_};
    auto refuse = app.task("refuse", [] { throw std::invalid_argument{"no"}; });
    refuse.unique();
    const auto unwanted = refuse.delay();
    EXPECT_EQ(refuse.delay().id(), unwanted.id());
    unwanted.revoke();  // with no worker there
    const auto first = refuse.delay();
    EXPECT_NE(first.id(), unwanted.id());
    const RunningWorker worker{app};
    EXPECT_EQ(first.wait(kLong).status, "FAILURE");
    const auto second = refuse.delay();
    EXPECT_NE(second.id(), first.id());
    EXPECT_EQ(second.wait(kLong).status, "FAILURE");
    EXPECT_EQ(unwanted.wait(kLong).status, "REVOKED");
}

TEST_P(UniqueTasks, KeepTheirKeyWhileTheyAskAgain) {
    App app{"test", settings_};
    std::atomic<int> runs{0};
    std::atomic<bool> stubborn{true};
    auto task = app.task("asks", [&](TaskContext& context) {
        ++runs;
        if (stubborn) context.retry({.countdown = 100ms});
    });
    task.unique().max_retries(std::nullopt);
    const RunningWorker worker{app};
    const auto first = task.delay();
    while (runs < 3) EXPECT_EQ(task.delay().id(), first.id());
    stubborn = false;
    EXPECT_EQ(first.wait(kLong).status, "SUCCESS");
    EXPECT_NE(task.delay().id(), first.id());
}

TEST_P(UniqueTasks, ASenderThatDiedHoldsNobodyUpForLong) {
    Program program{settings_, barrier_};
    barrier_.open();
    EXPECT_TRUE(program.send("other").accepted());  // the queue is there
    ASSERT_TRUE(claim(program.app, "never sent"));
    const auto impatient = program.send("a", 0, {.timeout = 2s});
    EXPECT_EQ(impatient.outcome, SendOutcome::rejected);
    EXPECT_THAT(impatient.error->detail, HasSubstr("never sent"));
    const auto sent = program.send("a");
    EXPECT_TRUE(sent.accepted());
    EXPECT_FALSE(sent.duplicate);
    const RunningWorker worker{program.app};
    EXPECT_EQ(sent.result.wait(kLong).status, "SUCCESS");
}

TEST_P(UniqueTasks, ThatWaitKeepTheirKeyWhenTheirSenderDied) {
    Program program{settings_, barrier_};
    barrier_.open();
    const RunningWorker worker{program.app};
    ASSERT_TRUE(claim(program.app, "sent"));
    send_as_python(program.app, "sent", Json::array({"a"}), wall_clock_now() + 8s);
    const auto until = Clock::now() + 5s;  // longer than the claim lasts
    while (Clock::now() < until) {
        const auto another = program.send("a", 0, {.timeout = 2s});
        EXPECT_TRUE(another.duplicate || !another.accepted());
    }
    EXPECT_EQ(program.send("a").result.id(), "sent");
    EXPECT_EQ(program.app.async_result("sent").wait(kLong).status, "SUCCESS");
    EXPECT_EQ(barrier_.passed(), 1);
}

TEST_P(UniqueTasks, SentAgainUnderTheirIdAreTheSameTask) {
    Program program{settings_, barrier_};
    barrier_.open();
    SendOptions same;
    same.task_id = "the-one";
    EXPECT_FALSE(program.send("a", 0, same).duplicate);
    EXPECT_FALSE(program.send("a", 0, same).duplicate);
    EXPECT_TRUE(program.send("a").duplicate);
    const RunningWorker worker{program.app};
    EXPECT_EQ(program.app.async_result("the-one").wait(kLong).status, "SUCCESS");
}

class UniqueTasksWithoutAStore : public UniqueTasks {};
INSTANTIATE_TEST_SUITE_P(On, UniqueTasksWithoutAStore, testing::Values("rabbitmq"), broker_name);

TEST_P(UniqueTasksWithoutAStore, AreSentWithoutALook) {
    Program program{settings_, barrier_};
    EXPECT_FALSE(program.send("before").duplicate);
    redis_->kill();
    const auto first = program.send("a");
    const auto second = program.send("a");
    EXPECT_TRUE(first.accepted());
    EXPECT_TRUE(second.accepted());
    redis_->start();
    // The worker decides.
    const RunningWorker worker{program.app, 4};
    ASSERT_TRUE(barrier_.wait_for(2));
    const auto running = barrier_.passed();
    auto first_end =
        std::async(std::launch::async, [&] { return first.result.wait(kLong).status; });
    auto second_end =
        std::async(std::launch::async, [&] { return second.result.wait(kLong).status; });
    while (first_end.wait_for(1ms) != std::future_status::ready &&
           second_end.wait_for(1ms) != std::future_status::ready) {
    }
    EXPECT_EQ(barrier_.passed(), running) << "the one that ended first is the duplicate";
    barrier_.open();
    EXPECT_EQ((std::set<std::string>{first_end.get(), second_end.get()}),
              (std::set<std::string>{"REVOKED", "SUCCESS"}));
    EXPECT_EQ(barrier_.passed(), 2);
}

}  // namespace
}  // namespace lovage::integration
