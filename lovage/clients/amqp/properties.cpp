#include <lovage/clients/amqp/properties.hpp>

#include <lovage/clients/amqp/table.hpp>

namespace lovage::amqp {

namespace {

constexpr std::uint16_t kBasicClass = 60;

/// Calls `property(flag, member)` for each in the order of the wire.
template <class Self, class Property>
void for_each_property(Self& self, Property&& property) {
    std::uint16_t flag = 1U << 15U;
    const auto next = [&](auto& member) {
        property(flag, member);
        flag = static_cast<std::uint16_t>(flag >> 1U);
    };
    next(self.content_type);
    next(self.content_encoding);
    next(self.headers);
    next(self.delivery_mode);
    next(self.priority);
    next(self.correlation_id);
    next(self.reply_to);
    next(self.expiration);
    next(self.message_id);
    next(self.timestamp);
    next(self.type);
    next(self.user_id);
    next(self.app_id);
    next(self.cluster_id);
}

/// Bit 1 is unused and bit 0 announces more flags (section 4.2.6.1); basic has none there.
constexpr std::uint16_t kUnknownFlags = 0b11;

void write_property(WireWriter& out, const std::string& value) {
    out.short_string(value);
}
void write_property(WireWriter& out, std::uint8_t value) {
    out.u8(value);
}
void write_property(WireWriter& out, std::uint64_t value) {
    out.u64(value);
}
void write_property(WireWriter& out, const Json& value) {
    write_table(out, value);
}

void read_property(WireReader& in, std::optional<std::string>& value) {
    value = in.short_string();
}
void read_property(WireReader& in, std::optional<std::uint8_t>& value) {
    value = in.u8();
}
void read_property(WireReader& in, std::optional<std::uint64_t>& value) {
    value = in.u64();
}
void read_property(WireReader& in, std::optional<Json>& value) {
    value = read_table(in);
}

}  // namespace

void write_content_header(WireWriter& out, const Properties& properties, std::uint64_t body_bytes) {
    out.u16(kBasicClass);
    out.u16(0);  // weight, unused
    out.u64(body_bytes);
    std::uint16_t flags = 0;
    for_each_property(properties, [&](std::uint16_t flag, const auto& member) {
        if (member) flags |= flag;
    });
    out.u16(flags);
    for_each_property(properties, [&](std::uint16_t /*flag*/, const auto& member) {
        if (member) write_property(out, *member);
    });
}

ContentHeader read_content_header(WireReader& in) {
    ContentHeader header;
    if (in.u16() != kBasicClass) in.fail();
    (void)in.u16();
    header.body_bytes = in.u64();
    const std::uint16_t flags = in.u16();
    if ((flags & kUnknownFlags) != 0) in.fail();
    for_each_property(header.properties, [&](std::uint16_t flag, auto& member) {
        if ((flags & flag) != 0) read_property(in, member);
    });
    return header;
}

}  // namespace lovage::amqp
