// However the bytes of a connection are cut into reads, the same requests come out, and the same
// error ends them.
//
// The first byte chooses where the rest is cut.
#include <lovage/http/wire/percent.hpp>
#include <lovage/http/wire/request_reader.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace {

using lovage::http::wire::ReaderLimits;
using lovage::http::wire::RequestReader;

/// Small, so that a short input reaches them.
constexpr ReaderLimits kLimits{
    .request_line_bytes = 128, .head_bytes = 512, .fields = 8, .body_bytes = 64};

std::string summary(const lovage::http::Request& request) {
    std::string text =
        fmt::format("{} {} {} {} {}\n", to_string(request.method()), request.target(),
                    request.minor_version(), request.keep_alive(), request.expects_continue());
    for (const auto& field : request.fields())
        text += fmt::format("{}={}\n", field.name, field.value);
    return text.append(request.body()) + '\n';
}

/// Reads `bytes` in pieces of `piece` bytes (0: all at once), the first one after `first` bytes.
std::string read(std::string_view bytes, std::size_t first, std::size_t piece) {
    std::string seen;
    RequestReader reader{kLimits};
    while (true) {
        const auto length = first > 0 ? first : piece > 0 ? piece : bytes.size();
        const auto part = bytes.substr(0, length);
        bytes.remove_prefix(part.size());
        first = 0;
        reader.append(part);
        for (auto status = reader.next(); status != RequestReader::Status::need_more;
             status = reader.next()) {
            if (status == RequestReader::Status::error) {
                return seen + fmt::format("{} {}", reader.error().status, reader.error().detail);
            }
            if (status == RequestReader::Status::request) seen += summary(reader.request());
        }
        if (bytes.empty()) return seen;
    }
}

void expect_same(const std::string& left, const std::string& right, const char* how) {
    if (left == right) return;
    std::fprintf(stderr, "read differently %s:\n%s\n--- and ---\n%s\n", how, left.c_str(),
                 right.c_str());
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
    const auto whole = read(bytes, 0, 0);
    expect_same(whole, read(bytes, 0, 1), "byte by byte");
    expect_same(whole, read(bytes, 1 + data[0] % 61U, 0), "cut in two");
    expect_same(whole, read(bytes, 1 + data[0] % 7U, 1 + data[0] % 13U), "in pieces");

    const auto once = lovage::http::wire::percent_decode(bytes, data[0] % 2U == 0);
    if (!bytes.contains('%') && once.contains('%')) std::abort();
    (void)lovage::http::wire::parse_query(bytes);
    return 0;
}
