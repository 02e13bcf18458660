#include <lovage/core/task_message.hpp>

#include <zlib.h>

#include <limits>
#include <map>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing_support::load_fixture;

constexpr std::string_view kBody = R"([[2, 3], {"x": 1}, {"callbacks": null}])";

Json json(std::string_view text) {
    return value_or_throw(parse_json(text));
}

Message message(std::string_view headers, std::string_view body = kBody) {
    return {
        .properties = {}, .headers = Json::raw(std::string{headers}), .body = std::string{body}};
}

/// A message whose table is complete but for one field.
Message with_header(std::string_view name, std::string_view value) {
    Json headers = json(R"({"task": "t", "id": "i"})");
    headers.set(name, json(value));
    return {.properties = {}, .headers = headers, .body = std::string{kBody}};
}

TaskMessage decoded(const Message& message) {
    auto task = decode_task_message(message);
    EXPECT_TRUE(task) << task.error().detail;
    return task.value_or(TaskMessage{});
}

/// "<reason>: <detail>", or "decoded".
std::string verdict(const Message& message, const DecodeLimits& limits = {}) {
    const auto task = decode_task_message(message, limits);
    if (task) return "decoded";
    return std::string{to_string(task.error().reason)} + ": " + task.error().detail;
}

std::string zlib_packed(std::string_view text) {
    uLongf size = compressBound(text.size());
    std::string packed(size, '\0');
    compress(reinterpret_cast<Bytef*>(packed.data()), &size,
             reinterpret_cast<const Bytef*>(text.data()), text.size());
    packed.resize(size);
    return packed;
}

TaskMessage add_task() {
    TaskMessage task;
    task.id = "00000000-0000-4000-8000-000000000001";
    task.task = "tasks.add";
    task.args = json("[2, 3]");
    task.origin = "gen463@capture";
    return task;
}

// ------------------------------------------------------------------------- messages Celery sent

std::string from_base64(std::string_view text) {
    std::string bytes;
    unsigned bits = 0;
    int count = 0;
    for (const char c : text) {
        constexpr std::string_view kDigits =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const auto digit = kDigits.find(c);
        if (digit == std::string_view::npos) break;
        bits = bits << 6U | static_cast<unsigned>(digit);
        if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8));
    }
    return bytes;
}

Message recorded_message(const Json& entry) {
    Message message;
    const Json& properties = *entry.find("properties");
    const auto text = [&](const char* name) {
        const Json* value = properties.find(name);
        return value ? value->as_string() : std::string{};
    };
    message.properties.content_type = text("content_type");
    message.properties.content_encoding = text("content_encoding");
    message.properties.correlation_id = text("correlation_id");
    message.properties.reply_to = text("reply_to");
    if (const Json* priority = properties.find("priority")) {
        message.properties.priority = static_cast<std::uint8_t>(*priority->as_int64());
    }
    if (const Json* mode = properties.find("delivery_mode")) {
        message.properties.delivery_mode = static_cast<std::uint8_t>(*mode->as_int64());
    }
    message.headers = *entry.find("headers");
    const Json* body = entry.find("body");
    message.body = body ? body->as_string() : from_base64(entry.find("body_base64")->as_string());
    return message;
}

/// What the sender's version did not know yet, or did not care to send.
Json only_members_of(const Json& headers, const Json& sent) {
    Json kept = Json::object();
    for (const auto& [name, value] : headers.as_object()) {
        if (sent.find(name)) kept.set(name, value);
    }
    return kept;
}

/// Encoded headers are text; this reads them.
Json headers_of(const Message& message) {
    return value_or_throw(message.headers.fully_expanded());
}

void expect_written_back(const Message& original, const TaskMessage& task) {
    const Message again = encode_task_message(task);
    Json sent = original.headers;
    const bool packed = sent.erase("compression");
    const bool protocol_2 = task.protocol == 2;
    // RabbitMQ's dead-lettering sorts the table it passes on.
    const bool reordered = sent.find("x-death") != nullptr;
    EXPECT_EQ(only_members_of(headers_of(again), sent), sent);
    if (protocol_2 && !reordered) {
        EXPECT_EQ(to_json_text(only_members_of(headers_of(again), sent)), to_json_text(sent));
    }
    if (protocol_2 && !packed && task.embed.is_raw()) {
        EXPECT_EQ(again.body, original.body);
    }
    EXPECT_EQ(again.properties.reply_to, original.properties.reply_to);
    EXPECT_EQ(again.properties.priority, original.properties.priority);
    EXPECT_EQ(again.properties.delivery_mode, original.properties.delivery_mode);
    if (!original.properties.correlation_id.empty()) {
        EXPECT_EQ(again.properties.correlation_id, original.properties.correlation_id);
    }

    TaskMessage second = decoded(again);
    second.protocol = task.protocol;
    EXPECT_EQ(second, task);
}

