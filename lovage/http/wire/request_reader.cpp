#include <lovage/http/wire/request_reader.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <exception>

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>

#include <lovage/core/error.hpp>
#include <lovage/http/wire/characters.hpp>

namespace lovage::http::wire {

namespace beast = boost::beast;

namespace {

constexpr std::size_t kReadBytes = 8192;
constexpr std::size_t kReadBytesMin = 2048;
/// A body buffer larger than this is not kept for the next request.
constexpr std::size_t kBodyBytesKept = 65536;

std::string_view view(beast::string_view text) noexcept {
    return {text.data(), text.size()};
}

/// A host, perhaps with a port, as RFC 3986 allows it; empty is allowed by RFC 9112 for targets
/// without one.
bool is_host(std::string_view text) noexcept {
    return std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c != '\0' && std::string_view{"-._~%!$&'()*+,;=:[]"}.contains(c));
    });
}

/// Is `option` in a comma-separated list?
bool has_option(std::string_view list, std::string_view option) noexcept {
    while (!list.empty()) {
        const auto comma = std::min(list.find(','), list.size());
        auto item = list.substr(0, comma);
        list.remove_prefix(std::min(comma + 1, list.size()));
        item.remove_prefix(std::min(item.find_first_not_of(" \t"), item.size()));
        item = item.substr(0, item.find_last_not_of(" \t") + 1);
        if (equals_ignoring_case(item, option)) return true;
    }
    return false;
}

}  // namespace

/// Beast's parser, used for the head alone. It is given the whole head at once, without folded
/// lines.
class RequestReader::HeadParser final : public beast::http::basic_parser<true> {
public:
    HeadParser(Request& request, std::size_t head_bytes_max) : request_{request} {
        header_limit(static_cast<std::uint32_t>(head_bytes_max + 1));
        body_limit(boost::none);
    }
    [[nodiscard]] std::string_view target() const noexcept { return target_; }

private:
    using Code = beast::error_code;
    using View = beast::string_view;

    void on_request_impl(beast::http::verb, View method, View target, int version, Code&) override {
        request_.method_ = http::parse_method(view(method));
        request_.minor_version_ = version - 10;
        target_ = view(target);
    }
    void on_field_impl(beast::http::field, View name, View value, Code&) override {
        request_.fields_.push_back({view(name), view(value)});
    }
    void on_response_impl(int, View, int, Code&) override {}
    void on_header_impl(Code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Code&) override {}
    std::size_t on_body_impl(View body, Code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, View, Code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, View body, Code&) override { return body.size(); }
    void on_finish_impl(Code&) override {}

    Request& request_;
    std::string_view target_;
};

RequestReader::RequestReader(const ReaderLimits& limits)
    : limits_{limits}, body_limit_{limits.body_bytes} {}

std::span<char> RequestReader::prepare() {
    if (begin_ > 0) {
        std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (capacity_ - end_ < kReadBytesMin) {
        auto larger = std::make_unique_for_overwrite<char[]>(capacity_ + kReadBytes);
        if (end_ > 0) std::memcpy(larger.get(), buffer_.get(), end_);
        buffer_ = std::move(larger);
        capacity_ += kReadBytes;
    }
    return {buffer_.get() + end_, capacity_ - end_};
}

void RequestReader::commit(std::size_t bytes) noexcept {
    LOVAGE_ASSERT(bytes <= capacity_ - end_);
    end_ += bytes;
}

void RequestReader::append(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto room = prepare();
        const auto part = std::min(room.size(), bytes.size());
        std::memcpy(room.data(), bytes.data(), part);
        commit(part);
        bytes.remove_prefix(part);
    }
}

bool RequestReader::idle() const noexcept {
    return begin_ == end_ && (state_ == State::head || state_ == State::complete);
}

std::string_view RequestReader::input() const noexcept {
    return {buffer_.get() + begin_, end_ - begin_};
}

RequestReader::Status RequestReader::fail(int status, std::string_view detail) {
    state_ = State::failed;
    error_ = {status, std::string{detail}};
    return Status::error;
}

RequestReader::Status RequestReader::next() {
    switch (state_) {
        case State::complete:
            start_message();
            return read_head();
        case State::head:
            return read_head();
        case State::body_start:
            return start_body();
        case State::body_by_length:
        case State::body_in_chunks:
            return read_body();
        case State::failed:
            break;
    }
    return Status::error;
}

