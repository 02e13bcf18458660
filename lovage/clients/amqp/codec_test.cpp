// Frames, methods, tables and properties: what goes out comes back, and what is broken is refused.

#include <lovage/clients/amqp/frame.hpp>
#include <lovage/clients/amqp/methods.hpp>
#include <lovage/clients/amqp/properties.hpp>
#include <lovage/clients/amqp/table.hpp>

#include <gmock/gmock.h>

#include <limits>
#include <string>

namespace lovage::amqp {
namespace {

using ::testing::HasSubstr;

std::string table_bytes(const Json& table) {
    std::string bytes;
    WireWriter writer{bytes};
    write_table(writer, table);
    EXPECT_TRUE(writer.ok()) << writer.problem();
    return bytes;
}

std::string table_problem(const Json& table) {
    std::string bytes;
    WireWriter writer{bytes};
    write_table(writer, table);
    return writer.problem();
}

Json table_back(const std::string& bytes) {
    WireReader reader{bytes};
    Json table = read_table(reader);
    EXPECT_TRUE(reader.ok());
    EXPECT_TRUE(reader.at_end());
    return table;
}

bool table_refused(std::string_view bytes) {
    WireReader reader{bytes};
    (void)read_table(reader);
    return !reader.ok();
}

Json json(std::string_view text) {
    return parse_json(text).value();
}

/// One member "k" of the given letter and bytes.
std::string member(std::string_view value) {
    std::string bytes;
    WireWriter writer{bytes};
    writer.u32(static_cast<std::uint32_t>(value.size() + 2));
    writer.short_string("k");
    writer.bytes(value);
    return bytes;
}

TEST(AmqpTable, UsesTheLettersOfPyAmqp) {
    using namespace std::string_literals;
    EXPECT_EQ(table_bytes(json(R"({"k": "ab"})")), member("S\0\0\0\2ab"s));
    EXPECT_EQ(table_bytes(json(R"({"k": true})")), member("t\1"s));
    EXPECT_EQ(table_bytes(json(R"({"k": 7})")), member("I\0\0\0\7"s));
    EXPECT_EQ(table_bytes(json(R"({"k": -1})")), member("I\xff\xff\xff\xff"s));
    EXPECT_EQ(table_bytes(json(R"({"k": 2147483648})")), member("L\0\0\0\0\x80\0\0\0"s));
    EXPECT_EQ(table_bytes(json(R"({"k": -2147483648})")), member("L\xff\xff\xff\xff\x80\0\0\0"s));
    EXPECT_EQ(table_bytes(json(R"({"k": 1.5})")), member("d\x3f\xf8\0\0\0\0\0\0"s));
    EXPECT_EQ(table_bytes(json(R"({"k": null})")), member("V"s));
    EXPECT_EQ(table_bytes(json(R"({"k": {}})")), member("F\0\0\0\0"s));
    EXPECT_EQ(table_bytes(json(R"({"k": [null, true]})")), member("A\0\0\0\3Vt\1"s));
}

TEST(AmqpTable, ComesBackEqual) {
    const Json table = json(
        R"({"a": {"b": [1, -5, {"c": []}], "": "ü"}, "big": 9223372036854775807, "f": -0.25,
            "n": null, "t": [true, false], "": {}})");
    EXPECT_EQ(table_back(table_bytes(table)), table);
    EXPECT_EQ(table_back(table_bytes(Json{})), Json::object());
}

TEST(AmqpTable, RawTextIsWrittenAsTheValueItStandsFor) {
    const std::string text =
        R"({"task": "add", "timelimit": [null, 1.5], "stamps": {"deep": [{}, {"a": [-1]}]},
            "big": 9223372036854775807, "yes": true, "name": "z\u00fc\n", "inf": -Infinity})";
    EXPECT_EQ(table_bytes(Json::raw(text)), table_bytes(json(text)));
    EXPECT_EQ(table_bytes(parse_json_shallow(text, 1).value()), table_bytes(json(text)));
}

TEST(AmqpTable, RawTextWithoutAFormOnTheWireIsAnError) {
    EXPECT_THAT(table_problem(Json::raw(R"({"n": 9223372036854775808})")),
                HasSubstr("9223372036854775808"));
    EXPECT_THAT(table_problem(Json::raw("[1]")), HasSubstr("object"));
    std::string deep = "1";
    for (std::size_t i = 0; i < kTableDepthMax + 1; ++i) deep = R"({"k": )" + deep + "}";
    EXPECT_THAT(table_problem(Json::raw(deep)), HasSubstr("deeply"));
}

