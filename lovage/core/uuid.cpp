#include <lovage/core/uuid.hpp>

#include <pthread.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include <boost/uuid/name_generator_sha1.hpp>
#include <boost/uuid/uuid.hpp>

#include <lovage/core/error.hpp>

namespace lovage {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::size_t kTextLength = 36;

constexpr bool is_dash_position(std::size_t index) {
    return index == 8 || index == 13 || index == 18 || index == 23;
}

int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string to_text(std::span<const std::uint8_t, 16> bytes) {
    std::string text(kTextLength, '-');
    std::size_t at = 0;
    for (const std::uint8_t byte : bytes) {
        if (is_dash_position(at)) ++at;
        text[at++] = kHexDigits[byte >> 4U];
        text[at++] = kHexDigits[byte & 0x0fU];
    }
    return text;
}

boost::uuids::uuid from_text(std::string_view text) {
    LOVAGE_ASSERT(is_uuid(text));
    boost::uuids::uuid id{};
    std::size_t digit = 0;
    for (const char c : text) {
        if (c == '-') continue;
        auto& byte = id.data[digit++ / 2];
        byte = static_cast<std::uint8_t>(byte << 4U | static_cast<unsigned>(hex_value(c)));
    }
    return id;
}

/// Counts the forks in this process's ancestry, so that a child notices that its random bytes
/// are also its parent's.
std::atomic<std::uint64_t>& fork_generation() {
    static std::atomic<std::uint64_t> generation{1};
    [[maybe_unused]] static const int registered = pthread_atfork(
        nullptr, nullptr, [] { generation.fetch_add(1, std::memory_order_relaxed); });
    return generation;
}

/// Random bytes fetched from the kernel a thousand at a time: one system call in 64 ids.
class RandomBytes {
public:
    std::array<std::uint8_t, 16> take() {
        const auto generation = fork_generation().load(std::memory_order_relaxed);
        if (used_ == bytes_.size() || generation != generation_) refill(generation);
        std::array<std::uint8_t, 16> taken{};
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(used_), taken.size(),
                    taken.begin());
        used_ += taken.size();
        return taken;
    }

private:
    void refill(std::uint64_t generation) {
        std::size_t filled = 0;
        while (filled < bytes_.size()) {
            const ssize_t got = getrandom(bytes_.data() + filled, bytes_.size() - filled, 0);
            LOVAGE_ASSERT(got > 0 || errno == EINTR);
            if (got > 0) filled += static_cast<std::size_t>(got);
        }
        used_ = 0;
        generation_ = generation;
    }

    std::array<std::uint8_t, 1024> bytes_{};
    std::size_t used_ = bytes_.size();
    std::uint64_t generation_ = 0;
};

}  // namespace

std::string uuid4() {
    thread_local RandomBytes random;
    auto bytes = random.take();
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0fU) | 0x40U);
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);
    return to_text(bytes);
}

std::string uuid5(std::string_view name_space, std::string_view name) {
    boost::uuids::name_generator_sha1 generate{from_text(name_space)};
    const boost::uuids::uuid id = generate(name.data(), name.size());
    return to_text(std::span<const std::uint8_t, 16>{id.data, 16});
}

bool is_uuid(std::string_view text) noexcept {
    if (text.size() != kTextLength) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_dash_position(i) ? text[i] != '-' : hex_value(text[i]) < 0) return false;
    }
    return true;
}

}  // namespace lovage