TEST(RecordedMessages, EveryOneIsUnderstoodOrRefusedForItsReason) {
    const Json fixture = load_fixture("celery_messages.json");
    std::map<std::string, int> seen;
    for (const Json& entry : fixture.find("messages")->as_array()) {
        SCOPED_TRACE(entry.find("name")->as_string());
        const std::string& expected = entry.find("expect")->as_string();
        const Message original = recorded_message(entry);
        const auto task = decode_task_message(original);
        ++seen[expected];
        if (expected != "task") {
            ASSERT_FALSE(task);
            EXPECT_EQ(to_string(task.error().reason), expected) << task.error().detail;
            EXPECT_FALSE(task.error().detail.empty());
            continue;
        }
        ASSERT_TRUE(task) << task.error().detail;
        expect_written_back(original, *task);
    }
    EXPECT_EQ(seen, (std::map<std::string, int>{{"task", 113},
                                                {"content-disallowed", 6},
                                                {"invalid-message", 4},
                                                {"undecodable", 2},
                                                {"unknown-message", 1},
                                                {"unsupported", 1}}));
}

// ------------------------------------------------------------------------------------ encoding

TEST(EncodeTaskMessage, WritesWhatCelery563WritesForTheSameCall) {
    TaskMessage task = add_task();
    task.priority = 0;
    task.reply_to = "37db7e6f-9990-3f22-bbc7-635110cfff19";
    const Message sent = encode_task_message(task);
    EXPECT_EQ(
        sent.headers.raw_text(),
        R"({"lang": "py", "task": "tasks.add", "id": "00000000-0000-4000-8000-000000000001", )"
        R"("shadow": null, "eta": null, "expires": null, "group": null, "group_index": null, )"
        R"("retries": 0, "timelimit": [null, null], )"
        R"("root_id": "00000000-0000-4000-8000-000000000001", "parent_id": null, )"
        R"#("argsrepr": "(2, 3)", "kwargsrepr": "{}", "origin": "gen463@capture", )#"
        R"("ignore_result": false, "replaced_task_nesting": 0, "stamped_headers": null, )"
        R"("stamps": {}})");
    EXPECT_EQ(
        sent.body,
        R"([[2, 3], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}])");
    EXPECT_EQ(sent.properties.content_type, "application/json");
    EXPECT_EQ(sent.properties.content_encoding, "utf-8");
    EXPECT_EQ(sent.properties.correlation_id, task.id);
    EXPECT_EQ(sent.properties.reply_to, task.reply_to);
    EXPECT_EQ(sent.properties.priority, 0);
    EXPECT_EQ(sent.properties.delivery_mode, 2);
    EXPECT_FALSE(sent.properties.expiration);
}

TEST(EncodeTaskMessage, KeepsRawArgumentsByteForByte) {
    TaskMessage task = add_task();
    task.args = Json::raw("[ 1,2 ]");
    EXPECT_THAT(encode_task_message(task).body, testing::StartsWith("[[ 1,2 ], {}, {"));
}

TEST(EncodeTaskMessage, UserHeadersComeLastAndWin) {
    TaskMessage task = add_task();
    task.user_headers = json(R"({"x-trace": "t", "shadow": "mine"})");
    const Json headers = headers_of(encode_task_message(task));
    EXPECT_EQ(headers.find("shadow")->as_string(), "mine");
    EXPECT_EQ(headers.as_object()[3].first, "shadow");
    EXPECT_EQ(headers.as_object().back().first, "x-trace");
    EXPECT_EQ(headers.as_object().size(), 20U);
}

TEST(EncodeTaskMessage, WholeSecondsOfLimitsAreIntegers) {
    TaskMessage task = add_task();
    task.time_limit = 20;
    task.soft_time_limit = 0.5;
    EXPECT_EQ(to_json_text(*headers_of(encode_task_message(task)).find("timelimit")), "[20, 0.5]");
}

