// Tasks that replace themselves or add to their chord, from the client's canvas to its result, on
// the embedded memory broker.

#include <lovage/app/canvas.hpp>
#include <lovage/worker/worker.hpp>

#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using Numbers = std::vector<std::int64_t>;

class ReplacedTaskTest : public testing::Test {
protected:
    ReplacedTaskTest() {
        app_.task("add", [](std::int64_t x, std::int64_t y) { return x + y; }, arg("x"), arg("y"));
        app_.task("twice", [](std::int64_t x) { return 2 * x; }, arg("x"));
        app_.task(
            "sum",
            [](const Numbers& all) {
                std::int64_t sum = 0;
                for (const std::int64_t one : all) sum += one;
                return sum;
            },
            arg("all"));
        app_.task(
            "seen",
            [this](TaskContext& context, Json value) {
                note(to_json_text(value) + " of " + context.request().parent_id);
                return value;
            },
            arg("value"));
    }

    void note(std::string what) {
        const std::lock_guard lock{mutex_};
        noted_.push_back(std::move(what));
    }
    std::size_t noted() {
        const std::lock_guard lock{mutex_};
        return noted_.size();
    }
    /// A task "it" that does `what`.
    template <class F>
    Canvas<> it(F what) {
        app_.task(
            "it",
            [what](TaskContext& context, const Json&) {
                what(context);
                return 1;
            },
            arg("anything") = Json{});
        return app_.signature("it");
    }

    App app_{"test", memory_settings()};
    std::mutex mutex_;
    std::vector<std::string> noted_;
};

TEST_F(ReplacedTaskTest, HasTheResultOfItsReplacement) {
    const auto call = it([this](TaskContext& context) {
        context.add_child("not kept");
        context.replace(app_.signature("add", 20, 1) | app_.signature("twice"));
    });
    RunningWorker worker{app_, 2};
    EXPECT_EQ(call.delay().get(10s), 42);
    const TaskMeta meta = app_.async_result(call.delay().id()).wait(10s);
    EXPECT_EQ(meta.status, "SUCCESS");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(messages_in(app_, "celery"), 0U);
}

TEST_F(ReplacedTaskTest, IsFollowedByWhatFollowedIt) {
    const auto call =
        it([this](TaskContext& context) { context.replace(app_.signature("add", 20, 1)); });
    RunningWorker worker{app_, 2};
    const auto result = (call | app_.signature("twice") | app_.signature("seen")).delay();
    EXPECT_EQ(result.get(10s), 42);
    const auto linked = call.link(app_.signature("seen")).delay();
    EXPECT_EQ(linked.get(10s), 21);
    wait_for([this] { return noted() == 2; });
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(noted_.back(), "21 of " + linked.id()) << "the replacement calls back, under its id";
}

