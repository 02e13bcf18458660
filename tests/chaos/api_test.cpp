// The project stack's API under load while RabbitMQ or Redis is away.
#include "stack.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/integration/http_client.hpp>
#include <tests/support/services.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include <fmt/format.h>

namespace lovage::chaos {
namespace {

namespace faults = testing_support;
using faults::service_url;
using faults::TcpProxy;
using integration::http_request;
using integration::HttpReply;

class Api : public Stack {
protected:
    struct Answer {
        Clock::time_point asked;
        Clock::time_point answered;
        HttpReply reply;
    };

    Api() { use({.broker = vhost_.url(broker_.url()), .results = results_.url()}); }
    ~Api() override { stop_clients(); }

    void start_worker_of_project() {
        worker_ = start("worker", {LOVAGE_PROJECT_WORKER, "worker", "-Q", "project-worker", "-c",
                                   "4", "-l", "warning"});
    }
    void start_everything() {
        if (!api_) port_ = start_api();
        start_worker_of_project();
        for (int client = 0; client < 4; ++client) clients_.emplace_back([this] { ask_on(); });
        EXPECT_TRUE(wait_for_answers(200, 100, soon())) << "the API does not take tasks";
    }
    void stop_clients() {
        stopping_ = true;
        for (std::thread& client : clients_) client.join();
        clients_.clear();
    }
    [[nodiscard]] HttpReply get(const std::string& path) const {
        return http_request(port_, "GET", path, "", soon());
    }

    /// That many further answers of requests made from now on.
    [[nodiscard]] bool wait_for_answers(int status, std::size_t count, Deadline deadline) {
        const auto from = Clock::now();
        std::unique_lock lock{mutex_};
        return answered_.wait_until(lock, deadline.time(), [&] {
            return static_cast<std::size_t>(
                       std::ranges::count_if(answers_, [&](const Answer& answer) {
                           return answer.asked >= from && answer.reply.status == status;
                       })) >= count;
        });
    }
    /// While something is away: 503 with Retry-After and in time, and not ready.
    void expect_honest_refusals() {
        const auto from = Clock::now();
        EXPECT_TRUE(wait_for_answers(503, 8, soon()));
        // A connection that has fallen silent is ready until that is noticed.
        const Deadline noticed = Deadline::at(from + kSilenceNoticed);
        HttpReply ready = get("/health/ready");
        while (ready.status == 200 && !noticed.passed()) ready = get("/health/ready");
        EXPECT_EQ(ready.status, 503);
        EXPECT_EQ(get("/health/live").status, 200);
        const std::scoped_lock lock{mutex_};
        for (const Answer& answer : answers_) {
            if (answer.asked < from) continue;
            EXPECT_EQ(answer.reply.status, 503) << shown(answer.reply);
            EXPECT_EQ(answer.reply.fields.count("retry-after"), 1U) << shown(answer.reply);
            EXPECT_LE(answer.answered - answer.asked, kPublishTimeout + kSlack);
        }
    }
    void expect_recovery(Deadline in_time = Deadline::in(kBackAtFullRate)) {
        EXPECT_TRUE(wait_for_answers(200, 50, in_time)) << "the API does not take tasks again";
        // It has connections that are not for sending.
        HttpReply ready = get("/health/ready");
        while (ready.status != 200 && !in_time.passed()) ready = get("/health/ready");
        EXPECT_EQ(ready.status, 200) << shown(ready);
    }
    /// All that is sent through `proxy` vanishes, and what is connected then stays silent for good.
    void expect_survival_of_silence(TcpProxy& proxy) {
        start_everything();
        const auto fault = Clock::now();
        proxy.go_silent();
        expect_honest_refusals();
        proxy.heal();
        // The connections from before must be given up, and an attempt that was under way.
        constexpr auto kConnectAttempt = 5s;
        expect_recovery(Deadline::at(
            std::max(fault + kSilenceNoticed, Clock::now() + kConnectAttempt) + kBackAtFullRate));
        expect_nothing_lost();
    }
    /// Every task whose id was handed out has run.
    void expect_nothing_lost() {
        stop_clients();
        Settings settings;
        settings.broker_url = "memory://chaos";
        settings.result_backend = service_url("LOVAGE_TEST_REDIS_URL");
        const App app{"chaos-results", settings};
        std::size_t accepted = 0;
        for (const Answer& answer : answers_) {
            if (answer.reply.status != 200) continue;
            const Json json = answer.reply.json();
            const auto result = app.async_result(json.find("taskId")->as_string());
            EXPECT_EQ(result.wait(kPatience).status, states::kSuccess);
            ++accepted;
        }
        fmt::print("{} requests, {} accepted\n", answers_.size(), accepted);
    }