TEST(EncodeTaskMessage, ExpiryBecomesATimeToLiveWhenNowIsKnown) {
    TaskMessage task = add_task();
    const TimePoint now = *parse_iso8601("2026-11-21T16:00:00");
    task.expires = now + 120s + 900us;
    const auto ttl = [&](TimePoint at) {
        return encode_task_message(task, at).properties.expiration;
    };
    EXPECT_EQ(ttl(now), 120'000ms);
    EXPECT_EQ(ttl(now + 1h), 0ms);
    EXPECT_FALSE(encode_task_message(task).properties.expiration);
    EXPECT_FALSE(encode_task_message(add_task(), now).properties.expiration);
}

TEST(EncodeTaskMessage, WhatWasEncodedDecodesToAnEqualTask) {
    TaskMessage task = add_task();
    task.kwargs = json(R"({"k": [1, {"deep": null}], "big": 123456789012345678901234567890})");
    task.shadow = "shown";
    task.eta = *parse_iso8601("2026-11-21T16:00:00.000001");
    task.expires = *parse_iso8601("2027-01-01");
    task.group = "g";
    task.group_index = 3;
    task.retries = 2;
    task.time_limit = 20;
    task.soft_time_limit = 10.25;
    task.root_id = "root";
    task.parent_id = "parent";
    task.argsrepr = "(…)";
    task.kwargsrepr = "{…}";
    task.ignore_result = true;
    task.replaced_task_nesting = 1;
    task.stamped_headers = json(R"(["a"])");
    task.stamps = json(R"({"a": [1, 2]})");
    task.user_headers = json(R"({"x": {"y": [1]}, "lang": "c++"})");
    task.reply_to = "r";
    task.correlation_id = "c";
    task.priority = 9;
    task.persistent = false;
    EXPECT_EQ(decoded(encode_task_message(task)), task);
}

TEST(CheckEncodable, RefusesWhatNoWorkerCouldRead) {
    const auto verdict_of = [](auto change) {
        TaskMessage task = add_task();
        change(task);
        const auto checked = check_encodable(task);
        return checked ? std::string{"fine"} : checked.error().message();
    };
    EXPECT_EQ(verdict_of([](TaskMessage&) {}), "fine");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.args = Json::raw("[1]"); }), "fine");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.task = ""; }),
              "invalid_argument: a task name has 1 to 255 bytes, not 0");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.id = std::string(256, 'i'); }),
              "invalid_argument: task 'tasks.add': a task id has 1 to 255 bytes, not 256");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.args = Json::object(); }),
              "invalid_argument: task 'tasks.add': args must be a list, not {}");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.kwargs = nullptr; }),
              "invalid_argument: task 'tasks.add': kwargs must be a map, not None");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.user_headers = Json::array(); }),
              "invalid_argument: task 'tasks.add': headers must be a map, not []");
    EXPECT_EQ(verdict_of([](TaskMessage& task) { task.user_headers.set("id", "x"); }),
              "invalid_argument: task 'tasks.add': the header 'id' cannot be set");
}

// ------------------------------------------------------------------------------------ decoding

TEST(DecodeTaskMessage, FillsInWhatASmallMessageLeavesOut) {
    const TaskMessage task = decoded(message(R"({"task": "t", "id": "i"})", "[[20, 22], {}, {}]"));
    EXPECT_EQ(task.protocol, 2);
    EXPECT_EQ(task.root_id, "i");
    EXPECT_EQ(task.correlation_id, "i");
    EXPECT_EQ(task.argsrepr, "[20, 22]");
    EXPECT_EQ(task.kwargsrepr, "{}");
    EXPECT_EQ(task.display_name(), "t");
    EXPECT_TRUE(task.args.is_raw());
    EXPECT_EQ(task.args.raw_text(), "[20, 22]");
}

TEST(DecodeTaskMessage, NullEmbedIsTheDefaultOne) {
    const TaskMessage task = decoded(message(R"({"task": "t", "id": "i"})", "[[], {}, null]"));
    EXPECT_EQ(task.embed, TaskMessage::default_embed());
}

TEST(DecodeTaskMessage, KeepsHeadersItDoesNotKnow) {
    const TaskMessage task = decoded(message(
        R"({"lang": "go", "task": "t", "id": "i", "traceparent": "00-1", "x": {"y": [1, 2]}})"));
    EXPECT_EQ(task.user_headers,
              json(R"({"lang": "go", "traceparent": "00-1", "x": {"y": [1, 2]}})"));
}

