#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <lovage/clients/amqp/methods.hpp>
#include <lovage/clients/amqp/wire.hpp>

namespace lovage::amqp {

// AMQP 0-9-1, section 4.2.3: type, channel, size, payload, end mark.

inline constexpr std::string_view kProtocolHeader{"AMQP\0\0\x09\x01", 8};
inline constexpr std::size_t kFrameHeaderBytes = 7;
/// What a frame adds to its payload.
inline constexpr std::size_t kFrameOverhead = kFrameHeaderBytes + 1;
inline constexpr char kFrameEnd = static_cast<char>(0xCE);
/// Every peer must take frames of this size (section 4.2.3), so nobody may agree on less.
inline constexpr std::uint32_t kFrameBytesMin = 4096;

enum class FrameType : std::uint8_t { method = 1, header = 2, body = 3, heartbeat = 8 };

/// One frame; the payload points into the bytes it was read from.
struct Frame {
    FrameType type = FrameType::heartbeat;
    std::uint16_t channel = 0;
    std::string_view payload;
};

enum class FrameStatus : std::uint8_t { complete, incomplete, malformed };

/// Looks for one frame at the start of `bytes`. `complete`: `frame` is it, and it takes
/// `frame.payload.size() + kFrameOverhead` bytes. `malformed`: unknown type, larger than
/// `frame_bytes_max`, or no end mark; nothing behind it can be read.
[[nodiscard]] FrameStatus read_frame(std::string_view bytes, std::size_t frame_bytes_max,
                                     Frame& frame) noexcept;

/// Writes a frame's head at once and its size and end mark when the payload is known.
class FrameScope {
public:
    FrameScope(std::string& out, FrameType type, std::uint16_t channel);
    void finish();
    /// Takes everything back.
    void undo() { out_.resize(start_); }
    [[nodiscard]] std::size_t payload_bytes() const noexcept {
        return out_.size() - start_ - kFrameHeaderBytes;
    }

private:
    std::string& out_;
    std::size_t start_;
};

/// Appends a method frame. Methods hold texts as views: they are copied here. Returns an empty
/// text, or why the method has no form on the wire; then nothing was appended.
template <class Method>
[[nodiscard]] std::string append_method(std::string& out, std::uint16_t channel,
                                        const Method& method) {
    FrameScope frame{out, FrameType::method, channel};
    WireWriter writer{out};
    write_method(writer, method);
    if (!writer.ok()) {
        frame.undo();
        return writer.problem();
    }
    frame.finish();
    return {};
}

/// Appends body frames of at most `frame_bytes_max` bytes each; none for an empty body.
void append_body(std::string& out, std::uint16_t channel, std::string_view body,
                 std::size_t frame_bytes_max);

void append_heartbeat(std::string& out);

}  // namespace lovage::amqp
