#include <lovage/worker/prefork/slot_protocol.hpp>

#include <lovage/worker/prefork/byte_codec.hpp>
#include <lovage/worker/prefork/registry_check.hpp>

#include <lovage/core/task_function.hpp>

#include <new>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage::slot {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The payload of the only frame in `bytes`; its kind must be `kind`.
std::string payload_of(const std::string& bytes, FrameKind kind) {
    FrameReader reader;
    reader.feed(bytes);
    const auto frame = reader.next();
    EXPECT_TRUE(frame && *frame);
    EXPECT_EQ((*frame)->kind, kind);
    std::string payload{(*frame)->payload};
    EXPECT_FALSE(*reader.next()) << "nothing follows";
    return payload;
}

Request a_request() {
    Request request;
    request.sequence = 7;
    request.context.id = "id-1";
    request.context.task = "add";
    request.context.root_id = "root";
    request.context.retries = 2;
    request.context.queue = "celery";
    request.context.redelivered = true;
    request.context.headers = Json::object({{"trace", "abc"}});
    request.context.argsrepr = "(1, 2)";
    request.args = "[1, 2]";
    request.kwargs = "{}";
    return request;
}

TEST(SlotProtocol, WhatCannotBeWrittenToItsEndLeavesNothingBehind) {
    std::string bytes = "before";
    const auto half = [](ByteWriter& writer) {
        writer.text("a beginning");
        throw std::bad_alloc{};
    };
    EXPECT_THROW(append_whole(bytes, half), std::bad_alloc);
    EXPECT_EQ(bytes, "before");
    append_whole(bytes, [](ByteWriter& writer) { writer.boolean(true); });
    EXPECT_EQ(bytes, std::string("before\x01"));
}

TEST(SlotProtocol, ARequestArrivesAsItWasSent) {
    std::string bytes;
    ASSERT_TRUE(append(bytes, a_request()));
    const auto read = read_request(payload_of(bytes, FrameKind::request));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->sequence, 7U);
    EXPECT_EQ(read->context.id, "id-1");
    EXPECT_EQ(read->context.task, "add");
    EXPECT_EQ(read->context.root_id, "root");
    EXPECT_EQ(read->context.retries, 2);
    EXPECT_EQ(read->context.queue, "celery");
    EXPECT_TRUE(read->context.redelivered);
    EXPECT_EQ(read->context.headers, a_request().context.headers);
    EXPECT_EQ(read->context.argsrepr, "(1, 2)");
    EXPECT_EQ(read->args, "[1, 2]");
    EXPECT_EQ(read->kwargs, "{}");
}

TEST(SlotProtocol, AnEventArrivesAsItWasSent) {
    std::string bytes;
    ASSERT_TRUE(append(bytes, Event{7, "task-progress", Json::object({{"done", 0.5}})}));
    const auto read = read_event(payload_of(bytes, FrameKind::event));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->sequence, 7U);
    EXPECT_EQ(read->type, "task-progress");
    EXPECT_EQ(read->fields, Json::object({{"done", 0.5}}));
}

TEST(SlotProtocol, AnOutcomeArrivesAsItWasSent) {
    Outcome outcome;
    outcome.sequence = 9;
    outcome.outcome.ending = Ending::retry;
    outcome.outcome.failure = TaskFailure{"ValueError", "boom", "builtins", "trace"};
    outcome.outcome.retry.eta = TimePoint{5s};
    outcome.outcome.retry.args = Json::Array{1, 2};
    outcome.outcome.reason = "Retry in 5s";
    outcome.outcome.started = std::chrono::steady_clock::time_point{1s};
    outcome.outcome.ended = std::chrono::steady_clock::time_point{2s};
    outcome.children = {"child"};
    std::string bytes;
    ASSERT_TRUE(append(bytes, outcome));
    const auto read = read_outcome(payload_of(bytes, FrameKind::outcome));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->sequence, 9U);
    EXPECT_EQ(read->outcome.ending, Ending::retry);
    EXPECT_EQ(read->outcome.failure->exc_message, "boom");
    EXPECT_EQ(read->outcome.retry.eta, TimePoint{5s});
    EXPECT_EQ(read->outcome.retry.args, (Json{Json::Array{1, 2}}));
    EXPECT_EQ(read->outcome.retry.kwargs, std::nullopt);
    EXPECT_EQ(read->outcome.reason, "Retry in 5s");
    EXPECT_EQ(read->outcome.started, outcome.outcome.started);
    EXPECT_EQ(read->outcome.ended, outcome.outcome.ended);
    EXPECT_THAT(read->children, ElementsAre("child"));
}