TEST(DecodeTaskMessage, NullFieldsAreAbsentOnes) {
    const TaskMessage task = decoded(message(
        R"({"task": "t", "id": "i", "retries": null, "timelimit": null, "stamps": null,
            "ignore_result": null, "argsrepr": null, "shadow": "", "group": "", "root_id": null,
            "compression": null, "origin": 5})"));
    EXPECT_EQ(task.retries, 0);
    EXPECT_EQ(task.stamps, Json::object());
    EXPECT_FALSE(task.shadow);
    EXPECT_FALSE(task.group);
    EXPECT_EQ(task.root_id, "i");
    EXPECT_EQ(task.argsrepr, "[2, 3]");
    EXPECT_EQ(task.origin, "");
}

TEST(DecodeTaskMessage, ReadsTimeLimitsHardFirst) {
    const TaskMessage task = decoded(with_header("timelimit", "[20.5, 10]"));
    EXPECT_EQ(task.time_limit, 20.5);
    EXPECT_EQ(task.soft_time_limit, 10);
    EXPECT_FALSE(decoded(with_header("timelimit", "[0, null]")).time_limit);
}

TEST(DecodeTaskMessage, ReadsProtocol1) {
    const TaskMessage task = decoded(message("{}", R"({"task": "t", "id": "i", "args": [1],
        "kwargs": {"k": 2}, "group": "g", "taskset": "s", "retries": 1, "utc": true,
        "eta": "2026-11-21T16:32:56", "timelimit": [20, 10], "callbacks": [{"task": "c"}],
        "errbacks": null, "chord": {"task": "body"}})"));
    EXPECT_EQ(task.protocol, 1);
    EXPECT_EQ(task.group, "s");
    EXPECT_EQ(task.retries, 1);
    EXPECT_EQ(task.eta, *parse_iso8601("2026-11-21T16:32:56"));
    EXPECT_EQ(task.args, json("[1]"));
    EXPECT_EQ(task.kwargs, json(R"({"k": 2})"));
    EXPECT_EQ(task.embed, json(R"({"callbacks": [{"task": "c"}], "errbacks": null, "chain": null,
                                   "chord": {"task": "body"}})"));
    EXPECT_EQ(task.argsrepr, "[1]");
}

TEST(DecodeTaskMessage, Protocol1MayLeaveOutArguments) {
    const TaskMessage task = decoded(message("{}", R"({"task": "t", "id": "i"})"));
    EXPECT_EQ(task.args, Json::array());
    EXPECT_EQ(task.kwargs, Json::object());
}

TEST(DecodeTaskMessage, InTheHybridTheTableWins) {
    const TaskMessage task = decoded(
        message(R"({"task": "table", "id": "i", "retries": 3, "shadow": "s", "x-user": 1})",
                R"({"task": "body", "id": "other", "retries": 1, "args": [1], "group": "g"})"));
    EXPECT_EQ(task.task, "table");
    EXPECT_EQ(task.id, "i");
    EXPECT_EQ(task.retries, 3);
    EXPECT_EQ(task.group, "g");
    EXPECT_EQ(task.shadow, "s");
    EXPECT_EQ(task.args, json("[1]"));
    EXPECT_EQ(task.user_headers, json(R"({"x-user": 1})"));
}

TEST(DecodeTaskMessage, LocalTimesOfAnUnknownZoneAreRefused) {
    const auto v1 = [](std::string_view eta) {
        return verdict(message("{}", R"({"task": "t", "id": "i", "utc": false, "eta": ")" +
                                         std::string{eta} + R"("})"));
    };
    EXPECT_THAT(v1("2026-11-21T16:32:56"), HasSubstr("sender's local time"));
    EXPECT_EQ(v1("2026-11-21T16:32:56+02:00"), "decoded");
    EXPECT_EQ(v1("2026-11-21T16:32:56Z"), "decoded");
}

TEST(DecodeTaskMessage, UnpacksCelerysGzipWhichIsZlib) {
    for (const auto* name : {"application/x-gzip", "gzip", "zlib"}) {
        Message packed = with_header("compression", "\"" + std::string{name} + "\"");
        packed.body = zlib_packed(kBody);
        const TaskMessage task = decoded(packed);
        EXPECT_EQ(task.args, json("[2, 3]"));
        EXPECT_EQ(task.user_headers, Json::object());
    }
}

