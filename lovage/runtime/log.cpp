#include <lovage/runtime/log.hpp>

#include <lovage/runtime/detail/log_format.hpp>

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

namespace lovage::log {

namespace {

/// Lines that may wait for a slow terminal or pipe before the oldest are given up. spdlog allocates
/// the slots at once, some 350 bytes each.
constexpr std::size_t kQueuedLinesMax = 1024;
/// How long flush() waits for a terminal that takes nothing.
constexpr std::chrono::seconds kFlushPatience{2};
/// How long the writer's thread rests after a write that was soon followed by another: the lines of
/// that time then travel in one write, and nobody has to wake the thread for each of them.
constexpr std::chrono::microseconds kGatherTime{1000};
/// Gathered lines are written when they are that many bytes.
constexpr std::size_t kGatherBytesMax = std::size_t{64} << 10U;
/// At most one line about lost lines in this time.
constexpr std::chrono::seconds kLossReportInterval{1};

enum class Style : std::uint8_t { text, colored_text, json };

/// Writes everything to standard error. False when it cannot be written (closed, disk full).
bool write_all(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
            ::poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

void append_line(std::string& out, Style style, const detail::Record& record) {
    if (style == Style::json) {
        detail::append_json_line(out, record);
    } else {
        detail::append_text_line(out, record, style == Style::colored_text);
    }
}

/// The far end of spdlog's queue, called on its thread only: payloads are complete lines. Lines
/// that follow each other closely are written together.
class StderrSink final : public spdlog::sinks::sink {
public:
    StderrSink() = default;
    StderrSink(const StderrSink&) = delete;
    StderrSink& operator=(const StderrSink&) = delete;
    /// The queue's end may have been what more_wait_() saw.
    ~StderrSink() override { write_gathered(); }

    /// `more_wait` tells whether lines wait in the queue.
    void set_queue(std::function<bool()> more_wait) { more_wait_ = std::move(more_wait); }

    void log(const spdlog::details::log_msg& line) override {
        gathered_.append(line.payload.data(), line.payload.size());
        ++gathered_lines_;
        if (gathered_.size() < kGatherBytesMax && more_wait_()) return;
        const bool in_a_rush = gathered_lines_ > 1 || Clock::now() - last_write_ < 2 * kGatherTime;
        write_gathered();
        if (in_a_rush && !hurry_) std::this_thread::sleep_for(kGatherTime);
        last_write_ = Clock::now();
    }
    void flush() override {}
    void set_pattern(const std::string& /*pattern*/) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

    [[nodiscard]] std::uint64_t failed() const {
        const std::lock_guard lock{mutex_};
        return failed_;
    }
    /// Waits until `count` lines have been handled, at most `patience`.
    bool wait_for(std::uint64_t count, std::chrono::milliseconds patience) {
        hurry_ = true;
        std::unique_lock lock{mutex_};
        return progress_.wait_for(lock, patience, [&] { return handled_ >= count; });
    }

private:
    using Clock = std::chrono::steady_clock;

    void write_gathered() {
        const bool written = write_all(gathered_);
        {
            const std::lock_guard lock{mutex_};
            handled_ += gathered_lines_;
            if (!written) failed_ += gathered_lines_;
            progress_.notify_all();
        }
        gathered_.clear();
        gathered_lines_ = 0;
    }

    // The writer's thread only.
    std::function<bool()> more_wait_;
    std::string gathered_;
    std::uint64_t gathered_lines_ = 0;
    Clock::time_point last_write_;

    std::atomic<bool> hurry_{false};  ///< The program is ending.
    mutable std::mutex mutex_;
    std::condition_variable progress_;
    std::uint64_t handled_ = 0;
    std::uint64_t failed_ = 0;
};

/// The background writer: spdlog's bounded queue, its one thread and our sink.
class Writer {
public:
    Writer() {
        // Signals belong to the program's own threads.
        pool_ = std::make_shared<spdlog::details::thread_pool>(kQueuedLinesMax, 1, [] {
            sigset_t all;
            sigfillset(&all);
            pthread_sigmask(SIG_BLOCK, &all, nullptr);
            pthread_setname_np(pthread_self(), "log");
        });
        sink_->set_queue([queue = pool_.get()] { return queue->queue_size() > 0; });
        logger_ = std::make_shared<spdlog::async_logger>(
            "lovage", sink_, pool_, spdlog::async_overflow_policy::overrun_oldest);
    }

    void post(std::string_view line) {
        ++posted_;
        logger_->log(spdlog::level::info, spdlog::string_view_t{line.data(), line.size()});
    }
    /// True when everything posted so far was written or given up in time.
    bool drain() { return sink_->wait_for(posted_ - pool_->overrun_counter(), kFlushPatience); }
    [[nodiscard]] std::uint64_t lost() const { return pool_->overrun_counter() + sink_->failed(); }

private:
    std::shared_ptr<StderrSink> sink_ = std::make_shared<StderrSink>();
    std::atomic<std::uint64_t> posted_{0};
    std::shared_ptr<spdlog::async_logger> logger_;
    // Goes first: its thread must not be the one that drops the last reference to the logger.
    std::shared_ptr<spdlog::details::thread_pool> pool_;
};

/// The process-wide log. Never destroyed: other threads and static destructors may still write.
class ProcessLog {
public:
    ProcessLog() { set({}); }

    static ProcessLog& instance() {
        static auto* const log = new ProcessLog;
        return *log;
    }

    void configure(const Options& options) {
        if (!options.background) flush();
        const std::lock_guard lock{mutex_};
        set(options);
        if (options.background) ensure_writer();
    }

    Options options() {
        const std::lock_guard lock{mutex_};
        Options known = options_;
        known.level = level.load(std::memory_order_relaxed);
        return known;
    }

    void forward(std::string_view lines) {
        const Destination to = destination();
        if (to.writer) {
            to.writer->post(lines);
        } else if (to.stuck || !write_all(lines)) {
            ++lost_without_writer_;
        }
    }

    void write(detail::Record record) {
        const Destination to = destination();
        const std::string line = make_line(to, record);
        if (to.writer) {
            to.writer->post(line);
            if (const std::uint64_t lost = loss_to_report(); lost != 0) {
                to.writer->post(loss_line(to, lost));
            }
        } else if (to.stuck || !write_all(line)) {
            ++lost_without_writer_;
        }
    }

    void flush() {
        std::shared_ptr<Writer> writer;
        {
            const std::lock_guard lock{mutex_};
            writer = std::move(writer_);
            flushed_ = true;
        }
        if (!writer) return;
        const bool drained = writer->drain();
        std::uint64_t lost = 0;
        {
            const std::lock_guard lock{mutex_};
            lost = lost_before_ += writer->lost();
            // The thread sits in write(2) and cannot be joined: it is left to the end of the
            // process.
            if (!drained) stuck_writer_ = std::move(writer);
        }
        if (drained && lost > lost_reported_ && write_all(loss_line(destination(), lost))) {
            lost_reported_ = lost;
        }
    }

    [[nodiscard]] std::uint64_t lost() {
        const std::lock_guard lock{mutex_};
        return lost_before_ + lost_without_writer_ + (writer_ ? writer_->lost() : 0);
    }

    std::atomic<Level> level{Level::info};

private:
    struct Destination {
        std::shared_ptr<Writer> writer;
        Style style;
        std::string service_name;
        bool stuck;
    };

    Destination destination() {
        const std::lock_guard lock{mutex_};
        if (!flushed_ && options_.background) ensure_writer();
        return {writer_, style_, options_.service_name, stuck_writer_ != nullptr};
    }

    void set(const Options& options) {
        const bool terminal = options.terminal.value_or(::isatty(STDERR_FILENO) == 1);
        const bool json =
            options.format == Format::json || (options.format == Format::automatic && !terminal);
        options_ = options;
        options_.format = json ? Format::json : Format::text;
        options_.terminal = terminal;
        if (json) {
            style_ = Style::json;
        } else {
            style_ = options.color && terminal ? Style::colored_text : Style::text;
        }
        level.store(options.level, std::memory_order_relaxed);
    }

    void ensure_writer() {
        if (writer_ || stuck_writer_) return;
        writer_ = std::make_shared<Writer>();
        flushed_ = false;
        if (!at_exit_registered_) std::atexit([] { instance().flush(); });
        at_exit_registered_ = true;
    }

    /// All lines lost so far, when there are new ones and the last report is long enough ago; else
    /// 0. The report may be lost itself, which is why each one tells the whole number.
    std::uint64_t loss_to_report() {
        const std::uint64_t now_lost = lost();
        const auto now = std::chrono::steady_clock::now();
        const std::lock_guard lock{mutex_};
        if (now_lost <= lost_reported_ || now - loss_reported_at_ < kLossReportInterval) return 0;
        loss_reported_at_ = now;
        lost_reported_ = now_lost;
        return now_lost;
    }

    static std::string make_line(const Destination& to, detail::Record record) {
        std::array<char, 16> thread_name{};
        pthread_getname_np(pthread_self(), thread_name.data(), thread_name.size());
        record.thread_name = thread_name.data();
        record.pid = ::getpid();
        record.time = std::chrono::system_clock::now();
        record.service_name = to.service_name;
        std::string line;
        append_line(line, to.style, record);
        return line;
    }

    static std::string loss_line(const Destination& to, std::uint64_t lost) {
        const std::string message = fmt::format(
            "{} log lines are lost so far: standard error takes them too slowly or not at all",
            lost);
        return make_line(to, {.level = Level::warning, .logger = "log", .message = message});
    }

    std::mutex mutex_;
    std::shared_ptr<Writer> writer_;
    std::shared_ptr<Writer> stuck_writer_;
    Style style_ = Style::text;
    Options options_;
    bool flushed_ = false;
    bool at_exit_registered_ = false;
    std::uint64_t lost_before_ = 0;
    std::atomic<std::uint64_t> lost_reported_{0};
    std::chrono::steady_clock::time_point loss_reported_at_{};
    std::atomic<std::uint64_t> lost_without_writer_{0};
};

}  // namespace

void configure(const Options& options) {
    ProcessLog::instance().configure(options);
}

void flush() {
    ProcessLog::instance().flush();
}

Options options() {
    return ProcessLog::instance().options();
}

void forward(std::string_view lines) noexcept {
    try {
        ProcessLog::instance().forward(lines);
    } catch (...) {
        // Out of memory: the lines are gone, the caller's work is not.
    }
}

std::uint64_t lost_lines() noexcept {
    return ProcessLog::instance().lost();
}

bool enabled(Level level) noexcept {
    return level >= ProcessLog::instance().level.load(std::memory_order_relaxed) &&
           level != Level::off;
}

void write(Level level, std::string_view logger, std::string_view message,
           std::initializer_list<Field> fields) noexcept {
    if (!enabled(level)) return;
    try {
        detail::Record record;
        record.level = level;
        record.logger = logger;
        record.message = message;
        record.fields = {fields.begin(), fields.size()};
        ProcessLog::instance().write(record);
    } catch (...) {
        // Out of memory: the line is gone, the caller's work is not.
    }
}

}  // namespace lovage::log
