#include <lovage/clients/amqp/session.hpp>

#include <lovage/clients/amqp/reply_code.hpp>
#include <lovage/runtime/failpoint.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace lovage::amqp {

namespace {

using namespace std::chrono_literals;

Json client_properties(const std::string& name) {
    Json capabilities = Json::object();
    for (const char* capability :
         {"consumer_cancel_notify", "connection.blocked", "authentication_failure_close",
          "publisher_confirms", "basic.nack"}) {
        capabilities.set(capability, true);
    }
    Json properties = Json::object();
    properties.set("product", "lovage");
    properties.set("platform", "C++");
    properties.set("capabilities", std::move(capabilities));
    if (!name.empty()) properties.set("connection_name", name);
    return properties;
}

std::string text_property(const Json& properties, std::string_view name) {
    const Json* const value = properties.find(name);
    return value != nullptr && value->is_string() ? value->as_string() : std::string{};
}

bool offers(std::string_view mechanisms, std::string_view wanted) {
    while (!mechanisms.empty()) {
        const std::size_t end = std::min(mechanisms.find(' '), mechanisms.size());
        if (mechanisms.substr(0, end) == wanted) return true;
        mechanisms.remove_prefix(std::min(end + 1, mechanisms.size()));
    }
    return false;
}

/// The smaller of two limits of which zero means "none".
template <class Number>
Number agreed(Number ours, Number theirs) {
    if (ours == Number{0} || theirs == Number{0}) return std::max(ours, theirs);
    return std::min(ours, theirs);
}

}  // namespace

Session::Session(SessionOptions options, SessionEvents& events)
    : options_{std::move(options)},
      events_{events},
      channel_max_{options_.channel_max},
      frame_bytes_max_{std::max(options_.frame_bytes_max, kFrameBytesMin)} {}

Session::~Session() = default;

std::string& Session::output() {
    announce_output();
    return output_;
}

void Session::announce_output() {
    if (std::exchange(output_announced_, true)) return;
    events_.on_output();
}

template <class Method>
void Session::send(const Method& method) {
    (void)append_method(output(), 0, method);
}

void Session::start(Instant now) {
    phase_ = Phase::awaiting_start;
    last_received_ = last_sent_ = now;
    output().append(kProtocolHeader);
}

std::size_t Session::receive(std::string_view bytes, Instant now) {
    last_received_ = now;
    std::size_t taken = 0;
    while (phase_ != Phase::closed) {
        Frame frame;
        const auto status = read_frame(bytes.substr(taken), frame_bytes_max_, frame);
        if (status == FrameStatus::incomplete) break;
        if (status == FrameStatus::malformed) {
            if (phase_ == Phase::awaiting_start) {
                fail({Errc::malformed, "the server does not speak AMQP 0-9-1"});
            } else {
                refuse(ReplyCode::frame_error, "a frame that cannot be read");
            }
            break;
        }
        taken += frame.payload.size() + kFrameOverhead;
        std::string problem;
        if (!on_frame(frame, problem)) refuse(ReplyCode::unexpected_frame, std::move(problem));
    }
    return taken;
}

bool Session::on_frame(const Frame& frame, std::string& problem) {
    if (frame.type == FrameType::heartbeat) return true;
    if (frame.channel == 0) {
        if (frame.type == FrameType::method) return on_connection_method(frame, problem);
        problem = "a message on channel 0";
        return false;
    }
    if (phase_ == Phase::closing) return true;
    const auto channel = channels_.find(frame.channel);
    if (phase_ != Phase::open || channel == channels_.end()) {
        problem = fmt::format("a frame on channel {}, which is not open", frame.channel);
        return false;
    }
    const bool fine = channel->second->on_frame(frame, problem);
    // Whoever was told of it may have ended the session; then the channel is no longer in the map.
    if (phase_ != Phase::closed && channel->second->closed_) channels_.erase(channel);
    return fine;
}

bool Session::on_connection_method(const Frame& frame, std::string& problem) {
    WireReader in{frame.payload};
    const std::uint32_t id = in.u32();
    bool expected = false;
    if (id == connection::Close::kId) {
        on_peer_close(in);
        return true;
    }
    if (phase_ == Phase::closing) {
        if (id == connection::CloseOk::kId) end({Errc::closed, "the connection was closed"});
        return true;
    }
    if (id == connection::Start::kId && phase_ == Phase::awaiting_start) {
        expected = on_start(in, problem);
    } else if (id == connection::Tune::kId && phase_ == Phase::awaiting_tune) {
        expected = on_tune(in);
    } else if (id == connection::OpenOk::kId && phase_ == Phase::awaiting_open) {
        phase_ = Phase::open;
        expected = true;
        events_.on_open();
    } else if (id == connection::Blocked::kId && phase_ == Phase::open) {
        const auto method = read_method<connection::Blocked>(in);
        blocked_ = expected = true;
        if (in.ok()) events_.on_blocked(method.reason);
    } else if (id == connection::Unblocked::kId && phase_ == Phase::open) {
        blocked_ = false;
        expected = true;
        events_.on_unblocked();
    }
    if (expected && in.ok()) return true;
    if (problem.empty()) {
        problem = fmt::format("method {}.{} {}", id >> 16U, id & 0xFFFFU,
                              expected ? "is cut short" : "at the wrong time");
    }
    return false;
}

