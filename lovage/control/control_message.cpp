#include <lovage/control/control_message.hpp>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace lovage {
namespace {

constexpr std::string_view kJsonType = "application/json";

std::unexpected<Error> expected(std::string_view member, std::string_view what, const Json& got) {
    return fail(Errc::malformed,
                fmt::format("'{}' should be {}, not {}", member, what, got.python_type_name()));
}

/// The member, or nullptr when it is absent or null: requests carry both forms.
const Json* present(const Json& object, std::string_view name) {
    const Json* value = object.find(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

Result<std::optional<std::string>> optional_text(const Json& object, std::string_view name) {
    const Json* value = present(object, name);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) return expected(name, "a text", *value);
    return value->as_string();
}

Result<Json> read_body(const Message& message, const JsonLimits& limits) {
    if (message.properties.content_type != kJsonType) {
        return fail(Errc::malformed, fmt::format("content type '{}' instead of application/json",
                                                 message.properties.content_type.substr(0, 100)));
    }
    auto body = parse_json(message.body, limits);
    if (body && !body->is_object()) return expected("body", "a map", *body);
    return body;
}

Result<Json> read_headers(const Message& message, const JsonLimits& limits) {
    auto headers = message.headers.fully_expanded(limits);
    if (headers && headers->is_null()) return Json::object();
    if (headers && !headers->is_object()) return expected("headers", "a map", *headers);
    return headers;
}

/// A clock that is no number, or none at all, counts as 0: the message is worth more than it.
std::uint64_t read_clock(const Json& headers) {
    const Json* value = headers.find("clock");
    return value != nullptr && value->is_integer() ? value->as_uint64().value_or(0) : 0;
}

double read_expires(const Json& headers) {
    const Json* value = headers.find("expires");
    if (value == nullptr) return 0;
    if (value->is_real()) return value->as_real();
    if (value->is_integer()) return static_cast<double>(value->as_int64().value_or(0));
    return 0;
}

Result<std::vector<std::string>> read_destination(const Json& body) {
    const Json* value = present(body, "destination");
    std::vector<std::string> nodes;
    if (value == nullptr) return nodes;
    if (value->is_string()) return std::vector{value->as_string()};
    if (!value->is_array()) return expected("destination", "a list", *value);
    for (const Json& node : value->as_array()) {
        if (!node.is_string()) return expected("destination", "a list of texts", node);
        nodes.push_back(node.as_string());
    }
    return nodes;
}

Result<std::optional<NodeMatcher>> read_matcher(const Json& body) {
    const auto name = optional_text(body, "matcher");
    if (!name) return std::unexpected{name.error()};
    if (!*name) return std::nullopt;
    for (const NodeMatcher matcher : {NodeMatcher::glob, NodeMatcher::pcre}) {
        if (**name == to_string(matcher)) return matcher;
    }
    return fail(Errc::malformed, "'matcher' should be glob or pcre");
}

Result<std::optional<ReplyAddress>> read_reply_to(const Json& body) {
    const Json* value = present(body, "reply_to");
    if (value == nullptr) return std::nullopt;
    const Json* exchange = value->find("exchange");
    const Json* key = value->find("routing_key");
    if (exchange == nullptr || key == nullptr || !exchange->is_string() || !key->is_string()) {
        return expected("reply_to", "a map with exchange and routing_key", *value);
    }
    return ReplyAddress{.exchange = exchange->as_string(), .routing_key = key->as_string()};
}

Json text_or_null(const std::optional<std::string>& text) {
    return text ? Json{*text} : Json{};
}

Json request_body(const ControlRequest& request) {
    Json destination;
    for (const std::string& node : request.destination) destination.push_back(node);
    Json body =
        Json::object({{"method", request.method},
                      {"arguments", request.arguments},
                      {"destination", std::move(destination)},
                      {"pattern", text_or_null(request.pattern)},
                      {"matcher", request.matcher ? Json{to_string(*request.matcher)} : Json{}}});
    if (request.ticket) body.set("ticket", *request.ticket);
    if (request.reply_to) {
        body.set("reply_to", Json::object({{"exchange", request.reply_to->exchange},
                                           {"routing_key", request.reply_to->routing_key}}));
    }
    return body;
}

}  // namespace

Result<ControlRequest> decode_control_request(const Message& message, const ControlLimits& limits) {
    const auto headers = read_headers(message, limits.request);
    if (!headers) return std::unexpected{headers.error()};
    auto body = read_body(message, limits.request);
    if (!body) return std::unexpected{body.error()};

    auto method = optional_text(*body, "method");
    auto destination = read_destination(*body);
    auto pattern = optional_text(*body, "pattern");
    const auto matcher = read_matcher(*body);
    auto ticket = optional_text(*body, "ticket");
    auto reply_to = read_reply_to(*body);
    if (!method) return std::unexpected{method.error()};
    if (!*method) return fail(Errc::malformed, "'method' is missing");
    if (!destination) return std::unexpected{destination.error()};
    if (!pattern) return std::unexpected{pattern.error()};
    if (!matcher) return std::unexpected{matcher.error()};
    if (!ticket) return std::unexpected{ticket.error()};
    if (!reply_to) return std::unexpected{reply_to.error()};

    ControlRequest request{.method = std::move(**method),
                           .destination = std::move(*destination),
                           .pattern = std::move(*pattern),
                           .matcher = *matcher,
                           .ticket = std::move(*ticket),
                           .reply_to = std::move(*reply_to),
                           .clock = read_clock(*headers),
                           .expires = read_expires(*headers)};
    if (const Json* arguments = present(*body, "arguments")) {
        if (!arguments->is_object()) return expected("arguments", "a map", *arguments);
        request.arguments = *arguments;
    }
    return request;
}

Result<ControlReply> decode_control_reply(const Message& message, const ControlLimits& limits) {
    const auto headers = read_headers(message, limits.reply);
    if (!headers) return std::unexpected{headers.error()};
    auto body = read_body(message, limits.reply);
    if (!body) return std::unexpected{body.error()};
    auto ticket = optional_text(*headers, "ticket");
    if (!ticket) return std::unexpected{ticket.error()};
    if (!*ticket) return fail(Errc::malformed, "the header 'ticket' is missing");
    if (body->as_object().size() != 1) {
        return fail(Errc::malformed, "a reply should have one member, the node's name");
    }
    auto& [node, value] = body->as_object().front();
    return ControlReply{.ticket = std::move(**ticket),
                        .node = std::move(node),
                        .value = std::move(value),
                        .clock = read_clock(*headers)};
}

Message encode_control_request(const ControlRequest& request) {
    Message message;
    message.properties.priority = 0;
    message.headers =
        Json::object({{"clock", request.clock},
                      {"expires", request.expires > 0 ? Json{request.expires} : Json{0}}});
    message.body = to_json_text(request_body(request));
    return message;
}

Message encode_control_reply(const ControlReply& reply) {
    Message message;
    message.properties.priority = 0;
    message.properties.delivery_mode = 1;
    message.headers = Json::object({{"ticket", reply.ticket}, {"clock", reply.clock}});
    message.body = to_json_text(Json::object({{reply.node, reply.value}}));
    return message;
}

Publication control_publication(const ControlNames& names, const ControlRequest& request) {
    return {.exchange = names.request_exchange(),
            .routing_key = {},
            .message = encode_control_request(request),
            .mandatory = false,
            .aside = true};
}

Publication reply_publication(const ReplyAddress& to, const ControlReply& reply) {
    return {.exchange = to.exchange,
            .routing_key = to.routing_key,
            .message = encode_control_reply(reply),
            .mandatory = false,
            .aside = true};
}

bool addressed_to(const ControlRequest& request, std::string_view node) {
    if (!request.destination.empty()) {
        return std::ranges::find(request.destination, node) != request.destination.end();
    }
    if (!request.pattern || request.pattern->empty() || !request.matcher) return true;
    return node_matches(*request.matcher, *request.pattern, node).value_or(false);
}

}  // namespace lovage
