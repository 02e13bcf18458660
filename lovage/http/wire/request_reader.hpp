#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <lovage/http/request.hpp>
#include <lovage/http/wire/chunk_decoder.hpp>

namespace lovage::http::wire {

/// Bounds on one request. Reaching one is a 4xx reply and the end of the connection.
struct ReaderLimits {
    std::size_t request_line_bytes = 8192;           ///< 414 beyond
    std::size_t head_bytes = 16384;                  ///< request line and fields; 431 beyond
    std::size_t fields = 100;                        ///< 431 beyond
    std::size_t body_bytes = std::size_t{1} << 20U;  ///< 413 beyond; routes may set their own
};

/// Why bytes cannot be (the rest of) a request. The connection is of no use afterwards.
struct RequestError {
    int status = 400;    ///< The status to answer.
    std::string detail;  ///< One line for the person at the other end.
};

/// Turns the bytes of a connection into requests: HTTP/1.0 and 1.1, pipelined or not.
///
/// Pure: it does no I/O and reads no clock, and how the bytes are cut into reads makes no
/// difference to what comes out. Whatever two readers could understand differently is refused
/// (400), never repaired. Beast's parser takes request line and fields apart; where a message ends
/// is decided here.
///
///     reader.commit(read(reader.prepare()));
///     while (reader.next() != Status::need_more) …
class RequestReader {
public:
    enum class Status : std::uint8_t {
        need_more,  ///< prepare(), read, commit(), and call again.
        head,       ///< request() has its head: the moment for set_body_limit() and "100 Continue".
        request,    ///< request() is complete, until the next call of next().
        error,      ///< error() says why; every further call says the same.
    };

    explicit RequestReader(const ReaderLimits& limits = {});

    /// Room for at least 2 KiB of input. Invalidated by commit() and next().
    [[nodiscard]] std::span<char> prepare();
    /// The first `bytes` bytes of what prepare() gave are input now.
    void commit(std::size_t bytes) noexcept;
    /// prepare(), copy and commit() for bytes that are somewhere else already.
    void append(std::string_view bytes);

    [[nodiscard]] Status next();

    /// For the request whose head was just read; later ones start with the default again.
    void set_body_limit(std::size_t bytes) noexcept { body_limit_ = bytes; }

    [[nodiscard]] Request& request() noexcept { return request_; }
    [[nodiscard]] const RequestError& error() const noexcept { return error_; }
    /// Nothing of a next request has arrived: the connection may be closed without loss.
    [[nodiscard]] bool idle() const noexcept;

private:
    enum class State : std::uint8_t {
        head,
        body_start,
        body_by_length,
        body_in_chunks,
        complete,
        failed
    };
    class HeadParser;

    [[nodiscard]] std::string_view input() const noexcept;
    void start_message();
    [[nodiscard]] Status read_head();
    [[nodiscard]] Status parse_head(std::size_t head_bytes);
    [[nodiscard]] Status check_fields();
    [[nodiscard]] Status check_target(std::string_view target, std::string_view host);
    [[nodiscard]] Status start_body();
    [[nodiscard]] Status read_body();
    Status fail(int status, std::string_view detail);

    ReaderLimits limits_;
    State state_ = State::head;
    std::unique_ptr<char[]> buffer_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;  ///< of what is not consumed
    std::size_t end_ = 0;

    // Of the head being scanned, relative to begin_.
    std::size_t line_begin_ = 0;
    std::size_t scanned_ = 0;
    std::size_t lines_ = 0;
    bool skipped_empty_line_ = false;

    std::uint64_t content_length_ = 0;
    bool chunked_ = false;
    std::size_t body_limit_ = 0;
    ChunkDecoder chunks_;
    Request request_;
    RequestError error_;
};

}  // namespace lovage::http::wire
