// A Redis that goes away, and comes back with all or nothing of what it held, while a chord runs.
#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <lovage/lovage.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace lovage::chaos {
namespace {

constexpr std::uint32_t kParts = 100;
constexpr std::uint32_t kBody = kParts;  // in the ledger
/// So many have had their effect when the server goes away; the others are still to come.
constexpr std::uint32_t kBefore = 30;
constexpr std::chrono::milliseconds kEach{50};

class ChordOnARedis : public Stack {
protected:
    ChordOnARedis() {
        use({.broker = vhost_.url(), .results = url()});
        set("LOVAGE_WORKER_CHORD_SWEEP_INTERVAL", "1");
    }

    void start_redis(std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--port", std::to_string(port_), "--bind", "127.0.0.1"});
        server_.emplace(std::move(arguments));
    }
    /// Sends the chord and waits until some of its parts are over and counted.
    void start_chord() {
        start_worker();
        std::vector<Canvas<>> parts;
        for (std::uint32_t i = 0; i < kParts; ++i) {
            parts.push_back(client_.signature("chaos.work", i, kEach.count()));
        }
        chord_.emplace(chord(parts, client_.signature("chaos.total", kBody)).delay());
        const auto some = [this] { return parts_done() >= kBefore; };
        ASSERT_TRUE(ledger_.wait_until(some, soon()));
        ASSERT_LT(parts_done(), kParts);
    }
    [[nodiscard]] std::uint32_t parts_done() const {
        std::uint32_t count = 0;
        for (std::uint32_t part = 0; part < kParts; ++part) {
            count += ledger_.effects(part) > 0 ? 1 : 0;
        }
        return count;
    }
    /// Every part ran once, and so did the body, with what all of them returned.
    void expect_the_value() {
        constexpr std::int64_t kSum = kParts * (kParts - 1) / 2;
        EXPECT_EQ(chord_->get(kPatience), Json{kSum});
        for (std::uint32_t task = 0; task <= kBody; ++task) {
            EXPECT_EQ(ledger_.started(task), 1U) << "task " << task;
            EXPECT_EQ(ledger_.effects(task), 1U) << "task " << task;
        }
    }
    [[nodiscard]] std::string url() const { return fmt::format("redis://127.0.0.1:{}/0", port_); }

    std::uint16_t port_ = free_port();
    conformance::TestVhost vhost_;
    std::optional<redis::TestServer> server_;
    App client_{"chord", [this] {
                    Settings settings;
                    settings.broker_url = vhost_.url();
                    settings.result_backend = url();
                    return settings;
                }()};
    std::optional<AsyncResult<Json>> chord_;
};

TEST_F(ChordOnARedis, EndsWithItsValueAfterTheServerWasKilled) {
    start_redis({"--appendonly", "yes"});
    start_chord();
    server_->kill();
    let_pass(1s);
    server_->start();
    expect_the_value();
}

TEST_F(ChordOnARedis, EndsWithItsValueAfterItsOperatorStoppedTheServer) {
    start_redis({"--save", "3600 1"});
    start_chord();
    server_->stop();
    EXPECT_TRUE(exists(server_->folder() / "dump.rdb"));
    let_pass(1s);
    server_->start();
    expect_the_value();
}

/// The worker, too: parts that were counted must not count again, those it had begun must.
TEST_F(ChordOnARedis, EndsWithItsValueAfterServerAndWorkerWereKilled) {
    start_redis({"--appendonly", "yes"});
    start_chord();
    server_->kill();
    worker_->kill();
    server_->start();
    start_worker("successor");
    constexpr std::int64_t kSum = kParts * (kParts - 1) / 2;
    EXPECT_EQ(chord_->get(kPatience), Json{kSum});
    EXPECT_EQ(ledger_.effects(kBody), 1U);
}

TEST_F(ChordOnARedis, FailsWithinAMinuteWhenTheServerLostAllOfIt) {
    start_redis({});
    start_chord();
    server_->kill();
    let_pass(1s);
    server_->start();
    const auto back = Clock::now();
    const TaskMeta end = chord_->wait(kPatience);
    EXPECT_LE(Clock::now() - back, 60s);
    EXPECT_EQ(end.status, states::kFailure);
    ASSERT_TRUE(end.failure());
    EXPECT_EQ(end.failure()->exc_type, "ChordError");
    EXPECT_EQ(ledger_.started(kBody), 0U);
}

}  // namespace
}  // namespace lovage::chaos
