#include <lovage/http/wire/chunk_decoder.hpp>

#include <algorithm>

#include <lovage/http/wire/characters.hpp>

namespace lovage::http::wire {

ChunkDecoder::Status ChunkDecoder::malformed(std::string_view problem) noexcept {
    problem_ = problem;
    return Status::malformed;
}

ChunkDecoder::Status ChunkDecoder::feed(std::string_view& input, std::string& body,
                                        std::size_t body_bytes_max) {
    while (!input.empty()) {
        if (state_ == State::data) {
            const auto bytes = std::min<std::uint64_t>(remaining_, input.size());
            body.append(input.substr(0, bytes));
            input.remove_prefix(bytes);
            remaining_ -= bytes;
            if (remaining_ == 0) state_ = State::data_cr;
            continue;
        }
        const char c = input.front();
        input.remove_prefix(1);
        if (const auto status = step(c); status != Status::need_more) return status;
        // Announced is as good as sent: nothing of an oversized chunk is stored.
        if (state_ == State::data && remaining_ > body_bytes_max - body.size()) {
            return Status::too_large;
        }
    }
    return Status::need_more;
}

ChunkDecoder::Status ChunkDecoder::step(char c) {
    switch (state_) {
        case State::size:
            return step_size(c);
        case State::extension:
            if (c == '\r') {
                state_ = State::size_line_end;
            } else if (!is_field_character(c)) {
                return malformed("a control character in a chunk extension");
            } else if (++extension_bytes_ > kExtensionBytesMax) {
                return malformed("chunk extensions beyond 1 KiB");
            }
            return Status::need_more;
        case State::size_line_end:
            if (c != '\n') return malformed("a chunk size line that does not end in CR LF");
            state_ = last_chunk_ ? State::trailer_start : State::data;
            return Status::need_more;
        case State::data_cr:
            if (c != '\r') return malformed("a chunk longer than its size");
            state_ = State::data_lf;
            return Status::need_more;
        case State::data_lf:
            if (c != '\n') return malformed("a chunk that does not end in CR LF");
            state_ = State::size;
            digits_ = 0;
            return Status::need_more;
        case State::trailer_start:
        case State::trailer_name:
        case State::trailer_value:
        case State::trailer_line_end:
            return step_trailer(c);
        case State::last_line_end:
            if (c != '\n') return malformed("a chunked body that does not end in CR LF");
            return Status::complete;
        case State::data:
            break;  // handled in bulk by feed()
    }
    return malformed("an impossible state");
}

ChunkDecoder::Status ChunkDecoder::step_size(char c) {
    constexpr unsigned kDigitsMax = 16;
    if (const int digit = hex_digit(c); digit >= 0) {
        if (++digits_ > kDigitsMax) return malformed("a chunk size of more than 16 digits");
        remaining_ = (remaining_ << 4U) | static_cast<unsigned>(digit);
        return Status::need_more;
    }
    if (digits_ == 0 || (c != '\r' && c != ';')) return malformed("a chunk size that is no number");
    last_chunk_ = remaining_ == 0;
    state_ = c == '\r' ? State::size_line_end : State::extension;
    return Status::need_more;
}

ChunkDecoder::Status ChunkDecoder::step_trailer(char c) {
    if (++trailer_bytes_ > kTrailerBytesMax) return malformed("trailer fields beyond 8 KiB");
    switch (state_) {
        case State::trailer_start:
            if (c == '\r') {
                state_ = State::last_line_end;
            } else if (is_token_character(c)) {
                state_ = State::trailer_name;
            } else {
                return malformed("a trailer line that is no field");
            }
            break;
        case State::trailer_name:
            if (c == ':') {
                state_ = State::trailer_value;
            } else if (!is_token_character(c)) {
                return malformed("a trailer line that is no field");
            }
            break;
        case State::trailer_value:
            if (c == '\r') {
                state_ = State::trailer_line_end;
            } else if (!is_field_character(c)) {
                return malformed("a control character in a trailer field");
            }
            break;
        default:
            if (c != '\n') return malformed("a trailer line that does not end in CR LF");
            state_ = State::trailer_start;
            break;
    }
    return Status::need_more;
}

}  // namespace lovage::http::wire
