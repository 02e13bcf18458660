#include <lovage/results/conformance.hpp>
#include <tests/support/soon.hpp>

#include <gmock/gmock.h>

#include <fmt/format.h>

#include <set>
#include <thread>

namespace lovage::conformance {

// A program that links this file without a driver has nothing to run.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ResultConformance);

namespace {

using namespace std::chrono_literals;

TaskMeta record(const std::string& task_id, std::string_view status = states::kSuccess,
                const std::string& result_json = "42") {
    TaskMeta meta;
    meta.task_id = task_id;
    meta.status = status;
    meta.result = Json::raw(result_json);
    if (meta.ready()) meta.date_done = "2026-11-21T16:27:00.818150+00:00";
    return meta;
}

std::string result_text(const TaskMeta& meta) {
    return meta.result.is_raw() ? meta.result.raw_text() : to_json_text(meta.result);
}

/// The outcome of a wait that must end well before the test's patience does.
Result<TaskMeta> outcome_of(std::future<Result<TaskMeta>>& wait) {
    if (wait.wait_for(30s) != std::future_status::ready) {
        return fail(Errc::internal, "the wait did not end");
    }
    return wait.get();
}

}  // namespace

TEST_P(ResultConformance, HasNothingForAnUnknownTask) {
    const auto connection = open();
    const auto found = connection->get("nobody");
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_FALSE(found->has_value());
    EXPECT_EQ(connection->is_known("nobody"), false);
}

TEST_P(ResultConformance, PingSaysWhetherItIsConnected) {
    const auto connection = open();
    EXPECT_TRUE(connection->ping());
    connection->close();
    EXPECT_FALSE(connection->ping());
}

TEST_P(ResultConformance, ReturnsEveryFieldThatWasStored) {
    const auto writer = open();
    const auto reader = open();
    TaskMeta meta = record("full", states::kFailure,
                           R"({"exc_type": "ValueError", "exc_message": ["boom"], )"
                           R"("exc_module": "builtins"})");
    meta.traceback = "Traceback (most recent call last):\n  …";
    meta.children = Json::raw(R"([[["child", null], null]])");
    meta.group_id = "group";
    meta.parent_id = "parent";
    meta.extra.set("name", "tasks.add");
    meta.extra.set("retries", 3);
    ASSERT_EQ(writer->store(meta), StoreOutcome::stored);

    for (const auto& connection : {writer.get(), reader.get()}) {
        const auto found = connection->get("full");
        ASSERT_TRUE(found && *found);
        EXPECT_EQ((*found)->to_json(), meta.to_json());
        EXPECT_EQ((*found)->status, "FAILURE");
        EXPECT_EQ((*found)->traceback, meta.traceback);
        EXPECT_EQ((*found)->date_done, meta.date_done);
        EXPECT_EQ((*found)->group_id, "group");
        EXPECT_EQ((*found)->parent_id, "parent");
    }
}

TEST_P(ResultConformance, KeepsResultsByteForByte) {
    const std::string result =
        R"({"b" :1.0,"a": [1e400, 12345678901234567890123],  "x":"\ud83d\ude00 \udc00 ü 漢",)"
        R"( "n": NaN, "b2": "\u0000"})";
    const auto connection = open();
    ASSERT_EQ(connection->store(record("raw", states::kSuccess, result)), StoreOutcome::stored);
    const auto found = connection->get("raw");
    ASSERT_TRUE(found && *found);
    EXPECT_EQ(result_text(**found), result);

    auto wait = connection->wait("raw", soon());
    const auto waited = outcome_of(wait);
    ASSERT_TRUE(waited);
    EXPECT_EQ(result_text(*waited), result);
}

TEST_P(ResultConformance, TakesAnyTextAsTaskId) {
    const auto connection = open();
    const std::vector<std::string> ids{"x'); DROP TABLE result; --", "%", "漢字", "a b\tc",
                                       std::string(500, 'i')};
    for (const auto& id : ids) {
        ASSERT_EQ(connection->store(record(id)), StoreOutcome::stored);
    }
    for (const auto& id : ids) {
        const auto found = connection->get(id);
        ASSERT_TRUE(found && *found) << id;
        EXPECT_EQ((*found)->task_id, id);
    }
}

TEST_P(ResultConformance, ReturnsAtOnceWhenTheRecordIsThere) {
    const auto writer = open();
    const auto reader = open();
    ASSERT_EQ(writer->store(record("early")), StoreOutcome::stored);
    auto wait = reader->wait("early", soon());
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(result_text(*outcome), "42");
}

TEST_P(ResultConformance, WakesAWaiterOfTheSameConnection) {
    const auto connection = open();
    auto wait = connection->wait("later", soon());
    EXPECT_EQ(connection->is_known("later"), false);  // The wait has begun by now.
    ASSERT_EQ(connection->store(record("later")), StoreOutcome::stored);
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->task_id, "later");
}