    TcpProxy broker_{service_url("LOVAGE_TEST_AMQP_URL")};
    TcpProxy results_{service_url("LOVAGE_TEST_REDIS_URL")};
    conformance::TestVhost vhost_;
    std::uint16_t port_ = 0;

private:
    void ask_on() {
        while (!stopping_) {
            Answer answer{.asked = Clock::now(), .answered = {}, .reply = {}};
            try {
                answer.reply = http_request(
                    port_, "POST", "/v1/celery-worker/integer-multiplication/async/?integer=21", "",
                    soon());
            } catch (const std::exception& problem) {
                answer.reply.body = problem.what();
            }
            answer.answered = Clock::now();
            const std::scoped_lock lock{mutex_};
            answers_.push_back(std::move(answer));
            answered_.notify_all();
        }
    }

    std::atomic<bool> stopping_{false};
    std::vector<std::thread> clients_;
    std::mutex mutex_;
    std::condition_variable answered_;
    std::vector<Answer> answers_;
};

TEST_F(Api, WithoutRabbitMq) {
    start_everything();
    broker_.set_door(faults::Door::refuse);
    broker_.end_connections(faults::Ending::reset);
    expect_honest_refusals();
    broker_.heal();
    expect_recovery();
    expect_nothing_lost();
}

TEST_F(Api, WithoutRedis) {
    start_everything();
    results_.set_door(faults::Door::refuse);
    results_.end_connections(faults::Ending::close);
    expect_honest_refusals();
    results_.heal();
    expect_recovery();
    expect_nothing_lost();
}

TEST_F(Api, ARequestThatWaitsForItsResultOutlivesBothConnections) {
    port_ = start_api();
    auto waiting = std::async(std::launch::async, [this] {
        return http_request(port_, "POST",
                            "/v1/celery-worker/integer-multiplication/?integer=21&wait=40", "",
                            soon());
    });
    // It is sent when the second connection is made, which is for waiting.
    EXPECT_TRUE(results_.wait_until([](const auto& counts) { return counts.open >= 2; }, soon()));
    results_.end_connections(faults::Ending::reset);
    broker_.end_connections(faults::Ending::reset);
    EXPECT_EQ(waiting.wait_for(0s), std::future_status::timeout);
    start_worker_of_project();
    EXPECT_EQ(shown(waiting.get()), "200 42");
}

/// Silence takes its time to be noticed.
using LongApi = Api;

TEST_F(LongApi, BeforeASilentRabbitMq) {
    expect_survival_of_silence(broker_);
}

TEST_F(LongApi, BeforeASilentRedis) {
    expect_survival_of_silence(results_);
}

TEST_F(Api, StartedWithoutEither) {
    broker_.set_door(faults::Door::refuse);
    results_.set_door(faults::Door::refuse);
    port_ = start_api();
    const auto reply = get("/health/ready");
    EXPECT_EQ(reply.status, 503);
    EXPECT_THAT(reply.body, testing::HasSubstr("amqp://guest@127.0.0.1"));
    broker_.heal();
    EXPECT_THAT(get("/health/ready").body, testing::HasSubstr("redis://127.0.0.1"));
    results_.heal();
    start_everything();
    expect_nothing_lost();
}

}  // namespace
}  // namespace lovage::chaos
