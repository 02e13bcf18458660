// RabbitMQ and Redis of the run's own, behind proxies.
#include "servers.hpp"

#include <lovage/clients/redis/test_server.hpp>
#include <tests/chaos/own_rabbitmq.hpp>
#include <tests/support/free_port.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <fmt/format.h>

#include <cstdint>

namespace lovage::torture {

namespace {

using namespace std::chrono_literals;
using testing_support::Ending;
using testing_support::TcpProxy;

/// Silence must be noticed within 20 s (contract C21); the rest is for a busy machine.
constexpr auto kNoticed = 25s;

class RabbitmqServers final : public Servers {
public:
    explicit RabbitmqServers(const std::filesystem::path& folder) : rabbitmq_{folder / "servers"} {}

    [[nodiscard]] Urls urls() const override { return {broker_proxy_.url(), results_proxy_.url()}; }
    [[nodiscard]] Urls straight() const override { return {rabbitmq_.url(), redis_url()}; }
    [[nodiscard]] Evidence inflict(const PlannedFault& fault) override;
    [[nodiscard]] std::string complaint() const override {
        return rabbitmq_.has_logged("unknown delivery tag") ? "RabbitMQ was sent a stale ack" : "";
    }

private:
    [[nodiscard]] std::string redis_url() const {
        return fmt::format("redis://127.0.0.1:{}/0", redis_port_);
    }
    Evidence kill_rabbitmq(std::chrono::milliseconds away);
    Evidence kill_redis(std::chrono::milliseconds away);
    Evidence close_by_operator();

    chaos::OwnRabbitMq rabbitmq_;
    std::uint16_t redis_port_ = testing_support::free_port();
    // It writes down before it answers, so that what is lost was lost by us.
    redis::TestServer redis_{
        {"--port", std::to_string(redis_port_), "--bind", "127.0.0.1", "--appendonly", "yes"}};
    TcpProxy broker_proxy_{rabbitmq_.url()};
    TcpProxy results_proxy_{redis_url()};
};

/// Waits until as many connections are made again as `fault` has broken.
template <class Fault>
Evidence break_connections(TcpProxy& proxy, Fault fault) {
    const auto before = proxy.counts();
    const auto healed = Deadline::Clock::now();  // others can be made at once
    fault();
    const std::uint64_t broken = proxy.counts().broken - before.broken;
    if (broken == 0) return std::nullopt;
    const bool again = proxy.wait_until(
        [&](const TcpProxy::Counts& counts) { return counts.accepted >= before.accepted + broken; },
        Deadline::in(kNoticed));
    const std::uint64_t made = proxy.counts().accepted - before.accepted;
    return Sign{fmt::format("{} connections broken, {} made again{}", broken, made,
                            again ? "" : fmt::format(" within {} s", kNoticed / 1s)),
                healed};
}

Evidence end_connections(TcpProxy& proxy, Ending ending) {
    return break_connections(proxy, [&] { proxy.end_connections(ending); });
}

Evidence RabbitmqServers::kill_rabbitmq(std::chrono::milliseconds away) {
    const pid_t before = rabbitmq_.pid();
    rabbitmq_.kill();
    const auto gone = [&] {
        const char state = state_of(before);
        return state == '\0' || state == 'Z';
    };
    const bool dead = look_until(gone, Deadline::in(2s));
    let_pass(away);
    rabbitmq_.start();
    if (!dead || rabbitmq_.pid() == before) return std::nullopt;
    return Sign{fmt::format("pid {} died, pid {} serves", before, rabbitmq_.pid())};
}

Evidence RabbitmqServers::kill_redis(std::chrono::milliseconds away) {
    const pid_t before = redis_.pid();
    redis_.kill();  // waits for its end
    let_pass(away);
    redis_.start();
    // It takes connections, and refuses every command until it has read its file.
    (void)look_until([this] { return redis_.cli("PING") == "PONG"; }, Deadline::in(kNoticed));
    return Sign{fmt::format("pid {} died, pid {} serves", before, redis_.pid())};
}

Evidence RabbitmqServers::close_by_operator() {
    const auto before = broker_proxy_.counts();
    rabbitmq_.control("close_all_connections torture");
    const auto healed = Deadline::Clock::now();
    const bool again = broker_proxy_.wait_until(
        [&](const TcpProxy::Counts& counts) { return counts.accepted > before.accepted; },
        Deadline::in(kNoticed));
    if (!again) return std::nullopt;
    return Sign{fmt::format("{} connections were open, others were made", before.open), healed};
}

Evidence RabbitmqServers::inflict(const PlannedFault& fault) {
    switch (fault.kind) {
        case FaultKind::kill_rabbitmq:
            return kill_rabbitmq(fault.duration);
        case FaultKind::stop_rabbitmq:
            return suspend(rabbitmq_.pid(), fault.duration);
        case FaultKind::close_by_operator:
            return close_by_operator();
        case FaultKind::reset_broker:
            return end_connections(broker_proxy_, Ending::reset);
        case FaultKind::close_broker:
            return end_connections(broker_proxy_, Ending::close);
        case FaultKind::silence_broker:
            return end_connections(broker_proxy_, Ending::silence);
        case FaultKind::forget_clients:
            return break_connections(broker_proxy_, [this] { broker_proxy_.forget_clients(); });
        case FaultKind::kill_redis:
            return kill_redis(fault.duration);
        case FaultKind::stop_redis:
            return suspend(redis_.pid(), fault.duration);
        case FaultKind::reset_results:
            return end_connections(results_proxy_, Ending::reset);
        case FaultKind::close_results:
            return end_connections(results_proxy_, Ending::close);
        case FaultKind::silence_results:
            return end_connections(results_proxy_, Ending::silence);
        default:
            return std::nullopt;  // another stack's
    }
}

}  // namespace

std::unique_ptr<Servers> make_rabbitmq_servers(const std::filesystem::path& folder) {
    return std::make_unique<RabbitmqServers>(folder);
}

}  // namespace lovage::torture