TEST_P(ResultConformance, WakesAWaiterOfAnotherConnection) {
    const auto writer = open();
    const auto reader = open();
    auto wait = reader->wait("later", soon());
    EXPECT_EQ(reader->is_known("later"), false);
    ASSERT_EQ(writer->store(record("later", states::kFailure, R"({"exc_type": "E"})")),
              StoreOutcome::stored);
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->status, "FAILURE");
}

TEST_P(ResultConformance, WakesAWaiterOfAnotherProcess) {
    const auto reader = open();
    auto wait = reader->wait("far", soon());
    EXPECT_EQ(reader->is_known("far"), false);
    if (!store_->store_from_another_process("far", R"(["from", "afar"])")) {
        reader->close();
        static_cast<void>(outcome_of(wait));
        GTEST_SKIP()
            << "this store lives in the memory of one process: there is no other to store from";
    }
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(result_text(*outcome), R"(["from", "afar"])");
}

TEST_P(ResultConformance, WaitsOnThroughStatesThatAreNotFinal) {
    const auto writer = open();
    const auto reader = open();
    ASSERT_EQ(writer->store(record("steps", states::kStarted, "{}")), StoreOutcome::stored);
    auto wait = reader->wait("steps", soon());
    ASSERT_EQ(writer->store(record("steps", "PROGRESS", R"({"done": 1})")), StoreOutcome::stored);
    ASSERT_EQ(writer->store(record("steps", states::kRetry, "{}")), StoreOutcome::stored);
    const auto between = reader->get("steps");
    ASSERT_TRUE(between && *between);
    EXPECT_EQ((*between)->status, "RETRY");
    ASSERT_EQ(writer->store(record("steps")), StoreOutcome::stored);
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->status, "SUCCESS");
}

TEST_P(ResultConformance, WakesAThousandWaitersOfAThousandTasks) {
    constexpr int kTasks = 1'000;
    const auto writer = open();
    const auto reader = open();
    std::vector<std::future<Result<TaskMeta>>> waits;
    for (int task = 0; task < kTasks; ++task) {
        waits.push_back(reader->wait(fmt::format("task-{}", task), soon()));
    }
    EXPECT_EQ(reader->is_known("task-0"), false);
    for (int task = kTasks; task-- > 0;) {
        ASSERT_EQ(writer->store(
                      record(fmt::format("task-{}", task), states::kSuccess, std::to_string(task))),
                  StoreOutcome::stored);
    }
    for (int task = 0; task < kTasks; ++task) {
        const auto outcome = outcome_of(waits[static_cast<std::size_t>(task)]);
        ASSERT_TRUE(outcome) << task << ": " << outcome.error().message();
        EXPECT_EQ(result_text(*outcome), std::to_string(task));
    }
}

TEST_P(ResultConformance, WakesEveryWaiterOfOneTask) {
    const auto writer = open();
    const std::vector<std::unique_ptr<ResultConnection>> readers = [&] {
        std::vector<std::unique_ptr<ResultConnection>> made;
        for (int index = 0; index < 3; ++index) made.push_back(open());
        return made;
    }();
    std::vector<std::future<Result<TaskMeta>>> waits;
    for (int round = 0; round < 20; ++round) {
        for (const auto& reader : readers) waits.push_back(reader->wait("popular", soon()));
    }
    ASSERT_EQ(writer->store(record("popular")), StoreOutcome::stored);
    for (auto& wait : waits) {
        const auto outcome = outcome_of(wait);
        EXPECT_TRUE(outcome) << outcome.error().message();
    }
}

TEST_P(ResultConformance, EndsAWaitAtItsDeadlineAndLeavesOthersWaiting) {
    const auto connection = open();
    auto patient = connection->wait("slow", soon());
    auto hasty = connection->wait("slow", Deadline::in(20ms));
    const auto missed = outcome_of(hasty);
    ASSERT_FALSE(missed);
    EXPECT_EQ(missed.error().code, Errc::deadline_exceeded);
    EXPECT_THAT(missed.error().detail, testing::HasSubstr("slow"));

    ASSERT_EQ(connection->store(record("slow")), StoreOutcome::stored);
    const auto met = outcome_of(patient);
    EXPECT_TRUE(met) << met.error().message();
}

