#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/clients/sqlite/wake_file.hpp>
#include <lovage/runtime/loop.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <semaphore>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lovage::sqlite {
namespace {

using namespace std::chrono_literals;

/// A child process made by fork that runs `body` and then waits to be told to end. It only makes
/// system calls and simple C++ (no threads of the parent survive in it).
class Child {
public:
    template <class F>
    explicit Child(F body) {
        EXPECT_EQ(pipe(ready_.data()), 0);
        EXPECT_EQ(pipe(end_.data()), 0);
        pid_ = fork();
        if (pid_ == 0) {
            ::close(end_[1]);
            body();
            char byte = 'r';
            (void)!write(ready_[1], &byte, 1);
            (void)!read(end_[0], &byte, 1);
            _exit(0);
        }
        ::close(ready_[1]);
        ::close(end_[0]);
        char byte = 0;
        EXPECT_EQ(read(ready_[0], &byte, 1), 1);
    }
    ~Child() {
        kill(SIGKILL);
        ::close(ready_[0]);
        ::close(end_[1]);
    }
    void kill(int signal) {
        if (pid_ < 0) return;
        ::kill(pid_, signal);
        if (signal == SIGKILL) {
            waitpid(pid_, nullptr, 0);
            pid_ = -1;
        }
    }

private:
    std::array<int, 2> ready_{};
    std::array<int, 2> end_{};
    pid_t pid_ = -1;
};

class SqliteWake : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directory(peers_);
        auto opened = WakeFile::open(file_);
        ASSERT_TRUE(opened) << opened.error().message();
        wake_ = *opened;
        loop_.start();
        loop_.run_blocking(start());
    }
    void TearDown() override { loop_.run_blocking(stop()); }

    Awaitable<void> start() {
        auto watch = FolderWatch::open(
            loop_.executor(), wake_, peers_,
            {.woken = [this] { woken_.release(); },
             .peer_closed = [this](std::string peer) { closed_.set_value(std::move(peer)); }});
        EXPECT_TRUE(watch) << watch.error().message();
        watch_ = std::move(*watch);
        scope_.emplace(loop_.executor());
        scope_->spawn("watch", watch_->run());
        co_return;
    }
    Awaitable<void> stop() {
        scope_->request_stop();
        (void)co_await scope_->join(Deadline::in(5s));
        scope_.reset();
        watch_.reset();
    }

    TestFolder folder_;
    std::filesystem::path file_ = folder_.path() / "wake";
    std::filesystem::path peers_ = folder_.path() / "peers";
    Loop loop_{"test"};
    std::shared_ptr<WakeFile> wake_;
    std::unique_ptr<FolderWatch> watch_;
    std::optional<TaskScope> scope_;
    std::counting_semaphore<64> woken_{0};
    std::promise<std::string> closed_;
};

TEST_F(SqliteWake, ATouchWakesTheWatchersOfTheSameProcess) {
    wake_->touch();
    EXPECT_TRUE(woken_.try_acquire_for(10s));
}

TEST_F(SqliteWake, DoesNotBlameTheKernelsSettingForTheProcessesOwnLimit) {
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{.rlim_cur = STDERR_FILENO + 1, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto refused = FolderWatch::open(loop_.executor(), wake_, peers_, {});
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail,
                testing::AllOf(testing::HasSubstr("Too many open files"),
                               testing::Not(testing::HasSubstr("inotify"))));
}

/// What another process does: counts in the shared memory, then writes the byte behind it.
void touch_as_another_process(const std::filesystem::path& file, int times) {
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_GE(descriptor, 0);
    std::uint64_t counter = 0;
    ASSERT_EQ(pread(descriptor, &counter, sizeof(counter), 0), 8);
    counter += static_cast<std::uint64_t>(times);
    if (times > 0) ASSERT_EQ(pwrite(descriptor, &counter, sizeof(counter), 0), 8);
    ASSERT_EQ(pwrite(descriptor, "x", 1, sizeof(counter)), 1);
    ::close(descriptor);
}

TEST_F(SqliteWake, ATouchByAnotherProcessWakes) {
    touch_as_another_process(file_, 1);
    EXPECT_TRUE(woken_.try_acquire_for(10s));
}

TEST_F(SqliteWake, OwnTouchesDoNotComeBackThroughTheKernel) {
    // The event of our own write carries no new count by others, so only the last of three writes
    // wakes again.
    wake_->touch();
    EXPECT_TRUE(woken_.try_acquire_for(10s));
    touch_as_another_process(file_, 0);
    touch_as_another_process(file_, 1);
    EXPECT_TRUE(woken_.try_acquire_for(10s));
    EXPECT_FALSE(woken_.try_acquire());
}

TEST_F(SqliteWake, IsOneObjectForOneFile) {
    EXPECT_EQ(WakeFile::open(folder_.path() / "." / "wake").value(), wake_);
}

TEST_F(SqliteWake, AKilledPeerIsNoticedAndItsLockIsFree) {
    auto closed = closed_.get_future();
    std::optional<PeerLock> never_dropped;
    Child child{[&] {
        auto lock = PeerLock::create(peers_, "17");
        if (!lock) _exit(1);
        never_dropped.emplace(std::move(*lock));
    }};
    EXPECT_TRUE(peer_is_alive(peers_, "17"));
    child.kill(SIGSTOP);
    EXPECT_TRUE(peer_is_alive(peers_, "17"));
    child.kill(SIGKILL);
    ASSERT_EQ(closed.wait_for(10s), std::future_status::ready);
    EXPECT_EQ(closed.get(), "17");
    EXPECT_FALSE(peer_is_alive(peers_, "17"));
    EXPECT_TRUE(std::filesystem::exists(peers_ / "17.lock"));
    forget_peer(peers_, "17");
    EXPECT_FALSE(std::filesystem::exists(peers_ / "17.lock"));
}

TEST_F(SqliteWake, APeerThatLeavesRemovesItsLockFile) {
    {
        const auto lock = PeerLock::create(peers_, "18");
        ASSERT_TRUE(lock);
        EXPECT_TRUE(peer_is_alive(peers_, "18"));
    }
    EXPECT_FALSE(peer_is_alive(peers_, "18"));
    EXPECT_FALSE(std::filesystem::exists(peers_ / "18.lock"));
}

}  // namespace
}  // namespace lovage::sqlite
