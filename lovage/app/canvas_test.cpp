#include <lovage/app/canvas.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/app/client.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/uuid.hpp>

#include <tests/support/fixture.hpp>
#include <tests/support/memory_app.hpp>
#include <tests/support/silent_client.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// Every message in queue "celery", in order.
std::vector<Message> take_messages(App& app, std::size_t count) {
    const auto receive = [](std::shared_ptr<AppCore> core,
                            std::size_t wanted) -> Awaitable<std::vector<Message>> {
        const Deadline deadline = Deadline::in(30s);
        auto consumer = co_await core->broker().consume({{"celery"}, 100, "test"}, deadline);
        std::vector<Message> messages;
        while (messages.size() < wanted) {
            auto deliveries = co_await (*consumer)->receive(deadline);
            if (!deliveries) break;
            for (Delivery& delivery : *deliveries) {
                (*consumer)->ack(delivery.tag);
                messages.push_back(std::move(delivery.message));
            }
        }
        (void)co_await (*consumer)->close(deadline);
        co_return messages;
    };
    return app.core()->loop().run_blocking(receive(app.core(), count));
}

/// Text with every UUID replaced by "#" and its number, in the order in which they are first seen.
class Anonymous {
public:
    std::string operator()(const std::string& text) {
        constexpr std::size_t kLength = 36;
        std::string out;
        for (std::size_t i = 0; i < text.size();) {
            const std::string_view rest = std::string_view{text}.substr(i, kLength);
            if (!is_uuid(rest)) {
                out += text[i++];
                continue;
            }
            const auto known = numbers_.try_emplace(std::string{rest}, numbers_.size()).first;
            out += "#" + std::to_string(known->second);
            i += kLength;
        }
        return out;
    }

private:
    std::map<std::string, std::size_t> numbers_;
};

/// What a message says of a workflow.
std::string facts(Anonymous& anonymous, const Json& headers, const std::string& reply_to,
                  const std::string& body, bool with_index) {
    const Json table = value_or_throw(headers.fully_expanded());
    std::string text = "reply_to " + reply_to;
    for (const char* name : {"task", "id", "root_id", "parent_id", "group", "argsrepr"}) {
        text += std::string{"\n"} + name + " " + to_json_text(*table.find(name));
    }
    if (with_index) text += "\ngroup_index " + to_json_text(*table.find("group_index"));
    return anonymous(text + "\n" + body);
}

/// Compares what two messages say: trees of JSON in which the ids are others, but each one's
/// counterpart is always the same.
class Counterparts {
public:
    /// Where they differ, or empty.
    std::string difference(const Json& ours, const Json& theirs, const std::string& at = "body") {
        if (ours.is_object() && theirs.is_object()) return in_members(ours, theirs, at);
        if (ours.is_array() && theirs.is_array()) return in_items(ours, theirs, at);
        const bool ids = ours.is_string() && theirs.is_string() && is_uuid(ours.as_string());
        const bool same = ids ? are_paired(ours.as_string(), theirs.as_string()) : ours == theirs;
        return same ? "" : at + ": " + to_json_text(ours) + " and " + to_json_text(theirs);
    }

private:
    bool are_paired(const std::string& our_id, const std::string& their_id) {
        return is_uuid(their_id) &&
               theirs_.try_emplace(our_id, their_id).first->second == their_id &&
               ours_.try_emplace(their_id, our_id).first->second == our_id;
    }
    std::string in_items(const Json& ours, const Json& theirs, const std::string& at) {
        const Json::Array& items = ours.as_array();
        if (items.size() != theirs.as_array().size()) return at + ": other number of items";
        for (std::size_t i = 0; i < items.size(); ++i) {
            const std::string place = at + "[" + std::to_string(i) + "]";
            const std::string found = difference(items[i], theirs.as_array()[i], place);
            if (!found.empty()) return found;
        }
        return "";
    }
    std::string in_members(const Json& ours, const Json& theirs, const std::string& at) {
        // Ids of tasks and groups are what others wait for and count by.
        const Json* const type = ours.find("subtask_type");
        const bool has_id = type != nullptr && (type->is_null() || *type == Json{"group"});
        if (has_id && ours.find("options")->find("task_id") == nullptr) return at + ": has no id";
        for (const auto& [name, value] : ours.as_object()) {
            const Json* const counterpart = theirs.find(name);
            if (counterpart == nullptr) return at + "." + name + ": only ours";
            const std::string found = difference(value, *counterpart, at + "." + name);
            if (!found.empty()) return found;
        }
        for (const auto& [name, value] : theirs.as_object()) {
            const bool known = at.ends_with(".options") && celery_alone_adds(name);
            if (ours.find(name) == nullptr && !known) return at + "." + name + ": only theirs";
        }
        return "";
    }
    /// Celery differs: it freezes what is started later into these options, too; whoever starts it
    /// sets them once more.
    static bool celery_alone_adds(std::string_view name) {
        constexpr std::array kNames{"group_id", "group_index", "chord",  "chain",
                                    "root_id",  "parent_id",   "task_id"};
        return std::ranges::find(kNames, name) != kNames.end();
    }