TEST_P(ResultConformance, EndsWaitsWhenItsConnectionCloses) {
    const auto connection = open();
    auto wait = connection->wait("never", soon());
    EXPECT_EQ(connection->is_known("never"), false);
    connection->close();
    const auto outcome = outcome_of(wait);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::closed);
}

TEST_P(ResultConformance, AWaiterOutlivesTheRestartOfTheOtherSide) {
    const auto reader = open();
    auto writer = open();
    ASSERT_EQ(writer->store(record("long", states::kStarted, "{}")), StoreOutcome::stored);
    auto wait = reader->wait("long", soon());
    EXPECT_EQ(reader->is_known("long"), true);

    writer.reset();
    writer = open();
    ASSERT_EQ(writer->store(record("long")), StoreOutcome::stored);
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->status, "SUCCESS");
}

TEST_P(ResultConformance, ForgetsARecord) {
    const auto connection = open();
    const auto other = open();
    ASSERT_EQ(connection->store(record("gone")), StoreOutcome::stored);
    ASSERT_TRUE(other->forget("gone"));
    const auto found = connection->get("gone");
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->has_value());
    EXPECT_EQ(connection->is_known("gone"), false);
    EXPECT_TRUE(connection->forget("gone"));
}

TEST_P(ResultConformance, ARecordForgottenAndStoredAgainWakesItsWaiter) {
    const auto writer = open();
    const auto reader = open();
    auto unrelated = reader->wait("keeps watching", soon());
    for (int round = 0; round < 20; ++round) {
        ASSERT_EQ(writer->store(record("again", states::kSuccess, std::to_string(round))),
                  StoreOutcome::stored);
        auto wait = reader->wait("again", soon());
        const auto outcome = outcome_of(wait);
        ASSERT_TRUE(outcome) << outcome.error().message();
        ASSERT_TRUE(writer->forget("again"));

        auto next = reader->wait("next", soon());
        EXPECT_EQ(reader->is_known("next"), false);
        ASSERT_EQ(writer->store(record("next", states::kSuccess, std::to_string(round))),
                  StoreOutcome::stored);
        const auto woken = outcome_of(next);
        ASSERT_TRUE(woken) << woken.error().message();
        EXPECT_EQ(result_text(*woken), std::to_string(round));
        ASSERT_TRUE(writer->forget("next"));
    }
    ASSERT_EQ(writer->store(record("keeps watching")), StoreOutcome::stored);
    EXPECT_TRUE(outcome_of(unrelated));
}

TEST_P(ResultConformance, RecordsExpireAfterTheirLastWrite) {
    const auto connection = open();
    ASSERT_EQ(connection->store(record("old", states::kStarted, "{}")), StoreOutcome::stored);
    clock_.advance(kExpires - 1s);
    ASSERT_EQ(connection->store(record("old")), StoreOutcome::stored);
    clock_.advance(kExpires - 1s);
    auto found = connection->get("old");
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->has_value());

    clock_.advance(2s);
    found = connection->get("old");
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->has_value());
    EXPECT_EQ(connection->is_known("old"), false);
}

TEST_P(ResultConformance, AnExpiredRecordIsNotInTheWayOfANewOne) {
    const auto connection = open();
    ASSERT_EQ(connection->store(record("reborn")), StoreOutcome::stored);
    clock_.advance(kExpires + 1s);
    auto wait = connection->wait("reborn", soon());
    EXPECT_EQ(connection->is_known("reborn"), false);
    ASSERT_EQ(connection->store(record("reborn", states::kFailure, "{}")), StoreOutcome::stored);
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_EQ(outcome->status, "FAILURE");
}

TEST_P(ResultConformance, ManyExpiredRecordsGoWithoutBeingAskedFor) {
    const auto connection = open();
    for (int task = 0; task < 100; ++task) {
        ASSERT_EQ(connection->store(record(fmt::format("old-{}", task))), StoreOutcome::stored);
    }
    clock_.advance(kExpires + 1s);
    for (int task = 0; task < 100; ++task) {
        ASSERT_EQ(connection->store(record(fmt::format("new-{}", task))), StoreOutcome::stored);
    }
    for (int task = 0; task < 100; ++task) {
        EXPECT_EQ(connection->is_known(fmt::format("old-{}", task)), false);
        EXPECT_EQ(connection->is_known(fmt::format("new-{}", task)), true);
    }
}

