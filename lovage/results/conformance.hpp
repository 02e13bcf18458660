#pragma once
// What every result backend and every state store must do. A driver's test file says how to open
// it:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, ResultConformance, testing::Values(ResultDriver{"memory",
//   make}));

#include <lovage/core/time.hpp>
#include <lovage/results/result_backend.hpp>
#include <lovage/results/state_store.hpp>
#include <lovage/runtime/loop.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace lovage::conformance {

/// A clock that moves only when told to. Thread-safe.
class ManualClock {
public:
    [[nodiscard]] TimePoint wall() const { return kStart + since_start_.load(); }
    [[nodiscard]] std::chrono::milliseconds since_boot() const {
        return std::chrono::hours{1} + since_start_.load();
    }
    void advance(std::chrono::milliseconds by) { since_start_ = since_start_.load() + by; }

private:
    static constexpr TimePoint kStart{std::chrono::sys_days{std::chrono::year{2026} / 11 / 21}};
    std::atomic<std::chrono::milliseconds> since_start_{};
};

struct ResultSettings {
    std::chrono::milliseconds result_expires;
    std::size_t result_bytes_max;
    std::function<TimePoint()> now;
};

/// One result store, empty at first, gone with this object.
class ResultStoreUnderTest {
public:
    virtual ~ResultStoreUnderTest() = default;
    /// A further connection, not connected yet.
    [[nodiscard]] virtual std::unique_ptr<ResultBackend> open(Executor executor,
                                                              ResultSettings settings) = 0;
    /// Stores SUCCESS with `result_json` from another process and waits for its end; false when the
    /// store belongs to one process.
    virtual bool store_from_another_process(const std::string& task_id,
                                            const std::string& result_json) {
        static_cast<void>(task_id);
        static_cast<void>(result_json);
        return false;
    }
};

struct ResultDriver {
    std::string name;
    std::function<std::unique_ptr<ResultStoreUnderTest>()> make_store;
    friend void PrintTo(const ResultDriver& driver, std::ostream* out) { *out << driver.name; }
};

/// One state store, empty at first, gone with this object.
class StateStoreUnderTest {
public:
    virtual ~StateStoreUnderTest() = default;
    /// A further connection; values larger than 64 KiB must be refused.
    [[nodiscard]] virtual std::unique_ptr<StateStore> open(Executor executor,
                                                           const ManualClock& clock) = 0;
    static constexpr std::size_t kValueBytesMax = std::size_t{64} << 10U;
};

struct StateDriver {
    std::string name;
    std::function<std::unique_ptr<StateStoreUnderTest>()> make_store;
    friend void PrintTo(const StateDriver& driver, std::ostream* out) { *out << driver.name; }
};

/// A backend on a loop and thread of its own, used by blocking calls.
class ResultConnection {
public:
    explicit ResultConnection(const std::function<std::unique_ptr<ResultBackend>(Executor)>& open);
    ~ResultConnection();

    void connect();
    void close();
    [[nodiscard]] Result<StoreOutcome> store(TaskMeta meta);
    [[nodiscard]] Result<std::optional<TaskMeta>> get(const std::string& task_id);
    /// Starts waiting; the future is ready when the wait ends.
    [[nodiscard]] std::future<Result<TaskMeta>> wait(const std::string& task_id, Deadline deadline);
    [[nodiscard]] Result<void> forget(const std::string& task_id);
    [[nodiscard]] Result<void> mark_sent(const std::string& task_id);
    [[nodiscard]] Result<bool> is_known(const std::string& task_id);
    [[nodiscard]] Result<void> start_chord(ChordStart chord);
    [[nodiscard]] Result<void> grow_chord(const std::string& group_id, const std::string& part_id);
    [[nodiscard]] Result<ChordReturns> add_chord_part(ChordPart part);
    [[nodiscard]] Result<void> end_chord(const std::string& group_id);
    [[nodiscard]] Result<std::vector<UnfinishedChord>> look_at_chords(ChordLook look);
    [[nodiscard]] Result<std::optional<Json>> chord_watch(const std::string& group_id);
    [[nodiscard]] Result<ChordReturns> take_chord(const std::string& group_id,
                                                  const std::string& taker,
                                                  std::optional<std::int64_t> returned = {});
    [[nodiscard]] Result<void> keep(const std::vector<std::string>& task_ids);
    [[nodiscard]] Result<std::vector<std::optional<TaskMeta>>> get_many(
        const std::vector<std::string>& task_ids);
    [[nodiscard]] Result<void> save_group(const std::string& group_id, Json result);
    [[nodiscard]] Result<std::optional<Json>> saved_group(const std::string& group_id);
    [[nodiscard]] Result<void> forget_group(const std::string& group_id);
    [[nodiscard]] Result<void> ping();
    [[nodiscard]] std::string display_url() const { return backend_->display_url(); }

private:
    Loop loop_{"results-test"};
    std::unique_ptr<ResultBackend> backend_;
};

class StateConnection {
public:
    explicit StateConnection(const std::function<std::unique_ptr<StateStore>(Executor)>& open);
    ~StateConnection();

    [[nodiscard]] Result<std::optional<StateEntry>> get(const std::string& key);
    [[nodiscard]] Result<std::uint64_t> set(
        const std::string& key, std::uint64_t expected, std::string value,
        std::optional<std::chrono::milliseconds> ttl = std::nullopt);
    [[nodiscard]] Result<void> erase(const std::string& key, std::uint64_t expected);
    /// The keys with that prefix; fails the test on errors.
    [[nodiscard]] std::vector<std::string> keys(const std::string& prefix, std::size_t limit = 100);

private:
    Loop loop_{"state-test"};
    std::unique_ptr<StateStore> store_;
};

class ResultConformance : public testing::TestWithParam<ResultDriver> {
protected:
    /// A connected connection on its own loop.
    [[nodiscard]] std::unique_ptr<ResultConnection> open();

    static constexpr std::chrono::milliseconds kExpires = std::chrono::hours{1};
    static constexpr std::size_t kBytesMax = std::size_t{16} << 20U;
    ManualClock clock_;
    std::unique_ptr<ResultStoreUnderTest> store_ = GetParam().make_store();
};

class StateConformance : public testing::TestWithParam<StateDriver> {
protected:
    [[nodiscard]] std::unique_ptr<StateConnection> open();

    ManualClock clock_;
    std::unique_ptr<StateStoreUnderTest> store_ = GetParam().make_store();
};

}  // namespace lovage::conformance
