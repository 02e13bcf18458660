// Chords whose parts or body were left behind, on the embedded memory broker and result backend.

#include <lovage/worker/chord_sweeper.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/core/canvas.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/worker/worker.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/wrapped_broker.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace lovage {
namespace {

using testing::HasSubstr;

constexpr auto kInterval = 150ms;

Signature call_of(const std::string& name, const std::string& id, const std::string& args = "[]") {
    Signature signature;
    signature.task = name;
    signature.args = Json::raw(args);
    signature.options.set("task_id", id);
    return signature;
}
Signature canvas_of(SignatureType type, const std::string& name, std::vector<Signature> tasks) {
    Signature signature;
    signature.task = name;
    signature.type = type;
    set_tasks(signature, tasks);
    return signature;
}
Signature group_of(const std::string& id, std::vector<Signature> tasks) {
    Signature group = canvas_of(SignatureType::group, "celery.group", std::move(tasks));
    group.options.set("task_id", id);
    return group;
}

TaskMeta ended(const std::string& id, const std::string& result,
               std::string_view state = states::kSuccess) {
    TaskMeta meta;
    meta.task_id = id;
    meta.status = std::string{state};
    meta.result = Json::raw(result);
    meta.date_done = "2026-01-01T00:00:00+00:00";
    return meta;
}

Settings swept_settings() {
    Settings settings = memory_settings();
    settings.worker_chord_sweep_interval = kInterval;
    return settings;
}

class ChordSweeperTest : public testing::Test {
protected:
    ChordSweeperTest() { add_tasks(app_); }

    void add_tasks(App& app) {
        app.task(
            "sum",
            [this](TaskContext& context, const std::vector<std::int64_t>& all) {
                std::int64_t sum = 0;
                for (const std::int64_t one : all) sum += one;
                const std::lock_guard lock{mutex_};
                ++runs_[context.id()];
                return sum;
            },
            arg("all"));
        app.task(
            "told",
            [this](const std::string& id) {
                const std::lock_guard lock{mutex_};
                ++runs_["told of " + id];
            },
            arg("id"));
    }
    int runs_of(const std::string& id) {
        const std::lock_guard lock{mutex_};
        return runs_[id];
    }

    template <class Call>
    auto run(Call call) {
        const auto connected = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
            value_or_throw(co_await core->connect(Deadline::in(kLong)));
        };
        app_.core()->loop().run_blocking(connected(app_.core()));
        return value_or_throw(app_.core()->loop().run_blocking(call(app_.core()->results())));
    }
    /// Starts a chord whose parts' messages are lost; its body is "body" + `suffix`.
    void start_without_messages(const Signature& header, const std::string& suffix = "") {
        Signature body = call_of("sum", "body" + suffix);
        body.options.set("link_error",
                         Json{Json::Array{encode_signature(call_of("told", "error" + suffix))}});
        Signature chord = make_chord(header, body);
        CanvasPlanner planner{{{}, {}, wall_clock_now()}};
        value_or_throw(planner.call(chord, {}, Json::object(), "start"));
        const CanvasPlan plan = std::move(planner).take();
        for (const PlannedChord& one : plan.chords) {
            run([&](ResultBackend& results) {
                return results.start_chord({one.group_id, one.size, one.structure, one.watch},
                                           Deadline::in(kLong));
            });
        }
    }
    void store(const TaskMeta& meta) {
        run([&](ResultBackend& results) { return results.store(meta, Deadline::in(kLong)); });
    }
    bool count(const std::string& group, std::int64_t index, const TaskMeta& meta) {
        const ChordPart part{group, index, meta.task_id, meta.status, meta.result};
        return run([&](ResultBackend& results) {
                   return results.add_chord_part(part, Deadline::in(kLong));
               })
            .complete;
    }
    /// Every chord that was due before has been swept by then: twice, one that was begun later was,
    /// and a sweeper's second sweep begins when all of its first is done.
    void wait_for_sweeps() {
        for (int i = 0; i < 2; ++i) {
            const std::string n = " later " + std::to_string(++later_);
            start_without_messages(group_of("g" + n, {call_of("part", "a" + n)}), n);
            EXPECT_TRUE(count("g" + n, 0, ended("a" + n, "1")));
            EXPECT_EQ(value("body" + n), "SUCCESS 1");
        }
    }
    std::string value(const std::string& id) {
        const TaskMeta meta = app_.async_result(id).wait(kLong);
        if (meta.failure()) return meta.failure()->exc_type + ": " + meta.failure()->exc_message;
        return meta.status + " " + to_json_text(meta.result);
    }

    App app_{"test", swept_settings()};
    int later_ = 0;
    std::mutex mutex_;
    std::map<std::string, int> runs_;
};

