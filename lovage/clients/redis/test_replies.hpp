#pragma once

#include <lovage/clients/redis/reply.hpp>

#include <string>
#include <utility>

/// Replies as a server would send them, for tests.
namespace lovage::redis {

[[nodiscard]] inline Reply status(std::string text) {
    return {.kind = Reply::Kind::status, .text = std::move(text)};
}
[[nodiscard]] inline Reply ok() {
    return status("OK");
}
[[nodiscard]] inline Reply error(std::string text) {
    return {.kind = Reply::Kind::error, .text = std::move(text)};
}
[[nodiscard]] inline Reply bulk(std::string text) {
    return {.kind = Reply::Kind::bulk, .text = std::move(text)};
}

}  // namespace lovage::redis
