#include <lovage/clients/amqp/frame.hpp>

#include <algorithm>

namespace lovage::amqp {

namespace {

bool known_type(std::uint8_t type) {
    switch (static_cast<FrameType>(type)) {
        case FrameType::method:
        case FrameType::header:
        case FrameType::body:
        case FrameType::heartbeat:
            return true;
    }
    return false;
}

}  // namespace

FrameStatus read_frame(std::string_view bytes, std::size_t frame_bytes_max, Frame& frame) noexcept {
    if (bytes.empty()) return FrameStatus::incomplete;
    // The first byte alone gives a peer away that speaks something else.
    if (!known_type(static_cast<std::uint8_t>(bytes.front()))) return FrameStatus::malformed;
    if (bytes.size() < kFrameHeaderBytes) return FrameStatus::incomplete;
    WireReader head{bytes.substr(0, kFrameHeaderBytes)};
    frame.type = static_cast<FrameType>(head.u8());
    frame.channel = head.u16();
    const std::size_t size = head.u32();
    if (size + kFrameOverhead > frame_bytes_max) return FrameStatus::malformed;
    if (bytes.size() < size + kFrameOverhead) return FrameStatus::incomplete;
    if (bytes[kFrameHeaderBytes + size] != kFrameEnd) return FrameStatus::malformed;
    frame.payload = bytes.substr(kFrameHeaderBytes, size);
    return FrameStatus::complete;
}

FrameScope::FrameScope(std::string& out, FrameType type, std::uint16_t channel)
    : out_{out}, start_{out.size()} {
    WireWriter writer{out};
    writer.u8(static_cast<std::uint8_t>(type));
    writer.u16(channel);
    writer.u32(0);
}

void FrameScope::finish() {
    WireWriter writer{out_};
    writer.patch_u32(start_ + 3, static_cast<std::uint32_t>(payload_bytes()));
    out_.push_back(kFrameEnd);
}

void append_body(std::string& out, std::uint16_t channel, std::string_view body,
                 std::size_t frame_bytes_max) {
    const std::size_t most = frame_bytes_max - kFrameOverhead;
    while (!body.empty()) {
        FrameScope frame{out, FrameType::body, channel};
        out.append(body.substr(0, most));
        frame.finish();
        body.remove_prefix(std::min(most, body.size()));
    }
}

void append_heartbeat(std::string& out) {
    FrameScope frame{out, FrameType::heartbeat, 0};
    frame.finish();
}

}  // namespace lovage::amqp
