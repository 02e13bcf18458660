#pragma once

#include <lovage/app/app.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/runtime/deadline.hpp>
#include <tests/integration/process.hpp>
#include <tests/support/free_port.hpp>
#include <tests/support/task_ledger.hpp>
#include <tests/support/tcp_proxy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lovage::chaos {

using integration::children_of;
using integration::Ending;
using integration::Process;
using testing_support::free_port;
using testing_support::TaskLedger;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using Clock = TaskLedger::Clock;

/// Nothing here takes that long unless it hangs.
inline constexpr std::chrono::seconds kPatience{60};
[[nodiscard]] inline Deadline soon() {
    return Deadline::in(kPatience);
}

/// Work that somebody must have done: what the reliability contract promises about time.
inline constexpr auto kSilenceNoticed = 20s;
inline constexpr auto kBackAtFullRate = 5s;

/// How long the API tries to publish; a test adds kSlack for a busy machine.
inline constexpr auto kPublishTimeout = 2s;
inline constexpr auto kSlack = 1500ms;

/// A worker and a producer as processes of their own, a ledger between them, and servers that the
/// derived fixture can harm. At its end, every process was asked to stop and has exited with 0.
class Stack : public testing::Test {
protected:
    Stack();
    ~Stack() override;

    /// Where workers and producers find their servers; may be a proxy's URLs.
    struct Servers {
        std::string broker;
        std::string results;
    };
    void use(Servers servers) { servers_ = std::move(servers); }
    /// The embedded ones, in a folder of this test's.
    [[nodiscard]] std::string sqlite_url() const {
        return "sqlite:///" + (folder_.path() / "data").string();
    }
    void use_sqlite() { use({.broker = sqlite_url(), .results = sqlite_url()}); }
    /// A setting of every program that is started from now on, as its environment variable.
    void set(const std::string& variable, std::string value) {
        settings_[variable] = std::move(value);
    }

    /// Its log is NAME.log.
    void start_worker(const std::string& name = "worker",
                      std::map<std::string, std::string> environment = {});
    /// Tasks per second; each task takes that long. `task`: chaos.work, or chaos.vary (ways.hpp).
    void start_producer(double rate = kRate, std::chrono::milliseconds each = 10ms,
                        const std::string& task = "chaos.work",
                        std::map<std::string, std::string> environment = {});
    /// Both, and waits until they have found their pace.
    void start_load();
    /// The project stack's API; returns the port that it listens on.
    [[nodiscard]] std::uint16_t start_api();
    /// The producer gets an answer for what it has sent, and ends.
    void stop_producer();
    /// A program of ours; its output goes to NAME.log.
    [[nodiscard]] Process start(const std::string& name, std::vector<std::string> arguments,
                                std::map<std::string, std::string> environment = {});
    /// SIGTERM; it must exit with 0.
    void stop(Process& process);

    /// Waits until that many further tasks have had their effect.
    void wait_for_progress(std::uint32_t tasks, Deadline deadline = soon());
    /// The first moment from which on `event` happened for at least four fifths of the pace during
    /// a second; nothing when it never did.
    [[nodiscard]] std::optional<Clock::time_point> full_rate_from(TaskLedger::Event event,
                                                                  Clock::time_point earliest) const;
    /// Waits until sending and running go at full rate again, which they do at most kBackAtFullRate
    /// after `back`.
    void expect_recovery(Clock::time_point back) const;

    /// Ends the connections through `proxy`, at least `connections` of them, and waits until as
    /// many are made again, at most `noticed`. Returns the moment of the fault.
    Clock::time_point end_connections(testing_support::TcpProxy& proxy,
                                      testing_support::Ending ending, std::uint64_t connections,
                                      Clock::duration noticed);

    /// A fault from `begin` until now, and what may still come of it. `befell`: the worker, slot or
    /// producer whose fault it was, so that it explains nothing else; nobody in particular when it
    /// is a server's.
    void note_fault(Clock::time_point begin, std::vector<pid_t> befell = {});
    /// A machine that is slow enough makes producers send again what was not confirmed in time:
    /// that explains repeats of what was sent more than once, and of nothing else.
    void allow_resends();
    /// Ends the load and checks the delivery contract: every accepted task has had its effect, none
    /// that was rejected ran, no task ran twice without a fault. Tasks first sent before
    /// `owed_from` may be gone: an operator has thrown them away.
    void expect_contract(Clock::time_point owed_from = Clock::time_point::min());
    /// A fault is over, and everybody is `back`: work goes at full rate again, the contract holds,
    /// and the results are where the programs were told to store them.
    void expect_all_well(Clock::time_point fault, Clock::time_point back,
                         std::vector<pid_t> befell = {});
    /// The results, read from `results_url` and not through a proxy.
    void expect_results(const std::string& results_url) const;
    /// The states of all accepted tasks, PENDING for those without a record.
    [[nodiscard]] std::map<std::uint32_t, std::string> states(const std::string& results_url) const;
    /// Messages in a queue, and with consumers as far as the broker tells; 0 when there is none.
    [[nodiscard]] std::uint64_t messages_in(const std::string& queue) const;
    /// Nothing is waited for, but time has to pass.
    void let_pass(Clock::duration time) const;
    /// What `name` has logged so far.
    [[nodiscard]] std::string log_of(const std::string& name) const;
    /// The number that NAME's log has right after `text`; fails the test when it never has.
    [[nodiscard]] std::uint16_t port_in_log(const std::string& name, const std::string& text) const;
    [[nodiscard]] bool wait_for_log(const std::string& name, const std::string& text,
                                    Deadline deadline) const;

    [[nodiscard]] std::vector<std::uint32_t> accepted_since(Clock::time_point from) const;
    [[nodiscard]] std::string id_of(std::uint32_t task) const;

    static constexpr double kRate = 200;
    /// Tasks within a second that count as the full rate; the least that a run has of them.
    static constexpr std::size_t kFullSecond = 160;
    /// Of the worker: enough for four times that rate, so that a busy machine is not the limit.
    static constexpr std::size_t kSlots = 8;

    std::string pool_ = "prefork";  ///< Of workers that are started from now on.
    sqlite::TestFolder folder_;
    TaskLedger ledger_;
    std::vector<TaskLedger::Fault> faults_;
    std::optional<Process> worker_;
    std::optional<Process> producer_;
    std::optional<Process> api_;

private:
    [[nodiscard]] std::string logs(
        std::size_t end_of_each = std::numeric_limits<std::size_t>::max()) const;

    Servers servers_;
    std::map<std::string, std::string> settings_;
    std::string run_;  ///< The first eight digits of this test's task ids.
};

}  // namespace lovage::chaos
