// The SQLite broker between processes: some are killed, some are stopped, one has a full disk.

#include <lovage/brokers/sqlite/sqlite_broker.hpp>
#include <lovage/brokers/sqlite/store.hpp>
#include <lovage/brokers/test_client.hpp>
#include <lovage/clients/sqlite/connection.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>

#include <gmock/gmock.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <future>
#include <map>
#include <set>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::conformance {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Longer than any test waits: neither its end nor the renewals (every third of it) can be what
/// helped.
constexpr std::chrono::milliseconds kLongLease{600'000};

/// A running lovage_broker_peer; killed when it goes out of scope.
class Peer {
public:
    explicit Peer(std::vector<std::string> arguments) {
        std::array<int, 2> to{};
        std::array<int, 2> from{};
        EXPECT_EQ(pipe2(to.data(), O_CLOEXEC), 0);
        EXPECT_EQ(pipe2(from.data(), O_CLOEXEC), 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
        std::string program = LOVAGE_BROKER_PEER;
        std::vector<char*> argv{program.data()};
        for (std::string& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        ::close(to[0]);
        ::close(from[1]);
        input_ = to[1];
        output_ = from[0];
    }
    ~Peer() {
        if (pid_ > 0) kill(SIGKILL);
        end_input();
        ::close(output_);
    }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void signal(int number) const { ::kill(pid_, number); }
    void kill(int number) {
        signal(number);
        (void)wait();
    }
    /// SIGSTOP, and waits until none of its threads runs: the signal alone is for one thread, which
    /// stops the others when it is scheduled.
    void stop() const {
        signal(SIGSTOP);
        int status = 0;
        EXPECT_EQ(waitpid(pid_, &status, WUNTRACED), pid_);
        EXPECT_TRUE(WIFSTOPPED(status));
    }
    int wait() {
        int status = 0;
        waitpid(std::exchange(pid_, -1), &status, 0);
        return status;
    }
    void tell(const std::string& line) const {
        EXPECT_EQ(write(input_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    }
    void end_input() {
        if (input_ >= 0) ::close(std::exchange(input_, -1));
    }
    [[nodiscard]] int output() const { return output_; }

    /// The next line; empty at the end of its output or after 30 seconds.
    std::string line() {
        const Deadline limit = soon();
        while (true) {
            if (auto line = buffered_line(); !line.empty()) return line;
            if (limit.passed() || !read_some(100ms)) return {};
        }
    }
    /// A line that has arrived already, else nothing.
    std::string buffered_line() {
        const auto end = text_.find('\n');
        if (end == std::string::npos) return {};
        std::string line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return line;
    }
    /// False at the end of its output.
    bool read_some(std::chrono::milliseconds patience) {
        pollfd entry{.fd = output_, .events = POLLIN, .revents = 0};
        if (poll(&entry, 1, static_cast<int>(patience.count())) <= 0) return true;
        std::array<char, 4096> bytes;
        const ssize_t got = read(output_, bytes.data(), bytes.size());
        if (got <= 0) return false;
        text_.append(bytes.data(), static_cast<std::size_t>(got));
        return true;
    }

private:
    pid_t pid_ = -1;
    int input_ = -1;
    int output_ = -1;
    std::string text_;
};

class SqliteProcesses : public ::testing::Test {
protected:
    [[nodiscard]] std::string folder() const { return folder_.path() / "broker"; }
    std::unique_ptr<TestClient> client(std::chrono::milliseconds lease = 15s) {
        return client(lease, lease / 3);
    }
    std::unique_ptr<TestClient> client(std::chrono::milliseconds lease,
                                       std::chrono::milliseconds renew_every) {
        return std::make_unique<TestClient>([&](Executor executor) {
            return make_sqlite_broker(
                std::move(executor),
                {.folder = folder(), .lease = lease, .renew_every = renew_every});
        });
    }
    [[nodiscard]] std::vector<std::string> arguments(std::string mode, std::size_t count = 0,
                                                     std::chrono::milliseconds lease = 15s) const {
        return {folder(), std::to_string(lease.count()), std::move(mode), "q",
                std::to_string(count)};
    }
    void send_many(TestClient& client, int count) {
        for (int i = 0; i < count; ++i) client.send("q", std::to_string(i));
    }

    /// A process that is stopped inside a transaction keeps SQLite's write lock, and everybody
    /// waits.
    void stop_outside_a_transaction(const Peer& peer) const {
        auto connection = sqlite::Connection::open(folder() + "/broker.sqlite3");
        ASSERT_TRUE(connection);
        ASSERT_TRUE((*connection)->script("BEGIN IMMEDIATE"));
        peer.stop();
        ASSERT_TRUE((*connection)->script("ROLLBACK"));
    }
    /// What the others do with a peer that died or stopped.
    void take_everybody_for_dead() const {
        using namespace sqlite_broker;
        auto connection = sqlite::Connection::open(folder() + "/broker.sqlite3");
        ASSERT_TRUE(connection);
        ASSERT_TRUE((*connection)->script("BEGIN IMMEDIATE"));
        for (const std::string& peer : peer_names(**connection).value()) {
            EXPECT_TRUE(remove_peer(**connection, peer, Now::read()));
        }
        ASSERT_TRUE((*connection)->script("COMMIT"));
    }

    sqlite::TestFolder folder_;
};

TEST_F(SqliteProcesses, WhatAKilledProcessHeldComesBackLongBeforeItsLeaseEnds) {
    const auto here = client(kLongLease);
    here->queue("q");
    send_many(*here, 3);
    Peer holder{arguments("hold", 2, kLongLease)};
    ASSERT_EQ(holder.line(), "holding");
    const auto heir = here->consume({"q"}, 5);
    EXPECT_EQ(heir->receive_one().message.body, "2");

    auto waiting = here->start(heir->consumer().receive(soon()));
    holder.kill(SIGKILL);
    const auto got = waiting.get();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(bodies(*got), (std::vector<std::string>{"0", "1"}));
    EXPECT_TRUE(got->front().redelivered);
}

TEST_F(SqliteProcesses, WhatADeadProcessHeldIsFoundByTheNextThatComes) {
    {
        const auto here = client();
        here->queue("q");
        send_many(*here, 2);
    }
    {
        Peer holder{arguments("hold", 2)};
        ASSERT_EQ(holder.line(), "holding");
        holder.kill(SIGKILL);  // nobody is there to notice
    }
    const auto here = client();
    EXPECT_EQ(here->status("q").unsettled, 2U);
    const auto heir = here->consume({"q"}, 2);
    EXPECT_EQ(heir->receive_many(2).size(), 2U);
}

TEST_F(SqliteProcesses, AStoppedProcessLosesItsDeliveriesAtTheEndOfItsLease) {
    constexpr auto kLease = 4500ms;
    // Looks as often as the holder renews, but does not lose its own lease to a slow disk.
    const auto here = client(kLongLease, kLease / 3);
    here->queue("q");
    send_many(*here, 2);
    Peer holder{arguments("hold", 2, kLease)};
    ASSERT_EQ(holder.line(), "holding");
    const auto heir = here->consume({"q"}, 5);
    EXPECT_EQ(heir->receive(Deadline::in(kLease * 3 / 2)).error().code, Errc::deadline_exceeded)
        << "a process that moves renews its lease";
    auto waiting = here->start(heir->consumer().receive(soon()));
    stop_outside_a_transaction(holder);
    const auto got = waiting.get();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->size(), 2U);

    holder.signal(SIGCONT);
    EXPECT_EQ(holder.line(), "lost");
    holder.tell("ack\n");
    EXPECT_EQ(holder.line(), "stale 2");
    holder.end_input();
    EXPECT_EQ(here->status("q").unsettled, 2U)
        << "its late acks must not touch the heir's deliveries";
    heir->ack_all(*got);
    EXPECT_EQ(here->status("q").unsettled, 0U);
    EXPECT_EQ(heir->consumer().stale_settlements(), 0U);
}

TEST_F(SqliteProcesses, AConsumerIsToldThatItsLeaseWasLostAndThenGoesOn) {
    const auto here = client(kLongLease);
    here->queue("q");
    send_many(*here, 2);
    const auto consumer = here->consume({"q"}, 5);
    const auto held = consumer->receive_many(2);
    take_everybody_for_dead();
    auto waiting = here->start(consumer->consumer().receive(soon()));
    here->send("q", "2");  // the claim of this one finds out
    const auto told = waiting.get();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::disconnected);
    EXPECT_THAT(told.error().detail, HasSubstr("the lease was lost"));

    const auto again = consumer->receive_many(3);
    EXPECT_EQ(bodies(again), (std::vector<std::string>{"0", "1", "2"}));
    consumer->ack_all(held);
    EXPECT_EQ(consumer->consumer().stale_settlements(), 2U);
    consumer->ack_all(again);
    EXPECT_EQ(here->status("q").unsettled, 0U);
}

TEST_F(SqliteProcesses, ALeaseFoundLostAtItsRenewalIsTakenAgainAtOnce) {
    constexpr auto kRenewEvery = 5s;
    const auto here = client(kLongLease, kRenewEvery);
    here->queue("q");
    send_many(*here, 1);
    const auto consumer = here->consume({"q"}, 5);
    (void)consumer->receive_one();
    take_everybody_for_dead();  // nothing tells of it but the renewal
    const auto told = consumer->receive();
    ASSERT_FALSE(told);
    EXPECT_EQ(told.error().code, Errc::disconnected);
    const auto again = consumer->receive(Deadline::in(kRenewEvery - 500ms));
    EXPECT_TRUE(again) << "it waited for the next renewal: " << again.error().message();
}

TEST_F(SqliteProcesses, ABrokerWhoseFolderWasRemovedRefusesMessagesAndTellsItsConsumers) {
    const auto here = client(kLongLease, 500ms);
    here->queue("q");
    const auto consumer = here->consume({"q"}, 1);
    ASSERT_TRUE(consumer->nothing_comes());
    auto waiting = here->start(consumer->consumer().receive(soon()));
    std::filesystem::remove_all(folder());
    const auto refused = here->publish({.routing_key = "q", .message = {.body = "lost"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unavailable);
    EXPECT_THAT(refused.error().detail, HasSubstr("restart this program"));
    EXPECT_EQ(waiting.get().error().code, Errc::unavailable);
    EXPECT_FALSE(std::filesystem::exists(folder()));
}

TEST_F(SqliteProcesses, ClosingTheBrokerEndsWhatIsUnderWay) {
    for (int round = 0; round < 20; ++round) {
        const auto here = client();
        here->queue("q");
        std::vector<std::future<Result<std::unique_ptr<Consumer>>>> consumers;
        std::vector<std::future<Result<void>>> others;
        // Some are over before close() begins, some are not.
        for (int i = 0; i < 4; ++i) {
            consumers.push_back(here->start(here->broker().consume({.queues = {"q"}}, soon())));
            others.push_back(here->start(
                here->broker().declare_queue({.name = "mine", .exclusive = true}, soon())));
            others.push_back(here->start(
                here->broker().publish({.routing_key = "q", .message = {.body = "x"}}, soon())));
        }
        here->close();
        for (auto& other : others) {
            const auto outcome = other.get();
            if (!outcome) {
                EXPECT_THAT(outcome.error().code,
                            AnyOf(Errc::disconnected, Errc::closed, Errc::unknown_outcome));
            }
        }
        for (auto& consumer : consumers) {
            auto opened = consumer.get();
            here->on_loop([&] {
                if (opened) opened->reset();
            });
        }
    }
}

TEST_F(SqliteProcesses, NothingIsLostOrDoubledBetweenWorkersOneOfWhichIsKilled) {
    constexpr std::size_t kCount = 600;
    const auto here = client();
    here->queue("q");
    std::vector<std::unique_ptr<Peer>> workers;
    for (int i = 0; i < 3; ++i) {
        workers.push_back(std::make_unique<Peer>(arguments("work")));
        ASSERT_EQ(workers.back()->line(), "ready");
    }
    std::thread sender{[&] { send_many(*here, kCount); }};
    std::map<std::string, int> done;
    const auto note_lines = [&](Peer& peer) {
        for (auto line = peer.buffered_line(); !line.empty(); line = peer.buffered_line()) {
            EXPECT_THAT(line, StartsWith("done "));
            ++done[line];
        }
    };
    const auto note_rest = [&](Peer& peer) {
        while (peer.read_some(1000ms)) note_lines(peer);
        note_lines(peer);
    };

    Peer& victim = *workers.front();
    while (done.size() < 50) {  // the victim is at work
        ASSERT_TRUE(victim.read_some(1000ms));
        note_lines(victim);
    }
    victim.kill(SIGKILL);
    note_rest(victim);
    sender.join();
    const Deadline limit = soon();
    for (auto status = here->status("q"); status.ready + status.unsettled > 0 && !limit.passed();
         status = here->status("q")) {
        for (std::size_t i = 1; i < workers.size(); ++i) {
            (void)workers[i]->read_some(1ms);
            note_lines(*workers[i]);
        }
    }
    const QueueStatus status = here->status("q");
    EXPECT_EQ(status.ready, 0U);
    EXPECT_EQ(status.unsettled, 0U);
    for (std::size_t i = 1; i < workers.size(); ++i) {
        workers[i]->end_input();
        note_rest(*workers[i]);
        EXPECT_EQ(workers[i]->wait(), 0);
    }
    // An ack is durable before it is said, so nobody else does what was said to be done.
    for (const auto& [line, times] : done) EXPECT_EQ(times, 1) << line;
    // Only what the victim had acked without having said so is in no line: at most its prefetch.
    EXPECT_GE(done.size(), kCount - 10);
    EXPECT_LE(done.size(), kCount);
}

TEST_F(SqliteProcesses, EveryConfirmedMessageSurvivesTheDeathOfItsPublisher) {
    {
        const auto here = client();
        here->queue("q");
    }
    int confirmed = -1;
    {
        Peer publisher{arguments("publish", 1'000'000)};
        while (confirmed < 200) {
            const std::string line = publisher.line();
            ASSERT_THAT(line, StartsWith("sent "));
            confirmed = std::stoi(line.substr(5));
        }
        publisher.signal(SIGKILL);
        while (publisher.read_some(1000ms)) {
        }
        for (std::string line = publisher.buffered_line(); !line.empty();
             line = publisher.buffered_line()) {
            confirmed = std::stoi(line.substr(5));
        }
    }
    const auto here = client();
    const QueueStatus status = here->status("q");
    EXPECT_GE(status.ready, static_cast<std::uint64_t>(confirmed) + 1);
    EXPECT_LE(status.ready, static_cast<std::uint64_t>(confirmed) + 2)
        << "at most one was unconfirmed";
    const auto consumer = here->consume({"q"}, 1);
    for (const char* body : {"0", "1", "2"}) {
        const Delivery got = consumer->receive_one();
        EXPECT_EQ(got.message.body, body);
        consumer->ack(got);
    }
}

TEST_F(SqliteProcesses, AWaitingConsumerHearsOfTheMessageOfAnotherProcess) {
    const auto here = client(kLongLease);
    here->queue("q");
    const auto consumer = here->consume({"q"}, 1);
    ASSERT_TRUE(consumer->nothing_comes());
    auto waiting = here->start(consumer->consumer().receive(soon()));
    Peer publisher{arguments("publish", 1)};
    const auto got = waiting.get();
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(publisher.wait(), 0);
}

TEST_F(SqliteProcesses, AFullDiskRefusesMessagesAndLetsThemBeSettled) {
    Peer filler{{"16384", "0", "fill", "q", "0"}};
    const std::string first = filler.line();
    if (first == "cannot mount") GTEST_SKIP() << "this needs the right to mount a file system";
    EXPECT_THAT(first, StartsWith("refused unavailable: "));
    EXPECT_THAT(first, HasSubstr("disk is full"));
    EXPECT_THAT(filler.line(), StartsWith("accepted "));
    EXPECT_THAT(filler.line(), StartsWith("settled "));
    EXPECT_EQ(filler.line(), "accepted again");
    EXPECT_EQ(filler.wait(), 0);
}

TEST_F(SqliteProcesses, AFileOfANewerLovageIsRefusedByNameAndVersion) {
    {
        const auto here = client();
    }
    {
        auto connection = sqlite::Connection::open(folder() + "/broker.sqlite3");
        ASSERT_TRUE(connection);
        ASSERT_TRUE((*connection)->script("PRAGMA user_version = 99"));
    }
    Loop loop{"test"};
    loop.start();
    const auto broker = make_sqlite_broker(loop.executor(), {.folder = folder()});
    const auto refused = loop.run_blocking(broker->connect(soon()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::malformed);
    EXPECT_THAT(refused.error().detail, HasSubstr("broker.sqlite3' has broker schema version 99"));
}

}  // namespace
}  // namespace lovage::conformance
