// Connections that end after exactly N bytes, for many N: in the handshake, in a declaration, in
// the middle of a message. Whatever N is, the next connection does the work, and nothing that was
// confirmed is lost.
#include <lovage/brokers/amqp/amqp_broker.hpp>
#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/clients/redis/options.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/results/redis/redis_results.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/url.hpp>
#include <tests/support/services.hpp>
#include <tests/support/soon.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <set>
#include <string>
#include <tuple>

#include <fmt/format.h>

namespace lovage::chaos {
namespace {

using testing_support::Ending;
using testing_support::service_url;
using testing_support::TcpProxy;
using testing_support::Way;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::size_t kLastByte = 4096;

/// Sends it until it is confirmed.
Awaitable<void> publish(Broker* broker, std::string queue, std::string body) {
    while (true) {
        Publication publication{.exchange = "", .routing_key = queue, .message = {}};
        publication.message.body = body;
        const auto sent = co_await broker->publish(std::move(publication), soon());
        if (sent) co_return;
        if (sent.error().code != Errc::unknown_outcome) throw LovageError{sent.error()};
    }
}

/// Receives and acks until each of these has come.
Awaitable<void> consume(Broker* broker, std::string queue, std::set<std::string> bodies) {
    std::unique_ptr<Consumer> consumer;
    while (!bodies.empty()) {
        if (!consumer) {
            auto opened =
                co_await broker->consume({.queues = {queue}, .prefetch = 2, .tag = {}}, soon());
            if (!opened && opened.error().code == Errc::disconnected) continue;
            consumer = value_or_throw(std::move(opened));
        }
        auto deliveries = co_await consumer->receive(soon());
        if (!deliveries) {
            // What was delivered comes again.
            if (deliveries.error().code != Errc::disconnected)
                throw LovageError{deliveries.error()};
            consumer.reset();
            continue;
        }
        for (const Delivery& delivery : *deliveries) {
            bodies.erase(delivery.message.body);
            consumer->ack(delivery.tag);
        }
    }
    (void)co_await consumer->close(soon());
}

/// All that a connection to RabbitMQ is used for.
Awaitable<void> work_on_broker(Executor executor, std::string url) {
    auto broker = make_amqp_broker(executor, {.url = std::move(url), .name = "chaos"});
    const std::string queue = "cut-" + uuid4();
    std::exception_ptr failure;
    try {
        value_or_throw(co_await broker->connect(soon()));
        value_or_throw(co_await broker->declare_queue({.name = queue}, soon()));
        std::set<std::string> bodies;
        for (const int number : {0, 1, 2, 3}) {
            const std::string body = fmt::format("{}", number) + std::string(300, '.');
            co_await publish(broker.get(), queue, body);
            bodies.insert(body);
        }
        co_await consume(broker.get(), queue, std::move(bodies));
        value_or_throw(co_await broker->delete_queue(queue, soon()));
    } catch (...) {
        failure = std::current_exception();
    }
    co_await broker->close(soon());
    if (failure) std::rethrow_exception(failure);
}

/// All that a connection to Redis is used for.
Awaitable<void> work_on_results(Executor executor, std::string url) {
    RedisResultsOptions options;
    options.server = value_or_throw(redis::options_from_url(value_or_throw(parse_url(url))));
    options.server.connect_timeout = 1s;
    options.server.liveness = {.ping_after = 500ms, .dead_after = 1s};
    auto results = make_redis_results(executor, std::move(options));
    std::exception_ptr failure;
    try {
        value_or_throw(co_await results->connect(soon()));
        for (const int number : {0, 1, 2}) {
            TaskMeta meta;
            meta.task_id = uuid4();
            meta.status = std::string{states::kSuccess};
            meta.result = Json{std::string(600, 'x')};
            value_or_throw(co_await results->mark_sent(meta.task_id, soon()));
            value_or_throw(co_await results->store(meta, soon()));
            const TaskMeta read = value_or_throw(co_await results->wait(meta.task_id, soon()));
            EXPECT_EQ(read.status, states::kSuccess) << number;
            value_or_throw(co_await results->forget(meta.task_id, soon()));
        }
    } catch (...) {
        failure = std::current_exception();
    }
    co_await results->close(soon());
    if (failure) std::rethrow_exception(failure);
}

/// From 0 to kLastByte: the first few one by one, then with gaps.
std::vector<std::size_t> with_gaps(std::size_t gap) {
    std::vector<std::size_t> counts;
    for (std::size_t bytes = 0; bytes <= kLastByte; bytes += bytes < 9 ? 1 : gap) {
        counts.push_back(bytes);
    }
    return counts;
}

/// Each costs the time in which silence is noticed.
const std::vector<std::size_t> kFew{0, 8, 300, 700, 2000};

class Cut : public testing::TestWithParam<std::tuple<Way, Ending>> {
protected:
    Cut() {
        log::configure({.level = log::Level::off});
        loop_.start();
    }