TEST(AmqpTable, WhatHasNoFormOnTheWireIsAnError) {
    EXPECT_THAT(table_problem(json(R"({"n": 9223372036854775808})")),
                HasSubstr("9223372036854775808"));
    EXPECT_THAT(table_problem(Json::object({{std::string(256, 'k'), 1}})), HasSubstr("256"));
    EXPECT_THAT(table_problem(json("[1]")), HasSubstr("object"));
    Json deep;
    for (std::size_t i = 0; i < kTableDepthMax + 1; ++i) deep = Json::object({{"k", deep}});
    EXPECT_THAT(table_problem(deep), HasSubstr("deeply"));
}

TEST(AmqpTable, ReadsTheLettersOfOtherWriters) {
    using namespace std::string_literals;
    const auto read = [](std::string_view value) { return *table_back(member(value)).find("k"); };
    EXPECT_EQ(read("b\xff"s), Json{-1});
    EXPECT_EQ(read("B\xff"s), Json{255});
    EXPECT_EQ(read("s\xff\xfe"s), Json{-2});
    EXPECT_EQ(read("u\xff\xfe"s), Json{65534});
    EXPECT_EQ(read("i\xff\xff\xff\xff"s), Json{4294967295});
    EXPECT_EQ(read("l\xff\xff\xff\xff\xff\xff\xff\xff"s), Json{-1});
    EXPECT_EQ(read("T\0\0\0\0\0\0\0\x09"s), Json{9});
    EXPECT_EQ(read("f\x3f\xc0\0\0"s), Json{1.5});
    EXPECT_EQ(read("D\2\0\0\0\x7b"s), Json{1.23});
    EXPECT_EQ(read("x\0\0\0\2ab"s), Json{"ab"});
}

TEST(AmqpTable, BrokenTablesAreRefused) {
    using namespace std::string_literals;
    EXPECT_TRUE(table_refused(""));
    EXPECT_TRUE(table_refused("\0\0\0\5"s));
    EXPECT_TRUE(table_refused(member("?"s)));
    EXPECT_TRUE(table_refused(member("I\0\0"s)));
    EXPECT_TRUE(table_refused(member("S\0\0\0\3ab"s)));
    EXPECT_TRUE(table_refused(member("A\0\0\0\1S"s)));
    std::string deep = "V";
    for (std::size_t i = 0; i < kTableDepthMax + 1; ++i) deep = "F"s + member(deep);
    EXPECT_TRUE(table_refused(member(deep)));
    const std::string whole = table_bytes(json(R"({"a": {"b": [1, "x"]}, "c": 0.5})"));
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        EXPECT_TRUE(table_refused(std::string_view{whole}.substr(0, cut))) << cut;
    }
}

Properties all_properties() {
    Properties properties;
    properties.content_type = "application/json";
    properties.content_encoding = "utf-8";
    properties.headers = json(R"({"task": "add"})");
    properties.delivery_mode = 2;
    properties.priority = 9;
    properties.correlation_id = "c";
    properties.reply_to = "";
    properties.expiration = "1000";
    properties.message_id = "m";
    properties.timestamp = 12345678901;
    properties.type = "t";
    properties.user_id = "u";
    properties.app_id = "a";
    properties.cluster_id = "x";
    return properties;
}

std::string header_bytes(const Properties& properties, std::uint64_t body) {
    std::string bytes;
    WireWriter writer{bytes};
    write_content_header(writer, properties, body);
    EXPECT_TRUE(writer.ok());
    return bytes;
}

TEST(AmqpProperties, ComeBackEqual) {
    for (const Properties& properties : {Properties{}, all_properties()}) {
        const std::string bytes = header_bytes(properties, 77);
        WireReader reader{bytes};
        const ContentHeader back = read_content_header(reader);
        EXPECT_TRUE(reader.ok() && reader.at_end());
        EXPECT_EQ(back.properties, properties);
        EXPECT_EQ(back.body_bytes, 77U);
    }
}

TEST(AmqpProperties, BrokenHeadersAreRefused) {
    const auto refused = [](std::string_view bytes) {
        WireReader reader{bytes};
        (void)read_content_header(reader);
        return !reader.ok();
    };
    std::string whole = header_bytes(all_properties(), 1);
    for (std::size_t cut = 0; cut < whole.size(); ++cut) {
        EXPECT_TRUE(refused(std::string_view{whole}.substr(0, cut))) << cut;
    }
    for (const char flag : {'\1', '\2'}) {
        std::string unknown = header_bytes({}, 1);
        unknown[13] = flag;
        EXPECT_TRUE(refused(unknown));
    }
    whole[1] = 61;  // another class
    EXPECT_TRUE(refused(whole));
}

