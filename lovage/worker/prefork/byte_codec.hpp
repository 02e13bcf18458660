#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lovage::slot {

/// Appends values to a byte string: integers little-endian, texts behind their length (32 bits).
class ByteWriter {
public:
    explicit ByteWriter(std::string& out) : out_{out} {}

    template <std::unsigned_integral T>
    void number(T value) {
        std::array<char, sizeof(T)> bytes;
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            bytes[i] = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
        }
        out_.append(bytes.data(), bytes.size());
    }
    void signed_number(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }
    void boolean(bool value) { number<std::uint8_t>(value ? 1 : 0); }
    void text(std::string_view value) {
        number(static_cast<std::uint32_t>(value.size()));
        out_.append(value);
    }
    /// A flag, then what `write` writes when there is a value.
    template <class T, class Write>
    void optional(const std::optional<T>& value, Write write) {
        boolean(value.has_value());
        if (value) write(*value);
    }
    template <class List, class Write>
    void list(const List& items, Write write) {
        number(static_cast<std::uint32_t>(items.size()));
        for (const auto& item : items) write(item);
    }

private:
    std::string& out_;
};

/// Appends what `write` writes to a ByteWriter; when it throws, `out` is left as it was.
template <class Write>
void append_whole(std::string& out, Write write) {
    const std::size_t start = out.size();
    ByteWriter writer{out};
    try {
        write(writer);
    } catch (...) {
        out.resize(start);
        throw;
    }
}

/// Reads what ByteWriter wrote, from untrusted bytes. The first read that does not fit makes
/// everything after it fail too: read a whole message, then ask complete().
class ByteReader {
public:
    explicit ByteReader(std::string_view bytes) : rest_{bytes} {}

    template <std::unsigned_integral T>
    T number() {
        if (rest_.size() < sizeof(T)) return fail<T>();
        std::uint64_t value = 0;
        for (std::size_t i = 0; i < sizeof(T); ++i) {
            value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
        }
        rest_.remove_prefix(sizeof(T));
        return static_cast<T>(value);
    }
    std::int64_t signed_number() { return static_cast<std::int64_t>(number<std::uint64_t>()); }
    bool boolean() {
        const auto value = number<std::uint8_t>();
        if (value > 1) return fail<bool>();
        return value == 1;
    }
    std::string_view view() {
        const auto size = number<std::uint32_t>();
        if (failed_ || rest_.size() < size) return fail<std::string_view>();
        const std::string_view value = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return value;
    }
    std::string text() { return std::string{view()}; }
    template <class Read>
    auto optional(Read read) -> std::optional<decltype(read())> {
        if (!boolean() || failed_) return std::nullopt;
        return read();
    }
    /// Calls `read` once an item. The count is not trusted: it ends with the bytes.
    template <class Read>
    void list(Read read) {
        const auto count = number<std::uint32_t>();
        for (std::uint32_t i = 0; i < count && !failed_; ++i) {
            if (rest_.empty()) return void(fail<bool>());
            read();
        }
    }

    /// Everything fitted and nothing is left over.
    [[nodiscard]] bool complete() const noexcept { return !failed_ && rest_.empty(); }
    /// For checks of one's own: what was read makes no sense.
    void refuse() noexcept { failed_ = true; }

private:
    template <class T>
    T fail() {
        failed_ = true;
        rest_ = {};
        return T{};
    }

    std::string_view rest_;
    bool failed_ = false;
};

}  // namespace lovage::slot
