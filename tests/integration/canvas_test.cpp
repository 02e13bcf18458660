// Canvases started from C++, from their first message to their result.

#include "both_stacks.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <regex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>

#include <lovage/app/app.hpp>
#include <lovage/core/result_tuple.hpp>
#include <lovage/core/uuid.hpp>
#include <tests/support/running_worker.hpp>
#include <tests/support/soon.hpp>

namespace lovage::integration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

using Numbers = std::vector<std::int64_t>;

std::int64_t add_numbers(std::int64_t x, std::int64_t y) {
    return x + y;
}
std::int64_t total_of(const Numbers& numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), std::int64_t{0});
}
std::int64_t refuse(std::int64_t number) {
    throw std::invalid_argument{"no " + std::to_string(number)};
}
Awaitable<std::int64_t> square_later(std::int64_t number) {
    co_return number* number;
}

Awaitable<std::int64_t> replace_later(TaskContext* context, Canvas<std::int64_t> by) {
    context->replace(by);
    co_return 0;
}

class Canvases : public BothStacks {
protected:
    Canvases() {
        if (GetParam() != std::string{"memory"}) return;
        settings_.broker_url = "memory://" + uuid4();
        settings_.result_backend = settings_.broker_url;
    }

    void note(const std::string& what) {
        const std::lock_guard lock{mutex_};
        noted_.push_back(what);
    }
    std::vector<std::string> noted() {
        const std::lock_guard lock{mutex_};
        return noted_;
    }

    App app_{"canvas", settings_};
    Task<std::int64_t, std::tuple<std::int64_t, std::int64_t>, 2> add_ =
        app_.task("add", add_numbers, arg("x"), arg("y"));
    Task<std::int64_t, std::tuple<Numbers>, 1> total_ =
        app_.task("total", total_of, arg("numbers"));
    Task<Numbers, std::tuple<Numbers>, 1> echo_ =
        app_.task("echo", [](Numbers numbers) { return numbers; }, arg("numbers"));
    Task<std::int64_t, std::tuple<std::int64_t>, 1> refuse_ =
        app_.task("refuse", refuse, arg("number"));
    Task<std::int64_t, std::tuple<std::int64_t>, 1> square_ =
        app_.task("square", square_later, arg("number"));
    Task<void, std::tuple<std::string>, 1> note_ =
        app_.task("note", [this](const std::string& what) { note(what); }, arg("what"));

private:
    std::mutex mutex_;
    std::vector<std::string> noted_;
};
INSTANTIATE_TEST_SUITE_P(On, Canvases, testing::Values("memory", "sqlite", "rabbitmq"),
                         broker_name);

/// What get() throws.
template <class R>
std::string failure_of(const R& result) {
    try {
        (void)result.get(kLong);
        return "none";
    } catch (const LovageError& error) {
        if (!error.error().failure) return error.what();
        return error.error().failure->exc_type + ": " + error.error().failure->exc_message;
    }
}

TEST_P(Canvases, AChainHandsItsResultsOn) {
    const RunningWorker worker{app_, 2};
    EXPECT_EQ((add_.s(1, 2) | add_.s(10) | add_.si(5, 5) | add_.s(7)).delay().get(kLong), 17);
    std::vector<Canvas<std::int64_t>> steps{add_.s(0, 1)};
    for (int i = 0; i < 99; ++i) steps.push_back(add_.s(1));
    EXPECT_EQ(chain(steps).delay().get(kLong), 100);
}

TEST_P(Canvases, AGroupReturnsItsResultsInOrder) {
    const RunningWorker worker{app_, 4};
    std::vector<decltype(add_.s(0, 0))> members;
    Numbers expected;
    for (std::int64_t i = 0; i < 1000; ++i) {
        members.push_back(add_.s(i, i));
        expected.push_back(2 * i);
    }
    const GroupResult<std::int64_t> result = group(members).delay();
    EXPECT_EQ(result.get(kLong), expected);
    const GroupCounts counts = result.counts();
    EXPECT_EQ(counts.successful, 1000U);
    EXPECT_TRUE(counts.ready());
    EXPECT_EQ(result.results()[7].get(kLong), 14);
}

