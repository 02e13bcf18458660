#include "project.hpp"
#include "stopped_process.hpp"

#include <lovage/app/app_core.hpp>

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <random>
#include <set>
#include <thread>

#include <signal.h>

namespace lovage::integration {
namespace {

using namespace std::chrono_literals;

class Kill : public Project {
protected:
    /// Every task ended with its result, and was begun more than once only where an earlier worker
    /// that had begun it was killed or stopped by us.
    void expect_nothing_lost(const std::vector<AsyncResult<Json>>& sent,
                             const std::vector<std::string>& keys, const std::set<pid_t>& faulted) {
        ASSERT_EQ(sent.size(), keys.size());
        for (std::size_t index = 0; index < sent.size(); ++index) {
            const TaskMeta meta = sent[index].wait(kPatience);
            EXPECT_EQ(meta.status, states::kSuccess) << keys[index];
            EXPECT_EQ(AsyncResultBase::value_of(meta), Json{keys[index]});
        }
        const auto starts = ledger_.by_key("start");
        const auto ends = ledger_.by_key("end");
        std::size_t repeated = 0;
        for (const std::string& key : keys) {
            EXPECT_TRUE(ends.contains(key)) << key << " has a result but never ended";
            const auto found = starts.find(key);
            ASSERT_NE(found, starts.end()) << key << " has a result but never began";
            const auto& attempts = found->second;
            repeated += attempts.size() - 1;
            for (std::size_t attempt = 0; attempt + 1 < attempts.size(); ++attempt) {
                EXPECT_TRUE(faulted.contains(attempts[attempt].pid))
                    << key << " was begun again although nothing had happened to process "
                    << attempts[attempt].pid;
            }
        }
        fmt::print("{} tasks, {} processes killed or stopped, {} attempts repeated\n", keys.size(),
                   faulted.size(), repeated);
        // A result is there before its message is acknowledged: the last ones may be on their way.
        QueueStatus left = queue_status();
        for (const Deadline end = soon(); left.unsettled != 0 && !end.passed();) {
            left = queue_status();
        }
        EXPECT_EQ(left.ready + left.delayed + left.unsettled, 0U);
    }
};

std::uint32_t seed() {
    const char* const given = std::getenv("TEST_SEED");
    return given != nullptr ? static_cast<std::uint32_t>(std::strtoul(given, nullptr, 10))
                            : 20'261'121U;
}

TEST_F(Kill, WithoutAFaultEveryTaskRunsExactlyOnce) {
    std::vector<Process> workers;
    for (int index = 0; index < 3; ++index) {
        workers.push_back(start_worker(fmt::format("worker-{}", index)));
    }
    std::vector<AsyncResult<Json>> sent;
    std::vector<std::string> keys;
    for (int index = 0; index < 300; ++index) {
        keys.push_back(fmt::format("task-{}", index));
        sent.push_back(send_work(keys.back()));
    }
    expect_nothing_lost(sent, keys, {});
    EXPECT_EQ(ledger_.count("start"), keys.size());
    for (Process& worker : workers) stop(worker);
}

/// Three workers; again and again something happens to one of them.
class Chaos : public Kill {
protected:
    void run_chaos(int faults) {
        for (int slot = 0; slot < 3; ++slot) workers_.push_back(start_next());
        std::thread producer{[this] { produce(); }};
        for (int fault = 0; fault < faults; ++fault) {
            wait_for_progress(10 + random(30));
            Process& victim = workers_[random(workers_.size())];
            switch (random(4)) {
                case 0:
                case 1:
                    kill(victim);
                    break;
                case 2:
                    end(victim);
                    break;
                default:
                    suspend(victim);
                    break;
            }
            victim = start_next();
        }
        producing_ = false;
        producer.join();
    }

    std::vector<AsyncResult<Json>> sent_;
    std::vector<std::string> keys_;
    std::set<pid_t> faulted_;
    std::vector<Process> workers_;

private:
    std::size_t random(std::size_t below) {
        return std::uniform_int_distribution<std::size_t>{0, below - 1}(random_);
    }
    Process start_next() { return start_worker(fmt::format("worker-{}", next_worker_++)); }

