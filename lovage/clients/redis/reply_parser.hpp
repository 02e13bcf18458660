#pragma once

#include <lovage/clients/redis/reply.hpp>
#include <lovage/core/error.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::redis {

/// What a server may make us hold.
struct ReplyLimits {
    std::size_t bulk_bytes = std::size_t{64} << 20U;    ///< Larger texts are skipped.
    std::size_t reply_bytes = std::size_t{256} << 20U;  ///< Of one reply with all its parts.
    std::size_t depth = 16;
    std::size_t line_bytes = std::size_t{64} << 10U;
};

/// Takes the bytes of a connection and gives its replies (RESP2, and RESP3 without its streamed
/// types, which no server sends).
///
/// Memory grows with what has been received, never with a length that was merely announced. A text
/// beyond `bulk_bytes` is skipped as it comes in and stands as an error reply "TOOLARGE …", so that
/// one enormous value neither fills memory nor costs the connection. Pure state; not thread-safe.
class ReplyParser {
public:
    explicit ReplyParser(ReplyLimits limits = {}) : limits_{limits} {}

    /// Room for at least `bytes` more bytes; valid until the next call. Follow with commit().
    [[nodiscard]] std::span<char> prepare(std::size_t bytes);
    /// The first `bytes` of prepare()'s room were filled.
    void commit(std::size_t bytes);
    /// prepare() and commit() for bytes that are somewhere else.
    void feed(std::string_view bytes);

    /// The next complete reply, or nothing when more bytes are needed. Errors: malformed, too_large
    /// (more than one reply may hold); the connection is of no use afterwards.
    [[nodiscard]] Result<std::optional<Reply>> next();

    /// Bytes held: received and not yet given out.
    [[nodiscard]] std::size_t buffered() const noexcept { return end_ - begin_; }

private:
    /// An array, map, set or push whose items are still coming in.
    struct Open {
        Reply reply;
        std::size_t missing;
        bool dropped;  ///< An attribute: read and thrown away.
    };

    /// One element: a value, or the head of an aggregate. False: more bytes are needed.
    Result<bool> element();
    Result<bool> head(std::string_view line);
    Result<bool> begin_bulk(std::string_view length, char type);
    Result<bool> finish_bulk();
    Result<bool> skip_bulk();
    Result<bool> begin_aggregate(Reply::Kind kind, std::string_view length, std::size_t per_item,
                                 bool dropped);
    /// A value is complete: it is the reply, or goes into the innermost open aggregate.
    Result<bool> complete(Reply reply);
    [[nodiscard]] std::optional<std::string_view> take_line();
    [[nodiscard]] Result<void> charge(std::size_t bytes);

    ReplyLimits limits_;
    std::string buffer_;
    std::size_t begin_ = 0;    ///< Of what is not consumed yet.
    std::size_t end_ = 0;      ///< Of what has been received.
    std::size_t scanned_ = 0;  ///< No line end before this place.

    struct Bulk {
        std::size_t length;
        char type;  ///< '$', '=' (verbatim) or '!' (error)
        bool skipped;
    };
    std::optional<Bulk> bulk_;
    std::vector<Open> open_;
    std::optional<Reply> finished_;
    std::size_t charged_ = 0;  ///< Bytes of the reply under way.
    bool broken_ = false;
};

}  // namespace lovage::redis