    std::map<std::string, std::string> theirs_;
    std::map<std::string, std::string> ours_;
};

class CanvasMessages : public testing::Test {
protected:
    CanvasMessages() : app_{"canvas", memory_settings()} {}

    Canvas<> add(int x, int y) const { return app_.signature("tasks.add", x, y); }
    template <class... A>
    Canvas<> call(const std::string& name, A... values) const {
        return app_.signature("tasks." + name, values...);
    }

    static const Json& captured(const std::string& name) {
        static const Json fixture = testing_support::load_fixture("celery_messages.json");
        for (const Json& message : fixture.find("messages")->as_array()) {
            if (message.find("name")->as_string() == name) return message;
        }
        throw std::runtime_error{"no such message: " + name};
    }

    /// What was just sent is what Celery sent for `name`, ids aside.
    void expect_as_captured(const std::string& name, std::size_t count, bool with_index = true) {
        Anonymous ours;
        Anonymous theirs;
        const std::vector<Message> sent = take_messages(app_, count);
        ASSERT_THAT(sent, SizeIs(count));
        for (std::size_t i = 0; i < count; ++i) {
            const Json& message = captured(name + "#" + std::to_string(i));
            EXPECT_EQ(
                facts(ours, sent[i].headers, sent[i].properties.reply_to, sent[i].body, with_index),
                facts(theirs, *message.find("headers"),
                      message.find("properties")->find("reply_to")->as_string(),
                      message.find("body")->as_string(), with_index))
                << name << "#" << i;
        }
    }
    /// What was just sent says what Celery's messages for `name` say, and is no longer.
    void expect_says_the_same(const std::string& name, std::size_t count) {
        const std::vector<Message> sent = take_messages(app_, count);
        ASSERT_THAT(sent, SizeIs(count));
        const auto tree = [](const std::string& body) {
            return value_or_throw(value_or_throw(parse_json(body)).fully_expanded());
        };
        Counterparts counterparts;
        for (std::size_t i = 0; i < count; ++i) {
            const Json& message = captured(name + "#" + std::to_string(i));
            const std::string& body = message.find("body")->as_string();
            EXPECT_LE(sent[i].body.size(), body.size()) << name;
            EXPECT_EQ(counterparts.difference(tree(sent[i].body), tree(body)), "")
                << name << "#" << i;
        }
    }

    App app_;
};

TEST_F(CanvasMessages, AChainIsCelerys) {
    chain(add(1, 2), call("mul", 10), call("identity")).apply_async();
    expect_as_captured("producer/chain", 1);
}

TEST_F(CanvasMessages, AChainsErrbackIsEveryStepsAsInCelery) {
    chain(add(1, 2), call("mul", 10)).link_error(call("on_error_new")).apply_async();
    expect_as_captured("producer/chain_link_error", 1);
}

TEST_F(CanvasMessages, AGroupIsCelerys) {
    group({add(1, 1), add(2, 2)}).apply_async();
    expect_as_captured("v56/producer_group", 2);
}

TEST_F(CanvasMessages, AChordIsCelerys) {
    chord({add(1, 1), add(2, 2)}, call("tsum")).apply_async();
    expect_as_captured("producer/chord", 2);
    chord({add(1, 1), add(2, 2)}, call("tsum")).apply_async();
    expect_says_the_same("v56/producer_chord", 2);
}

TEST_F(CanvasMessages, AGroupWithTasksAfterItIsCelerys) {
    (group({add(1, 1), add(2, 2)}) | call("tsum") | call("mul", 2)).apply_async();
    expect_as_captured("producer/group_then_task", 2);
}