void RequestReader::start_message() {
    state_ = State::head;
    line_begin_ = scanned_ = lines_ = 0;
    skipped_empty_line_ = false;
    body_limit_ = limits_.body_bytes;
    request_.fields_.clear();
    request_.body_.clear();
    if (request_.body_.capacity() > kBodyBytesKept) request_.body_.shrink_to_fit();
    request_.id_.clear();
}

// Finds the end of the head line by line. A limit is checked before what the line contains, so that
// the verdict on the same bytes is the same however they arrive.
RequestReader::Status RequestReader::read_head() {
    while (true) {
        const auto text = input();
        if (line_begin_ == 0 && !text.empty() && text.front() != '\r' &&
            !is_token_character(text.front())) {
            return fail(400, "this is not an HTTP request");
        }
        const auto line_end = text.find('\n', scanned_);
        const bool whole = line_end != std::string_view::npos;
        const auto seen = whole ? line_end + 1 : text.size();
        if (lines_ == 0 && seen > limits_.request_line_bytes) {
            return fail(414, fmt::format("the request line is longer than {} bytes",
                                         limits_.request_line_bytes));
        }
        if (seen > limits_.head_bytes) {
            return fail(431, fmt::format("the header is longer than {} bytes", limits_.head_bytes));
        }
        if (!whole) {
            scanned_ = text.size();
            return Status::need_more;
        }
        auto line = text.substr(line_begin_, line_end - line_begin_);
        if (!line.ends_with('\r')) return fail(400, "a line of the header does not end in CR LF");
        line.remove_suffix(1);
        if (line.contains('\r')) return fail(400, "a carriage return inside the header");
        if (line.empty() && lines_ > 0) return parse_head(seen);
        if (line.empty()) {
            // RFC 9112, 2.2: one empty line before the request is tolerated.
            if (std::exchange(skipped_empty_line_, true))
                return fail(400, "empty lines before the request");
            begin_ += seen;
            scanned_ = 0;
            continue;
        }
        if (lines_ > 0 && (line.front() == ' ' || line.front() == '\t')) {
            return fail(400, "folded header lines are not accepted");
        }
        if (lines_ > limits_.fields) {
            return fail(431, fmt::format("more than {} header fields", limits_.fields));
        }
        ++lines_;
        line_begin_ = scanned_ = seen;
    }
}

RequestReader::Status RequestReader::parse_head(std::size_t head_bytes) {
    request_.head_.assign(input().substr(0, head_bytes));
    begin_ += head_bytes;
    HeadParser parser{request_, limits_.head_bytes};
    beast::error_code error;
    std::size_t consumed = 0;
    try {
        consumed = parser.put({request_.head_.data(), request_.head_.size()}, error);
    } catch (const std::exception&) {
        // Beast 345 throws length_error for some inputs although it is given an error_code.
        return fail(400, "the header cannot be read");
    }
    // A head with a body to come ends in need_more or without an error, depending on the framing.
    if (error && error != beast::http::error::need_more) {
        return fail(400, "the header cannot be read: " + error.message());
    }
    if (consumed != head_bytes || !parser.is_header_done()) {
        return fail(400, "the header cannot be read");
    }
    request_.target_ = parser.target();
    return check_fields();
}

