#include <lovage/http/wire/request_reader.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <fmt/format.h>

namespace lovage::http::wire {
namespace {

using testing::ElementsAre;

/// What comes out of the pieces: "GET /a?b <body>" for a request, "400 why" for an error.
std::vector<std::string> read_pieces(const std::vector<std::string>& pieces,
                                     const ReaderLimits& limits = {}) {
    std::vector<std::string> seen;
    RequestReader reader{limits};
    for (const auto& piece : pieces) {
        reader.append(piece);
        while (true) {
            const auto status = reader.next();
            if (status == RequestReader::Status::need_more) break;
            if (status == RequestReader::Status::head) continue;
            if (status == RequestReader::Status::error) {
                seen.push_back(fmt::format("{} {}", reader.error().status, reader.error().detail));
                return seen;
            }
            const auto& request = reader.request();
            seen.push_back(fmt::format("{} {} <{}>{}", to_string(request.method()),
                                       request.target(), request.body(),
                                       request.keep_alive() ? "" : " close"));
        }
    }
    return seen;
}

/// The same bytes whole, byte by byte and cut in two at every place must read the same.
std::vector<std::string> read(const std::string& bytes, const ReaderLimits& limits = {}) {
    const auto whole = read_pieces({bytes}, limits);
    std::vector<std::string> single;
    for (const char c : bytes) single.emplace_back(1, c);
    EXPECT_EQ(read_pieces(single, limits), whole) << "byte by byte";
    for (std::size_t cut = 1; cut < bytes.size() && bytes.size() < 4096; ++cut) {
        EXPECT_EQ(read_pieces({bytes.substr(0, cut), bytes.substr(cut)}, limits), whole)
            << "cut at " << cut;
    }
    return whole;
}

std::string get(const std::string& fields) {
    return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}
std::string post(const std::string& fields, const std::string& body) {
    return "POST /p HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

TEST(RequestReader, ReadsAPlainRequest) {
    RequestReader reader;
    reader.append(
        "GET /v1/tasks/x%20y?a=1&b HTTP/1.1\r\nHost: example.com:80\r\nX-Blank:  v \t\r\n\r\n");
    ASSERT_EQ(reader.next(), RequestReader::Status::head);
    ASSERT_EQ(reader.next(), RequestReader::Status::request);
    const auto& request = reader.request();
    EXPECT_EQ(request.method(), Method::get);
    EXPECT_EQ(request.path(), "/v1/tasks/x%20y");
    EXPECT_EQ(request.query(), "a=1&b");
    EXPECT_EQ(request.header("x-blank"), "v");
    EXPECT_EQ(request.header("HOST"), "example.com:80");
    EXPECT_EQ(request.header("absent"), std::nullopt);
    EXPECT_TRUE(request.keep_alive());
    EXPECT_EQ(reader.next(), RequestReader::Status::need_more);
    EXPECT_TRUE(reader.idle());
}

TEST(RequestReader, ReadsPipelinedRequestsWithBodies) {
    EXPECT_THAT(read(post("Content-Length: 3\r\n", "abc") + get("") +
                     post("Transfer-Encoding: chunked\r\n",
                          "2\r\nhi\r\n3;x=y\r\n yo\r\n0\r\nT: v\r\n\r\n") +
                     get("Connection: close\r\n")),
                ElementsAre("POST /p <abc>", "GET / <>", "POST /p <hi yo>", "GET / <> close"));
}

TEST(RequestReader, AnEmptyChunkedBodyEndsHoweverItArrives) {
    EXPECT_THAT(read(post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n")),
                ElementsAre("POST /p <>"));
}

TEST(RequestReader, ToleratesOneEmptyLineBeforeARequest) {
    EXPECT_THAT(read("\r\n" + get("")), ElementsAre("GET / <>"));
    EXPECT_THAT(read("\r\n\r\n" + get("")), ElementsAre("400 empty lines before the request"));
}

TEST(RequestReader, KnowsWhenTheConnectionMayGoOn) {
    EXPECT_THAT(read("GET / HTTP/1.0\r\n\r\n"), ElementsAre("GET / <> close"));
    EXPECT_THAT(read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), ElementsAre("GET / <>"));
    EXPECT_THAT(read(get("Connection: te, CLOSE\r\nConnection: keep-alive\r\n")),
                ElementsAre("GET / <> close"));
}

TEST(RequestReader, TakesTheAbsoluteFormOfItsOwnHostOnly) {
    EXPECT_THAT(read("GET http://a/x?y HTTP/1.1\r\nHost: a\r\n\r\n"), ElementsAre("GET /x?y <>"));
    EXPECT_THAT(read("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n"),
                ElementsAre("400 the target's host is not the Host field's"));
    EXPECT_THAT(read("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
                ElementsAre("400 the target is no path"));
    EXPECT_THAT(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), ElementsAre("OPTIONS * <>"));
    EXPECT_THAT(read("GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
                ElementsAre("400 the target '*' is for OPTIONS"));
}

// Each of these is read differently by some server or proxy: the way requests are smuggled.
TEST(RequestReader, RefusesWhatTwoReadersCouldUnderstandDifferently) {
    const auto refused = [](const std::string& bytes) {
        const auto seen = read(bytes + get(""));
        return seen.size() == 1 && seen.front().starts_with("400 ") ? std::string{"refused"}
                                                                    : testing::PrintToString(seen);
    };
    EXPECT_EQ(refused("GET / HTTP/1.1\r\n\r\n"), "refused") << "no Host";
    EXPECT_EQ(refused(get("Host: a\r\n")), "refused") << "two Hosts";
    EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "refused") << "Host with a path";
    EXPECT_EQ(refused(get("X: a\r\n b\r\n")), "refused") << "folded line";
    EXPECT_EQ(refused(get("X : a\r\n")), "refused") << "blank before the colon";
    EXPECT_EQ(refused(get("X\r\n")), "refused") << "no colon";
    EXPECT_EQ(refused("GET / HTTP/1.1\nHost: a\n\n"), "refused") << "bare LF";
    EXPECT_EQ(refused(get("X: a\rb\r\n")), "refused") << "bare CR";
    EXPECT_EQ(refused(get(std::string("X: a\0b\r\n", 8))), "refused") << "NUL";
    EXPECT_EQ(refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), "refused") << "two blanks";
    EXPECT_EQ(refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), "refused") << "blank in the target";
    EXPECT_EQ(refused("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n"), "refused") << "fragment";
    EXPECT_EQ(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "refused") << "another version";
    EXPECT_EQ(refused("\x16\x03\x01 hello"), "refused") << "TLS on the plain port";

