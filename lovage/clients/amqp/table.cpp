#include <lovage/clients/amqp/table.hpp>

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include <lovage/core/json_events.hpp>

namespace lovage::amqp {

namespace {

void write_members(WireWriter& out, const Json& table, std::size_t depth);
void write_text(WireWriter& out, std::string_view json, std::size_t depth);

void write_integer(WireWriter& out, const Json& value) {
    const auto number = value.as_int64();
    if (!number) {
        out.fail(fmt::format("the integer {} does not fit AMQP's 64 bits; send it as text",
                             value.integer_text()));
        return;
    }
    constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (*number >= -kMost && *number <= kMost) {
        out.u8('I');
        out.u32(static_cast<std::uint32_t>(*number));
    } else {
        out.u8('L');
        out.u64(static_cast<std::uint64_t>(*number));
    }
}

void write_value(WireWriter& out, const Json& value, std::size_t depth) {
    switch (value.kind()) {
        case Json::Kind::null:
            return out.u8('V');
        case Json::Kind::boolean:
            out.u8('t');
            return out.u8(value.as_bool() ? 1 : 0);
        case Json::Kind::integer:
            return write_integer(out, value);
        case Json::Kind::real:
            out.u8('d');
            return out.u64(std::bit_cast<std::uint64_t>(value.as_real()));
        case Json::Kind::string:
            out.u8('S');
            return out.long_string(value.as_string());
        case Json::Kind::object:
            out.u8('F');
            return write_members(out, value, depth);
        case Json::Kind::array: {
            out.u8('A');
            const std::size_t start = out.position();
            out.u32(0);
            if (depth >= kTableDepthMax) return out.fail("the table is nested too deeply");
            for (const Json& item : value.as_array()) write_value(out, item, depth + 1);
            return out.patch_u32(start, static_cast<std::uint32_t>(out.position() - start - 4));
        }
        case Json::Kind::raw:
            return write_text(out, value.raw_text(), depth);
    }
}

void write_members(WireWriter& out, const Json& table, std::size_t depth) {
    const std::size_t start = out.position();
    out.u32(0);
    if (depth >= kTableDepthMax) return out.fail("the table is nested too deeply");
    for (const auto& [name, value] : table.as_object()) {
        out.short_string(name);
        write_value(out, value, depth + 1);
    }
    out.patch_u32(start, static_cast<std::uint32_t>(out.position() - start - 4));
}

/// Writes JSON text, part by part. `depth` counts the containers around it.
class TextWriter final : public JsonEvents {
public:
    TextWriter(WireWriter& out, std::size_t depth) : out_{out}, depth_{depth} {}

    void on_null() override { out_.u8('V'); }
    void on_boolean(bool value) override { write_value(out_, Json{value}, depth_); }
    void on_integer(std::string_view decimal) override {
        write_integer(out_, Json::integer(decimal));
    }
    void on_real(double value) override { write_value(out_, Json{value}, depth_); }
    void on_string(std::string_view text) override {
        out_.u8('S');
        out_.long_string(text);
    }
    void on_array_begin() override {
        out_.u8('A');
        begin();
    }
    void on_array_end() override { end(); }
    void on_object_begin() override {
        // A table's own letter is not part of it.
        if (depth_ > 0) out_.u8('F');
        begin();
    }
    void on_name(std::string_view name) override { out_.short_string(name); }
    void on_object_end() override { end(); }

private:
    void begin() {
        if (depth_ >= kTableDepthMax) out_.fail("the table is nested too deeply");
        ++depth_;
        starts_.push_back(out_.position());
        out_.u32(0);
    }
    void end() {
        const std::size_t start = starts_.back();
        starts_.pop_back();
        --depth_;
        out_.patch_u32(start, static_cast<std::uint32_t>(out_.position() - start - 4));
    }

    WireWriter& out_;
    std::size_t depth_;
    std::vector<std::size_t> starts_;
};

void write_text(WireWriter& out, std::string_view json, std::size_t depth) {
    TextWriter writer{out, depth};
    if (auto read = read_json_events(json, writer); !read) out.fail(read.error().detail);
}

Json read_members(WireReader& in, std::size_t depth);
Json read_value(WireReader& in, std::size_t depth);

Json read_items(WireReader& in, std::size_t depth) {
    WireReader items{in.long_string()};
    Json::Array array;
    while (items.ok() && !items.at_end()) array.push_back(read_value(items, depth));
    if (!items.ok()) in.fail();
    return Json{std::move(array)};
}

double read_decimal(WireReader& in) {
    const int scale = in.u8();
    return static_cast<double>(static_cast<std::int32_t>(in.u32())) / std::pow(10.0, scale);
}

/// `depth` counts the containers around the value.
Json read_value(WireReader& in, std::size_t depth) {
    const char letter = static_cast<char>(in.u8());
    switch (letter) {
        case 't':
            return Json{in.u8() != 0};
        case 'b':
            return Json{static_cast<std::int8_t>(in.u8())};
        case 'B':
            return Json{in.u8()};
        case 's':
            return Json{static_cast<std::int16_t>(in.u16())};
        case 'u':
            return Json{in.u16()};
        case 'I':
            return Json{static_cast<std::int32_t>(in.u32())};
        case 'i':
            return Json{in.u32()};
        case 'l':
        case 'L':
            return Json{static_cast<std::int64_t>(in.u64())};
        case 'T':
            return Json{in.u64()};
        case 'f':
            return Json{static_cast<double>(std::bit_cast<float>(in.u32()))};
        case 'd':
            return Json{std::bit_cast<double>(in.u64())};
        case 'D':
            return Json{read_decimal(in)};
        case 'S':
        case 'x':
            return Json{in.long_string()};
        case 'V':
            return Json{};
        case 'A':
        case 'F':
            if (depth >= kTableDepthMax) break;
            return letter == 'A' ? read_items(in, depth + 1) : read_members(in, depth + 1);
        default:
            break;
    }
    in.fail();
    return Json{};
}

Json read_members(WireReader& in, std::size_t depth) {
    WireReader members{in.long_string()};
    Json::Object object;
    while (members.ok() && !members.at_end()) {
        std::string name{members.short_string()};
        object.emplace_back(std::move(name), read_value(members, depth));
    }
    if (!members.ok()) in.fail();
    return Json{std::move(object)};
}

}  // namespace

void write_table(WireWriter& out, const Json& table) {
    if (table.is_object()) return write_members(out, table, 0);
    if (table.is_null()) return out.u32(0);
    const bool object_text = table.is_raw() && table.raw_text().starts_with('{');
    if (!object_text) return out.fail("a header table must be an object");
    write_text(out, table.raw_text(), 0);
}

Json read_table(WireReader& in) {
    return read_members(in, 0);
}

}  // namespace lovage::amqp