TEST_P(Canvases, AChordCallsItsBodyWithAllResults) {
    const RunningWorker worker{app_, 4};
    EXPECT_EQ(chord({add_.s(1, 1), add_.s(2, 2)}, total_.s()).delay().get(kLong), 6);
    std::vector<decltype(add_.s(0, 0))> header;
    for (std::int64_t i = 0; i < 100; ++i) header.push_back(add_.s(i, i));
    EXPECT_EQ((group(header) | total_.s() | add_.s(1000)).delay().get(kLong), 10'900);
    EXPECT_EQ(chord({add_.s(1, 1)}, echo_.s()).delay().get(kLong), Numbers{2});
}

TEST_P(Canvases, CanvasesLieInCanvases) {
    const RunningWorker worker{app_, 4};
    const auto inner = chord({add_.s(1, 1), add_.s(2, 2)}, total_.s());
    const auto steps = add_.s(1, 1) | add_.s(5);
    EXPECT_EQ((group(inner, steps, add_.s(4, 4)) | echo_.s()).delay().get(kLong),
              (Numbers{6, 7, 8}));
    const auto deep = add_.s(1, 1) | group({add_.s(1), add_.s(2)}) | total_.s() |
                      group({add_.s(1), add_.s(2)}) | echo_.s();
    EXPECT_EQ(deep.delay().get(kLong), (Numbers{8, 9}));
    const auto ends_in_group = add_.s(1, 1) | group({add_.s(1), add_.s(2)});
    EXPECT_EQ(ends_in_group.delay().get(kLong), (Numbers{3, 4}));
    EXPECT_EQ(group(group({add_.s(1, 0), add_.s(2, 0)}), group({add_.s(3, 0), add_.s(4, 0)}))
                  .delay()
                  .get(kLong)
                  .size(),
              4U);
    EXPECT_EQ(
        (group({add_.s(1, 1), add_.s(2, 2)}) | group({total_.s(), total_.s()})).delay().get(kLong),
        (Numbers{6, 6}));
}

TEST_P(Canvases, ArgumentsGoInFrontOfWhatIsThere) {
    const RunningWorker worker{app_, 2};
    EXPECT_EQ(echo_.s().delay(Numbers{1}).get(kLong), Numbers{1});
    EXPECT_EQ((add_.s(5) | add_.s(10)).delay(1).get(kLong), 16);
    EXPECT_EQ(group({add_.s(1), add_.s(2)}).delay(10).get(kLong), (Numbers{11, 12}));
}

TEST_P(Canvases, AFailedStepEndsTheRest) {
    const RunningWorker worker{app_, 2};
    EXPECT_EQ(failure_of((add_.s(1, 1) | refuse_.s() | add_.s(1)).delay()), "ValueError: no 2");
    EXPECT_EQ(failure_of(group({add_.s(1, 1).partial(), add_.s(2, 2).partial()}).delay()), "none");
    const auto mixed = group(add_.s(1, 1), refuse_.s(3)).delay();
    EXPECT_EQ(failure_of(mixed), "ValueError: no 3");
    (void)mixed.wait(kLong);
    EXPECT_EQ(mixed.counts().failed, 1U);
    EXPECT_EQ(mixed.counts().successful, 1U);
    EXPECT_THAT(failure_of((group(add_.s(1, 1), refuse_.s(3)) | total_.s()).delay()),
                HasSubstr("raised ValueError('no 3')"));
}

TEST_P(Canvases, CallbacksAreCalled) {
    const RunningWorker worker{app_, 2};
    add_.s(1, 1).link(note_.si("done")).link_error(note_.si("failed")).delay().get(kLong);
    EXPECT_TRUE(eventually([this] { return noted() == std::vector<std::string>{"done"}; }));
    (void)failure_of(refuse_.s(1).link(note_.si("done")).link_error(note_.si("failed")).delay());
    EXPECT_TRUE(
        eventually([this] { return noted() == std::vector<std::string>{"done", "failed"}; }));
    const auto result = refuse_.s(1).link_error(note_.s()).delay();  // it is told the id
    EXPECT_TRUE(eventually([&] { return noted().size() == 3 && noted().back() == result.id(); }));
}

TEST_P(Canvases, MapsCallATaskForEachItem) {
    const RunningWorker worker{app_, 2};
    EXPECT_EQ(square_.map(Numbers{1, 2, 3}).delay().get(kLong), (Numbers{1, 4, 9}));
    const std::vector<std::tuple<int, int>> rows{{1, 2}, {3, 4}, {5, 6}};
    EXPECT_EQ(add_.starmap(rows).delay().get(kLong), (Numbers{3, 7, 11}));
    EXPECT_EQ((add_.starmap(rows) | total_.s()).delay().get(kLong), 21);
    const std::vector<Numbers> parts = add_.chunks(rows, 2).delay().get(kLong);
    EXPECT_THAT(parts, ElementsAre(Numbers{3, 7}, Numbers{11}));
    EXPECT_EQ(failure_of(refuse_.map(Numbers{1, 2}).delay()), "ValueError: no 1");
    EXPECT_EQ(failure_of(map(app_.signature("elsewhere"), Json::array({1})).delay()),
              "NotRegistered: elsewhere");
    EXPECT_THAT(failure_of(starmap(app_.signature("add"), Json::array({1})).delay()),
                HasSubstr("Error"));
}

TEST_P(Canvases, CelerysChunksAreStartedByAWorker) {
    const RunningWorker worker{app_, 2};
    const Json rows = Json::array({Json::array({1, 2}), Json::array({3, 4}), Json::array({5, 6})});
    const Signature chunks = make_chunks(app_.signature("add").signature(), rows, 2);
    const auto started = app_.signature_from(encode_signature(chunks)).delay();
    const GroupResult<Numbers> parts{app_.core(), started.get(kLong)};
    EXPECT_THAT(parts.get(kLong), ElementsAre(Numbers{3, 7}, Numbers{11}));
    const Json children = value_or_throw(started.meta().children.fully_expanded());
    ASSERT_EQ(children.as_array().size(), 1U);
    EXPECT_TRUE(is_group_result(children.as_array().front()));
}

TEST_P(Canvases, ATaskIsTheParentOfWhatItStarts) {
    app_.task("start",
              [this] { return (group({add_.s(1, 1), add_.s(2, 2)}) | total_.s()).delay().id(); });
    const RunningWorker worker{app_, 2};
    const auto started = app_.signature("start").delay();
    const auto sum = app_.async_result<std::int64_t>(started.get(kLong).as_string());
    EXPECT_EQ(sum.get(kLong), 6);
    const Json children = value_or_throw(started.meta().children.fully_expanded());
    // As Celery has it: the header is one child, a group; its chord's body is none.
    ASSERT_EQ(children.as_array().size(), 1U);
    const Json& header = children.as_array().front();
    ASSERT_TRUE(is_group_result(header));
    const Json& parts = header.as_array().back();
    ASSERT_EQ(parts.as_array().size(), 2U);
    for (const Json& child : parts.as_array()) {
        const auto part = app_.async_result(value_or_throw(detail::id_of_result(child)));
        EXPECT_EQ(part.wait(kLong).parent_id, started.id());
    }
}

/// Ids as "1", "2", … in the order they come.
std::string numbered(const Json& children) {
    static const std::regex kId{"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"};
    std::string text = to_json_text(children);
    for (int next = 1;; ++next) {
        std::smatch id;
        if (!std::regex_search(text, id, kId)) return text;
        text = std::regex_replace(text, std::regex{id.str()}, std::to_string(next));
    }
}

/// The forms are those that Celery 5.6.3 has stored for the same canvases.
TEST_P(Canvases, ATasksChildrenAreListedAsCelerysWorkerDoes) {
    const auto pair = [this] { return group({add_.s(1, 1), add_.s(2, 2)}); };
    app_.task("group", [=] { (void)pair().delay(); });
    app_.task("chain", [=, this] { (void)(add_.s(1, 1) | add_.s(2)).delay(); });
    app_.task("chord", [=, this] { (void)(pair() | total_.s() | add_.s(1)).delay(); });
    app_.task("chain-group",
              [=, this] { (void)(add_.s(1, 1) | group({add_.s(1), add_.s(2)})).delay(); });
    app_.task("group-chain",
              [=, this] { (void)group({add_.s(1, 1), add_.s(2, 2) | add_.s(1)}).delay(); });
    const RunningWorker worker{app_, 2};
    const auto children = [this](const std::string& task) {
        return numbered(app_.signature(task).delay().wait(kLong).children);
    };
    const std::string group = R"([[["1", null], [[["2", null], null], [["3", null], null]]]])";
    EXPECT_EQ(children("group"), group);
    EXPECT_EQ(children("chord"), group);
    EXPECT_EQ(children("chain"), R"([[["1", null], null]])");
    EXPECT_EQ(children("chain-group"), R"([[["1", null], null]])");
    EXPECT_EQ(children("group-chain"),
              R"([[["1", null], [[["2", null], null], [["3", [["4", null], null]], null]]]])");
}

TEST_P(Canvases, SentTwiceUnderOneIdTheyHaveOneResult) {
    const SendOptions options{.task_id = uuid4()};
    const auto number = app_.task(
        "number",
        [this](std::int64_t value) {
            note("part");
            return value;
        },
        arg("value"));
    const auto body = app_.task(
        "body",
        [this](const Numbers& numbers) {
            note("body");
            return total_of(numbers);
        },
        arg("numbers"));
    const auto canvas = group({number.s(2), number.s(4)}) | body.s();
    EXPECT_EQ(canvas.apply_async(options).id(), options.task_id);
    const auto again = canvas.apply_async(options);
    const RunningWorker worker{app_, 1};
    EXPECT_EQ(again.get(kLong), 6);
    // All parts were queued before this one. The second attempt's come when the chord of the first
    // one is complete, and complete it anew: the body runs again under its id.
    note_.s("last").delay().get(kLong);
    const std::vector<std::string> all = noted();
    EXPECT_EQ(std::ranges::count(all, "part"), 4);
    EXPECT_EQ(std::ranges::count(all, "body"), 2);
    EXPECT_EQ(again.get(kLong), 6);
}

TEST_P(Canvases, ARevokedGroupDoesNotStart) {
    const auto result = group({note_.s("one"), note_.s("two")}).delay();
    result.revoke();
    const RunningWorker worker{app_, 1};
    note_.s("three").delay().get(kLong);
    for (const TaskMeta& meta : result.wait(kLong)) EXPECT_EQ(meta.status, states::kRevoked);
    EXPECT_TRUE(eventually([this] { return noted() == std::vector<std::string>{"three"}; }));
}

TEST_P(Canvases, ASavedGroupIsFoundByItsId) {
    const RunningWorker worker{app_, 2};
    const auto result = group({add_.s(1, 1), add_.s(2, 2)}).delay();
    EXPECT_THROW((void)app_.group_result(result.id()), LovageError);
    result.save();
    const auto found = app_.group_result<std::int64_t>(result.id());
    EXPECT_EQ(found.task_ids(), result.task_ids());
    EXPECT_EQ(found.get(kLong), (Numbers{2, 4}));
    found.forget();
    EXPECT_THROW((void)app_.group_result(result.id()), LovageError);
    EXPECT_EQ(result.counts().waiting(), 2U);
}

TEST_P(Canvases, DictionariesRun) {
    const RunningWorker worker{app_, 2};
    const Json dictionary = (group({add_.s(1, 1), add_.s(2, 2)}) | total_.s()).to_dict();
    EXPECT_EQ(app_.signature_from(dictionary).delay().get(kLong), Json{6});
    const Json ends_in_group = (add_.s(1, 1) | group({add_.s(1), add_.s(2)})).to_dict();
    EXPECT_THAT(as_group(app_.signature_from(ends_in_group)).delay().get(kLong),
                ElementsAre(Json{3}, Json{4}));
}

TEST_P(Canvases, CoroutinesSendAndWait) {
    const RunningWorker worker{app_, 2};
    const auto run = [](Canvas<std::int64_t, decltype(add_.s(1, 1))::Beginning> canvas)
        -> Awaitable<std::int64_t> {
        const Sent<std::int64_t> sent = co_await canvas.send();
        const auto value = co_await sent.result.get_async(Deadline::in(kLong));
        co_return value.value_or(-1);
    };
    EXPECT_EQ(app_.core()->loop().run_blocking(run(add_.s(1, 1) | add_.s(10))), 12);
}

TEST_P(Canvases, ATaskReplacesItselfByAWorkflow) {
    const auto split = app_.task(
        "split",
        [this](TaskContext& context, std::int64_t count) -> std::int64_t {
            std::vector<Canvas<std::int64_t>> parts;
            for (std::int64_t i = 0; i < count; ++i) parts.push_back(add_.s(i, i));
            context.replace(group(parts) | total_.s());
        },
        arg("count"));
    const auto later = app_.task(
        "split later",
        [this](TaskContext& context, std::int64_t number) -> Awaitable<std::int64_t> {
            return replace_later(&context, add_.s(number, 1));
        },
        arg("number"));
    const RunningWorker worker{app_, 4};
    EXPECT_EQ(split.delay(100).get(kLong), 9900);
    EXPECT_EQ((split.s(3) | add_.s(1)).delay().get(kLong), 7);
    EXPECT_EQ(chord({split.s(3), split.s(4)}, total_.s()).delay().get(kLong), 18);
    EXPECT_EQ((later.s(1) | add_.s(10)).delay().get(kLong), 12);
    EXPECT_EQ(app_.async_result(split.delay(2).id()).get(kLong), Json{2});
}

TEST_P(Canvases, APartAddsPartsToItsChord) {
    const auto more = app_.task(
        "more",
        [this](TaskContext& context, std::int64_t count) {
            for (std::int64_t i = 0; i < count; ++i) context.add_to_chord(add_.s(i, 100));
            return count;
        },
        arg("count"));
    const RunningWorker worker{app_, 4};
    EXPECT_EQ(chord({more.s(20), more.s(0), more.s(1)}, total_.s()).delay().get(kLong),
              20 + 1 + 190 + 2100);
    EXPECT_EQ((chord({more.s(2)}, total_.s()) | add_.s(1)).delay().get(kLong), 2 + 201 + 1);
}

TEST_P(Canvases, StampsReachTheTasksAndTheRecord) {
    const auto stamped = app_.task(
        "stamped", [](TaskContext& context, const Json&) { return context.request().stamps; },
        arg("anything") = Json{});
    const RunningWorker worker{app_, 2};
    const Json order = Json::object({{"order", "o-17"}});
    const auto work = (stamped.s(1) | stamped.s()).stamp({{"order", "o-17"}});
    EXPECT_EQ(work.delay().get(kLong), order);
    SendOptions options;
    options.stamps = order;
    EXPECT_EQ(stamped.apply_async({1}, options).get(kLong), order);
}

TEST_P(Canvases, WhatCannotBeSentIsRejected) {
    const auto huge = std::string(std::size_t{17} << 20U, 'x');
    const auto canvas = group({note_.s(huge), note_.s("small")});
    const auto send = [](decltype(canvas) what) -> Awaitable<SentGroup<void>> {
        co_return co_await what.send();
    };
    const SentGroup<void> sent = app_.core()->loop().run_blocking(send(canvas));
    EXPECT_EQ(sent.outcome, SendOutcome::rejected);
    ASSERT_TRUE(sent.error);
    EXPECT_EQ(sent.error->code, Errc::too_large);
}

}  // namespace
}  // namespace lovage::integration
