#include <lovage/clients/redis/reply_parser.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include <fmt/core.h>

namespace lovage::redis {

namespace {

/// Items beyond this many are not even announced by any command we send; it keeps length
/// arithmetic far from its limits.
constexpr std::int64_t kItemsMax = std::int64_t{1} << 30U;

std::optional<std::int64_t> integer(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// A piece of what was received, safe to print.
std::string excerpt(std::string_view text) {
    std::string shown{text.substr(0, 32)};
    std::ranges::replace_if(
        shown, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }, '?');
    return shown;
}

Reply value(Reply::Kind kind, std::string_view text) {
    return {.kind = kind, .text = std::string{text}};
}

}  // namespace

std::span<char> ReplyParser::prepare(std::size_t bytes) {
    if (begin_ == end_) begin_ = end_ = scanned_ = 0;
    if (buffer_.size() - end_ < bytes && begin_ > 0) {
        std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
        scanned_ -= std::min(scanned_, begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (buffer_.size() - end_ < bytes) {
        buffer_.resize(std::max(end_ + bytes, buffer_.size() + buffer_.size() / 2));
    }
    return std::span{buffer_}.subspan(end_);
}

void ReplyParser::commit(std::size_t bytes) {
    LOVAGE_ASSERT(bytes <= buffer_.size() - end_);
    end_ += bytes;
}

void ReplyParser::feed(std::string_view bytes) {
    const auto room = prepare(bytes.size());
    std::ranges::copy(bytes, room.begin());
    commit(bytes.size());
}

Result<std::optional<Reply>> ReplyParser::next() {
    if (broken_) return fail(Errc::malformed, "the stream of replies is broken");
    while (!finished_) {
        const auto more = element();
        if (!more) {
            broken_ = true;
            return std::unexpected{more.error()};
        }
        if (!*more) return std::optional<Reply>{};
    }
    charged_ = 0;
    return std::exchange(finished_, std::nullopt);
}

Result<bool> ReplyParser::element() {
    if (bulk_) return bulk_->skipped ? skip_bulk() : finish_bulk();
    const auto line = take_line();
    if (line) return head(*line);
    if (end_ - begin_ > limits_.line_bytes) {
        return fail(Errc::malformed, "a reply's line does not end");
    }
    return false;
}

std::optional<std::string_view> ReplyParser::take_line() {
    scanned_ = std::max(scanned_, begin_);
    const std::string_view received{buffer_.data(), end_};
    const std::size_t at = received.find("\r\n", scanned_);
    if (at == std::string_view::npos) {
        // The last byte may be the first of a line end.
        scanned_ = end_ > begin_ ? end_ - 1 : end_;
        return std::nullopt;
    }
    const std::string_view line = received.substr(begin_, at - begin_);
    begin_ = at + 2;
    return line;
}

Result<bool> ReplyParser::head(std::string_view line) {
    if (line.empty()) return fail(Errc::malformed, "a reply begins with an empty line");
    const std::string_view rest = line.substr(1);
    using Kind = Reply::Kind;
    switch (line.front()) {
        case '+':
            return complete(value(Kind::status, rest));
        case '-':
            return complete(value(Kind::error, rest));
        case ',':
        case '(':
            return complete(value(Kind::real, rest));
        case '_':
            return complete({});
        case ':':
            if (const auto number = integer(rest)) {
                return complete({.kind = Kind::integer, .integer = *number});
            }
            break;
        case '#':
            if (rest == "t" || rest == "f") {
                return complete({.kind = Kind::integer, .integer = rest == "t" ? 1 : 0});
            }
            break;
        case '$':
        case '=':
        case '!':
            return begin_bulk(rest, line.front());
        case '*':
        case '~':
            return begin_aggregate(Kind::array, rest, 1, false);
        case '>':
            return begin_aggregate(Kind::push, rest, 1, false);
        case '%':
            return begin_aggregate(Kind::map, rest, 2, false);
        case '|':
            return begin_aggregate(Kind::map, rest, 2, true);
        default:
            break;
    }
    return fail(Errc::malformed, fmt::format("'{}' is no reply of Redis", excerpt(line)));
}

Result<bool> ReplyParser::begin_bulk(std::string_view length, char type) {
    const auto bytes = integer(length);
    if (bytes == -1) return complete({});  // RESP2's null
    if (!bytes || *bytes < 0) {
        return fail(Errc::malformed, fmt::format("'{}' is no length of a text", excerpt(length)));
    }
    const auto size = static_cast<std::size_t>(*bytes);
    bulk_ = Bulk{size, type, size > limits_.bulk_bytes};
    return true;
}

Result<bool> ReplyParser::finish_bulk() {
    if (end_ - begin_ < bulk_->length + 2) return false;
    std::string_view text{buffer_.data() + begin_, bulk_->length + 2};
    if (!text.ends_with("\r\n")) {
        return fail(Errc::malformed, "a text is longer than was announced");
    }
    text.remove_suffix(2);
    begin_ += bulk_->length + 2;
    // "txt:" or "mkd:" before the text itself
    if (bulk_->type == '=') text.remove_prefix(std::min<std::size_t>(4, text.size()));
    const auto kind = bulk_->type == '!' ? Reply::Kind::error : Reply::Kind::bulk;
    bulk_.reset();
    return complete(value(kind, text));
}

Result<bool> ReplyParser::skip_bulk() {
    const std::size_t skipped = std::min(end_ - begin_, bulk_->length);
    begin_ += skipped;
    bulk_->length -= skipped;
    if (bulk_->length > 0 || end_ - begin_ < 2) return false;
    if (std::string_view{buffer_.data() + begin_, 2} != "\r\n") {
        return fail(Errc::malformed, "a text is longer than was announced");
    }
    begin_ += 2;
    bulk_.reset();
    return complete(value(Reply::Kind::error,
                          fmt::format("TOOLARGE a value exceeds {} bytes", limits_.bulk_bytes)));
}

Result<bool> ReplyParser::begin_aggregate(Reply::Kind kind, std::string_view length,
                                          std::size_t per_item, bool dropped) {
    const auto items = integer(length);
    if (items == -1) return complete({});  // RESP2's null array
    if (!items || *items < 0 || *items > kItemsMax) {
        return fail(Errc::malformed, fmt::format("'{}' is no number of items", excerpt(length)));
    }
    if (open_.size() >= limits_.depth) {
        return fail(Errc::too_large,
                    fmt::format("a reply is nested deeper than {}", limits_.depth));
    }
    if (auto charged = charge(sizeof(Open)); !charged) return std::unexpected{charged.error()};
    const std::size_t missing = static_cast<std::size_t>(*items) * per_item;
    if (missing > 0) {
        open_.push_back({{.kind = kind}, missing, dropped});
        return true;
    }
    return dropped ? Result<bool>{true} : complete({.kind = kind});
}

Result<void> ReplyParser::charge(std::size_t bytes) {
    charged_ += bytes;
    if (charged_ <= limits_.reply_bytes) return {};
    return fail(Errc::too_large,
                fmt::format("a reply takes more than {} bytes", limits_.reply_bytes));
}

Result<bool> ReplyParser::complete(Reply reply) {
    if (auto charged = charge(sizeof(Reply) + reply.text.size()); !charged) {
        return std::unexpected{charged.error()};
    }
    while (!open_.empty()) {
        Open& innermost = open_.back();
        if (!innermost.dropped) innermost.reply.items.push_back(std::move(reply));
        if (--innermost.missing > 0) return true;
        const bool dropped = innermost.dropped;
        reply = std::move(innermost.reply);
        open_.pop_back();
        if (dropped) return true;
    }
    finished_ = std::move(reply);
    return true;
}

}  // namespace lovage::redis
