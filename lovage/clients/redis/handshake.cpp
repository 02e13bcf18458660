#include <lovage/clients/redis/handshake.hpp>

#include <utility>

#include <fmt/core.h>

namespace lovage::redis {

namespace {

/// Redis before version 6, and proxies that speak RESP2 only.
bool speaks_resp2_only(const Reply& reply) {
    const std::string_view code = reply.error_code();
    if (code == "NOPROTO") return true;
    return code == "ERR" &&
           (reply.text.contains("unknown command") || reply.text.contains("Protocol version"));
}

Error explained(const Reply& reply, const Options& options) {
    const std::string_view code = reply.error_code();
    const std::string user = options.user.empty() ? "default" : options.user;
    if (code == "WRONGPASS") {
        return {Errc::rejected,
                fmt::format("Redis refuses the user '{}' or its password ({})", user, reply.text)};
    }
    if (code == "NOAUTH") {
        return {Errc::rejected,
                fmt::format("Redis asks for a password: redis://:password@host ({})", reply.text)};
    }
    Error error = to_error(reply);
    if (options.password && error.code == Errc::rejected) {
        error.detail += fmt::format(" (while logging in as '{}')", user);
    }
    return error;
}

}  // namespace

Handshake::Handshake(const Options& options) : options_{options} {
    if (options_.password) {
        commands_.add({"HELLO", "3", "AUTH", options_.user.empty() ? "default" : options_.user,
                       *options_.password});
    } else {
        commands_.add({"HELLO", "3"});
    }
}

Result<void> Handshake::on_replies(const std::vector<Reply>& replies) {
    LOVAGE_ASSERT(replies.size() == commands_.size() && !done());
    return step_ == Step::hello ? on_hello(replies.front()) : on_prepared(replies);
}

Result<void> Handshake::on_hello(const Reply& reply) {
    if (speaks_resp2_only(reply)) {
        prepare(options_.password.has_value());
        return {};
    }
    if (reply.is_error()) return std::unexpected{explained(reply, options_)};
    if (reply.kind != Reply::Kind::map && reply.kind != Reply::Kind::array) {
        return fail(Errc::malformed, "the answer to HELLO is no map; is this a Redis server?");
    }
    protocol_ = 3;
    for (std::size_t index = 0; index + 1 < reply.items.size(); index += 2) {
        if (reply.items[index].text == "version") server_version_ = reply.items[index + 1].text;
    }
    prepare(false);
    return {};
}

void Handshake::prepare(bool authenticate) {
    step_ = Step::prepare;
    commands_ = {};
    if (authenticate && options_.user.empty()) {
        commands_.add({"AUTH", *options_.password});
    } else if (authenticate) {
        commands_.add({"AUTH", options_.user, *options_.password});
    }
    auth_ = authenticate ? 1 : 0;
    if (!options_.client_name.empty()) {
        commands_.add({"CLIENT", "SETNAME", options_.client_name});
        name_ = 1;
    }
    if (options_.database != 0) {
        commands_.add({"SELECT", Number{options_.database}});
        select_ = 1;
    }
    commands_.add({"PING"});
}

Result<void> Handshake::on_prepared(const std::vector<Reply>& replies) {
    auto reply = replies.begin();
    if (auth_ > 0 && reply++->is_error()) {
        return std::unexpected{explained(replies.front(), options_)};
    }
    // A name is for people only: a server that refuses it will do.
    if (name_ > 0) ++reply;
    if (select_ > 0) {
        const Reply& selected = *reply++;
        if (selected.is_error() && selected.text.contains("out of range")) {
            return fail(Errc::invalid_argument,
                        fmt::format("Redis has no database {} (its configuration says how many "
                                    "there are: `databases`)",
                                    options_.database));
        }
        if (selected.is_error()) return std::unexpected{explained(selected, options_)};
    }
    if (reply->is_error()) return std::unexpected{explained(*reply, options_)};
    step_ = Step::done;
    commands_ = {};
    return {};
}

}  // namespace lovage::redis
