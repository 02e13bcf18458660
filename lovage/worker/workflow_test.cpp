// Workflows from their first message to their end, on the embedded memory broker.

#include <lovage/core/canvas.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/worker/quarantine.hpp>
#include <lovage/worker/worker.hpp>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>
#include <tests/support/running_worker.hpp>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kFirst = "3b7e7a50-0f0d-4c7e-9a4e-0a6a1a0d7f01";

Signature task(const std::string& name, const std::string& args = "[]") {
    Signature signature;
    signature.task = name;
    signature.args = Json::raw(args);
    return signature;
}
Signature with_id(Signature signature, const std::string& id) {
    signature.options.set("task_id", id);
    return signature;
}
Signature with(Signature signature, const std::string& option, Json value) {
    signature.options.set(option, std::move(value));
    return signature;
}

/// An app with tasks that write down what they are called with.
class WorkflowTest : public testing::Test {
protected:
    WorkflowTest() {
        app_.task("add", [](std::int64_t x, std::int64_t y) { return x + y; }, arg("x"), arg("y"));
        app_.task("double", [](std::int64_t x) { return 2 * x; }, arg("x"));
        app_.task(
            "sum",
            [](const std::vector<std::int64_t>& all) {
                std::int64_t sum = 0;
                for (const std::int64_t one : all) sum += one;
                return sum;
            },
            arg("all"));
        app_.task("echo", [](Json value) { return value; }, arg("value"));
        app_.task(
            "fail", [](const Json&) { throw std::invalid_argument{"boom"}; },
            arg("anything") = Json{});
        app_.task(
            "traced",
            [this](TaskContext& context, const Json&) {
                note(context.trace().traceparent + " " + context.trace().tracestate);
                return 1;
            },
            arg("anything") = Json{});
        app_.task("note", [this](const std::string& what) { note(what); }, arg("what"));
        app_.task(
            "told",
            [this](const Json& request, const Json& exception, const std::string& traceback) {
                EXPECT_THAT(traceback, HasSubstr("Traceback"));
                note(request.find("task")->as_string() + " " +
                     exception.find("exc_type")->as_string());
            },
            arg("request"), arg("exception"), arg("traceback"));
    }

    void note(const std::string& what) {
        const std::lock_guard lock{mutex_};
        noted_.push_back(what);
    }
    std::vector<std::string> noted() {
        const std::lock_guard lock{mutex_};
        return noted_;
    }
    std::vector<std::string> await_noted(std::size_t count) {
        const Deadline deadline = Deadline::in(kLong);
        while (noted().size() < count && !deadline.passed()) std::this_thread::yield();
        return noted();
    }

    /// Sends whatever a canvas comes to, as a client would; its parts get ids of kFirst's.
    void start(const Signature& canvas, const TraceContext& trace = {}) {
        CanvasPlanner planner{{std::string{kFirst}, std::string{kFirst}, wall_clock_now(), trace}};
        value_or_throw(planner.call(canvas, {}, Json::object(), "start"));
        CanvasPlan plan = std::move(planner).take();
        const auto count = [](std::shared_ptr<AppCore> core,
                              std::vector<PlannedChord> chords) -> Awaitable<void> {
            value_or_throw(co_await core->connect(Deadline::in(kLong)));
            for (PlannedChord& chord : chords) {
                value_or_throw(co_await core->results().start_chord(
                    {chord.group_id, chord.size, chord.structure, chord.watch}, Deadline::in(kLong)));
            }
        };
        app_.core()->loop().run_blocking(count(app_.core(), plan.chords));
        for (PlannedCall& call : plan.calls) {
            // A client's calls have no parent.
            call.message.parent_id.reset();
            call.message.root_id.clear();
            call.message.ignore_result = call.ignore_result.value_or(false);
            publish(app_, encode_task_message(call.message));
        }
    }
    TaskMeta record(const std::string& id) { return app_.async_result(id).wait(kLong); }
    std::string value(const std::string& id) {
        const TaskMeta meta = record(id);
        return meta.status + " " + to_json_text(meta.result);
    }
    std::string failure(const std::string& id) {
        const TaskMeta meta = record(id);
        return meta.failure() ? meta.failure()->exc_type + ": " + meta.failure()->exc_message
                              : meta.status;
    }

