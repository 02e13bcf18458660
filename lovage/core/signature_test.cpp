#include <lovage/core/signature.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <lovage/core/task_message.hpp>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::load_fixture;

Signature decoded(const Json& value) {
    auto signature = decode_signature(value, "it");
    EXPECT_TRUE(signature) << signature.error().message();
    return signature.value_or(Signature{});
}
Signature read_signature(std::string_view text) {
    return decoded(value_or_throw(parse_json_shallow(text, 0)));
}
std::string refusal(std::string_view text) {
    const auto signature = decode_signature(Json::raw(std::string{text}), "callback 2");
    return signature ? "decoded" : signature.error().detail;
}

/// Decodes a signature with all that is in it and writes it anew, so that nothing is passed on
/// unread.
Signature rewritten(const Json& value);

Json rewritten_list(const Json& value) {
    std::vector<Signature> all;
    for (const Signature& one : value_or_throw(decode_signatures(value, "list"))) {
        all.push_back(rewritten(encode_signature(one)));
    }
    return encode_signatures(all);
}

Signature rewritten(const Json& value) {
    Signature signature = decoded(value);
    if (signature.type == SignatureType::chord) {
        const bool list =
            value_or_throw(signature.kwargs.expanded()).find("header")->python_type_name() ==
            "list";
        ChordParts parts = value_or_throw(parts_of(signature));
        parts.body = rewritten(encode_signature(parts.body));
        parts.header = rewritten(encode_signature(parts.header));
        if (!list) set_parts(signature, parts);
    } else if (signature.type != SignatureType::task) {
        std::vector<Signature> tasks;
        for (const Signature& task : value_or_throw(tasks_of(signature))) {
            tasks.push_back(rewritten(encode_signature(task)));
        }
        set_tasks(signature, tasks);
    }
    for (const char* name : {"chord", "chain", "link", "link_error"}) {
        if (signature.option(name) == nullptr) continue;
        const Json& option = *signature.option(name);
        signature.options.set(name, option.python_type_name() == "dict"
                                        ? encode_signature(rewritten(option))
                                        : rewritten_list(option));
    }
    return signature;
}

/// The signatures in the third part of a message's body.
std::vector<Json> signatures_in(const TaskMessage& message) {
    std::vector<Json> found;
    const Json embed = value_or_throw(message.embed.expanded());
    for (const char* name : {"callbacks", "errbacks", "chain"}) {
        const Json* part = embed.find(name);
        if (part == nullptr || part->is_null()) continue;
        for (const Json& one : value_or_throw(part->expanded()).as_array()) found.push_back(one);
    }
    const Json* chord = embed.find("chord");
    if (chord != nullptr && !chord->is_null()) found.push_back(*chord);
    return found;
}

TEST(Signature, EveryCapturedCanvasIsReadAndWrittenBackToTheByte) {
    const Json fixture = load_fixture("celery_messages.json");
    std::size_t count = 0;
    for (const Json& captured : fixture.find("messages")->as_array()) {
        const Json* const body = captured.find("body");
        if (captured.find("expect")->as_string() != "task" || !body || !body->is_string()) continue;
        const auto message = decode_task_message(
            {.properties = {}, .headers = *captured.find("headers"), .body = body->as_string()});
        if (!message || message->protocol != 2) continue;
        for (const Json& text : signatures_in(*message)) {
            EXPECT_EQ(to_json_text(encode_signature(rewritten(text))), to_json_text(text))
                << captured.find("name")->as_string();
            ++count;
        }
    }
    EXPECT_GE(count, 25U);
}

TEST(Signature, EveryKindOfSignatureIsReadAndWrittenBackToTheByte) {
    const Json fixture = load_fixture("celery_signatures.json");
    for (const Json& captured : fixture.find("signatures")->as_array()) {
        const std::string& text = captured.find("text")->as_string();
        EXPECT_EQ(to_json_text(encode_signature(rewritten(Json::raw(text)))), text)
            << captured.find("name")->as_string();
    }
}

TEST(Signature, WhatIsMissingIsWhatCeleryAssumes) {
    const Signature signature = read_signature(R"({"task": "t"})");
    EXPECT_EQ(to_json_text(encode_signature(signature)),
              R"({"task": "t", "args": [], "kwargs": {}, "options": {}, "subtask_type": null, )"
              R"("immutable": false})");
    EXPECT_EQ(read_signature(R"({"task": "t", "args": null, "kwargs": null, "options": null,
                          "subtask_type": null, "immutable": null})"),
              signature);
}