TEST_F(ChordSweeperTest, ACompleteChordWhoseBodyWasNeverSentGoesOn) {
    start_without_messages(group_of("g", {call_of("part", "a"), call_of("part", "b")}));
    EXPECT_FALSE(count("g", 0, ended("a", "1")));
    EXPECT_TRUE(count("g", 1, ended("b", "2")));  // … and whoever was told died
    RunningWorker worker{app_};
    EXPECT_EQ(value("body"), "SUCCESS 3");
    wait_for_sweeps();
    EXPECT_EQ(runs_of("body"), 1);
    EXPECT_EQ(app_.async_result("body").meta().parent_id, "b");
}

TEST_F(ChordSweeperTest, APartThatWasStoredAndNotCountedIsCounted) {
    start_without_messages(
        group_of("g", {call_of("part", "a"), call_of("part", "b"), call_of("part", "c")}));
    (void)count("g", 2, ended("c", "30"));
    store(ended("a", "10"));
    store(ended("b", "20"));
    RunningWorker worker{app_};
    EXPECT_EQ(value("body"), "SUCCESS 60");
}

TEST_F(ChordSweeperTest, AFailedPartThatWasNotCountedFailsTheBodyOnce) {
    start_without_messages(group_of("g", {call_of("part", "a"), call_of("part", "b")}));
    store(ended("a", R"({"exc_type": "ValueError", "exc_message": ["no"]})", states::kFailure));
    (void)count("g", 1, ended("b", "2"));
    RunningWorker worker{app_};
    EXPECT_EQ(value("body"), "ChordError: Dependency a raised ValueError('no')");
    wait_for_sweeps();
    EXPECT_EQ(runs_of("body"), 0);
    EXPECT_EQ(runs_of("told of body"), 1);
}

TEST_F(ChordSweeperTest, AChainThatEndedBeforeItsLastStepFailsTheChord) {
    Signature chain =
        canvas_of(SignatureType::chain, "celery.chain",
                  {call_of("part", "first"), call_of("part", "middle"), call_of("part", "last")});
    start_without_messages(group_of("g", {chain, call_of("part", "b")}));
    (void)count("g", 1, ended("b", "2"));
    store(ended("first", "1"));
    store(ended("middle", R"({"exc_type": "TaskRevokedError", "exc_message": ["revoked"]})",
                states::kRevoked));
    RunningWorker worker{app_};
    EXPECT_EQ(value("body"), "ChordError: Dependency last raised TaskRevokedError('revoked')");
    EXPECT_EQ(app_.async_result("last").state(), "REVOKED");
}

TEST_F(ChordSweeperTest, AChainThatEndedBeforeItsGroupFailsTheChordOnce) {
    const Signature chain = canvas_of(
        SignatureType::chain, "celery.chain",
        {call_of("part", "x"), group_of("inner", {call_of("part", "a"), call_of("part", "b")})});
    start_without_messages(group_of("g", {chain, call_of("part", "c")}));
    (void)count("g", 1, ended("c", "2"));
    store(ended("x", R"({"exc_type": "ValueError", "exc_message": ["no"]})", states::kFailure));
    RunningWorker worker{app_};
    EXPECT_EQ(value("body"), "ChordError: Dependency a raised ValueError('no')");
    wait_for_sweeps();
    EXPECT_EQ(runs_of("told of body"), 1);
    EXPECT_EQ(app_.async_result("b").state(), "FAILURE");
}

TEST_F(ChordSweeperTest, ResultsOfGroupsInTheHeaderStayLists) {
    const Signature chain = canvas_of(
        SignatureType::chain, "celery.chain",
        {call_of("part", "x"), group_of("inner", {call_of("part", "a"), call_of("part", "b")})});
    start_without_messages(group_of("g", {chain, call_of("part", "c")}));
    for (const auto* const id : {"a", "b", "c"}) store(ended(id, "1"));
    RunningWorker worker{app_};
    // Not a list of integers: the parts' structure has arrived at the body.
    EXPECT_THAT(value("body"), HasSubstr("TypeError"));
}

TEST_F(ChordSweeperTest, APartThatIsNotOverIsWaitedFor) {
    start_without_messages(group_of("g", {call_of("part", "a"), call_of("part", "b")}));
    (void)count("g", 0, ended("a", "1"));
    store(ended("b", "{}", states::kStarted));
    RunningWorker worker{app_};
    wait_for_sweeps();
    EXPECT_EQ(app_.async_result("body").state(), "PENDING");
    store(ended("b", "2"));
    EXPECT_EQ(value("body"), "SUCCESS 3");
}

TEST_F(ChordSweeperTest, ABodyThatIsThereAlreadyIsNotSentAgain) {
    start_without_messages(group_of("g", {call_of("part", "a")}));
    EXPECT_TRUE(count("g", 0, ended("a", "1")));
    store(ended("body", "{}", states::kStarted));
    RunningWorker worker{app_};
    wait_for_sweeps();
    EXPECT_EQ(runs_of("body"), 0);
    EXPECT_FALSE(count("g", 0, ended("a", "1")));  // it was forgotten
}