    [[nodiscard]] static bool silent() { return std::get<Ending>(GetParam()) == Ending::silence; }

    /// Does `work` once for each count, on connections that are cut after so many bytes until one
    /// has been.
    template <class Work>
    void sweep(const std::string& url, TcpProxy& proxy, const std::vector<std::size_t>& counts,
               Work work) {
        const auto [way, ending] = GetParam();
        const auto first = proxy.counts().broken;
        for (const std::size_t bytes : counts) {
            SCOPED_TRACE(fmt::format("cut after {} bytes", bytes));
            const auto before = proxy.counts().broken;
            proxy.cut_after(way, bytes, ending);
            auto working = std::async(std::launch::async,
                                      [&] { loop_.run_blocking(work(loop_.executor(), url)); });
            while (working.wait_for(0s) != std::future_status::ready &&
                   !proxy.wait_until([&](const auto& now) { return now.broken > before; },
                                     Deadline::in(20ms))) {
            }
            proxy.heal();
            try {
                working.get();
            } catch (const std::exception& problem) {
                ADD_FAILURE() << problem.what();
            }
            if (HasFailure()) return;
        }
        fmt::print("{} connections cut\n", proxy.counts().broken - first);
        EXPECT_GE(proxy.counts().broken - first, counts.size() / 4) << "next to nothing was cut";
    }
    void sweep_broker(const std::vector<std::size_t>& counts) {
        TcpProxy proxy{service_url("LOVAGE_TEST_AMQP_URL")};
        const conformance::TestVhost vhost;
        sweep(vhost.url(proxy.url()) + "?connection_timeout=1&heartbeat=1", proxy, counts,
              work_on_broker);
    }
    void sweep_results(const std::vector<std::size_t>& counts) {
        TcpProxy proxy{service_url("LOVAGE_TEST_REDIS_URL")};
        sweep(proxy.url(), proxy, counts, work_on_results);
    }

    Loop loop_{"chaos"};
};
/// Every byte takes its time: not part of the usual run.
using LongCut = Cut;

TEST_P(Cut, RabbitMqAfterSomeBytes) {
    sweep_broker(silent() ? kFew : with_gaps(149));
}
TEST_P(Cut, RedisAfterSomeBytes) {
    sweep_results(silent() ? kFew : with_gaps(149));
}
TEST_P(LongCut, RabbitMqAfterEveryByte) {
    sweep_broker(with_gaps(silent() ? 16 : 1));
}
TEST_P(LongCut, RedisAfterEveryByte) {
    sweep_results(with_gaps(silent() ? 16 : 1));
}

const auto kKinds =
    testing::Combine(testing::Values(Way::to_server, Way::to_client),
                     testing::Values(Ending::reset, Ending::close, Ending::silence));

std::string name_of(const testing::TestParamInfo<Cut::ParamType>& info) {
    static constexpr std::array kEndings{"Reset", "Closed", "Silent"};
    const auto [way, ending] = info.param;
    return std::string{way == Way::to_server ? "ToServer" : "ToClient"} +
           kEndings.at(static_cast<std::size_t>(ending));
}

INSTANTIATE_TEST_SUITE_P(Connections, Cut, kKinds, name_of);
INSTANTIATE_TEST_SUITE_P(Connections, LongCut, kKinds, name_of);

}  // namespace
}  // namespace lovage::chaos