TEST_F(CanvasMessages, ANestedHeaderIsCelerys) {
    const auto header = group(chain(add(1, 1), call("mul", 2)), group({add(3, 3), add(4, 4)}));
    chord(header, call("tsum")).apply_async();
    expect_as_captured("producer/nested_chain_in_group_chord", 3);
    chord(header, call("tsum")).apply_async();
    expect_says_the_same("v56/producer_nested_group_chord", 3);
}

TEST_F(CanvasMessages, AGroupInTheMiddleSaysWhatCelerysSays) {
    const auto canvas = add(1, 1) | group({call("add", 10), call("add", 20)}) | call("tsum");
    canvas.apply_async();
    expect_says_the_same("producer/chain_with_group_middle", 1);
}

TEST_F(CanvasMessages, AChordWithAGroupAtItsEndSaysWhatCelerysSays) {
    chain(chord({add(1, 1), add(5, 5)}, call("tsum")), call("mul", 2),
          group({call("add", 1), call("add", 2)}))
        .apply_async();
    expect_says_the_same("v56/producer_chord_of_chord_chain", 2);
}

TEST_F(CanvasMessages, CallbacksAreCelerys) {
    const auto sum = [this](SendOptions options) { return add(2, 2).set(options); };
    sum({.task_id = "33333333-3333-4333-8333-333333333331"}).link(call("mul", 10)).apply_async();
    expect_as_captured("producer/link", 1);
    add(2, 2).link(call("mul", 10)).link(add(9, 9).immutable()).apply_async();
    expect_as_captured("producer/link_immutable_multi", 1);
    call("fail").link_error(call("on_error_old")).link_error(call("on_error_new")).apply_async();
    expect_as_captured("producer/link_error", 1);
    const auto callback =
        add(1, 2).kwarg("z", 1).set({.queue = "other", .countdown = 5s}).immutable();
    add(2, 2).link(callback).apply_async();
    expect_as_captured("producer/signature_options", 1);
}

TEST_F(CanvasMessages, MapsAreCelerys) {
    map(call("identity"), Json::array({1, 2, 3})).apply_async();
    expect_as_captured("producer/map", 1);
    Json rows = Json::array();
    for (const auto& [x, y] : {std::pair{1, 2}, {3, 4}}) rows.push_back(Json::array({x, y}));
    starmap(call("add"), rows).apply_async();
    expect_as_captured("producer/starmap", 1);
    rows = Json::array();
    for (int i = 0; i < 5; ++i) rows.push_back(Json::array({i, i}));
    chunks(call("add"), rows, 2).apply_async();
    expect_as_captured("producer/chunks", 3, false);  // 5.2 gave members of groups no index
}

TEST_F(CanvasMessages, DictionariesAreCelerys) {
    static const Json fixture = testing_support::load_fixture("celery_signatures.json");
    std::map<std::string, std::string> texts;
    for (const Json& one : fixture.find("signatures")->as_array()) {
        texts[one.find("name")->as_string()] = one.find("text")->as_string();
    }
    const auto text = [](const CanvasBase& canvas) { return to_json_text(canvas.to_dict()); };
    EXPECT_EQ(text(add(1, 2)), texts["plain"]);
    EXPECT_EQ(text(add(1, 2).immutable()), texts["immutable"]);
    EXPECT_EQ(text(call("add", 1).set({.queue = "q", .countdown = 3s, .priority = 4})),
              texts["with_options"]);
    EXPECT_EQ(text(chain(add(1, 2), call("mul", 3))), texts["chain"]);
    EXPECT_EQ(text(group({add(1, 2), call("mul", 3)})), texts["group"]);
    EXPECT_EQ(text(map(call("identity"), Json::array({1, 2}))), texts["map"]);
    for (const auto& [name, dictionary] : texts) {
        const Json read = value_or_throw(parse_json(dictionary));
        EXPECT_EQ(text(app_.signature_from(read)), dictionary) << name;
    }
}

TEST_F(CanvasMessages, AretheSameWhenTheyAreSentAgain) {
    const auto canvas = add(1, 1) | group({call("add", 10), call("add", 20)}) | call("tsum");
    const SendOptions again{.task_id = "6c1f6bd2-6a0f-4f53-8d1a-6a7f1a3f9d10"};
    EXPECT_EQ(canvas.apply_async(again).id(), again.task_id);
    EXPECT_EQ(canvas.apply_async(again).id(), again.task_id);
    const std::vector<Message> sent = take_messages(app_, 2);
    ASSERT_THAT(sent, SizeIs(2));
    EXPECT_EQ(sent[0].body, sent[1].body);
    EXPECT_EQ(to_json_text(sent[0].headers), to_json_text(sent[1].headers));
}

