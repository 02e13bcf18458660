#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lovage::amqp {

/// Reads AMQP 0-9-1's elementary types (specification, section 4.2.5) from the bytes of a frame.
///
/// Reading past the end makes the reader fail: it returns zeroes and empty texts from then on, and
/// ok() tells once at the end. Views point into the bytes it was made with.
class WireReader {
public:
    explicit WireReader(std::string_view bytes) noexcept : rest_{bytes} {}

    [[nodiscard]] std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(number<1>()); }
    [[nodiscard]] std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(number<2>()); }
    [[nodiscard]] std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(number<4>()); }
    [[nodiscard]] std::uint64_t u64() noexcept { return number<8>(); }
    /// At most 255 bytes, length first.
    [[nodiscard]] std::string_view short_string() noexcept { return bytes(u8()); }
    [[nodiscard]] std::string_view long_string() noexcept { return bytes(u32()); }
    [[nodiscard]] std::string_view bytes(std::size_t count) noexcept {
        if (count > rest_.size()) {
            fail();
            return {};
        }
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }

    void fail() noexcept {
        ok_ = false;
        rest_ = {};
    }
    [[nodiscard]] bool ok() const noexcept { return ok_; }
    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }
    [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }

private:
    template <std::size_t Bytes>
    std::uint64_t number() noexcept {
        const std::string_view digits = bytes(Bytes);
        std::uint64_t value = 0;
        for (const char digit : digits) value = value << 8U | static_cast<std::uint8_t>(digit);
        return value;
    }

    std::string_view rest_;
    bool ok_ = true;
};

/// Appends AMQP's elementary types to a buffer.
///
/// What has no form on the wire (a short string of more than 255 bytes, an integer of more than 64
/// bits) makes the writer fail; the first problem is kept, and the caller takes back what was
/// written.
class WireWriter {
public:
    explicit WireWriter(std::string& out) noexcept : out_{out} {}

    void u8(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
    void u16(std::uint16_t value) { number<2>(value); }
    void u32(std::uint32_t value) { number<4>(value); }
    void u64(std::uint64_t value) { number<8>(value); }
    void short_string(std::string_view text);
    void long_string(std::string_view text) {
        u32(static_cast<std::uint32_t>(text.size()));
        out_.append(text);
    }
    void bytes(std::string_view raw) { out_.append(raw); }

    [[nodiscard]] std::size_t position() const noexcept { return out_.size(); }
    /// Puts a length into four bytes that were written before it was known.
    void patch_u32(std::size_t position, std::uint32_t value);

    void fail(std::string problem);
    [[nodiscard]] bool ok() const noexcept { return problem_.empty(); }
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

private:
    template <std::size_t Bytes>
    void number(std::uint64_t value) {
        char digits[Bytes];
        for (std::size_t i = 0; i < Bytes; ++i) {
            digits[i] = static_cast<char>(value >> (8U * (Bytes - 1 - i)) & 0xFFU);
        }
        out_.append(digits, Bytes);
    }

    std::string& out_;
    std::string problem_;
};

}  // namespace lovage::amqp