TEST(DecodeTaskMessage, ABombCostsNoMoreThanTheLimit) {
    Message bomb = with_header("compression", R"("application/x-gzip")");
    bomb.body = zlib_packed(std::string(1'000'000, ' '));
    EXPECT_LT(bomb.body.size(), 2000U);
    EXPECT_EQ(verdict(bomb, {.json = {}, .body_bytes = 50'000}),
              "too-large: body: unpacks to more than 50000 bytes");
}

TEST(DecodeTaskMessage, RefusesBrokenCompression) {
    Message packed = with_header("compression", R"("application/x-gzip")");
    EXPECT_THAT(verdict(packed), HasSubstr("undecodable: body: not a zlib stream"));
    packed.body = zlib_packed(kBody);
    packed.body.pop_back();
    EXPECT_EQ(verdict(packed), "undecodable: body: the zlib stream is cut short");
    packed.body = zlib_packed(kBody) + "tail";
    EXPECT_EQ(verdict(packed), "undecodable: body: 4 bytes follow the zlib stream");
    packed.body = "";
    EXPECT_EQ(verdict(packed), "undecodable: body: the zlib stream is cut short");
    EXPECT_THAT(verdict(with_header("compression", R"("application/x-lzma")")),
                HasSubstr("unsupported: compression 'application/x-lzma'"));
    EXPECT_THAT(verdict(with_header("compression", "5")), HasSubstr("invalid-message"));
}

TEST(DecodeTaskMessage, RefusesOtherContentTypesWithoutLookingAtTheBody) {
    Message pickled = message(R"({"task": "t", "id": "i"})");
    pickled.properties.content_type = "application/x-python-serialize";
    EXPECT_THAT(verdict(pickled), HasSubstr("content-disallowed: content type "
                                            "'application/x-python-serialize'"));
    pickled.properties.content_type = "";
    EXPECT_EQ(verdict(pickled), "content-disallowed: the message has no content type");
}

TEST(DecodeTaskMessage, RefusesBodiesThatAreNoTriple) {
    const auto body = [](std::string_view text) {
        return verdict(message(R"({"task": "t", "id": "i"})", text));
    };
    EXPECT_THAT(body("not json"), HasSubstr("undecodable: body: "));
    EXPECT_THAT(body(""), HasSubstr("undecodable: body: "));
    EXPECT_THAT(body("\xff"), HasSubstr("undecodable: body: "));
    EXPECT_EQ(body("[[], {}]"), "undecodable: the body is a list of 2, not [args, kwargs, embed]");
    EXPECT_EQ(body("[[], {}, {}, {}]"),
              "undecodable: the body is a list of 4, not [args, kwargs, embed]");
    EXPECT_EQ(body("{}"), "undecodable: the body is a dict, not the list [args, kwargs, embed]");
    EXPECT_EQ(body("7"), "undecodable: the body is a int, not the list [args, kwargs, embed]");
    EXPECT_EQ(body("[{}, {}, {}]"), "invalid-message: 'args' must be a list, not {}");
    EXPECT_EQ(body("[null, {}, {}]"), "invalid-message: 'args' must be a list, not None");
    EXPECT_EQ(body("[[], [], {}]"), "invalid-message: 'kwargs' must be a map, not []");
    EXPECT_EQ(body("[[], {}, []]"), "invalid-message: 'embed' must be a map or null, not []");
    EXPECT_THAT(body(std::string(600, '[') + std::string(600, ']')), HasSubstr("too-large"));
}

TEST(DecodeTaskMessage, RefusesFieldsItCannotRead) {
    const std::string long_text = "\"" + std::string(256, 'n') + "\"";
    struct Case {
        const char* name;
        std::string value;
    };
    for (const auto& [name, value] : {
             Case{"id", "null"},
             Case{"id", "5"},
             Case{"id", "\"\""},
             Case{"id", long_text},
             Case{"task", "5"},
             Case{"task", "\"\""},
             Case{"task", long_text},
             Case{"eta", "\"yesterday\""},
             Case{"eta", "5"},
             Case{"eta", "\"10000-01-01T00:00:00\""},
             Case{"expires", "\"soon\""},
             Case{"expires", "[]"},
             Case{"retries", "-1"},
             Case{"retries", "1.5"},
             Case{"retries", "\"1\""},
             Case{"retries", "99999999999999999999"},
             Case{"retries", "true"},
             Case{"timelimit", "5"},
             Case{"timelimit", "[1]"},
             Case{"timelimit", "[1, 2, 3]"},
             Case{"timelimit", "[-1, null]"},
             Case{"timelimit", "[NaN, null]"},
             Case{"timelimit", "[null, Infinity]"},
             Case{"timelimit", "[\"5\", null]"},
             Case{"timelimit", "[1e10, null]"},
             Case{"group", "5"},
             Case{"group", long_text},
             Case{"group_index", "\"1\""},
             Case{"root_id", "{}"},
             Case{"parent_id", "7"},
             Case{"ignore_result", "1"},
             Case{"replaced_task_nesting", "-2"},
             Case{"stamped_headers", "{}"},
             Case{"stamps", "[]"},
         }) {
        const auto task = decode_task_message(with_header(name, value));
        ASSERT_FALSE(task) << name << " " << value;
        EXPECT_EQ(task.error().reason, BadMessage::invalid) << name << " " << value;
        EXPECT_THAT(task.error().detail, HasSubstr("'" + std::string{name} + "'"));
        EXPECT_LT(task.error().detail.size(), 300U);
    }
}

TEST(DecodeTaskMessage, NamesTheTaskItRefusesWheneverItCan) {
    const auto who = [](const Message& message) {
        const auto task = decode_task_message(message);
        return task ? std::string{"decoded"}
                    : task.error().task_id.value_or("-") + " " + task.error().task.value_or("-");
    };
    EXPECT_EQ(who(with_header("eta", "\"x\"")), "i t");
    EXPECT_EQ(who(with_header("id", "null")), "- t");
    EXPECT_EQ(who(with_header("task", "5")), "i -");
    EXPECT_EQ(who(message(R"({"task": "t", "id": "i"})", "garbage")), "i t");
    EXPECT_EQ(who(message("{}", R"({"task": "t", "id": "i", "kwargs": []})")), "i t");
    EXPECT_EQ(who(message("{}", R"({"task": "t"})")), "- t");
    EXPECT_EQ(who(message("{}", "garbage")), "- -");
}

TEST(DecodeTaskMessage, KnowsMessagesThatAreNoTasks) {
    const std::string unknown =
        "unknown-message: neither the header table nor the body names a task";
    EXPECT_EQ(verdict(message("{}", R"({"hello": "world"})")), unknown);
    EXPECT_EQ(verdict(message("{}", "[[], {}, {}]")), unknown);
    EXPECT_EQ(verdict(message("{}", "5")), unknown);
    EXPECT_EQ(verdict(message(R"({"task": null, "id": "i"})")), unknown);
    EXPECT_EQ(verdict(message("{}", R"({"task": null, "id": "i"})")), unknown);
}

TEST(DecodeTaskMessage, RefusesHeaderTablesThatAreNone) {
    EXPECT_EQ(verdict(message("[1]")), "invalid-message: the header table must be a map, not [1]");
    EXPECT_THAT(verdict(message("{")), HasSubstr("invalid-message: header table: "));
}

TEST(DecodeTaskMessage, HoldsItsLimits) {
    const Message small = message(R"({"task": "t", "id": "i"})");
    EXPECT_EQ(verdict(small, {.json = {}, .body_bytes = kBody.size()}), "decoded");
    EXPECT_EQ(verdict(small, {.json = {}, .body_bytes = kBody.size() - 1}),
              "too-large: a body of 39 bytes, the limit is 38");
}

TEST(DecodeTaskMessage, LongBodiesAreNotParsedForDisplay) {
    const std::string args = "[\"" + std::string(70'000, 'x') + "\"]";
    const TaskMessage task =
        decoded(message(R"({"task": "t", "id": "i"})", "[" + args + ", {}, {}]"));
    EXPECT_EQ(task.argsrepr, "");
    EXPECT_EQ(headers_of(encode_task_message(task)).find("argsrepr")->as_string().size(), 1034U);
}

TEST(BadMessage, ReasonsAreTheirHeaderTexts) {
    EXPECT_EQ(to_string(BadMessage::unknown_message), "unknown-message");
    EXPECT_EQ(to_string(BadMessage::undecodable), "undecodable");
    EXPECT_EQ(to_string(BadMessage::content_disallowed), "content-disallowed");
    EXPECT_EQ(to_string(BadMessage::invalid), "invalid-message");
    EXPECT_EQ(to_string(BadMessage::too_large), "too-large");
    EXPECT_EQ(to_string(BadMessage::unsupported), "unsupported");
}

}  // namespace
}  // namespace lovage