TEST_F(CanvasMessages, WhatItEndsWithIsKnownOnceItIsSent) {
    Settings settings = memory_settings();
    settings.task_track_sent = true;
    const App app{"tracking", settings};
    const auto step = [&app] { return app.signature("tasks.mul", 2); };
    const auto known = [&app](const std::string& id) {
        return value_or_throw(app.core()->loop().run_blocking(
            app.async_result(id).is_known_async(Deadline::in(10s))));
    };
    const auto pair = group({step(), step()});
    EXPECT_TRUE(known((step() | step() | step()).delay().id()));
    EXPECT_TRUE(known((pair | app.signature("tasks.tsum")).delay().id()));
    for (const std::string& id : (step() | step() | pair).delay().task_ids())
        EXPECT_TRUE(known(id));
    for (const std::string& id : pair.delay().task_ids()) EXPECT_TRUE(known(id));
    EXPECT_FALSE(known("6c1f6bd2-6a0f-4f53-8d1a-6a7f1a3f9d13"));
}

TEST_F(CanvasMessages, AGroupHasTheIdItIsSentUnder) {
    const SendOptions options{.task_id = "6c1f6bd2-6a0f-4f53-8d1a-6a7f1a3f9d11"};
    const GroupResult<Json> result = group({add(1, 1), add(2, 2)}).apply_async(options);
    EXPECT_EQ(result.id(), options.task_id);
    const std::vector<Message> sent = take_messages(app_, 2);
    for (std::size_t i = 0; i < sent.size(); ++i) {
        const TaskMessage message = *decode_task_message(sent[i]);
        EXPECT_EQ(message.group, options.task_id);
        EXPECT_EQ(message.id, result.task_ids()[i]);
    }
}

TEST_F(CanvasMessages, ALongChainHasTheIdOfItsLastStep) {
    const Canvas<> steps = chain(std::vector<Canvas<>>(1'000, call("mul", 2)));
    const SendOptions options{.task_id = "6c1f6bd2-6a0f-4f53-8d1a-6a7f1a3f9d12"};
    EXPECT_EQ(steps.apply_async(options).id(), options.task_id);
    const GroupResult<Json> result = group(std::vector{steps, add(1, 1)}).delay();
    ASSERT_THAT(result.task_ids(), SizeIs(2));
    EXPECT_TRUE(is_uuid(result.task_ids()[0]));
    EXPECT_NE(result.task_ids()[0], result.task_ids()[1]);
    EXPECT_TRUE(is_uuid(result.id()));
}

TEST_F(CanvasMessages, AResultThatCannotBeReadIsAnError) {
    const auto read = [this](std::string text) {
        return GroupResult<Json>{app_.core(), Json::raw(std::move(text))}.task_ids();
    };
    EXPECT_THAT(read(R"([["g", null], [[["a", [["p", null], null]], null], ["b", null]]])"),
                ElementsAre("a", "b"));
    EXPECT_THAT(read(R"([["a", null], null])"), ElementsAre("a"));
    EXPECT_THAT(read(R"([["g", null], []])"), SizeIs(0));
    for (const char* text : {"null", "{}", "[]", "5", "[[5, null], null]", R"([["g", null], 5])",
                             R"([["g", null], [5]])", R"([["g", null]])"}) {
        EXPECT_THROW((void)read(text), LovageError) << text;
    }
}

TEST_F(CanvasMessages, AGroupsOptionsAreItsMembers) {
    group({add(1, 1), add(2, 2)}).apply_async({.priority = 3, .ignore_result = true});
    for (const Message& message : take_messages(app_, 2)) {
        EXPECT_EQ(message.properties.priority, 3);
        EXPECT_TRUE(decode_task_message(message)->ignore_result);
    }
}

TEST_F(CanvasMessages, AMemberThatIsTooLargeIsRefusedBeforeTheFirstIsSent) {
    const auto outcome = [](const Group<Json>& canvas) {
        try {
            canvas.apply_async({.timeout = 100s});  // mebibytes take their time under a sanitizer
            return std::string{"accepted"};
        } catch (const SendError& error) {
            const bool rejected = error.outcome() == SendOutcome::rejected;
            return (rejected ? "rejected: " : "other: ") + std::string{error.what()};
        }
    };
    constexpr std::size_t kMiB = std::size_t{1} << 20U;
    const auto with = [&](std::size_t bytes, char filling) {
        return group(std::vector{add(1, 1), call("identity", std::string(bytes, filling))});
    };
    EXPECT_THAT(outcome(with(17 * kMiB, 'x')), HasSubstr("rejected: "));
    // Each of these is six characters in the message.
    EXPECT_THAT(outcome(with(3 * kMiB, '\x01')),
                AllOf(HasSubstr("rejected: "), HasSubstr("tasks.identity")));
    EXPECT_EQ(outcome(with(15 * kMiB, 'x')), "accepted");
    EXPECT_THAT(take_messages(app_, 2), SizeIs(2));
}

TEST_F(CanvasMessages, OptionsThatCannotBeSendNothing) {
    EXPECT_THROW((void)add(1, 2).set({.countdown = -1s}), LovageError);
    try {
        group({add(1, 1), add(2, 2)}).apply_async({.countdown = 1s, .eta = TimePoint{}});
        FAIL();
    } catch (const SendError& error) {
        EXPECT_EQ(error.outcome(), SendOutcome::rejected);
        EXPECT_THAT(error.what(), HasSubstr("countdown or eta"));
    }
}

// ---- A client that fails

/// Sends nothing; members are ready from the second time on that it is waited for them.
class FailingClient final : public SilentClient {
public:
    Awaitable<Result<void>> send(TaskSend task, Deadline) override {
        if (refuses) co_return fail(Errc::rejected, "not today");
        sent.push_back(task.task_id);
        if (sent.size() == throws_at) throw std::runtime_error{"a sender's end"};
        co_return Result<void>{};
    }
    Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline) override {
        const std::size_t times = ++waited[task_id];
        if (task_id == late && times < 3) co_return fail(Errc::deadline_exceeded, "not yet");
        TaskMeta meta;
        meta.task_id = task_id;
        meta.status = states::kSuccess;
        co_return meta;
    }

    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline) override {
        started.push_back(std::move(chord.group_id));
        co_return Result<void>{};
    }
    Awaitable<Result<void>> end_chord(std::string group_id, Deadline) override {
        ended.push_back(std::move(group_id));
        co_return Result<void>{};
    }

    bool refuses = false;
    std::vector<std::string> started;
    std::vector<std::string> ended;
    std::size_t throws_at = 0;
    std::vector<std::string> sent;
    std::string late;  ///< The member that is ready when it is waited for the third time.
    std::map<std::string, std::size_t> waited;
};

