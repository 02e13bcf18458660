#include <lovage/clients/redis/reply_parser.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lovage::redis {
namespace {

using testing::HasSubstr;
using Kind = Reply::Kind;

/// A reply in one line: +status, -error, :7, "bulk", null, [a, b], {k, v}, >[push].
std::string shown(const Reply& reply) {
    const auto list = [&] {
        std::string text;
        for (const Reply& item : reply.items) text += (text.empty() ? "" : ", ") + shown(item);
        return text;
    };
    switch (reply.kind) {
        case Kind::null:
            return "null";
        case Kind::status:
            return "+" + reply.text;
        case Kind::error:
            return "-" + reply.text;
        case Kind::integer:
            return ":" + std::to_string(reply.integer);
        case Kind::real:
            return "," + reply.text;
        case Kind::bulk:
            return '"' + reply.text + '"';
        case Kind::array:
            return "[" + list() + "]";
        case Kind::map:
            return "{" + list() + "}";
        case Kind::push:
            return ">[" + list() + "]";
    }
    return "?";
}

/// Everything the parser gives, one reply a line; an error ends it as "!code".
std::string parsed(std::string_view bytes, std::size_t chunk, ReplyLimits limits = {}) {
    ReplyParser parser{limits};
    std::string text;
    while (!bytes.empty()) {
        parser.feed(bytes.substr(0, chunk));
        bytes.remove_prefix(std::min(chunk, bytes.size()));
        while (true) {
            auto reply = parser.next();
            if (!reply) return text + "!" + std::string{to_string(reply.error().code)};
            if (!*reply) break;
            text += shown(**reply) + "\n";
        }
    }
    return text;
}

/// The same whatever pieces the bytes come in.
std::string parsed_anyhow(std::string_view bytes, ReplyLimits limits = {}) {
    const std::string whole = parsed(bytes, bytes.size(), limits);
    for (const std::size_t chunk : {1U, 2U, 3U, 7U, 16U}) {
        EXPECT_EQ(parsed(bytes, chunk, limits), whole) << "in pieces of " << chunk;
    }
    return whole;
}

TEST(ReplyParser, ReadsEveryTypeOfResp2) {
    EXPECT_EQ(parsed_anyhow("+OK\r\n-ERR no\r\n:42\r\n:-7\r\n$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n"
                            "*-1\r\n*0\r\n*3\r\n:1\r\n$1\r\na\r\n*1\r\n+x\r\n"),
              "+OK\n-ERR no\n:42\n:-7\n\"he\r\no\"\n\"\"\nnull\nnull\n[]\n[:1, \"a\", [+x]]\n");
}

TEST(ReplyParser, ReadsEveryTypeOfResp3) {
    EXPECT_EQ(parsed_anyhow("_\r\n#t\r\n#f\r\n,3.25\r\n,inf\r\n(12345678901234567890123\r\n"
                            "!8\r\nERR a\r\nb\r\n=7\r\ntxt:abc\r\n~2\r\n:1\r\n:2\r\n"
                            "%2\r\n+a\r\n:1\r\n+b\r\n_\r\n>2\r\n+message\r\n+hi\r\n"),
              "null\n:1\n:0\n,3.25\n,inf\n,12345678901234567890123\n-ERR a\r\nb\n\"abc\"\n"
              "[:1, :2]\n{+a, :1, +b, null}\n>[+message, +hi]\n");
}

TEST(ReplyParser, DropsAttributesWhereverTheyStand) {
    EXPECT_EQ(
        parsed_anyhow("|1\r\n+ttl\r\n:3600\r\n:7\r\n*2\r\n:1\r\n|1\r\n+a\r\n*1\r\n:9\r\n:2\r\n"
                      "|0\r\n+end\r\n"),
        ":7\n[:1, :2]\n+end\n");
}

TEST(ReplyParser, TellsWhatIsNoReply) {
    for (const std::string_view bytes :
         {"OK\r\n", "\r\n", ":\r\n", ":12x\r\n", "$\r\n", "$-2\r\n", "$1x\r\n", "*-2\r\n",
          "*99999999999\r\n", "#yes\r\n", "$3\r\nabcd\r\n", "$?\r\n", "HTTP/1.1 400 Bad\r\n"}) {
        SCOPED_TRACE(bytes);
        EXPECT_EQ(parsed_anyhow(bytes), "!malformed");
    }
}

TEST(ReplyParser, StaysBrokenAfterAnError) {
    ReplyParser parser;
    parser.feed("oops\r\n+OK\r\n");
    EXPECT_FALSE(parser.next());
    EXPECT_FALSE(parser.next());
}

TEST(ReplyParser, ALineMustEnd) {
    const ReplyLimits limits{.line_bytes = 100};
    EXPECT_EQ(parsed("+" + std::string(200, 'x'), 50, limits), "!malformed");
}

TEST(ReplyParser, SkipsATextBeyondItsLimitAndGoesOn) {
    const ReplyLimits limits{.bulk_bytes = 8};
    const std::string bytes = "$8\r\n12345678\r\n*2\r\n$9\r\n123456789\r\n:1\r\n+OK\r\n";
    EXPECT_EQ(parsed_anyhow(bytes, limits),
              "\"12345678\"\n[-TOOLARGE a value exceeds 8 bytes, :1]\n+OK\n");

    ReplyParser parser{limits};
    parser.feed("$1000000\r\n");
    for (int piece = 0; piece < 1000; ++piece) {
        parser.feed(std::string(1000, 'x'));
        ASSERT_TRUE(parser.next());
        ASSERT_LE(parser.buffered(), 2U) << "what is skipped is not kept";
    }
    parser.feed("\r\n");
    const auto reply = parser.next();
    ASSERT_TRUE(reply && *reply);
    EXPECT_EQ(to_error(**reply).code, Errc::too_large);
}

TEST(ReplyParser, ALengthAloneTakesNoMemory) {
    ReplyParser parser;
    parser.feed("*1000000000\r\n$60000000\r\n");
    const auto reply = parser.next();
    ASSERT_TRUE(reply);
    EXPECT_FALSE(reply->has_value());
    EXPECT_EQ(parser.buffered(), 0U);
}

TEST(ReplyParser, BoundsDepthAndTheWholeReply) {
    const ReplyLimits limits{.reply_bytes = 10'000, .depth = 3};
    EXPECT_EQ(parsed_anyhow("*1\r\n*1\r\n*1\r\n:1\r\n", limits), "[[[:1]]]\n");
    EXPECT_EQ(parsed_anyhow("*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", limits), "!too_large");

    std::string many = "*1000\r\n";
    for (int item = 0; item < 1000; ++item) many += "_\r\n";
    EXPECT_EQ(parsed(many, 64, limits), "!too_large");
    std::string one_by_one;
    for (int item = 0; item < 1000; ++item) one_by_one += "$-1\r\n";
    EXPECT_THAT(parsed(one_by_one, 64, limits), testing::Not(HasSubstr("!")))
        << "the limit is of one reply";
}

TEST(ReplyParser, ReadsStraightIntoItsBuffer) {
    ReplyParser parser;
    const std::string bytes = "$100000\r\n" + std::string(100'000, 'x') + "\r\n+OK\r\n";
    std::size_t at = 0;
    std::vector<std::string> replies;
    while (at < bytes.size()) {
        const auto room = parser.prepare(1000);
        ASSERT_GE(room.size(), 1000U);
        const std::size_t taken = bytes.copy(room.data(), 1000, at);
        parser.commit(taken);
        at += taken;
        while (auto reply = value_or_throw(parser.next())) replies.push_back(shown(*reply));
    }
    EXPECT_THAT(replies, testing::ElementsAre('"' + std::string(100'000, 'x') + '"', "+OK"));
}

TEST(Reply, ErrorsSayWhetherTryingAgainHelps) {
    const auto code = [](std::string text) {
        return to_error({.kind = Kind::error, .text = std::move(text)}).code;
    };
    EXPECT_EQ(code("LOADING Redis is loading the dataset in memory"), Errc::unavailable);
    EXPECT_EQ(code("OOM command not allowed when used memory > 'maxmemory'."), Errc::unavailable);
    EXPECT_EQ(code("READONLY You can't write against a read only replica."), Errc::unavailable);
    EXPECT_EQ(code("NOPERM this user has no permissions"), Errc::rejected);
    EXPECT_EQ(code("ERR syntax error"), Errc::rejected);
}

}  // namespace
}  // namespace lovage::redis
