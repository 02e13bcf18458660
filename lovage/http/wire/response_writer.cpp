#include <lovage/http/wire/response_writer.hpp>

#include <array>
#include <charconv>

#include <fmt/chrono.h>
#include <fmt/format.h>

namespace lovage::http::wire {

namespace {

void append_number(std::string& out, std::size_t number) {
    std::array<char, 20> digits{};
    const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    out.append(digits.data(), end);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool may_have_body(int status) noexcept {
    return status != 204 && status != 304;
}

void append_head(std::string& out, const Response& response, const Framing& framing) {
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<std::size_t>(response.status()));
    out.append(" ").append(reason_phrase(response.status())).append("\r\n");
    append_field(out, "date", framing.date);
    if (!response.content_type().empty()) {
        append_field(out, "content-type", response.content_type());
        // A browser must not guess another type from the content.
        out.append("x-content-type-options: nosniff\r\n");
    }
    if (may_have_body(response.status())) {
        out.append("content-length: ");
        append_number(out, response.body().size());
        out.append("\r\n");
    }
    if (!framing.request_id.empty()) append_field(out, "x-request-id", framing.request_id);
    if (!framing.keep_alive) {
        out.append("connection: close\r\n");
    } else if (framing.minor_version == 0) {
        out.append("connection: keep-alive\r\n");
    }
    for (const auto& [name, value] : response.headers()) append_field(out, name, value);
    out.append("\r\n");
}

std::string_view DateText::at(std::time_t now) {
    if (now != rendered_) {
        static constexpr std::array<const char*, 7> kDays{"Sun", "Mon", "Tue", "Wed",
                                                          "Thu", "Fri", "Sat"};
        static constexpr std::array<const char*, 12> kMonths{
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        const std::tm utc = fmt::gmtime(now);
        text_ = fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[utc.tm_wday],
                            utc.tm_mday, kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour,
                            utc.tm_min, utc.tm_sec);
        rendered_ = now;
    }
    return text_;
}

}  // namespace lovage::http::wire
