#include <lovage/clients/amqp/reply_code.hpp>

#include <string>

namespace lovage::amqp {

namespace {

Errc errc_of(ReplyCode code) {
    switch (code) {
        case ReplyCode::content_too_large:
            return Errc::too_large;
        case ReplyCode::no_route:
        case ReplyCode::no_consumers:
            return Errc::unroutable;
        case ReplyCode::not_found:
            return Errc::not_found;
        case ReplyCode::resource_locked:
        case ReplyCode::precondition_failed:
            return Errc::conflict;
        case ReplyCode::invalid_path:
        case ReplyCode::access_refused:
        case ReplyCode::not_allowed:
            return Errc::rejected;
        case ReplyCode::resource_error:
            return Errc::unavailable;
        default:
            return Errc::disconnected;
    }
}

}  // namespace

Error reply_error(std::uint16_t code, std::string_view text) {
    return {errc_of(static_cast<ReplyCode>(code)), std::to_string(code) + " " + std::string{text}};
}

}  // namespace lovage::amqp
