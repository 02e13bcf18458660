#pragma once

#include "process.hpp"

#include <lovage/clients/sqlite/connection.hpp>

#include <chrono>
#include <filesystem>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>

namespace lovage::integration {

/// SIGSTOP while nobody writes to the databases in `store`: a process that is stopped in the middle
/// of a transaction keeps SQLite's lock, and everybody waits. Returns when none of its threads
/// runs.
inline void stop_outside_a_transaction(const Process& process, const std::filesystem::path& store) {
    std::vector<std::unique_ptr<sqlite::Connection>> locks;
    for (const auto& file : std::filesystem::directory_iterator{store}) {
        if (file.path().extension() != ".sqlite3") continue;
        auto lock =
            sqlite::Connection::open(file.path(), {.busy_timeout = std::chrono::seconds{60}});
        ASSERT_TRUE(lock) << lock.error().message();
        ASSERT_TRUE((*lock)->script("BEGIN IMMEDIATE"));
        locks.push_back(std::move(*lock));
    }
    ASSERT_FALSE(locks.empty());
    process.signal(SIGSTOP);
    siginfo_t stopped{};
    const auto pid = static_cast<id_t>(process.pid());
    ASSERT_EQ(waitid(P_PID, pid, &stopped, WSTOPPED | WEXITED | WNOWAIT), 0);
    EXPECT_EQ(stopped.si_code, CLD_STOPPED);
}

}  // namespace lovage::integration