class CanvasOfAFailingClient : public testing::Test {
protected:
    CanvasOfAFailingClient() : app_{"failing", memory_settings()} {
        auto client = std::make_unique<FailingClient>();
        client_ = client.get();
        app_.core()->use_client(std::move(client));
    }

    App app_;
    FailingClient* client_;
};

TEST_F(CanvasOfAFailingClient, IsUnknownWhenASenderEndsByAnException) {
    client_->throws_at = 3;
    const std::vector<Canvas<>> members(5, app_.signature("t"));
    try {
        group(members).apply_async();
        FAIL();
    } catch (const SendError& error) {
        EXPECT_EQ(error.outcome(), SendOutcome::unknown);
        EXPECT_THAT(error.what(),
                    HasSubstr("2 of 5 messages of the canvas were accepted: sending ended "
                              "by an exception: a sender's end"));
    }
}

TEST_F(CanvasOfAFailingClient, ARejectedOneLeavesNoChordsBehind) {
    client_->refuses = true;
    const auto canvas = group({app_.signature("t"), app_.signature("t")}) | app_.signature("body");
    EXPECT_THROW((void)canvas.apply_async(), SendError);
    EXPECT_THAT(client_->started, SizeIs(1));
    EXPECT_EQ(client_->ended, client_->started);
    // This one may have been sent before, so that parts of it may be under way.
    client_->started.clear();
    client_->ended.clear();
    EXPECT_THROW((void)canvas.apply_async({.task_id = "again"}), SendError);
    EXPECT_THAT(client_->started, SizeIs(1));
    EXPECT_THAT(client_->ended, IsEmpty());
}

TEST_F(CanvasOfAFailingClient, AsksAgainForWhatIsMissingOnly) {
    client_->late = "c";
    const GroupResultBase group{app_.core(), "g", {"a", "b", "c", "d"}};
    const std::vector<TaskMeta> metas = group.wait(10s);
    ASSERT_THAT(metas, SizeIs(4));
    for (std::size_t i = 0; i < metas.size(); ++i) EXPECT_EQ(metas[i].task_id, group.task_ids()[i]);
    EXPECT_EQ(client_->waited["a"], 1U);
    EXPECT_EQ(client_->waited["b"], 1U);
    EXPECT_EQ(client_->waited["c"], 3U);
    EXPECT_EQ(client_->waited["d"], 1U);
}