    App app_{"test", memory_settings()};
    std::mutex mutex_;
    std::vector<std::string> noted_;
};

Signature chain(const std::vector<Signature>& steps) {
    Signature signature;
    signature.task = "celery.chain";
    signature.type = SignatureType::chain;
    set_tasks(signature, steps);
    return signature;
}

TEST_F(WorkflowTest, AChainHandsItsResultsOn) {
    RunningWorker worker{app_, 2};
    start(chain({with_id(task("add", "[1, 2]"), "a"), with_id(task("double"), "b"),
                 with_id(task("add", "[10]"), "c")}));
    EXPECT_EQ(value("c"), "SUCCESS 16");
    EXPECT_EQ(to_json_text(record("a").children), R"([[["b", null], null]])");
    EXPECT_EQ(to_json_text(record("c").children), "[]");
    EXPECT_EQ(record("b").parent_id, "a");
    EXPECT_EQ(record("c").parent_id, "b");
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(messages_in(app_, "celery"), 0U);
}

TEST_F(WorkflowTest, CallbacksRunAfterASuccessOnly) {
    RunningWorker worker{app_};
    start(
        with(with_id(task("echo", R"(["yes"])"), "ok"), "link", encode_signatures({task("note")})));
    EXPECT_THAT(await_noted(1), ElementsAre("yes"));
    start(with(with_id(task("fail"), "bad"), "link", encode_signatures({task("note")})));
    EXPECT_EQ(failure("bad"), "ValueError: boom");
    EXPECT_EQ(to_json_text(record("ok").children),
              R"([[[")" + follow_up_id("ok", "callback/0") + R"(", null], null]])");
    EXPECT_TRUE(worker.stop());
    EXPECT_THAT(noted(), ElementsAre("yes"));
}

TEST_F(WorkflowTest, AFailureEndsTheRestOfTheChain) {
    RunningWorker worker{app_};
    start(chain({with_id(task("echo", "[1]"), "a"), with_id(task("fail"), "b"),
                 with_id(task("note"), "c"), with_id(task("note"), "d")}));
    EXPECT_EQ(failure("d"), "ValueError: boom");
    EXPECT_EQ(failure("c"), "ValueError: boom");
    EXPECT_EQ(record("c").traceback, record("b").traceback);
    EXPECT_TRUE(worker.stop());
    EXPECT_THAT(noted(), IsEmpty());
}

TEST_F(WorkflowTest, ErrbacksGetTheIdOrAllTheyHaveParametersFor) {
    RunningWorker worker{app_};
    start(with(with_id(task("fail"), "bad"), "link_error",
               encode_signatures({task("note"), task("told")})));
    EXPECT_THAT(await_noted(2), testing::UnorderedElementsAre("bad", "fail ValueError"));
    EXPECT_EQ(failure("bad"), "ValueError: boom");
}

TEST_F(WorkflowTest, AChordsBodyGetsAllResultsInOrder) {
    RunningWorker worker{app_, 4};
    std::vector<Signature> header;
    std::string all;
    for (int i = 0; i < 50; ++i) {
        header.push_back(task("double", "[" + std::to_string(i) + "]"));
        all += (i == 0 ? "" : ", ") + std::to_string(2 * i);
    }
    start(make_chord(make_group(header), with_id(task("echo"), "body")));
    EXPECT_EQ(value("body"), "SUCCESS [" + all + "]");
    const TaskMeta part = record(follow_up_id(kFirst, "start/header/7"));
    EXPECT_EQ(part.group_id, follow_up_id(kFirst, "start/header"));
}

TEST_F(WorkflowTest, AFailedPartReachesBodyAndErrbacksOnce) {
    RunningWorker worker{app_, 2};
    const std::string part = "part-1";
    Signature body = with_id(task("note"), "body");
    body.options.set("link_error", encode_signatures({task("note")}));
    start(make_chord(
        make_group({task("double", "[1]"), with_id(task("fail"), part), task("double", "[3]")}),
        body));
    EXPECT_EQ(failure("body"), "ChordError: Dependency part-1 raised ValueError('boom')");
    EXPECT_THAT(await_noted(1), ElementsAre("body"));
    EXPECT_TRUE(worker.stop());
    EXPECT_THAT(noted(), ElementsAre("body"));
}

