#include <lovage/clients/redis/reply.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace lovage::redis {

std::string_view Reply::error_code() const noexcept {
    if (!is_error()) return {};
    return std::string_view{text}.substr(0, text.find(' '));
}

Error to_error(const Reply& reply) {
    // redis 7.0, server.c createSharedObjects(): the codes a server gives for states that pass.
    constexpr std::array<std::string_view, 8> kPassing{
        "LOADING", "OOM", "MISCONF", "READONLY", "MASTERDOWN", "BUSY", "NOREPLICAS", "CLUSTERDOWN"};
    const std::string_view code = reply.error_code();
    std::string detail = "Redis answered: " + reply.text;
    if (code == "TOOLARGE") return {Errc::too_large, std::move(detail)};
    const bool passing = std::ranges::find(kPassing, code) != kPassing.end();
    return {passing ? Errc::unavailable : Errc::rejected, std::move(detail)};
}

Result<Reply> accepted(Result<Reply> reply) {
    if (reply && reply->is_error()) return std::unexpected{to_error(*reply)};
    return reply;
}

}  // namespace lovage::redis