TEST(Signature, UnknownKeysAndTheOldChordSizeAreKept) {
    const std::string text =
        R"({"task": "t", "args": [], "kwargs": {}, "options": {}, "subtask_type": null, )"
        R"("immutable": true, "chord_size": 3, "of_tomorrow": {"a": [1]}})";
    const Signature signature = read_signature(text);
    EXPECT_EQ(signature.chord_size, 3);
    EXPECT_EQ(to_json_text(encode_signature(signature)), text);
}

TEST(Signature, ArgumentsKeepTheirText) {
    const Signature signature = read_signature(R"({"task": "t", "args": [1.0,  "\u00e9", 1e400]})");
    EXPECT_EQ(to_json_text(signature.args), R"([1.0,  "\u00e9", 1e400])");
}

TEST(Signature, WhatIsWrongIsNamed) {
    EXPECT_EQ(refusal("[]"), "callback 2 is no signature but []");
    EXPECT_EQ(refusal("3"), "callback 2 is no signature but 3");
    EXPECT_EQ(refusal("{}"), "callback 2 has no 'task'");
    EXPECT_EQ(refusal(R"({"task": 1})"), "callback 2 has 'task' that is no task name: 1");
    EXPECT_EQ(refusal(R"({"task": "t", "args": {}})"), "callback 2 has 'args' that is no list: {}");
    EXPECT_EQ(refusal(R"({"task": "t", "kwargs": []})"),
              "callback 2 has 'kwargs' that is no map: []");
    EXPECT_EQ(refusal(R"({"task": "t", "options": 1})"),
              "callback 2 has 'options' that is no map: 1");
    EXPECT_EQ(refusal(R"({"task": "t", "subtask_type": "ring"})"),
              "callback 2 has 'subtask_type' that is no chain, group or chord: 'ring'");
    EXPECT_EQ(refusal(R"({"task": "t", "immutable": "yes"})"),
              "callback 2 has 'immutable' that is no bool: 'yes'");
    EXPECT_EQ(refusal(R"({"task": "t", "chord_size": "3"})"),
              "callback 2 has 'chord_size' that is no int: '3'");
}

TEST(Signature, AListMayBeASingleSignature) {
    const auto one = decode_signatures(Json::raw(R"({"task": "t"})"), "callbacks");
    ASSERT_TRUE(one) << one.error().message();
    ASSERT_EQ(one->size(), 1U);
    EXPECT_EQ(one->front().task, "t");
    EXPECT_EQ(decode_signatures(Json{}, "callbacks")->size(), 0U);
    EXPECT_FALSE(decode_signatures(Json{"t"}, "callbacks"));
    const auto bad = decode_signatures(Json::raw(R"([{"task": "t"}, 1])"), "callback");
    ASSERT_FALSE(bad);
    EXPECT_THAT(bad.error().detail, HasSubstr("callback 1 is no signature"));
}

TEST(Signature, AListHasAtMostSoManyMembers) {
    std::string text = "[";
    for (std::size_t i = 0; i <= kCanvasMembersMax; ++i) text += i == 0 ? "1" : ",1";
    const auto many = decode_signatures(Json::raw(text + "]"), "callbacks");
    ASSERT_FALSE(many);
    EXPECT_EQ(many.error().code, Errc::too_large);
}

TEST(Signature, AChordWithoutItsPartsIsAnError) {
    const Signature chord = read_signature(
        R"({"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": []}})");
    const auto parts = parts_of(chord);
    ASSERT_FALSE(parts);
    EXPECT_EQ(parts.error().detail, "chord 'celery.chord' has no 'body'");
    const Signature group = read_signature(R"({"task": "celery.group", "subtask_type": "group"})");
    EXPECT_EQ(tasks_of(group).error().detail, "group 'celery.group' has no 'tasks'");
}

TEST(Signature, AHeaderIsAListAGroupOrASingleSignature) {
    const auto header_of = [](const std::string& header) {
        const Signature chord = read_signature(
            R"({"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": )" + header +
            R"(, "body": {"task": "b"}}})");
        std::vector<std::string> names;
        for (const Signature& task :
             value_or_throw(tasks_of(value_or_throw(parts_of(chord)).header)))
            names.push_back(task.task);
        return names;
    };
    EXPECT_THAT(header_of(R"([{"task": "x"}, {"task": "y"}])"), ElementsAre("x", "y"));
    EXPECT_THAT(header_of(R"({"task": "celery.group", "subtask_type": "group",
                              "kwargs": {"tasks": [{"task": "z"}]}})"),
                ElementsAre("z"));
    EXPECT_THAT(header_of(R"({"task": "w"})"), ElementsAre("w"));
}

}  // namespace
}  // namespace lovage
