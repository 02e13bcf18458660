#include <lovage/core/detail/inflate.hpp>

#include <array>
#include <limits>

#include <fmt/format.h>
#include <zlib.h>

namespace lovage::detail {
namespace {

/// zlib counts in unsigned int; what callers hold is bounded far below that.
constexpr std::size_t kPackedBytesMax = std::numeric_limits<uInt>::max();

class InflateStream {
public:
    InflateStream() {
        constexpr int kZlibOrGzip = 15 + 32;
        LOVAGE_ASSERT(inflateInit2(&stream_, kZlibOrGzip) == Z_OK);
    }
    ~InflateStream() { inflateEnd(&stream_); }
    InflateStream(const InflateStream&) = delete;
    InflateStream& operator=(const InflateStream&) = delete;

    z_stream* operator->() { return &stream_; }
    int step() { return inflate(&stream_, Z_NO_FLUSH); }

private:
    z_stream stream_{};
};

}  // namespace

Result<std::string> inflate_zlib(std::string_view packed, std::size_t bytes_max) {
    if (packed.size() > kPackedBytesMax) return fail(Errc::too_large, "zlib stream above 4 GiB");
    InflateStream stream;
    // zlib's interface predates const; it does not write to its input.
    stream->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream->avail_in = static_cast<uInt>(packed.size());

    std::string text;
    std::array<char, 16384> chunk;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
        stream->next_out = reinterpret_cast<Bytef*>(chunk.data());
        stream->avail_out = static_cast<uInt>(chunk.size());
        state = stream.step();
        if (state == Z_BUF_ERROR) return fail(Errc::malformed, "the zlib stream is cut short");
        if (state != Z_OK && state != Z_STREAM_END) {
            return fail(Errc::malformed,
                        fmt::format("not a zlib stream: {}", stream->msg ? stream->msg : "broken"));
        }
        const std::size_t got = chunk.size() - stream->avail_out;
        if (got > bytes_max - text.size()) {
            return fail(Errc::too_large, fmt::format("unpacks to more than {} bytes", bytes_max));
        }
        text.append(chunk.data(), got);
    }
    if (stream->avail_in != 0) {
        return fail(Errc::malformed,
                    fmt::format("{} bytes follow the zlib stream", stream->avail_in));
    }
    return text;
}

}  // namespace lovage::detail