// Beast looks at Content-Length, Transfer-Encoding and Connection too, but accepts more than is
// safe behind or in front of another server.
RequestReader::Status RequestReader::check_fields() {
    const Field* host = nullptr;
    const Field* length = nullptr;
    const Field* encoding = nullptr;
    bool close = false;
    bool keep_alive = request_.minor_version_ == 1;
    request_.expects_continue_ = false;
    for (const auto& field : request_.fields_) {
        const Field** single = nullptr;
        if (equals_ignoring_case(field.name, "host")) {
            single = &host;
        } else if (equals_ignoring_case(field.name, "content-length")) {
            single = &length;
        } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
            single = &encoding;
        } else if (equals_ignoring_case(field.name, "connection")) {
            close = close || has_option(field.value, "close");
            keep_alive = keep_alive || has_option(field.value, "keep-alive");
        } else if (equals_ignoring_case(field.name, "expect") && request_.minor_version_ == 1) {
            if (!equals_ignoring_case(field.value, "100-continue")) {
                return fail(417, "only 'Expect: 100-continue' is understood");
            }
            request_.expects_continue_ = true;
        }
        if (single == nullptr) continue;
        if (*single != nullptr) return fail(400, fmt::format("more than one {} field", field.name));
        *single = &field;
    }
    if (host == nullptr && request_.minor_version_ == 1) return fail(400, "no Host field");
    if (host != nullptr && !is_host(host->value)) return fail(400, "the Host field is no host");

    request_.keep_alive_ = keep_alive && !close;

    content_length_ = 0;
    chunked_ = encoding != nullptr;
    if (chunked_) {
        if (request_.minor_version_ == 0)
            return fail(400, "Transfer-Encoding in an HTTP/1.0 request");
        if (length != nullptr) return fail(400, "both Transfer-Encoding and Content-Length");
        if (!equals_ignoring_case(encoding->value, "chunked")) {
            return fail(400, "the only Transfer-Encoding understood is 'chunked'");
        }
    } else if (length != nullptr) {
        const char* last = length->value.data() + length->value.size();
        const auto [end, problem] = std::from_chars(length->value.data(), last, content_length_);
        if (problem != std::errc{} || end != last) return fail(400, "Content-Length is no number");
    }
    return check_target(request_.target_, host != nullptr ? host->value : std::string_view{});
}

RequestReader::Status RequestReader::check_target(std::string_view target, std::string_view host) {
    const bool plain = std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!plain || target.contains('#'))
        return fail(400, "a character in the target must be percent-encoded");
    if (!target.starts_with('/') && target != "*") {
        // Absolute form (RFC 9112, 3.2.2), as clients send it to proxies.
        const auto scheme_end = target.find("://");
        if (scheme_end == std::string_view::npos) return fail(400, "the target is no path");
        const auto scheme = target.substr(0, scheme_end);
        if (!equals_ignoring_case(scheme, "http") && !equals_ignoring_case(scheme, "https")) {
            return fail(400, "the target is no path");
        }
        target.remove_prefix(scheme_end + 3);
        const auto path = std::min(target.find_first_of("/?"), target.size());
        if (!equals_ignoring_case(target.substr(0, path), host)) {
            return fail(400, "the target's host is not the Host field's");
        }
        target.remove_prefix(path);
        if (!target.starts_with('/')) return fail(400, "the target is no path");
    }
    if (target == "*" && request_.method_ != Method::options) {
        return fail(400, "the target '*' is for OPTIONS");
    }
    const auto question = std::min(target.find('?'), target.size());
    request_.target_ = target;
    request_.path_ = target.substr(0, question);
    request_.query_ = target.substr(std::min(question + 1, target.size()));
    state_ = State::body_start;
    return Status::head;
}

RequestReader::Status RequestReader::start_body() {
    if (chunked_) {
        chunks_.reset();
        state_ = State::body_in_chunks;
    } else {
        if (content_length_ > body_limit_) {
            return fail(413, fmt::format("the body is longer than {} bytes", body_limit_));
        }
        state_ = State::body_by_length;
    }
    return read_body();
}

RequestReader::Status RequestReader::read_body() {
    auto rest = input();
    if (state_ == State::body_by_length) {
        const auto missing = content_length_ - request_.body_.size();
        const auto part = std::min<std::uint64_t>(missing, rest.size());
        request_.body_.append(rest.substr(0, part));
        begin_ += part;
        if (part < missing) return Status::need_more;
        state_ = State::complete;
        return Status::request;
    }
    const auto status = chunks_.feed(rest, request_.body_, body_limit_);
    begin_ = end_ - rest.size();
    switch (status) {
        case ChunkDecoder::Status::need_more:
            return Status::need_more;
        case ChunkDecoder::Status::malformed:
            return fail(400, chunks_.problem());
        case ChunkDecoder::Status::too_large:
            return fail(413, fmt::format("the body is longer than {} bytes", body_limit_));
        case ChunkDecoder::Status::complete:
            break;
    }
    state_ = State::complete;
    return Status::request;
}

}  // namespace lovage::http::wire
