#pragma once

#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace lovage::integration {

/// What tasks wrote down themselves (ledger_app.cpp): the truth that Lovage's own records are
/// compared with.
class Ledger {
public:
    struct Entry {
        std::string event;  ///< "start", "end", "stopped", "accepted"
        std::string key;
        pid_t pid = 0;
        std::chrono::nanoseconds time{};  ///< Monotonic clock.
    };

    /// Makes the file.
    explicit Ledger(std::filesystem::path file);
    ~Ledger();
    Ledger(const Ledger&) = delete;
    Ledger& operator=(const Ledger&) = delete;

    [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }
    /// Everything written so far.
    [[nodiscard]] const std::vector<Entry>& read();
    /// How often `event` was written, for one key or for all.
    [[nodiscard]] std::size_t count(std::string_view event);
    [[nodiscard]] std::size_t count(std::string_view event, std::string_view key);
    /// The entries of one event by key, in the order written.
    [[nodiscard]] std::map<std::string, std::vector<Entry>> by_key(std::string_view event);

    /// Waits until `condition` holds, looking again whenever something is written, and every 50 ms
    /// for what is not in the ledger; false at the deadline.
    [[nodiscard]] bool wait_until(const std::function<bool()>& condition, Deadline deadline);
    /// Waits for an event of a key.
    [[nodiscard]] bool wait_for(std::string_view event, std::string_view key, Deadline deadline);

    /// Lets the "ledger.hold" task of that key go on.
    void open_gate(const std::string& key) const;

private:
    std::filesystem::path file_;
    std::vector<Entry> entries_;
    std::string rest_;  ///< An incomplete line.
    int descriptor_ = -1;
    int inotify_ = -1;
};

/// Now, on the ledger's clock.
[[nodiscard]] std::chrono::nanoseconds monotonic_now();

}  // namespace lovage::integration
