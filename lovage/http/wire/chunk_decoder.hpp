#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lovage::http::wire {

/// Takes a body apart that is sent in chunks (RFC 9112, section 7.1), byte by byte, so that it does
/// not matter how the bytes arrive.
///
/// Stricter than the grammar where leniency is how requests are smuggled: lines end in CR LF only,
/// a size is 1–16 hex digits with nothing around it. Extensions and trailer fields are checked and
/// dropped.
class ChunkDecoder {
public:
    enum class Status : std::uint8_t { need_more, complete, malformed, too_large };

    /// Bytes of all extensions, and of all trailer fields, of one message.
    static constexpr std::size_t kExtensionBytesMax = 1024;
    static constexpr std::size_t kTrailerBytesMax = 8192;

    /// Consumes the front of `input` and appends the body's bytes to `body`, which never grows
    /// beyond `body_bytes_max`. After anything but need_more, call reset() before the next message.
    [[nodiscard]] Status feed(std::string_view& input, std::string& body,
                              std::size_t body_bytes_max);

    /// What was wrong, for the error reply; a literal.
    [[nodiscard]] std::string_view problem() const noexcept { return problem_; }

    void reset() noexcept { *this = ChunkDecoder{}; }

private:
    enum class State : std::uint8_t {
        size,
        extension,
        size_line_end,
        data,
        data_cr,
        data_lf,
        trailer_start,
        trailer_name,
        trailer_value,
        trailer_line_end,
        last_line_end,
    };

    [[nodiscard]] Status step(char c);
    [[nodiscard]] Status step_size(char c);
    [[nodiscard]] Status step_trailer(char c);
    [[nodiscard]] Status malformed(std::string_view problem) noexcept;

    State state_ = State::size;
    bool last_chunk_ = false;
    std::uint64_t remaining_ = 0;  ///< of the chunk's data
    unsigned digits_ = 0;
    std::size_t extension_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::string_view problem_;
};

}  // namespace lovage::http::wire
