// Any bytes as what a Redis server sends. The first byte chooses the pieces they come in: the
// replies must be the same as in one piece, and what is held must never exceed what was received.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <lovage/clients/redis/reply_parser.hpp>

namespace {

using lovage::redis::Reply;
using lovage::redis::ReplyLimits;
using lovage::redis::ReplyParser;

constexpr ReplyLimits kLimits{
    .bulk_bytes = 4096, .reply_bytes = std::size_t{1} << 16U, .depth = 8, .line_bytes = 1024};

void describe(const Reply& reply, std::size_t depth, std::string& out) {
    LOVAGE_ASSERT(depth <= kLimits.depth);
    LOVAGE_ASSERT(reply.text.size() <= kLimits.bulk_bytes);
    out += static_cast<char>('a' + static_cast<int>(reply.kind));
    out += std::to_string(reply.integer) + ":" + reply.text + "[";
    for (const Reply& item : reply.items) describe(item, depth + 1, out);
    out += "]";
}

/// All replies as one text, ending in '!' when the stream is broken.
std::string read_all(std::string_view bytes, std::size_t piece) {
    ReplyParser parser{kLimits};
    std::string out;
    while (!bytes.empty()) {
        parser.feed(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
        while (true) {
            const auto reply = parser.next();
            if (!reply) return out + "!";
            if (!*reply) break;
            describe(**reply, 0, out);
        }
        LOVAGE_ASSERT(parser.buffered() <= kLimits.bulk_bytes + kLimits.line_bytes + piece + 2);
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
    const std::size_t piece = std::size_t{1} + data[0] % 32U;
    LOVAGE_ASSERT(read_all(bytes, piece) == read_all(bytes, std::max<std::size_t>(size, 1)));
    return 0;
}