TEST(SlotProtocol, ASlotCannotClaimThatItDied) {
    Outcome outcome;
    outcome.outcome.ending = Ending::slot_lost;
    std::string bytes;
    ASSERT_TRUE(append(bytes, outcome));
    EXPECT_FALSE(read_outcome(payload_of(bytes, FrameKind::outcome)));
}

TEST(SlotProtocol, AFailureNeedsItsReason) {
    Outcome outcome;
    outcome.outcome.ending = Ending::failed;
    std::string bytes;
    ASSERT_TRUE(append(bytes, outcome));
    EXPECT_FALSE(read_outcome(payload_of(bytes, FrameKind::outcome)));
}

TEST(SlotProtocol, AResultThatIsNoJsonIsRefused) {
    Outcome outcome;
    outcome.outcome.value = Json::raw("[1, 2");
    std::string bytes;
    ASSERT_TRUE(append(bytes, outcome));
    EXPECT_FALSE(read_outcome(payload_of(bytes, FrameKind::outcome)));
}

TEST(SlotProtocol, ASendArrivesAsItWasMade) {
    Call call;
    call.id = 3;
    call.kind = Call::Kind::send;
    call.timeout = 1500ms;
    call.send.task_id = "id";
    call.send.queue = "q";
    call.send.expires = TimePoint{9s};
    call.send.mark_sent = true;
    call.send.unique = UniqueCall{"unique/t/k", 5, 10s, TimePoint{5s}};
    call.send.message.properties.priority = std::uint8_t{4};
    call.send.message.headers = Json::raw(R"({"task":"add"})");
    call.send.message.body = std::string{"[[], {}, {}]\0x", 14};
    std::string bytes;
    ASSERT_TRUE(append(bytes, call));
    const auto read = read_call(payload_of(bytes, FrameKind::call));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, 3U);
    EXPECT_EQ(read->timeout, 1500ms);
    EXPECT_EQ(read->send.task_id, "id");
    EXPECT_EQ(read->send.queue, "q");
    EXPECT_EQ(read->send.expires, TimePoint{9s});
    EXPECT_EQ(read->send.eta, std::nullopt);
    EXPECT_TRUE(read->send.mark_sent);
    EXPECT_EQ(read->send.unique, call.send.unique);
    EXPECT_EQ(read->send.message.properties.priority, 4);
    EXPECT_EQ(read->send.message.headers.raw_text(), R"({"task":"add"})");
    EXPECT_EQ(read->send.message.body, call.send.message.body);
}

TEST(SlotProtocol, AChordsSizeArrivesAsItWasTold) {
    Call call;
    call.kind = Call::Kind::start_chord;
    call.chord = {"g", 3, {}};
    std::string bytes;
    ASSERT_TRUE(append(bytes, call));
    auto read = read_call(payload_of(bytes, FrameKind::call));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->chord.group_id, "g");
    EXPECT_EQ(read->chord.size, 3);
    EXPECT_TRUE(read->chord.structure.is_null());

    call.chord.structure = Json::raw(R"([["g", null], []])");
    call.chord.watch = Json::raw(R"({"body": {}})");
    bytes.clear();
    ASSERT_TRUE(append(bytes, call));
    read = read_call(payload_of(bytes, FrameKind::call));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->chord.structure, call.chord.structure);
    EXPECT_EQ(read->chord.watch, call.chord.watch);
}

TEST(SlotProtocol, ASentMarkerKeepsItsId) {
    Call call;
    call.kind = Call::Kind::mark_sent;
    call.task_id = "id";
    std::string bytes;
    ASSERT_TRUE(append(bytes, call));
    const auto read = read_call(payload_of(bytes, FrameKind::call));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->kind, Call::Kind::mark_sent);
    EXPECT_EQ(read->task_id, "id");
}

TEST(SlotProtocol, AGroupArrivesAsItWasToBeSaved) {
    Call call;
    call.kind = Call::Kind::save_group;
    call.task_id = "g";
    call.result = Json::raw(R"([["g", null], []])");
    std::string bytes;
    ASSERT_TRUE(append(bytes, call));
    const auto read = read_call(payload_of(bytes, FrameKind::call));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->task_id, "g");
    EXPECT_EQ(read->result, call.result);
}

TEST(SlotProtocol, WhatATaskMadeOfItsWorkflowArrives) {
    Outcome message;
    message.outcome.ending = Ending::replaced;
    std::string bytes;
    ASSERT_TRUE(append(bytes, message));
    EXPECT_FALSE(read_outcome(payload_of(bytes, FrameKind::outcome))) << "by nothing";

    Signature by;
    by.task = "add";
    by.args = Json::raw("[1]");
    message.outcome.replacement = by;
    message.outcome.chord_additions = {{"one", by}, {"two", make_group({by, by})}};
    bytes.clear();
    ASSERT_TRUE(append(bytes, message));
    const auto read = read_outcome(payload_of(bytes, FrameKind::outcome));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->outcome.replacement->task, "add");
    EXPECT_EQ(to_json_text(read->outcome.replacement->args), "[1]");
    ASSERT_EQ(read->outcome.chord_additions.size(), 2U);
    EXPECT_EQ(read->outcome.chord_additions[1].id, "two");
    EXPECT_EQ(read->outcome.chord_additions[1].signature.type, SignatureType::group);
}