    /// Keeps the queue filled while faults happen.
    void produce() {
        std::mt19937 lengths{seed() + 1};
        while (producing_) {
            keys_.push_back(fmt::format("task-{}", keys_.size()));
            sent_.push_back(send_work(keys_.back(), std::uniform_int_distribution{0, 5}(lengths)));
        }
    }
    void wait_for_progress(std::size_t starts) {
        const std::size_t wanted = ledger_.count("start") + starts;
        EXPECT_TRUE(ledger_.wait_until([&] { return ledger_.count("start") >= wanted; }, soon()))
            << "the workers have stopped working\n"
            << logs();
    }
    void kill(Process& victim) {
        faulted_.insert(victim.pid());
        victim.kill();
    }
    /// Stops it for a moment in which others may go on (unless it was stopped while it held the
    /// file's lock), then lets it go on, or kills it.
    void suspend(Process& victim) {
        faulted_.insert(victim.pid());
        victim.signal(SIGSTOP);
        const std::size_t wanted = ledger_.count("start") + 20;
        static_cast<void>(
            ledger_.wait_until([&] { return ledger_.count("start") >= wanted; }, Deadline::in(1s)));
        if (random(2) == 0) return victim.kill();
        victim.signal(SIGCONT);
        end(victim);
    }
    /// SIGTERM; one that has only just started may not listen to it yet, and has nothing to lose.
    void end(Process& victim) {
        victim.signal(SIGTERM);
        const auto ending = victim.wait(soon());
        const bool began =
            std::ranges::count(ledger_.read(), victim.pid(), &Ledger::Entry::pid) > 0;
        if (began || ending != Ending{.signal = SIGTERM}) {
            EXPECT_EQ(ending, Ending{.exit_code = 0}) << logs();
        }
    }

    std::mt19937 random_{seed()};
    int next_worker_ = 0;
    std::atomic<bool> producing_{true};
};

TEST_F(Chaos, LosesNothingAndExplainsEveryRepetition) {
    SCOPED_TRACE(fmt::format("TEST_SEED={}", seed()));
    run_chaos(20);
    expect_nothing_lost(sent_, keys_, faulted_);
    for (Process& worker : workers_) stop(worker);
}

TEST_F(Kill, AProducerThatIsKilledLosesNothingItKnowsToBeAccepted) {
    Process producer = start("producer", {"produce", "sent", "1000000"});
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.count("accepted") >= 50; }, soon()))
        << logs();
    producer.kill();
    const auto accepted = ledger_.by_key("accepted");

    Process worker = start_worker("worker");
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.by_key("end").size() >= accepted.size(); },
                                   soon()));
    stop(worker);
    const auto ended = ledger_.by_key("end");
    for (const auto& [key, entries] : accepted) {
        EXPECT_TRUE(ended.contains(key)) << key;
    }
    for (const auto& [key, entries] : ended) EXPECT_EQ(entries.size(), 1U) << key;
}

TEST_F(Kill, AWaiterOutlivesTheDeathOfTheWorker) {
    Process doomed = start_worker("doomed");
    const auto held = send_hold("held");
    auto waiting = std::async(std::launch::async, [&] { return held.wait(kPatience); });
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    doomed.kill();
    EXPECT_EQ(waiting.wait_for(0s), std::future_status::timeout);

    Process successor = start_worker("successor");
    ledger_.open_gate("held");
    EXPECT_EQ(waiting.get().status, states::kSuccess);
    EXPECT_EQ(ledger_.count("start", "held"), 2U);
    EXPECT_EQ(ledger_.count("end", "held"), 1U);
    stop(successor);
}

TEST_F(Kill, TasksOfADeadWorkerGoToALivingOneAtOnce) {
    Process doomed = start_worker("doomed", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    Process other = start_worker("other", 1);
    const auto done = send_work("proof that the other one works").wait(kPatience);
    EXPECT_EQ(done.status, states::kSuccess);

    const auto killed = monotonic_now();
    doomed.kill();
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.count("start", "held") == 2; }, soon()))
        << logs();
    EXPECT_LT(ledger_.by_key("start").at("held")[1].time - killed, 5s);
    ledger_.open_gate("held");
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    stop(other);
}

TEST_F(Kill, TasksOfAStoppedWorkerGoToALivingOneAfterItsLease) {
    Process stopped = start_worker("stopped", 1);
    const auto held = send_hold("held");
    ASSERT_TRUE(ledger_.wait_for("start", "held", soon())) << logs();
    stop_outside_a_transaction(stopped, folder_.path() / "store");
    Process other = start_worker("other", 1);
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.count("start", "held") == 2; }, soon()))
        << logs();

    // Back again, it finishes too; its late settlement is nobody's.
    stopped.signal(SIGCONT);
    ledger_.open_gate("held");
    ASSERT_TRUE(ledger_.wait_until([&] { return ledger_.count("end", "held") == 2; }, soon()));
    EXPECT_EQ(held.wait(kPatience).status, states::kSuccess);
    EXPECT_EQ(send_work("after").wait(kPatience).status, states::kSuccess);
    stop(stopped);
    stop(other);
    EXPECT_EQ(ledger_.count("start", "held"), 2U);
    const QueueStatus left = queue_status();
    EXPECT_EQ(left.ready + left.unsettled, 0U);
}

}  // namespace
}  // namespace lovage::integration
