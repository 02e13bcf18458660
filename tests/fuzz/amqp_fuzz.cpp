// Any bytes as what an AMQP server sends. The first byte chooses: a field table, a content header,
// or a stream for a client that has a consumer and publishes in flight.

#include <lovage/clients/amqp/confirm_ledger.hpp>
#include <lovage/clients/amqp/properties.hpp>
#include <lovage/clients/amqp/session.hpp>
#include <lovage/clients/amqp/settlement_ledger.hpp>
#include <lovage/clients/amqp/table.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace {

using namespace lovage::amqp;

/// What was read can be written and reads the same; only what AMQP's writers cannot say is left
/// out.
void check_table(std::string_view input) {
    WireReader reader{input};
    const lovage::Json table = read_table(reader);
    if (!reader.ok()) return;
    std::string bytes;
    WireWriter writer{bytes};
    write_table(writer, table);
    if (!writer.ok()) return;
    WireReader again{bytes};
    LOVAGE_ASSERT(read_table(again) == table);
    LOVAGE_ASSERT(again.ok() && again.at_end());
}

void check_header(std::string_view input) {
    WireReader reader{input};
    const ContentHeader header = read_content_header(reader);
    if (!reader.ok()) return;
    std::string bytes;
    WireWriter writer{bytes};
    write_content_header(writer, header.properties, header.body_bytes);
    if (!writer.ok()) return;
    WireReader again{bytes};
    const ContentHeader back = read_content_header(again);
    LOVAGE_ASSERT(again.ok() && back.body_bytes == header.body_bytes);
    LOVAGE_ASSERT(back.properties == header.properties);
}

struct Publish final : ConfirmListener {
    void on_settled(PublishOutcome /*outcome*/, const std::string& /*reason*/) override { ++calls; }
    int calls = 0;
};

/// A client in the middle of its work.
class Client final : SessionEvents, ChannelEvents {
public:
    Client() : session_{{.body_bytes_max = 1U << 20U}, *this} {
        session_.start({});
        server(connection::Start{.mechanisms = "PLAIN"});
        server(connection::Tune{.channel_max = 3, .frame_max = 4096});
        server(connection::OpenOk{});
        channel_ = session_.open_channel(*this);
        channel_->call(Request::make(basic::Consume{.queue = "q"}, basic::ConsumeOk::kId),
                       [this](const lovage::Result<Reply>&) { ++answers_; });
        for (Publish& publish : publishes_) (void)confirms_.add(&publish, 1, 1);
    }

    void run(std::string_view stream, std::size_t slice) {
        std::string buffer;
        std::string out;
        while (!stream.empty() && !session_.closed()) {
            buffer += stream.substr(0, slice);
            stream.remove_prefix(std::min(slice, stream.size()));
            const std::size_t taken = session_.receive(buffer, {});
            LOVAGE_ASSERT(taken <= buffer.size());
            buffer.erase(0, taken);
            session_.take_output(out, {});
        }
        session_.fail({lovage::Errc::disconnected, "the end"});
        LOVAGE_ASSERT(closed_ == 1 && answers_ == 1 && channel_ == nullptr);
        for (const Publish& publish : publishes_) LOVAGE_ASSERT(publish.calls == 1);
    }

private:
    template <class Method>
    void server(const Method& method) {
        std::string bytes;
        LOVAGE_ASSERT(append_method(bytes, 0, method).empty());
        LOVAGE_ASSERT(session_.receive(bytes, {}) == bytes.size());
    }

    void on_output() override {}
    void on_open() override {}
    void on_blocked(std::string_view /*reason*/) override {}
    void on_unblocked() override {}
    void on_closed(const lovage::Error& /*why*/) override { ++closed_; }
    void on_delivered(Delivered message) override {
        if (!settlements_.delivered(message.tag, 1)) return;
        (void)settlements_.ack(message.tag);
        channel_->want_flush();
    }
    void on_returned(Returned message) override { confirms_.returned(1, message.text); }
    void on_confirm(std::uint64_t tag, bool multiple, bool stored) override {
        confirms_.confirm(tag, multiple, stored);
    }
    void on_flush() override {
        for (const auto& settlement : settlements_.take()) {
            (void)channel_->send(basic::Ack{.delivery_tag = settlement.tag});
        }
    }
    void on_channel_closed(const lovage::Error& why) override {
        channel_ = nullptr;
        confirms_.lose_all(why.detail);
    }

    Session session_;
    Channel* channel_ = nullptr;
    ConfirmLedger confirms_;
    SettlementLedger settlements_;
    std::array<Publish, 3> publishes_;
    int closed_ = 0;
    int answers_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view input{reinterpret_cast<const char*>(data) + 1, size - 1};
    switch (data[0] % 4) {
        case 0:
            check_table(input);
            break;
        case 1:
            check_header(input);
            break;
        default:
            Client{}.run(input, std::size_t{1} + data[0] / 4);
            break;
    }
    return 0;
}
