#pragma once

#include <lovage/clients/redis/commands.hpp>
#include <lovage/clients/redis/options.hpp>
#include <lovage/clients/redis/reply.hpp>
#include <lovage/core/error.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace lovage::redis {

/// The greeting on a new connection: protocol, user, name, database, and a last PING that shows the
/// server takes commands (one that still loads its data set answers LOADING).
///
/// Starts with HELLO 3 (Redis 6 and newer); a server that does not know it, or whose proxy does
/// not, is spoken to in RESP2. Pure state; not thread-safe.
class Handshake {
public:
    explicit Handshake(const Options& options);

    /// What to send next; empty when done.
    [[nodiscard]] const Commands& commands() const noexcept { return commands_; }
    /// The answers to commands(), in their order; then ask commands() again.
    /// Errors: rejected (user, password, rights), unavailable (LOADING), invalid_argument (no such
    /// database), malformed.
    [[nodiscard]] Result<void> on_replies(const std::vector<Reply>& replies);

    [[nodiscard]] bool done() const noexcept { return step_ == Step::done; }
    /// 2 or 3; known when done.
    [[nodiscard]] int protocol() const noexcept { return protocol_; }
    /// "7.0.15"; empty when the server did not tell.
    [[nodiscard]] const std::string& server_version() const noexcept { return server_version_; }

private:
    enum class Step : std::uint8_t { hello, prepare, done };

    [[nodiscard]] Result<void> on_hello(const Reply& reply);
    [[nodiscard]] Result<void> on_prepared(const std::vector<Reply>& replies);
    void prepare(bool authenticate);

    Options options_;
    Commands commands_;
    Step step_ = Step::hello;
    std::size_t auth_ = 0;    ///< Replies of AUTH in the current commands, 0 or 1.
    std::size_t select_ = 0;  ///< The same for SELECT.
    std::size_t name_ = 0;    ///< The same for CLIENT SETNAME.
    int protocol_ = 2;
    std::string server_version_;
};

}  // namespace lovage::redis
