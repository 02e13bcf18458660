#include "task_ledger.hpp"

#include <lovage/clients/sqlite/test_folder.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::testing_support {
namespace {

using Event = TaskLedger::Event;
using std::chrono_literals::operator""s;
using testing::ElementsAre;
using testing::IsEmpty;

class Ledger : public testing::Test {
protected:
    void note(std::uint32_t task, std::initializer_list<Event> events) {
        for (const Event event : events) ledger_.note(event, task);
    }

    sqlite::TestFolder folder_;
    std::filesystem::path file_ = folder_.path() / "ledger";
    TaskLedger ledger_ = TaskLedger::create(file_, 10, 1000);
};

TEST_F(Ledger, FindsNothingWrongWithWhatIsAcceptedAndDone) {
    note(0, {Event::sending, Event::accepted, Event::started, Event::effect});
    // The worker may be faster than the producer's confirm.
    note(1, {Event::sending, Event::started, Event::effect, Event::accepted});
    note(2, {Event::sending, Event::rejected});
    note(3, {Event::sending, Event::unknown});
    note(4, {Event::sending, Event::unknown, Event::started, Event::effect});
    const auto report = ledger_.check();
    EXPECT_TRUE(report.holds()) << report;
    EXPECT_EQ(report.describe(),
              "5 attempted, 2 accepted, 1 rejected, 2 unknown, 3 ran, 1 recovered, 0 lost, "
              "0 unexpected, 0 run more than once, 0 of them without a fault");
}

TEST_F(Ledger, FindsLossesAndGhosts) {
    note(0, {Event::accepted});
    note(1, {Event::accepted, Event::started});
    note(2, {Event::rejected, Event::started, Event::effect});
    note(3, {Event::started, Event::effect});
    const auto report = ledger_.check();
    EXPECT_FALSE(report.holds());
    EXPECT_THAT(report.lost, ElementsAre(0, 1));
    EXPECT_THAT(report.ghosts, ElementsAre(2, 3));
}

TEST_F(Ledger, TakesTheSendsOfAKilledProducerForUnknown) {
    note(0, {Event::sending, Event::started, Event::effect});
    note(1, {Event::sending});
    const auto report = ledger_.check();
    EXPECT_TRUE(report.holds()) << report;
    EXPECT_EQ(report.attempted, 2);
    EXPECT_EQ(report.unknown, 2);
    EXPECT_EQ(report.recovered, 1);
}

TEST_F(Ledger, KeepsAnAcceptanceAgainstLaterDoubt) {
    note(0, {Event::unknown, Event::accepted, Event::unknown, Event::rejected});
    EXPECT_TRUE(ledger_.accepted(0));
    EXPECT_THAT(ledger_.check().lost, ElementsAre(0));
}

TEST_F(Ledger, WantsAFaultForEveryRepeat) {
    const auto before = TaskLedger::Clock::now();
    note(0, {Event::sending, Event::started, Event::started, Event::effect});
    const auto after = TaskLedger::Clock::now();
    note(1, {Event::sending, Event::started, Event::started, Event::started, Event::effect});

    EXPECT_THAT(ledger_.check().unexplained, ElementsAre(0, 1));
    EXPECT_THAT(ledger_.check().repeats, ElementsAre(0, 1));
    const std::array early{TaskLedger::Fault{.begin = before, .end = after}};
    EXPECT_THAT(ledger_.check(early).unexplained, ElementsAre(1));
    const std::array both{early[0],
                          TaskLedger::Fault{.begin = after, .end = TaskLedger::Clock::now()}};
    EXPECT_TRUE(ledger_.check(both).holds());
    const std::array later{TaskLedger::Fault{.begin = TaskLedger::Clock::now() + 1s,
                                             .end = TaskLedger::Clock::now() + 2s}};
    EXPECT_THAT(ledger_.check(later).unexplained, ElementsAre(0, 1));
}

TEST_F(Ledger, ExplainsByWhomAFaultBefell) {
    // Both slots of worker 71 ran one task each; both ran again.
    TaskLedger slot = TaskLedger::open(file_);
    slot.set_worker(71);
    const auto begin = TaskLedger::Clock::now();
    slot.note(Event::sending, 0);
    slot.note(Event::started, 0);
    slot.note(Event::started, 0);
    note(1, {Event::sending, Event::started, Event::started});
    const auto end = TaskLedger::Clock::now();
    const auto of = [&](pid_t process) {
        return std::array{TaskLedger::Fault{.begin = begin, .end = end, .processes = {process}}};
    };
    EXPECT_THAT(ledger_.check(of(71)).unexplained, ElementsAre(1)) << "the other is no slot of it";
    EXPECT_THAT(ledger_.check(of(getpid())).unexplained, IsEmpty());
    EXPECT_THAT(ledger_.check(of(72)).unexplained, ElementsAre(0, 1));
    EXPECT_EQ(ledger_.trace()[0].worker, 71);
    EXPECT_EQ(ledger_.trace()[3].worker, getpid());
}

TEST_F(Ledger, ExplainsByWhoRanAStepBefore) {
    // Both run twice after the fault, elsewhere; a step of the first was run by whom it befell.
    TaskLedger befallen = TaskLedger::open(file_);
    befallen.set_worker(4711);
    note(0, {Event::sending});
    befallen.note(Event::step, 0);
    note(1, {Event::sending});
    const auto now = TaskLedger::Clock::now();
    note(0, {Event::started, Event::started});
    note(1, {Event::step, Event::started, Event::started});
    const std::array faults{TaskLedger::Fault{now, now + 10s, {4711}}};
    const auto report = ledger_.check(faults);
    EXPECT_THAT(report.repeats, ElementsAre(0, 1));
    EXPECT_THAT(report.unexplained, ElementsAre(1));
}

TEST_F(Ledger, ExplainsResendsByTasksThatWereSentAgain) {
    const auto begin = TaskLedger::Clock::now();
    note(0, {Event::sending, Event::unknown, Event::sending, Event::started, Event::started});
    note(1, {Event::sending, Event::started, Event::started, Event::sending});
    const std::array fault{TaskLedger::Fault{
        .begin = begin, .end = TaskLedger::Clock::now(), .processes = {}, .only_resent = true}};
    EXPECT_THAT(ledger_.check(fault).unexplained, ElementsAre(1));
}

TEST_F(Ledger, GivesEachTaskToOneProducer) {
    TaskLedger other = TaskLedger::open(file_);
    for (std::uint32_t task = 0; task < 10; task += 2) {
        EXPECT_EQ(ledger_.take_next(), task);
        EXPECT_EQ(other.take_next(), task + 1);
    }
    for (int more = 0; more < 3; ++more) EXPECT_EQ(other.take_next(), std::nullopt);
}

TEST_F(Ledger, GivesWhatIsOffered) {
    EXPECT_EQ(ledger_.take_next(), 0);
    EXPECT_EQ(ledger_.take_next(), 1);
    ledger_.offer(3);
    EXPECT_FALSE(ledger_.all_taken());
    EXPECT_EQ(ledger_.take_next(), 2);
    EXPECT_EQ(ledger_.take_next(), std::nullopt);
    EXPECT_EQ(ledger_.take_next(), std::nullopt);
    EXPECT_TRUE(ledger_.all_taken());
    EXPECT_EQ(ledger_.taken(), 3);
    ledger_.offer(10);
    EXPECT_EQ(ledger_.take_next(), std::nullopt);
}

TEST_F(Ledger, KeepsTotals) {
    note(0, {Event::sending, Event::accepted, Event::started, Event::effect, Event::effect});
    note(1, {Event::sending, Event::unknown, Event::started, Event::effect});
    EXPECT_EQ(ledger_.total(Event::sending), 2);
    EXPECT_EQ(ledger_.total(Event::accepted), 1);
    EXPECT_EQ(ledger_.total(Event::effect), 3);
    EXPECT_EQ(ledger_.done(), 2);
}

TEST_F(Ledger, SaysWhenItCannotExplain) {
    TaskLedger small = TaskLedger::create(folder_.path() / "small", 1, 1);
    small.note(Event::started, 0);
    small.note(Event::started, 0);
    const std::array always{TaskLedger::Fault{.begin = {}, .end = TaskLedger::Clock::now() + 9s}};
    EXPECT_EQ(small.check(always).untraced, 1);
    EXPECT_THAT(small.check(always).unexplained, ElementsAre(0));
}

TEST_F(Ledger, KeepsWhatAKilledProcessWroteAndWakesOthers) {
    ledger_.note(Event::accepted, 7);
    const pid_t child = fork();
    if (child == 0) {
        TaskLedger ledger = TaskLedger::open(file_);
        ledger.note(Event::started, 7);
        ledger.note(Event::effect, 7);
        raise(SIGKILL);
    }
    EXPECT_TRUE(ledger_.wait_for_effects(Deadline::in(20s)));
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    EXPECT_EQ(ledger_.started(7), 1);
    const auto trace = ledger_.trace();
    ASSERT_EQ(trace.size(), 3);
    EXPECT_EQ(trace[1].pid, child);
    EXPECT_EQ(trace[1].event, Event::started);
    EXPECT_LE(trace[0].time, trace[1].time);
}

TEST_F(Ledger, CountsWhatManyWriteAtOnce) {
    std::vector<std::thread> writers;
    for (int writer = 0; writer < 4; ++writer) {
        writers.emplace_back([&] {
            for (int round = 0; round < 40; ++round) ledger_.note(Event::effect, 3);
        });
    }
    for (auto& writer : writers) writer.join();
    EXPECT_EQ(ledger_.effects(3), 160);
    for (int more = 0; more < 200; ++more) ledger_.note(Event::effect, 3);
    EXPECT_EQ(ledger_.effects(3), 255);
}

TEST_F(Ledger, StopsWaitingAtTheDeadline) {
    ledger_.note(Event::accepted, 0);
    EXPECT_FALSE(ledger_.wait_for_effects(Deadline::in(std::chrono::milliseconds{20})));
}

TEST_F(Ledger, OpensOnlyLedgers) {
    std::ofstream{folder_.path() / "text"} << std::string(1000, 'x');
    EXPECT_THROW(std::ignore = TaskLedger::open(folder_.path() / "text"), std::runtime_error);
    EXPECT_THROW(std::ignore = TaskLedger::open(folder_.path() / "none"), std::runtime_error);
    EXPECT_THROW(std::ignore = TaskLedger::create(file_, 1), std::system_error);
}

}  // namespace
}  // namespace lovage::testing_support