bool Session::on_start(WireReader& in, std::string& problem) {
    const auto method = read_method<connection::Start>(in);
    if (!in.ok()) return true;  // reported by the caller
    peer_product_ = text_property(method.server_properties, "product") + " " +
                    text_property(method.server_properties, "version");
    const bool plain = options_.mechanism == Mechanism::plain;
    const std::string_view mechanism = plain ? "PLAIN" : "EXTERNAL";
    if (!offers(method.mechanisms, mechanism)) {
        problem =
            fmt::format("the server offers the logins '{}', not {}", method.mechanisms, mechanism);
        fail({Errc::rejected, problem});
        return true;
    }
    std::string response;
    if (plain) {
        response.append(1, '\0').append(options_.user).append(1, '\0').append(options_.password);
    }
    send(connection::StartOk{.client_properties = client_properties(options_.name),
                             .mechanism = mechanism,
                             .response = response});
    phase_ = Phase::awaiting_tune;
    return true;
}

bool Session::on_tune(WireReader& in) {
    const auto method = read_method<connection::Tune>(in);
    if (!in.ok()) return true;  // reported by the caller
    channel_max_ = agreed(options_.channel_max, method.channel_max);
    frame_bytes_max_ = std::max(agreed(frame_bytes_max_, method.frame_max), kFrameBytesMin);
    heartbeat_ = agreed(options_.heartbeat, std::chrono::seconds{method.heartbeat_s});
    send(connection::TuneOk{.channel_max = channel_max_,
                            .frame_max = frame_bytes_max_,
                            .heartbeat_s = static_cast<std::uint16_t>(heartbeat_.count())});
    send(connection::Open{.vhost = options_.vhost});
    phase_ = Phase::awaiting_open;
    return true;
}

void Session::on_peer_close(WireReader& in) {
    const auto method = read_method<connection::Close>(in);
    const bool opened = phase_ == Phase::open || phase_ == Phase::closing;
    Error why = reply_error(method.code, method.text);
    // Once open, whatever ended the connection is not what a caller asked for.
    if (opened) why.code = Errc::disconnected;
    send(connection::CloseOk{});
    end(std::move(why));
}

void Session::refuse(ReplyCode code, std::string problem) {
    if (phase_ == Phase::closed) return;
    const std::string detail = "the server broke the protocol: " + problem;
    send(connection::Close{.code = static_cast<std::uint16_t>(code),
                           .text = std::string_view{problem}.substr(0, 200)});
    end({Errc::malformed, detail});
}

void Session::fail(Error why) {
    if (phase_ == Phase::closed) return;
    output_.clear();
    end(std::move(why));
}

void Session::close() {
    if (phase_ == Phase::closed || phase_ == Phase::closing) return;
    if (phase_ != Phase::open) return end({Errc::closed, "the connection was closed"});
    phase_ = Phase::closing;
    send(connection::Close{.text = "done"});
}

void Session::end(Error why) {
    phase_ = Phase::closed;
    wants_flush_ = false;
    // Channels may be looked at by the handlers of others while they are told.
    lost_channels_ = std::exchange(channels_, {});
    for (auto& [id, channel] : lost_channels_) channel->lose(why);
    events_.on_closed(why);
}

void Session::tick(Instant now) {
    if (phase_ != Phase::open && phase_ != Phase::closing) return;
    if (heartbeat_ == 0s) return;
    if (failpoint::left_out(failpoint::Line::silence)) last_received_ = now;
    if (now >= last_received_ + 2 * heartbeat_ - heartbeat_ / 5.0) {
        fail({Errc::disconnected,
              fmt::format("the server sent nothing for {:.0f} s, not even a heartbeat",
                          std::chrono::duration<double>(now - last_received_).count())});
        return;
    }
    if (now < last_sent_ + heartbeat_ / 2.0) return;
    last_sent_ = now;  // what waits to be written says that we live as well as a heartbeat
    if (output_.empty()) append_heartbeat(output());
}

Session::Instant Session::next_tick() const noexcept {
    if ((phase_ != Phase::open && phase_ != Phase::closing) || heartbeat_ == 0s) {
        return Instant::max();
    }
    const auto dead = last_received_ + std::chrono::duration_cast<Instant::duration>(
                                           2 * heartbeat_ - heartbeat_ / 5.0);
    const auto due = last_sent_ + std::chrono::duration_cast<Instant::duration>(heartbeat_ / 2.0);
    return std::min(dead, due);
}

void Session::take_output(std::string& out, Instant now) {
    if (std::exchange(wants_flush_, false)) {
        for (auto& [id, channel] : channels_) channel->flush();
    }
    output_announced_ = false;
    out.clear();
    out.swap(output_);
    if (!out.empty()) last_sent_ = now;
}

Channel* Session::open_channel(ChannelEvents& events) {
    LOVAGE_ASSERT(phase_ == Phase::open);
    std::uint16_t id = 1;
    for (const auto& [taken, channel] : channels_) {
        if (taken != id) break;
        ++id;
    }
    if (id > channel_max_) return nullptr;
    auto& channel = channels_[id];
    channel = std::make_unique<Channel>(*this, id, &events);
    Channel* const opened = channel.get();
    opened->call(Request::make(channel::Open{}, channel::OpenOk::kId), [](const Result<Reply>&) {});
    return opened;
}

}  // namespace lovage::amqp
