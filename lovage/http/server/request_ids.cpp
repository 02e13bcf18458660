#include <lovage/http/server/request_ids.hpp>

#include <algorithm>
#include <random>

namespace lovage::http {

namespace {

void write_hex(char* out, std::uint64_t value) noexcept {
    for (int i = 15; i >= 0; --i, value >>= 4U) out[i] = "0123456789abcdef"[value & 0xfU];
}

/// SplitMix64's finaliser: spreads a counter over all 64 bits without ever repeating one.
std::uint64_t spread(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31U);
}

}  // namespace

RequestIds::RequestIds() {
    std::random_device random;
    const auto draw = [&random] {
        return (static_cast<std::uint64_t>(random()) << 32U) | random();
    };
    write_hex(text_.data(), draw());
    counter_ = draw();
}

std::string_view RequestIds::next() noexcept {
    write_hex(text_.data() + 16, spread(counter_++));
    return {text_.data(), text_.size()};
}

bool RequestIds::usable(std::string_view id) noexcept {
    return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '_' || c == '.' || c == ':';
    });
}

}  // namespace lovage::http