TEST_F(WorkflowTest, AChordsErrbackWithSeveralParametersIsToldOfTheBody) {
    RunningWorker worker{app_};
    start(make_chord(make_group({task("fail")}), with(with_id(task("sum"), "body"), "link_error",
                                                      encode_signatures({task("told")}))));
    EXPECT_THAT(await_noted(1), ElementsAre("sum ChordError"));
}

// As Celery's chord_error_from_stack: those of the body, not those of its steps.
TEST_F(WorkflowTest, TheErrbacksOfAChordsBodyAreCalledOnceWhateverItIs) {
    RunningWorker worker{app_, 2};
    const Json errback = encode_signatures({task("note")});
    const Signature body = chain({with(task("sum"), "link_error", errback),
                                  with(with_id(task("double"), "end"), "link_error", errback)});
    start(make_chord(make_group({task("fail")}), with(body, "link_error", errback)));
    EXPECT_EQ(record("end").status, "FAILURE");
    EXPECT_THAT(await_noted(1), ElementsAre("end"));
    EXPECT_TRUE(worker.stop());
    EXPECT_THAT(noted(), ElementsAre("end"));
}

TEST_F(WorkflowTest, AChordInAChainIsStartedByTheStepBeforeIt) {
    RunningWorker worker{app_, 2};
    start(chain({with_id(task("add", "[1, 1]"), "first"),
                 make_chord(make_group({task("add", "[10]"), task("add", "[20]")}),
                            with_id(task("sum"), "sum")),
                 with_id(task("double"), "end")}));
    EXPECT_EQ(value("sum"), "SUCCESS 34");
    EXPECT_EQ(value("end"), "SUCCESS 68");
    // The group is the child, as in Celery; the body belongs to whoever returned last.
    EXPECT_THAT(to_json_text(record("first").children),
                HasSubstr(follow_up_id(kFirst, "start/1/header")));
}

TEST_F(WorkflowTest, ChordsNestAnyWay) {
    RunningWorker worker{app_, 3};
    const Signature inner =
        make_chord(make_group({task("double", "[1]"), task("double", "[2]")}), task("sum"));
    const Signature trailing =
        chain({task("add", "[1, 1]"), make_group({task("add", "[1]"), task("add", "[2]")})});
    start(make_chord(make_group({inner, chain({task("double", "[5]"), task("double")}), trailing}),
                     with_id(task("echo"), "outer")));
    EXPECT_EQ(value("outer"), "SUCCESS [6, 20, [3, 4]]");
}

TEST_F(WorkflowTest, AFailureDeepInAChordEndsTheOuterOneToo) {
    RunningWorker worker{app_, 2};
    const Signature inner = make_chord(make_group({task("fail"), task("double", "[2]")}),
                                       with_id(task("sum"), "inner"));
    start(make_chord(make_group({inner, task("double", "[1]")}), with_id(task("sum"), "outer")));
    EXPECT_THAT(failure("inner"), HasSubstr("ChordError: Dependency "));
    EXPECT_THAT(failure("outer"), HasSubstr("ChordError: Dependency inner raised ChordError("));
}

TEST_F(WorkflowTest, AFailureBeforeAChordReachesItsBody) {
    RunningWorker worker{app_};
    start(chain({with_id(task("fail"), "first"),
                 make_chord(make_group({task("add", "[10]"), task("add", "[20]")}),
                            with_id(task("sum"), "sum"))}));
    EXPECT_EQ(failure("sum"), "ValueError: boom");
}

TEST_F(WorkflowTest, ARevokedPartFailsItsChord) {
    app_.async_result("part").revoke();
    RunningWorker worker{app_};
    start(make_chord(make_group({with_id(task("double", "[1]"), "part"), task("double", "[2]")}),
                     with_id(task("sum"), "body")));
    EXPECT_EQ(failure("body"), "ChordError: Dependency part raised TaskRevokedError('revoked')");
}

