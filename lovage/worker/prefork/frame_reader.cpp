#include <lovage/worker/prefork/byte_codec.hpp>
#include <lovage/worker/prefork/slot_protocol.hpp>

#include <fmt/format.h>

namespace lovage::slot {

namespace {

/// A buffer that a large frame has grown is let go of.
constexpr std::size_t kReadBytesKept = std::size_t{256} << 10U;

}  // namespace

void FrameReader::feed(std::string_view bytes) {
    if (taken_ == buffer_.size()) {
        buffer_.clear();
        if (buffer_.capacity() > kReadBytesKept) buffer_.shrink_to_fit();
        taken_ = 0;
    } else if (taken_ > buffer_.size() / 2) {
        buffer_.erase(0, taken_);
        taken_ = 0;
    }
    buffer_.append(bytes);
}

Result<std::optional<FrameReader::Frame>> FrameReader::next() {
    const std::string_view rest = std::string_view{buffer_}.substr(taken_);
    if (rest.size() < kFrameHeaderBytes) return std::nullopt;
    ByteReader header{rest.substr(0, kFrameHeaderBytes)};
    const auto size = header.number<std::uint32_t>();
    const auto kind = header.number<std::uint8_t>();
    if (kind < static_cast<std::uint8_t>(FrameKind::setup) ||
        kind > static_cast<std::uint8_t>(FrameKind::event)) {
        return fail(Errc::malformed,
                    fmt::format("a frame of unknown kind {} between worker and slot", kind));
    }
    if (size > kPayloadBytesMax) {
        return fail(Errc::malformed,
                    fmt::format("a frame of {} bytes between worker and slot", size));
    }
    if (rest.size() < kFrameHeaderBytes + size) return std::nullopt;
    taken_ += kFrameHeaderBytes + size;
    return Frame{static_cast<FrameKind>(kind), rest.substr(kFrameHeaderBytes, size)};
}

}  // namespace lovage::slot