TEST(SlotProtocol, AnAnswerKeepsTheErrorItCarries) {
    Answer answer;
    answer.id = 4;
    answer.error = Error{Errc::unroutable, "no queue", TaskFailure{"E", "m", "mod", "t"}};
    answer.meta = R"({"status": "SUCCESS"})";
    answer.flag = true;
    std::string bytes;
    ASSERT_TRUE(append(bytes, answer));
    const auto read = read_answer(payload_of(bytes, FrameKind::answer));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->error->code, Errc::unroutable);
    EXPECT_EQ(read->error->detail, "no queue");
    EXPECT_EQ(read->error->failure->exc_type, "E");
    EXPECT_EQ(read->meta, answer.meta);
    EXPECT_TRUE(read->flag);
}

TEST(SlotProtocol, SetupAndReadyArriveAsTheyWereSent) {
    slot::Setup setup{"w@host", 3, 42, {1, 2, true, false}, {{"broker_url", "amqp://u:s@h//"}}};
    Ready ready{42, "its tasks are others", {"a()", "b()"}};
    std::string bytes;
    append(bytes, setup);
    const auto read_back = read_setup(payload_of(bytes, FrameKind::setup));
    ASSERT_TRUE(read_back);
    EXPECT_EQ(read_back->hostname, "w@host");
    EXPECT_EQ(read_back->index, 3U);
    EXPECT_EQ(read_back->registry_hash, 42U);
    EXPECT_TRUE(read_back->log.terminal);
    EXPECT_EQ(read_back->settings, setup.settings);
    bytes.clear();
    append(bytes, ready);
    const auto told = read_ready(payload_of(bytes, FrameKind::ready));
    ASSERT_TRUE(told);
    EXPECT_EQ(told->refusal, ready.refusal);
    EXPECT_EQ(told->tasks, ready.tasks);
}

TEST(SlotProtocol, FramesAreReadHoweverTheyComeInPieces) {
    std::string bytes;
    ASSERT_TRUE(append(bytes, a_request()));
    append(bytes, Interrupt{7, StopReason::soft_time_limit});
    append_quit(bytes);
    FrameReader reader;
    std::vector<FrameKind> kinds;
    for (const char byte : bytes) {
        reader.feed({&byte, 1});
        while (true) {
            const auto frame = reader.next();
            ASSERT_TRUE(frame);
            if (!*frame) break;
            kinds.push_back((*frame)->kind);
        }
    }
    EXPECT_THAT(kinds, ElementsAre(FrameKind::request, FrameKind::interrupt, FrameKind::quit));
    EXPECT_EQ(reader.buffered(), 0U);
}

TEST(SlotProtocol, AFrameThatIsTooLongOrUnknownIsRefusedBeforeItIsRead) {
    FrameReader too_long;
    too_long.feed(std::string{"\xff\xff\xff\xff\x03", 5});
    EXPECT_THAT(too_long.next().error().message(), HasSubstr("4294967295 bytes"));
    FrameReader unknown;
    unknown.feed(std::string{"\x00\x00\x00\x00\x63", 5});
    EXPECT_THAT(unknown.next().error().message(), HasSubstr("unknown kind 99"));
}

TEST(SlotProtocol, ACutPayloadIsRefused) {
    std::string bytes;
    ASSERT_TRUE(append(bytes, a_request()));
    const std::string whole = payload_of(bytes, FrameKind::request);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_FALSE(read_request(std::string_view{whole}.substr(0, size))) << size;
    }
    EXPECT_FALSE(read_request(whole + "x"));
}

TEST(SlotProtocol, WhatIsTooLargeIsNotSent) {
    Request request = a_request();
    request.args = std::string(kPayloadBytesMax, ' ');
    std::string bytes = "before";
    EXPECT_FALSE(append(bytes, request));
    EXPECT_EQ(bytes, "before");
}

TEST(RegistryHash, TellsRegistriesApart) {
    const auto registry = [](const char* name, int value) {
        TaskRegistry tasks;
        tasks.add(make_task_definition(name, [](int x) { return x; }, Arg{"x"} = value));
        return registry_hash(tasks);
    };
    EXPECT_EQ(registry("a", 1), registry("a", 1));
    EXPECT_NE(registry("a", 1), registry("b", 1));
    EXPECT_NE(registry("a", 1), registry("a", 2));
}

}  // namespace
}  // namespace lovage::slot