TEST_F(WorkflowTest, ARevokedStepEndsTheRestOfItsChain) {
    app_.async_result("step").revoke();
    RunningWorker worker{app_};
    start(chain({with_id(task("double", "[1]"), "step"), with_id(task("double"), "next")}));
    EXPECT_EQ(record("next").status, "REVOKED");
}

TEST_F(WorkflowTest, APartNobodyKnowsFailsItsChord) {
    RunningWorker worker{app_};
    start(make_chord(make_group({task("double", "[1]"), with_id(task("nowhere"), "part")}),
                     with_id(task("sum"), "body")));
    EXPECT_EQ(failure("body"), "ChordError: Dependency part raised NotRegistered('nowhere')");
}

TEST_F(WorkflowTest, APartCountsWhenItsRetriesAreOver) {
    std::atomic<int> retries{0};
    app_.task("flaky", [&retries](TaskContext& context) {
        if (context.retries() == 0) {
            ++retries;
            context.retry({.countdown = 0ms});
        }
        return 5;
    });
    RunningWorker worker{app_, 2};
    start(make_chord(make_group({task("flaky"), task("double", "[1]")}),
                     with_id(task("sum"), "body")));
    EXPECT_EQ(value("body"), "SUCCESS 7");
    EXPECT_EQ(retries, 1);
}

TEST_F(WorkflowTest, AFailureAfterASuccessOfTheSameMessageChangesNothing) {
    std::atomic<int> runs{0};
    app_.task("once", [&runs] {
        if (++runs > 1) throw std::invalid_argument{"already charged"};
        return 5;
    });
    RunningWorker worker{app_};
    Signature first = with(with_id(task("once"), "first"), "link_error",
                           encode_signatures({task("note", R"(["told"])")}));
    // Its chord lacks a part, which comes last.
    const Signature last = with_id(task("double", "[1]"), "last");
    const Signature body = with_id(task("sum"), "body");
    const auto part_of = [&](const Signature& part, int index) {
        return with(with(with(part, "chord", encode_signature(body)), "group_id", "group"),
                    "group_index", index);
    };
    const auto count = [](std::shared_ptr<AppCore> core) -> Awaitable<void> {
        value_or_throw(co_await core->connect(Deadline::in(kLong)));
        value_or_throw(co_await core->results().start_chord({"group", 2, {}}, Deadline::in(kLong)));
    };
    app_.core()->loop().run_blocking(count(app_.core()));
    start(part_of(first, 0));
    EXPECT_EQ(value("first"), "SUCCESS 5");
    start(part_of(first, 0));
    start(part_of(last, 1));
    EXPECT_EQ(value("body"), "SUCCESS 7");
    EXPECT_EQ(runs, 2);
    EXPECT_TRUE(worker.stop());
    EXPECT_THAT(noted(), IsEmpty());
}

TEST_F(WorkflowTest, FollowUpsOfATaskThatRunsAgainAreTheSame) {
    app_.task(
        "note-id", [this](TaskContext& context, const Json&) { note(context.id()); },
        arg("anything"));
    RunningWorker worker{app_};
    const Signature linked = with(with_id(task("double", "[1]"), "twice"), "link",
                                  encode_signatures({task("note-id"), task("note-id")}));
    start(linked);
    start(linked);
    const std::vector<std::string> ids = await_noted(4);
    EXPECT_THAT(ids, testing::UnorderedElementsAre(follow_up_id("twice", "callbacks/0"),
                                                   follow_up_id("twice", "callbacks/0"),
                                                   follow_up_id("twice", "callbacks/1"),
                                                   follow_up_id("twice", "callbacks/1")));
}

