#include <lovage/clients/amqp/wire.hpp>

#include <fmt/format.h>

namespace lovage::amqp {

namespace {

constexpr std::size_t kShortStringBytesMax = 255;
constexpr std::size_t kShownBytes = 40;

}  // namespace

void WireWriter::short_string(std::string_view text) {
    if (text.size() > kShortStringBytesMax) {
        fail(fmt::format("'{}…' has {} bytes; AMQP allows {} there", text.substr(0, kShownBytes),
                         text.size(), kShortStringBytesMax));
        text = {};
    }
    u8(static_cast<std::uint8_t>(text.size()));
    out_.append(text);
}

void WireWriter::patch_u32(std::size_t position, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) {
        out_[position + i] = static_cast<char>(value >> (8U * (3 - i)) & 0xFFU);
    }
}

void WireWriter::fail(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
}

}  // namespace lovage::amqp
