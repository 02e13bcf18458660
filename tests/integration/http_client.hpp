#pragma once

#include <lovage/core/json.hpp>
#include <lovage/runtime/deadline.hpp>

#include <cstdint>
#include <map>
#include <string>

namespace lovage::integration {

struct HttpReply {
    int status = 0;
    std::map<std::string, std::string> fields;  ///< Names in small letters.
    std::string body;

    /// The body as JSON; throws LovageError when it is not.
    [[nodiscard]] Json json() const;
};
/// "200 body".
[[nodiscard]] std::string shown(const HttpReply& reply);

/// One request to 127.0.0.1 on a connection of its own, blocking. It shares no code with the
/// server, so a mistake of Lovage's cannot hide itself. A body is sent as JSON. Throws
/// std::runtime_error when there is no complete reply by the deadline.
[[nodiscard]] HttpReply http_request(std::uint16_t port, const std::string& method,
                                     const std::string& target, const std::string& body,
                                     Deadline deadline);

}  // namespace lovage::integration