TEST_F(WorkflowTest, APartThatComesAgainAfterTheChordIsOverStartsNothing) {
    app_.task("note-list", [this](const Json& list) { note(to_json_text(list)); }, arg("list"));
    RunningWorker worker{app_};
    const Signature part = with_id(task("double", "[1]"), "part");
    const Signature last = with_id(task("double", "[2]"), "last");
    const Signature canvas =
        make_chord(make_group({part, last}), with_id(task("note-list"), "body"));
    start(canvas);
    EXPECT_EQ(value("body"), "SUCCESS null");
    Signature again =
        with(with(last, "chord", encode_signature(with_id(task("note-list"), "body"))), "group_id",
             follow_up_id(kFirst, "start/header"));
    start(with(again, "group_index", 1));
    const Deadline deadline = Deadline::in(kLong);
    while (messages_in(app_, "celery") > 0 && !deadline.passed()) std::this_thread::yield();
    EXPECT_EQ(messages_in(app_, "celery"), 0U);
    EXPECT_THAT(noted(), ElementsAre("[2, 4]"));
}

TEST_F(WorkflowTest, IgnoredResultsStillGoOn) {
    RunningWorker worker{app_};
    start(chain({with(with_id(task("double", "[4]"), "quiet"), "ignore_result", true),
                 with_id(task("double"), "loud")}));
    EXPECT_EQ(value("loud"), "SUCCESS 16");
    start(make_chord(make_group({with(task("double", "[4]"), "ignore_result", true),
                                 with(task("double", "[5]"), "ignore_result", true)}),
                     with_id(task("sum"), "body")));
    EXPECT_EQ(value("body"), "SUCCESS 18");
    EXPECT_EQ(app_.async_result("quiet").state(), "PENDING");
}

TEST_F(WorkflowTest, ASuccessWhoseFollowUpCannotBeIsAFailure) {
    RunningWorker worker{app_};
    start(with(with_id(task("double", "[4]"), "id"), "link",
               encode_signatures({with(task("note"), "priority", "high")})));
    EXPECT_THAT(failure("id"), HasSubstr("EncodeError: what follows the task could not be sent: "));
    EXPECT_THAT(failure("id"), HasSubstr("signature 'note' has an option 'priority'"));
}

// Nobody will make that exchange: the task does not wait for it for ever.
TEST_F(WorkflowTest, ASuccessWhoseFollowUpHasNoAddressIsAFailure) {
    RunningWorker worker{app_};
    const Signature step = with(with(task("double"), "exchange", "nowhere"), "routing_key", "key");
    start(chain({with_id(task("double", "[4]"), "id"), step}));
    EXPECT_THAT(failure("id"), HasSubstr("EncodeError: what follows the task could not be sent: "));
    EXPECT_THAT(failure("id"), HasSubstr("nowhere"));
}

TEST_F(WorkflowTest, AStepGoesToTheQueueItsSignatureNames) {
    RunningWorker worker{app_};
    start(chain({task("double", "[1]"), with(with_id(task("double"), "far"), "queue", "elsewhere"),
                 task("double")}));
    const Deadline deadline = Deadline::in(kLong);
    while (status_of(app_, "elsewhere").ready == 0 && !deadline.passed()) std::this_thread::yield();
    EXPECT_EQ(status_of(app_, "elsewhere").ready, 1U);
    EXPECT_EQ(app_.async_result("far").state(), "PENDING");
}

TEST_F(WorkflowTest, ATraceGoesOnToEverythingThatFollows) {
    app_.task("sends", [this] { app_.send_task("traced"); });
    RunningWorker worker{app_};
    const Signature traced = task("traced");
    Signature chord = task("celery.chord");
    chord.type = SignatureType::chord;
    set_parts(chord, {.header = make_group({traced, traced}),
                      .body = with(traced, "link", encode_signatures({traced}))});
    const TraceContext trace{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=b"};
    const std::string seen = trace.traceparent + " a=b";

    start(chord, trace);
    EXPECT_THAT(await_noted(4), ElementsAre(seen, seen, seen, seen));
    start(with(task("fail"), "link_error", encode_signatures({traced})), trace);
    EXPECT_THAT(await_noted(5), ElementsAre(seen, seen, seen, seen, seen));
    start(task("sends"), trace);
    EXPECT_THAT(await_noted(6), ElementsAre(seen, seen, seen, seen, seen, seen));
}

}  // namespace
}  // namespace lovage