template <class Method>
Method back(const std::string& frame_bytes) {
    Frame frame;
    EXPECT_EQ(read_frame(frame_bytes, 4096, frame), FrameStatus::complete);
    EXPECT_EQ(frame.type, FrameType::method);
    EXPECT_EQ(frame.channel, 3);
    WireReader reader{frame.payload};
    EXPECT_EQ(reader.u32(), Method::kId);
    Method method = read_method<Method>(reader);
    EXPECT_TRUE(reader.ok() && reader.at_end());
    return method;
}

TEST(AmqpMethods, ComeBackEqual) {
    std::string bytes;
    ASSERT_EQ(append_method(bytes, 3,
                            queue::Declare{.queue = "q",
                                           .durable = true,
                                           .auto_delete = true,
                                           .arguments = json(R"({"x-max-priority": 5})")}),
              "");
    const auto declare = back<queue::Declare>(bytes);
    EXPECT_EQ(declare.queue, "q");
    EXPECT_TRUE(declare.durable && declare.auto_delete);
    EXPECT_FALSE(declare.passive || declare.exclusive || declare.no_wait);
    EXPECT_EQ(declare.arguments, json(R"({"x-max-priority": 5})"));

    bytes.clear();
    ASSERT_EQ(append_method(bytes, 3,
                            basic::Deliver{.consumer_tag = "tag",
                                           .delivery_tag = 1ULL << 40U,
                                           .redelivered = true,
                                           .exchange = "e",
                                           .routing_key = "k"}),
              "");
    const auto deliver = back<basic::Deliver>(bytes);
    EXPECT_EQ(deliver.delivery_tag, 1ULL << 40U);
    EXPECT_TRUE(deliver.redelivered);
    EXPECT_EQ(deliver.routing_key, "k");

    bytes.clear();
    ASSERT_EQ(append_method(bytes, 3, basic::Nack{.delivery_tag = 9, .requeue = true}), "");
    const auto nack = back<basic::Nack>(bytes);
    EXPECT_FALSE(nack.multiple);
    EXPECT_TRUE(nack.requeue);
}

TEST(AmqpMethods, ATextThatIsTooLongLeavesNothingBehind) {
    const std::string name(256, 'q');
    std::string bytes = "before";
    EXPECT_THAT(append_method(bytes, 1, queue::Purge{.queue = name}), HasSubstr("256"));
    EXPECT_EQ(bytes, "before");
}

TEST(AmqpFrame, IsFoundOnlyWhenComplete) {
    std::string bytes;
    append_body(bytes, 7, "payload", 4096);
    Frame frame;
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        EXPECT_EQ(read_frame(std::string_view{bytes}.substr(0, cut), 4096, frame),
                  FrameStatus::incomplete);
    }
    bytes += "more";
    ASSERT_EQ(read_frame(bytes, 4096, frame), FrameStatus::complete);
    EXPECT_EQ(frame.payload, "payload");
    EXPECT_EQ(frame.channel, 7);
}

TEST(AmqpFrame, BrokenFramesAreRefused) {
    std::string bytes;
    append_heartbeat(bytes);
    Frame frame;
    EXPECT_EQ(read_frame(bytes, 4096, frame), FrameStatus::complete);
    bytes.back() = 'x';
    EXPECT_EQ(read_frame(bytes, 4096, frame), FrameStatus::malformed);
    EXPECT_EQ(read_frame("HTTP/1.1 400", 4096, frame), FrameStatus::malformed);
    EXPECT_EQ(read_frame("AMQP\1\1\0\x09", 4096, frame), FrameStatus::malformed);
    const std::string huge{"\1\0\0\xff\xff\xff\xff", 7};
    EXPECT_EQ(read_frame(huge, 4096, frame), FrameStatus::malformed);
}

TEST(AmqpFrame, LargeBodiesAreCutToTheAgreedSize) {
    std::string bytes;
    const std::string body(10'000, 'x');
    append_body(bytes, 1, body, 4096);
    std::string joined;
    std::string_view rest = bytes;
    Frame frame;
    while (read_frame(rest, 4096, frame) == FrameStatus::complete) {
        joined += frame.payload;
        rest.remove_prefix(frame.payload.size() + kFrameOverhead);
    }
    EXPECT_TRUE(rest.empty());
    EXPECT_EQ(joined, body);
    bytes.clear();
    append_body(bytes, 1, "", 4096);
    EXPECT_EQ(bytes, "");
}

}  // namespace
}  // namespace lovage::amqp