TEST_F(ReplacedTaskTest, CountsInItsChordOnce) {
    const auto call = it([this](TaskContext& context) {
        context.replace(group({app_.signature("add", 1, 1), app_.signature("add", 2, 2)}) |
                        app_.signature("sum"));
    });
    RunningWorker worker{app_, 2};
    const auto result = chord({call, call, app_.signature("add", 10, 20)}, app_.signature("seen"));
    EXPECT_EQ(to_json_text(result.delay().get(10s)), "[6, 6, 30]");
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, ByAGroupHasTheListOfItsResults) {
    const auto call = it([this](TaskContext& context) {
        if (context.request().replaced_task_nesting > 0) throw std::logic_error{"again?"};
        context.replace(group({app_.signature("add", 1, 1), app_.signature("add", 2, 2)}));
    });
    RunningWorker worker{app_, 2};
    EXPECT_EQ(to_json_text(call.delay().get(10s)), "[2, 4]");
    EXPECT_EQ((call | app_.signature("sum")).delay().get(10s), 6);
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, ByAGroupOfNothingHasAnEmptyList) {
    const auto call = it([this](TaskContext& context) {
        context.replace(chunks(app_.signature("add"), Json::array(), 10));
    });
    RunningWorker worker{app_, 2};
    EXPECT_EQ(to_json_text(call.delay().get(10s)), "[]");
    EXPECT_EQ((call | app_.signature("sum")).delay().get(10s), 0);
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, AGroupOfNothingIsAPartOfAChordAsAnEmptyList) {
    const auto call = it([this](TaskContext& context) {
        context.add_to_chord(chunks(app_.signature("add"), Json::array(), 10));
    });
    RunningWorker worker{app_, 2};
    const auto parts = chord({call}, app_.signature("seen")).delay().get(10s);
    EXPECT_THAT(to_json_text(parts), testing::AnyOf("[1, []]", "[[], 1]"));
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, MayReplaceItselfUntilItIsDone) {
    const auto call = it([this](TaskContext& context) {
        if (context.request().replaced_task_nesting < 3) context.replace(app_.signature("it"));
    });
    RunningWorker worker{app_, 2};
    EXPECT_EQ(call.delay().get(10s), 1);
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, FailsAsItsReplacementDoes) {
    app_.task("fail", []() { throw std::invalid_argument{"boom"}; });
    const auto call = it([this](TaskContext& context) { context.replace(app_.signature("fail")); });
    RunningWorker worker{app_, 2};
    const auto result = (call | app_.signature("seen")).link_error(app_.signature("seen")).delay();
    EXPECT_THAT(app_.async_result(result.id()).wait(10s).failure()->exc_message, "boom");
    wait_for([this] { return noted() == 1; });  // the errback
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, FailsByWhatCannotStandInForIt) {
    const auto call = it([](TaskContext& context) {
        Signature nothing = make_group({});
        nothing.task = "celery.chain";
        nothing.type = SignatureType::chain;
        context.replace(nothing);
    });
    RunningWorker worker{app_, 2};
    const auto failure = app_.async_result(call.delay().id()).wait(10s).failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->exc_type, "ValueError");
    EXPECT_THAT(failure->exc_message, HasSubstr("a chain of nothing"));
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, AddsPartsToItsChord) {
    const auto call = it([this](TaskContext& context) {
        const std::string id = context.add_to_chord(app_.signature("add", 10, 1));
        EXPECT_EQ(id.size(), 36U);
        EXPECT_NE(id, context.add_to_chord(
                          group({app_.signature("add", 1, 1), app_.signature("add", 2, 2)})));
    });
    RunningWorker worker{app_, 2};
    const auto result = chord({call, app_.signature("add", 5, 6)}, app_.signature("seen"));
    const Json all = result.delay().get(10s);
    std::vector<std::string> parts;
    for (const Json& part : all.as_array()) parts.push_back(to_json_text(part));
    EXPECT_THAT(parts, UnorderedElementsAre("1", "11", "[2, 4]", "11"));
    EXPECT_EQ(parts.back(), "11") << "further parts have the place of the one that added them";
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, MayAddAndBeReplaced) {
    const auto call = it([this](TaskContext& context) {
        context.add_to_chord(app_.signature("add", 10, 1));
        context.replace(app_.signature("add", 1, 1));
    });
    RunningWorker worker{app_, 2};
    const auto result = chord({call}, app_.signature("sum"));
    EXPECT_EQ(result.delay().get(10s), 13);
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, AnAttemptThatIsTriedAgainHasAddedNothing) {
    const auto call = it([this](TaskContext& context) {
        context.add_to_chord(app_.signature("add", 10, 1));
        if (context.retries() == 0) context.retry({.countdown = 0ms});
    });
    RunningWorker worker{app_, 2};
    EXPECT_EQ(chord({call}, app_.signature("sum")).delay().get(10s), 12);
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, OutsideOfAChordThereIsNothingToAddTo) {
    const auto call =
        it([this](TaskContext& context) { context.add_to_chord(app_.signature("add", 1, 1)); });
    RunningWorker worker{app_, 2};
    const auto failure = app_.async_result(call.delay().id()).wait(10s).failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->exc_message, "Current task is not member of any chord");
    EXPECT_TRUE(worker.stop());
}

TEST_F(ReplacedTaskTest, StampsReachEveryTaskOfAWorkflow) {
    app_.task(
        "stamped",
        [this](TaskContext& context, const Json&) {
            note(to_json_text(context.request().stamps));
            EXPECT_NE(context.request().stamps.find("order"), nullptr);
            return 1;
        },
        arg("anything") = Json{});
    RunningWorker worker{app_, 2};
    const auto one = app_.signature("stamped");
    const auto work = (one | group({one, one.stamp({{"part", "b"}})}) | one).stamp({{"order", 17}});
    EXPECT_EQ(work.delay().get(10s), 1);
    EXPECT_THAT(noted_, UnorderedElementsAre(R"({"order": 17})", R"({"order": 17})",
                                             R"({"part": "b", "order": 17})", R"({"order": 17})"));
    noted_.clear();
    SendOptions options;
    options.stamps = Json::object({{"order", 18}});
    EXPECT_EQ((one | one).apply_async(options).get(10s), 1);
    EXPECT_EQ(app_.send_task("stamped", Json::array(), Json::object(), options).get(10s), 1);
    EXPECT_THAT(noted_, ElementsAre(R"({"order": 18})", R"({"order": 18})", R"({"order": 18})"));
    options.stamps = Json::object({{"queue", "q"}});
    EXPECT_THROW((void)one.set(options), LovageError);
    EXPECT_THROW(one.apply_async(options), SendError);
    EXPECT_TRUE(worker.stop());
}

}  // namespace
}  // namespace lovage