TEST_P(ResultConformance, FollowsThePrecedenceOfStates) {
    const auto writer = open();
    const auto other = open();
    const std::vector<std::string_view> all{states::kStarted, states::kRetry,   states::kSuccess,
                                            states::kFailure, states::kRevoked, "PROGRESS"};
    for (const std::string_view stored : all) {
        for (const std::string_view next : all) {
            const std::string id = fmt::format("{}-{}", stored, next);
            SCOPED_TRACE(id);
            ASSERT_EQ(writer->store(record(id, stored, "1")), StoreOutcome::stored);
            const bool replaces = states::may_replace(stored, next);
            EXPECT_EQ(other->store(record(id, next, "2")),
                      replaces ? StoreOutcome::stored : StoreOutcome::kept_existing);
            const auto found = writer->get(id);
            ASSERT_TRUE(found && *found);
            EXPECT_EQ((*found)->status, replaces ? next : stored);
            EXPECT_EQ(result_text(**found), replaces ? "2" : "1");
        }
    }
}

TEST_P(ResultConformance, OfTwoWritersOfSuccessTheFirstWins) {
    const auto first = open();
    const auto second = open();
    constexpr int kTasks = 200;
    std::atomic<int> stored{0};
    const auto store_all = [&](ResultConnection& connection, const std::string& result) {
        for (int task = 0; task < kTasks; ++task) {
            const auto outcome =
                connection.store(record(fmt::format("raced-{}", task), states::kSuccess, result));
            if (outcome == StoreOutcome::stored) ++stored;
        }
    };
    std::thread rival{[&] { store_all(*second, "2"); }};
    store_all(*first, "1");
    rival.join();
    EXPECT_EQ(stored, kTasks);
}

TEST_P(ResultConformance, TellsASentTaskFromAnUnknownOne) {
    const auto sender = open();
    const auto reader = open();
    ASSERT_TRUE(sender->mark_sent("sent"));
    ASSERT_TRUE(sender->mark_sent("sent"));
    EXPECT_EQ(reader->is_known("sent"), true);
    const auto found = reader->get("sent");
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->has_value());

    auto wait = reader->wait("sent", soon());
    EXPECT_EQ(reader->is_known("other"), false);
    ASSERT_EQ(sender->store(record("sent")), StoreOutcome::stored);
    EXPECT_TRUE(outcome_of(wait));

    ASSERT_TRUE(sender->forget("sent"));
    EXPECT_EQ(reader->is_known("sent"), false);
}

TEST_P(ResultConformance, ASentMarkLeavesARecordAloneAndExpires) {
    const auto connection = open();
    ASSERT_EQ(connection->store(record("quick")), StoreOutcome::stored);
    ASSERT_TRUE(connection->mark_sent("quick"));
    const auto found = connection->get("quick");
    ASSERT_TRUE(found);
    EXPECT_TRUE(found->has_value());

    ASSERT_TRUE(connection->mark_sent("mark"));
    clock_.advance(kExpires - 1s);
    EXPECT_EQ(connection->is_known("mark"), true);
    clock_.advance(2s);
    EXPECT_EQ(connection->is_known("mark"), false);
    EXPECT_EQ(connection->is_known("quick"), false);
}

TEST_P(ResultConformance, TakesASixteenMebibyteRecordAndRefusesALargerOne) {
    const auto writer = open();
    const auto reader = open();
    const std::size_t frame = record("big", states::kSuccess, "\"\"").to_json().size();
    const std::string fits = "\"" + std::string(kBytesMax - frame, 'x') + "\"";
    auto wait = reader->wait("big", soon());
    ASSERT_EQ(writer->store(record("big", states::kSuccess, fits)), StoreOutcome::stored);
    const auto outcome = outcome_of(wait);
    ASSERT_TRUE(outcome) << outcome.error().message();
    EXPECT_TRUE(result_text(*outcome) == fits);

    const std::string beyond = "\"" + std::string(kBytesMax - frame + 1, 'x') + "\"";
    const auto refused = writer->store(record("bug", states::kSuccess, beyond));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::too_large);
    EXPECT_THAT(refused.error().detail, testing::HasSubstr(std::to_string(kBytesMax)));
    EXPECT_EQ(reader->is_known("bug"), false);
}

TEST_P(ResultConformance, ClosesAndConnectsAnyNumberOfTimes) {
    const auto connection = open();
    connection->connect();
    ASSERT_EQ(connection->store(record("kept")), StoreOutcome::stored);
    const auto holds_the_store = open();
    connection->close();
    connection->close();
    const auto refused = connection->store(record("lost"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::disconnected);
    EXPECT_EQ(connection->get("kept").error().code, Errc::disconnected);
    connection->connect();
    EXPECT_EQ(connection->is_known("kept"), true);
    EXPECT_EQ(connection->is_known("lost"), false);
    EXPECT_FALSE(connection->display_url().empty());
}

}  // namespace lovage::conformance
