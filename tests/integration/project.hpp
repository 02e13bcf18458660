#pragma once

#include "ledger.hpp"
#include "process.hpp"

#include <lovage/app/app.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace lovage::integration {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LOVAGE_TEST_UNDER_TSAN
#endif
#endif
#ifdef LOVAGE_TEST_UNDER_TSAN
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

/// Nothing here takes that long unless it hangs.
inline constexpr std::chrono::seconds kPatience{60};
[[nodiscard]] inline Deadline soon() {
    return Deadline::in(kPatience);
}

/// What a command printed, and how it ended.
struct Output {
    Ending ending;
    std::string out;
    std::string err;
};

/// An empty folder with a broker, results and a ledger in it; an App in this process that sends
/// there; and worker processes of ledger_app. At the end every process must be gone.
class Project : public testing::Test {
protected:
    Project();
    ~Project() override;

    /// `name` is the node name's first part and that of its log file.
    [[nodiscard]] Process start_worker(const std::string& name, int slots = 2,
                                       std::map<std::string, std::string> environment = {});
    /// SIGTERM; the worker must exit with 0.
    void stop(Process& worker);
    /// Starts ledger_app with other arguments; its output goes to `name`.out and `name`.err.
    [[nodiscard]] Process start(const std::string& name, std::vector<std::string> arguments,
                                std::map<std::string, std::string> environment = {});
    /// The same with another program, such as one that starts ledger_app; its path comes first.
    [[nodiscard]] Process start_program(const std::string& name, std::vector<std::string> command,
                                        std::map<std::string, std::string> environment = {});
    /// Runs ledger_app with these arguments to its end.
    [[nodiscard]] Output run(std::vector<std::string> arguments);

    /// Sends "ledger.work".
    AsyncResult<Json> send_work(const std::string& key, int milliseconds = 0,
                                SendOptions options = {});
    /// Sends "ledger.hold", which works until ledger_.open_gate(key).
    AsyncResult<Json> send_hold(const std::string& key, bool heeds_stop = false);

    /// What is in the default queue, and with workers.
    [[nodiscard]] QueueStatus queue_status();
    /// The log of one process.
    [[nodiscard]] std::string log_of(const std::string& name) const;
    /// Where a worker or a beat serves health and metrics; 0 when it has not said so.
    [[nodiscard]] std::uint16_t own_port(const std::string& name) const;
    /// The end of every log, for messages of failing tests.
    [[nodiscard]] std::string logs() const;

    sqlite::TestFolder folder_;
    Ledger ledger_{folder_.path() / "ledger"};
    App app_;

private:
    int commands_ = 0;
};

}  // namespace lovage::integration