// ---- Types

class TypedCanvas : public testing::Test {
protected:
    TypedCanvas() : app_{"typed", memory_settings()} {}

    App app_;
    static std::int64_t multiply_values(std::int64_t x, std::int64_t y) { return x * y; }
    Task<std::int64_t, std::tuple<std::int64_t, std::int64_t>, 1> multiply_ =
        app_.task("multiply", multiply_values, arg("x"), arg("y") = 2);
    Task<std::string, std::tuple<std::vector<std::int64_t>>, 1> show_ = app_.task(
        "show", [](const std::vector<std::int64_t>&) { return std::string{}; }, arg("all"));
};

template <class Left, class Right>
consteval bool may_follow() {
    using Start = typename Right::Beginning;
    using Value = typename Left::Value;
    if constexpr (Start::template kCountFits<Value>) {
        return Start::template kTypesFit<Value>;
    } else {
        return false;
    }
}

TEST_F(TypedCanvas, AResultMustFitTheNextArgument) {
    const auto with_two = multiply_.s(21, 2);
    const auto partial = multiply_.s(3);
    const auto none = multiply_.s();
    const auto show = show_.s();
    using Two = decltype(with_two);
    static_assert(may_follow<Two, decltype(none)>());
    static_assert(may_follow<Two, decltype(partial)>());
    static_assert(!may_follow<Two, Two>(), "three arguments for two parameters");
    static_assert(!may_follow<Two, decltype(show)>(), "a number is no list");
    static_assert(!may_follow<decltype(show), decltype(none)>(), "a text is no number");
    static_assert(may_follow<decltype(group({with_two})), decltype(show)>());
    static_assert(!may_follow<decltype(group({with_two})), decltype(none)>());
    static_assert(may_follow<decltype(show), decltype(multiply_.si(1))>());
    static_assert(may_follow<decltype(show), decltype(app_.signature("x"))>());
    static_assert(may_follow<decltype(app_.signature("x")), decltype(none)>());
}

TEST_F(TypedCanvas, WhatGoesInFrontMovesTheArguments) {
    using Partial = decltype(multiply_.s(3))::Beginning;
    static_assert(Partial::kCountFits<> && Partial::kTypesFit<>);
    static_assert(Partial::kCountFits<int> && Partial::kTypesFit<int>);
    static_assert(!Partial::kTypesFit<std::string>);
    static_assert(!Partial::kCountFits<int, int>);
    EXPECT_EQ(to_json_text(multiply_.s(3).partial(4).signature().args), "[4, 3]");
}

TEST_F(TypedCanvas, ACanvasReturnsWhatItsEndReturns) {
    static_assert(std::same_as<decltype(multiply_.s(2) | multiply_.s())::Value, std::int64_t>);
    static_assert(std::same_as<decltype(group({multiply_.s(2)}) | show_.s())::Value, std::string>);
    static_assert(std::same_as<decltype(group(multiply_.s(2), multiply_.si(2)))::Value,
                               std::vector<std::int64_t>>);
    static_assert(
        std::same_as<decltype(group(multiply_.s(2), show_.s()))::Value, std::vector<Json>>);
    static_assert(
        std::same_as<decltype(multiply_.map(std::vector{1, 2}))::Value, std::vector<std::int64_t>>);
}

TEST(Fits, ValuesThatJsonCarriesWithoutLoss) {
    using detail::fits;
    static_assert(fits<int, std::int64_t>() && fits<int, double>() && !fits<double, int>());
    static_assert(!fits<bool, int>() && !fits<int, bool>() && !fits<std::string, int>());
    static_assert(fits<int, std::optional<int>>() && !fits<std::optional<int>, int>());
    static_assert(fits<std::vector<int>, std::vector<std::int64_t>>());
    static_assert(!fits<std::vector<std::string>, std::vector<int>>());
    static_assert(fits<std::map<std::string, int>, std::map<std::string, double>>());
    static_assert(!fits<std::map<std::string, int>, std::vector<int>>());
    static_assert(fits<void, std::optional<int>>() && !fits<void, int>() && fits<void, Json>());
    static_assert(fits<Json, int>() && fits<int, Json>());
    SUCCEED();
}

}  // namespace
}  // namespace lovage