    EXPECT_EQ(refused(post("Content-Length: 1\r\nContent-Length: 1\r\n", "a")), "refused");
    EXPECT_EQ(refused(post("Content-Length: 1, 1\r\n", "a")), "refused");
    EXPECT_EQ(refused(post("Content-Length: +1\r\n", "a")), "refused");
    EXPECT_EQ(refused(post("Content-Length: 0x1\r\n", "a")), "refused");
    EXPECT_EQ(refused(post("Content-Length: 18446744073709551616\r\n", "a")), "refused");
    EXPECT_EQ(refused(post("Content-Length: \r\n", "a")), "refused");

    EXPECT_EQ(refused(post("Transfer-Encoding: gzip\r\n", "")), "refused");
    EXPECT_EQ(refused(post("Transfer-Encoding: chunked, gzip\r\n", "")), "refused");
    EXPECT_EQ(refused(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")), "refused");
    EXPECT_EQ(refused(post("Transfer-Encoding: identity\r\n", "")), "refused");
    EXPECT_EQ(
        refused(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        "refused");
    EXPECT_EQ(refused(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
              "refused");
    EXPECT_EQ(refused(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
              "refused");
    EXPECT_EQ(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "refused");

    const auto chunked = [&](const std::string& body) {
        return refused(post("Transfer-Encoding: chunked\r\n", body));
    };
    EXPECT_EQ(chunked("0\n\r\n"), "refused") << "bare LF after the size";
    EXPECT_EQ(chunked("1\r\nab\r\n0\r\n\r\n"), "refused") << "longer than its size";
    EXPECT_EQ(chunked("1 \r\na\r\n0\r\n\r\n"), "refused") << "blank after the size";
    EXPECT_EQ(chunked(" 1\r\na\r\n0\r\n\r\n"), "refused") << "blank before the size";
    EXPECT_EQ(chunked("-1\r\na\r\n0\r\n\r\n"), "refused");
    EXPECT_EQ(chunked("00000000000000001\r\na\r\n0\r\n\r\n"), "refused") << "17 digits";
    EXPECT_EQ(chunked("1;a\nb\r\na\r\n0\r\n\r\n"), "refused") << "LF in an extension";
    EXPECT_EQ(chunked("0\r\nX\r\n\r\n"), "refused") << "trailer without a colon";
    EXPECT_EQ(chunked("0\r\n X: y\r\n\r\n"), "refused") << "folded trailer";
    EXPECT_EQ(chunked("1;" + std::string(20000, 'x') + "\r\na\r\n0\r\n\r\n"), "refused");
    EXPECT_EQ(chunked("0\r\nX: " + std::string(70000, 'x') + "\r\n\r\n"), "refused");
}

TEST(RequestReader, BoundsEveryPart) {
    const ReaderLimits limits{
        .request_line_bytes = 64, .head_bytes = 256, .fields = 4, .body_bytes = 8};
    const auto first = [&](const std::string& bytes) {
        return read(bytes, limits).at(0).substr(0, 3);
    };
    EXPECT_EQ(first("GET /" + std::string(46, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"), "GET");
    EXPECT_EQ(first("GET /" + std::string(80, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"), "414");
    EXPECT_EQ(first(get("X: " + std::string(300, 'x') + "\r\n")), "431");
    EXPECT_EQ(first(get("A: 1\r\nB: 2\r\nC: 3\r\n")), "GET");
    EXPECT_EQ(first(get("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n")), "431");
    EXPECT_EQ(first(post("Content-Length: 8\r\n", "12345678")), "POS");
    EXPECT_EQ(first(post("Content-Length: 9\r\n", "123456789")), "413");
    EXPECT_EQ(first(post("Transfer-Encoding: chunked\r\n", "8\r\n12345678\r\n0\r\n\r\n")), "POS");
    EXPECT_EQ(first(post("Transfer-Encoding: chunked\r\n", "4\r\n1234\r\n5\r\n")), "413");
    EXPECT_EQ(first(post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n")), "413");
}

TEST(RequestReader, ARoutesBodyLimitHoldsForItsRequestOnly) {
    RequestReader reader{{.body_bytes = 4}};
    reader.append(post("Content-Length: 6\r\n", "abcdef") +
                  post("Content-Length: 6\r\n", "abcdef"));
    ASSERT_EQ(reader.next(), RequestReader::Status::head);
    reader.set_body_limit(6);
    EXPECT_EQ(reader.next(), RequestReader::Status::request);
    EXPECT_EQ(reader.next(), RequestReader::Status::head);
    EXPECT_EQ(reader.next(), RequestReader::Status::error);
    EXPECT_EQ(reader.error().status, 413);
}

TEST(RequestReader, TellsWhoWaitsForContinue) {
    RequestReader reader;
    reader.append(post("Expect: 100-continue\r\nContent-Length: 2\r\n", ""));
    ASSERT_EQ(reader.next(), RequestReader::Status::head);
    EXPECT_TRUE(reader.request().expects_continue());
    EXPECT_EQ(reader.next(), RequestReader::Status::need_more);
    EXPECT_FALSE(reader.idle());
    reader.append("hi");
    EXPECT_EQ(reader.next(), RequestReader::Status::request);
    EXPECT_THAT(read(get("Expect: wonders\r\n")),
                ElementsAre("417 only 'Expect: 100-continue' is understood"));
}

TEST(RequestReader, StaysFailed) {
    RequestReader reader;
    reader.append("{}\r\n\r\n" + get(""));
    EXPECT_EQ(reader.next(), RequestReader::Status::error);
    EXPECT_EQ(reader.next(), RequestReader::Status::error);
    EXPECT_EQ(reader.error().status, 400);
}

TEST(RequestReader, ARequestBelongsToOneTraceOrNone) {
    const std::string parent =
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto trace_of = [](const std::string& fields) {
        RequestReader reader{{}};
        reader.append("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
        while (reader.next() == RequestReader::Status::head) {
        }
        return reader.request().trace();
    };
    EXPECT_EQ(trace_of(parent + "\r\nTraceState: a=b\r\ntracestate: c=d\r\n").tracestate,
              "a=b,c=d");
    EXPECT_TRUE(trace_of(parent + "\r\n" + parent + "\r\n").empty());
    EXPECT_TRUE(trace_of("tracestate: a=b\r\n").empty());
}

}  // namespace
}  // namespace lovage::http::wire
