#pragma once

#include <lovage/clients/amqp/frame.hpp>
#include <lovage/clients/amqp/methods.hpp>
#include <lovage/clients/amqp/properties.hpp>
#include <lovage/net/listener.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage::amqp {

/// For tests: a server that says yes to everything, and otherwise what a test tells it, also what
/// no real server would. One connection at a time, on the client's own loop.
class ScriptedPeer {
public:
    explicit ScriptedPeer(Loop& loop)
        : loop_{loop},
          listener_{value_or_throw(net::Listener::tcp(loop.executor(), "127.0.0.1", 0))},
          changed_{loop.executor()},
          output_ready_{loop.executor()},
          scope_{loop.executor()} {
        loop.call([this] { scope_.spawn("scripted peer", serve()); });
    }
    ~ScriptedPeer() { loop_.run_blocking(stop()); }
    ScriptedPeer(const ScriptedPeer&) = delete;
    ScriptedPeer& operator=(const ScriptedPeer&) = delete;

    [[nodiscard]] std::string url() const {
        return "amqp://guest:guest@127.0.0.1:" + std::to_string(listener_.port()) + "/";
    }

    // From the test's thread.
    void deliver(std::uint64_t tag, std::string_view body) {
        loop_.call([&] {
            std::string out = bytes(consuming_, basic::Deliver{.consumer_tag = consumer_tag_,
                                                               .delivery_tag = tag,
                                                               .routing_key = "q"});
            FrameScope header{out, FrameType::header, consuming_};
            WireWriter writer{out};
            write_content_header(writer, {}, body.size());
            header.finish();
            append_body(out, consuming_, body, kFrameBytes);
            put(out);
        });
    }
    void confirm(std::uint64_t tag, bool multiple = false) {
        loop_.call(
            [&] { say(publishing_, basic::Ack{.delivery_tag = tag, .multiple = multiple}); });
    }
    /// Closes the consumer's channel.
    void close_channel(std::uint16_t code, std::string_view text) {
        loop_.call([&] { say(consuming_, channel::Close{.code = code, .text = text}); });
    }
    /// Whether channel.flow, by which a client flushes, is answered from now on.
    void answer_flow(bool answer) {
        loop_.call([&] {
            answers_flow_ = answer;
            answer_flows();
        });
    }
    /// Waits until so many messages were published; returns how many were by the deadline.
    std::size_t published(std::size_t count, Deadline deadline) {
        return loop_.run_blocking(wait_for_published(count, deadline));
    }

private:
    static constexpr std::uint32_t kFrameBytes = 131'072;

    template <class Method>
    static std::string bytes(std::uint16_t channel, const Method& method) {
        std::string out;
        LOVAGE_ASSERT(append_method(out, channel, method).empty());
        return out;
    }
    template <class Method>
    void say(std::uint16_t channel, const Method& method) {
        put(bytes(channel, method));
    }
    void put(std::string_view output) {
        output_.append(output);
        output_ready_.notify_all();
    }

    Awaitable<void> stop() {
        scope_.request_stop();
        listener_.close();
        (void)co_await scope_.join(Deadline::in(std::chrono::seconds{10}));
    }
    Awaitable<std::size_t> wait_for_published(std::size_t count, Deadline deadline) {
        while (published_ < count && !deadline.passed()) (void)co_await changed_.wait(deadline);
        co_return published_;
    }

    Awaitable<void> serve() {
        while (true) {
            auto accepted = co_await listener_.accept();
            if (!accepted) co_return;
            const std::shared_ptr<net::Stream> stream = std::move(*accepted);
            output_.clear();
            scope_.spawn("scripted peer's output", write(stream));
            co_await read(stream);
            stream->close();
            output_ready_.notify_all();
        }
    }
    Awaitable<void> write(std::shared_ptr<net::Stream> stream) {
        while (true) {
            if (output_.empty()) co_await output_ready_.wait();
            const std::string writing = std::exchange(output_, {});
            const std::array<std::string_view, 1> buffers{writing};
            if (!co_await stream->write(buffers)) co_return;
        }
    }
    Awaitable<void> read(std::shared_ptr<net::Stream> stream) {
        std::string input;
        std::array<char, 65'536> buffer{};
        bool greeted = false;
        while (true) {
            const auto got = co_await stream->read_some(buffer);
            if (!got || *got == 0) co_return;
            input.append(buffer.data(), *got);
            if (!greeted && input.size() < kProtocolHeader.size()) continue;
            if (!std::exchange(greeted, true)) {
                input.erase(0, kProtocolHeader.size());
                say(0, connection::Start{.mechanisms = "PLAIN", .locales = "en_US"});
            }
            input.erase(0, read_frames(input));
        }
    }
    std::size_t read_frames(std::string_view input) {
        std::size_t taken = 0;
        Frame frame;
        while (read_frame(input.substr(taken), kFrameBytes, frame) == FrameStatus::complete) {
            taken += frame.payload.size() + kFrameOverhead;
            if (frame.type == FrameType::method) on_method(frame);
        }
        return taken;
    }

    void answer_flows() {
        if (!answers_flow_) return;
        for (const std::uint16_t on : std::exchange(unanswered_flows_, {})) {
            say(on, channel::FlowOk{.active = true});
        }
    }

    void on_method(const Frame& frame) {
        WireReader in{frame.payload};
        switch (in.u32()) {
            case connection::StartOk::kId:
                return say(0, connection::Tune{.channel_max = 100, .frame_max = kFrameBytes});
            case connection::Open::kId:
                return say(0, connection::OpenOk{});
            case connection::Close::kId:
                return say(0, connection::CloseOk{});
            case channel::Open::kId:
                return say(frame.channel, channel::OpenOk{});
            case channel::Close::kId:
                return say(frame.channel, channel::CloseOk{});
            case channel::Flow::kId:
                unanswered_flows_.push_back(frame.channel);
                return answer_flows();
            case queue::Declare::kId:
                return say(frame.channel,
                           queue::DeclareOk{.queue = read_method<queue::Declare>(in).queue});
            case basic::Qos::kId:
                return say(frame.channel, basic::QosOk{});
            case basic::Consume::kId:
                consuming_ = frame.channel;
                consumer_tag_ = read_method<basic::Consume>(in).consumer_tag;
                return say(frame.channel, basic::ConsumeOk{.consumer_tag = consumer_tag_});
            case basic::Cancel::kId:
                return say(
                    frame.channel,
                    basic::CancelOk{.consumer_tag = read_method<basic::Cancel>(in).consumer_tag});
            case confirm::Select::kId:
                return say(frame.channel, confirm::SelectOk{});
            case basic::Publish::kId:
                publishing_ = frame.channel;
                ++published_;
                return changed_.notify_all();
            default:
                return;
        }
    }

    Loop& loop_;
    net::Listener listener_;
    Notifier changed_;  ///< published_
    Notifier output_ready_;
    std::string output_;
    std::uint16_t consuming_ = 0;
    std::uint16_t publishing_ = 0;
    std::string consumer_tag_;
    std::size_t published_ = 0;
    bool answers_flow_ = true;
    std::vector<std::uint16_t> unanswered_flows_;
    TaskScope scope_;
};

}  // namespace lovage::amqp
