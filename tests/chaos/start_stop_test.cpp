// Every program is started and asked to stop at any moment, again and again: it ends with 0, leaves
// no process behind, and what was accepted meanwhile runs exactly once.
#include "stack.hpp"

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <tests/integration/http_client.hpp>
#include <tests/support/services.hpp>
#include <tests/support/soon.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace lovage::chaos {
namespace {

using integration::http_request;
using testing_support::service_url;

class StartStop : public Stack {
protected:
    static constexpr int kTimes = 10;

    // Whatever the programs leave behind becomes a child of this one.
    StartStop() {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        RecordProperty("seed", std::to_string(seed_));
    }
    ~StartStop() override { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

    void use_rabbitmq() {
        vhost_.emplace();
        use({.broker = vhost_->url(), .results = service_url("LOVAGE_TEST_REDIS_URL")});
    }

    /// Starts the program and asks it to stop, that often. `signs_of_life` only grows; before the
    /// program has given one, the signal is not yet its own to answer.
    void start_and_stop(std::optional<Process>& program, const std::function<void()>& start,
                        const std::function<std::size_t()>& signs_of_life, int times);
    void expect_workers_to_stop(int times);
    void expect_producers_to_stop(int times);
    void expect_apis_to_stop(int times);
    /// `command`: a beat, or a worker that is one, too.
    void expect_beats_to_stop(std::vector<std::string> command, int times);

private:
    /// No send was unknown before its time was up: who is asked to stop hears the broker out.
    void expect_answers() const;
    /// Mostly while it starts, now and then when it is long at work.
    [[nodiscard]] std::chrono::milliseconds next_moment(int round) {
        const int latest = round % 5 == 4 ? 1'500 : 300;
        return std::chrono::milliseconds{std::uniform_int_distribution{0, latest}(random_)};
    }
    /// Asks the API for tasks until told to stop; the ids of those that it has accepted.
    [[nodiscard]] std::vector<std::string> ask_on(std::uint16_t port,
                                                  const std::atomic<bool>& stop) const;

    unsigned seed_ = std::random_device{}();
    std::mt19937 random_{seed_};
    std::optional<conformance::TestVhost> vhost_;
};

void StartStop::start_and_stop(std::optional<Process>& program, const std::function<void()>& start,
                               const std::function<std::size_t()>& signs_of_life, int times) {
    const auto others = children_of(::getpid());
    int early = 0;
    for (int round = 0; round < times; ++round) {
        const auto moment = next_moment(round);
        const std::size_t signs_before = signs_of_life();
        start();
        let_pass(moment);
        program->signal(SIGTERM);
        const auto ending = program->wait(soon());
        if (ending == integration::Ending{.signal = SIGTERM} && signs_of_life() == signs_before) {
            ++early;
        } else {
            EXPECT_EQ(ending, integration::Ending{.exit_code = 0})
                << "asked after " << moment.count() << " ms (seed " << seed_ << ")";
        }
        program.reset();
        EXPECT_EQ(children_of(::getpid()), others) << "it has left a process behind";
        if (HasFailure()) break;
    }
    EXPECT_LT(early, times / 2 + 1) << "it takes too long to answer signals";
}

void StartStop::expect_workers_to_stop(int times) {
    start_producer();
    start_and_stop(
        worker_, [this] { start_worker(); }, [this] { return log_of("worker").size(); }, times);
    start_worker("last");
    wait_for_progress(100);
    expect_contract();
}

void StartStop::expect_producers_to_stop(int times) {
    start_worker();
    const auto sent = [this] { return ledger_.total(TaskLedger::Event::sending); };
    start_and_stop(producer_, [this] { start_producer(); }, sent, times);
    start_producer();
    wait_for_progress(100);
    expect_contract();
    expect_answers();
}

void StartStop::expect_answers() const {
    constexpr auto kSendTimeout = 2s;  // of chaos_app.cpp
    std::map<std::uint32_t, Clock::time_point> begun;
    for (const TaskLedger::Entry& entry : ledger_.trace()) {
        if (entry.event == TaskLedger::Event::sending) begun[entry.task] = entry.time;
        if (entry.event != TaskLedger::Event::unknown) continue;
        EXPECT_GE(entry.time - begun[entry.task], kSendTimeout)
            << entry.task << " was given up because its producer ended";
    }
}

std::vector<std::string> StartStop::ask_on(std::uint16_t port,
                                           const std::atomic<bool>& stop) const {
    std::vector<std::string> ids;
    while (!stop) {
        let_pass(5ms);
        try {
            const auto reply = http_request(
                port, "POST", "/v1/celery-worker/integer-multiplication/async/?integer=21", "",
                soon());
            if (reply.status == 200)
                ids.push_back(std::string{reply.json().find("taskId")->as_string()});
        } catch (const std::runtime_error&) {
            // There is none at the moment, or it ends.
        }
    }
    return ids;
}

void StartStop::expect_apis_to_stop(int times) {
    const std::uint16_t port = free_port();
    std::atomic<bool> stop_asking = false;
    std::vector<std::string> ids;
    std::jthread client{[&] { ids = ask_on(port, stop_asking); }};
    start_and_stop(
        api_, [&] { api_ = start("api", {LOVAGE_PROJECT_API, "--port", std::to_string(port)}); },
        [this] { return log_of("api").size(); }, times);
    stop_asking = true;
    client.join();
    EXPECT_FALSE(ids.empty());
    worker_ = start("worker", {LOVAGE_PROJECT_WORKER, "worker", "-Q", "project-worker", "-c", "4",
                               "-l", "warning"});
    Settings settings;
    settings.broker_url = "memory://chaos";
    settings.result_backend = service_url("LOVAGE_TEST_REDIS_URL");
    const App app{"chaos-results", settings};
    for (const std::string& id : ids) {
        EXPECT_EQ(app.async_result(id).wait(kPatience).status, states::kSuccess);
    }
}

void StartStop::expect_beats_to_stop(std::vector<std::string> command, int times) {
    // Nobody consumes that queue: what is there was sent.
    const std::map<std::string, std::string> schedule{
        {"CELERY_BEAT_SCHEDULE", R"({"tick": {"task": "chaos.work", "schedule": 0.1,
                                              "options": {"queue": "ticks"}}})"}};
    command.insert(command.begin(), LOVAGE_CHAOS_APP);
    std::optional<Process> beat;
    const auto begin = [&] { beat = start("beat", command, schedule); };
    start_and_stop(beat, begin, [this] { return log_of("beat").size(); }, times);
    begin();
    const std::uint64_t before = messages_in("ticks");
    EXPECT_TRUE(eventually([&] { return messages_in("ticks") >= before + 3; }, soon()));
    stop(*beat);
}

TEST_F(StartStop, WorkersOnSqlite) {
    use_sqlite();
    expect_workers_to_stop(kTimes);
}

TEST_F(StartStop, WorkersOnRabbitMq) {
    use_rabbitmq();
    expect_workers_to_stop(kTimes);
}

TEST_F(StartStop, WorkersWithThreads) {
    pool_ = "threads";
    use_rabbitmq();
    expect_workers_to_stop(kTimes);
}

TEST_F(StartStop, Producers) {
    use_rabbitmq();
    expect_producers_to_stop(kTimes);
}

TEST_F(StartStop, Apis) {
    use_rabbitmq();
    expect_apis_to_stop(kTimes);
}

TEST_F(StartStop, Beats) {
    use_rabbitmq();
    expect_beats_to_stop({"beat"}, kTimes);
}

TEST_F(StartStop, WorkersThatAreBeats) {
    use_sqlite();
    expect_beats_to_stop({"worker", "-B", "-c", "2"}, kTimes);
}

class LongStartStop : public StartStop {
protected:
    static constexpr int kTimes = 200;
};

TEST_F(LongStartStop, WorkersOnSqlite) {
    use_sqlite();
    expect_workers_to_stop(kTimes);
}

TEST_F(LongStartStop, WorkersOnRabbitMq) {
    use_rabbitmq();
    expect_workers_to_stop(kTimes);
}

TEST_F(LongStartStop, WorkersWithThreads) {
    pool_ = "threads";
    use_rabbitmq();
    expect_workers_to_stop(kTimes);
}

TEST_F(LongStartStop, ProducersOnSqlite) {
    use_sqlite();
    expect_producers_to_stop(kTimes);
}

TEST_F(LongStartStop, ProducersOnRabbitMq) {
    use_rabbitmq();
    expect_producers_to_stop(kTimes);
}

TEST_F(LongStartStop, Apis) {
    use_rabbitmq();
    expect_apis_to_stop(kTimes);
}

TEST_F(LongStartStop, Beats) {
    use_rabbitmq();
    expect_beats_to_stop({"beat"}, kTimes);
}

TEST_F(LongStartStop, WorkersThatAreBeats) {
    use_sqlite();
    expect_beats_to_stop({"worker", "-B", "-c", "2"}, kTimes);
}

}  // namespace
}  // namespace lovage::chaos
