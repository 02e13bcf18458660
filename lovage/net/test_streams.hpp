#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/net/stream.hpp>

#include <array>
#include <string>
#include <string_view>
#include <vector>

/// What tests do with both ends of a stream.
namespace lovage::net {

/// All bytes until the other end says that there are no more.
inline Awaitable<Result<std::string>> read_to_end(Stream* stream) {
    std::string text;
    std::array<char, 65'536> buffer{};
    while (true) {
        const auto bytes = co_await stream->read_some(buffer);
        if (!bytes) co_return std::unexpected{bytes.error()};
        if (*bytes == 0) co_return text;
        text.append(buffer.data(), *bytes);
    }
}

inline Awaitable<void> write_then_end(Stream* stream, std::vector<std::string_view> buffers) {
    value_or_throw(co_await stream->write(buffers));
    stream->shutdown_send();
}

}  // namespace lovage::net