TEST_F(ChordSweeperTest, ResultsOfAPartThatRanTwiceAreThoseOfTheFirstSuccess) {
    start_without_messages(group_of("g", {call_of("part", "a"), call_of("part", "b")}));
    (void)count("g", 0, ended("a", "1"));
    (void)count("g", 0, ended("a", "100"));
    store(ended("b", "2"));
    store(ended("b", "200"));
    RunningWorker worker{app_};
    EXPECT_EQ(value("body"), "SUCCESS 3");
}

TEST_F(ChordSweeperTest, SeveralSweepersEndManyChordsOnceEach) {
    constexpr int kChords = 60;
    for (int i = 0; i < kChords; ++i) {
        const std::string n = std::to_string(i);
        start_without_messages(
            group_of("g" + n, {call_of("part", "a" + n), call_of("part", "b" + n)}), n);
        if (i % 3 == 0) {
            (void)count("g" + n, 0, ended("a" + n, n));
            EXPECT_TRUE(count("g" + n, 1, ended("b" + n, "1")));
        } else {
            store(ended("a" + n, n));
            store(ended("b" + n, "1"));
        }
    }
    Settings slower = app_.settings();
    slower.worker_chord_sweep_interval =
        1s;  // so that a pause of the machine is none of the test's
    std::vector<std::unique_ptr<App>> apps;
    std::vector<std::unique_ptr<RunningWorker>> workers;
    for (int i = 0; i < 3; ++i) {
        apps.push_back(std::make_unique<App>("test", slower));
        add_tasks(*apps.back());
        workers.push_back(std::make_unique<RunningWorker>(*apps.back(), 2));
    }
    for (int i = 0; i < kChords; ++i) {
        EXPECT_EQ(value("body" + std::to_string(i)), "SUCCESS " + std::to_string(i + 1));
    }
    wait_for_sweeps();
    for (int i = 0; i < kChords; ++i) EXPECT_EQ(runs_of("body" + std::to_string(i)), 1);
}

/// When somebody may have published a chord's body, and until when.
struct Senders {
    struct Sending {
        Deadline begun;
        Deadline end;
    };
    std::mutex mutex;
    std::vector<Sending> sendings;  // guarded by `mutex`
    std::atomic<bool> away{true};
};
Senders senders;

