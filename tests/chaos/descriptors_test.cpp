// Programs that run out of file descriptors: what is open goes on working, what needs another one
// says so and waits, nobody spins, and all is well again when there are some.
#include "broker_network.hpp"

#include <lovage/runtime/process_stats.hpp>
#include <tests/integration/http_client.hpp>

#include <algorithm>
#include <fstream>
#include <future>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

namespace lovage::chaos {
namespace {

using integration::http_request;
using testing_support::service_url;

/// Sets how many descriptors a process may have; returns how many it was before.
rlim_t allow_descriptors(pid_t process, rlim_t number) {
    rlimit limit{};
    EXPECT_EQ(::prlimit(process, RLIMIT_NOFILE, nullptr, &limit), 0);
    const rlim_t before = std::exchange(limit.rlim_cur, std::min(number, limit.rlim_max));
    EXPECT_EQ(::prlimit(process, RLIMIT_NOFILE, &limit, nullptr), 0);
    return before;
}

/// While it lives, a process can open nothing: not even a number that it has given back is free.
class NoDescriptors {
public:
    explicit NoDescriptors(pid_t process)
        : process_{process}, before_{allow_descriptors(process, STDERR_FILENO + 1)} {}
    ~NoDescriptors() { allow_descriptors(process_, before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

private:
    pid_t process_;
    rlim_t before_;
};

/// User and system time of all its threads so far.
double cpu_seconds(pid_t process) {
    std::ifstream file{fmt::format("/proc/{}/stat", process)};
    std::stringstream text;
    text << file.rdbuf();
    return detail::parse_process_stats(text.str(), "",
                                       {.ticks_per_second = double(::sysconf(_SC_CLK_TCK))})
        .cpu_seconds;
}

class Descriptors : public BrokerNetwork {
protected:
    static constexpr auto kOut = "Too many open files";
    static constexpr auto kASecond = static_cast<std::uint32_t>(kRate);

    /// It lives, and does next to nothing for a moment.
    void expect_calm(Process& process) const {
        constexpr auto kMoment = 1s;
        const double before = cpu_seconds(process.pid());
        let_pass(kMoment);
        EXPECT_LT(cpu_seconds(process.pid()) - before, 0.3) << "it spins";
        EXPECT_EQ(process.wait(Deadline::in(0s)), std::nullopt);
    }
    /// A slot of the worker dies, and no other can be started in its place.
    void lose_a_slot() {
        ASSERT_EQ(::kill(children_of(worker_->pid()).front(), SIGKILL), 0);
        EXPECT_TRUE(
            wait_for_log("worker", "cannot be started: unavailable: socketpair: Too many", soon()));
    }
    /// The programs complain in words, and not without end.
    void expect_few_words(const std::string& name) const {
        const std::string log = log_of(name);
        EXPECT_THAT(log, testing::HasSubstr(kOut));
        EXPECT_LT(std::ranges::count(log, '\n'), 100);
    }
};

TEST_F(Descriptors, AWorkerThatHasNoneKeepsItsConnectionsAndWaitsForNewOnes) {
    start_load();
    const auto fault = Clock::now();
    {
        const NoDescriptors none{worker_->pid()};
        lose_a_slot();
        wait_for_progress(kASecond);
        proxy_.end_connections(testing_support::Ending::reset);
        EXPECT_TRUE(wait_for_log("worker", "no connection to amqp", soon()));
        expect_calm(*worker_);
    }
    const auto back = Clock::now();
    expect_few_words("worker");
    expect_all_well(fault, back);
}

TEST_F(Descriptors, AWorkerOnSqliteThatHasNoneGoesOn) {
    use_sqlite();
    start_load();
    const auto fault = Clock::now();
    {
        const NoDescriptors none{worker_->pid()};
        lose_a_slot();
        wait_for_progress(kASecond);
        stop_producer();
        EXPECT_TRUE(ledger_.wait_for_effects(soon()));
        expect_calm(*worker_);
        start_producer();
        wait_for_progress(kASecond);
    }
    const auto back = Clock::now();
    expect_few_words("worker");
    expect_all_well(fault, back);
}

/// Neither its database nor its slots; which of them fail first depends on the number.
TEST_F(Descriptors, AWorkerThatIsStartedWithTooFewSaysSoAndServesWhenItHasMore) {
    use_sqlite();
    start_producer();
    for (const int few : {8, 20, 30, 45}) {
        const std::string name = fmt::format("few-{}", few);
        worker_ = start(name, {"/bin/sh", "-c", fmt::format("ulimit -S -n {}; exec \"$@\"", few),
                               "sh", LOVAGE_CHAOS_APP, "worker", "-c", "8", "-l", "warning"});
        EXPECT_TRUE(wait_for_log(name, kOut, soon()));
        expect_calm(*worker_);
        expect_few_words(name);
        if (few == 45) continue;
        stop(*worker_);
    }
    allow_descriptors(worker_->pid(), 1024);
    expect_recovery(Clock::now());
    expect_contract();
}

TEST_F(Descriptors, AnApiThatHasNoneAnswersWhenItHasSome) {
    const std::uint16_t port = start_api();
    const auto alive = [&] { return http_request(port, "GET", "/health/live", "", soon()).status; };
    EXPECT_EQ(alive(), 200);
    std::future<int> answer;
    {
        const NoDescriptors none{api_->pid()};
        answer = std::async(std::launch::async, alive);
        EXPECT_TRUE(wait_for_log("api", "pauses: Too many open files", soon()));
        expect_calm(*api_);
        EXPECT_EQ(answer.wait_for(0s), std::future_status::timeout);
    }
    EXPECT_EQ(answer.wait_for(kBackAtFullRate), std::future_status::ready);
    EXPECT_EQ(answer.get(), 200);
    expect_few_words("api");
}

}  // namespace
}  // namespace lovage::chaos