/// A memory broker that keeps whoever sends a body waiting while it is away, as one does that is
/// connected to anew.
class HoldingBroker final : public WrappedBroker {
public:
    using WrappedBroker::WrappedBroker;

    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override {
        if (publication.routing_key != "bodies") {
            co_return co_await inner().publish(std::move(publication), deadline);
        }
        std::size_t index = 0;
        {
            const std::lock_guard lock{senders.mutex};
            index = senders.sendings.size();
            senders.sendings.push_back({Deadline::in(0s), deadline});
        }
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
        while (senders.away) {
            if (deadline.passed()) co_return fail(Errc::deadline_exceeded, "the broker is away");
            timer.expires_after(1ms);
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
        auto done = co_await inner().publish(std::move(publication), deadline);
        const std::lock_guard lock{senders.mutex};
        senders.sendings[index].end = Deadline::in(0s);
        co_return done;
    }
};

TEST_F(ChordSweeperTest, WhileTheBrokerIsAwayOneAtATimeIsAboutToSendTheBody) {
    constexpr auto kSlower = 500ms;  // so that a pause of the machine is none of the test's
    senders.away = true;
    senders.sendings.clear();
    Settings settings = app_.settings();
    settings.worker_chord_sweep_interval = kSlower;
    register_broker_driver(
        "holding", {[](Executor executor, const std::string& url, const Settings&) {
            return std::unique_ptr<Broker>{
                std::make_unique<HoldingBroker>(make_memory_broker(std::move(executor), url))};
        }});
    settings.broker_url = "holding" + settings.broker_url.substr(std::string{"memory"}.size());
    std::vector<std::unique_ptr<App>> apps;
    std::vector<std::unique_ptr<RunningWorker>> workers;
    for (int i = 0; i < 2; ++i) {
        apps.push_back(std::make_unique<App>("test", settings));
        add_tasks(*apps.back());
        apps.back()->task("part", [] { return 1; });
        workers.push_back(std::make_unique<RunningWorker>(*apps.back()));
    }
    App& app = *apps.front();
    const auto result = chord({app.signature("part"), app.signature("part")},
                              app.signature("sum").set({.queue = "bodies"}))
                            .delay();
    wait_for([] {  // both have had turns
        const std::lock_guard lock{senders.mutex};
        return senders.sendings.size() >= 3;
    });
    senders.away = false;
    wait_for([&] { return messages_in(app, "bodies") > 0; });
    const std::lock_guard lock{senders.mutex};
    for (std::size_t i = 1; i < senders.sendings.size(); ++i) {
        EXPECT_GE(senders.sendings[i].begun.time(), senders.sendings[i - 1].end.time())
            << "attempt " << i << " of " << senders.sendings.size();
    }
}

TEST_F(ChordSweeperTest, ResultsStayAsLongAsTheirChordIsUnfinished) {
    Settings settings = swept_settings();
    static int next = 0;
    const std::string name = "memory://short-lived-" + std::to_string(++next);
    settings.broker_url = settings.result_backend = name;
    settings.result_expires = 3s;
    register_result_driver("memory",
                           {[](Executor executor, const std::string& url, const Settings& given) {
                                MemoryResultsOptions options;
                                options.result_expires = given.result_expires.value_or(0s);
                                return make_memory_results(std::move(executor), url, options);
                            },
                            [](Executor executor, const std::string& url, const Settings&) {
                                return make_memory_state_store(std::move(executor), url);
                            }});
    App app{"test", settings};
    add_tasks(app);
    auto quick = app.task("quick", [] { return std::int64_t{1}; });
    app.task("slow", [&] {
        // As long as results stay: until a later one that nobody keeps has gone.
        wait_for([&] { return app.async_result("q").state() == "SUCCESS"; });
        const auto later = quick.delay();
        later.wait(kLong);
        wait_for([&] { return later.state() == "PENDING"; });
        return std::int64_t{2};
    });
    RunningWorker worker{app, 2};
    auto header = group_of("g", {call_of("quick", "q"), call_of("slow", "s")});
    auto body = call_of("sum", "b");
    const auto sent = app.signature_from(encode_signature(make_chord(header, body))).apply_async();
    EXPECT_EQ(to_json_text(sent.wait(kLong).result), "3");
    EXPECT_EQ(app.async_result("q").state(), "SUCCESS");
}

TEST(UncountedParts, AreThoseThatAreOver) {
    const auto step = [](const std::string& id, std::shared_ptr<const ChordStep> before = {}) {
        return std::make_shared<const ChordStep>(id, std::move(before));
    };
    const std::vector<ChordMember> members{{"done", 0, {}},
                                           {"runs", 1, {}},
                                           {"waits", 2, step("step")},
                                           {"never", 3, step("well", step("badly"))},
                                           {"ran all the same", 4, step("badly")}};
    const std::vector<std::optional<TaskMeta>> records{ended("done", "1"),
                                                       ended("runs", "{}", states::kStarted),
                                                       {},
                                                       {},
                                                       ended("ran all the same", "5")};
    const auto badly =
        std::make_shared<const TaskMeta>(ended("badly", R"({"exc_type": "E"})", states::kFailure));
    const auto parts = uncounted_parts(members, records, {{"badly", badly}});
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[0].member.task_id, "done");
    EXPECT_TRUE(parts[0].own);
    EXPECT_EQ(parts[1].member.task_id, "never");
    EXPECT_FALSE(parts[1].own);
    EXPECT_EQ(parts[1].record, badly);
    EXPECT_EQ(parts[2].record->task_id, "ran all the same");
}

TEST(UncountedParts, ARecordOfAMomentAgoMayBeCountedYet) {
    TaskMeta meta = ended("a", "1");
    meta.date_done = "2026-11-22T10:00:00+00:00";
    const TimePoint done = value_or_throw(parse_iso8601(*meta.date_done));
    EXPECT_TRUE(is_younger(meta, 10s, done + 9s));
    EXPECT_FALSE(is_younger(meta, 10s, done + 11s));
    EXPECT_TRUE(is_younger(meta, 10s, done - 1s));
    EXPECT_FALSE(is_younger(meta, 10s, done - 11s));  // some clock is wrong
    meta.date_done = "yesterday";
    EXPECT_FALSE(is_younger(meta, 10s, done));
    meta.date_done.reset();
    EXPECT_FALSE(is_younger(meta, 10s, done));
}

TEST(ChordSweepInterval, IsShorterThanAChordIsKept) {
    Settings settings;
    settings.worker_chord_sweep_interval = 10s;
    settings.result_expires = 24h;
    EXPECT_EQ(chord_sweep_interval(settings), 10s);
    settings.result_expires = 40s;
    EXPECT_EQ(chord_sweep_interval(settings), 5s);
    settings.result_expires = std::nullopt;
    EXPECT_EQ(chord_sweep_interval(settings), 10s);
    settings.result_expires = 40s;
    settings.worker_chord_sweep_interval = 0s;
    EXPECT_EQ(chord_sweep_interval(settings), 0s);
}

}  // namespace
}  // namespace lovage
